#include "orrery/sql/types/compare.h"

#include <bit>
#include <cmath>

#include "orrery/base/hash.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/record.h"
#include "sql/types/numeric_packed.h"
#include "sql/types/value_order.h"

namespace orrery::sql {
namespace {

uint64_t Mix(uint64_t value, uint64_t seed) {
  // splitmix64's finaliser (Steele, Lea, Flood 2014).
  uint64_t z = value + seed + 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

uint64_t HashFloat(double value, uint64_t seed) {
  if (std::isnan(value)) return Mix(0x7FF8000000000000, seed);
  if (value == 0) value = 0;  // −0 = 0
  return Mix(std::bit_cast<uint64_t>(value), seed);
}

uint64_t HashNumeric(std::string_view packed, uint64_t seed) {
  int64_t integer = 0;
  if (PackedToInt64(packed, integer)) return Mix(uint64_t(integer), seed);
  return Hash64(PackedWithoutScale(packed), seed);
}

}  // namespace

std::strong_ordering CompareFloats(double a, double b) {
  if (a < b) return std::strong_ordering::less;
  if (a > b) return std::strong_ordering::greater;
  if (a == b) return std::strong_ordering::equal;
  return std::isnan(a) <=> std::isnan(b);
}

__int128 IntervalSpan(const Interval& value) {
  constexpr int64_t kMicrosPerDay = 86'400'000'000;
  const int64_t days = int64_t(value.months) * 30 + value.days;
  return static_cast<__int128>(days) * kMicrosPerDay + value.micros;
}

namespace {
// Text, byte strings and UUIDs are asked for most and are known without a look-up.
bool IsArray(Oid type) {
  switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBytea:
    case oid::kName:
    case oid::kUuid:
    case oid::kUnknown:
      return false;
    default:
      return type == oid::kAnyarray || ElementTypeOf(type) != oid::kInvalid;
  }
}
}  // namespace

std::string_view WithoutTrailingBlanks(std::string_view text) {
  size_t size = text.size();
  while (size > 0 && text[size - 1] == ' ') --size;
  return text.substr(0, size);
}

std::strong_ordering CompareDatums(Oid type, const Datum& a, const Datum& b) {
  switch (a.kind()) {
    case Datum::Kind::kInt:
      return a.as_int() <=> b.as_int();
    case Datum::Kind::kBool:
      return a.as_bool() <=> b.as_bool();
    case Datum::Kind::kFloat:
      return CompareFloats(a.as_float(), b.as_float());
    case Datum::Kind::kBytes: {
      std::string_view x = a.as_bytes();
      std::string_view y = b.as_bytes();
      if (type == oid::kBpchar) {
        x = WithoutTrailingBlanks(x);
        y = WithoutTrailingBlanks(y);
      } else if (type == oid::kRecord) {
        return CompareRecords(a, b);
      } else if (IsArray(type)) {
        return CompareArrays(a, b);
      }
      return x.compare(y) <=> 0;
    }
    case Datum::Kind::kNumeric:
      return ComparePacked(a.as_packed_numeric(), b.as_packed_numeric());
    case Datum::Kind::kInterval: {
      const __int128 x = IntervalSpan(a.as_interval());
      const __int128 y = IntervalSpan(b.as_interval());
      return x < y   ? std::strong_ordering::less
             : x > y ? std::strong_ordering::greater
                     : std::strong_ordering::equal;
    }
    case Datum::Kind::kNull:
      break;
  }
  ORRERY_ASSERT(false, "CompareDatums: both values are non-null");
}

bool NotDistinct(Oid type, const Datum& a, const Datum& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  return CompareDatums(type, a, b) == 0;
}

std::strong_ordering CompareForSort(Oid type, const Datum& a, const Datum& b,
                                    SortDirection direction, NullsOrder nulls) {
  if (a.is_null() || b.is_null()) {
    const auto order = a.is_null() <=> b.is_null();
    return nulls == NullsOrder::kLast ? order : 0 <=> order;
  }
  const auto order = CompareDatums(type, a, b);
  return direction == SortDirection::kAscending ? order : 0 <=> order;
}

uint64_t HashDatum(Oid type, const Datum& value, uint64_t seed) {
  switch (value.kind()) {
    case Datum::Kind::kNull:
      return Mix(0x6E756C6C, seed);
    case Datum::Kind::kBool:
      return Mix(value.as_bool() ? 1 : 0, seed);
    case Datum::Kind::kInt:
      return Mix(uint64_t(value.as_int()), seed);
    case Datum::Kind::kFloat:
      return HashFloat(value.as_float(), seed);
    case Datum::Kind::kInterval: {
      const __int128 span = IntervalSpan(value.as_interval());
      return Mix(uint64_t(span), Mix(uint64_t(span >> 64), seed));
    }
    case Datum::Kind::kBytes:
      if (type == oid::kRecord) return HashRecord(value, seed);
      if (IsArray(type)) return HashArray(value, seed);
      return Hash64(
          type == oid::kBpchar ? WithoutTrailingBlanks(value.as_bytes()) : value.as_bytes(), seed);
    case Datum::Kind::kNumeric:
      return HashNumeric(value.as_packed_numeric(), seed);
  }
  ORRERY_ASSERT(false, "HashDatum: kinds are covered");
}

}  // namespace orrery::sql
