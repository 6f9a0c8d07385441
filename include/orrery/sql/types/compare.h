// Order and equality of datums, as PostgreSQL's default B-tree and hash operator classes have them.
// Strings compare bytewise: the database's collation is C over UTF-8. NaN is above all floats and
// equal to itself; char(n) ignores trailing blanks; '1 mon' = '30 days'; numeric 1.0 = 1.00. Pure
// functions.
#pragma once

#include <compare>
#include <cstdint>

#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

// Order of two non-null values of one type.
std::strong_ordering CompareDatums(Oid type, const Datum& a, const Datum& b);

// True when both are NULL or both are equal values: the notion of DISTINCT, GROUP BY and UNION.
bool NotDistinct(Oid type, const Datum& a, const Datum& b);

enum class NullsOrder : uint8_t { kFirst, kLast };
enum class SortDirection : uint8_t { kAscending, kDescending };
// ORDER BY's comparison, with NULLs placed as asked (not reversed by kDescending).
std::strong_ordering CompareForSort(Oid type, const Datum& a, const Datum& b,
                                    SortDirection direction, NullsOrder nulls);

// Hash with: NotDistinct(a, b) implies equal hashes; moreover equal numbers of the types int2,
// int4, int8, oid and numeric hash alike, as do equal float4 and float8, text and varchar, so that
// hash joins may mix them. Stable over processes and machines: flows on several nodes may route
// rows by it.
uint64_t HashDatum(Oid type, const Datum& value, uint64_t seed = 0);

}  // namespace orrery::sql
