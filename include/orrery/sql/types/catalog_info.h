// CatalogInfo: what functions like pg_get_indexdef ask of the catalog (PostgreSQL documentation, table 9.71). The
// session hands one to the statements it runs; sql/catalog implements it (catalog_functions.h).
// Thread safety: as the session's transaction, one task at a time.
#pragma once

#include <optional>
#include <string>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

class CatalogInfo {
 public:
  enum class Style : uint8_t { kFull, kPretty };  // kPretty: fewer parentheses, no schema where it is not needed
  using Text = StatusOr<std::optional<std::string>>;  // nullopt: no such object, NULL in SQL

  virtual ~CatalogInfo() = default;
  // The CREATE INDEX of an index.
  virtual Text IndexDefinition(Oid index, Style style) = 0;
  // Its column at `position` >= 1; empty if it has no such column.
  virtual Text IndexColumn(Oid index, int64_t position) = 0;
  // "PRIMARY KEY (id)", "CHECK ((a > 0))".
  virtual Text ConstraintDefinition(Oid constraint, Style style) = 0;
  // The name of a table or index as regclass prints it: with its schema unless the search path finds it.
  virtual Text RelationName(Oid relation) = 0;
  // True if the search path finds the table or index by its bare name; nullopt if there is none of that OID.
  virtual StatusOr<std::optional<bool>> IsVisible(Oid relation) = 0;
  // "integer, integer" and "integer".
  virtual Text FunctionArguments(Oid function) = 0;
  virtual Text FunctionResult(Oid function) = 0;
};

}  // namespace orrery::sql
