// VirtualTable: a table of pg_catalog or information_schema whose rows are computed from the catalog and
// the session when it is scanned. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/descriptor.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {

class CatalogReader;

// One setting as pg_settings shows it.
struct SettingRow {
  std::string name;
  std::string value;
  std::string description;
};

// What computing rows may need. `settings` comes from the session.
struct VirtualContext {
  CatalogReader& catalog;
  const FunctionCatalog& functions;
  std::vector<SettingRow> settings;
};

class VirtualTable {
 public:
  virtual ~VirtualTable() = default;
  // All rows, one Datum a column in the order of the Table's columns. May wait for KV.
  virtual StatusOr<std::vector<std::vector<Datum>>> Rows(const runtime::Context& context,
                                                         VirtualContext& virtual_context) const = 0;
};

// Every virtual table, schema by schema; built once with the Catalog.
std::vector<TablePtr> BuildVirtualTables();

}  // namespace orrery::sql
