#include "orrery/sql/types/time_zone.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "sql/types/datetime.h"

namespace orrery::sql {
namespace {

constexpr int64_t kSecondsPerDay = 86400;
constexpr int64_t kUnixDays2000 = 10957;  // 2000-01-01 in days since 1970-01-01

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Big-endian words of a TZif file (RFC 8536, section 3).
class Words {
 public:
  explicit Words(std::string_view bytes) : bytes_(bytes) {}
  int64_t Take(int size) {
    if (bytes_.size() < size_t(size)) {
      failed_ = true;
      return 0;
    }
    uint64_t value = uint8_t(bytes_[0]) & 0x80 ? ~uint64_t(0) : 0;
    for (int i = 0; i < size; ++i) value = value << 8 | uint8_t(bytes_[size_t(i)]);
    bytes_.remove_prefix(size_t(size));
    return int64_t(value);
  }
  std::string_view TakeBytes(size_t size) {
    if (bytes_.size() < size) {
      failed_ = true;
      return {};
    }
    const std::string_view result = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return result;
  }
  std::string_view rest() const { return bytes_; }
  bool failed() const { return failed_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

struct TzifHeader {
  int version = 0;
  size_t utc_count, std_count, leap_count, time_count, type_count, char_count;
  size_t BodyBytes(size_t time_bytes) const {
    return time_count * (time_bytes + 1) + type_count * 6 + char_count +
           leap_count * (time_bytes + 4) + std_count + utc_count;
  }
};

bool ReadHeader(Words& in, TzifHeader& h) {
  if (in.TakeBytes(4) != "TZif") return false;
  const std::string_view version = in.TakeBytes(16);
  if (in.failed()) return false;
  h.version = version[0] == 0 ? 1 : version[0] - '0';
  for (size_t* count : {&h.utc_count, &h.std_count, &h.leap_count, &h.time_count, &h.type_count,
                        &h.char_count}) {
    const int64_t value = in.Take(4);
    if (value < 0 || value > 1 << 20) return false;
    *count = size_t(value);
  }
  return !in.failed();
}

// Offsets of the abbreviations PostgreSQL knows by default (its timezonesets/Default), for those in common use.
struct Abbreviation {
  std::string_view name;
  int32_t offset_seconds;
};
constexpr Abbreviation kAbbreviations[] = {
    {"acdt", 37800},  {"acst", 34200},  {"act", -18000},  {"adt", -10800},  {"aedt", 39600},
    {"aest", 36000},  {"akdt", -28800}, {"akst", -32400}, {"art", -10800},  {"ast", -14400},
    {"awst", 28800},  {"brst", -7200},  {"brt", -10800},  {"bst", 3600},    {"cadt", 37800},
    {"cdt", -18000},  {"cest", 7200},   {"cet", 3600},    {"clt", -10800},  {"cot", -18000},
    {"cst", -21600},  {"eat", 10800},   {"edt", -14400},  {"eest", 10800},  {"eet", 7200},
    {"est", -18000},  {"fet", 10800},   {"gmt", 0},       {"hkt", 28800},   {"hst", -36000},
    {"ict", 25200},   {"idt", 10800},   {"ist", 7200},    {"jst", 32400},   {"kst", 32400},
    {"mdt", -21600},  {"mesz", 7200},   {"met", 3600},    {"mez", 3600},    {"msd", 14400},
    {"msk", 10800},   {"mst", -25200},  {"ndt", -9000},   {"nst", -12600},  {"nzdt", 46800},
    {"nzst", 43200},  {"pdt", -25200},  {"pht", 28800},   {"pkt", 18000},   {"pst", -28800},
    {"sgt", 28800},   {"uct", 0},       {"ut", 0},        {"utc", 0},       {"wast", 7200},
    {"wat", 3600},    {"west", 3600},   {"wet", 0},       {"wib", 25200},   {"z", 0},
    {"zulu", 0},
};

std::string Lowered(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  }
  return lower;
}

}  // namespace

// A POSIX rule: standard and daylight offsets and the two yearly changes.
struct TimeZone::Rule {
  enum class Kind : uint8_t { kMonthWeekDay, kJulian, kDayOfYear };
  struct Change {
    Kind kind = Kind::kMonthWeekDay;
    int month = 0, week = 0, day = 0;
    int64_t seconds = 7200;  // local time of day
  };
  LocalType standard;
  LocalType daylight;
  bool has_daylight = false;
  Change start, end;

