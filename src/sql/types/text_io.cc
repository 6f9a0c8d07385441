#include "orrery/sql/types/text_io.h"

#include <bit>
#include <cstring>
#include <limits>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/record.h"
#include "sql/types/coerce.h"
#include "sql/types/datetime.h"
#include "sql/types/errors.h"
#include "sql/types/numeric_packed.h"
#include "sql/types/scalar_io.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

constexpr size_t kNameBytesMax = 63;

template <class T>
StatusOr<Datum> ParseInt(std::string_view text, std::string_view type_name) {
  ASSIGN_OR_RETURN(const int64_t v, ParseInteger(text, std::numeric_limits<T>::min(),
                                                 std::numeric_limits<T>::max(), type_name));
  return Datum::Int(v);
}

template <class T>
StatusOr<Datum> IntDatum(StatusOr<T> value) {
  if (!value.ok()) return value.status();
  return Datum::Int(*value);
}
StatusOr<Datum> BytesDatum(StatusOr<std::string> value) {
  if (!value.ok()) return value.status();
  return Datum::Bytes(*value);
}

std::string_view CutName(std::string_view text) {
  if (text.size() <= kNameBytesMax) return text;
  size_t end = kNameBytesMax;
  while (end > 0 && (uint8_t(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

StatusOr<Datum> ParseReg(Oid type, std::string_view text, const FormatContext& context) {
  if (text == "-") return Datum::Int(0);
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    return IntDatum(ParseOid(text));
  }
  if (type == oid::kRegtype) {
    if (const TypeInfo* const info = FindTypeBySqlName(text)) return Datum::Int(info->oid);
  }
  if (context.session == nullptr) return SessionInfo().RegLookup(type, text).status();
  ASSIGN_OR_RETURN(const Oid found, context.session->RegLookup(type, text));
  return Datum::Int(found);
}

void AppendReg(Oid type, int64_t value, const FormatContext& context, std::string& out) {
  if (value == 0) {
    out += "-";
    return;
  }
  if (context.session != nullptr) {
    if (const auto name = context.session->RegName(type, Oid(value))) {
      out += *name;
      return;
    }
  }
  const TypeInfo* const info = type == oid::kRegtype ? FindType(Oid(value)) : nullptr;
  out += info == nullptr ? std::to_string(value) : std::string(info->sql_name);
}

StatusOr<Datum> ParseValue(Type type, std::string_view text, const FormatContext& context) {
  switch (type.oid) {
    case oid::kBool: {
      ASSIGN_OR_RETURN(const bool value, ParseBool(text));
      return Datum::Bool(value);
    }
    case oid::kInt2:
      return ParseInt<int16_t>(text, "smallint");
    case oid::kInt4:
      return ParseInt<int32_t>(text, "integer");
    case oid::kInt8:
      return ParseInt<int64_t>(text, "bigint");
    case oid::kOid:
      return IntDatum(ParseOid(text));
    case oid::kFloat4:
    case oid::kFloat8: {
      ASSIGN_OR_RETURN(const double value, ParseFloat(text, type.oid));
      return Datum::Float(value);
    }
    case oid::kNumeric: {
      ASSIGN_OR_RETURN(const Numeric value, Numeric::Parse(text));
      return value.ToDatum();
    }
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kUnknown:
    case oid::kCstring:
      return Datum::Bytes(text);
    case oid::kName:
      return Datum::Bytes(CutName(text));
    case oid::kChar:
      return Datum::Int(text.empty() ? 0 : uint8_t(text[0]));
    case oid::kBytea:
      return BytesDatum(ParseBytea(text));
    case oid::kUuid:
      return BytesDatum(ParseUuid(text));
    case oid::kDate:
      return IntDatum(ParseDate(text, context));
    case oid::kTime:
      return IntDatum(ParseTime(text, context));
    case oid::kTimestamp:
      return IntDatum(ParseTimestamp(text, context));
    case oid::kTimestamptz:
      return IntDatum(ParseTimestamptz(text, context));
    case oid::kInterval: {
      ASSIGN_OR_RETURN(const Interval value, ParseInterval(text, type.typmod));
      return Datum::OfInterval(value);
    }
    case oid::kVoid:
      return Datum::Bytes("");
    case oid::kInt2vector:
      return ParseVector(oid::kInt2, text, context);
    case oid::kOidvector:
      return ParseVector(oid::kOid, text, context);
    case oid::kRecord:
      return UnsupportedError("input of anonymous composite types");
    default:
      if (IsOidType(type.oid)) return ParseReg(type.oid, text, context);
      if (const Oid element = ElementTypeOf(type.oid); element != oid::kInvalid) {
        return ParseArray({element, -1}, text, context);
      }
      return UnsupportedError("input of type " + std::string(TypeName(type.oid)));
  }
}

// Big-endian integers of the protocol.
template <class T>
void PutBig(T value, std::string& out) {
  using U = std::make_unsigned_t<T>;
  for (int shift = int(sizeof(T) - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(char(uint8_t(U(value) >> shift)));
  }
}

class BinaryReader {
 public:
  explicit BinaryReader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T Take() {
    if (bytes_.size() < sizeof(T)) {
      failed_ = true;
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | uint8_t(bytes_[i]);
    bytes_.remove_prefix(sizeof(T));
    return T(value);
  }
  bool Complete() const { return !failed_ && bytes_.empty(); }
  bool failed() const { return failed_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

Status BadBinary() {
  return Status(Code::kInvalidArgument, "22P03", "incorrect binary data format");
}

constexpr uint16_t kWireNegative = 0x4000, kWireNan = 0xC000;
constexpr uint16_t kWireInfinity = 0xD000, kWireMinusInfinity = 0xF000;

void AppendNumericBinary(const Numeric& n, std::string& out) {
  uint16_t sign = n.sign() == Numeric::Sign::kNegative ? kWireNegative : 0;
  if (n.is_nan()) sign = kWireNan;
  if (n.sign() == Numeric::Sign::kPositiveInfinity) sign = kWireInfinity;
  if (n.sign() == Numeric::Sign::kNegativeInfinity) sign = kWireMinusInfinity;
  PutBig<uint16_t>(uint16_t(n.digits().size()), out);
  PutBig<int16_t>(int16_t(n.weight()), out);
  PutBig<uint16_t>(sign, out);
  PutBig<uint16_t>(uint16_t(n.display_scale()), out);
  for (const int16_t digit : n.digits()) PutBig<int16_t>(digit, out);
}

StatusOr<Datum> ReceiveNumeric(std::string_view bytes) {
  BinaryReader in(bytes);
  const int count = in.Take<uint16_t>();
  const int weight = in.Take<int16_t>();
  const uint16_t sign = in.Take<uint16_t>();
  const uint16_t scale = in.Take<uint16_t>();
  std::vector<int16_t> digits;
  for (int i = 0; i < count && !in.failed(); ++i) {
    digits.push_back(in.Take<int16_t>());
    if (digits.back() < 0 || digits.back() > 9999) {
      return Status(Code::kInvalidArgument, "22P03", "invalid digit in external \"numeric\" value");
    }
  }
  if (!in.Complete()) return BadBinary();
  if (sign == kWireNan) return Numeric::Nan().ToDatum();
  if (sign == kWireInfinity) return Numeric::Infinity().ToDatum();
  if (sign == kWireMinusInfinity) {
    return Numeric::Infinity(Numeric::Sign::kNegativeInfinity).ToDatum();
  }
  if (sign != 0 && sign != kWireNegative) {
    return Status(Code::kInvalidArgument, "22P03", "invalid sign in external \"numeric\" value");
  }
  if (scale > Numeric::kScaleMax) {
    return Status(Code::kInvalidArgument, "22P03", "invalid scale in external \"numeric\" value");
  }
  return Numeric::FromDigits(sign == kWireNegative, weight, scale, std::move(digits)).ToDatum();
}

template <class T>
StatusOr<Datum> ReceiveInt(std::string_view bytes) {
  BinaryReader in(bytes);
  const T value = in.Take<T>();
  if (!in.Complete()) return BadBinary();
  return Datum::Int(int64_t(value));
}

StatusOr<Datum> ReceiveText(Oid type, std::string_view bytes) {
  RETURN_IF_ERROR(CheckText(bytes));
  return Datum::Bytes(type == oid::kName ? CutName(bytes) : bytes);
}

StatusOr<Datum> ReceiveTimestamp(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Datum value, ReceiveInt<int64_t>(bytes));
  if (IsFiniteTimestamp(value.as_int()) && !IsTimestampInRange(value.as_int())) {
    return TimestampOutOfRange();
  }
  return value;
}

StatusOr<Datum> ReceiveFloat(Oid type, std::string_view bytes) {
  BinaryReader in(bytes);
  const double value = type == oid::kFloat4 ? double(std::bit_cast<float>(in.Take<uint32_t>()))
                                            : std::bit_cast<double>(in.Take<uint64_t>());
  if (!in.Complete()) return BadBinary();
  return Datum::Float(value);
}

StatusOr<Datum> ReceiveInterval(std::string_view bytes) {
  BinaryReader in(bytes);
  Interval value;
  value.micros = in.Take<int64_t>();
  value.days = in.Take<int32_t>();
  value.months = in.Take<int32_t>();
  if (!in.Complete()) return BadBinary();
  return Datum::OfInterval(value);
}

StatusOr<Datum> ReceiveDate(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Datum value, ReceiveInt<int32_t>(bytes));
  const int64_t date = value.as_int();
  if (IsFiniteDate(date) && (date < kDateMin || date >= kDateEnd)) return DateOutOfRange();
  return value;
}

StatusOr<Datum> ReceiveTime(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Datum value, ReceiveInt<int64_t>(bytes));
  if (value.as_int() < 0 || value.as_int() > kMicrosPerDay) {
    return Status(Code::kOutOfRange, "22008", "time out of range");
  }
  return value;
}

StatusOr<Datum> ReceiveValue(Oid type, std::string_view bytes) {
  switch (type) {
    case oid::kBool: {
      if (bytes.size() != 1) return BadBinary();
      return Datum::Bool(bytes[0] != 0);
    }
    case oid::kInt2:
      return ReceiveInt<int16_t>(bytes);
    case oid::kInt4:
      return ReceiveInt<int32_t>(bytes);
    case oid::kInt8:
      return ReceiveInt<int64_t>(bytes);
    case oid::kChar:
      return ReceiveInt<uint8_t>(bytes);
    case oid::kFloat4:
    case oid::kFloat8:
      return ReceiveFloat(type, bytes);
    case oid::kNumeric:
      return ReceiveNumeric(bytes);
    case oid::kBytea:
      return Datum::Bytes(bytes);
    case oid::kUuid:
      if (bytes.size() != 16) return BadBinary();
      return Datum::Bytes(bytes);
    case oid::kDate:
      return ReceiveDate(bytes);
    case oid::kTime:
      return ReceiveTime(bytes);
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return ReceiveTimestamp(bytes);
    case oid::kInterval:
      return ReceiveInterval(bytes);
    default:
      if (IsStringType(type)) return ReceiveText(type, bytes);
      if (IsOidType(type)) return ReceiveInt<uint32_t>(bytes);
      if (const Oid element = ElementTypeOf(type); element != oid::kInvalid) return ReceiveArray({element, -1}, bytes);
      return UnsupportedError("binary input of type " + std::string(TypeName(type)));
  }
}

}  // namespace

StatusOr<Datum> ParseText(Type type, std::string_view text, const FormatContext& context) {
  ASSIGN_OR_RETURN(Datum value, ParseValue(type, text, context));
  RETURN_IF_ERROR(ApplyTypmod(type, CastContext::kAssignment, &value));
  return value;
}

void AppendText(Oid type, const Datum& value, const FormatContext& context, std::string& out) {
  switch (type) {
    case oid::kBool:
      out += value.as_bool() ? "t" : "f";
      return;
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kOid:
      out += std::to_string(value.as_int());
      return;
    case oid::kFloat4:
      AppendFloat4(float(value.as_float()), context.extra_float_digits, out);
      return;
    case oid::kFloat8:
      AppendFloat8(value.as_float(), context.extra_float_digits, out);
      return;
    case oid::kNumeric:
      out += Numeric::FromDatum(value).ToString();
      return;
    case oid::kChar:
      if (value.as_int() != 0) out.push_back(char(value.as_int()));
      return;
    case oid::kBytea:
      if (context.bytea_output == ByteaOutput::kHex) {
        out += "\\x";
        AppendByteaHex(value.as_bytes(), out);
      } else {
        AppendByteaEscape(value.as_bytes(), out);
      }
      return;
    case oid::kUuid:
      AppendUuid(value.as_bytes(), out);
      return;
    case oid::kDate:
      AppendDate(value.as_int(), out);
      return;
    case oid::kTime:
      AppendTime(value.as_int(), out);
      return;
    case oid::kTimestamp:
      AppendTimestamp(value.as_int(), out);
      return;
    case oid::kTimestamptz:
      AppendTimestamptz(value.as_int(), *context.time_zone, out);
      return;
    case oid::kInterval:
      AppendInterval(value.as_interval(), out);
      return;
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
      out += value.as_bytes();
      return;
    case oid::kInt2vector:
    case oid::kOidvector:
      return AppendVectorText(value, out);
    case oid::kRecord:
      return AppendRecordText(value, context, out);
    default:
      if (type == oid::kAnyarray || ElementTypeOf(type) != oid::kInvalid) return AppendArrayText(value, context, out);
      if (value.kind() == Datum::Kind::kBytes) {
        out += value.as_bytes();
      } else {
        AppendReg(type, value.as_int(), context, out);
      }
  }
}

std::string FormatText(Oid type, const Datum& value, const FormatContext& context) {
  std::string out;
  AppendText(type, value, context, out);
  return out;
}

StatusOr<Datum> ReceiveBinary(Type type, std::string_view bytes) {
  ASSIGN_OR_RETURN(Datum value, ReceiveValue(type.oid, bytes));
  RETURN_IF_ERROR(ApplyTypmod(type, CastContext::kAssignment, &value));
  return value;
}

void AppendBinary(Oid type, const Datum& value, std::string& out) {
  switch (value.kind()) {
    case Datum::Kind::kBool:
      out.push_back(value.as_bool() ? 1 : 0);
      return;
    case Datum::Kind::kFloat:
      if (type == oid::kFloat4) {
        PutBig(std::bit_cast<uint32_t>(float(value.as_float())), out);
      } else {
        PutBig(std::bit_cast<uint64_t>(value.as_float()), out);
      }
      return;
    case Datum::Kind::kInterval: {
      const Interval i = value.as_interval();
      PutBig(i.micros, out);
      PutBig(i.days, out);
      PutBig(i.months, out);
      return;
    }
    case Datum::Kind::kNumeric:
      AppendNumericBinary(Numeric::FromDatum(value), out);
      return;
    case Datum::Kind::kBytes:
      out += value.as_bytes();
      return;
    case Datum::Kind::kInt:
      switch (type) {
        case oid::kInt2:
          PutBig(int16_t(value.as_int()), out);
          return;
        case oid::kInt8:
        case oid::kTime:
        case oid::kTimestamp:
        case oid::kTimestamptz:
          PutBig(value.as_int(), out);
          return;
        case oid::kChar:
          out.push_back(char(value.as_int()));
          return;
        default:
          PutBig(uint32_t(value.as_int()), out);
          return;
      }
    case Datum::Kind::kNull:
      return;
  }
}

}  // namespace orrery::sql
