// Schema changes as the binder hands them to CatalogTxn::RunDdl: names resolved to what they mean, types
// known, expressions checked and kept as SQL text. Plain data.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/sql/catalog/descriptor.h"
#include "orrery/sql/types/datum.h"

namespace orrery::sql {

struct TableName {
  std::string schema;  // as written: empty, the search path decides
  std::string name;
};

struct CreateTableCommand {
  std::string schema;          // as written; empty: the first schema of the search path
  TableDescriptor descriptor;  // without ids of table and schema; columns, key and checks complete
  bool if_not_exists = false;
};
struct DropTablesCommand {
  std::vector<TableName> tables;
  bool if_exists = false;
};
struct TruncateTablesCommand {
  std::vector<TableName> tables;
};
struct AddPrimaryKeyCommand {
  std::vector<std::string> columns;
  std::string name;  // empty: <table>_pkey
};
struct AddCheckCommand {
  CheckDescriptor check;  // empty name: chosen by PostgreSQL's rule
};
struct DropConstraintCommand {
  std::string name;
  bool if_exists = false;
};
struct AddColumnCommand {
  ColumnDescriptor column;  // without id and `missing`
  Datum missing;            // what existing rows have in it: its default, evaluated now
  bool if_not_exists = false;
};
struct DropColumnCommand {
  std::string name;
  bool if_exists = false;
};
struct AlterColumnCommand {
  enum class Kind : uint8_t { kSetDefault, kDropDefault, kSetNotNull, kDropNotNull };
  Kind kind = Kind::kSetDefault;
  std::string name;
  std::string default_sql;
};
struct SetOptionsCommand {
  std::vector<std::string> options;
};
using AlterAction = std::variant<AddPrimaryKeyCommand, AddCheckCommand, DropConstraintCommand, AddColumnCommand,
                                 DropColumnCommand, AlterColumnCommand, SetOptionsCommand>;
struct AlterTableCommand {
  TableName table;
  bool if_exists = false;
  std::vector<AlterAction> actions;
};
struct RenameCommand {
  TableName table;
  bool if_exists = false;
  std::string column;  // empty: the table
  std::string new_name;
};
using DdlCommand = std::variant<CreateTableCommand, DropTablesCommand, TruncateTablesCommand, AlterTableCommand,
                                RenameCommand>;

struct DdlNotice {
  std::string severity;  // NOTICE, WARNING
  std::string sqlstate;
  std::string message;
};
struct DdlResult {
  std::vector<DdlNotice> notices;
  bool skipped = false;  // IF [NOT] EXISTS had nothing to do
};

}  // namespace orrery::sql
