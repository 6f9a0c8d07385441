// pg_size_pretty, num_nulls and the bytes and bits of bytea: PostgreSQL documentation, sections
// 9.5, 9.2 and 9.27.
#include <bit>

#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/text_io.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

// From the second unit on, sizes are kept doubled until they are rounded for printing.
struct SizeUnit {
  std::string_view name;
  int64_t limit;  // sizes below it are printed in this unit
  bool rounded;
};
constexpr SizeUnit kSizeUnits[] = {{"bytes", 10 * 1024, false}, {"kB", 20 * 1024 - 1, true},
                                   {"MB", 20 * 1024 - 1, true}, {"GB", 20 * 1024 - 1, true},
                                   {"TB", 20 * 1024 - 1, true}, {"PB", INT64_MAX, true}};

Status SizePretty(EvalContext&, Args a, Datum* out) {
  int64_t size = a[0].as_int();
  for (const SizeUnit& unit : kSizeUnits) {
    const uint64_t magnitude = size < 0 ? 0 - uint64_t(size) : uint64_t(size);
    if (magnitude < uint64_t(unit.limit)) {
      if (unit.rounded) size = (size + (size < 0 ? -1 : 1)) / 2;
      *out = Datum::Bytes(std::to_string(size) + " " + std::string(unit.name));
      return OkStatus();
    }
    size /= unit.rounded ? 1024 : 512;
  }
  return InternalError("pg_size_pretty: no unit");
}

// pg_column_size: bytes of the value in PostgreSQL's uncompressed memory form.
Status ColumnSize(EvalContext& c, Args a, Datum* out) {
  const TypeInfo* const type = FindType(c.argument_types[0]);
  if (type == nullptr || type->length > 0) {
    *out = Datum::Int(type == nullptr ? 0 : type->length);
    return OkStatus();
  }
  constexpr int64_t kHeaderBytes = 4;
  constexpr int64_t kNumericHeaderSaving = 6;  // of the 8 bytes before the digits on the wire, 2 are kept
  std::string bytes;
  AppendBinary(type->oid, a[0], bytes);
  const bool numeric = type->oid == oid::kNumeric;
  *out = Datum::Int(kHeaderBytes + int64_t(bytes.size()) - (numeric ? kNumericHeaderSaving : 0));
  return OkStatus();
}

Status SizePrettyNumeric(EvalContext&, Args a, Datum* out) {
  Numeric size = Numeric::FromDatum(a[0]);
  for (const SizeUnit& unit : kSizeUnits) {
    const bool is_last = unit.limit == INT64_MAX;
    if (is_last || size.Abs() < Numeric::FromInt(unit.limit)) {
      if (unit.rounded) {
        const int64_t half = size < Numeric() ? -1 : 1;
        ASSIGN_OR_RETURN(size, Numeric::Add(size, Numeric::FromInt(half)));
        ASSIGN_OR_RETURN(size, Numeric::DivideTruncate(size, Numeric::FromInt(2)));
      }
      *out = Datum::Bytes(size.ToString() + " " + std::string(unit.name));
      return OkStatus();
    }
    ASSIGN_OR_RETURN(size,
                     Numeric::DivideTruncate(size, Numeric::FromInt(unit.rounded ? 1024 : 512)));
  }
  return InternalError("pg_size_pretty: no unit");
}

int64_t CountNulls(Args a) {
  int64_t count = 0;
  for (const Datum& d : a) count += d.is_null() ? 1 : 0;
  return count;
}

Status CheckIndex(int64_t index, int64_t size) {
  if (index >= 0 && index < size) return OkStatus();
  return Status(
      Code::kInvalidArgument, "2202E",
      "index " + std::to_string(index) + " out of valid range, 0.." + std::to_string(size - 1));
}

void AddBytesAndBits(EvaluatorTable& table) {
  table.Add("byteaGetByte", [](EvalContext&, Args a, Datum* out) -> Status {
    const std::string_view bytes = a[0].as_bytes();
    RETURN_IF_ERROR(CheckIndex(a[1].as_int(), int64_t(bytes.size())));
    *out = Datum::Int(uint8_t(bytes[size_t(a[1].as_int())]));
    return OkStatus();
  });
  table.Add("byteaSetByte", [](EvalContext&, Args a, Datum* out) -> Status {
    std::string bytes(a[0].as_bytes());
    RETURN_IF_ERROR(CheckIndex(a[1].as_int(), int64_t(bytes.size())));
    bytes[size_t(a[1].as_int())] = char(a[2].as_int());
    *out = Datum::Bytes(bytes);
    return OkStatus();
  });
  table.Add("byteaGetBit", [](EvalContext&, Args a, Datum* out) -> Status {
    const std::string_view bytes = a[0].as_bytes();
    const int64_t n = a[1].as_int();
    RETURN_IF_ERROR(CheckIndex(n, int64_t(bytes.size()) * 8));
    *out = Datum::Int(uint8_t(bytes[size_t(n / 8)]) >> (n % 8) & 1);
    return OkStatus();
  });
  table.Add("byteaSetBit", [](EvalContext&, Args a, Datum* out) -> Status {
    std::string bytes(a[0].as_bytes());
    const int64_t n = a[1].as_int();
    RETURN_IF_ERROR(CheckIndex(n, int64_t(bytes.size()) * 8));
    const int64_t bit = a[2].as_int();
    if (bit != 0 && bit != 1) return InvalidParameter("new bit must be 0 or 1");
    const auto mask = uint8_t(1U << (n % 8));
    char& byte = bytes[size_t(n / 8)];
    byte = char(bit == 1 ? uint8_t(byte) | mask : uint8_t(byte) & ~mask);
    *out = Datum::Bytes(bytes);
    return OkStatus();
  });
  table.Add("bytea_bit_count", [](EvalContext&, Args a, Datum* out) -> Status {
    int64_t count = 0;
    for (const char c : a[0].as_bytes()) count += std::popcount(uint8_t(c));
    *out = Datum::Int(count);
    return OkStatus();
  });
}

}  // namespace

void RegisterSizeFunctions(EvaluatorTable& table) {
  table.AddTyped("pg_column_size", &ColumnSize);
  table.Add("pg_size_pretty", &SizePretty);
  table.Add("pg_size_pretty_numeric", &SizePrettyNumeric);
  table.Add("pg_num_nulls", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(CountNulls(a));
    return OkStatus();
  });
  table.Add("pg_num_nonnulls", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(int64_t(a.size()) - CountNulls(a));
    return OkStatus();
  });
  AddBytesAndBits(table);
}

}  // namespace orrery::sql
