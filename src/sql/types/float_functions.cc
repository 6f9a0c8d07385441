// Functions and operators of float4 and float8: PostgreSQL documentation, section 9.3. Results that overflow or
// underflow although their arguments did not are errors (22003), as in PostgreSQL.
#include <cmath>
#include <numbers>

#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

Status Overflow() {
  return Status(Code::kOutOfRange, "22003", "value out of range: overflow");
}
Status Underflow() {
  return Status(Code::kOutOfRange, "22003", "value out of range: underflow");
}
Status InputOutOfRange() { return Status(Code::kOutOfRange, "22003", "input is out of range"); }

// How to round: a float4 operation rounds to float.
template <class F>
double Rounded(double v) {
  return double(F(v));
}

template <class F>
Status Plus(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float(), y = a[1].as_float();
  const double r = Rounded<F>(x + y);
  if (std::isinf(r) && !std::isinf(x) && !std::isinf(y)) return Overflow();
  *out = Datum::Float(r);
  return OkStatus();
}
template <class F>
Status Minus(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float(), y = a[1].as_float();
  const double r = Rounded<F>(x - y);
  if (std::isinf(r) && !std::isinf(x) && !std::isinf(y)) return Overflow();
  *out = Datum::Float(r);
  return OkStatus();
}
template <class F>
Status Times(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float(), y = a[1].as_float();
  const double r = Rounded<F>(x * y);
  if (std::isinf(r) && !std::isinf(x) && !std::isinf(y)) return Overflow();
  if (r == 0 && x != 0 && y != 0) return Underflow();
  *out = Datum::Float(r);
  return OkStatus();
}
template <class F>
Status Divide(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float(), y = a[1].as_float();
  if (y == 0 && !std::isnan(x)) return DivisionByZero();
  const double r = Rounded<F>(x / y);
  if (std::isinf(r) && !std::isinf(x)) return Overflow();
  if (r == 0 && x != 0 && !std::isinf(y)) return Underflow();
  *out = Datum::Float(r);
  return OkStatus();
}

template <class F>
void AddArithmetic(EvaluatorTable& table, const std::string& prefix) {
  table.Add(prefix + "pl", &Plus<F>);
  table.Add(prefix + "mi", &Minus<F>);
  table.Add(prefix + "mul", &Times<F>);
  table.Add(prefix + "div", &Divide<F>);
  table.AddComparisons<&CompareAs<oid::kFloat8>>(prefix);
}

using Math = double (*)(double);
// kFinite: arguments that give infinity from a finite one are errors.
template <Math kFunction>
Status Apply(EvalContext&, Args a, Datum* out) {
  *out = Datum::Float(kFunction(a[0].as_float()));
  return OkStatus();
}
template <Math kFunction>
Status Trigonometric(EvalContext&, Args a, Datum* out) {
  if (std::isinf(a[0].as_float())) return InputOutOfRange();
  const double r = kFunction(a[0].as_float());
  if (std::isinf(r)) return Overflow();
  *out = Datum::Float(r);
  return OkStatus();
}
template <Math kFunction>
Status InverseTrigonometric(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float();
  if (x < -1 || x > 1) return InputOutOfRange();
  *out = Datum::Float(kFunction(x));
  return OkStatus();
}
template <Math kFunction>
Status Logarithm(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float();
  const auto bad = [](std::string_view what) {
    return Status(Code::kInvalidArgument, "2201E",
                  "cannot take logarithm of " + std::string(what));
  };
  if (x == 0) return bad("zero");
  if (x < 0) return bad("a negative number");
  *out = Datum::Float(kFunction(x));
  return OkStatus();
}

double Same(double v) { return v; }
double Negative(double v) { return -v; }
double Sign(double v) { return v > 0 ? 1 : v < 0 ? -1 : 0; }
double Cotangent(double v) { return 1 / std::tan(v); }
double ToDegrees(double v) { return v / (std::numbers::pi / 180.0); }
double ToRadians(double v) { return v * (std::numbers::pi / 180.0); }

Status Sqrt(EvalContext&, Args a, Datum* out) {
  if (a[0].as_float() < 0) {
    return Status(Code::kInvalidArgument, "2201F",
                  "cannot take square root of a negative number");
  }
  *out = Datum::Float(std::sqrt(a[0].as_float()));
  return OkStatus();
}

