// Numeric: arbitrary-precision decimals with PostgreSQL's arithmetic: base-10000 digits, a display
// scale, NaN and ±Infinity. Results, rounding and scales are those of PostgreSQL 15
// (src/backend/utils/adt/numeric.c describes the rules). A Numeric is a plain value: copyable,
// comparable, no sharing.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"

namespace orrery::sql {

// value = sign · Σ digits[i] · 10000^(weight − i). Invariants: no leading or trailing zero digit;
// zero has no digits, weight 0, positive sign; digits and display scale are within numeric's
// limits.
class Numeric {
 public:
  enum class Sign : uint8_t { kPositive, kNegative, kNan, kPositiveInfinity, kNegativeInfinity };
  static constexpr int kScaleMax = 16383;  // display scale

  Numeric() = default;  // 0
  static Numeric FromInt(int64_t value);
  static Numeric Nan() { return Special(Sign::kNan); }
  static Numeric Infinity(Sign sign = Sign::kPositiveInfinity) { return Special(sign); }
  // Shortest-digits conversions of PostgreSQL: 15 significant digits of a float8, 6 of a float4.
  static Numeric FromDouble(double value);
  static Numeric FromFloat(float value);
  // numeric_in: 22P02 `invalid input syntax for type numeric: "x"`, 22003 beyond the limits.
  static StatusOr<Numeric> Parse(std::string_view text);
  // value × 10^−scale, exactly; the display scale is `scale`.
  static Numeric FromScaledInt(int64_t value, int scale);
  // From base-10000 digits, not necessarily normalised, each 0…9999.
  static Numeric FromDigits(bool negative, int weight, int display_scale,
                            std::vector<int16_t> digits);

  // The packed form of docs/formats/rows.md: what a Datum and a row hold. Unpack requires a form
  // that IsValidPacked.
  static Numeric Unpack(std::string_view packed);
  static bool IsValidPacked(std::string_view packed);
  std::string Pack() const;
  static Numeric FromDatum(const Datum& d) { return Unpack(d.as_packed_numeric()); }
  Datum ToDatum() const { return Datum::PackedNumeric(Pack()); }

  std::string ToString() const;
  bool is_nan() const { return sign_ == Sign::kNan; }
  bool is_infinite() const {
    return sign_ == Sign::kPositiveInfinity || sign_ == Sign::kNegativeInfinity;
  }
  bool is_special() const { return sign_ >= Sign::kNan; }
  bool is_zero() const { return !is_special() && digits_.empty(); }
  bool is_integral() const;
  Sign sign() const { return sign_; }
  int display_scale() const { return dscale_; }
  int weight() const { return weight_; }
  const std::vector<int16_t>& digits() const { return digits_; }
  // −1, 0, 1; NaN counts as 1.
  int Signum() const;
  // Digits after the point that are needed: min_scale().
  int MinScale() const;

  // 22003 `value overflows numeric format` where PostgreSQL has it; division by zero is 22012.
  static StatusOr<Numeric> Add(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Subtract(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Multiply(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Divide(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> DivideTruncate(const Numeric& a, const Numeric& b);  // div()
  static StatusOr<Numeric> Modulo(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Power(const Numeric& base, const Numeric& exponent);
  static StatusOr<Numeric> Sqrt(const Numeric& a);
  static Numeric SqrtAtScale(const Numeric& a, int scale);  // of a finite a >= 0
  static StatusOr<Numeric> Exp(const Numeric& a);
  static StatusOr<Numeric> Ln(const Numeric& a);
  static StatusOr<Numeric> Log(const Numeric& base, const Numeric& a);
  static StatusOr<Numeric> Gcd(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Lcm(const Numeric& a, const Numeric& b);
  static StatusOr<Numeric> Factorial(int64_t n);
  Numeric Negated() const;
  Numeric Abs() const;
  Numeric Ceil() const;
  Numeric Floor() const;
  // Half away from zero at `scale` digits after the point (negative: before it).
  Numeric Round(int scale) const;
  Numeric Truncate(int scale) const;
  Numeric WithScale(int display_scale) const;  // display only; never drops digits that matter
  Numeric TrimScale() const { return WithScale(MinScale()); }
  // Rounds to numeric(p, s) of a typmod; 22003 `numeric field overflow` with PostgreSQL's detail.
  StatusOr<Numeric> ApplyTypmod(int32_t typmod) const;

  // Rounds half away from zero; 22003 `<type> out of range` and 0A000 for NaN and infinity,
  // PostgreSQL's texts.
  StatusOr<int64_t> ToInt64(std::string_view type_name = "bigint") const;
  double ToDouble() const;

  friend std::strong_ordering operator<=>(const Numeric& a, const Numeric& b);
  friend bool operator==(const Numeric& a, const Numeric& b) { return (a <=> b) == 0; }

 private:
  friend class NumericMath;  // square roots, logarithms, powers (numeric_math.cc)
  enum class Rounding : uint8_t { kNearest, kTowardZero };
  // Without the limits that SQL's functions put on the scale. b is neither zero nor special.
  static Numeric DivideToScale(const Numeric& a, const Numeric& b, int scale, Rounding rounding);
  Numeric RoundedTo(int scale) const;
  Numeric TruncatedTo(int scale) const;
  static Numeric Normalised(Numeric n);
  static Numeric Special(Sign sign) {
    Numeric n;
    n.sign_ = sign;
    return n;
  }

  Sign sign_ = Sign::kPositive;
  int32_t weight_ = 0;
  int32_t dscale_ = 0;
  std::vector<int16_t> digits_;
};

}  // namespace orrery::sql
