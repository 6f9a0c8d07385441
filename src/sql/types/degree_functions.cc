// Trigonometry in degrees, inverse hyperbolic functions and width_bucket of float8: PostgreSQL
// documentation, section 9.3. Multiples of 30 and 45 degrees give exact results, because values
// are scaled by those computed for the same angles (float.c of PostgreSQL).
#include <cmath>
#include <numbers>

#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

constexpr double kRadians = std::numbers::pi / 180.0;

Status InputOutOfRange() { return Status(Code::kOutOfRange, "22003", "input is out of range"); }

double SinTo30(double x) { return std::sin(x * kRadians) / std::sin(30 * kRadians) / 2.0; }
double CosTo60(double x) {
  return 1.0 - (1.0 - std::cos(x * kRadians)) / (1.0 - std::cos(60 * kRadians)) / 2.0;
}
// Of 0…90 degrees.
double SinTo90(double x) { return x <= 30 ? SinTo30(x) : CosTo60(90 - x); }
double CosTo90(double x) { return x <= 60 ? CosTo60(x) : SinTo30(90 - x); }
// Of 0…1.
double ArcSinTo1(double x) {
  return x <= 0.5 ? std::asin(x) / std::asin(0.5) * 30.0
                  : 90.0 - std::acos(x) / std::acos(0.5) * 60.0;
}
double ArcCosTo1(double x) {
  return x <= 0.5 ? 90.0 - std::asin(x) / std::asin(0.5) * 30.0
                  : std::acos(x) / std::acos(0.5) * 60.0;
}

// An angle brought to 0…90 degrees; the signs are those to apply to its sine and cosine.
struct Quadrant {
  double angle;
  int sine_sign = 1;
  int cosine_sign = 1;
};
Quadrant Reduce(double x) {
  Quadrant q{std::fmod(x, 360.0)};
  if (q.angle < 0) {
    q.angle = -q.angle;
    q.sine_sign = -1;
  }
  if (q.angle > 180) {
    q.angle = 360 - q.angle;
    q.sine_sign = -q.sine_sign;
  }
  if (q.angle > 90) {
    q.angle = 180 - q.angle;
    q.cosine_sign = -1;
  }
  return q;
}

double Sind(double x) {
  const Quadrant q = Reduce(x);
  return q.sine_sign * SinTo90(q.angle);
}
double Cosd(double x) {
  const Quadrant q = Reduce(x);
  return q.cosine_sign * CosTo90(q.angle);
}
double Tand(double x) {
  const Quadrant q = Reduce(x);
  const double unit = SinTo90(45) / CosTo90(45);
  const double r = q.sine_sign * q.cosine_sign * (SinTo90(q.angle) / CosTo90(q.angle) / unit);
  return r == 0 ? 0.0 : r;  // not −0
}
double Cotd(double x) {
  const Quadrant q = Reduce(x);
  const double unit = CosTo90(45) / SinTo90(45);
  const double r = q.sine_sign * q.cosine_sign * (CosTo90(q.angle) / SinTo90(q.angle) / unit);
  return r == 0 ? 0.0 : r;
}
double Asind(double x) { return x >= 0 ? ArcSinTo1(x) : -ArcSinTo1(-x); }
double Acosd(double x) { return x >= 0 ? ArcCosTo1(x) : 90.0 + ArcSinTo1(-x); }
double Atand(double x) { return std::atan(x) / std::atan(1.0) * 45.0; }

enum class Domain { kFinite, kUnit, kFromOne, kAll };
template <double (*kFunction)(double), Domain kDomain>
Status Apply(EvalContext&, Args a, Datum* out) {
  const double x = a[0].as_float();
  if (std::isnan(x)) {
    *out = a[0];
    return OkStatus();
  }
  if ((kDomain == Domain::kFinite && std::isinf(x)) ||
      (kDomain == Domain::kUnit && std::fabs(x) > 1) || (kDomain == Domain::kFromOne && x < 1)) {
    return InputOutOfRange();
  }
  *out = Datum::Float(kFunction(x));
  return OkStatus();
}

Status Atan2d(EvalContext&, Args a, Datum* out) {
  *out = Datum::Float(std::atan2(a[0].as_float(), a[1].as_float()) / std::atan(1.0) * 45.0);
  return OkStatus();
}

// bucket of operand in [low, high) cut into count parts; 0 below and count + 1 above.
Status WidthBucket(EvalContext&, Args a, Datum* out) {
  const double operand = a[0].as_float(), low = a[1].as_float(), high = a[2].as_float();
  const int64_t count = a[3].as_int();
  const auto refuse = [](std::string_view message) {
    return Status(Code::kInvalidArgument, "2201G", message);
  };
  if (count <= 0) return refuse("count must be greater than zero");
  if (std::isnan(operand) || std::isnan(low) || std::isnan(high)) {
    return refuse("operand, lower bound, and upper bound cannot be NaN");
  }
  if (std::isinf(low) || std::isinf(high)) return refuse("lower and upper bounds must be finite");
  if (low == high) return refuse("lower bound cannot equal upper bound");
  const bool rising = low < high;
  int64_t bucket = 0;
  if (rising ? operand < low : operand > low) {
    bucket = 0;
  } else if (rising ? operand >= high : operand <= high) {
    bucket = count + 1;
    if (bucket > INT32_MAX) return OutOfRange("integer");
  } else {
    const double part = std::isinf(high - low) ? (operand / 2 - low / 2) / (high / 2 - low / 2)
                                               : (operand - low) / (high - low);
    // The quotient may round to 1, which would be a bucket too many.
    bucket = std::min(int64_t(double(count) * part), count - 1) + 1;
  }
  *out = Datum::Int(bucket);
  return OkStatus();
}

}  // namespace

void RegisterDegreeFunctions(EvaluatorTable& table) {
  table.Add("dsind", &Apply<&Sind, Domain::kFinite>);
  table.Add("dcosd", &Apply<&Cosd, Domain::kFinite>);
  table.Add("dtand", &Apply<&Tand, Domain::kFinite>);
  table.Add("dcotd", &Apply<&Cotd, Domain::kFinite>);
  table.Add("dasind", &Apply<&Asind, Domain::kUnit>);
  table.Add("dacosd", &Apply<&Acosd, Domain::kUnit>);
  table.Add("datand", &Apply<&Atand, Domain::kAll>);
  table.Add("datan2d", &Atan2d);
  table.Add("dacosh", &Apply<&std::acosh, Domain::kFromOne>);
  table.Add("datanh", &Apply<&std::atanh, Domain::kUnit>);
  table.Add("width_bucket_float8", &WidthBucket);
}

}  // namespace orrery::sql
