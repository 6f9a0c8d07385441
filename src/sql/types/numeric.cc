#include "orrery/sql/types/numeric.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "sql/types/errors.h"
#include "sql/types/numeric_packed.h"
#include "sql/types/scalar_io.h"

namespace orrery::sql {
namespace {

using Digits = std::vector<int16_t>;

constexpr int kBase = 10000;
constexpr int kBaseDigits = 4;
constexpr int kWeightMax = 32767;
constexpr int kRoundScaleMax = 2000;  // PostgreSQL's NUMERIC_MAX_RESULT_SCALE
constexpr int kPowersOfTen[] = {1, 10, 100, 1000, 10000};

Status Overflow() { return Status(Code::kOutOfRange, "22003", "value overflows numeric format"); }

StatusOr<Numeric> Checked(Numeric value) {
  if (value.weight() > kWeightMax || value.display_scale() > Numeric::kScaleMax) return Overflow();
  return value;
}

int DigitAt(const Numeric& n, int position) {
  const int index = n.weight() - position;
  return index >= 0 && index < int(n.digits().size()) ? n.digits()[size_t(index)] : 0;
}
int LowestPosition(const Numeric& n) { return n.weight() - int(n.digits().size()) + 1; }

int CompareMagnitude(const Numeric& a, const Numeric& b) {
  if (a.is_zero() || b.is_zero()) return int(!a.is_zero()) - int(!b.is_zero());
  if (a.weight() != b.weight()) return a.weight() < b.weight() ? -1 : 1;
  const auto order = a.digits() <=> b.digits();  // no trailing zeros: lexicographic is numeric
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

// |a| + |b|, or |a| − |b| where |a| >= |b|.
enum class Combine { kAdd, kSubtract };
Numeric CombineMagnitudes(const Numeric& a, const Numeric& b, Combine how, bool negative) {
  const int scale = std::max(a.display_scale(), b.display_scale());
  if (b.is_zero()) return Numeric::FromDigits(negative, a.weight(), scale, a.digits());
  if (a.is_zero()) return Numeric::FromDigits(negative, b.weight(), scale, b.digits());
  const int high = std::max(a.weight(), b.weight()) + 1;
  const int low = std::min(LowestPosition(a), LowestPosition(b));
  Digits digits(size_t(high - low + 1));
  int carry = 0;
  for (int p = low; p <= high; ++p) {
    const int other = DigitAt(b, p);
    int sum = DigitAt(a, p) + (how == Combine::kAdd ? other : -other) + carry;
    carry = sum >= kBase ? 1 : sum < 0 ? -1 : 0;
    sum -= carry * kBase;
    digits[size_t(high - p)] = int16_t(sum);
  }
  return Numeric::FromDigits(negative, high, scale, std::move(digits));
}

Numeric AddSigned(const Numeric& a, const Numeric& b) {
  const bool a_negative = a.sign() == Numeric::Sign::kNegative;
  const bool b_negative = b.sign() == Numeric::Sign::kNegative;
  if (a_negative == b_negative) return CombineMagnitudes(a, b, Combine::kAdd, a_negative);
  return CompareMagnitude(a, b) >= 0 ? CombineMagnitudes(a, b, Combine::kSubtract, a_negative)
                                     : CombineMagnitudes(b, a, Combine::kSubtract, b_negative);
}

// Result of a binary operation with a NaN or infinite operand, where the signs decide.
Numeric InfinityOf(int signum) {
  return Numeric::Infinity(signum < 0 ? Numeric::Sign::kNegativeInfinity
                                      : Numeric::Sign::kPositiveInfinity);
}

// Quotient digits of |a| / |b| down to `count` base digits, first of weight a.weight − b.weight
// (Knuth, TAOCP 2, 4.3.1 D).
Digits DivideDigits(const Numeric& a, const Numeric& b, int count) {
  const size_t nb = b.digits().size();
  const int scale = kBase / (b.digits()[0] + 1);
  std::vector<int32_t> divisor(nb);
  std::vector<int32_t> rest(size_t(count) + nb + 1);
  int carry = 0;
  for (size_t i = nb; i-- > 0;) {
    const int v = b.digits()[i] * scale + carry;
    divisor[i] = v % kBase;
    carry = v / kBase;
  }
  carry = 0;
  for (size_t i = std::min(a.digits().size(), rest.size() - 1); i-- > 0;) {
    const int v = a.digits()[i] * scale + carry;
    rest[i + 1] = v % kBase;
    carry = v / kBase;
  }
  rest[0] = carry;
  Digits quotient(static_cast<size_t>(count));
  const int second = nb > 1 ? divisor[1] : 0;
  for (size_t j = 0; j < quotient.size(); ++j) {
    const int64_t top = int64_t(rest[j]) * kBase + rest[j + 1];
    int64_t guess = std::min<int64_t>(top / divisor[0], kBase - 1);
    const int64_t third = nb > 1 ? rest[j + 2] : 0;
    while (guess * second > (top - guess * divisor[0]) * kBase + third) --guess;
    int64_t borrow = 0;
    for (size_t i = nb; i-- > 0;) {
      int64_t v = rest[j + i + 1] - guess * divisor[i] + borrow;
      borrow = v >= 0 ? 0 : -((-v + kBase - 1) / kBase);
      rest[j + i + 1] = int32_t(v - borrow * kBase);
    }
    rest[j] += int32_t(borrow);
    if (rest[j] < 0) {
      --guess;
      int32_t up = 0;
      for (size_t i = nb; i-- > 0;) {
        const int32_t v = rest[j + i + 1] + divisor[i] + up;
        rest[j + i + 1] = v % kBase;
        up = v / kBase;
      }
      rest[j] += up;
    }
    quotient[j] = int16_t(guess);
  }
  return quotient;
}

int DivisionScale(const Numeric& a, const Numeric& b) {
  constexpr int kSignificantMin = 16;
  constexpr int kDisplayMax = 1000;
  const int first_a = a.digits().empty() ? 0 : a.digits()[0];
  const int first_b = b.digits().empty() ? 0 : b.digits()[0];
  int weight = (a.digits().empty() ? 0 : a.weight()) - b.weight();
  if (first_a <= first_b) --weight;
  return std::clamp(
      std::max({kSignificantMin - weight * kBaseDigits, a.display_scale(), b.display_scale()}), 0,
      kDisplayMax);
}

}  // namespace

Numeric Numeric::FromDigits(bool negative, int weight, int display_scale,
                            std::vector<int16_t> digits) {
  size_t zeros = 0;
  while (zeros < digits.size() && digits[zeros] == 0) ++zeros;
  digits.erase(digits.begin(), digits.begin() + std::ptrdiff_t(zeros));
  while (!digits.empty() && digits.back() == 0) digits.pop_back();
  Numeric n;
  n.dscale_ = display_scale;
  if (digits.empty()) return n;
  n.sign_ = negative ? Sign::kNegative : Sign::kPositive;
  n.weight_ = weight - int(zeros);
  n.digits_ = std::move(digits);
  // Digits beyond the display scale must not exist.
  if (n.MinScale() > display_scale) return n.Truncate(display_scale);
  return n;
}

Numeric Numeric::FromInt(int64_t value) {
  Digits digits;
  uint64_t rest = value < 0 ? 0 - uint64_t(value) : uint64_t(value);
  for (; rest != 0; rest /= kBase) digits.insert(digits.begin(), int16_t(rest % kBase));
  const int weight = int(digits.size()) - 1;
  return FromDigits(value < 0, weight, 0, std::move(digits));
}

Numeric Numeric::FromScaledInt(int64_t value, int scale) {
  Numeric n = FromInt(value);
  if (scale == 0) return n;
  // value · 10^−scale = (value · 10^pad) · 10000^−ceil(scale / 4)
  const int groups = (scale + kBaseDigits - 1) / kBaseDigits;
  const int pad = groups * kBaseDigits - scale;
  const auto product = Multiply(n, FromInt(kPowersOfTen[pad]));
  return FromDigits(value < 0, product->weight_ - groups, scale, product->digits_);
}

Numeric Numeric::FromDouble(double value) {
  if (std::isnan(value)) return Nan();
  if (std::isinf(value)) return InfinityOf(value < 0 ? -1 : 1);
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*g", std::numeric_limits<double>::digits10, value);
  return *Parse(buffer);
}

Numeric Numeric::FromFloat(float value) {
  if (std::isnan(value)) return Nan();
  if (std::isinf(value)) return InfinityOf(value < 0 ? -1 : 1);
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*g", std::numeric_limits<float>::digits10, double(value));
  return *Parse(buffer);
}

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What a numeric's text consists of: digits without the point, and where the point is.
struct DecimalText {
  bool negative = false;
  std::string digits;
  int64_t whole_digits = 0;  // digits before the point, after applying the exponent
  int64_t scale = 0;         // digits after it
};

bool ReadDecimal(std::string_view t, DecimalText& d, bool& too_large) {
  if (!t.empty() && (t[0] == '+' || t[0] == '-')) {
    d.negative = t[0] == '-';
    t.remove_prefix(1);
  }
  bool point = false;
  size_t i = 0;
  for (; i < t.size() && (IsDigit(t[i]) || (t[i] == '.' && !point)); ++i) {
    if (t[i] == '.') {
      point = true;
    } else {
      d.digits.push_back(t[i]);
      ++(point ? d.scale : d.whole_digits);
    }
  }
  if (d.digits.empty()) return false;
  if (i < t.size() && (t[i] == 'e' || t[i] == 'E')) {
    ++i;
    if (i < t.size() && t[i] == '+') {
      ++i;
      if (i < t.size() && t[i] == '-') return false;
    }
    int64_t exponent = 0;
    const auto [end, error] = std::from_chars(t.data() + i, t.data() + t.size(), exponent);
    if (error == std::errc::invalid_argument) return false;
    i = size_t(end - t.data());
    too_large = error == std::errc::result_out_of_range ||
                std::abs(exponent) >= std::numeric_limits<int32_t>::max() / 2;
    if (!too_large) {
      d.whole_digits += exponent;
      d.scale = std::max<int64_t>(0, d.scale - exponent);
    }
  }
  return i == t.size();
}

}  // namespace

StatusOr<Numeric> Numeric::Parse(std::string_view text) {
  std::string_view t = TrimSpace(text);
  std::string lower;
  for (const char c : t.substr(0, 16)) lower.push_back(c >= 'A' && c <= 'Z' ? char(c + 32) : c);
  if (t.size() <= 16) {
    if (lower == "nan") return Nan();
    if (lower == "infinity" || lower == "inf" || lower == "+infinity" || lower == "+inf") {
      return Infinity();
    }
    if (lower == "-infinity" || lower == "-inf") return InfinityOf(-1);
  }
  DecimalText d;
  bool too_large = false;
  if (!ReadDecimal(t, d, too_large)) return BadSyntax("numeric", text);
  if (too_large) return Overflow();
  // Pad on the left so that groups of four line up with the point.
  const int64_t leading = d.digits.find_first_not_of('0') == std::string::npos
                              ? int64_t(d.digits.size())
                              : int64_t(d.digits.find_first_not_of('0'));
  d.digits.erase(0, size_t(leading));
  d.whole_digits -= leading;
  if (d.scale > kScaleMax) return Overflow();
  if (d.digits.empty()) return FromDigits(false, 0, int(d.scale), {});
  if (d.whole_digits > int64_t(kWeightMax + 1) * kBaseDigits) return Overflow();
  int64_t weight = d.whole_digits > 0 ? (d.whole_digits + 3) / 4 - 1 : -((-d.whole_digits) / 4 + 1);
  const int64_t pad = (weight + 1) * kBaseDigits - d.whole_digits;
  d.digits.insert(0, size_t(pad), '0');
  while (d.digits.size() % kBaseDigits != 0) d.digits.push_back('0');
  Digits digits;
  for (size_t i = 0; i < d.digits.size(); i += kBaseDigits) {
    int group = 0;
    for (size_t k = 0; k < kBaseDigits; ++k) group = group * 10 + (d.digits[i + k] - '0');
    digits.push_back(int16_t(group));
  }
  return Checked(FromDigits(d.negative, int(weight), int(d.scale), std::move(digits)));
}

Numeric Numeric::Unpack(std::string_view packed) {
  const uint16_t head = PackedHead(packed);
  if (head == kPackedNan) return Nan();
  if (head == kPackedPositiveInfinity) return Infinity();
  if (head == kPackedNegativeInfinity) return Infinity(Sign::kNegativeInfinity);
  Numeric n;
  n.dscale_ = head & kPackedScaleMask;
  const size_t count = PackedDigitCount(packed);
  if (count == 0) return n;
  n.sign_ = head & kPackedNegative ? Sign::kNegative : Sign::kPositive;
  n.weight_ = PackedWeight(packed);
  n.digits_.resize(count);
  std::memcpy(n.digits_.data(), packed.data() + 4, count * 2);
  return n;
}

std::string Numeric::Pack() const {
  uint16_t head = uint16_t(dscale_);
  if (sign_ == Sign::kNegative) head |= kPackedNegative;
  if (is_nan()) head = kPackedNan;
  if (sign_ == Sign::kPositiveInfinity) head = kPackedPositiveInfinity;
  if (sign_ == Sign::kNegativeInfinity) head = kPackedNegativeInfinity;
  std::string packed(digits_.empty() ? 2 : 4 + 2 * digits_.size(), '\0');
  std::memcpy(packed.data(), &head, 2);
  if (!digits_.empty()) {
    const auto weight = int16_t(weight_);
    std::memcpy(packed.data() + 2, &weight, 2);
    std::memcpy(packed.data() + 4, digits_.data(), 2 * digits_.size());
  }
  return packed;
}

std::string Numeric::ToString() const {
  switch (sign_) {
    case Sign::kNan:
      return "NaN";
    case Sign::kPositiveInfinity:
      return "Infinity";
    case Sign::kNegativeInfinity:
      return "-Infinity";
    default:
      break;
  }
  std::string out = sign_ == Sign::kNegative ? "-" : "";
  const auto group = [&](int position) {
    int v = DigitAt(*this, position);
    char text[kBaseDigits];
    for (int k = kBaseDigits - 1; k >= 0; --k, v /= 10) text[k] = char('0' + v % 10);
    return std::string(text, kBaseDigits);
  };
  if (digits_.empty() || weight_ < 0) {
    out += '0';
  } else {
    out += std::to_string(DigitAt(*this, weight_));
    for (int p = weight_ - 1; p >= 0; --p) out += group(p);
  }
  if (dscale_ > 0) {
    out += '.';
    const size_t end = out.size() + size_t(dscale_);
    for (int p = -1; out.size() < end; --p) out += group(p);
    out.resize(end);
  }
  return out;
}

bool Numeric::is_integral() const {
  return !is_special() && (digits_.empty() || int(digits_.size()) <= weight_ + 1);
}

int Numeric::Signum() const {
  if (sign_ == Sign::kNegative || sign_ == Sign::kNegativeInfinity) return -1;
  return is_zero() ? 0 : 1;
}

int Numeric::MinScale() const {
  if (digits_.empty()) return 0;
  int scale = (int(digits_.size()) - 1 - weight_) * kBaseDigits;
  if (scale <= 0) return 0;
  for (int last = digits_.back(); last % 10 == 0; last /= 10) --scale;
  return scale;
}

StatusOr<Numeric> Numeric::Add(const Numeric& a, const Numeric& b) {
  if (a.is_nan() || b.is_nan()) return Nan();
  if (a.is_infinite()) return b.is_infinite() && a.sign_ != b.sign_ ? Nan() : a;
  if (b.is_infinite()) return b;
  return Checked(AddSigned(a, b));
}

StatusOr<Numeric> Numeric::Subtract(const Numeric& a, const Numeric& b) {
  return Add(a, b.Negated());
}

StatusOr<Numeric> Numeric::Multiply(const Numeric& a, const Numeric& b) {
  if (a.is_nan() || b.is_nan()) return Nan();
  if (a.is_infinite() || b.is_infinite()) {
    const int sign = a.Signum() * b.Signum();
    return sign == 0 ? Nan() : InfinityOf(sign);
  }
  const int scale = a.dscale_ + b.dscale_;
  const bool negative = (a.sign_ == Sign::kNegative) != (b.sign_ == Sign::kNegative);
  const size_t na = a.digits_.size();
  const size_t nb = b.digits_.size();
  std::vector<int64_t> sums(na + nb);
  for (size_t i = 0; i < na; ++i) {
    for (size_t j = 0; j < nb; ++j) sums[i + j + 1] += int64_t(a.digits_[i]) * b.digits_[j];
  }
  Digits digits(sums.size());
  int64_t carry = 0;
  for (size_t i = sums.size(); i-- > 0;) {
    const int64_t v = sums[i] + carry;
    digits[i] = int16_t(v % kBase);
    carry = v / kBase;
  }
  Numeric product = FromDigits(negative, a.weight_ + b.weight_ + 1, scale, std::move(digits));
  if (scale > kScaleMax) product = product.RoundedTo(kScaleMax);
  return Checked(std::move(product));
}

Numeric Numeric::DivideToScale(const Numeric& a, const Numeric& b, int scale, Rounding rounding) {
  if (a.is_zero()) return FromDigits(false, 0, scale, {});
  const bool negative = (a.sign_ == Sign::kNegative) != (b.sign_ == Sign::kNegative);
  const int weight = a.weight_ - b.weight_;
  // One group beyond the scale decides about rounding.
  const int count = std::max(weight + 1 + (scale + kBaseDigits - 1) / kBaseDigits + 1, 1);
  Numeric quotient;
  quotient.sign_ = negative ? Sign::kNegative : Sign::kPositive;
  quotient.weight_ = weight;
  quotient.digits_ = DivideDigits(a, b, count);
  return rounding == Rounding::kNearest ? quotient.RoundedTo(scale) : quotient.TruncatedTo(scale);
}

namespace {

// The quotient when an operand is NaN or infinite; nullopt-like: `finite` says there is none.
StatusOr<Numeric> DivideSpecial(const Numeric& a, const Numeric& b) {
  if (a.is_nan() || b.is_nan()) return Numeric::Nan();
  if (b.is_infinite()) return a.is_infinite() ? Numeric::Nan() : Numeric();
  if (b.is_zero()) return DivisionByZero();
  return InfinityOf(a.Signum() * b.Signum());
}

}  // namespace

StatusOr<Numeric> Numeric::Divide(const Numeric& a, const Numeric& b) {
  if (a.is_special() || b.is_special()) return DivideSpecial(a, b);
  if (b.is_zero()) return DivisionByZero();
  return Checked(DivideToScale(a, b, DivisionScale(a, b), Rounding::kNearest));
}

StatusOr<Numeric> Numeric::DivideTruncate(const Numeric& a, const Numeric& b) {
  if (a.is_special() || b.is_special()) return DivideSpecial(a, b);
  if (b.is_zero()) return DivisionByZero();
  return Checked(DivideToScale(a, b, 0, Rounding::kTowardZero));
}

StatusOr<Numeric> Numeric::Modulo(const Numeric& a, const Numeric& b) {
  if (a.is_nan() || b.is_nan()) return Nan();
  if (b.is_zero()) return DivisionByZero();
  if (a.is_infinite()) return Nan();
  if (b.is_infinite()) return a;
  ASSIGN_OR_RETURN(const Numeric whole, Multiply(b, DivideToScale(a, b, 0, Rounding::kTowardZero)));
  return Subtract(a, whole);
}

StatusOr<Numeric> Numeric::Gcd(const Numeric& a, const Numeric& b) {
  if (a.is_special() || b.is_special()) return Nan();
  const int scale = std::max(a.dscale_, b.dscale_);
  Numeric x = a.Abs();
  Numeric y = b.Abs();
  while (!y.is_zero()) {
    ASSIGN_OR_RETURN(Numeric rest, Modulo(x, y));
    x = std::move(y);
    y = std::move(rest);
  }
  return x.WithScale(scale);
}

StatusOr<Numeric> Numeric::Lcm(const Numeric& a, const Numeric& b) {
  if (a.is_special() || b.is_special()) return Nan();
  const int scale = std::max(a.dscale_, b.dscale_);
  if (a.is_zero() || b.is_zero()) return FromDigits(false, 0, scale, {});
  ASSIGN_OR_RETURN(const Numeric gcd, Gcd(a, b));
  ASSIGN_OR_RETURN(const Numeric product,
                   Multiply(b, DivideToScale(a, gcd, 0, Rounding::kTowardZero)));
  return Checked(product.Abs().RoundedTo(scale));
}

StatusOr<Numeric> Numeric::Factorial(int64_t n) {
  if (n < 0)
    return Status(Code::kOutOfRange, "22003", "factorial of a negative number is undefined");
  if (n > 32177) return Overflow();  // the largest whose factorial fits
  Numeric product = FromInt(1);
  for (int64_t k = 2; k <= n; ++k) {
    ASSIGN_OR_RETURN(product, Multiply(product, FromInt(k)));
  }
  return product;
}

Numeric Numeric::Negated() const {
  Numeric n = *this;
  switch (sign_) {
    case Sign::kPositive:
      if (!digits_.empty()) n.sign_ = Sign::kNegative;
      break;
    case Sign::kNegative:
      n.sign_ = Sign::kPositive;
      break;
    case Sign::kPositiveInfinity:
      n.sign_ = Sign::kNegativeInfinity;
      break;
    case Sign::kNegativeInfinity:
      n.sign_ = Sign::kPositiveInfinity;
      break;
    case Sign::kNan:
      break;
  }
  return n;
}

Numeric Numeric::Abs() const { return Signum() < 0 ? Negated() : *this; }

Numeric Numeric::Ceil() const {
  const Numeric whole = Truncate(0);
  if (is_special() || sign_ == Sign::kNegative || is_integral()) return whole;
  return AddSigned(whole, FromInt(1));
}

Numeric Numeric::Floor() const { return Negated().Ceil().Negated(); }

Numeric Numeric::TruncatedTo(int scale) const {
  if (is_special()) return *this;
  const int keep = (weight_ + 1) * kBaseDigits + scale;  // decimal digits that stay
  if (keep <= 0) return FromDigits(false, 0, std::max(scale, 0), {});
  Numeric n = *this;
  const auto groups = size_t(keep + kBaseDigits - 1) / kBaseDigits;
  if (groups <= n.digits_.size()) {
    n.digits_.resize(groups);
    if (keep % kBaseDigits != 0) {
      const int unit = kPowersOfTen[kBaseDigits - keep % kBaseDigits];
      n.digits_.back() = int16_t(n.digits_.back() - n.digits_.back() % unit);
    }
  }
  n.dscale_ = std::max(scale, 0);
  return Normalised(std::move(n));
}

Numeric Numeric::RoundedTo(int scale) const {
  if (is_special()) return *this;
  const int keep = (weight_ + 1) * kBaseDigits + scale;
  if (keep < 0) return FromDigits(false, 0, std::max(scale, 0), {});
  Numeric n = *this;
  n.dscale_ = std::max(scale, 0);
  const auto groups = size_t(keep + kBaseDigits - 1) / kBaseDigits;
  const int partial = keep % kBaseDigits;
  if (groups > digits_.size() || (groups == digits_.size() && partial == 0)) {
    return Normalised(std::move(n));
  }
  n.digits_.resize(groups);
  int carry = 0;
  if (partial == 0) {
    carry = digits_[groups] >= kBase / 2;
  } else {
    const int unit = kPowersOfTen[kBaseDigits - partial];
    const int extra = digits_[groups - 1] % unit;
    int last = digits_[groups - 1] - extra;
    if (extra >= unit / 2) last += unit;
    carry = last >= kBase;
    n.digits_[groups - 1] = int16_t(last - carry * kBase);
  }
  for (size_t i = groups - (partial == 0 ? 0 : 1); carry != 0 && i-- > 0;) {
    const int v = n.digits_[i] + carry;
    carry = v >= kBase;
    n.digits_[i] = int16_t(v - carry * kBase);
  }
  if (carry != 0) {
    n.digits_.insert(n.digits_.begin(), 1);
    ++n.weight_;
  }
  return Normalised(std::move(n));
}

Numeric Numeric::Normalised(Numeric n) {
  size_t zeros = 0;
  while (zeros < n.digits_.size() && n.digits_[zeros] == 0) ++zeros;
  n.digits_.erase(n.digits_.begin(), n.digits_.begin() + std::ptrdiff_t(zeros));
  n.weight_ -= int(zeros);
  while (!n.digits_.empty() && n.digits_.back() == 0) n.digits_.pop_back();
  if (n.digits_.empty()) {
    n.sign_ = Sign::kPositive;
    n.weight_ = 0;
  }
  return n;
}

Numeric Numeric::Round(int scale) const {
  return RoundedTo(std::clamp(scale, -kRoundScaleMax, kRoundScaleMax));
}
Numeric Numeric::Truncate(int scale) const {
  return TruncatedTo(std::clamp(scale, -kRoundScaleMax, int(kScaleMax)));
}

Numeric Numeric::WithScale(int display_scale) const {
  Numeric n = *this;
  if (!is_special()) n.dscale_ = std::max(display_scale, MinScale());
  return n;
}

StatusOr<Numeric> Numeric::ApplyTypmod(int32_t typmod) const {
  if (typmod < 4 || is_nan()) return *this;
  const int precision = ((typmod - 4) >> 16) & 0xffff;
  const int scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
  const Status overflow(Code::kOutOfRange, "22003", "numeric field overflow");
  const std::string field =
      "A field with precision " + std::to_string(precision) + ", scale " + std::to_string(scale);
  if (is_infinite()) return overflow.WithDetail(field + " cannot hold an infinite value.");
  Numeric rounded = RoundedTo(scale);
  if (rounded.is_zero()) return rounded;
  int whole_digits = (rounded.weight_ + 1) * kBaseDigits;
  for (int first = rounded.digits_[0]; first < kBase / 10; first *= 10) --whole_digits;
  const int allowed = precision - scale;
  if (whole_digits > allowed) {
    return overflow.WithDetail(field + " must round to an absolute value less than " +
                               (allowed != 0 ? "10^" + std::to_string(allowed) : "1") + ".");
  }
  return rounded;
}

StatusOr<int64_t> Numeric::ToInt64(std::string_view type_name) const {
  if (is_special()) {
    return Status(Code::kUnimplemented, "0A000",
                  std::string("cannot convert ") + (is_nan() ? "NaN" : "infinity") + " to " +
                      std::string(type_name));
  }
  const Numeric rounded = RoundedTo(0);
  int64_t value = 0;
  if (!PackedToInt64(rounded.Pack(), value)) return OutOfRange(type_name);
  return value;
}

double Numeric::ToDouble() const {
  if (is_nan()) return std::numeric_limits<double>::quiet_NaN();
  if (is_infinite()) return Signum() * std::numeric_limits<double>::infinity();
  const std::string text = ToString();
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    return weight_ > 0 ? Signum() * std::numeric_limits<double>::infinity() : 0;
  }
  return value;
}

std::strong_ordering operator<=>(const Numeric& a, const Numeric& b) {
  const auto rank = [](const Numeric& n) {
    if (n.is_nan()) return 2;
    return n.is_infinite() ? n.Signum() : 0;
  };
  if (rank(a) != rank(b) || a.is_special()) return rank(a) <=> rank(b);
  if (a.Signum() != b.Signum()) return a.Signum() <=> b.Signum();
  const int order = CompareMagnitude(a, b);
  return (a.Signum() < 0 ? -order : order) <=> 0;
}

}  // namespace orrery::sql
