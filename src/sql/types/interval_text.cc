// Text input of intervals: PostgreSQL documentation, section 8.5.4.
#include <charconv>
#include <cmath>
#include <limits>

#include "sql/types/datetime.h"
#include "sql/types/datetime_words.h"
#include "sql/types/scalar_io.h"

namespace orrery::sql {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Status Unreadable(std::string_view text) {
  return Status(Code::kInvalidArgument, "22007",
                "invalid input syntax for type interval: \"" + std::string(text) + "\"");
}
Status TooLarge(std::string_view text) {
  return Status(Code::kOutOfRange, "22008",
                "interval field value out of range: \"" + std::string(text) + "\"");
}

// A number as written: whole part and fraction, both with the sign.
struct Quantity {
  int64_t whole = 0;
  double fraction = 0;
};

class Accumulator {
 public:
  // False on overflow.
  bool Add(TimeUnit unit, const Quantity& q) {
    switch (unit) {
      case TimeUnit::kMicrosecond:
        return AddMicros(q.whole, 1, q.fraction);
      case TimeUnit::kMillisecond:
        return AddMicros(q.whole, 1000, q.fraction);
      case TimeUnit::kSecond:
        return AddMicros(q.whole, kMicrosPerSecond, q.fraction);
      case TimeUnit::kMinute:
        return AddMicros(q.whole, kMicrosPerMinute, q.fraction);
      case TimeUnit::kHour:
        return AddMicros(q.whole, kMicrosPerHour, q.fraction);
      case TimeUnit::kDay:
        return AddDays(q.whole, 1, q.fraction);
      case TimeUnit::kWeek:
        return AddDays(q.whole, 7, q.fraction);
      case TimeUnit::kMonth:
        return AddMonths(q.whole, 1) && AddDays(0, 30, q.fraction);
      case TimeUnit::kYear:
        return AddYears(q, 1);
      case TimeUnit::kDecade:
        return AddYears(q, 10);
      case TimeUnit::kCentury:
        return AddYears(q, 100);
      case TimeUnit::kMillennium:
        return AddYears(q, 1000);
      default:
        return false;
    }
  }
  bool AddTime(int64_t micros) { return !__builtin_add_overflow(micros_, micros, &micros_); }
  bool Negate() {
    if (micros_ == INT64_MIN) return false;
    micros_ = -micros_;
    days_ = -days_;
    months_ = -months_;
    return true;
  }
  bool Get(Interval& out) const {
    if (days_ != int32_t(days_) || months_ != int32_t(months_)) return false;
    out = {micros_, int32_t(days_), int32_t(months_)};
    return true;
  }

 private:
  bool AddMicros(int64_t whole, int64_t unit, double fraction) {
    int64_t amount = 0;
    return !__builtin_mul_overflow(whole, unit, &amount) && AddTime(amount) &&
           AddTime(int64_t(std::rint(fraction * double(unit))));
  }
  bool AddDays(int64_t whole, int64_t unit, double fraction) {
    int64_t amount = 0;
    if (__builtin_mul_overflow(whole, unit, &amount)) return false;
    const double extra = fraction * double(unit);
    const auto extra_days = int64_t(extra);
    return !__builtin_add_overflow(days_, amount + extra_days, &days_) &&
           days_ == int32_t(days_) && AddMicros(0, kMicrosPerDay, extra - double(extra_days));
  }
  bool AddMonths(int64_t whole, int64_t unit) {
    int64_t amount = 0;
    return !__builtin_mul_overflow(whole, unit, &amount) &&
           !__builtin_add_overflow(months_, amount, &months_) && months_ == int32_t(months_);
  }
  bool AddYears(const Quantity& q, int64_t years) {
    return AddMonths(q.whole, 12 * years) &&
           AddMonths(int64_t(std::rint(q.fraction * 12.0 * double(years))), 1);
  }

