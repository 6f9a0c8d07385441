// Square root, exponential, logarithm and power of numerics. The result scales are PostgreSQL's
// (numeric_sqrt, numeric_exp, ln_var, log_var, power_var); digits are computed with guard digits
// and rounded once.
#include <algorithm>
#include <cmath>
#include <limits>

#include "orrery/sql/types/numeric.h"
#include "sql/types/errors.h"

namespace orrery::sql {

namespace {

constexpr int kBaseDigits = 4;
constexpr int kBase = 10000;
constexpr int kWeightMax = 32767;
constexpr int kSignificantMin = 16;    // NUMERIC_MIN_SIG_DIGITS
constexpr int kDisplayMax = 1000;      // NUMERIC_MAX_DISPLAY_SCALE
constexpr int kResultScaleMax = 2000;  // NUMERIC_MAX_RESULT_SCALE
constexpr double kLog10OfE = 0.434294481903252;
constexpr int kGuardDigits = 10;

Status Overflow() { return Status(Code::kOutOfRange, "22003", "value overflows numeric format"); }
Status BadLogarithm(std::string_view what) {
  return Status(Code::kInvalidArgument, "2201E", "cannot take logarithm of " + std::string(what));
}
Status BadPower(std::string_view message) {
  return Status(Code::kInvalidArgument, "2201F", message);
}

int DisplayScale(int wanted, std::initializer_list<int> scales) {
  for (const int s : scales) wanted = std::max(wanted, s);
  return std::clamp(wanted, 0, kDisplayMax);
}

}  // namespace

class NumericMath {
 public:
  static Numeric Mul(const Numeric& a, const Numeric& b, int scale) {
    auto product = Numeric::Multiply(a, b);
    return product.ok() ? product->RoundedTo(scale) : Numeric::Infinity();
  }
  static Numeric Div(const Numeric& a, const Numeric& b, int scale) {
    return Numeric::DivideToScale(a, b, scale, Numeric::Rounding::kNearest);
  }
  static Numeric Sum(const Numeric& a, const Numeric& b) { return *Numeric::Add(a, b); }
  static Numeric Difference(const Numeric& a, const Numeric& b) { return *Numeric::Subtract(a, b); }
  static Numeric Rounded(const Numeric& a, int scale) { return a.RoundedTo(scale); }

  // Newton's iteration from a double's estimate.
  static Numeric SqrtToScale(const Numeric& a, int scale) {
    if (a.is_zero()) return Numeric::FromDigits(false, 0, scale, {});
    // a = m · 10000^(2k): start from sqrt(m) in doubles.
    const int k = a.weight() >= 0 ? a.weight() / 2 : -((1 - a.weight()) / 2);
    Numeric m = a;
    m.weight_ -= 2 * k;
    m.dscale_ = std::max(m.MinScale(), 0);
    Numeric x = Numeric::FromDouble(std::sqrt(m.ToDouble()));
    x.weight_ += k;
    x.dscale_ = x.MinScale();
    const int work = scale + kGuardDigits;
    const Numeric half = Numeric::FromScaledInt(5, 1);
    for (int i = 0; i < 64; ++i) {
      const Numeric next = Mul(Sum(x, Div(a, x, work)), half, work);
      const Numeric change = Difference(next, x).Abs();
      x = next;
      if (change.is_zero() || change.weight() * kBaseDigits < -(work / 2 + kBaseDigits)) break;
    }
    // One more step doubles the digits that are right.
    return Mul(Sum(x, Div(a, x, work)), half, work).RoundedTo(scale);
  }

