#include "sql/types/extract.h"

#include <cmath>

#include "orrery/sql/types/numeric.h"
#include "sql/types/datetime.h"

namespace orrery::sql {
namespace {

constexpr int64_t kJulianDay2000 = 2451545;

// A field's value: an integer scaled by a power of ten, infinite, absent, a day and its fraction
// (julian), or seconds and their fraction (epoch).
struct Field {
  enum class Kind { kNumber, kPlusInfinity, kMinusInfinity, kNull, kJulian, kSeconds };
  Kind kind = Kind::kNumber;
  int64_t value = 0;
  int scale = 0;
  int64_t fraction_micros = 0;  // kJulian: microseconds of the day; kSeconds: of the second
};

Field Number(int64_t value, int scale = 0) { return {Field::Kind::kNumber, value, scale, 0}; }

// Fields of a time of day or of an interval's time part; false if the unit is none of them.
bool ClockField(TimeUnit unit, int64_t micros, Field& field) {
  switch (unit) {
    case TimeUnit::kMicrosecond:
      field = Number(micros % kMicrosPerMinute);
      return true;
    case TimeUnit::kMillisecond:
      field = Number(micros % kMicrosPerMinute, 3);
      return true;
    case TimeUnit::kSecond:
      field = Number(micros % kMicrosPerMinute, 6);
      return true;
    case TimeUnit::kMinute:
      field = Number(micros / kMicrosPerMinute % 60);
      return true;
    case TimeUnit::kHour:
      field = Number(micros / kMicrosPerHour);
      return true;
    default:
      return false;
  }
}

bool CalendarField(TimeUnit unit, const CivilTime& c, int64_t days, Field& field) {
  const int64_t y = c.year;
  switch (unit) {
    case TimeUnit::kDay:
      field = Number(c.day);
      return true;
    case TimeUnit::kMonth:
      field = Number(c.month);
      return true;
    case TimeUnit::kQuarter:
      field = Number((c.month - 1) / 3 + 1);
      return true;
    case TimeUnit::kWeek:
    case TimeUnit::kIsoYear: {
      int64_t iso_year = 0;
      const int week = IsoWeek(days, iso_year);
      field = Number(unit == TimeUnit::kWeek ? week : iso_year > 0 ? iso_year : iso_year - 1);
      return true;
    }
    case TimeUnit::kYear:
      field = Number(y > 0 ? y : y - 1);
      return true;
    case TimeUnit::kDecade:
      field = Number(y >= 0 ? y / 10 : -((8 - (y - 1)) / 10));
      return true;
    case TimeUnit::kCentury:
      field = Number(y > 0 ? (y + 99) / 100 : -((99 - (y - 1)) / 100));
      return true;
    case TimeUnit::kMillennium:
      field = Number(y > 0 ? (y + 999) / 1000 : -((999 - (y - 1)) / 1000));
      return true;
    case TimeUnit::kDow:
      field = Number(DayOfWeek(days));
      return true;
    case TimeUnit::kIsoDow:
      field = Number(DayOfWeek(days) == 0 ? 7 : DayOfWeek(days));
      return true;
    case TimeUnit::kDoy:
      field = Number(days - DaysFromCivil(y, 1, 1) + 1);
      return true;
    default:
      return false;
  }
}

// Of ±infinity: fields that only grow are infinite, those that cycle are NULL.
Field InfiniteField(TimeUnit unit, bool negative) {
  switch (unit) {
    case TimeUnit::kYear:
    case TimeUnit::kDecade:
    case TimeUnit::kCentury:
    case TimeUnit::kMillennium:
    case TimeUnit::kJulian:
    case TimeUnit::kIsoYear:
    case TimeUnit::kEpoch:
      return {negative ? Field::Kind::kMinusInfinity : Field::Kind::kPlusInfinity, 0, 0, 0};
    default:
      return {Field::Kind::kNull, 0, 0, 0};
  }
}

bool IsZoneUnit(TimeUnit unit) {
  return unit == TimeUnit::kTimezone || unit == TimeUnit::kTimezoneHour ||
         unit == TimeUnit::kTimezoneMinute;
}

StatusOr<Field> OfLocalTime(std::string_view name, int64_t local, Oid type, int64_t instant,
                            int32_t offset) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindUnit(name, type));
  if (!IsFiniteTimestamp(local)) {
    return InfiniteField(unit, local < 0);
  }
  const CivilTime c = CivilFromTimestamp(local);
  const int64_t days = DateFromTimestamp(local);
  Field field;
  if (ClockField(unit, TimeOfDay(c), field) || CalendarField(unit, c, days, field)) return field;
  if (unit == TimeUnit::kEpoch) {  // in seconds, as microseconds since 1970 may not fit
    return Field{Field::Kind::kSeconds, instant / kMicrosPerSecond + kUnixEpochSeconds, 0,
                 instant % kMicrosPerSecond};
  }
  if (unit == TimeUnit::kJulian) {
    return Field{Field::Kind::kJulian, days + kJulianDay2000, 0, TimeOfDay(c)};
  }
  if (type == oid::kTimestamptz && IsZoneUnit(unit)) {
    if (unit == TimeUnit::kTimezone) return Number(offset);
    return Number(unit == TimeUnit::kTimezoneHour ? offset / 3600 : offset / 60 % 60);
  }
  return UnitUnsupported(name, type);
}

