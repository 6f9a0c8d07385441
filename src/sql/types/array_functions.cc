// Functions and operators over arrays: PostgreSQL documentation, section 9.19.
#include <algorithm>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/record.h"
#include "orrery/sql/types/text_io.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

Status SetNull(Datum* out) {
  *out = Datum();
  return OkStatus();
}
Status SetArray(const Array& array, Datum* out) {
  *out = array.Pack();
  return OkStatus();
}
Status SubscriptError(std::string_view message) { return {Code::kInvalidArgument, "2202E", message}; }

std::strong_ordering Compare(const Datum& a, const Datum& b) { return CompareArrays(a, b); }

const ArrayDimension* DimensionOf(const Array& array, const Datum& number) {
  const int64_t n = number.as_int();
  return n < 1 || size_t(n) > array.dimensions.size() ? nullptr : &array.dimensions[size_t(n - 1)];
}

Status Dims(EvalContext&, Args a, Datum* out) {
  std::string text;
  for (const ArrayDimension& d : Array::Unpack(a[0]).dimensions) {
    text += "[" + std::to_string(d.lower) + ":" + std::to_string(int64_t(d.lower) + d.length - 1) + "]";
  }
  *out = text.empty() ? Datum() : Datum::Bytes(text);
  return OkStatus();
}
Status DimensionCount(EvalContext&, Args a, Datum* out) {
  const size_t count = Array::Unpack(a[0]).dimensions.size();
  *out = count == 0 ? Datum() : Datum::Int(int64_t(count));
  return OkStatus();
}
Status Lower(EvalContext&, Args a, Datum* out) {
  const Array array = Array::Unpack(a[0]);
  const ArrayDimension* const d = DimensionOf(array, a[1]);
  *out = d == nullptr ? Datum() : Datum::Int(d->lower);
  return OkStatus();
}
Status Upper(EvalContext&, Args a, Datum* out) {
  const Array array = Array::Unpack(a[0]);
  const ArrayDimension* const d = DimensionOf(array, a[1]);
  *out = d == nullptr ? Datum() : Datum::Int(int64_t(d->lower) + d->length - 1);
  return OkStatus();
}
Status Length(EvalContext&, Args a, Datum* out) {
  const Array array = Array::Unpack(a[0]);
  const ArrayDimension* const d = DimensionOf(array, a[1]);
  *out = d == nullptr ? Datum() : Datum::Int(d->length);
  return OkStatus();
}
Status Cardinality(EvalContext&, Args a, Datum* out) {
  *out = Datum::Int(int64_t(Array::Unpack(a[0]).elements.size()));
  return OkStatus();
}

// array_append and array_prepend: `array` and the new element at one end.
Status Extend(EvalContext& c, const Datum& array_value, Oid array_type, const Datum& element, bool at_end, Datum* out) {
  Array array;
  array.element = ElementTypeOf(array_type);
  if (!array_value.is_null()) array = Array::Unpack(array_value);
  (void)c;
  if (array.dimensions.size() > 1) return {Code::kInvalidArgument, "22000", "argument must be empty or one-dimensional array"};
  if (array.dimensions.empty()) array.dimensions.push_back({0, 1});
  array.elements.insert(at_end ? array.elements.end() : array.elements.begin(), element);
  ++array.dimensions[0].length;
  return SetArray(array, out);
}
Status Append(EvalContext& c, Args a, Datum* out) { return Extend(c, a[0], c.argument_types[0], a[1], true, out); }
Status Prepend(EvalContext& c, Args a, Datum* out) { return Extend(c, a[1], c.argument_types[1], a[0], false, out); }

bool SameLengths(std::span<const ArrayDimension> a, std::span<const ArrayDimension> b) {
  return std::ranges::equal(a, b, [](const ArrayDimension& x, const ArrayDimension& y) { return x.length == y.length; });
}

Status Concatenate(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null() || a[1].is_null()) {
    *out = a[0].is_null() ? a[1] : a[0];
    return OkStatus();
  }
  const Array x = Array::Unpack(a[0]);
  const Array y = Array::Unpack(a[1]);
  if (x.dimensions.empty() || y.dimensions.empty()) {
    *out = x.dimensions.empty() ? a[1] : a[0];
    return OkStatus();
  }
  Array joined;
  joined.element = x.element;
  const std::span<const ArrayDimension> p(x.dimensions), q(y.dimensions);
  if (p.size() == q.size() && SameLengths(p.subspan(1), q.subspan(1))) {
    joined.dimensions = x.dimensions;
    joined.dimensions[0].length += q[0].length;
  } else if (p.size() == q.size() + 1 && SameLengths(p.subspan(1), q)) {
    joined.dimensions = x.dimensions;
    ++joined.dimensions[0].length;
  } else if (q.size() == p.size() + 1 && SameLengths(q.subspan(1), p)) {
    joined.dimensions = y.dimensions;
    ++joined.dimensions[0].length;
  } else {
    const std::string_view detail =
        p.size() == q.size() || p.size() + 1 == q.size() || q.size() + 1 == p.size()
            ? "Arrays with differing element dimensions are not compatible for concatenation."
            : "";
    const Status status = SubscriptError("cannot concatenate incompatible arrays");
    if (!detail.empty()) return status.WithDetail(detail);
    return status.WithDetail("Arrays of " + std::to_string(p.size()) + " and " + std::to_string(q.size()) +
                             " dimensions are not compatible for concatenation.");
  }
  joined.elements = x.elements;
  joined.elements.insert(joined.elements.end(), y.elements.begin(), y.elements.end());
  return SetArray(joined, out);
}