  // Unix days of a change in a year.
  static int64_t DayOf(const Change& c, int64_t year) {
    const int64_t first = DaysFromCivil(year, 1, 1) + kUnixDays2000;
    if (c.kind == Kind::kDayOfYear) return first + c.day;
    if (c.kind == Kind::kJulian) {
      const bool leap = DaysInMonth(year, 2) == 29;
      return first + c.day - 1 + (leap && c.day >= 60 ? 1 : 0);
    }
    const int64_t month_start = DaysFromCivil(year, c.month, 1);
    const int weekday = DayOfWeek(month_start);
    int day = 1 + (c.day - weekday + 7) % 7 + (c.week - 1) * 7;
    while (day > DaysInMonth(year, c.month)) day -= 7;
    return month_start + day - 1 + kUnixDays2000;
  }
  int64_t StartOf(int64_t year) const {
    return DayOf(start, year) * kSecondsPerDay + start.seconds - standard.offset_seconds;
  }
  int64_t EndOf(int64_t year) const {
    return DayOf(end, year) * kSecondsPerDay + end.seconds - daylight.offset_seconds;
  }
  static int64_t YearOf(int64_t unix_seconds) {
    CivilTime civil;
    CivilFromDays(FloorDiv(unix_seconds, kSecondsPerDay) - kUnixDays2000, civil);
    return civil.year;
  }
};

// Parses "EST5EDT,M3.2.0,M11.1.0".
struct PosixParser {
  std::string_view in;

