#include "sql/catalog/definitions.h"

#include "orrery/sql/catalog/names.h"
#include "orrery/sql/catalog/virtual_table.h"
#include "orrery/sql/parser/parser.h"

namespace orrery::sql {

namespace {

std::string KeyList(const Table& table) {
  std::string list;
  for (const Table::KeyPart& part : table.key) {
    if (!list.empty()) list += ", ";
    list += QuoteIdentifier(table.columns()[part.ordinal].name);
    if (part.direction == ordered::Direction::kDescending) list += " DESC";
  }
  return "(" + list + ")";
}

// True if the first parenthesis closes at the very end.
bool IsEnclosed(std::string_view sql) {
  if (!sql.starts_with('(') || !sql.ends_with(')')) return false;
  int depth = 0;
  bool in_quotes = false;
  for (size_t i = 0; i + 1 < sql.size(); ++i) {
    if (sql[i] == '\'') in_quotes = !in_quotes;
    if (in_quotes) continue;
    depth += sql[i] == '(' ? 1 : sql[i] == ')' ? -1 : 0;
    if (depth == 0) return false;
  }
  return true;
}

}  // namespace

std::vector<uint32_t> PrimaryKeyColumns(const Table& table) {
  std::vector<uint32_t> columns;
  if (!table.has_primary_key()) return columns;
  for (const KeyColumn& column : table.descriptor.primary_key) columns.push_back(column.column_id);
  return columns;
}

char RelationKind(const Table& table) {
  // PostgreSQL's views among the system catalogs: all of information_schema, and those whose OIDs initdb gives.
  constexpr uint64_t kFirstViewOid = 12000;
  const bool sql_standard_table = table.name().starts_with("sql_");  // the few tables of information_schema
  return table.virtual_table && table.id().value() >= kFirstViewOid && !sql_standard_table ? 'v' : 'r';
}

std::string IndexDefinition(const Table& table, TableNaming naming) {
  const std::string schema =
      naming == TableNaming::kQualified ? QuoteIdentifier(table.schema_name) + "." : std::string();
  return "CREATE UNIQUE INDEX " + QuoteIdentifier(table.descriptor.primary_key_name) + " ON " + schema +
         QuoteIdentifier(table.name()) + " USING btree " + KeyList(table);
}

std::string IndexColumn(const Table& table, size_t position) {
  if (position == 0 || position > table.key.size()) return "";
  return QuoteIdentifier(table.columns()[table.key[position - 1].ordinal].name);
}

std::string PrimaryKeyDefinition(const Table& table) { return "PRIMARY KEY " + KeyList(table); }

std::string CheckDefinition(const CheckDescriptor& check, Parentheses parentheses) {
  const std::string one = IsEnclosed(check.sql) ? check.sql : "(" + check.sql + ")";
  return "CHECK " + (parentheses == Parentheses::kPretty ? one : "(" + one + ")");
}

std::vector<uint32_t> CheckColumns(const Table& table, const CheckDescriptor& check) {
  std::vector<uint32_t> columns;
  for (const ColumnDescriptor& column : table.columns())
    if (!column.hidden && UsesColumn(check.sql, column.name)) columns.push_back(column.id);
  return columns;
}

}  // namespace orrery::sql
