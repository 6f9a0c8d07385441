// Functions of dates and times: current time, extract, date_trunc, age, make_*, justify_*, AT TIME
// ZONE.
#include <algorithm>
#include <cmath>

#include "orrery/sql/types/numeric.h"
#include "sql/types/datetime.h"
#include "sql/types/datetime_words.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/extract.h"

namespace orrery::sql {
namespace {

Status SetInt(StatusOr<int64_t> value, Datum* out) {
  if (!value.ok()) return value.status();
  *out = Datum::Int(*value);
  return OkStatus();
}

Status FieldOutOfRange(const std::string& message) {
  return Status(Code::kOutOfRange, "22008", message);
}

// date_trunc on calendar fields; false if the unit cannot be truncated to.
bool TruncateCivil(TimeUnit unit, CivilTime& c) {
  const int64_t y = c.year;
  switch (unit) {
    case TimeUnit::kWeek: {
      const int64_t days = DaysFromCivil(c.year, c.month, c.day);
      CivilFromDays(days - (DayOfWeek(days) + 6) % 7, c);
      c.hour = c.minute = c.second = c.micros = 0;
      return true;
    }
    case TimeUnit::kMillennium:
      c.year = y > 0 ? (y + 999) / 1000 * 1000 - 999 : -((999 - (y - 1)) / 1000) * 1000 + 1;
      break;
    case TimeUnit::kCentury:
      c.year = y > 0 ? (y + 99) / 100 * 100 - 99 : -((99 - (y - 1)) / 100) * 100 + 1;
      break;
    case TimeUnit::kDecade:
      c.year = y > 0 ? y / 10 * 10 : -((8 - (y - 1)) / 10) * 10;
      break;
    case TimeUnit::kYear:
      break;
    case TimeUnit::kQuarter:
      c.month = (c.month - 1) / 3 * 3 + 1;
      break;
    default:
      break;
  }
  switch (unit) {
    case TimeUnit::kMillennium:
    case TimeUnit::kCentury:
    case TimeUnit::kDecade:
    case TimeUnit::kYear:
      c.month = 1;
      [[fallthrough]];
    case TimeUnit::kQuarter:
    case TimeUnit::kMonth:
      c.day = 1;
      [[fallthrough]];
    case TimeUnit::kDay:
      c.hour = 0;
      [[fallthrough]];
    case TimeUnit::kHour:
      c.minute = 0;
      [[fallthrough]];
    case TimeUnit::kMinute:
      c.second = 0;
      [[fallthrough]];
    case TimeUnit::kSecond:
      c.micros = 0;
      return true;
    case TimeUnit::kMillisecond:
      c.micros = c.micros / 1000 * 1000;
      return true;
    case TimeUnit::kMicrosecond:
      return true;
    default:
      return false;
  }
}

// A unit that date_trunc knows: those that only extract() has are not recognized.
StatusOr<TimeUnit> FindTruncationUnit(std::string_view name, Oid type) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindUnit(name, type));
  switch (unit) {
    case TimeUnit::kDow:
    case TimeUnit::kIsoDow:
    case TimeUnit::kDoy:
    case TimeUnit::kEpoch:
    case TimeUnit::kIsoYear:
    case TimeUnit::kJulian:
      return UnitUnrecognized(name, type);
    default:
      return unit;
  }
}

StatusOr<int64_t> TruncateTimestamp(std::string_view unit_name, int64_t t, Oid type) {
  if (!IsFiniteTimestamp(t)) return t;
  ASSIGN_OR_RETURN(const TimeUnit unit, FindTruncationUnit(unit_name, type));
  CivilTime c = CivilFromTimestamp(t);
  if (!TruncateCivil(unit, c)) return UnitUnsupported(unit_name, type);
  if (!TimestampFromCivil(c, t)) return TimestampOutOfRange();
  return t;
}

StatusOr<int64_t> TruncateInZone(std::string_view unit_name, int64_t utc, const TimeZone& zone) {
  if (!IsFiniteTimestamp(utc)) return utc;
  ASSIGN_OR_RETURN(const TimeUnit unit, FindTruncationUnit(unit_name, oid::kTimestamptz));
  ASSIGN_OR_RETURN(int64_t local, LocalFromUtc(utc, zone));
  const int64_t offset = local - utc;
  ASSIGN_OR_RETURN(local, TruncateTimestamp(unit_name, local, oid::kTimestamptz));
  // Hours and smaller units keep the offset: the second 02:00 of a long night stays the second.
  const bool keeps_offset = unit == TimeUnit::kHour || unit == TimeUnit::kMinute ||
                            unit == TimeUnit::kSecond || unit == TimeUnit::kMillisecond ||
                            unit == TimeUnit::kMicrosecond;
  if (keeps_offset) return local - offset;
  return UtcFromLocal(local, zone);
}