  bool Name(std::string& name) {
    size_t end = 0;
    if (!in.empty() && in[0] == '<') {
      end = in.find('>');
      if (end == std::string_view::npos) return false;
      name = in.substr(1, end - 1);
      in.remove_prefix(end + 1);
      return true;
    }
    while (end < in.size() && ((in[end] | 0x20) >= 'a' && (in[end] | 0x20) <= 'z')) ++end;
    name = in.substr(0, end);
    in.remove_prefix(end);
    return true;
  }
  bool Number(int& value) {
    const auto [end, error] = std::from_chars(in.data(), in.data() + in.size(), value);
    if (error != std::errc() || in[0] == '-') return false;
    in.remove_prefix(size_t(end - in.data()));
    return true;
  }
  bool Char(char c) {
    if (in.empty() || in[0] != c) return false;
    in.remove_prefix(1);
    return true;
  }
  bool Clock(int64_t& seconds) {
    const int sign = Char('-') ? -1 : 1;
    if (sign > 0) Char('+');
    int hour = 0, minute = 0, second = 0;
    if (!Number(hour) || hour > 167) return false;
    if (Char(':') && (!Number(minute) || minute > 59)) return false;
    if (Char(':') && (!Number(second) || second > 59)) return false;
    seconds = sign * (hour * 3600 + minute * 60 + second);
    return true;
  }
  bool Change(TimeZone::Rule::Change& c) {
    using Kind = TimeZone::Rule::Kind;
    if (Char('M')) {
      if (!Number(c.month) || !Char('.') || !Number(c.week) || !Char('.') || !Number(c.day)) {
        return false;
      }
      if (c.month < 1 || c.month > 12 || c.week < 1 || c.week > 5 || c.day > 6) return false;
    } else {
      c.kind = Char('J') ? Kind::kJulian : Kind::kDayOfYear;
      if (!Number(c.day) || c.day > 366) return false;
    }
    return !Char('/') || Clock(c.seconds);
  }
  bool Parse(TimeZone::Rule& rule) {
    int64_t west = 0;
    if (!Name(rule.standard.abbreviation) || !Clock(west)) return false;
    rule.standard.offset_seconds = int32_t(-west);
    if (in.empty()) return true;
    rule.has_daylight = true;
    if (!Name(rule.daylight.abbreviation) || rule.daylight.abbreviation.empty()) return false;
    west -= 3600;
    if (!in.empty() && in[0] != ',' && !Clock(west)) return false;
    rule.daylight.offset_seconds = int32_t(-west);
    rule.daylight.is_dst = true;
    if (in.empty()) in = ",M3.2.0,M11.1.0";
    return Char(',') && Change(rule.start) && Char(',') && Change(rule.end) && in.empty();
  }
};

std::shared_ptr<const TimeZone> TimeZone::Utc() { return Fixed(0, "UTC"); }

std::shared_ptr<const TimeZone> TimeZone::Fixed(int32_t offset_seconds, std::string_view name) {
  auto zone = std::shared_ptr<TimeZone>(new TimeZone);
  zone->name_ = name;
  zone->types_.push_back({offset_seconds, false, std::string(name)});
  return zone;
}

StatusOr<std::shared_ptr<const TimeZone>> TimeZone::FromPosix(std::string_view name,
                                                              std::string_view text) {
  auto rule = std::make_shared<Rule>();
  PosixParser parser{text};
  if (!parser.Parse(*rule)) {
    return InvalidArgumentError("malformed time zone rule \"" + std::string(text) + "\"");
  }
  auto zone = std::shared_ptr<TimeZone>(new TimeZone);
  zone->name_ = name;
  zone->types_.push_back(rule->standard);
  zone->rule_ = std::move(rule);
  return std::shared_ptr<const TimeZone>(zone);
}

StatusOr<std::shared_ptr<const TimeZone>> TimeZone::FromTzif(std::string_view name,
                                                             std::string_view bytes) {
  const Status bad = DataLossError("time zone file " + std::string(name) + " is malformed");
  Words in(bytes);
  TzifHeader h;
  if (!ReadHeader(in, h)) return bad;
  int time_bytes = 4;
  if (h.version >= 2) {  // the 64-bit block follows the 32-bit one
    in.TakeBytes(h.BodyBytes(4));
    if (in.failed() || !ReadHeader(in, h)) return bad;
    time_bytes = 8;
  }
  if (h.type_count == 0) return bad;
  auto zone = std::shared_ptr<TimeZone>(new TimeZone);
  zone->name_ = name;
  for (size_t i = 0; i < h.time_count; ++i) zone->transitions_.push_back(in.Take(time_bytes));
  for (const char c : in.TakeBytes(h.time_count)) zone->type_of_.push_back(uint8_t(c));
  std::vector<size_t> names;
  for (size_t i = 0; i < h.type_count; ++i) {
    LocalType type;
    type.offset_seconds = int32_t(in.Take(4));
    type.is_dst = in.Take(1) != 0;
    names.push_back(size_t(in.Take(1) & 0xFF));
    zone->types_.push_back(type);
  }
  const std::string_view characters = in.TakeBytes(h.char_count);
  in.TakeBytes(h.leap_count * size_t(time_bytes + 4) + h.std_count + h.utc_count);
  if (in.failed() || !std::ranges::is_sorted(zone->transitions_)) return bad;
  for (const uint8_t type : zone->type_of_) {
    if (type >= h.type_count) return bad;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] >= characters.size()) return bad;
    const std::string_view tail = characters.substr(names[i]);
    zone->types_[i].abbreviation = tail.substr(0, tail.find('\0'));
  }
  std::string_view footer = in.rest();
  if (time_bytes == 8 && footer.size() > 2 && footer.front() == '\n') {
    footer.remove_prefix(1);
    auto rule = std::make_shared<Rule>();
    PosixParser parser{footer.substr(0, footer.find('\n'))};
    if (parser.Parse(*rule)) zone->rule_ = std::move(rule);
  }
  return std::shared_ptr<const TimeZone>(zone);
}