  // e^x: Taylor's series at x / 2^n, then n squarings.
  static StatusOr<Numeric> ExpToScale(const Numeric& x, int scale) {
    const double estimate = x.ToDouble();
    if (std::fabs(estimate) >= kResultScaleMax * 3) {
      if (estimate > 0) return Overflow();
      return Numeric::FromDigits(false, 0, scale, {});
    }
    const int weight = int(estimate * kLog10OfE);  // decimal weight of the result
    if (weight < 0 && -weight > scale + 2) return Numeric::FromDigits(false, 0, scale, {});
    int halvings = 0;
    for (double v = std::fabs(estimate); v > 0.01; v /= 2) ++halvings;
    const int significant = std::max(1 + weight + scale, 1) + 8 + int(halvings * 0.301) + 2;
    const int work = significant + kGuardDigits;
    Numeric reduced = x;
    if (halvings > 0) {
      reduced = Div(x, Numeric::FromInt(int64_t(1) << halvings), work + std::max(0, weight));
    }
    Numeric sum = Sum(Numeric::FromInt(1), reduced);
    Numeric term = reduced;
    for (int n = 2; !term.is_zero(); ++n) {
      term = Div(Mul(term, reduced, work), Numeric::FromInt(n), work);
      sum = Sum(sum, term);
    }
    for (; halvings > 0; --halvings) {
      sum = Mul(sum, sum, std::max(0, significant + 8 - 2 * sum.weight() * kBaseDigits));
    }
    return sum.RoundedTo(scale);
  }

  // ln: square roots bring x near 1, then 2·atanh((x − 1) / (x + 1)).
  static Numeric LnToScale(const Numeric& x, int scale) {
    const Numeric one = Numeric::FromInt(1);
    Numeric y = x;
    int roots = 0;
    const Numeric low = Numeric::FromScaledInt(9, 1);
    const Numeric high = Numeric::FromScaledInt(11, 1);
    const int work = scale + kGuardDigits + 12;
    while (y <= low || y >= high) {
      const int magnitude = y.weight() * kBaseDigits / 2;
      y = SqrtToScale(y, std::max(0, work + 8 - magnitude));
      ++roots;
    }
    const Numeric z = Div(Difference(y, one), Sum(y, one), work + 8);
    const Numeric square = Mul(z, z, work + 8);
    Numeric sum = z;
    Numeric power = z;
    for (int n = 3; !power.is_zero(); n += 2) {
      power = Mul(power, square, work + 8);
      sum = Sum(sum, Div(power, Numeric::FromInt(n), work + 8));
    }
    const Numeric factor = Numeric::FromInt(int64_t(2) << roots);
    return Mul(sum, factor, scale);
  }

  static int LnWeight(const Numeric& x) {
    const Numeric low = Numeric::FromScaledInt(9, 1);
    const Numeric high = Numeric::FromScaledInt(11, 1);
    if (x >= low && x <= high) {
      const Numeric d = Difference(x, Numeric::FromInt(1));
      return d.is_zero() ? 0 : d.weight() * kBaseDigits + int(std::log10(d.digits()[0]));
    }
    if (x.is_zero()) return 0;
    int digits = x.digits()[0];
    int weight = x.weight() * kBaseDigits;
    if (x.digits().size() > 1) {
      digits = digits * kBase + x.digits()[1];
      weight -= kBaseDigits;
    }
    return int(std::log10(std::fabs(std::log(double(digits)) + weight * 2.302585092994046)));
  }

