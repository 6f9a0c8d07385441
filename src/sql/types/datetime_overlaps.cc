// OVERLAPS and date_bin: PostgreSQL documentation, section 9.9.
#include "sql/types/datetime.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

// One side of OVERLAPS: NULL ends are unknown.
struct Period {
  Datum start;
  Datum end;
};

using Adder = StatusOr<int64_t> (*)(const EvalContext&, int64_t, const Interval&);

// The end may be given as an interval from the start.
template <Adder kAdd>
StatusOr<Period> PeriodOf(const EvalContext& context, const Datum& start, const Datum& end) {
  Period period{start, end};
  if (end.kind() == Datum::Kind::kInterval) {
    period.end = Datum();
    if (!start.is_null()) {
      ASSIGN_OR_RETURN(const int64_t sum, kAdd(context, start.as_int(), end.as_interval()));
      period.end = Datum::Int(sum);
    }
  }
  if (period.start.is_null() ||
      (!period.end.is_null() && period.end.as_int() < period.start.as_int())) {
    std::swap(period.start, period.end);
  }
  return period;
}

template <Adder kAdd>
Status Overlaps(EvalContext& context, Args a, Datum* out) {
  ASSIGN_OR_RETURN(Period first, PeriodOf<kAdd>(context, a[0], a[1]));
  ASSIGN_OR_RETURN(Period second, PeriodOf<kAdd>(context, a[2], a[3]));
  *out = Datum();
  if (first.start.is_null() || second.start.is_null()) return OkStatus();
  if (first.start.as_int() == second.start.as_int()) {
    if (!first.end.is_null() && !second.end.is_null()) *out = Datum::Bool(true);
    return OkStatus();
  }
  if (first.start.as_int() > second.start.as_int()) std::swap(first, second);
  if (first.end.is_null()) return OkStatus();
  if (second.start.as_int() < first.end.as_int()) {
    *out = Datum::Bool(true);
  } else if (!second.end.is_null()) {
    *out = Datum::Bool(false);
  }
  return OkStatus();
}

StatusOr<int64_t> AddLocal(const EvalContext&, int64_t t, const Interval& i) {
  return AddInterval(t, i);
}
StatusOr<int64_t> AddZoned(const EvalContext& c, int64_t t, const Interval& i) {
  return AddIntervalInZone(t, i, *c.format.time_zone);
}
StatusOr<int64_t> AddToTime(const EvalContext&, int64_t t, const Interval& i) {
  return (t + i.micros % kMicrosPerDay + kMicrosPerDay) % kMicrosPerDay;
}

Status DateBin(EvalContext&, Args a, Datum* out) {
  const Interval stride = a[0].as_interval();
  const int64_t t = a[1].as_int();
  const int64_t origin = a[2].as_int();
  const auto refuse = [](std::string_view message) {
    return Status(Code::kOutOfRange, "22008", message);
  };
  *out = a[1];
  if (!IsFiniteTimestamp(t)) return OkStatus();
  if (!IsFiniteTimestamp(origin)) return refuse("origin out of range");
  if (stride.months != 0) {
    return Status(Code::kUnimplemented, "0A000",
                  "timestamps cannot be binned into intervals containing months or years");
  }
  int64_t micros = 0;
  int64_t difference = 0;
  if (__builtin_mul_overflow(int64_t(stride.days), kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, stride.micros, &micros)) {
    return refuse("interval out of range");
  }
  if (micros <= 0) return refuse("stride must be greater than zero");
  if (__builtin_sub_overflow(t, origin, &difference)) return refuse("interval out of range");
  const int64_t rest = difference % micros;
  const int64_t bin = origin + (difference - rest);
  int64_t start = bin;
  if (rest < 0 && __builtin_sub_overflow(bin, micros, &start)) return TimestampOutOfRange();
  *out = Datum::Int(start);
  return OkStatus();
}

}  // namespace

void RegisterDateTimeOverlaps(EvaluatorTable& table) {
  table.Add("overlaps_timestamp", &Overlaps<&AddLocal>);  // timestamptz too: instants only
  table.Add("overlaps_time", &Overlaps<&AddToTime>);
  for (const char* symbol : {"sql_overlaps_1305", "sql_overlaps_1306", "sql_overlaps_1307"}) {
    table.Add(symbol, &Overlaps<&AddZoned>);
  }
  for (const char* symbol : {"sql_overlaps_2042", "sql_overlaps_2043", "sql_overlaps_2044"}) {
    table.Add(symbol, &Overlaps<&AddLocal>);
  }
  for (const char* symbol : {"sql_overlaps_1309", "sql_overlaps_1310", "sql_overlaps_1311"}) {
    table.Add(symbol, &Overlaps<&AddToTime>);
  }
  table.Add("timestamp_bin", &DateBin);
  table.Add("timestamptz_bin", &DateBin);
}

}  // namespace orrery::sql