StatusOr<Field> OfTimestamp(EvalContext&, std::string_view name, const Datum& d) {
  return OfLocalTime(name, d.as_int(), oid::kTimestamp, d.as_int(), 0);
}

StatusOr<Field> OfTimestamptz(EvalContext& c, std::string_view name, const Datum& d) {
  const int64_t utc = d.as_int();
  ASSIGN_OR_RETURN(const int64_t local, LocalFromUtc(utc, *c.format.time_zone));
  const int32_t offset = IsFiniteTimestamp(utc) ? OffsetAt(utc, *c.format.time_zone) : 0;
  return OfLocalTime(name, local, oid::kTimestamptz, utc, offset);
}

StatusOr<Field> OfDate(EvalContext&, std::string_view name, const Datum& d) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindUnit(name, oid::kDate));
  const int64_t date = d.as_int();
  CivilTime c;
  CivilFromDays(IsFiniteDate(date) ? date : 0, c);
  Field field;
  const bool is_calendar = CalendarField(unit, c, date, field);
  if (!is_calendar && unit != TimeUnit::kEpoch && unit != TimeUnit::kJulian) {
    return UnitUnsupported(name, oid::kDate);
  }
  if (!IsFiniteDate(date)) return InfiniteField(unit, date < 0);
  if (unit == TimeUnit::kEpoch) return Number(date * 86400 + kUnixEpochSeconds);
  if (unit == TimeUnit::kJulian) return Number(date + kJulianDay2000);
  return field;
}

StatusOr<Field> OfTime(EvalContext&, std::string_view name, const Datum& d) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindUnit(name, oid::kTime));
  Field field;
  if (ClockField(unit, d.as_int(), field)) return field;
  if (unit == TimeUnit::kEpoch) return Number(d.as_int(), 6);
  return UnitUnsupported(name, oid::kTime);
}

StatusOr<Field> OfInterval(EvalContext&, std::string_view name, const Datum& d) {
  ASSIGN_OR_RETURN(const TimeUnit unit, FindUnit(name, oid::kInterval));
  const Interval i = d.as_interval();
  const int32_t years = i.months / 12;
  Field field;
  if (ClockField(unit, i.micros, field)) return field;
  switch (unit) {
    case TimeUnit::kDay:
      return Number(i.days);
    case TimeUnit::kMonth:
      return Number(i.months % 12);
    case TimeUnit::kQuarter:
      return Number(i.months % 12 / 3 + 1);
    case TimeUnit::kYear:
      return Number(years);
    case TimeUnit::kDecade:
      return Number(years / 10);
    case TimeUnit::kCentury:
      return Number(years / 100);
    case TimeUnit::kMillennium:
      return Number(years / 1000);
    case TimeUnit::kEpoch: {
      // A year counts 365.25 days, a month beyond whole years 30.
      const int64_t quarter_days =
          int64_t(years) * 1461 + int64_t(i.months % 12) * 120 + int64_t(i.days) * 4;
      return Number(quarter_days * 21600 * kMicrosPerSecond + i.micros, 6);
    }
    default:
      return UnitUnsupported(name, oid::kInterval);
  }
}

