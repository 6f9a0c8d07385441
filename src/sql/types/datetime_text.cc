// Text input of dates, times and timestamps: PostgreSQL documentation, section B.1 and B.2.
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "sql/types/datetime.h"
#include "sql/types/datetime_words.h"
#include "sql/types/scalar_io.h"

namespace orrery::sql {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What is wrong with an input, before it is put into words.
enum class Fault { kNone, kSyntax, kOverflow, kDayMonthOverflow, kZoneOverflow, kUnknownZone };

struct Parsed {
  enum class Special { kNone, kInfinity, kMinusInfinity, kEpoch, kNow };
  Special special = Special::kNone;
  bool has_date = false;
  bool has_time = false;
  int64_t year = 2000;
  int month = 1;
  int day = 1;
  int64_t time = 0;  // microseconds
  std::optional<int32_t> offset;
  std::shared_ptr<const TimeZone> zone;
  std::string unknown_zone;
};

class Parser {
 public:
  enum class Wanted { kDate, kTime };
  Parser(std::string_view text, const FormatContext& context, Wanted wanted)
      : in_(TrimSpace(text)), context_(context), wanted_(wanted) {}

  Fault Parse(Parsed& out) {
    while (!in_.empty()) {
      const Fault fault = Token(out);
      if (fault != Fault::kNone) return fault;
    }
    return Finish(out);
  }

 private:
  Fault Token(Parsed& out) {
    const char c = in_[0];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',') {
      in_.remove_prefix(1);
      return Fault::kNone;
    }
    if (IsDigit(c)) return NumberToken(out);
    if (IsAlpha(c)) return WordToken(out);
    if (c == '+' || c == '-') {
      if (in_.size() > 1 && IsAlpha(in_[1])) {  // -infinity
        const bool minus = c == '-';
        in_.remove_prefix(1);
        const std::string word = TakeWord();
        if (word != "infinity" && word != "inf") return Fault::kSyntax;
        out.special = minus ? Parsed::Special::kMinusInfinity : Parsed::Special::kInfinity;
        return Fault::kNone;
      }
      return OffsetToken(out);
    }
    return Fault::kSyntax;
  }