Status TruncateInterval(EvalContext&, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindTruncationUnit(a[0].as_bytes(), oid::kInterval));
  Interval i = a[1].as_interval();
  const int32_t years = i.months / 12;
  const auto whole_years = [&](int32_t step) { i = {0, 0, years / step * step * 12}; };
  const auto time = [&](int64_t step) { i.micros = i.micros / step * step; };
  switch (unit) {
    case TimeUnit::kMillennium:
      whole_years(1000);
      break;
    case TimeUnit::kCentury:
      whole_years(100);
      break;
    case TimeUnit::kDecade:
      whole_years(10);
      break;
    case TimeUnit::kYear:
      whole_years(1);
      break;
    case TimeUnit::kQuarter:
      i = {0, 0, i.months / 3 * 3};
      break;
    case TimeUnit::kMonth:
      i = {0, 0, i.months};
      break;
    case TimeUnit::kDay:
      i.micros = 0;
      break;
    case TimeUnit::kHour:
      time(kMicrosPerHour);
      break;
    case TimeUnit::kMinute:
      time(kMicrosPerMinute);
      break;
    case TimeUnit::kSecond:
      time(kMicrosPerSecond);
      break;
    case TimeUnit::kMillisecond:
      time(1000);
      break;
    case TimeUnit::kMicrosecond:
      break;
    default:
      return UnitUnsupported(a[0].as_bytes(), oid::kInterval)
          .WithDetail(unit == TimeUnit::kWeek ? "Months usually have fractional weeks." : "");
  }
  *out = Datum::OfInterval(i);
  return OkStatus();
}

// The symbolic difference of two local times (timestamp_age).
Interval AgeOf(int64_t later, int64_t earlier) {
  const bool negative = later < earlier;
  if (negative) std::swap(later, earlier);
  const CivilTime x = CivilFromTimestamp(later);
  const CivilTime y = CivilFromTimestamp(earlier);
  int64_t time = TimeOfDay(x) - TimeOfDay(y);
  int64_t days = x.day - y.day;
  int64_t months = (x.year - y.year) * 12 + x.month - y.month;
  if (time < 0) {
    time += kMicrosPerDay;
    --days;
  }
  const CivilTime& reference = y;  // the month days are borrowed from is the earlier one's
  while (days < 0) {
    days += DaysInMonth(reference.year, reference.month);
    --months;
  }
  Interval age{time, int32_t(days), int32_t(months)};
  return negative ? Interval{-age.micros, -age.days, -age.months} : age;
}

StatusOr<Interval> CheckedAge(int64_t x, int64_t y) {
  if (!IsFiniteTimestamp(x) || !IsFiniteTimestamp(y)) return TimestampOutOfRange();
  return AgeOf(x, y);
}

Status Age(EvalContext&, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const Interval age, CheckedAge(a[0].as_int(), a[1].as_int()));
  *out = Datum::OfInterval(age);
  return OkStatus();
}

Status AgeInZone(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const int64_t x, LocalFromUtc(a[0].as_int(), *c.format.time_zone));
  ASSIGN_OR_RETURN(const int64_t y, LocalFromUtc(a[1].as_int(), *c.format.time_zone));
  ASSIGN_OR_RETURN(const Interval age, CheckedAge(x, y));
  *out = Datum::OfInterval(age);
  return OkStatus();
}

// age(t): from t to the current date's midnight.
Status AgeOfToday(EvalContext& c, int64_t local, Datum* out) {
  ASSIGN_OR_RETURN(const int64_t now, LocalFromUtc(c.format.transaction_time, *c.format.time_zone));
  ASSIGN_OR_RETURN(const Interval age, CheckedAge(DateFromTimestamp(now) * kMicrosPerDay, local));
  *out = Datum::OfInterval(age);
  return OkStatus();
}

StatusOr<int64_t> MakeDate(int64_t year, int64_t month, int64_t day) {
  const auto two = [](int64_t v) { return (v >= 0 && v < 10 ? "0" : "") + std::to_string(v); };
  const std::string text = std::to_string(year) + "-" + two(month) + "-" + two(day);
  int64_t y = year < 0 ? year + 1 : year;
  if (year == 0 || month < 1 || month > 12 || day < 1 || y < -5000 || y > 6000000 ||
      day > DaysInMonth(y, int(month))) {
    return FieldOutOfRange("date field value out of range: " + text);
  }
  const int64_t date = DaysFromCivil(y, int(month), int(day));
  if (date < kDateMin || date >= kDateEnd) {
    return FieldOutOfRange("date out of range: " + text);
  }
  return date;
}

