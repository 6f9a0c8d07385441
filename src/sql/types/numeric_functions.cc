// Functions and operators of numeric: PostgreSQL documentation, section 9.3.
#include <algorithm>

#include "orrery/sql/types/numeric.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/numeric_packed.h"

namespace orrery::sql {
namespace {

Status Set(StatusOr<Numeric> value, Datum* out) {
  if (!value.ok()) return value.status();
  *out = value->ToDatum();
  return OkStatus();
}

using Binary = StatusOr<Numeric> (*)(const Numeric&, const Numeric&);
template <Binary kFunction>
Status Two(EvalContext&, Args a, Datum* out) {
  return Set(kFunction(Numeric::FromDatum(a[0]), Numeric::FromDatum(a[1])), out);
}
using Unary = StatusOr<Numeric> (*)(const Numeric&);
template <Unary kFunction>
Status One(EvalContext&, Args a, Datum* out) {
  return Set(kFunction(Numeric::FromDatum(a[0])), out);
}
template <Numeric (Numeric::*kMethod)() const>
Status Method(EvalContext&, Args a, Datum* out) {
  *out = (Numeric::FromDatum(a[0]).*kMethod)().ToDatum();
  return OkStatus();
}

template <class T>
Status ToInt(EvalContext&, Args a, Datum* out) {
  constexpr std::string_view kName = sizeof(T) == 2   ? "smallint"
                                     : sizeof(T) == 4 ? "integer"
                                                      : "bigint";
  ASSIGN_OR_RETURN(const int64_t value, Numeric::FromDatum(a[0]).ToInt64(kName));
  if (value != T(value)) return OutOfRange(kName);
  *out = Datum::Int(value);
  return OkStatus();
}

Status ToFloat8(EvalContext&, Args a, Datum* out) {
  const Numeric n = Numeric::FromDatum(a[0]);
  const double value = n.ToDouble();
  if (!n.is_special() && value - value != 0) {
    return Status(Code::kOutOfRange, "22003",
                  "\"" + n.ToString() + "\" is out of range for type double precision");
  }
  *out = Datum::Float(value);
  return OkStatus();
}

Status ToFloat4(EvalContext&, Args a, Datum* out) {
  const Numeric n = Numeric::FromDatum(a[0]);
  const auto value = float(n.ToDouble());
  if (!n.is_special() && (value - value != 0 || (value == 0 && !n.is_zero()))) {
    return Status(Code::kOutOfRange, "22003",
                  "\"" + n.ToString() + "\" is out of range for type real");
  }
  *out = Datum::Float(double(value));
  return OkStatus();
}

// bucket of operand in [low, high) cut into count parts; 0 below and count + 1 above.
Status WidthBucket(EvalContext&, Args a, Datum* out) {
  const auto refuse = [](std::string_view message) {
    return Status(Code::kInvalidArgument, "2201G", message);
  };
  const Numeric operand = Numeric::FromDatum(a[0]);
  const Numeric low = Numeric::FromDatum(a[1]);
  const Numeric high = Numeric::FromDatum(a[2]);
  const int64_t count = a[3].as_int();
  if (count <= 0) return refuse("count must be greater than zero");
  if (operand.is_nan() || low.is_nan() || high.is_nan()) {
    return refuse("operand, lower bound, and upper bound cannot be NaN");
  }
  if (low.is_infinite() || high.is_infinite()) {
    return refuse("lower and upper bounds must be finite");
  }
  if (low == high) return refuse("lower bound cannot equal upper bound");
  const bool rising = low < high;
  if (rising ? operand < low : operand > low) {
    *out = Datum::Int(0);
    return OkStatus();
  }
  if (rising ? operand >= high : operand <= high) {
    if (count == INT32_MAX) return OutOfRange("integer");
    *out = Datum::Int(count + 1);
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const Numeric part, Numeric::Subtract(operand, low));
  ASSIGN_OR_RETURN(const Numeric scaled, Numeric::Multiply(part, Numeric::FromInt(count)));
  ASSIGN_OR_RETURN(const Numeric span, Numeric::Subtract(high, low));
  ASSIGN_OR_RETURN(const Numeric bucket, Numeric::DivideTruncate(scaled, span));
  ASSIGN_OR_RETURN(const int64_t index, bucket.ToInt64("integer"));
  *out = Datum::Int(index + 1);
  return OkStatus();
}

void AddScales(EvaluatorTable& table) {
  table.Add("numeric_round", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromDatum(a[0]).Round(int(a[1].as_int())), out);
  });
  table.Add("sql_round_1708", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromDatum(a[0]).Round(0), out);
  });
  table.Add("numeric_trunc", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromDatum(a[0]).Truncate(std::min(int(a[1].as_int()), 2000)), out);
  });
  table.Add("sql_trunc_1710", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromDatum(a[0]).Truncate(0), out);
  });
  table.Add("numeric_scale", [](EvalContext&, Args a, Datum* out) -> Status {
    const Numeric n = Numeric::FromDatum(a[0]);
    *out = n.is_special() ? Datum() : Datum::Int(n.display_scale());
    return OkStatus();
  });
  table.Add("numeric_min_scale", [](EvalContext&, Args a, Datum* out) -> Status {
    const Numeric n = Numeric::FromDatum(a[0]);
    *out = n.is_special() ? Datum() : Datum::Int(n.MinScale());
    return OkStatus();
  });
  table.Add("numeric_trim_scale", &Method<&Numeric::TrimScale>);
}

