// to_char, to_date, to_timestamp and to_number: PostgreSQL documentation,
// section 9.8.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "orrery/sql/types/numeric.h"
#include "sql/types/date_picture.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/number_picture.h"

namespace orrery::sql {
namespace {

Status SetText(const StatusOr<std::string> &text, Datum *out) {
  if (!text.ok()) return text.status();
  *out = Datum::Bytes(*text);
  return OkStatus();
}

// ---- Dates and times ----

DateParts PartsOfLocal(int64_t local) {
  const CivilTime c = CivilFromTimestamp(local);
  const int64_t days = DaysFromCivil(c.year, c.month, c.day);
  DateParts parts;
  parts.year = c.year;
  parts.month = c.month;
  parts.day = c.day;
  parts.hour = c.hour;
  parts.minute = c.minute;
  parts.second = c.second;
  parts.micros = c.micros;
  parts.day_of_week = DayOfWeek(days);
  parts.day_of_year = days - DaysFromCivil(c.year, 1, 1) + 1;
  return parts;
}

Status TimestampToChar(EvalContext &, Args a, Datum *out) {
  *out = Datum();
  if (a[1].as_bytes().empty() || !IsFiniteTimestamp(a[0].as_int())) return OkStatus();
  return SetText(FormatDateParts(ParseDatePicture(a[1].as_bytes()), PartsOfLocal(a[0].as_int())),
                 out);
}

Status TimestamptzToChar(EvalContext &c, Args a, Datum *out) {
  *out = Datum();
  const int64_t utc = a[0].as_int();
  if (a[1].as_bytes().empty() || !IsFiniteTimestamp(utc)) return OkStatus();
  const TimeZone &zone = *c.format.time_zone;
  ASSIGN_OR_RETURN(const int64_t local, LocalFromUtc(utc, zone));
  DateParts parts = PartsOfLocal(local);
  const int64_t micros = utc % kMicrosPerSecond;
  const int64_t seconds = (utc - micros) / kMicrosPerSecond - (micros < 0 ? 1 : 0);
  const TimeZone::LocalType &in_force = zone.AtInstant(seconds + kUnixEpochSeconds);
  parts.offset_seconds = in_force.offset_seconds;
  parts.zone_name = in_force.abbreviation;
  return SetText(FormatDateParts(ParseDatePicture(a[1].as_bytes()), parts), out);
}

Status IntervalToChar(EvalContext &, Args a, Datum *out) {
  *out = Datum();
  if (a[1].as_bytes().empty()) return OkStatus();
  const Interval i = a[0].as_interval();
  DateParts parts;
  parts.is_interval = true;
  parts.year = i.months / 12;
  parts.month = i.months % 12;
  parts.day = i.days;
  parts.hour = i.micros / kMicrosPerHour;
  parts.minute = int(i.micros / kMicrosPerMinute % 60);
  parts.second = int(i.micros / kMicrosPerSecond % 60);
  parts.micros = int(i.micros % kMicrosPerSecond);
  parts.day_of_year = (parts.year * 12 + parts.month) * 30 + parts.day;  // about the span in days
  return SetText(FormatDateParts(ParseDatePicture(a[1].as_bytes()), parts), out);
}

Status ToTimestamp(EvalContext &c, Args a, Datum *out) {
  ASSIGN_OR_RETURN(const ReadDate read,
                   ReadByPicture(ParseDatePicture(a[1].as_bytes()), a[0].as_bytes()));
  int64_t timestamp = 0;
  if (!TimestampFromCivil(read.civil, timestamp)) return TimestampOutOfRange();
  if (read.offset_seconds) {
    const int64_t east = *read.offset_seconds * kMicrosPerSecond;
    if (__builtin_sub_overflow(timestamp, east, &timestamp)) return TimestampOutOfRange();
  } else {
    ASSIGN_OR_RETURN(timestamp, UtcFromLocal(timestamp, *c.format.time_zone));
  }
  if (!IsTimestampInRange(timestamp)) return TimestampOutOfRange();
  if (read.fraction_digits > 0) {
    ASSIGN_OR_RETURN(timestamp, RoundTimestamp(timestamp, read.fraction_digits));
  }
  *out = Datum::Int(timestamp);
  return OkStatus();
}

Status ToDate(EvalContext &, Args a, Datum *out) {
  ASSIGN_OR_RETURN(const ReadDate read,
                   ReadByPicture(ParseDatePicture(a[1].as_bytes()), a[0].as_bytes()));
  const CivilTime &c = read.civil;
  const int64_t date = DaysFromCivil(c.year, c.month, c.day);
  if (date < kDateMin || date >= kDateEnd) {
    return Status(Code::kOutOfRange, "22008",
                  "date out of range: \"" + std::string(a[0].as_bytes()) + "\"");
  }
  *out = Datum::Int(date);
  return OkStatus();
}

// ---- Numbers ----

std::string Printf(const char *format, int digits, double value) {
  const int size = std::snprintf(nullptr, 0, format, digits, value);
  std::string text(size_t(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), format, digits, value);
  text.pop_back();
  return text;
}

// What EEEE shows instead of NaN and infinity.
std::string Unprintable(const NumberPicture &picture) {
  std::string text(size_t(picture.pre + picture.post + 6), '#');
  text[0] = ' ';
  if (size_t(picture.pre + 1) < text.size()) text[size_t(picture.pre + 1)] = '.';
  return text;
}

NumberText SplitSign(std::string text) {
  const bool negative = text.starts_with('-');
  if (negative) text.erase(0, 1);
  return {std::move(text), negative};
}

// numeric_out_sci: the significand is rounded after scaling, so that 9.99 may
// show as 10.0e+00.
StatusOr<std::string> Scientific(const Numeric &value, int scale) {
  int exponent = 0;
  if (!value.is_zero()) {
    int digits = 0;
    for (int first = value.digits()[0]; first > 0; first /= 10) ++digits;
    exponent = value.weight() * 4 + digits - 1;
  }
  ASSIGN_OR_RETURN(const Numeric power, Numeric::Parse("1e" + std::to_string(-exponent)));
  ASSIGN_OR_RETURN(const Numeric significand, Numeric::Multiply(value, power));
  char suffix[16];
  std::snprintf(suffix, sizeof suffix, "e%+03d", exponent);
  const std::string text = significand.Round(scale).ToString() + suffix;
  return text.starts_with('-') ? text : " " + text;
}

// The value as the template wants it before it is laid out; V has shifted the
// template's places.
using Numberer = StatusOr<NumberText> (*)(const Datum &value, NumberPicture &picture);

StatusOr<NumberText> OfNumeric(const Datum &d, NumberPicture &p) {
  Numeric value = Numeric::FromDatum(d);
  if (p.roman) {
    ASSIGN_OR_RETURN(const int64_t n, value.ToInt64("integer"));
    if (n != int32_t(n)) return OutOfRange("integer");
    return NumberText{RomanNumeral(n)};
  }
  if (p.scientific) {
    if (value.is_special()) return NumberText{Unprintable(p)};
    ASSIGN_OR_RETURN(std::string text, Scientific(value, p.post));
    return NumberText{std::move(text)};
  }
  if (p.shifted) {
    ASSIGN_OR_RETURN(const Numeric power, Numeric::Parse("1e" + std::to_string(p.shift)));
    ASSIGN_OR_RETURN(value, Numeric::Multiply(value, power));
    p.pre += p.shift;
  }
  return SplitSign(value.Round(p.post).ToString());
}

StatusOr<NumberText> OfIntegerText(std::string text, const NumberPicture &p) {
  NumberText number = SplitSign(std::move(text));
  if (p.post > 0 && int(number.digits.size()) <= p.pre) {
    number.digits += "." + std::string(size_t(p.post), '0');
  }
  return number;
}

StatusOr<NumberText> OfInt4(const Datum &d, NumberPicture &p) {
  int64_t value = d.as_int();
  if (p.roman) return NumberText{RomanNumeral(value)};
  if (p.scientific) {
    std::string text = Printf("%+.*e", p.post, double(value));
    if (text[0] == '+') text[0] = ' ';
    return NumberText{std::move(text)};
  }
  if (p.shifted) {
    value = int32_t(uint32_t(value) * uint32_t(int32_t(std::pow(10.0, p.shift))));
    p.pre += p.shift;
  }
  return OfIntegerText(std::to_string(value), p);
}

StatusOr<NumberText> OfInt8(const Datum &d, NumberPicture &p) {
  int64_t value = d.as_int();
  if (p.roman) {
    if (value != int32_t(value)) return OutOfRange("integer");
    return NumberText{RomanNumeral(value)};
  }
  if (p.scientific) {
    ASSIGN_OR_RETURN(std::string text, Scientific(Numeric::FromInt(value), p.post));
    return NumberText{std::move(text)};
  }
  if (p.shifted) {
    const double power = std::pow(10.0, p.shift);
    if (power >= 9.2e18 || __builtin_mul_overflow(value, int64_t(power), &value)) {
      return OutOfRange("bigint");
    }
    p.pre += p.shift;
  }
  return OfIntegerText(std::to_string(value), p);
}

// kDigits: decimal digits that the type holds for sure.
template <class T, int kDigits>
StatusOr<NumberText> OfFloat(const Datum &d, NumberPicture &p) {
  auto value = T(d.as_float());
  if (p.roman) {
    const double rounded = std::rint(double(value));
    return NumberText{RomanNumeral(std::fabs(rounded) < 1e9 ? int64_t(rounded) : 0)};
  }
  if (p.scientific) {
    if (!std::isfinite(value)) return NumberText{Unprintable(p)};
    std::string text = Printf("%+.*e", p.post, double(value));
    if (text[0] == '+') text[0] = ' ';
    return NumberText{std::move(text)};
  }
  if (p.shifted) {
    value = T(double(value) * std::pow(10.0, p.shift));
    p.pre += p.shift;
  }
  if (std::isnan(value)) return NumberText{"NaN"};
  if (std::isinf(value)) return NumberText{"Infinity", value < 0};
  const int digits = int(Printf("%.*f", 0, std::fabs(double(value))).size());
  if (digits >= kDigits) {
    p.post = 0;
  } else if (digits + p.post > kDigits) {
    p.post = kDigits - digits;
  }
  return SplitSign(Printf("%.*f", p.post, double(value)));
}

// TH after NaN or infinity.
Status CheckOrdinal(const NumberPicture &picture, const NumberText &number) {
  const auto is_ordinal = [](const NumberNode &n) { return n.field == NumberField::kOrdinal; };
  const std::string &digits = number.digits;
  if (picture.roman || picture.scientific || picture.decimal || number.negative ||
      int(digits.size()) > picture.pre || (digits.back() >= '0' && digits.back() <= '9') ||
      std::ranges::none_of(picture.nodes, is_ordinal)) {
    return OkStatus();
  }
  return Status(Code::kInvalidArgument, "22P02", "\"" + digits + "\" is not a number");
}

template <Numberer kNumberer>
Status NumberToChar(EvalContext &, Args a, Datum *out) {
  const std::string_view format = a[1].as_bytes();
  if (format.empty()) {
    *out = Datum::Bytes("");
    return OkStatus();
  }
  ASSIGN_OR_RETURN(NumberPicture picture, ParseNumberPicture(format));
  ASSIGN_OR_RETURN(const NumberText number, kNumberer(a[0], picture));
  RETURN_IF_ERROR(CheckOrdinal(picture, number));
  *out = Datum::Bytes(FormatNumber(std::move(picture), number));
  return OkStatus();
}

Status ToNumber(EvalContext &, Args a, Datum *out) {
  const std::string_view format = a[1].as_bytes();
  *out = Datum();
  if (format.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const NumberPicture picture, ParseNumberPicture(format));
  ASSIGN_OR_RETURN(const ReadNumber read, ReadNumberByPicture(picture, a[0].as_bytes()));
  ASSIGN_OR_RETURN(Numeric value, Numeric::Parse(read.text));
  const int precision = picture.pre + picture.shift + read.post;
  ASSIGN_OR_RETURN(value, value.ApplyTypmod(((precision << 16) | read.post) + 4));
  if (picture.shifted) {
    ASSIGN_OR_RETURN(const Numeric power,
                     Numeric::Power(Numeric::FromInt(10), Numeric::FromInt(-picture.shift)));
    ASSIGN_OR_RETURN(value, Numeric::Multiply(value, power));
  }
  *out = value.ToDatum();
  return OkStatus();
}

}  // namespace

void RegisterFormattingFunctions(EvaluatorTable &table) {
  table.Add("timestamp_to_char", &TimestampToChar);
  table.Add("timestamptz_to_char", &TimestamptzToChar);
  table.Add("interval_to_char", &IntervalToChar);
  table.Add("to_timestamp", &ToTimestamp);
  table.Add("to_date", &ToDate);
  table.Add("numeric_to_char", &NumberToChar<&OfNumeric>);
  table.Add("int4_to_char", &NumberToChar<&OfInt4>);
  table.Add("int8_to_char", &NumberToChar<&OfInt8>);
  table.Add("float4_to_char", &NumberToChar<&OfFloat<float, 6>>);
  table.Add("float8_to_char", &NumberToChar<&OfFloat<double, 15>>);
  table.Add("numeric_to_number", &ToNumber);
}

}  // namespace orrery::sql
