// What the computed system catalogs are made of: the columns of every relation and the rows of those that never
// change (written from PostgreSQL's own catalogs), and one function a relation whose rows are computed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/sql/catalog/virtual_table.h"

namespace orrery::sql {

// "oid oid!, relname name!, …": column, type, and a ! where it is NOT NULL.
struct RelationSpec {
  Oid oid;
  char kind;  // pg_class.relkind: r, v
  std::string_view name;
  std::string_view columns;
};
std::span<const RelationSpec> PgCatalogRelations1();
std::span<const RelationSpec> PgCatalogRelations2();
std::span<const RelationSpec> InformationSchemaRelations();

// One row a line, fields separated by bars, ~ for NULL.
struct ConstantRows {
  std::string_view relation;  // with its schema
  std::string_view rows;
};
std::span<const ConstantRows> ConstantCatalogRows();

using Row = std::vector<Datum>;

// All that row makers read. Tables are there only for makers that ask for them.
struct CatalogView {
  const FunctionCatalog& functions;
  std::span<const SettingRow> settings;
  std::vector<TablePtr> tables;          // ordinary ones, by id
  std::vector<TablePtr> virtual_tables;
};

struct RowMaker {
  enum class Reads : uint8_t { kNoTables, kTables };
  std::string_view relation;  // with its schema
  Reads reads;
  void (*make)(const CatalogView& view, std::vector<Row>& rows);
};
std::span<const RowMaker> RelationRowMakers();     // virtual_tables_relations.cc
std::span<const RowMaker> FunctionRowMakers();     // virtual_tables_functions.cc
std::span<const RowMaker> ServerRowMakers();       // virtual_tables_server.cc
std::span<const RowMaker> InformationRowMakers();  // virtual_tables_information.cc

// Shorthands of the row makers.
inline Datum Text(std::string_view text) { return Datum::Bytes(text); }
inline Datum Char(char c) { return Datum::Int(uint8_t(c)); }
inline Datum NoChar() { return Datum::Int(0); }  // "char" of an empty string
inline constexpr std::string_view kDatabaseName = "postgres";
inline constexpr std::string_view kRoleName = "postgres";
inline constexpr Oid kHeapOid = 2;     // pg_am.oid
inline constexpr Oid kBtreeOid = 403;

}  // namespace orrery::sql