void AddPowers(EvaluatorTable& table) {
  table.Add("numeric_sqrt", &One<&Numeric::Sqrt>);
  table.Add("numeric_exp", &One<&Numeric::Exp>);
  table.Add("numeric_ln", &One<&Numeric::Ln>);
  table.Add("numeric_log", &Two<&Numeric::Log>);
  table.Add("numeric_power", &Two<&Numeric::Power>);
  for (const char* symbol : {"sql_log_1741", "sql_log10_1481"}) {
    table.Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      return Set(Numeric::Log(Numeric::FromInt(10), Numeric::FromDatum(a[0])), out);
    });
  }
  table.Add("numeric_fac", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::Factorial(a[0].as_int()), out);
  });
}

}  // namespace

void RegisterNumericFunctions(EvaluatorTable& table) {
  table.AddComparisons<&CompareAs<oid::kNumeric>>("numeric_");
  table.AddLargerSmaller<&CompareAs<oid::kNumeric>>("numeric_");
  table.AddCmp<&CompareAs<oid::kNumeric>>("numeric_cmp");
  table.Add("numeric_add", &Two<&Numeric::Add>);
  table.Add("numeric_sub", &Two<&Numeric::Subtract>);
  table.Add("numeric_mul", &Two<&Numeric::Multiply>);
  table.Add("numeric_div", &Two<&Numeric::Divide>);
  table.Add("numeric_div_trunc", &Two<&Numeric::DivideTruncate>);
  table.Add("numeric_mod", &Two<&Numeric::Modulo>);
  table.Add("numeric_gcd", &Two<&Numeric::Gcd>);
  table.Add("numeric_lcm", &Two<&Numeric::Lcm>);
  table.Add("numeric_uminus", &Method<&Numeric::Negated>);
  table.Add("numeric_uplus", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = a[0];
    return OkStatus();
  });
  table.Add("numeric_abs", &Method<&Numeric::Abs>);
  table.Add("numeric_ceil", &Method<&Numeric::Ceil>);
  table.Add("numeric_floor", &Method<&Numeric::Floor>);
  table.Add("numeric_sign", [](EvalContext&, Args a, Datum* out) -> Status {
    const Numeric n = Numeric::FromDatum(a[0]);
    *out = n.is_nan() ? a[0] : Numeric::FromInt(n.Signum()).ToDatum();
    return OkStatus();
  });
  table.Add("numeric_int2", &ToInt<int16_t>);
  table.Add("numeric_int4", &ToInt<int32_t>);
  table.Add("numeric_int8", &ToInt<int64_t>);
  table.Add("numeric_float8", &ToFloat8);
  table.Add("numeric_float4", &ToFloat4);
  table.Add("float8_numeric", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromDouble(a[0].as_float()), out);
  });
  table.Add("float4_numeric", [](EvalContext&, Args a, Datum* out) -> Status {
    return Set(Numeric::FromFloat(float(a[0].as_float())), out);
  });
  table.Add("width_bucket_numeric", &WidthBucket);
  AddScales(table);
  AddPowers(table);
}

}  // namespace orrery::sql
