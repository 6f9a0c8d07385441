#include "orrery/sql/types/record.h"

#include <algorithm>

#include "orrery/base/hash.h"
#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

struct Field {
  Oid type = oid::kInvalid;
  Datum value;
};

void PutInt32(int64_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(char(uint8_t(uint32_t(value) >> shift)));
}

uint32_t TakeInt32(std::string_view& in) {
  ORRERY_ASSERT(in.size() >= 4, "record: a Datum of type record is well-formed");
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | uint8_t(in[i]);
  in.remove_prefix(4);
  return value;
}

std::vector<Field> FieldsOf(const Datum& record) {
  std::string_view in = record.as_bytes();
  std::vector<Field> fields(TakeInt32(in));
  for (Field& field : fields) {
    field.type = TakeInt32(in);
    const auto size = int32_t(TakeInt32(in));
    if (size < 0) continue;
    const std::string_view bytes = in.substr(0, size_t(size));
    in.remove_prefix(size_t(size));
    if (field.type == oid::kRecord) {
      field.value = Datum::Bytes(bytes);
      continue;
    }
    auto value = ReceiveBinary({field.type, -1}, bytes);
    ORRERY_ASSERT(value.ok(), "record: a Datum of type record is well-formed");
    field.value = std::move(*value);
  }
  return fields;
}

Status Construct(EvalContext& context, std::span<const Datum> args, Datum* out) {
  std::string packed, bytes;
  PutInt32(int64_t(args.size()), packed);
  for (size_t i = 0; i < args.size(); ++i) {
    PutInt32(context.argument_types[i], packed);
    if (args[i].is_null()) {
      PutInt32(-1, packed);
      continue;
    }
    bytes.clear();
    AppendBinary(context.argument_types[i], args[i], bytes);
    PutInt32(int64_t(bytes.size()), packed);
    packed += bytes;
  }
  *out = Datum::Bytes(packed);
  return OkStatus();
}

Status ConstructOrNull(EvalContext& context, std::span<const Datum> args, Datum* out) {
  *out = Datum();
  const bool all_null = std::all_of(args.begin(), args.end(), [](const Datum& d) { return d.is_null(); });
  return all_null ? OkStatus() : Construct(context, args, out);
}

Function Constructor(std::string_view name, Evaluator evaluate) {
  Function f;
  f.name = name;
  f.result = oid::kRecord;
  f.variadic_any = true;
  f.strict = false;
  f.needs_argument_types = true;
  f.evaluate = evaluate;
  return f;
}

}  // namespace

void AppendRecordText(const Datum& record, const FormatContext& context, std::string& out) {
  out += '(';
  bool first = true;
  for (const Field& field : FieldsOf(record)) {
    if (!first) out += ',';
    first = false;
    if (field.value.is_null()) continue;
    const std::string text = FormatText(field.type, field.value, context);
    if (!text.empty() && text.find_first_of("\"\\(), \t\n\v\f\r") == std::string::npos) {
      out += text;
      continue;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += c;  // doubled, where arrays have a backslash
      out += c;
    }
    out += '"';
  }
  out += ')';
}

std::strong_ordering CompareRecords(const Datum& a, const Datum& b) {
  const std::vector<Field> x = FieldsOf(a), y = FieldsOf(b);
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i].type != y[i].type) return x[i].type <=> y[i].type;
    if (x[i].value.is_null() || y[i].value.is_null()) {
      if (x[i].value.is_null() != y[i].value.is_null()) return x[i].value.is_null() <=> y[i].value.is_null();
      continue;
    }
    if (const auto order = CompareDatums(x[i].type, x[i].value, y[i].value); order != 0) return order;
  }
  return x.size() <=> y.size();
}

uint64_t HashRecord(const Datum& record, uint64_t seed) {
  uint64_t hash = Hash64(std::string_view(), seed);
  for (const Field& field : FieldsOf(record)) hash = HashDatum(field.type, field.value, hash);
  return hash;
}

const Function& RecordConstructor() {
  static const Function kFunction = Constructor("row", &Construct);
  return kFunction;
}
const Function& WholeRow() {
  static const Function kFunction = Constructor("row", &ConstructOrNull);
  return kFunction;
}

}  // namespace orrery::sql