Status Remove(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) return SetNull(out);
  Array array = Array::Unpack(a[0]);
  if (array.dimensions.size() > 1) return UnsupportedError("removing elements from multidimensional arrays");
  std::erase_if(array.elements, [&](const Datum& e) { return NotDistinct(array.element, e, a[1]); });
  if (array.elements.empty()) array.dimensions.clear();
  if (!array.dimensions.empty()) array.dimensions[0].length = int32_t(array.elements.size());
  return SetArray(array, out);
}
Status Replace(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) return SetNull(out);
  Array array = Array::Unpack(a[0]);
  for (Datum& e : array.elements) {
    if (NotDistinct(array.element, e, a[1])) e = a[2];
  }
  return SetArray(array, out);
}

// The subscripts, from `start` on, of elements that are not distinct from a[1].
StatusOr<std::vector<Datum>> Find(Args a, std::optional<int64_t> start, size_t limit) {
  std::vector<Datum> found;
  const Array array = Array::Unpack(a[0]);
  if (array.dimensions.size() > 1) {
    return Status(Code::kUnimplemented, "0A000", "searching for elements in multidimensional arrays is not supported");
  }
  for (size_t i = 0; i < array.elements.size() && found.size() < limit; ++i) {
    const int64_t subscript = array.dimensions[0].lower + int64_t(i);
    if (start && subscript < *start) continue;
    if (NotDistinct(array.element, array.elements[i], a[1])) found.push_back(Datum::Int(subscript));
  }
  return found;
}
Status Position(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) return SetNull(out);
  std::optional<int64_t> start;
  if (a.size() > 2) {
    if (a[2].is_null()) return {Code::kInvalidArgument, "22004", "initial position must not be null"};
    start = a[2].as_int();
  }
  ASSIGN_OR_RETURN(const std::vector<Datum> found, Find(a, start, 1));
  *out = found.empty() ? Datum() : found[0];
  return OkStatus();
}
Status Positions(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) return SetNull(out);
  ASSIGN_OR_RETURN(std::vector<Datum> found, Find(a, std::nullopt, SIZE_MAX));
  return SetArray(Array::OfList(oid::kInt4, std::move(found)), out);
}

// Nulls are in no array.
bool Has(const Array& array, const Datum& wanted) {
  if (wanted.is_null()) return false;
  return std::ranges::any_of(array.elements,
                             [&](const Datum& e) { return !e.is_null() && CompareDatums(array.element, e, wanted) == 0; });
}
Status Contains(EvalContext&, Args a, Datum* out) {
  const Array x = Array::Unpack(a[0]), y = Array::Unpack(a[1]);
  *out = Datum::Bool(std::ranges::all_of(y.elements, [&](const Datum& e) { return Has(x, e); }));
  return OkStatus();
}
Status Contained(EvalContext& c, Args a, Datum* out) {
  const Datum turned[] = {a[1], a[0]};
  return Contains(c, turned, out);
}
Status Overlaps(EvalContext&, Args a, Datum* out) {
  const Array x = Array::Unpack(a[0]), y = Array::Unpack(a[1]);
  *out = Datum::Bool(std::ranges::any_of(y.elements, [&](const Datum& e) { return Has(x, e); }));
  return OkStatus();
}

// array_to_string(array, separator [, text for nulls]): without the last argument nulls are left out.
Status ToText(EvalContext& c, Args a, Datum* out) {
  if (a[0].is_null() || a[1].is_null()) return SetNull(out);
  const Array array = Array::Unpack(a[0]);
  const bool has_null_text = a.size() > 2 && !a[2].is_null();
  std::string text;
  bool first = true;
  for (const Datum& element : array.elements) {
    if (element.is_null() && !has_null_text) continue;
    if (!first) text += a[1].as_bytes();
    first = false;
    if (element.is_null()) text += a[2].as_bytes();
    else AppendText(array.element, element, c.format, text);
  }
  *out = Datum::Bytes(text);
  return OkStatus();
}