Status Power(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float(), y = a[1].as_float();
  const auto bad = [](std::string_view message) {
    return Status(Code::kInvalidArgument, "2201F", message);
  };
  if (!std::isnan(x) && !std::isnan(y)) {
    if (x == 0 && y < 0) return bad("zero raised to a negative power is undefined");
    if (x < 0 && std::floor(y) != y) {
      return bad("a negative number raised to a non-integer power yields a complex result");
    }
  }
  const double r = std::pow(x, y);
  const bool finite = std::isfinite(x) && std::isfinite(y);
  if (finite && std::isinf(r)) return Overflow();
  if (finite && r == 0 && x != 0) return Underflow();
  *out = Datum::Float(r);
  return OkStatus();
}

Status Exp(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float();
  const double r = std::exp(x);
  if (std::isinf(r) && !std::isinf(x)) return Overflow();
  if (r == 0 && !std::isinf(x)) return Underflow();
  *out = Datum::Float(r);
  return OkStatus();
}

void AddFunctions(EvaluatorTable& table) {
  for (const char* prefix : {"float4", "float8"}) {
    const std::string p(prefix);
    table.Add(p + "abs", &Apply<std::fabs>);
    table.Add(p + "um", &Apply<Negative>);
    table.Add(p + "up", &Apply<Same>);
    table.AddLargerSmaller<&CompareAs<oid::kFloat8>>(p);
  }
  table.Add("dceil", &Apply<std::ceil>);
  table.Add("dfloor", &Apply<std::floor>);
  table.Add("dround", &Apply<std::nearbyint>);
  table.Add("dtrunc", &Apply<std::trunc>);
  table.Add("dsign", &Apply<Sign>);
  table.Add("dcbrt", &Apply<std::cbrt>);
  table.Add("degrees", &Apply<ToDegrees>);
  table.Add("radians", &Apply<ToRadians>);
  table.Add("dsqrt", &Sqrt);
  table.Add("dpow", &Power);
  table.Add("dexp", &Exp);
  table.Add("dlog1", &Logarithm<std::log>);
  table.Add("dlog10", &Logarithm<std::log10>);
  table.Add("dsin", &Trigonometric<std::sin>);
  table.Add("dcos", &Trigonometric<std::cos>);
  table.Add("dtan", &Trigonometric<std::tan>);
  table.Add("dcot", &Trigonometric<Cotangent>);
  table.Add("dasin", &InverseTrigonometric<std::asin>);
  table.Add("dacos", &InverseTrigonometric<std::acos>);
  table.Add("datan", &Apply<std::atan>);
  table.Add("dsinh", &Apply<std::sinh>);
  table.Add("dcosh", &Apply<std::cosh>);
  table.Add("dtanh", &Apply<std::tanh>);
  table.Add("dasinh", &Apply<std::asinh>);
  table.Add("datan2", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Float(std::atan2(a[0].as_float(), a[1].as_float()));
    return OkStatus();
  });
  table.Add("dpi", [](EvalContext&, Args, Datum* out) -> Status {
    *out = Datum::Float(std::numbers::pi);
    return OkStatus();
  });
  table.Add("ftod", &Apply<Same>);
  table.Add("dtof", [](EvalContext&, Args a, Datum* out) -> Status {
    const double x = a[0].as_float();
    const auto r = float(x);
    if (std::isinf(r) && !std::isinf(x)) return Overflow();
    if (r == 0 && x != 0) return Underflow();
    *out = Datum::Float(double(r));
    return OkStatus();
  });
}

}  // namespace

void RegisterFloatFunctions(EvaluatorTable& table) {
  AddArithmetic<float>(table, "float4");
  for (const char* prefix : {"float8", "float48", "float84"}) AddArithmetic<double>(table, prefix);
  AddFunctions(table);
  table.Add("drandom", [](EvalContext& c, Args, Datum* out) -> Status {
    if (c.volatile_source == nullptr) return InternalError("random: no source");
    *out = Datum::Float(std::ldexp(double(c.volatile_source->NextRandom() >> 11), -53));
    return OkStatus();
  });
  table.Add("setseed", [](EvalContext& c, Args a, Datum* out) -> Status {
    const double seed = a[0].as_float();
    if (!(seed >= -1 && seed <= 1)) {
      return InvalidParameter("setseed parameter out of range: must be between -1 and 1");
    }
    if (c.volatile_source == nullptr) return InternalError("setseed: no source");
    c.volatile_source->SeedRandom(seed);
    *out = Datum::Bytes("");
    return OkStatus();
  });
}

}  // namespace orrery::sql
