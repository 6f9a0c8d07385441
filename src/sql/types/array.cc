#include "orrery/sql/types/array.h"

#include "orrery/base/hash.h"
#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

constexpr int64_t kElementsMax = int64_t{1} << 27;  // PostgreSQL's MaxArraySize is of this order

void PutInt32(int64_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(char(uint8_t(uint32_t(value) >> shift)));
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool Int32(int32_t& value) {
    if (bytes_.size() < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) v = v << 8 | uint8_t(bytes_[size_t(i)]);
    bytes_.remove_prefix(4);
    value = int32_t(v);
    return true;
  }
  bool Bytes(size_t size, std::string_view& out) {
    if (size > bytes_.size()) return false;
    out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

Status Malformed() { return {Code::kInvalidArgument, "22P03", "incorrect binary data format"}; }

StatusOr<Array> Read(std::string_view bytes, Type wanted) {
  Reader in(bytes);
  Array out;
  int32_t dimensions = 0, flags = 0, element = 0;
  if (!in.Int32(dimensions) || !in.Int32(flags) || !in.Int32(element)) return Malformed();
  if (dimensions < 0 || size_t(dimensions) > Array::kDimensionsMax || (flags & ~1) != 0) return Malformed();
  if (wanted.oid != oid::kInvalid && Oid(element) != wanted.oid) {
    return Status(Code::kInvalidArgument, "42804", "binary data has array element type " + std::to_string(Oid(element)) +
                                                       " (" + std::string(TypeName(Oid(element))) + ") instead of expected " +
                                                       std::to_string(wanted.oid) + " (" +
                                                       std::string(TypeName(wanted.oid)) + ")");
  }
  out.element = Oid(element);
  int64_t count = dimensions == 0 ? 0 : 1;
  for (int32_t i = 0; i < dimensions; ++i) {
    ArrayDimension& d = out.dimensions.emplace_back();
    if (!in.Int32(d.length) || !in.Int32(d.lower) || d.length < 0) return Malformed();
    count *= d.length;
    if (count > kElementsMax) return Status(Code::kResourceExhausted, "54000", "array size exceeds the maximum allowed");
  }
  for (int64_t i = 0; i < count; ++i) {
    int32_t size = 0;
    std::string_view value;
    if (!in.Int32(size) || size < -1) return Malformed();
    if (size >= 0 && !in.Bytes(size_t(size), value)) return Malformed();
    if (size < 0) {
      out.elements.emplace_back();
      continue;
    }
    ASSIGN_OR_RETURN(Datum datum, ReceiveBinary({out.element, wanted.typmod}, value));
    out.elements.push_back(std::move(datum));
  }
  if (!in.empty()) return Malformed();
  if (count == 0) out.dimensions.clear();
  return out;
}

}  // namespace

Array Array::OfList(Oid element, std::vector<Datum> elements) {
  Array out;
  out.element = element;
  if (!elements.empty()) out.dimensions.push_back({int32_t(elements.size()), 1});
  out.elements = std::move(elements);
  return out;
}

Array Array::Unpack(const Datum& packed) {
  auto out = Read(packed.as_bytes(), {});
  ORRERY_ASSERT(out.ok(), "Array: a Datum of an array type is well-formed");
  return std::move(*out);
}

Datum Array::Pack() const {
  std::string out;
  bool has_null = false;
  for (const Datum& element : elements) has_null = has_null || element.is_null();
  PutInt32(int64_t(dimensions.size()), out);
  PutInt32(has_null ? 1 : 0, out);
  PutInt32(element, out);
  for (const ArrayDimension& d : dimensions) {
    PutInt32(d.length, out);
    PutInt32(d.lower, out);
  }
  std::string bytes;
  for (const Datum& value : elements) {
    if (value.is_null()) {
      PutInt32(-1, out);
      continue;
    }
    bytes.clear();
    AppendBinary(element, value, bytes);
    PutInt32(int64_t(bytes.size()), out);
    out += bytes;
  }
  return Datum::Bytes(out);
}

Oid ArrayTypeOf(Oid element) {
  const TypeInfo* const info = FindType(element);
  return info == nullptr ? oid::kInvalid : info->array_oid;
}

Oid ElementTypeOf(Oid array) {
  const TypeInfo* const info = FindType(array);
  return info == nullptr ? oid::kInvalid : info->element;
}

StatusOr<Datum> ReceiveArray(Type element, std::string_view bytes) {
  ASSIGN_OR_RETURN(const Array array, Read(bytes, element));
  return array.Pack();
}

std::strong_ordering CompareArrays(const Datum& a, const Datum& b) {
  const Array x = Array::Unpack(a);
  const Array y = Array::Unpack(b);
  const size_t count = std::min(x.elements.size(), y.elements.size());
  for (size_t i = 0; i < count; ++i) {
    const Datum& p = x.elements[i];
    const Datum& q = y.elements[i];
    if (p.is_null() || q.is_null()) {
      if (p.is_null() != q.is_null()) return p.is_null() <=> q.is_null();
      continue;
    }
    if (const auto order = CompareDatums(x.element, p, q); order != 0) return order;
  }
  if (x.elements.size() != y.elements.size()) return x.elements.size() <=> y.elements.size();
  if (x.dimensions.size() != y.dimensions.size()) return x.dimensions.size() <=> y.dimensions.size();
  for (size_t i = 0; i < x.dimensions.size(); ++i) {
    if (x.dimensions[i].length != y.dimensions[i].length) return x.dimensions[i].length <=> y.dimensions[i].length;
  }
  for (size_t i = 0; i < x.dimensions.size(); ++i) {
    if (x.dimensions[i].lower != y.dimensions[i].lower) return x.dimensions[i].lower <=> y.dimensions[i].lower;
  }
  return std::strong_ordering::equal;
}

uint64_t HashArray(const Datum& array, uint64_t seed) {
  const Array a = Array::Unpack(array);
  uint64_t hash = Hash64(std::string_view(), seed);
  for (const Datum& element : a.elements) hash = HashDatum(a.element, element, hash);
  return hash;
}

namespace {

using Args = std::span<const Datum>;

Status TooManyDimensions(size_t count) {
  return {Code::kResourceExhausted, "54000", "number of array dimensions (" + std::to_string(count) +
                                                 ") exceeds the maximum allowed (6)"};
}

// ARRAY[a, b]: of elements, or of arrays of equal dimensions one level down.
Status Construct(EvalContext& context, Args args, Datum* out) {
  const Oid type = context.argument_types[0];
  if (ElementTypeOf(type) == oid::kInvalid) {
    *out = Array::OfList(type, {args.begin(), args.end()}).Pack();
    return OkStatus();
  }
  Array whole;
  whole.element = ElementTypeOf(type);
  std::vector<ArrayDimension> inner;
  bool first = true;
  for (const Datum& arg : args) {
    Array part;
    if (!arg.is_null()) part = Array::Unpack(arg);
    if (first) inner = part.dimensions;
    first = false;
    bool same = inner.size() == part.dimensions.size();
    for (size_t i = 0; same && i < inner.size(); ++i) same = inner[i].length == part.dimensions[i].length;
    if (!same) {
      return {Code::kInvalidArgument, "2202E", "multidimensional arrays must have array expressions with matching dimensions"};
    }
    for (Datum& element : part.elements) whole.elements.push_back(std::move(element));
  }
  if (!whole.elements.empty()) {
    whole.dimensions.push_back({int32_t(args.size()), 1});
    for (const ArrayDimension& d : inner) whole.dimensions.push_back({d.length, 1});
    if (whole.dimensions.size() > Array::kDimensionsMax) return TooManyDimensions(whole.dimensions.size());
  }
  *out = whole.Pack();
  return OkStatus();
}

Status Subscript(EvalContext&, Args args, Datum* out) {
  *out = Datum();
  for (const Datum& arg : args) {
    if (arg.is_null()) return OkStatus();
  }
  const Array array = Array::Unpack(args[0]);
  if (array.dimensions.size() + 1 != args.size()) return OkStatus();
  size_t at = 0;
  for (size_t i = 0; i < array.dimensions.size(); ++i) {
    const int64_t offset = args[i + 1].as_int() - array.dimensions[i].lower;
    if (offset < 0 || offset >= array.dimensions[i].length) return OkStatus();
    at = at * size_t(array.dimensions[i].length) + size_t(offset);
  }
  *out = array.elements[at];
  return OkStatus();
}

Status Slice(EvalContext&, Args args, Datum* out) {
  *out = Datum();
  for (const Datum& arg : args) {
    if (arg.is_null()) return OkStatus();
  }
  const Array array = Array::Unpack(args[0]);
  Array slice;
  slice.element = array.element;
  const size_t given = (args.size() - 1) / 2;
  bool empty = given > array.dimensions.size() || array.dimensions.empty();
  std::vector<int64_t> from;
  for (size_t i = 0; !empty && i < array.dimensions.size(); ++i) {
    const ArrayDimension& d = array.dimensions[i];
    const int64_t last = int64_t(d.lower) + d.length - 1;
    const int64_t lower = i < given ? std::max<int64_t>(args[1 + 2 * i].as_int(), d.lower) : d.lower;
    const int64_t upper = i < given ? std::min(args[2 + 2 * i].as_int(), last) : last;
    empty = lower > upper;
    from.push_back(lower - d.lower);
    slice.dimensions.push_back({int32_t(std::max<int64_t>(upper - lower + 1, 0)), 1});
  }
  if (empty) {
    slice.dimensions.clear();
    *out = slice.Pack();
    return OkStatus();
  }
  std::vector<int64_t> index(from.size(), 0);
  for (bool more = true; more;) {
    size_t at = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      at = at * size_t(array.dimensions[i].length) + size_t(from[i] + index[i]);
    }
    slice.elements.push_back(array.elements[at]);
    more = false;
    for (size_t i = index.size(); i-- > 0 && !more;) {
      more = ++index[i] < slice.dimensions[i].length;
      if (!more) index[i] = 0;
    }
  }
  *out = slice.Pack();
  return OkStatus();
}

Function Bracket(std::string_view name, Evaluator evaluate) {
  Function f;
  f.name = name;
  f.variadic_any = true;
  f.strict = false;
  f.needs_argument_types = true;
  f.evaluate = evaluate;
  return f;
}

}  // namespace

const Function& ArrayConstructor() {
  static const Function kFunction = Bracket("array", &Construct);
  return kFunction;
}
const Function& ArraySubscript() {
  static const Function kFunction = Bracket("array_subscript", &Subscript);
  return kFunction;
}
const Function& ArraySlice() {
  static const Function kFunction = Bracket("array_slice", &Slice);
  return kFunction;
}

}  // namespace orrery::sql