  std::string_view TakeDigits() {
    size_t n = 0;
    while (n < in_.size() && IsDigit(in_[n])) ++n;
    const std::string_view digits = in_.substr(0, n);
    in_.remove_prefix(n);
    return digits;
  }
  std::string TakeWord() {
    std::string word;
    while (!in_.empty() && IsAlpha(in_[0])) {
      word.push_back(char(in_[0] | 0x20));
      in_.remove_prefix(1);
    }
    return word;
  }
  static int64_t Value(std::string_view digits) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : INT32_MAX;
  }

  Fault NumberToken(Parsed& out) {
    const std::string_view digits = TakeDigits();
    const char next = in_.empty() ? ' ' : in_[0];
    if (next == ':') return ClockToken(digits, out);
    const bool first = !out.has_date && loose_.empty() && !month_word_;
    if (wanted_ == Wanted::kTime && first &&
        (digits.size() == 6 || (digits.size() == 4 && in_.empty()))) {
      return CompactClock(digits, out);  // 040506
    }
    if (next == '-' && month_word_ && !out.has_date) {  // Jan-08-1999
      in_.remove_prefix(1);
      loose_.push_back(digits);
      return loose_.size() > 3 ? Fault::kSyntax : Fault::kNone;
    }
    const bool more = in_.size() > 1 && (IsDigit(in_[1]) || IsAlpha(in_[1]));
    if (next == '.' && out.has_date && digits.size() == 6) return CompactClock(digits, out);
    if ((next == '-' && !out.has_date && more) || next == '/' || (next == '.' && more)) {
      return DateToken(digits, next, out);
    }
    if (out.has_date || after_t_) return CompactClock(digits, out);
    if (digits.size() == 8 || (digits.size() == 6 && loose_.empty() && !month_word_)) {
      return CompactDate(digits, out);
    }
    loose_.push_back(digits);
    return loose_.size() > 3 ? Fault::kSyntax : Fault::kNone;
  }

  Fault CompactDate(std::string_view digits, Parsed& out) {
    const size_t year_digits = digits.size() - 4;
    SetYear(digits.substr(0, year_digits), out);
    out.month = int(Value(digits.substr(year_digits, 2)));
    out.day = int(Value(digits.substr(year_digits + 2)));
    out.has_date = true;
    return Fault::kNone;
  }

  Fault CompactClock(std::string_view digits, Parsed& out) {
    if (out.has_time || (digits.size() != 6 && digits.size() != 4)) return Fault::kSyntax;
    int64_t micros = 0;
    const Fault fault = Fraction(micros);
    if (fault != Fault::kNone) return fault;
    const int64_t second = digits.size() == 6 ? Value(digits.substr(4)) : 0;
    return SetClock(Value(digits.substr(0, 2)), Value(digits.substr(2, 2)), second, micros, out);
  }

  Fault Fraction(int64_t& micros) {
    micros = 0;
    if (in_.empty() || in_[0] != '.') return Fault::kNone;
    in_.remove_prefix(1);
    const std::string digits = "0." + std::string(TakeDigits()) + "0";
    double fraction = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
    micros = int64_t(std::rint(fraction * 1e6));
    return Fault::kNone;
  }

  Fault SetClock(int64_t hour, int64_t minute, int64_t second, int64_t micros, Parsed& out) {
    if (out.has_time) return Fault::kSyntax;
    out.has_time = true;
    if (hour > 24 || minute > 59 || second > 60) return Fault::kOverflow;
    out.time =
        hour * kMicrosPerHour + minute * kMicrosPerMinute + second * kMicrosPerSecond + micros;
    if (hour == 24 && out.time > kMicrosPerDay) return Fault::kOverflow;
    hour_ = hour;
    return Fault::kNone;
  }

  Fault ClockToken(std::string_view hour, Parsed& out) {
    in_.remove_prefix(1);
    const std::string_view minute = TakeDigits();
    if (minute.empty()) return Fault::kSyntax;
    int64_t second = 0;
    int64_t micros = 0;
    if (!in_.empty() && in_[0] == ':') {
      in_.remove_prefix(1);
      const std::string_view digits = TakeDigits();
      if (digits.empty()) return Fault::kSyntax;
      second = Value(digits);
      Fraction(micros);
    }
    return SetClock(Value(hour), Value(minute), second, micros, out);
  }

  // Three parts with one delimiter: 1999-01-08, 1/8/1999, 8-Jan-1999.
  Fault DateToken(std::string_view first, char delimiter, Parsed& out) {
    if (out.has_date) return Fault::kSyntax;
    std::array<std::string_view, 3> parts = {first, {}, {}};
    int month_part = -1;
    for (int i = 1; i < 3; ++i) {
      if (in_.empty() || in_[0] != delimiter) return Fault::kSyntax;
      in_.remove_prefix(1);
      if (!in_.empty() && IsAlpha(in_[0])) {
        const int month = MonthByName(TakeWord());
        if (month == 0 || month_part >= 0) return Fault::kSyntax;
        out.month = month;
        month_part = i;
      } else {
        parts[size_t(i)] = TakeDigits();
        if (parts[size_t(i)].empty()) return Fault::kSyntax;
      }
    }
    out.has_date = true;
    if (month_part >= 0) {
      month_word_ = true;
      const std::string_view other = month_part == 1 ? parts[2] : parts[1];
      return DayAndYear(first, other, out);
    }
    return ThreeNumbers(parts, out);
  }

  Fault DayAndYear(std::string_view a, std::string_view b, Parsed& out) {
    const bool year_first = a.size() > 2 || Value(a) > 31;
    SetYear(year_first ? a : b, out);
    out.day = int(Value(year_first ? b : a));
    return Fault::kNone;
  }

  Fault ThreeNumbers(const std::array<std::string_view, 3>& p, Parsed& out) {
    size_t year = 2, month = 0, day = 1;
    if (p[0].size() > 2 || context_.date_order == DateOrder::kYmd) {
      year = 0, month = 1, day = 2;
    } else if (context_.date_order == DateOrder::kDmy) {
      month = 1, day = 0;
    }
    SetYear(p[year], out);
    out.month = int(Value(p[month]));
    out.day = int(Value(p[day]));
    if (p[month].size() > 2 || p[day].size() > 2) return Fault::kSyntax;
    return Fault::kNone;
  }

  void SetYear(std::string_view digits, Parsed& out) {
    out.year = Value(digits);
    two_digit_year_ = digits.size() <= 2;
    has_year_ = true;
  }

  Fault WordToken(Parsed& out) {
    const std::string_view before = in_;
    const std::string word = TakeWord();
    if (word == "t" && (out.has_date || !in_.empty())) {
      after_t_ = true;
      return in_.empty() || !IsDigit(in_[0]) ? Fault::kSyntax : Fault::kNone;
    }
    if (word == "j" && !in_.empty() && IsDigit(in_[0])) return JulianToken(out);
    if (const int month = MonthByName(word); month != 0 && !month_word_ && !out.has_date) {
      out.month = month;
      month_word_ = true;
      if (!in_.empty() && in_[0] == '-') in_.remove_prefix(1);
      return Fault::kNone;
    }
    if (IsDayName(word) || word == "at" || word == "on") return Fault::kNone;
    if (word == "bc" || word == "ad") {
      is_bc_ = word == "bc";
      return Fault::kNone;
    }
    if (word == "am" || word == "pm") {
      if (!out.has_time) return Fault::kSyntax;
      if (hour_ > 12) return Fault::kOverflow;
      if (word == "pm" && hour_ != 12) out.time += 12 * kMicrosPerHour;
      if (word == "am" && hour_ == 12) out.time -= 12 * kMicrosPerHour;
      return Fault::kNone;
    }
    if (SpecialWord(word, out)) return Fault::kNone;
    return ZoneToken(before, out);
  }

  Fault JulianToken(Parsed& out) {
    constexpr int64_t kJulianDay2000 = 2451545;
    const int64_t day = Value(TakeDigits());
    CivilTime c;
    CivilFromDays(day - kJulianDay2000, c);
    out.year = c.year;
    out.month = c.month;
    out.day = c.day;
    out.has_date = has_year_ = true;
    return Fault::kNone;
  }

  bool SpecialWord(std::string_view word, Parsed& out) {
    if (word == "infinity" || word == "inf") {
      out.special = Parsed::Special::kInfinity;
    } else if (word == "epoch") {
      out.special = Parsed::Special::kEpoch;
    } else if (word == "now") {
      out.special = Parsed::Special::kNow;
    } else if (word == "today" || word == "tomorrow" || word == "yesterday") {
      const auto local = LocalFromUtc(context_.transaction_time, *context_.time_zone);
      const int64_t shift = word == "today" ? 0 : word == "tomorrow" ? 1 : -1;
      CivilTime c;
      CivilFromDays(DateFromTimestamp(local.ok() ? *local : 0) + shift, c);
      out.year = c.year;
      out.month = c.month;
      out.day = c.day;
      out.has_date = has_year_ = true;
    } else if (word == "allballs") {
      out.has_time = true;
      out.time = 0;
      out.offset = 0;
    } else {
      return false;
    }
    return true;
  }

  Fault OffsetToken(Parsed& out) {
    if (!out.has_time && !out.has_date) return Fault::kSyntax;
    const int sign = in_[0] == '-' ? -1 : 1;
    in_.remove_prefix(1);
    const std::string_view digits = TakeDigits();
    if (digits.empty()) return Fault::kSyntax;
    int64_t hour = Value(digits);
    int64_t minute = 0;
    int64_t second = 0;
    if (!in_.empty() && in_[0] == ':') {
      in_.remove_prefix(1);
      minute = Value(TakeDigits());
      if (!in_.empty() && in_[0] == ':') {
        in_.remove_prefix(1);
        second = Value(TakeDigits());
      }
    } else if (digits.size() > 2) {
      minute = hour % 100;
      hour /= 100;
    }
    if (hour > 15 || minute > 59 || second > 59) return Fault::kZoneOverflow;
    out.offset = int32_t(sign * (hour * 3600 + minute * 60 + second));
    return Fault::kNone;
  }

  // A zone's name or abbreviation, up to the next blank.
  Fault ZoneToken(std::string_view rest, Parsed& out) {
    size_t n = 0;
    const auto part = [](char c) {
      return IsAlpha(c) || IsDigit(c) || c == '/' || c == '_' || c == '-' || c == '+' || c == ':';
    };
    size_t letters = 0;
    while (letters < rest.size() && IsAlpha(rest[letters])) ++letters;
    const std::string_view word = rest.substr(0, letters);
    while (n < rest.size() && part(rest[n])) ++n;
    const std::string_view name = rest.substr(0, n);
    auto zone = TimeZoneDatabase::FindAbbreviation(word);
    if (zone.ok()) {
      in_ = rest.substr(letters);
      out.offset = (*zone)->AtInstant(0).offset_seconds;
      if (!in_.empty() && (in_[0] == '+' || in_[0] == '-')) {  // UTC+3: POSIX, west is positive
        const int32_t base = *out.offset;
        out.has_time = true;
        const Fault fault = OffsetToken(out);
        out.offset = base - *out.offset;
        return fault;
      }
      return Fault::kNone;
    }
    in_ = rest.substr(n);
    if (context_.time_zones != nullptr && name.find('/') != std::string_view::npos) {
      auto found = context_.time_zones->Find(name);
      if (found.ok()) {
        out.zone = *found;
        return Fault::kNone;
      }
    }
    out.unknown_zone.clear();
    for (const char c : name) out.unknown_zone += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    return name.find('/') != std::string_view::npos ? Fault::kUnknownZone : Fault::kSyntax;
  }

  Fault Finish(Parsed& out) {
    if (!loose_.empty()) {
      if (out.has_date) return Fault::kSyntax;
      Fault fault = Fault::kSyntax;
      if (month_word_ && loose_.size() == 2) fault = DayAndYear(loose_[0], loose_[1], out);
      if (!month_word_ && loose_.size() == 3) {
        fault = ThreeNumbers({loose_[0], loose_[1], loose_[2]}, out);
      }
      if (fault != Fault::kNone) return fault;
      out.has_date = true;
    } else if (month_word_ && !out.has_date) {
      return Fault::kSyntax;
    }
    if (!out.has_date) return Fault::kNone;
    if (is_bc_) {
      if (out.year <= 0) return Fault::kOverflow;
      out.year = 1 - out.year;
    } else if (has_year_ && two_digit_year_) {
      out.year += out.year < 70 ? 2000 : 1900;
    } else if (has_year_ && out.year == 0) {
      return Fault::kOverflow;
    }
    if (out.month < 1 || out.month > 12) return Fault::kDayMonthOverflow;
    if (out.day < 1 || out.day > 31) return Fault::kDayMonthOverflow;
    if (out.day > DaysInMonth(out.year, out.month)) return Fault::kOverflow;
    return Fault::kNone;
  }

  std::string_view in_;
  const FormatContext& context_;
  Wanted wanted_;
  std::vector<std::string_view> loose_;  // numbers whose role is not clear yet
  bool month_word_ = false;
  bool after_t_ = false;
  bool is_bc_ = false;
  bool two_digit_year_ = false;
  bool has_year_ = false;
  int64_t hour_ = 0;
};

