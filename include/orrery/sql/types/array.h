// Arrays: the values of int4[], text[] and their kin. A Datum of an array type holds PostgreSQL's binary form of it
// (array_send): dimensions, whether there are nulls, the OID of the element type, lengths and lower bounds, elements.
// It therefore knows its element type, and functions over arrays need not be told. Pure functions; thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"
#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

struct ArrayDimension {
  int32_t length = 0;
  int32_t lower = 1;  // subscript of the first element
  friend bool operator==(const ArrayDimension&, const ArrayDimension&) = default;
};

// An array taken apart. Invariant: the product of the lengths is the number of elements; no dimensions: empty.
struct Array {
  static constexpr size_t kDimensionsMax = 6;

  Oid element = oid::kInvalid;
  std::vector<ArrayDimension> dimensions;
  std::vector<Datum> elements;  // the last subscript varies fastest

  // One dimension from subscript 1, or the empty array.
  static Array OfList(Oid element, std::vector<Datum> elements);
  // Requires a valid one: what PackArray and ReceiveArray give. The elements own their bytes.
  static Array Unpack(const Datum& packed);
  Datum Pack() const;
};

// The array type over `element`, and the element type of an array type; 0 if there is none.
Oid ArrayTypeOf(Oid element);
Oid ElementTypeOf(Oid array);

// The binary form as a client sends it. 22P03 if malformed, 42804 if of another element type.
StatusOr<Datum> ReceiveArray(Type element, std::string_view bytes);
// {1,2,NULL,"a b"}; [2:3]={…} where subscripts do not begin at 1. 22P02 if malformed.
StatusOr<Datum> ParseArray(Type element, std::string_view text, const FormatContext& context);
void AppendArrayText(const Datum& array, const FormatContext& context, std::string& out);

// int2vector and oidvector: "1 2", from subscript 0.
Datum MakeVector(Oid element, const std::vector<int64_t>& values);
StatusOr<Datum> ParseVector(Oid element, std::string_view text, const FormatContext& context);
void AppendVectorText(const Datum& vector, std::string& out);

// PostgreSQL's array_cmp: by elements, nulls last, then by their number and by the dimensions.
std::strong_ordering CompareArrays(const Datum& a, const Datum& b);
uint64_t HashArray(const Datum& array, uint64_t seed);

// What the grammar calls by brackets. ARRAY[…]: all arguments of one type. Subscript: array, one subscript a
// dimension. Slice: array, lower and upper bound of each dimension.
const Function& ArrayConstructor();
const Function& ArraySubscript();
const Function& ArraySlice();

}  // namespace orrery::sql
