// Types as values (OID and type modifier) and what pg_type says about each. The tables are
// constant: any thread may read them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

// A type with its modifier. `typmod` is PostgreSQL's atttypmod: −1 none; varchar(n), char(n): n +
// 4; numeric(p, s): ((p << 16) | (s & 0x7ff)) + 4; time, timestamp, timestamptz(p): p; interval:
// fields << 16 | p.
struct Type {
  Oid oid = oid::kInvalid;
  int32_t typmod = -1;
  friend bool operator==(const Type&, const Type&) = default;
};

// One row of pg_type. `category` and `preferred` steer overload resolution (PostgreSQL
// documentation, table 52.65); 'X' is the category of unknown literals, 'P' of pseudo-types.
struct TypeInfo {
  Oid oid;
  std::string_view name;      // pg_type.typname: int4, bpchar
  std::string_view sql_name;  // format_type without modifier: integer, character
  int16_t length;             // pg_type.typlen: bytes, −1 varlena, −2 C string
  bool by_value;              // pg_type.typbyval
  char alignment;             // pg_type.typalign
  char kind;                  // pg_type.typtype: 'b' base, 'p' pseudo
  char category;
  bool preferred;
  Oid array_oid;                     // pg_type.typarray, 0 if none
  Oid input, output, receive, send;  // pg_proc OIDs of the I/O functions
  bool has_collation;
  Oid element;  // of an array type, else 0
};

// All types this server knows, by OID.
std::span<const TypeInfo> AllTypes();
// Null if there is no such type.
const TypeInfo* FindType(Oid oid);
// By pg_type.typname (the grammar turns INTEGER into pg_catalog.int4). Null if there is none.
const TypeInfo* FindTypeByName(std::string_view name);

// As regtype takes it: int, varchar(10), "char", timestamp with time zone[]. Null if there is none.
const TypeInfo* FindTypeBySqlName(std::string_view name);

// "character varying(10)", "numeric(10,2)", "timestamp(3) with time zone": what format_type prints.
std::string FormatType(Type type);
// "integer": the name without modifiers, as error texts have it; "???" for an unknown OID.
std::string_view TypeName(Oid oid);
// The modifier of type(arguments…), for instance numeric(10, 2). InvalidArgument with PostgreSQL's
// text (22023) for bad values; 42601 for a type that takes none.
StatusOr<int32_t> MakeTypmod(Oid oid, std::span<const int32_t> arguments);

// The declared length of varchar(n) and char(n), −1 if none.
inline int32_t LengthOfTypmod(int32_t typmod) { return typmod < 4 ? -1 : typmod - 4; }
// numeric(p, s). Only for typmod >= 4.
inline int32_t PrecisionOfTypmod(int32_t typmod) { return ((typmod - 4) >> 16) & 0xffff; }
inline int32_t ScaleOfTypmod(int32_t typmod) { return (((typmod - 4) & 0x7ff) ^ 1024) - 1024; }

// Types that are an OID underneath: oid, regproc, regclass, regtype, …
bool IsOidType(Oid oid);
// text, varchar, char(n), name, unknown: values are strings of characters.
bool IsStringType(Oid oid);

}  // namespace orrery::sql