// string_to_array(text, separator [, text that means null]). No separator: single characters.
Status FromText(EvalContext&, Args a, Datum* out) {
  if (a[0].is_null()) return SetNull(out);
  std::string_view text = a[0].as_bytes();
  std::vector<Datum> parts;
  const auto add = [&](std::string_view part) {
    const bool null = a.size() > 2 && !a[2].is_null() && part == a[2].as_bytes();
    parts.push_back(null ? Datum() : Datum::Bytes(part));
  };
  if (text.empty()) return SetArray(Array::OfList(oid::kText, {}), out);
  if (a[1].is_null()) {
    while (!text.empty()) {
      const size_t n = Utf8CharBytes(text);
      add(text.substr(0, n));
      text.remove_prefix(n);
    }
    return SetArray(Array::OfList(oid::kText, std::move(parts)), out);
  }
  const std::string_view separator = a[1].as_bytes();
  while (!separator.empty()) {
    const size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    add(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  add(text);
  return SetArray(Array::OfList(oid::kText, std::move(parts)), out);
}

Status Trim(EvalContext&, Args a, Datum* out) {
  Array array = Array::Unpack(a[0]);
  const int64_t length = array.dimensions.empty() ? 0 : array.dimensions[0].length;
  const int64_t n = a[1].as_int();
  if (n < 0 || n > length) {
    return SubscriptError("number of elements to trim must be between 0 and " + std::to_string(length));
  }
  if (length == 0) return SetArray(array, out);
  const size_t each = array.elements.size() / size_t(length);
  array.elements.resize(size_t(length - n) * each);
  array.dimensions[0].length = int32_t(length - n);
  if (array.elements.empty()) array.dimensions.clear();
  for (ArrayDimension& d : array.dimensions) d.lower = 1;
  return SetArray(array, out);
}

Status Fill(EvalContext& c, Args a, Datum* out) {
  for (size_t i = 1; i < a.size(); ++i) {
    if (a[i].is_null()) return {Code::kInvalidArgument, "22004", "dimension array or low bound array cannot be null"};
  }
  constexpr int64_t kElementsMax = 10'000'000;
  Array array;
  array.element = c.argument_types[0];
  int64_t count = 1;
  const Array lengths = Array::Unpack(a[1]);
  for (const Datum& length : lengths.elements) {
    if (length.is_null()) return {Code::kInvalidArgument, "22004", "dimension values cannot be null"};
    array.dimensions.push_back({int32_t(length.as_int()), 1});
    count *= std::max<int64_t>(length.as_int(), 0);
    if (length.as_int() < 0 || count > kElementsMax) {
      return {Code::kResourceExhausted, "54000", "array size exceeds the maximum allowed"};
    }
  }
  if (array.dimensions.size() > Array::kDimensionsMax) {
    return {Code::kResourceExhausted, "54000", "number of array dimensions (" + std::to_string(array.dimensions.size()) +
                                                   ") exceeds the maximum allowed (6)"};
  }
  if (a.size() > 2) {
    const Array lowers = Array::Unpack(a[2]);
    if (lowers.elements.size() != array.dimensions.size()) return SubscriptError("wrong number of array subscripts");
    for (size_t i = 0; i < lowers.elements.size(); ++i) {
      if (lowers.elements[i].is_null()) return {Code::kInvalidArgument, "22004", "dimension values cannot be null"};
      array.dimensions[i].lower = int32_t(lowers.elements[i].as_int());
    }
  }
  if (array.dimensions.empty()) count = 0;
  if (count == 0) array.dimensions.clear();
  array.elements.assign(size_t(count), a[0]);
  return SetArray(array, out);
}

}  // namespace

void RegisterArrayFunctions(EvaluatorTable& table) {
  table.AddComparisons<&Compare>("array_");
  table.AddLargerSmaller<&Compare>("array_");
  table.AddCmp<&Compare>("btarraycmp");
  table.AddComparisons<&CompareRecords>("record_");
  table.AddCmp<&CompareRecords>("btrecordcmp");
  table.Add("array_dims", &Dims);
  table.Add("array_ndims", &DimensionCount);
  table.Add("array_lower", &Lower);
  table.Add("array_upper", &Upper);
  table.Add("array_length", &Length);
  table.Add("array_cardinality", &Cardinality);
  table.AddTyped("array_append", &Append);
  table.AddTyped("array_prepend", &Prepend);
  table.Add("array_cat", &Concatenate);
  table.Add("array_remove", &Remove);
  table.Add("array_replace", &Replace);
  table.Add("array_position", &Position);
  table.Add("array_position_start", &Position);
  table.Add("array_positions", &Positions);
  table.Add("arraycontains", &Contains);
  table.Add("arraycontained", &Contained);
  table.Add("arrayoverlap", &Overlaps);
  table.Add("array_to_text", &ToText);
  table.Add("array_to_text_null", &ToText);
  table.Add("text_to_array", &FromText);
  table.Add("text_to_array_null", &FromText);
  table.Add("trim_array", &Trim);
  table.AddTyped("array_fill", &Fill);
  table.AddTyped("array_fill_with_lower_bounds", &Fill);
}

}  // namespace orrery::sql
