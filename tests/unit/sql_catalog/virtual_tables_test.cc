// The computed system catalogs over a reader with a few tables: shape, OIDs, and rows that PostgreSQL 15 gave for
// the same CREATE TABLE.
#include "orrery/sql/catalog/virtual_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "fake_reader.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

class VirtualTablesTest : public ::testing::Test {
 protected:
  TablePtr Find(std::string_view schema, std::string_view name) {
    for (const TablePtr& table : reader_.virtual_tables)
      if (table->schema_name == schema && table->name() == name) return table;
    return nullptr;
  }
  // All rows of pg_catalog's table `name`, by column name, as text; NULL as "~".
  std::vector<std::map<std::string, std::string>> Rows(std::string_view name, std::string_view schema = "pg_catalog") {
    std::vector<std::map<std::string, std::string>> out;
    const TablePtr table = Find(schema, name);
    EXPECT_NE(table, nullptr) << name;
    VirtualContext source{reader_, *functions_, {{"work_mem", "4MB", "Memory of a sort."}}};
    const auto rows = table->virtual_table->Rows(context_, source);
    EXPECT_TRUE(rows.ok());
    for (const auto& row : *rows) {
      auto& texts = out.emplace_back();
      EXPECT_EQ(row.size(), table->columns().size()) << name;
      for (size_t i = 0; i < row.size(); ++i) {
        const ColumnDescriptor& column = table->columns()[i];
        texts[column.name] = row[i].is_null() ? "~" : FormatText(column.type, row[i], FormatContext());
        EXPECT_FALSE(column.not_null && row[i].is_null()) << name << "." << column.name;
      }
    }
    return out;
  }
  // The rows for which `column` is `value`.
  std::vector<std::map<std::string, std::string>> RowsWhere(std::string_view name, const std::string& column,
                                                            const std::string& value,
                                                            std::string_view schema = "pg_catalog") {
    auto rows = Rows(name, schema);
    std::erase_if(rows, [&](auto& row) { return row[column] != value; });
    return rows;
  }

  FakeReader reader_;
  NoRuntime runtime_;
  runtime::Context context_{runtime_};
  const std::shared_ptr<const FunctionCatalog> functions_ = BuildFunctionCatalog();
};

TEST_F(VirtualTablesTest, EveryRelationMakesRowsOfItsColumns) {
  std::set<uint64_t> ids;
  for (const TablePtr& table : reader_.virtual_tables) {
    EXPECT_TRUE(ids.insert(table->id().value()).second) << table->name();
    EXPECT_LT(table->id().value(), kFirstUserDescriptorId) << table->name();
    Rows(table->name(), table->schema_name);
  }
  EXPECT_GT(ids.size(), 150u);
}

TEST_F(VirtualTablesTest, ClassHasTablesAndIndexes) {
  const auto table = RowsWhere("pg_class", "relname", "cat");
  ASSERT_EQ(table.size(), 1u);
  auto row = table[0];
  EXPECT_EQ(row["oid"], "16384");
  EXPECT_EQ(row["relkind"], "r");
  EXPECT_EQ(row["relnamespace"], "2200");
  EXPECT_EQ(row["relnatts"], "3");
  EXPECT_EQ(row["relchecks"], "1");
  EXPECT_EQ(row["reltuples"], "-1");
  EXPECT_EQ(row["relam"], "2");
  EXPECT_EQ(row["relhasindex"], "t");
  auto index = RowsWhere("pg_class", "relname", "cat_pkey").at(0);
  EXPECT_EQ(index["relkind"], "i");
  EXPECT_EQ(index["relam"], "403");
  EXPECT_EQ(RowsWhere("pg_index", "indexrelid", index["oid"]).at(0)["indrelid"], "16384");
  EXPECT_EQ(RowsWhere("pg_class", "relname", "pg_class").at(0)["oid"], "1259");
  EXPECT_EQ(RowsWhere("pg_class", "relname", "pg_tables").at(0)["relkind"], "v");
}

TEST_F(VirtualTablesTest, ClassOidsAreUnique) {
  for (const std::string_view relation : {"pg_class", "pg_constraint", "pg_attrdef", "pg_type", "pg_proc"}) {
    std::set<std::string> oids;
    for (auto& row : Rows(relation)) EXPECT_TRUE(oids.insert(row["oid"]).second) << relation << " " << row["oid"];
  }
}