  int64_t micros_ = 0;
  int64_t days_ = 0;
  int64_t months_ = 0;
};

class Reader {
 public:
  Reader(std::string_view text, int32_t typmod) : text_(text), in_(TrimSpace(text)) {
    range_ = typmod < 0 ? 0x7FFF : typmod >> 16 & 0x7FFF;
  }

  StatusOr<Interval> Read() {
    if (in_.empty()) return Unreadable(text_);
    if (in_[0] == 'P' && in_.size() > 1) {
      RETURN_IF_ERROR(ReadIso());
    } else {
      RETURN_IF_ERROR(ReadPlain());
    }
    Interval out;
    if (!sum_.Get(out)) return TooLarge(text_);
    return out;
  }

 private:
  void SkipBlanks() {
    while (!in_.empty() && (in_[0] == ' ' || in_[0] == '\t' || in_[0] == '\n' || in_[0] == ',')) {
      in_.remove_prefix(1);
    }
  }
  int TakeSign() {
    if (in_.empty() || (in_[0] != '+' && in_[0] != '-')) return 1;
    const int sign = in_[0] == '-' ? -1 : 1;
    in_.remove_prefix(1);
    SkipBlanks();
    return sign;
  }
  bool TakeInt(int64_t& value) {
    if (in_.empty() || !IsDigit(in_[0])) return false;
    const auto [end, error] = std::from_chars(in_.data(), in_.data() + in_.size(), value);
    overflow_ |= error == std::errc::result_out_of_range;
    in_.remove_prefix(size_t(end - in_.data()));
    return true;
  }
  double TakeFraction() {
    if (in_.empty() || in_[0] != '.') return 0;
    in_.remove_prefix(1);
    std::string digits = "0.";
    while (!in_.empty() && IsDigit(in_[0])) {
      digits.push_back(in_[0]);
      in_.remove_prefix(1);
    }
    digits.push_back('0');
    double fraction = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
    return fraction;
  }
  std::string TakeWord() {
    std::string word;
    while (!in_.empty() && IsAlpha(in_[0])) {
      word.push_back(char(in_[0] | 0x20));
      in_.remove_prefix(1);
    }
    return word;
  }

  // hh:mm[:ss[.f]] after the hour; mm:ss.f when the fraction follows the second number.
  Status ReadClock(int sign, int64_t first) {
    in_.remove_prefix(1);
    int64_t second_number = 0;
    if (!TakeInt(second_number)) return Unreadable(text_);
    int64_t hour = first, minute = second_number, second = 0;
    double fraction = 0;
    constexpr int32_t kMinuteToSecond = 1 << 11 | 1 << 12;
    if (!in_.empty() && in_[0] == ':') {
      in_.remove_prefix(1);
      if (!TakeInt(second)) return Unreadable(text_);
      fraction = TakeFraction();
    } else if ((!in_.empty() && in_[0] == '.') || range_ == kMinuteToSecond) {
      hour = 0;
      minute = first;
      second = second_number;
      fraction = TakeFraction();
    }
    if (minute > 59 || second > 60) return TooLarge(text_);
    int64_t micros = 0;
    if (overflow_ || __builtin_mul_overflow(hour, kMicrosPerHour, &micros) ||
        __builtin_add_overflow(micros,
                               minute * kMicrosPerMinute + second * kMicrosPerSecond +
                                   int64_t(std::rint(fraction * 1e6)),
                               &micros) ||
        !sum_.AddTime(sign * micros)) {
      return TooLarge(text_);
    }
    return OkStatus();
  }

  // The unit of a number without one: the last field of INTERVAL '…' YEAR TO MONTH and the like.
  TimeUnit DefaultUnit() const {
    constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10;
    constexpr int32_t kMinute = 1 << 11, kSecond = 1 << 12;
    if (range_ == 0x7FFF || range_ & kSecond) return TimeUnit::kSecond;
    if (range_ & kMinute) return TimeUnit::kMinute;
    if (range_ & kHour) return TimeUnit::kHour;
    if (range_ & kDay) return TimeUnit::kDay;
    if (range_ & kMonth) return TimeUnit::kMonth;
    return range_ & kYear ? TimeUnit::kYear : TimeUnit::kSecond;
  }

