// Operators and casts on dates, times, timestamps and intervals: PostgreSQL documentation, section 9.9.
#include <cmath>

#include "sql/types/datetime.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

Status SetInt(StatusOr<int64_t> value, Datum* out) {
  if (!value.ok()) return value.status();
  *out = Datum::Int(*value);
  return OkStatus();
}
Status SetInterval(StatusOr<Interval> value, Datum* out) {
  if (!value.ok()) return value.status();
  *out = Datum::OfInterval(*value);
  return OkStatus();
}

// A date or timestamp as the timestamp it is compared as; values beyond timestamps' range become infinite.
enum class As { kSame, kDate, kDateInZone, kLocalInZone };
template <As kAs>
int64_t Comparable(const EvalContext& context, const Datum& d) {
  if constexpr (kAs == As::kSame) return d.as_int();
  int64_t local = d.as_int();
  if constexpr (kAs == As::kDate || kAs == As::kDateInZone) {
    const auto timestamp = TimestampFromDate(local);
    if (!timestamp.ok()) return kTimestampInfinity;
    local = *timestamp;
  }
  if constexpr (kAs == As::kDate) return local;
  const auto utc = UtcFromLocal(local, *context.format.time_zone);
  return utc.ok() ? *utc : local > 0 ? kTimestampInfinity : kTimestampMinusInfinity;
}

