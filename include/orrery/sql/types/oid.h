// PostgreSQL's object identifiers of built-in types. Clients know them by heart, so they are never
// ours to choose. Source: PostgreSQL 15, src/include/catalog/pg_type.dat.
#pragma once

#include <cstdint>

namespace orrery::sql {

using Oid = uint32_t;

namespace oid {

inline constexpr Oid kInvalid = 0;
inline constexpr Oid kBool = 16;
inline constexpr Oid kBytea = 17;
inline constexpr Oid kChar = 18;  // the one-byte type "char"
inline constexpr Oid kName = 19;
inline constexpr Oid kInt8 = 20;
inline constexpr Oid kInt2 = 21;
inline constexpr Oid kInt2vector = 22;  // arrays from subscript 0, of the system catalogs
inline constexpr Oid kInt4 = 23;
inline constexpr Oid kRegproc = 24;
inline constexpr Oid kText = 25;
inline constexpr Oid kOid = 26;
inline constexpr Oid kOidvector = 30;
inline constexpr Oid kFloat4 = 700;
inline constexpr Oid kFloat8 = 701;
inline constexpr Oid kUnknown = 705;  // a literal or parameter whose type is not known yet
inline constexpr Oid kBpchar = 1042;  // char(n)
inline constexpr Oid kVarchar = 1043;
inline constexpr Oid kDate = 1082;
inline constexpr Oid kTime = 1083;
inline constexpr Oid kTimestamp = 1114;
inline constexpr Oid kTimestamptz = 1184;
inline constexpr Oid kInterval = 1186;
inline constexpr Oid kNumeric = 1700;
inline constexpr Oid kRegprocedure = 2202;
inline constexpr Oid kRegoper = 2203;
inline constexpr Oid kRegoperator = 2204;
inline constexpr Oid kRegclass = 2205;
inline constexpr Oid kRegtype = 2206;
inline constexpr Oid kRecord = 2249;
inline constexpr Oid kCstring = 2275;
inline constexpr Oid kAny = 2276;  // pseudo-type: an argument of whatever type
inline constexpr Oid kVoid = 2278;
inline constexpr Oid kAnyarray = 2277;  // polymorphic pseudo-types (documentation, section 38.2.5)
inline constexpr Oid kAnyelement = 2283;
inline constexpr Oid kAnynonarray = 2776;  // any but an array
inline constexpr Oid kAnycompatible = 5077;
inline constexpr Oid kAnycompatiblearray = 5078;
inline constexpr Oid kAnycompatiblenonarray = 5079;
inline constexpr Oid kUuid = 2950;
inline constexpr Oid kRegnamespace = 4089;
inline constexpr Oid kRegrole = 4096;

}  // namespace oid
}  // namespace orrery::sql