Status ToNumeric(const StatusOr<Field>& field, Datum* out) {
  if (!field.ok()) return field.status();
  switch (field->kind) {
    case Field::Kind::kNull:
      *out = Datum();
      return OkStatus();
    case Field::Kind::kPlusInfinity:
      *out = Numeric::Infinity().ToDatum();
      return OkStatus();
    case Field::Kind::kMinusInfinity:
      *out = Numeric::Infinity(Numeric::Sign::kNegativeInfinity).ToDatum();
      return OkStatus();
    case Field::Kind::kJulian: {
      ASSIGN_OR_RETURN(const Numeric part, Numeric::Divide(Numeric::FromInt(field->fraction_micros),
                                                           Numeric::FromInt(kMicrosPerDay)));
      ASSIGN_OR_RETURN(const Numeric sum, Numeric::Add(Numeric::FromInt(field->value), part));
      *out = sum.ToDatum();
      return OkStatus();
    }
    case Field::Kind::kSeconds: {
      ASSIGN_OR_RETURN(const Numeric sum,
                       Numeric::Add(Numeric::FromInt(field->value),
                                    Numeric::FromScaledInt(field->fraction_micros, 6)));
      *out = sum.ToDatum();
      return OkStatus();
    }
    case Field::Kind::kNumber:
      *out = Numeric::FromScaledInt(field->value, field->scale).ToDatum();
      return OkStatus();
  }
  return OkStatus();
}

Status ToFloat(const StatusOr<Field>& field, Datum* out) {
  if (!field.ok()) return field.status();
  constexpr double kPowers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
  switch (field->kind) {
    case Field::Kind::kNull:
      *out = Datum();
      break;
    case Field::Kind::kPlusInfinity:
      *out = Datum::Float(INFINITY);
      break;
    case Field::Kind::kMinusInfinity:
      *out = Datum::Float(-INFINITY);
      break;
    case Field::Kind::kJulian:
      *out = Datum::Float(double(field->value) +
                          double(field->fraction_micros) / double(kMicrosPerDay));
      break;
    case Field::Kind::kSeconds: {  // divided once, so that it is rounded once
      const auto micros = static_cast<__int128>(field->value) * kMicrosPerSecond +
                          field->fraction_micros;
      *out = Datum::Float(double(micros) / 1e6);
      break;
    }
    case Field::Kind::kNumber:
      *out = Datum::Float(double(field->value) / kPowers[field->scale]);
      break;
  }
  return OkStatus();
}

using FieldOf = StatusOr<Field> (*)(EvalContext&, std::string_view, const Datum&);

template <FieldOf kOf>
void AddExtract(EvaluatorTable& table, const std::string& extract, const std::string& part) {
  table.Add(extract, [](EvalContext& c, Args a, Datum* out) -> Status {
    return ToNumeric(kOf(c, a[0].as_bytes(), a[1]), out);
  });
  table.Add(part, [](EvalContext& c, Args a, Datum* out) -> Status {
    return ToFloat(kOf(c, a[0].as_bytes(), a[1]), out);
  });
}

StatusOr<Field> PartOfDate(EvalContext&, std::string_view name, const Datum& d) {
  ASSIGN_OR_RETURN(const int64_t t, TimestampFromDate(d.as_int()));
  return OfLocalTime(name, t, oid::kTimestamp, t, 0);
}

}  // namespace

StatusOr<TimeUnit> FindUnit(std::string_view name, Oid type) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  }
  const TimeUnit unit = UnitByName(lower);
  if (unit == TimeUnit::kNone) return UnitUnrecognized(lower, type);
  return unit;
}

Status UnitUnrecognized(std::string_view name, Oid type) {
  return Status(
      Code::kInvalidArgument, "22023",
      "unit \"" + std::string(name) + "\" not recognized for type " + std::string(TypeName(type)));
}

Status UnitUnsupported(std::string_view name, Oid type) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  }
  return Status(Code::kUnimplemented, "0A000",
                "unit \"" + lower + "\" not supported for type " + std::string(TypeName(type)));
}

void RegisterExtract(EvaluatorTable& table) {
  AddExtract<&OfTimestamp>(table, "extract_timestamp", "timestamp_part");
  AddExtract<&OfTimestamptz>(table, "extract_timestamptz", "timestamptz_part");
  AddExtract<&OfTime>(table, "extract_time", "time_part");
  AddExtract<&OfInterval>(table, "extract_interval", "interval_part");
  table.Add("extract_date", [](EvalContext& c, Args a, Datum* out) -> Status {
    return ToNumeric(OfDate(c, a[0].as_bytes(), a[1]), out);
  });
  table.Add("sql_date_part_1384", [](EvalContext& c, Args a, Datum* out) -> Status {
    return ToFloat(PartOfDate(c, a[0].as_bytes(), a[1]), out);
  });
}

}  // namespace orrery::sql