Status FaultStatus(Fault fault, std::string_view type, std::string_view text,
                   const Parsed& parsed) {
  const std::string quoted = "\"" + std::string(text) + "\"";
  switch (fault) {
    case Fault::kOverflow:
    case Fault::kDayMonthOverflow: {
      const Status status(Code::kOutOfRange, "22008",
                          "date/time field value out of range: " + quoted);
      return fault == Fault::kOverflow
                 ? status
                 : status.WithHint("Perhaps you need a different \"datestyle\" setting.");
    }
    case Fault::kZoneOverflow:
      return Status(Code::kOutOfRange, "22009",
                    "time zone displacement out of range: " + quoted);
    case Fault::kUnknownZone:
      return Status(Code::kInvalidArgument, "22023",
                    "time zone \"" + parsed.unknown_zone + "\" not recognized");
    default:
      return Status(Code::kInvalidArgument, "22007",
                    "invalid input syntax for type " + std::string(type) + ": " + quoted);
  }
}

StatusOr<Parsed> ParseAll(std::string_view type, std::string_view text,
                          const FormatContext& context) {
  Parsed parsed;
  const auto wanted = type == "time" ? Parser::Wanted::kTime : Parser::Wanted::kDate;
  const Fault fault = Parser(text, context, wanted).Parse(parsed);
  if (fault != Fault::kNone) return FaultStatus(fault, type, text, parsed);
  return parsed;
}

