// Indexes and constraints in the words of PostgreSQL's ruleutils.c, for pg_indexes, pg_get_indexdef and
// pg_get_constraintdef. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

// Columns of the primary key as attnums, in key order. Empty if the table has no PRIMARY KEY.
std::vector<uint32_t> PrimaryKeyColumns(const Table& table);
// The relkind of pg_class.
char RelationKind(const Table& table);
// "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a, b)". `qualified`: with the schema of the table.
enum class TableNaming : uint8_t { kQualified, kPlain };
std::string IndexDefinition(const Table& table, TableNaming naming);
// The column at `position` (from 1) of the primary key's index; empty if there is none.
std::string IndexColumn(const Table& table, size_t position);
// "PRIMARY KEY (a, b)".
std::string PrimaryKeyDefinition(const Table& table);
// "CHECK ((a > 0))", pretty: "CHECK (a > 0)".
enum class Parentheses : uint8_t { kAll, kPretty };
std::string CheckDefinition(const CheckDescriptor& check, Parentheses parentheses);
// Visible columns a check is about, as attnums.
std::vector<uint32_t> CheckColumns(const Table& table, const CheckDescriptor& check);

}  // namespace orrery::sql
