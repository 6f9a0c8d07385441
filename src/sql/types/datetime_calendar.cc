#include <algorithm>
#include <cmath>

#include "sql/types/datetime.h"

namespace orrery::sql {
namespace {

constexpr int64_t kPowersOfTen[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

bool AddOverflow(int64_t a, int64_t b, int64_t& sum) { return __builtin_add_overflow(a, b, &sum); }

int64_t RoundTo(int64_t value, int32_t precision) {
  if (precision < 0 || precision >= 6) return value;
  const int64_t unit = kPowersOfTen[6 - precision];
  const int64_t half = unit / 2;
  return value >= 0 ? (value + half) / unit * unit : -((-value + half) / unit * unit);
}

}  // namespace

Status TimestampOutOfRange() {
  return Status(Code::kOutOfRange, "22008", "timestamp out of range");
}
Status DateOutOfRange() { return Status(Code::kOutOfRange, "22008", "date out of range"); }
Status IntervalOutOfRange() {
  return Status(Code::kOutOfRange, "22008", "interval out of range");
}

// days_from_civil and its inverse: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = FloorDiv(year, 400);
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468 - 10957;
}

void CivilFromDays(int64_t days, CivilTime& civil) {
  days += 719468 + 10957;
  const int64_t era = FloorDiv(days, 146097);
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_index = (5 * day_of_year + 2) / 153;
  civil.day = int(day_of_year - (153 * month_index + 2) / 5 + 1);
  civil.month = int(month_index < 10 ? month_index + 3 : month_index - 9);
  civil.year = year_of_era + era * 400 + (civil.month <= 2);
}

int DaysInMonth(int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

int DayOfWeek(int64_t days) {
  const int64_t d = (days + 6) % 7;  // 2000-01-01 was a Saturday
  return int(d < 0 ? d + 7 : d);
}

int IsoWeek(int64_t days, int64_t& iso_year) {
  // The week belongs to the year of its Thursday.
  const int64_t thursday = days - (DayOfWeek(days) + 6) % 7 + 3;
  CivilTime civil;
  CivilFromDays(thursday, civil);
  iso_year = civil.year;
  return int((thursday - DaysFromCivil(civil.year, 1, 1)) / 7 + 1);
}

CivilTime CivilFromTimestamp(int64_t timestamp) {
  CivilTime civil;
  const int64_t days = FloorDiv(timestamp, kMicrosPerDay);
  int64_t rest = timestamp - days * kMicrosPerDay;
  CivilFromDays(days, civil);
  civil.hour = int(rest / kMicrosPerHour);
  rest %= kMicrosPerHour;
  civil.minute = int(rest / kMicrosPerMinute);
  rest %= kMicrosPerMinute;
  civil.second = int(rest / kMicrosPerSecond);
  civil.micros = int(rest % kMicrosPerSecond);
  return civil;
}

int64_t TimeOfDay(const CivilTime& c) {
  return c.hour * kMicrosPerHour + c.minute * kMicrosPerMinute + c.second * kMicrosPerSecond +
         c.micros;
}

bool TimestampFromCivil(const CivilTime& c, int64_t& timestamp) {
  if (c.year < -5000 || c.year > 300000) return false;
  const int64_t days = DaysFromCivil(c.year, c.month, c.day);
  return !__builtin_mul_overflow(days, kMicrosPerDay, &timestamp) &&
         !AddOverflow(timestamp, TimeOfDay(c), timestamp);
}

int32_t OffsetAt(int64_t utc, const TimeZone& zone) {
  return zone.AtInstant(FloorDiv(utc, kMicrosPerSecond) + kUnixEpochSeconds).offset_seconds;
}

StatusOr<int64_t> LocalFromUtc(int64_t utc, const TimeZone& zone) {
  if (!IsFiniteTimestamp(utc)) return utc;
  int64_t local = 0;
  if (AddOverflow(utc, OffsetAt(utc, zone) * kMicrosPerSecond, local) ||
      !IsTimestampInRange(local)) {
    return TimestampOutOfRange();
  }
  return local;
}

StatusOr<int64_t> UtcFromLocal(int64_t local, const TimeZone& zone) {
  if (!IsFiniteTimestamp(local)) return local;
  const int64_t seconds = FloorDiv(local, kMicrosPerSecond) + kUnixEpochSeconds;
  int64_t utc = 0;
  if (AddOverflow(local, -zone.OffsetOfLocal(seconds) * kMicrosPerSecond, utc) ||
      !IsTimestampInRange(utc)) {
    return TimestampOutOfRange();
  }
  return utc;
}

int64_t RoundTime(int64_t time, int32_t typmod) { return RoundTo(time, typmod); }

StatusOr<int64_t> RoundTimestamp(int64_t timestamp, int32_t typmod) {
  if (!IsFiniteTimestamp(timestamp)) return timestamp;
  return RoundTo(timestamp, typmod);
}

StatusOr<Interval> FitInterval(const Interval& interval, int32_t typmod) {
  if (typmod < 0) return interval;
  constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10;
  constexpr int32_t kMinute = 1 << 11, kSecond = 1 << 12, kFull = 0x7FFF;
  const int32_t range = typmod >> 16 & kFull;
  const int32_t precision = typmod & 0xFFFF;
  Interval fitted = interval;
  if (range == kYear) {
    fitted = {0, 0, interval.months / 12 * 12};
  } else if (range == kMonth || range == (kYear | kMonth)) {
    fitted = {0, 0, interval.months};
  } else if (range == kDay) {
    fitted.micros = 0;
  } else if (range == kHour || range == (kDay | kHour)) {
    fitted.micros = interval.micros / kMicrosPerHour * kMicrosPerHour;
  } else if (range != kFull && (range & kMinute) != 0 && (range & kSecond) == 0) {
    fitted.micros = interval.micros / kMicrosPerMinute * kMicrosPerMinute;
  }
  if (precision != 0xFFFF) fitted.micros = RoundTo(fitted.micros, precision);
  return fitted;
}

namespace {

// Adds months (the day is cut to the month's end) and days to a timestamp without zone.
StatusOr<int64_t> AddMonthsAndDays(int64_t timestamp, const Interval& interval) {
  CivilTime c = CivilFromTimestamp(timestamp);
  if (interval.months != 0) {
    const int64_t months = c.year * 12 + c.month - 1 + interval.months;
    c.year = FloorDiv(months, 12);
    c.month = int(months - c.year * 12) + 1;
    c.day = std::min(c.day, DaysInMonth(c.year, c.month));
  }
  if (!TimestampFromCivil(c, timestamp)) return TimestampOutOfRange();
  int64_t days = 0;
  if (__builtin_mul_overflow(int64_t(interval.days), kMicrosPerDay, &days) ||
      AddOverflow(timestamp, days, timestamp) || !IsTimestampInRange(timestamp)) {
    return TimestampOutOfRange();
  }
  return timestamp;
}

}  // namespace

StatusOr<int64_t> AddInterval(int64_t timestamp, const Interval& interval) {
  if (!IsFiniteTimestamp(timestamp)) return timestamp;
  if (interval.months != 0 || interval.days != 0) {
    ASSIGN_OR_RETURN(timestamp, AddMonthsAndDays(timestamp, interval));
  }
  if (AddOverflow(timestamp, interval.micros, timestamp) || !IsTimestampInRange(timestamp)) {
    return TimestampOutOfRange();
  }
  return timestamp;
}

StatusOr<int64_t> AddIntervalInZone(int64_t utc, const Interval& interval, const TimeZone& zone) {
  if (!IsFiniteTimestamp(utc)) return utc;
  if (interval.months != 0 || interval.days != 0) {
    ASSIGN_OR_RETURN(int64_t local, LocalFromUtc(utc, zone));
    ASSIGN_OR_RETURN(local, AddMonthsAndDays(local, interval));
    ASSIGN_OR_RETURN(utc, UtcFromLocal(local, zone));
  }
  return AddInterval(utc, {interval.micros, 0, 0});
}

StatusOr<Interval> NegateInterval(const Interval& i) {
  if (i.micros == INT64_MIN || i.days == INT32_MIN || i.months == INT32_MIN) {
    return IntervalOutOfRange();
  }
  return Interval{-i.micros, -i.days, -i.months};
}

StatusOr<int64_t> TimestampFromDate(int64_t date) {
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateMinusInfinity) return kTimestampMinusInfinity;
  int64_t timestamp = 0;
  if (__builtin_mul_overflow(date, kMicrosPerDay, &timestamp) || timestamp >= kTimestampEnd) {
    return Status(Code::kOutOfRange, "22008", "date out of range for timestamp");
  }
  return timestamp;
}

int64_t DateFromTimestamp(int64_t timestamp) {
  if (timestamp == kTimestampInfinity) return kDateInfinity;
  if (timestamp == kTimestampMinusInfinity) return kDateMinusInfinity;
  return FloorDiv(timestamp, kMicrosPerDay);
}

StatusOr<std::shared_ptr<const TimeZone>> FindZone(const EvalContext& context,
                                                   std::string_view name) {
  auto abbreviation = TimeZoneDatabase::FindAbbreviation(name);
  if (abbreviation.ok()) return abbreviation;
  if (name == context.format.time_zone->name()) return context.format.time_zone;
  if (context.format.time_zones != nullptr) return context.format.time_zones->Find(name);
  auto posix = TimeZone::FromPosix(name, name);
  if (posix.ok()) return posix;
  return abbreviation;
}

}  // namespace orrery::sql