  static StatusOr<Numeric> PowerOfInt(const Numeric& base, int exponent);
  static StatusOr<Numeric> PowerFinite(const Numeric& base, const Numeric& exponent);
  static StatusOr<Numeric> PowerBySquaring(const Numeric& base, int exponent, int scale,
                                           double weight);
};

StatusOr<Numeric> Numeric::Sqrt(const Numeric& a) {
  if (a.is_nan() || a.sign_ == Sign::kPositiveInfinity) return a;
  if (a.Signum() < 0) return BadPower("cannot take square root of a negative number");
  const int weight = a.is_zero() ? 0 : a.weight_;
  const int result_weight = (weight + 1) * kBaseDigits / 2 - 1;
  const int scale = DisplayScale(kSignificantMin - result_weight, {a.dscale_});
  return NumericMath::SqrtToScale(a, scale);
}

Numeric Numeric::SqrtAtScale(const Numeric& a, int scale) {
  return NumericMath::SqrtToScale(a, scale);
}

StatusOr<Numeric> Numeric::Exp(const Numeric& a) {
  if (a.sign_ == Sign::kNegativeInfinity) return Numeric();
  if (a.is_special()) return a;
  const double weight =
      std::clamp(a.ToDouble() * kLog10OfE, -double(kResultScaleMax), double(kResultScaleMax));
  return NumericMath::ExpToScale(a, DisplayScale(kSignificantMin - int(weight), {a.dscale_}));
}

StatusOr<Numeric> Numeric::Ln(const Numeric& a) {
  if (a.is_nan()) return a;
  if (a.is_zero()) return BadLogarithm("zero");
  if (a.Signum() < 0) return BadLogarithm("a negative number");
  if (a.is_infinite()) return a;
  const int scale = DisplayScale(kSignificantMin - NumericMath::LnWeight(a), {a.dscale_});
  return NumericMath::LnToScale(a, scale);
}

StatusOr<Numeric> Numeric::Log(const Numeric& base, const Numeric& a) {
  if (base.is_nan() || a.is_nan()) return Nan();
  for (const Numeric* n : {&base, &a}) {
    if (n->Signum() < 0) return BadLogarithm("a negative number");
    if (n->is_zero()) return BadLogarithm("zero");
  }
  if (base.is_infinite()) return a.is_infinite() ? Nan() : Numeric();
  if (a.is_infinite()) return Infinity();
  const int base_weight = NumericMath::LnWeight(base);
  const int a_weight = NumericMath::LnWeight(a);
  const int weight = a_weight - base_weight;
  const int scale = DisplayScale(kSignificantMin - weight, {base.dscale_, a.dscale_});
  const Numeric ln_base =
      NumericMath::LnToScale(base, std::max(0, scale + weight - base_weight + 8));
  const Numeric ln_a = NumericMath::LnToScale(a, std::max(0, scale + weight - a_weight + 8));
  if (ln_base.is_zero()) return DivisionByZero();
  return NumericMath::Div(ln_a, ln_base, scale);
}

StatusOr<Numeric> NumericMath::PowerBySquaring(const Numeric& base, int exponent, int scale,
                                               double weight) {
  const int significant = 1 + scale + int(weight) + int(std::log(std::fabs(double(exponent)))) + 8;
  Numeric factor = base;
  auto mask = unsigned(std::abs(int64_t(exponent)));
  Numeric result = mask & 1 ? base : Numeric::FromInt(1);
  while ((mask >>= 1) > 0) {
    const int square_scale = std::max(
        0, std::min(significant - 2 * factor.weight() * kBaseDigits, 2 * factor.display_scale()));
    factor = Mul(factor, factor, square_scale);
    if (!factor.is_special() && mask & 1) {
      const int product_scale =
          std::max(0, std::min(significant - (factor.weight() + result.weight()) * kBaseDigits,
                               factor.display_scale() + result.display_scale()));
      result = Mul(factor, result, product_scale);
    }
    if (factor.is_special() || result.is_special() || factor.weight() > kWeightMax ||
        result.weight() > kWeightMax) {
      if (exponent > 0) return Overflow();
      return Numeric::FromDigits(false, 0, scale, {});
    }
  }
  if (exponent < 0) {
    if (result.is_zero()) return Overflow();
    return Div(Numeric::FromInt(1), result, scale);
  }
  return result.RoundedTo(scale);
}

StatusOr<Numeric> NumericMath::PowerOfInt(const Numeric& base, int exponent) {
  double weight = 0;  // approximate decimal weight of the result
  if (!base.is_zero()) {
    double leading = base.digits()[0];
    int shift = base.weight() * kBaseDigits;
    for (size_t i = 1; i < base.digits().size() && i * kBaseDigits < 16; ++i) {
      leading = leading * kBase + base.digits()[i];
      shift -= kBaseDigits;
    }
    weight = exponent * (std::log10(leading) + shift);
  }
  if (weight > double(kWeightMax + 1) * kBaseDigits) return Overflow();
  if (weight + 1 < -kDisplayMax) return Numeric::FromDigits(false, 0, kDisplayMax, {});
  const int scale = DisplayScale(kSignificantMin, {base.display_scale()});
  switch (exponent) {
    case 0:
      return Numeric::FromInt(1).WithScale(scale);
    case 1:
      return base.RoundedTo(scale);
    case -1:
      if (base.is_zero()) return DivisionByZero();
      return Div(Numeric::FromInt(1), base, scale);
    case 2:
      return Mul(base, base, scale);
    default:
      break;
  }
  if (base.is_zero()) {
    if (exponent < 0) return DivisionByZero();
    return Numeric::FromDigits(false, 0, scale, {});
  }
  return PowerBySquaring(base, exponent, scale, weight);
}

StatusOr<Numeric> NumericMath::PowerFinite(const Numeric& base, const Numeric& exponent) {
  if (exponent.is_integral()) {
    const auto whole = exponent.ToInt64();
    if (whole.ok() && *whole == int32_t(*whole)) {
      return PowerOfInt(base, int(*whole));
    }
  }
  if (base.is_zero()) return Numeric::FromDigits(false, 0, kSignificantMin, {});
  const Numeric magnitude = base.Abs();
  bool negative = false;
  if (base.Signum() < 0) {  // the exponent is an integer: numeric_power has checked
    const Numeric half = Mul(exponent, Numeric::FromScaledInt(5, 1), 1);
    negative = !half.is_integral();
  }
  const int ln_weight = LnWeight(magnitude);
  int work = std::clamp(8 - ln_weight, 0, kDisplayMax);
  const double rough = Mul(LnToScale(magnitude, work), exponent, work).ToDouble();
  if (std::fabs(rough) > kResultScaleMax * 3.01) {
    if (rough > 0) return Overflow();
    return Numeric::FromDigits(false, 0, kDisplayMax, {});
  }
  const double weight = rough * kLog10OfE;
  const int scale =
      DisplayScale(kSignificantMin - int(weight), {base.display_scale(), exponent.display_scale()});
  work = std::max(0, std::max(0, scale + int(weight)) - ln_weight + 8);
  const Numeric log = Mul(LnToScale(magnitude, work), exponent, work);
  ASSIGN_OR_RETURN(const Numeric result, ExpToScale(log, scale));
  return negative ? result.Negated() : result;
}

StatusOr<Numeric> Numeric::Power(const Numeric& base, const Numeric& exponent) {
  const Numeric one = FromInt(1);
  if (base.is_nan()) return exponent.is_zero() ? one : base;
  if (exponent.is_nan()) return base == one ? one : exponent;
  if (base.is_zero() && exponent.Signum() < 0) {
    return BadPower("zero raised to a negative power is undefined");
  }
  if (base.Signum() < 0 && !exponent.is_special() && !exponent.is_integral()) {
    return BadPower("a negative number raised to a non-integer power yields a complex result");
  }
  if (!base.is_special() && !exponent.is_special()) {
    return NumericMath::PowerFinite(base, exponent);
  }
  if (base == one || exponent.is_zero()) return one;
  if (base.is_zero()) return Numeric();  // the exponent is +infinity
  if (exponent.is_infinite()) {
    const auto order = base.Abs() <=> one;
    if (order == 0) return one;
    return (order > 0) == (exponent.Signum() > 0) ? Infinity() : Numeric();
  }
  if (exponent.Signum() < 0) return Numeric();  // the base is ±infinity
  ASSIGN_OR_RETURN(const Numeric parity, Modulo(exponent, FromInt(2)));
  return base.Signum() < 0 && !parity.is_zero() ? Infinity(Sign::kNegativeInfinity) : Infinity();
}

}  // namespace orrery::sql