StatusOr<int64_t> MakeTime(int64_t hour, int64_t minute, double second) {
  const double micros = std::rint(second * 1e6);
  const bool fits = hour >= 0 && hour <= 24 && minute >= 0 && minute <= 59 && second >= 0 &&
                    second <= 60 && !std::isnan(second);
  const int64_t time =
      fits ? hour * kMicrosPerHour + minute * kMicrosPerMinute + int64_t(micros) : 0;
  if (!fits || time > kMicrosPerDay) {
    char text[64];
    std::snprintf(text, sizeof text, "%d:%02d:%02g", int(hour), int(minute), second);
    return FieldOutOfRange("time field value out of range: " + std::string(text));
  }
  return time;
}

StatusOr<int64_t> MakeTimestamp(Args a) {
  ASSIGN_OR_RETURN(const int64_t date, MakeDate(a[0].as_int(), a[1].as_int(), a[2].as_int()));
  ASSIGN_OR_RETURN(const int64_t time, MakeTime(a[3].as_int(), a[4].as_int(), a[5].as_float()));
  ASSIGN_OR_RETURN(const int64_t midnight, TimestampFromDate(date));
  if (!IsTimestampInRange(midnight + time)) return TimestampOutOfRange();
  return midnight + time;
}

Status MakeInterval(EvalContext&, Args a, Datum* out) {
  const auto arg = [&](size_t i) { return i < a.size() ? a[i].as_int() : 0; };
  const double seconds = a.size() > 6 ? a[6].as_float() : 0;
  const double micros = std::rint(seconds * 1e6);
  const int64_t months = arg(0) * 12 + arg(1);
  const int64_t days = arg(2) * 7 + arg(3);
  if (!std::isfinite(micros) || std::fabs(micros) >= 9e18 || months != int32_t(months) ||
      days != int32_t(days)) {
    return IntervalOutOfRange();
  }
  *out = Datum::OfInterval({arg(4) * kMicrosPerHour + arg(5) * kMicrosPerMinute + int64_t(micros),
                            int32_t(days), int32_t(months)});
  return OkStatus();
}

template <class Small>
void Balance(Small& small, int32_t& large, Small unit) {
  if (large > 0 && small < 0) {
    small += unit;
    --large;
  } else if (large < 0 && small > 0) {
    small -= unit;
    ++large;
  }
}

Interval JustifyHours(Interval i) {
  i.days += int32_t(i.micros / kMicrosPerDay);
  i.micros %= kMicrosPerDay;
  Balance<int64_t>(i.micros, i.days, kMicrosPerDay);
  return i;
}
Interval JustifyDays(Interval i) {
  i.months += i.days / 30;
  i.days %= 30;
  Balance<int32_t>(i.days, i.months, 30);
  return i;
}
Interval JustifyInterval(Interval i) {
  i.days += int32_t(i.micros / kMicrosPerDay);
  i.micros %= kMicrosPerDay;
  i.months += i.days / 30;
  i.days %= 30;
  if (i.months > 0 && (i.days < 0 || (i.days == 0 && i.micros < 0))) {
    i.days += 30;
    --i.months;
  } else if (i.months < 0 && (i.days > 0 || (i.days == 0 && i.micros > 0))) {
    i.days -= 30;
    ++i.months;
  }
  Balance<int64_t>(i.micros, i.days, kMicrosPerDay);
  return i;
}

Status EpochToTimestamp(EvalContext&, Args a, Datum* out) {
  const double seconds = a[0].as_float();
  if (std::isinf(seconds)) {
    *out = Datum::Int(seconds < 0 ? kTimestampMinusInfinity : kTimestampInfinity);
    return OkStatus();
  }
  if (std::isnan(seconds)) return FieldOutOfRange("timestamp cannot be NaN");
  const double micros = std::rint((seconds - double(kUnixEpochSeconds)) * 1e6);
  char text[64];
  std::snprintf(text, sizeof text, "%g", seconds);
  const Status error = FieldOutOfRange("timestamp out of range: \"" + std::string(text) + "\"");
  if (std::fabs(micros) >= 9.3e18) return error;
  if (!IsTimestampInRange(int64_t(micros))) return error;
  *out = Datum::Int(int64_t(micros));
  return OkStatus();
}

void AddCurrentTime(EvaluatorTable& table) {
  table.Add("now", [](EvalContext& c, Args, Datum* out) -> Status {
    *out = Datum::Int(c.format.transaction_time);
    return OkStatus();
  });
  table.Add("statement_timestamp", [](EvalContext& c, Args, Datum* out) -> Status {
    *out = Datum::Int(c.statement_time);
    return OkStatus();
  });
  table.Add("clock_timestamp", [](EvalContext& c, Args, Datum* out) -> Status {
    if (c.volatile_source == nullptr) return InternalError("clock_timestamp: no clock");
    *out = Datum::Int(c.volatile_source->WallNow());
    return OkStatus();
  });
}

