#include "sql/catalog/records.h"

#include "orrery/base/wire.h"

namespace orrery::sql {

namespace {
std::string IndexPrefix(DescriptorId table, uint64_t index) {
  std::string key(kv::kTableDataStart);
  AppendIndexPrefix(key, table.value(), index);
  return key;
}
// Indexes of the lease table: node leases, and holds by table.
constexpr uint64_t kNodeLeaseIndex = 1;
constexpr uint64_t kHoldIndex = 2;
}  // namespace

std::string NamespaceKey(DescriptorId parent, std::string_view name) {
  std::string key = IndexPrefix(kNamespaceTableId, 1);
  ordered::AppendUint(key, parent.value());
  ordered::AppendBytes(key, name);
  return key;
}

std::string DescriptorKey(DescriptorId id) {
  std::string key = IndexPrefix(kDescriptorTableId, 1);
  ordered::AppendUint(key, id.value());
  return key;
}

kv::Span AllDescriptors() {
  const std::string prefix = IndexPrefix(kDescriptorTableId, 1);
  return {prefix, ordered::PrefixEnd(prefix)};
}

StatusOr<TableDescriptor> DecodeDescriptor(std::string_view bytes) {
  TableDescriptor out;
  RETURN_IF_ERROR(wire::Decode(bytes, out).Annotate("table descriptor"));
  bool good = !out.primary_key.empty() && bool(out.id) && bool(out.storage);
  for (const KeyColumn& part : out.primary_key) {
    bool found = false;
    for (const ColumnDescriptor& column : out.columns) found = found || column.id == part.column_id;
    good = good && found;
  }
  for (const ColumnDescriptor& column : out.columns) good = good && FindType(column.type) != nullptr;
  if (!good) return DataLossError("table descriptor " + ToString(out.id) + " is damaged");
  return out;
}

std::string NodeLeaseKey(NodeId node) {
  std::string key = IndexPrefix(kLeaseTableId, kNodeLeaseIndex);
  ordered::AppendUint(key, node.value());
  return key;
}

std::string HoldKey(DescriptorId table, NodeId node) {
  std::string key = IndexPrefix(kLeaseTableId, kHoldIndex);
  ordered::AppendUint(key, table.value());
  ordered::AppendUint(key, node.value());
  return key;
}

kv::Span HoldsOf(DescriptorId table) {
  std::string prefix = IndexPrefix(kLeaseTableId, kHoldIndex);
  ordered::AppendUint(prefix, table.value());
  return {prefix, ordered::PrefixEnd(prefix)};
}

}  // namespace orrery::sql
