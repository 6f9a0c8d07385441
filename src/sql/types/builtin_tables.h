// Rows of PostgreSQL's catalogues as written by tools/generate_sql_catalogue.py. Constant data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

struct FunctionRow {
  Oid oid;
  std::string_view name;
  std::string_view symbol;     // names the evaluator, see EvaluatorTable
  std::string_view arguments;  // type OIDs, separated by blanks
  Oid result;
  char kind;        // 'f' or 'a'
  char volatility;  // 'i', 's' or 'v'
  bool strict;
  bool variadic;
  uint8_t defaults;
};

struct OperatorRow {
  Oid oid;
  std::string_view name;
  Oid left, right, result, function, commutator, negator;
  bool hashes, merges;
};

struct CastRowData {
  Oid source, target, function;
  char context, method;
};

std::span<const FunctionRow> BuiltinFunctions1();
std::span<const FunctionRow> BuiltinFunctions2();
std::span<const FunctionRow> BuiltinFunctions3();  // over arrays
// Functions over expression trees, which are text here: catalog_functions.cc.
std::span<const FunctionRow> CatalogFunctionRows();
std::span<const OperatorRow> BuiltinOperators();
std::span<const CastRowData> BuiltinCasts();

}  // namespace orrery::sql