void AddTruncation(EvaluatorTable& table) {
  table.Add("timestamp_trunc", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(TruncateTimestamp(a[0].as_bytes(), a[1].as_int(), oid::kTimestamp), out);
  });
  table.Add("timestamptz_trunc", [](EvalContext& c, Args a, Datum* out) -> Status {
    return SetInt(TruncateInZone(a[0].as_bytes(), a[1].as_int(), *c.format.time_zone), out);
  });
  table.Add("timestamptz_trunc_zone", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const auto zone, FindZone(c, a[2].as_bytes()));
    return SetInt(TruncateInZone(a[0].as_bytes(), a[1].as_int(), *zone), out);
  });
  table.Add("interval_trunc", &TruncateInterval);
}

void AddMakers(EvaluatorTable& table) {
  table.Add("make_date", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(MakeDate(a[0].as_int(), a[1].as_int(), a[2].as_int()), out);
  });
  table.Add("make_time", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(MakeTime(a[0].as_int(), a[1].as_int(), a[2].as_float()), out);
  });
  table.Add("make_timestamp", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(MakeTimestamp(a), out);
  });
  table.Add("make_timestamptz", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, MakeTimestamp(a));
    return SetInt(UtcFromLocal(local, *c.format.time_zone), out);
  });
  table.Add("make_timestamptz_at_timezone", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, MakeTimestamp(a));
    ASSIGN_OR_RETURN(const auto zone, FindZone(c, a[6].as_bytes()));
    return SetInt(UtcFromLocal(local, *zone), out);
  });
  table.Add("make_interval", &MakeInterval);
  table.Add("float8_timestamptz", &EpochToTimestamp);
}

StatusOr<std::shared_ptr<const TimeZone>> ZoneOfInterval(const Interval& i) {
  if (i.months != 0 || i.days != 0) {
    return InvalidParameter("interval time zone must not include months or days");
  }
  return TimeZone::Fixed(int32_t(i.micros / kMicrosPerSecond), "");
}

void AddZones(EvaluatorTable& table) {
  table.Add("timestamp_zone", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const auto zone, FindZone(c, a[0].as_bytes()));
    return SetInt(UtcFromLocal(a[1].as_int(), *zone), out);
  });
  table.Add("timestamptz_zone", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const auto zone, FindZone(c, a[0].as_bytes()));
    return SetInt(LocalFromUtc(a[1].as_int(), *zone), out);
  });
  table.Add("timestamp_izone", [](EvalContext&, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const auto zone, ZoneOfInterval(a[0].as_interval()));
    return SetInt(UtcFromLocal(a[1].as_int(), *zone), out);
  });
  table.Add("timestamptz_izone", [](EvalContext&, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const auto zone, ZoneOfInterval(a[0].as_interval()));
    return SetInt(LocalFromUtc(a[1].as_int(), *zone), out);
  });
}

template <Interval (*kJustify)(Interval)>
Status Justify(EvalContext&, Args a, Datum* out) {
  *out = Datum::OfInterval(kJustify(a[0].as_interval()));
  return OkStatus();
}

}  // namespace

void RegisterDateTimeFunctions(EvaluatorTable& table) {
  AddCurrentTime(table);
  AddTruncation(table);
  AddMakers(table);
  AddZones(table);
  RegisterExtract(table);
  table.Add("timestamp_age", &Age);
  table.Add("timestamptz_age", &AgeInZone);
  table.Add("sql_age_2059", [](EvalContext& c, Args a, Datum* out) -> Status {
    return AgeOfToday(c, a[0].as_int(), out);
  });
  table.Add("sql_age_1386", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, LocalFromUtc(a[0].as_int(), *c.format.time_zone));
    return AgeOfToday(c, local, out);
  });
  table.Add("interval_justify_hours", &Justify<JustifyHours>);
  table.Add("interval_justify_days", &Justify<JustifyDays>);
  table.Add("interval_justify_interval", &Justify<JustifyInterval>);
  table.Add("date_finite", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(IsFiniteDate(a[0].as_int()));
    return OkStatus();
  });
  table.Add("timestamp_finite", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(IsFiniteTimestamp(a[0].as_int()));
    return OkStatus();
  });
  table.Add("interval_finite", [](EvalContext&, Args, Datum* out) -> Status {
    *out = Datum::Bool(true);
    return OkStatus();
  });
}

}  // namespace orrery::sql
