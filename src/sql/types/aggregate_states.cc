#include "sql/types/aggregate_states.h"

#include <cmath>
#include <limits>

#include "orrery/sql/types/compare.h"
#include "sql/types/datetime.h"
#include "sql/types/errors.h"

namespace orrery::sql {
namespace {

Numeric FromInt128(__int128 value) {
  const bool negative = value < 0;
  unsigned __int128 rest = negative ? -static_cast<unsigned __int128>(value)
                                    : static_cast<unsigned __int128>(value);
  std::vector<int16_t> digits;
  for (; rest != 0; rest /= 10000) digits.insert(digits.begin(), int16_t(rest % 10000));
  const int weight = int(digits.size()) - 1;
  return Numeric::FromDigits(negative, weight, 0, std::move(digits));
}

Status Set(StatusOr<Numeric> value, Datum* out) {
  if (!value.ok()) return value.status();
  *out = value->ToDatum();
  return OkStatus();
}

bool IsSample(Moment m) { return m == Moment::kVarSamp || m == Moment::kStddevSamp; }
bool IsStddev(Moment m) { return m == Moment::kStddevPop || m == Moment::kStddevSamp; }

}  // namespace

void StateWriter::operator()(Numeric& value) {
  std::string packed = value.Pack();
  (*this)(packed);
}
void StateReader::operator()(Numeric& value) {
  std::string packed;
  (*this)(packed);
  if (!failed && Numeric::IsValidPacked(packed)) {
    value = Numeric::Unpack(packed);
  } else {
    failed = true;
  }
}

void StateWriter::operator()(Datum& value) {
  auto kind = uint8_t(value.kind());
  (*this)(kind);
  switch (value.kind()) {
    case Datum::Kind::kNull:
      return;
    case Datum::Kind::kBool: {
      uint8_t b = value.as_bool() ? 1 : 0;
      return (*this)(b);
    }
    case Datum::Kind::kInt: {
      int64_t i = value.as_int();
      return (*this)(i);
    }
    case Datum::Kind::kFloat: {
      double d = value.as_float();
      return (*this)(d);
    }
    case Datum::Kind::kInterval: {
      Interval i = value.as_interval();
      return (*this)(i);
    }
    case Datum::Kind::kBytes:
    case Datum::Kind::kNumeric: {
      std::string bytes(value.kind() == Datum::Kind::kBytes ? value.as_bytes()
                                                            : value.as_packed_numeric());
      return (*this)(bytes);
    }
  }
}

void StateReader::operator()(Datum& value) {
  uint8_t kind = 0;
  int64_t number = 0;
  double real = 0;
  uint8_t flag = 0;
  Interval interval;
  std::string bytes;
  (*this)(kind);
  switch (Datum::Kind(kind)) {
    case Datum::Kind::kNull:
      value = Datum();
      return;
    case Datum::Kind::kBool:
      (*this)(flag);
      value = Datum::Bool(flag != 0);
      return;
    case Datum::Kind::kInt:
      (*this)(number);
      value = Datum::Int(number);
      return;
    case Datum::Kind::kFloat:
      (*this)(real);
      value = Datum::Float(real);
      return;
    case Datum::Kind::kInterval:
      (*this)(interval);
      value = Datum::OfInterval(interval);
      return;
    case Datum::Kind::kBytes:
      (*this)(bytes);
      value = Datum::Bytes(bytes);
      return;
    case Datum::Kind::kNumeric:
      (*this)(bytes);
      failed = failed || !Numeric::IsValidPacked(bytes);
      value = failed ? Datum() : Datum::PackedNumeric(bytes);
      return;
  }
  failed = true;
}

Status IntSum::Result(Datum* out) const {
  if (count == 0) {
    *out = Datum();
    return OkStatus();
  }
  switch (result) {
    case Result_::kInt8Sum:
      if (sum > std::numeric_limits<int64_t>::max() || sum < std::numeric_limits<int64_t>::min()) {
        return OutOfRange("bigint");
      }
      *out = Datum::Int(int64_t(sum));
      return OkStatus();
    case Result_::kNumericSum:
      *out = FromInt128(sum).ToDatum();
      return OkStatus();
    case Result_::kAverage:
      return Set(Numeric::Divide(FromInt128(sum), Numeric::FromInt(count)), out);
  }
  return OkStatus();
}

Status FloatSum::AddValue(double value) {
  const double next = is_float4 ? double(float(sum + value)) : sum + value;
  if (any && std::isinf(next) && !std::isinf(sum) && !std::isinf(value)) {
    return Status(Code::kOutOfRange, "22003", "value out of range: overflow");
  }
  sum = any ? next : value;
  any = true;
  return OkStatus();
}

Status NumericSum::Add(Row row) {
  ASSIGN_OR_RETURN(sum, Numeric::Add(sum, Numeric::FromDatum(row[0])));
  ++count;
  return OkStatus();
}
Status NumericSum::Merge(const NumericSum& o) {
  ASSIGN_OR_RETURN(sum, Numeric::Add(sum, o.sum));
  count += o.count;
  return OkStatus();
}
Status NumericSum::Result(Datum* out) const {
  if (count == 0) {
    *out = Datum();
    return OkStatus();
  }
  if (!is_average) return Set(sum, out);
  return Set(Numeric::Divide(sum, Numeric::FromInt(count)), out);
}

Status IntervalSum::AddValue(const Interval& value, int64_t rows) {
  if (__builtin_add_overflow(sum.micros, value.micros, &sum.micros) ||
      __builtin_add_overflow(sum.days, value.days, &sum.days) ||
      __builtin_add_overflow(sum.months, value.months, &sum.months)) {
    return IntervalOutOfRange();
  }
  count += rows;
  return OkStatus();
}
Status IntervalSum::Result(Datum* out) const {
  if (count == 0) {
    *out = Datum();
    return OkStatus();
  }
  Interval value = sum;
  if (is_average) {
    ASSIGN_OR_RETURN(value, DivideInterval(sum, double(count)));
  }
  *out = Datum::OfInterval(value);
  return OkStatus();
}

Status ExtremeState::AddValue(const Datum& candidate) {
  if (candidate.is_null()) return OkStatus();
  if (!value.is_null()) {
    const auto order = CompareDatums(type, candidate, value);
    if (wants < 0 ? order >= 0 : order <= 0) return OkStatus();
  }
  value = candidate.Owned();
  return OkStatus();
}

Status StringState::Add(Row row) {
  const std::string_view delimiter = row[1].is_null() ? "" : row[1].as_bytes();
  if (any) {
    text += delimiter;
  } else {
    first_delimiter = delimiter;
  }
  any = true;
  text += row[0].as_bytes();
  return OkStatus();
}
Status StringState::Merge(const StringState& o) {
  if (!o.any) return OkStatus();
  if (any) {
    text += o.first_delimiter;
  } else {
    first_delimiter = o.first_delimiter;
  }
  any = true;
  text += o.text;
  return OkStatus();
}

Status FloatMoments::Add(Row row) {
  const double x = row[0].as_float();
  count += 1;
  const double next = sum + x;
  if (count > 1) {
    const double deviation = x * count - next;
    squares += deviation * deviation / (count * (count - 1));
    if (std::isinf(next) || std::isinf(squares)) {
      if (!std::isinf(sum) && !std::isinf(x)) {
        return Status(Code::kOutOfRange, "22003", "value out of range: overflow");
      }
      squares = std::numeric_limits<double>::quiet_NaN();
    }
  } else if (!std::isfinite(x)) {
    squares = std::numeric_limits<double>::quiet_NaN();
  }
  sum = next;
  return OkStatus();
}
Status FloatMoments::Merge(const FloatMoments& o) {
  if (o.count == 0) return OkStatus();
  if (count == 0) {
    count = o.count;
    sum = o.sum;
    squares = o.squares;
    return OkStatus();
  }
  const double total = count + o.count;
  const double shift = sum / count - o.sum / o.count;
  squares += o.squares + count * o.count * shift * shift / total;
  sum += o.sum;
  count = total;
  return OkStatus();
}
Status FloatMoments::Result(Datum* out) const {
  const double divisor = IsSample(result) ? count - 1 : count;
  if (divisor <= 0) {
    *out = Datum();
    return OkStatus();
  }
  const double variance = squares / divisor;
  *out = Datum::Float(result == Moment::kMean ? sum / count
                      : IsStddev(result)      ? std::sqrt(variance)
                                              : variance);
  return OkStatus();
}

Status NumericMoments::Add(Row row) {
  const Numeric x =
      takes_ints ? Numeric::FromInt(row[0].as_int()) : Numeric::FromDatum(row[0]);
  ASSIGN_OR_RETURN(const Numeric square, Numeric::Multiply(x, x));
  ASSIGN_OR_RETURN(sum, Numeric::Add(sum, x));
  ASSIGN_OR_RETURN(squares, Numeric::Add(squares, square));
  ++count;
  return OkStatus();
}
Status NumericMoments::Merge(const NumericMoments& o) {
  ASSIGN_OR_RETURN(sum, Numeric::Add(sum, o.sum));
  ASSIGN_OR_RETURN(squares, Numeric::Add(squares, o.squares));
  count += o.count;
  return OkStatus();
}
Status NumericMoments::Result(Datum* out) const {
  if (count == 0 || (IsSample(result) && count == 1)) {
    *out = Datum();
    return OkStatus();
  }
  if (sum.is_special()) return Set(Numeric::Nan(), out);
  const Numeric n = Numeric::FromInt(count);
  ASSIGN_OR_RETURN(const Numeric square_of_sum, Numeric::Multiply(sum, sum));
  ASSIGN_OR_RETURN(const Numeric scaled, Numeric::Multiply(n, squares));
  ASSIGN_OR_RETURN(const Numeric numerator, Numeric::Subtract(scaled, square_of_sum));
  if (numerator.Signum() <= 0) return Set(Numeric(), out);
  ASSIGN_OR_RETURN(const Numeric divisor,
                   Numeric::Multiply(n, Numeric::FromInt(IsSample(result) ? count - 1 : count)));
  ASSIGN_OR_RETURN(const Numeric variance, Numeric::Divide(numerator, divisor));
  if (!IsStddev(result)) return Set(variance, out);
  return Set(Numeric::SqrtAtScale(variance, variance.display_scale()), out);
}

}  // namespace orrery::sql