template <As kLeft, As kRight>
void AddMixedComparisons(EvaluatorTable& table, const std::string& left,
                         const std::string& right) {
  const auto add = [&](const char* name, Evaluator e) { table.Add(left + name + right, e); };
  add("_eq_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) == Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
  add("_ne_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) != Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
  add("_lt_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) < Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
  add("_le_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) <= Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
  add("_gt_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) > Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
  add("_ge_", [](EvalContext& c, Args a, Datum* out) -> Status {
    *out = Datum::Bool(Comparable<kLeft>(c, a[0]) >= Comparable<kRight>(c, a[1]));
    return OkStatus();
  });
}

StatusOr<int64_t> AddDays(int64_t date, int64_t days) {
  if (!IsFiniteDate(date)) return date;
  const int64_t sum = date + days;
  if (sum < kDateMin || sum >= kDateEnd) return DateOutOfRange();
  return sum;
}

// timestamp ± interval; the interval is args[kInterval].
StatusOr<int64_t> PlusInterval(const Datum& timestamp, const Datum& interval) {
  return AddInterval(timestamp.as_int(), interval.as_interval());
}
StatusOr<int64_t> MinusInterval(const Datum& timestamp, const Datum& interval) {
  ASSIGN_OR_RETURN(const Interval negated, NegateInterval(interval.as_interval()));
  return AddInterval(timestamp.as_int(), negated);
}
StatusOr<int64_t> DatePlusInterval(const Datum& date, const Datum& interval) {
  ASSIGN_OR_RETURN(const int64_t timestamp, TimestampFromDate(date.as_int()));
  return AddInterval(timestamp, interval.as_interval());
}
StatusOr<int64_t> ZonedPlusInterval(const EvalContext& c, const Datum& t, const Datum& interval) {
  return AddIntervalInZone(t.as_int(), interval.as_interval(), *c.format.time_zone);
}

int64_t WrapTime(int64_t micros) {
  const int64_t rest = micros % kMicrosPerDay;
  return rest < 0 ? rest + kMicrosPerDay : rest;
}
int64_t TimePlusInterval(const Datum& time, const Datum& interval) {
  return WrapTime(interval.as_interval().micros % kMicrosPerDay + time.as_int());
}

StatusOr<Interval> AddIntervals(const Interval& a, const Interval& b) {
  Interval sum;
  if (__builtin_add_overflow(a.micros, b.micros, &sum.micros) ||
      __builtin_add_overflow(a.days, b.days, &sum.days) ||
      __builtin_add_overflow(a.months, b.months, &sum.months)) {
    return IntervalOutOfRange();
  }
  return sum;
}

double RoundMicros(double v) { return std::rint(v * 1e6) / 1e6; }

bool ToInt32(double value, int32_t& out) {
  if (std::isnan(value) || value > INT32_MAX || value < INT32_MIN) return false;
  out = int32_t(value);
  return true;
}

// interval · factor, with the fractions of months and days cascading down (interval_mul).
StatusOr<Interval> ScaleInterval(const Interval& i, double factor) {
  Interval out;
  const double months = i.months * factor;
  const double days = i.days * factor;
  if (!ToInt32(months, out.months) || !ToInt32(days, out.days)) return IntervalOutOfRange();
  const double month_days = RoundMicros((months - out.months) * 30);
  double seconds = RoundMicros((days - out.days + month_days - int(month_days)) * 86400.0);
  if (std::fabs(seconds) >= 86400.0) {
    out.days += int(seconds / 86400.0);
    seconds -= int(seconds / 86400.0) * 86400.0;
  }
  out.days += int32_t(month_days);
  const double micros = std::rint(double(i.micros) * factor + seconds * 1e6);
  if (std::isnan(micros) || micros >= 9223372036854775807.0 || micros < -9223372036854775808.0) {
    return IntervalOutOfRange();
  }
  out.micros = int64_t(micros);
  return out;
}

Status SubtractTimestamps(EvalContext&, Args a, Datum* out) {
  const int64_t x = a[0].as_int();
  const int64_t y = a[1].as_int();
  if (!IsFiniteTimestamp(x) || !IsFiniteTimestamp(y)) {
    return Status(Code::kOutOfRange, "22008", "cannot subtract infinite timestamps");
  }
  int64_t difference = 0;
  if (__builtin_sub_overflow(x, y, &difference)) return IntervalOutOfRange();
  *out = Datum::OfInterval(
      {difference % kMicrosPerDay, int32_t(difference / kMicrosPerDay), 0});
  return OkStatus();
}

StatusOr<int64_t> DateAndTime(const Datum& date, const Datum& time) {
  ASSIGN_OR_RETURN(const int64_t midnight, TimestampFromDate(date.as_int()));
  if (!IsFiniteTimestamp(midnight)) return midnight;
  const int64_t sum = midnight + time.as_int();
  if (!IsTimestampInRange(sum)) return TimestampOutOfRange();
  return sum;
}

void AddComparisons(EvaluatorTable& table) {
  for (const char* prefix : {"date_", "timestamp_", "time_"}) {
    table.AddComparisons<&CompareAs<oid::kInt8>>(prefix);
    table.AddLargerSmaller<&CompareAs<oid::kInt8>>(prefix);
    table.AddCmp<&CompareAs<oid::kInt8>>(std::string(prefix) + "cmp");
  }
  table.AddComparisons<&CompareAs<oid::kInterval>>("interval_");
  table.AddLargerSmaller<&CompareAs<oid::kInterval>>("interval_");
  table.AddCmp<&CompareAs<oid::kInterval>>("interval_cmp");
  AddMixedComparisons<As::kDate, As::kSame>(table, "date", "timestamp");
  AddMixedComparisons<As::kSame, As::kDate>(table, "timestamp", "date");
  AddMixedComparisons<As::kDateInZone, As::kSame>(table, "date", "timestamptz");
  AddMixedComparisons<As::kSame, As::kDateInZone>(table, "timestamptz", "date");
  AddMixedComparisons<As::kLocalInZone, As::kSame>(table, "timestamp", "timestamptz");
  AddMixedComparisons<As::kSame, As::kLocalInZone>(table, "timestamptz", "timestamp");
}

void AddDateArithmetic(EvaluatorTable& table) {
  table.Add("date_pli", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(AddDays(a[0].as_int(), a[1].as_int()), out);
  });
  table.Add("date_mii", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(AddDays(a[0].as_int(), -a[1].as_int()), out);
  });
  table.Add("sql_integer_pl_date_2550", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(AddDays(a[1].as_int(), a[0].as_int()), out);
  });
  table.Add("date_mi", [](EvalContext&, Args a, Datum* out) -> Status {
    if (!IsFiniteDate(a[0].as_int()) || !IsFiniteDate(a[1].as_int())) {
      return Status(Code::kOutOfRange, "22008", "cannot subtract infinite dates");
    }
    *out = Datum::Int(a[0].as_int() - a[1].as_int());
    return OkStatus();
  });
  table.Add("date_pl_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(DatePlusInterval(a[0], a[1]), out);
  });
  table.Add("sql_interval_pl_date_2546", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(DatePlusInterval(a[1], a[0]), out);
  });
  table.Add("date_mi_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const Interval negated, NegateInterval(a[1].as_interval()));
    return SetInt(DatePlusInterval(a[0], Datum::OfInterval(negated)), out);
  });
  table.Add("datetime_timestamp", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(DateAndTime(a[0], a[1]), out);
  });
  table.Add("sql_timedate_pl_1296", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(DateAndTime(a[1], a[0]), out);
  });
  table.Add("sql_timestamptz_1176", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, DateAndTime(a[0], a[1]));
    return SetInt(UtcFromLocal(local, *c.format.time_zone), out);
  });
}

void AddTimestampArithmetic(EvaluatorTable& table) {
  table.Add("timestamp_mi", &SubtractTimestamps);
  table.Add("timestamp_pl_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(PlusInterval(a[0], a[1]), out);
  });
  table.Add("sql_interval_pl_timestamp_2548", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(PlusInterval(a[1], a[0]), out);
  });
  table.Add("timestamp_mi_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(MinusInterval(a[0], a[1]), out);
  });
  table.Add("timestamptz_pl_interval", [](EvalContext& c, Args a, Datum* out) -> Status {
    return SetInt(ZonedPlusInterval(c, a[0], a[1]), out);
  });
  table.Add("sql_interval_pl_timestamptz_2549", [](EvalContext& c, Args a, Datum* out) -> Status {
    return SetInt(ZonedPlusInterval(c, a[1], a[0]), out);
  });
  table.Add("timestamptz_mi_interval", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const Interval negated, NegateInterval(a[1].as_interval()));
    return SetInt(ZonedPlusInterval(c, a[0], Datum::OfInterval(negated)), out);
  });
}