const TimeZone::LocalType& TimeZone::FromRule(int64_t t) const {
  if (!rule_->has_daylight) return rule_->standard;
  const int64_t year = Rule::YearOf(t + rule_->standard.offset_seconds);
  const int64_t start = rule_->StartOf(year);
  const int64_t end = rule_->EndOf(year);
  const bool daylight = start < end ? t >= start && t < end : t >= start || t < end;
  return daylight ? rule_->daylight : rule_->standard;
}

const TimeZone::LocalType& TimeZone::AtInstant(int64_t t) const {
  const auto next = std::ranges::upper_bound(transitions_, t);
  if (next == transitions_.end() && rule_ != nullptr) return FromRule(t);
  if (next == transitions_.begin()) return types_[first_type_];
  return types_[type_of_[size_t(next - transitions_.begin()) - 1]];
}

int64_t TimeZone::NextChangeAfter(int64_t t) const {
  const auto next = std::ranges::upper_bound(transitions_, t);
  if (next != transitions_.end()) return *next;
  if (rule_ == nullptr || !rule_->has_daylight) return INT64_MAX;
  int64_t best = INT64_MAX;
  const int64_t year = Rule::YearOf(t);
  for (int64_t y = year - 1; y <= year + 1; ++y) {
    for (const int64_t change : {rule_->StartOf(y), rule_->EndOf(y)}) {
      if (change > t) best = std::min(best, change);
    }
  }
  return best;
}

int32_t TimeZone::OffsetOfLocal(int64_t local) const {
  if (transitions_.empty() && rule_ == nullptr) return types_[0].offset_seconds;
  const int64_t boundary = NextChangeAfter(local - kSecondsPerDay);
  const int32_t before = AtInstant(local - kSecondsPerDay).offset_seconds;
  if (boundary == INT64_MAX) return before;
  const int32_t after = AtInstant(boundary).offset_seconds;
  const int64_t if_before = local - before;
  const int64_t if_after = local - after;
  if (if_before < boundary && if_after < boundary) return before;
  if (if_before >= boundary && if_after >= boundary) return after;
  // A time that is skipped is read with the offset before the change, one that is repeated with that after it.
  return if_before > if_after ? before : after;
}

StatusOr<std::shared_ptr<const TimeZone>> TimeZoneDatabase::FindAbbreviation(
    std::string_view name) {
  const std::string lower = Lowered(name);
  for (const Abbreviation& a : kAbbreviations) {
    if (a.name == lower) return TimeZone::Fixed(a.offset_seconds, name);
  }
  return Status(Code::kNotFound, "22023",
                "time zone \"" + std::string(name) + "\" not recognized");
}

StatusOr<std::shared_ptr<const TimeZone>> TimeZoneDatabase::Find(std::string_view name) const {
  const Status unknown(Code::kNotFound, "22023",
                       "time zone \"" + std::string(name) + "\" not recognized");
  if (name.empty() || name.size() > 255) return unknown;
  const std::string lower = Lowered(name);
  if (lower == "utc" || lower == "gmt" || lower == "z" || lower == "zulu") {
    return TimeZone::Fixed(0, lower == "gmt" ? "GMT" : "UTC");
  }
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-' ||
           c == '/';
  };
  if (std::ranges::all_of(lower, plain) && lower[0] >= 'a' && lower[0] <= 'z') {
    std::string capitalised = lower;
    std::string upper = lower;
    for (size_t i = 0; i < lower.size(); ++i) {
      const char c = lower[i] >= 'a' && lower[i] <= 'z' ? char(lower[i] - 32) : lower[i];
      upper[i] = c;
      if (i == 0 || !(lower[i - 1] >= 'a' && lower[i - 1] <= 'z')) capitalised[i] = c;
    }
    for (const std::string& spelling : {std::string(name), capitalised, upper}) {
      const auto bytes = reader_(spelling);
      if (bytes.ok()) return TimeZone::FromTzif(spelling, *bytes);
    }
  }
  auto posix = TimeZone::FromPosix(name, name);
  if (posix.ok()) return posix;
  return unknown;
}

}  // namespace orrery::sql