Status Unreadable(std::string_view type, std::string_view text) {
  return FaultStatus(Fault::kSyntax, type, text, {});
}

Status OutOfRangeInput(std::string_view type, std::string_view text) {
  return Status(Code::kOutOfRange, "22008",
                std::string(type) + " out of range: \"" + std::string(text) + "\"");
}

// The local timestamp of the fields.
StatusOr<int64_t> LocalOf(const Parsed& p, std::string_view text) {
  CivilTime c;
  c.year = p.year;
  c.month = p.month;
  c.day = p.day;
  int64_t timestamp = 0;
  if (!TimestampFromCivil(c, timestamp) || __builtin_add_overflow(timestamp, p.time, &timestamp)) {
    return OutOfRangeInput("timestamp", text);
  }
  return timestamp;
}

}  // namespace

StatusOr<int64_t> ParseDate(std::string_view text, const FormatContext& context) {
  ASSIGN_OR_RETURN(const Parsed p, ParseAll("date", text, context));
  switch (p.special) {
    case Parsed::Special::kInfinity:
      return kDateInfinity;
    case Parsed::Special::kMinusInfinity:
      return kDateMinusInfinity;
    case Parsed::Special::kEpoch:
      return DaysFromCivil(1970, 1, 1);
    case Parsed::Special::kNow: {
      ASSIGN_OR_RETURN(const int64_t local,
                       LocalFromUtc(context.transaction_time, *context.time_zone));
      return DateFromTimestamp(local);
    }
    case Parsed::Special::kNone:
      break;
  }
  if (!p.has_date) return Unreadable("date", text);
  const int64_t date = DaysFromCivil(p.year, p.month, p.day);
  if (date < kDateMin || date >= kDateEnd) return OutOfRangeInput("date", text);
  return date;
}

