// The system catalogs as tables: columns from the relation specs, rows from constants or from a row maker. A
// relation with neither is empty, as it is in a PostgreSQL server that does not use the feature.
#include "sql/catalog/virtual_tables.h"

#include <charconv>
#include <map>

#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {

namespace {

// Cuts `text` at the next separator and moves behind it.
std::string_view TakeUntil(std::string_view& text, std::string_view separator) {
  const size_t at = text.find(separator);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + separator.size());
  return taken;
}

ColumnDescriptor ParseColumn(std::string_view spec, uint32_t id) {
  ColumnDescriptor column;
  column.id = id;
  column.name = TakeUntil(spec, " ");
  column.not_null = spec.ends_with('!');
  if (column.not_null) spec.remove_suffix(1);
  const TypeInfo* const type = FindTypeByName(spec);
  ORRERY_ASSERT(type != nullptr, "system catalogs: a column of a type this server does not have");
  column.type = type->oid;
  return column;
}

Datum ParseField(Oid type, std::string_view text) {
  if (text == "~") return Datum();
  if (type == oid::kBool) return Datum::Bool(text == "true");
  if (type == oid::kChar) return text.empty() ? NoChar() : Char(text[0]);
  if (IsStringType(type)) return Text(text);
  if (ElementTypeOf(type) != oid::kInvalid) {
    auto array = ParseText({type, -1}, text, FormatContext());
    ORRERY_ASSERT(array.ok(), "system catalogs: not an array");
    return std::move(*array);
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ORRERY_ASSERT(error == std::errc() && end == text.data() + text.size(), "system catalogs: not a number");
  return type == oid::kFloat4 || type == oid::kFloat8 ? Datum::Float(double(value)) : Datum::Int(value);
}

std::vector<Row> ParseRows(const std::vector<ColumnDescriptor>& columns, std::string_view text) {
  std::vector<Row> rows;
  while (!text.empty()) {
    std::string_view line = TakeUntil(text, "\n");
    Row& row = rows.emplace_back();
    for (const ColumnDescriptor& column : columns) row.push_back(ParseField(column.type, TakeUntil(line, "|")));
    ORRERY_ASSERT(line.empty(), "system catalogs: a constant row has one field a column");
  }
  return rows;
}

class ConstantTable final : public VirtualTable {
 public:
  explicit ConstantTable(std::vector<Row> rows) : rows_(std::move(rows)) {}
  StatusOr<std::vector<Row>> Rows(const runtime::Context&, VirtualContext&) const override { return rows_; }

 private:
  const std::vector<Row> rows_;
};

class ComputedTable final : public VirtualTable {
 public:
  explicit ComputedTable(const RowMaker& maker) : maker_(maker) {}

  StatusOr<std::vector<Row>> Rows(const runtime::Context& context, VirtualContext& source) const override {
    CatalogView view{source.functions, source.settings, {}, {}};
    if (maker_.reads == RowMaker::Reads::kTables) {
      ASSIGN_OR_RETURN(view.tables, source.catalog.ListTables(context));
      view.virtual_tables = source.catalog.VirtualTables();
    }
    std::vector<Row> rows;
    maker_.make(view, rows);
    return rows;
  }

 private:
  const RowMaker& maker_;
};

class Builder {
 public:
  Builder() {
    for (const auto makers : {RelationRowMakers(), FunctionRowMakers(), ServerRowMakers(), InformationRowMakers()})
      for (const RowMaker& maker : makers) makers_.emplace(maker.relation, &maker);
    for (const ConstantRows& rows : ConstantCatalogRows()) constants_.emplace(rows.relation, rows.rows);
  }

  std::vector<TablePtr> Build() {
    AddSchema(kPgCatalogSchemaId, "pg_catalog", PgCatalogRelations1());
    AddSchema(kPgCatalogSchemaId, "pg_catalog", PgCatalogRelations2());
    AddSchema(kInformationSchemaId, "information_schema", InformationSchemaRelations());
    ORRERY_ASSERT(makers_.empty() && constants_.empty(), "system catalogs: rows of a relation without columns");
    return std::move(tables_);
  }

 private:
  void AddSchema(DescriptorId schema, std::string_view schema_name, std::span<const RelationSpec> relations) {
    for (const RelationSpec& relation : relations) {
      TableDescriptor descriptor;
      descriptor.id = DescriptorId(relation.oid);
      descriptor.schema = schema;
      descriptor.name = relation.name;
      for (std::string_view columns = relation.columns; !columns.empty();)
        descriptor.columns.push_back(ParseColumn(TakeUntil(columns, ", "), descriptor.next_column_id++));
      auto rows = RowsOf(std::string(schema_name) + "." + std::string(relation.name), descriptor.columns);
      auto table = std::make_shared<Table>(*MakeTable(std::move(descriptor), std::string(schema_name)));
      table->virtual_table = std::move(rows);
      tables_.push_back(std::move(table));
    }
  }

  std::shared_ptr<const VirtualTable> RowsOf(const std::string& relation,
                                             const std::vector<ColumnDescriptor>& columns) {
    if (const auto maker = makers_.extract(relation)) return std::make_shared<ComputedTable>(*maker.mapped());
    std::string_view text;
    if (const auto constant = constants_.extract(relation)) text = constant.mapped();
    return std::make_shared<ConstantTable>(ParseRows(columns, text));
  }

  std::map<std::string, const RowMaker*> makers_;  // those not yet given to a table
  std::map<std::string, std::string_view> constants_;
  std::vector<TablePtr> tables_;
};

}  // namespace

std::vector<TablePtr> BuildVirtualTables() { return Builder().Build(); }

}  // namespace orrery::sql