  Status ReadPlain() {
    if (in_[0] == '@') in_.remove_prefix(1);
    bool any = false;
    for (SkipBlanks(); !in_.empty(); SkipBlanks()) {
      if (IsAlpha(in_[0])) {
        if (TakeWord() != "ago" || !any || !TrimSpace(in_).empty()) return Unreadable(text_);
        if (!sum_.Negate()) return TooLarge(text_);
        return OkStatus();
      }
      RETURN_IF_ERROR(ReadItem());
      any = true;
    }
    return any ? OkStatus() : Unreadable(text_);
  }

  Status ReadItem() {
    const int sign = TakeSign();
    int64_t whole = 0;
    const bool has_whole = TakeInt(whole);
    if (!has_whole && (in_.size() < 2 || in_[0] != '.' || !IsDigit(in_[1]))) {
      return Unreadable(text_);
    }
    if (overflow_) return TooLarge(text_);
    if (!in_.empty() && in_[0] == ':') return ReadClock(sign, whole);
    if (!in_.empty() && in_[0] == '-' && in_.size() > 1 && IsDigit(in_[1])) {  // years-months
      in_.remove_prefix(1);
      int64_t months = 0;
      TakeInt(months);
      if (months > 11) return TooLarge(text_);
      return sum_.Add(TimeUnit::kYear, {sign * whole, 0}) &&
                     sum_.Add(TimeUnit::kMonth, {sign * months, 0})
                 ? OkStatus()
                 : TooLarge(text_);
    }
    const double fraction = TakeFraction();
    SkipBlanks();
    TimeUnit unit = DefaultUnit();
    if (!in_.empty() && IsAlpha(in_[0]) && !in_.starts_with("ago")) {
      unit = UnitByName(TakeWord());
      if (unit == TimeUnit::kNone) return Unreadable(text_);
    } else if (!in_.empty() && NextIsClock()) {
      unit = TimeUnit::kDay;
    } else if (!in_.empty() && !in_.starts_with("ago")) {
      return Unreadable(text_);
    }
    if (!sum_.Add(unit, {sign * whole, sign * fraction})) return TooLarge(text_);
    return OkStatus();
  }

  bool NextIsClock() const {
    const size_t start = in_[0] == '+' || in_[0] == '-' ? 1 : 0;
    const size_t end = in_.find_first_not_of("0123456789", start);
    return end != std::string_view::npos && end > start && in_[end] == ':';
  }

  // P1Y2M3DT4H5M6S.
  Status ReadIso() {
    in_.remove_prefix(1);
    bool in_time = false;
    while (!in_.empty()) {
      if (in_[0] == 'T') {
        in_time = true;
        in_.remove_prefix(1);
        continue;
      }
      const int sign = TakeSign();
      int64_t whole = 0;
      const bool has_whole = TakeInt(whole);
      if (!has_whole && (in_.empty() || in_[0] != '.')) return Unreadable(text_);
      const double fraction = TakeFraction();
      if (in_.empty()) return Unreadable(text_);
      TimeUnit unit = TimeUnit::kNone;
      switch (in_[0]) {
        case 'Y':
          unit = TimeUnit::kYear;
          break;
        case 'M':
          unit = in_time ? TimeUnit::kMinute : TimeUnit::kMonth;
          break;
        case 'W':
          unit = TimeUnit::kWeek;
          break;
        case 'D':
          unit = TimeUnit::kDay;
          break;
        case 'H':
          unit = TimeUnit::kHour;
          break;
        case 'S':
          unit = TimeUnit::kSecond;
          break;
      }
      in_.remove_prefix(1);
      if (unit == TimeUnit::kNone) return Unreadable(text_);
      if (overflow_ || !sum_.Add(unit, {sign * whole, sign * fraction})) return TooLarge(text_);
    }
    return OkStatus();
  }

