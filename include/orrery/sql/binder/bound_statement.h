// BoundStatement: a statement with every name and type resolved. Produced by the binder, read by the
// optimizer (queries and data changes), the catalog (schema changes) and the session (the rest).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "orrery/sql/binder/relation.h"
#include "orrery/sql/catalog/ddl.h"

namespace orrery::sql {

// A result column as RowDescription has it.
struct ResultColumn {
  std::string name;
  Type type;
  uint32_t table_oid = 0;    // 0: not a plain column
  uint16_t column_number = 0;
};

struct BoundQuery {
  RelationPtr root;
  std::vector<ResultColumn> result;  // root->columns, one for one
};

struct BoundCheck {
  ExprPtr expr;  // over the new row's columns; fails when false
  std::string name;
};

// One assignment per column; expressions over the columns of `input`.
struct BoundAssignment {
  uint32_t ordinal = 0;
  ExprPtr expr;
};

struct BoundOnConflict {
  ParsedOnConflict::Action action = ParsedOnConflict::Action::kNothing;
  // ColumnIds of the existing row and of `excluded`, by ordinal: what `set` and `where` are over.
  std::vector<ColumnId> existing;
  std::vector<ColumnId> excluded;
  std::vector<BoundAssignment> set;
  ExprPtr where;
};

// INSERT. `input` gives full rows: one column a table column, by ordinal, defaults filled in. Checks and
// RETURNING are over `new_row`, the ColumnIds of the row as stored, by ordinal.
struct BoundInsert {
  TablePtr table;
  RelationPtr input;
  std::vector<ColumnId> new_row;
  std::vector<BoundCheck> checks;
  std::optional<BoundOnConflict> on_conflict;
  std::vector<ExprPtr> returning;
  std::vector<ResultColumn> result;
};

// UPDATE and DELETE. `input` gives the rows to change; its columns include `old_row` (by ordinal) from the
// target's scan. RETURNING is over `new_row` and the other columns of `input` (DELETE: over old_row).
struct BoundUpdate {
  TablePtr table;
  RelationPtr input;
  std::vector<ColumnId> old_row;
  std::vector<ColumnId> new_row;
  std::vector<BoundAssignment> set;
  std::vector<BoundCheck> checks;
  std::vector<ExprPtr> returning;
  std::vector<ResultColumn> result;
};
struct BoundDelete {
  TablePtr table;
  RelationPtr input;
  std::vector<ColumnId> old_row;
  std::vector<ExprPtr> returning;
  std::vector<ResultColumn> result;
};

enum class CopyFormat : uint8_t { kText, kCsv, kBinary };
struct CopyOptions {
  CopyFormat format = CopyFormat::kText;
  char delimiter = '\t';
  std::string null_text = "\\N";
  bool header = false;
  bool header_match = false;
  char quote = '"';
  char escape = '"';
  std::vector<uint32_t> force_quote;      // positions among the copied columns
  bool force_quote_all = false;
  std::vector<uint32_t> force_not_null;
  std::vector<uint32_t> force_null;
};
struct BoundStatement;
struct BoundCopy {
  bool from = false;
  CopyOptions options;
  std::vector<std::string> column_names;    // as copied, for HEADER
  std::vector<Type> column_types;
  // FROM: an INSERT whose input has a kExternal leaf of these columns. TO: a query.
  std::shared_ptr<const BoundStatement> statement;
};

struct ExplainOptions {
  bool analyze = false;
  bool verbose = false;
  bool costs = true;
  bool timing = true;
  bool summary = false;
  bool buffers = false;
  bool settings = false;
  enum class Format : uint8_t { kText, kJson } format = Format::kText;
};
struct BoundExplain {
  ExplainOptions options;
  std::shared_ptr<const BoundStatement> statement;
};

struct BoundDdl {
  DdlCommand command;
  // Queries to parse, bind and run after the command, in the same transaction; a row in the answer is that
  // error: existing rows against a new CHECK or NOT NULL.
  struct Validation {
    std::string sql;
    Status error;
  };
  std::vector<Validation> validations;
};

// Everything that needs no catalog: the session reads ParsedStatement::node itself.
struct BoundUtility {};

using BoundNode = std::variant<BoundQuery, BoundInsert, BoundUpdate, BoundDelete, BoundCopy, BoundExplain, BoundDdl,
                               BoundUtility>;

struct BoundStatement {
  BoundNode node;
  std::vector<Type> parameter_types;  // final: none is unknown
  std::vector<TableUse> uses;         // tables it was bound against
  // False if its plan depends on more than text, types and `uses` (settings folded in): do not cache it.
  bool cacheable = true;
  std::string_view command;           // "SELECT", "INSERT": how the command tag begins

  // The result columns; empty for statements without rows.
  const std::vector<ResultColumn>& result() const;
};

}  // namespace orrery::sql
