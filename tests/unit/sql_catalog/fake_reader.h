// A CatalogReader over two tables, `cat` with a key and `heap` without, and a runtime that must not be used.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "orrery/runtime/runtime.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/catalog/virtual_table.h"

namespace orrery::sql {

class NoRuntime final : public runtime::Runtime {
 public:
  runtime::Clock& clock() override { std::abort(); }
  runtime::Random& random() override { std::abort(); }
  runtime::Scheduler& scheduler() override { std::abort(); }
  runtime::FileSystem& file_system() override { std::abort(); }
  runtime::Transport& transport() override { std::abort(); }
  runtime::Network& network() override { std::abort(); }
  runtime::ProbeRegistry& probes() override { std::abort(); }
};

class FakeReader final : public CatalogReader {
 public:
  FakeReader() {
    TableDescriptor cat;
    cat.id = DescriptorId(16384);
    cat.schema = kPublicSchemaId;
    cat.name = "cat";
    cat.columns = {{.id = 1, .name = "id", .type = oid::kInt4, .not_null = true},
                   {.id = 2, .name = "name", .type = oid::kVarchar, .typmod = 24, .not_null = true,
                    .default_sql = "'x'::character varying"},
                   {.id = 3, .name = "amount", .type = oid::kNumeric, .typmod = ((10 << 16) | 2) + 4}};
    cat.next_column_id = 4;
    cat.primary_key_name = "cat_pkey";
    cat.primary_key = {{1, ordered::Direction::kAscending}};
    cat.storage = cat.id;
    cat.checks = {{"cat_amount_check", "(amount > (0)::numeric)"}};
    tables.push_back(MakeTable(std::move(cat), "public"));
    TableDescriptor heap;
    heap.id = DescriptorId(16385);
    heap.schema = kPublicSchemaId;
    heap.name = "heap";
    heap.columns = {{.id = 1, .name = "a", .type = oid::kText},
                    {.id = 2, .name = "rowid", .type = oid::kInt8, .not_null = true, .hidden = true}};
    heap.primary_key = {{2, ordered::Direction::kAscending}};
    heap.storage = heap.id;
    tables.push_back(MakeTable(std::move(heap), "public"));
  }

  StatusOr<TableUse> FindTable(const runtime::Context&, std::string_view schema, std::string_view name) override {
    for (const auto* list : {&virtual_tables, &tables})
      for (const TablePtr& table : *list)
        if (table->name() == name && (schema.empty() || table->schema_name == schema)) return TableUse{table, nullptr};
    return TableUse{};
  }
  StatusOr<std::vector<TablePtr>> ListTables(const runtime::Context&) override {
    ++lists;
    return tables;
  }
  std::vector<TablePtr> VirtualTables() const override { return virtual_tables; }
  DescriptorId FindSchema(std::string_view name) const override {
    return name == "public" ? kPublicSchemaId : DescriptorId();
  }
  std::vector<std::string> SearchPath() const override { return {"pg_catalog", "public"}; }

  std::vector<TablePtr> tables;
  std::vector<TablePtr> virtual_tables = BuildVirtualTables();
  int lists = 0;
};

}  // namespace orrery::sql