void AddTimeArithmetic(EvaluatorTable& table) {
  table.Add("time_pl_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(TimePlusInterval(a[0], a[1]));
    return OkStatus();
  });
  table.Add("sql_interval_pl_time_1848", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(TimePlusInterval(a[1], a[0]));
    return OkStatus();
  });
  table.Add("time_mi_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(WrapTime(a[0].as_int() - a[1].as_interval().micros % kMicrosPerDay));
    return OkStatus();
  });
  table.Add("time_mi_time", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::OfInterval({a[0].as_int() - a[1].as_int(), 0, 0});
    return OkStatus();
  });
}

void AddIntervalArithmetic(EvaluatorTable& table) {
  table.Add("interval_pl", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInterval(AddIntervals(a[0].as_interval(), a[1].as_interval()), out);
  });
  table.Add("interval_mi", [](EvalContext&, Args a, Datum* out) -> Status {
    const Interval x = a[0].as_interval();
    const Interval y = a[1].as_interval();
    Interval d;
    if (__builtin_sub_overflow(x.micros, y.micros, &d.micros) ||
        __builtin_sub_overflow(x.days, y.days, &d.days) ||
        __builtin_sub_overflow(x.months, y.months, &d.months)) {
      return IntervalOutOfRange();
    }
    *out = Datum::OfInterval(d);
    return OkStatus();
  });
  table.Add("interval_um", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInterval(NegateInterval(a[0].as_interval()), out);
  });
  table.Add("interval_mul", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInterval(ScaleInterval(a[0].as_interval(), a[1].as_float()), out);
  });
  table.Add("mul_d_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInterval(ScaleInterval(a[1].as_interval(), a[0].as_float()), out);
  });
  table.Add("interval_div", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInterval(DivideInterval(a[0].as_interval(), a[1].as_float()), out);
  });
}

Status TimestampToTime(int64_t timestamp, Datum* out) {
  *out = IsFiniteTimestamp(timestamp) ? Datum::Int(WrapTime(timestamp)) : Datum();
  return OkStatus();
}

void AddCasts(EvaluatorTable& table) {
  table.Add("date_timestamp", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetInt(TimestampFromDate(a[0].as_int()), out);
  });
  table.Add("date_timestamptz", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, TimestampFromDate(a[0].as_int()));
    return SetInt(UtcFromLocal(local, *c.format.time_zone), out);
  });
  table.Add("timestamp_date", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(DateFromTimestamp(a[0].as_int()));
    return OkStatus();
  });
  table.Add("timestamptz_date", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, LocalFromUtc(a[0].as_int(), *c.format.time_zone));
    *out = Datum::Int(DateFromTimestamp(local));
    return OkStatus();
  });
  table.Add("timestamp_time", [](EvalContext&, Args a, Datum* out) -> Status {
    return TimestampToTime(a[0].as_int(), out);
  });
  table.Add("timestamptz_time", [](EvalContext& c, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(const int64_t local, LocalFromUtc(a[0].as_int(), *c.format.time_zone));
    return TimestampToTime(local, out);
  });
  table.Add("timestamp_timestamptz", [](EvalContext& c, Args a, Datum* out) -> Status {
    return SetInt(UtcFromLocal(a[0].as_int(), *c.format.time_zone), out);
  });
  table.Add("timestamptz_timestamp", [](EvalContext& c, Args a, Datum* out) -> Status {
    return SetInt(LocalFromUtc(a[0].as_int(), *c.format.time_zone), out);
  });
  table.Add("time_interval", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::OfInterval({a[0].as_int(), 0, 0});
    return OkStatus();
  });
  table.Add("interval_time", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(WrapTime(a[0].as_interval().micros));
    return OkStatus();
  });
}

}  // namespace

StatusOr<Interval> DivideInterval(const Interval& i, double divisor) {
  if (divisor == 0) return DivisionByZero();
  Interval out;
  if (!ToInt32(i.months / divisor, out.months) || !ToInt32(i.days / divisor, out.days)) {
    return IntervalOutOfRange();
  }
  const double month_days = RoundMicros((i.months / divisor - out.months) * 30);
  double seconds =
      RoundMicros((i.days / divisor - out.days + month_days - int(month_days)) * 86400.0);
  if (std::fabs(seconds) >= 86400.0) {
    out.days += int(seconds / 86400.0);
    seconds -= int(seconds / 86400.0) * 86400.0;
  }
  out.days += int32_t(month_days);
  const double micros = std::rint(double(i.micros) / divisor + seconds * 1e6);
  if (std::isnan(micros) || micros >= 9223372036854775807.0 || micros < -9223372036854775808.0) {
    return IntervalOutOfRange();
  }
  out.micros = int64_t(micros);
  return out;
}

void RegisterDateTimeOperators(EvaluatorTable& table) {
  AddComparisons(table);
  AddDateArithmetic(table);
  AddTimestampArithmetic(table);
  AddTimeArithmetic(table);
  AddIntervalArithmetic(table);
  AddCasts(table);
}

}  // namespace orrery::sql