  std::string_view text_;
  std::string_view in_;
  int32_t range_ = 0x7FFF;
  bool overflow_ = false;
  Accumulator sum_;
};

}  // namespace

TimeUnit UnitByName(std::string_view word) {
  struct Named {
    std::string_view name;
    TimeUnit unit;
  };
  constexpr Named kNames[] = {
      {"us", TimeUnit::kMicrosecond},      {"usec", TimeUnit::kMicrosecond},
      {"usecs", TimeUnit::kMicrosecond},   {"microsecond", TimeUnit::kMicrosecond},
      {"microseconds", TimeUnit::kMicrosecond}, {"ms", TimeUnit::kMillisecond},
      {"msec", TimeUnit::kMillisecond},    {"msecs", TimeUnit::kMillisecond},
      {"millisecond", TimeUnit::kMillisecond}, {"milliseconds", TimeUnit::kMillisecond},
      {"s", TimeUnit::kSecond},            {"sec", TimeUnit::kSecond},
      {"secs", TimeUnit::kSecond},         {"second", TimeUnit::kSecond},
      {"seconds", TimeUnit::kSecond},      {"m", TimeUnit::kMinute},
      {"min", TimeUnit::kMinute},          {"mins", TimeUnit::kMinute},
      {"minute", TimeUnit::kMinute},       {"minutes", TimeUnit::kMinute},
      {"h", TimeUnit::kHour},              {"hr", TimeUnit::kHour},
      {"hrs", TimeUnit::kHour},            {"hour", TimeUnit::kHour},
      {"hours", TimeUnit::kHour},          {"d", TimeUnit::kDay},
      {"day", TimeUnit::kDay},             {"days", TimeUnit::kDay},
      {"w", TimeUnit::kWeek},              {"week", TimeUnit::kWeek},
      {"weeks", TimeUnit::kWeek},          {"mon", TimeUnit::kMonth},
      {"mons", TimeUnit::kMonth},          {"month", TimeUnit::kMonth},
      {"months", TimeUnit::kMonth},        {"qtr", TimeUnit::kQuarter},
      {"quarter", TimeUnit::kQuarter},     {"y", TimeUnit::kYear},
      {"yr", TimeUnit::kYear},             {"yrs", TimeUnit::kYear},
      {"year", TimeUnit::kYear},           {"years", TimeUnit::kYear},
      {"dec", TimeUnit::kDecade},          {"decs", TimeUnit::kDecade},
      {"decade", TimeUnit::kDecade},       {"decades", TimeUnit::kDecade},
      {"c", TimeUnit::kCentury},           {"cent", TimeUnit::kCentury},
      {"century", TimeUnit::kCentury},     {"centuries", TimeUnit::kCentury},
      {"mil", TimeUnit::kMillennium},      {"mils", TimeUnit::kMillennium},
      {"millennium", TimeUnit::kMillennium}, {"millennia", TimeUnit::kMillennium},
      {"epoch", TimeUnit::kEpoch},         {"dow", TimeUnit::kDow},
      {"isodow", TimeUnit::kIsoDow},       {"doy", TimeUnit::kDoy},
      {"isoyear", TimeUnit::kIsoYear},     {"julian", TimeUnit::kJulian},
      {"timezone", TimeUnit::kTimezone},   {"timezone_h", TimeUnit::kTimezoneHour},
      {"timezone_hour", TimeUnit::kTimezoneHour}, {"timezone_m", TimeUnit::kTimezoneMinute},
      {"timezone_minute", TimeUnit::kTimezoneMinute},
  };
  for (const Named& n : kNames) {
    if (n.name == word) return n.unit;
  }
  return TimeUnit::kNone;
}

StatusOr<Interval> ParseInterval(std::string_view text, int32_t typmod) {
  return Reader(text, typmod).Read();
}

}  // namespace orrery::sql
