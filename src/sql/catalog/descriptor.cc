#include "orrery/sql/catalog/descriptor.h"

#include <algorithm>

#include "orrery/kv/api/keys.h"

namespace orrery::sql {

int Table::FindColumn(std::string_view column) const {
  for (size_t i = 0; i < descriptor.columns.size(); ++i)
    if (!descriptor.columns[i].hidden && descriptor.columns[i].name == column) return int(i);
  return -1;
}

int Table::OrdinalOfId(uint32_t column_id) const {
  for (size_t i = 0; i < descriptor.columns.size(); ++i)
    if (descriptor.columns[i].id == column_id) return int(i);
  return -1;
}

int Table::KeyPosition(uint32_t ordinal) const {
  for (size_t i = 0; i < key.size(); ++i)
    if (key[i].ordinal == ordinal) return int(i);
  return -1;
}

TablePtr MakeTable(TableDescriptor descriptor, std::string schema_name) {
  auto table = std::make_shared<Table>();
  table->descriptor = std::move(descriptor);
  table->schema_name = std::move(schema_name);
  const TableDescriptor& d = table->descriptor;
  table->key_prefix = std::string(kv::kTableDataStart);
  AppendIndexPrefix(table->key_prefix, d.storage.value(), d.primary_index);
  for (const KeyColumn& part : d.primary_key) {
    const int ordinal = table->OrdinalOfId(part.column_id);
    if (ordinal < 0) continue;  // a damaged descriptor: CheckDescriptor has refused it before
    table->key.push_back({uint32_t(ordinal), d.columns[size_t(ordinal)].type, part.direction});
  }
  std::vector<uint32_t> ordinals;
  for (uint32_t i = 0; i < d.columns.size(); ++i)
    if (table->KeyPosition(i) < 0) ordinals.push_back(i);
  std::sort(ordinals.begin(), ordinals.end(),
            [&](uint32_t a, uint32_t b) { return d.columns[a].id < d.columns[b].id; });
  for (const uint32_t ordinal : ordinals)
    table->value_columns.push_back({d.columns[ordinal].id, d.columns[ordinal].type});
  table->value_ordinals = std::move(ordinals);
  return table;
}

}  // namespace orrery::sql