TEST_F(VirtualTablesTest, AttributesHideTheRowIdAndKeepNumbers) {
  auto rows = RowsWhere("pg_attribute", "attrelid", "16384");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1]["attname"], "name");
  EXPECT_EQ(rows[1]["attnum"], "2");
  EXPECT_EQ(rows[1]["atttypid"], "1043");
  EXPECT_EQ(rows[1]["atttypmod"], "24");
  EXPECT_EQ(rows[1]["attlen"], "-1");
  EXPECT_EQ(rows[1]["attnotnull"], "t");
  EXPECT_EQ(rows[1]["atthasdef"], "t");
  EXPECT_EQ(rows[1]["attidentity"], "");
  EXPECT_EQ(rows[1]["attcollation"], "100");
  EXPECT_EQ(rows[2]["attstorage"], "m");
  auto heap = RowsWhere("pg_attribute", "attrelid", "16385");
  ASSERT_EQ(heap.size(), 1u);
  EXPECT_EQ(heap[0]["attname"], "a");
  auto defaults = RowsWhere("pg_attrdef", "adrelid", "16384");
  ASSERT_EQ(defaults.size(), 1u);
  EXPECT_EQ(defaults[0]["adnum"], "2");
  EXPECT_EQ(defaults[0]["adbin"], "'x'::character varying");
}

TEST_F(VirtualTablesTest, ConstraintsAndIndexes) {
  auto rows = RowsWhere("pg_constraint", "conrelid", "16384");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["conname"] + rows[0]["contype"] + rows[0]["conkey"], "cat_pkeyp{1}");
  EXPECT_EQ(rows[1]["conname"] + rows[1]["contype"] + rows[1]["conkey"], "cat_amount_checkc{3}");
  EXPECT_EQ(rows[0]["conindid"], RowsWhere("pg_class", "relname", "cat_pkey").at(0)["oid"]);
  EXPECT_EQ(rows[1]["conindid"], "0");
  auto index = RowsWhere("pg_index", "indrelid", "16384").at(0);
  EXPECT_EQ(index["indkey"] + "/" + index["indclass"] + "/" + index["indoption"], "1/1978/0");
  EXPECT_EQ(RowsWhere("pg_indexes", "tablename", "cat").at(0)["indexdef"],
            "CREATE UNIQUE INDEX cat_pkey ON public.cat USING btree (id)");
}

TEST_F(VirtualTablesTest, EveryTypeOfTheServerIsInPgType) {
  std::map<std::string, std::map<std::string, std::string>> by_oid;
  for (auto& row : Rows("pg_type")) by_oid[row["oid"]] = row;
  for (const TypeInfo& type : AllTypes()) {
    auto& row = by_oid[std::to_string(type.oid)];
    EXPECT_EQ(row["typname"], type.name);
    EXPECT_EQ(row["typlen"], std::to_string(type.length));
    EXPECT_EQ(row["typcategory"], std::string(1, type.category));
    EXPECT_EQ(row["typarray"], std::to_string(type.array_oid));
  }
}

TEST_F(VirtualTablesTest, InformationSchema) {
  auto columns = RowsWhere("columns", "table_name", "cat", "information_schema");
  ASSERT_EQ(columns.size(), 3u);
  EXPECT_EQ(columns[0]["numeric_precision"], "32");
  EXPECT_EQ(columns[0]["is_nullable"], "NO");
  EXPECT_EQ(columns[1]["character_maximum_length"], "20");
  EXPECT_EQ(columns[1]["character_octet_length"], "80");
  EXPECT_EQ(columns[1]["data_type"], "character varying");
  EXPECT_EQ(columns[2]["numeric_precision"] + "," + columns[2]["numeric_scale"], "10,2");
  EXPECT_EQ(columns[2]["udt_name"], "numeric");
  EXPECT_EQ(RowsWhere("table_constraints", "table_name", "cat", "information_schema").size(), 4u);
  EXPECT_EQ(RowsWhere("key_column_usage", "table_name", "cat", "information_schema").at(0)["column_name"], "id");
  EXPECT_EQ(RowsWhere("tables", "table_name", "cat", "information_schema").at(0)["table_type"], "BASE TABLE");
  EXPECT_EQ(RowsWhere("check_constraints", "constraint_name", "cat_amount_check", "information_schema")
                .at(0)["check_clause"],
            "((amount > (0)::numeric))");
}

TEST_F(VirtualTablesTest, TablesAreReadOnceAndOnlyWhereNeeded) {
  Rows("pg_type");
  Rows("pg_proc");
  EXPECT_EQ(reader_.lists, 0);
  Rows("pg_attribute");
  EXPECT_EQ(reader_.lists, 1);
}

}  // namespace
}  // namespace orrery::sql