StatusOr<int64_t> ParseTime(std::string_view text, const FormatContext& context) {
  ASSIGN_OR_RETURN(const Parsed p, ParseAll("time", text, context));
  if (p.special == Parsed::Special::kNow) {
    ASSIGN_OR_RETURN(const int64_t local,
                     LocalFromUtc(context.transaction_time, *context.time_zone));
    return TimeOfDay(CivilFromTimestamp(local));
  }
  if (p.special != Parsed::Special::kNone || !p.has_time) return Unreadable("time", text);
  return p.time;
}

StatusOr<int64_t> ParseTimestamp(std::string_view text, const FormatContext& context) {
  ASSIGN_OR_RETURN(const Parsed p, ParseAll("timestamp", text, context));
  switch (p.special) {
    case Parsed::Special::kInfinity:
      return kTimestampInfinity;
    case Parsed::Special::kMinusInfinity:
      return kTimestampMinusInfinity;
    case Parsed::Special::kEpoch:
      return -kPostgresEpochUnixUs;
    case Parsed::Special::kNow:
      return LocalFromUtc(context.transaction_time, *context.time_zone);
    case Parsed::Special::kNone:
      break;
  }
  if (!p.has_date) return Unreadable("timestamp", text);
  ASSIGN_OR_RETURN(const int64_t local, LocalOf(p, text));
  if (!IsTimestampInRange(local)) return OutOfRangeInput("timestamp", text);
  return local;
}

StatusOr<int64_t> ParseTimestamptz(std::string_view text, const FormatContext& context) {
  constexpr std::string_view kType = "timestamp with time zone";
  ASSIGN_OR_RETURN(const Parsed p, ParseAll(kType, text, context));
  switch (p.special) {
    case Parsed::Special::kInfinity:
      return kTimestampInfinity;
    case Parsed::Special::kMinusInfinity:
      return kTimestampMinusInfinity;
    case Parsed::Special::kEpoch:
      return -kPostgresEpochUnixUs;
    case Parsed::Special::kNow:
      return context.transaction_time;
    case Parsed::Special::kNone:
      break;
  }
  if (!p.has_date) return Unreadable(kType, text);
  ASSIGN_OR_RETURN(const int64_t local, LocalOf(p, text));
  int64_t utc = 0;
  if (p.offset) {
    if (__builtin_sub_overflow(local, *p.offset * kMicrosPerSecond, &utc)) {
      return OutOfRangeInput("timestamp", text);
    }
  } else {
    const TimeZone& zone = p.zone ? *p.zone : *context.time_zone;
    const auto found = UtcFromLocal(local, zone);
    if (!found.ok()) return OutOfRangeInput("timestamp", text);
    utc = *found;
  }
  if (!IsTimestampInRange(utc)) return OutOfRangeInput("timestamp", text);
  return utc;
}

}  // namespace orrery::sql
