// The system tables' rows: keys and values of namespace, descriptor and lease records
// (docs/formats/catalog.md). Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/keys.h"
#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

// (parent, name) → id.
std::string NamespaceKey(DescriptorId parent, std::string_view name);
struct NamespaceRecord {
  DescriptorId id;
  template <class V> void Visit(V& v) { v(1, id); }
};

// id → TableDescriptor.
std::string DescriptorKey(DescriptorId id);
kv::Span AllDescriptors();
StatusOr<TableDescriptor> DecodeDescriptor(std::string_view bytes);

// Node → until when all its table leases hold. A lapsed lease begins a new epoch: holds of older epochs
// are void.
std::string NodeLeaseKey(NodeId node);
struct NodeLeaseRecord {
  uint64_t epoch = 0;
  Timestamp expiration;
  template <class V> void Visit(V& v) { v(1, epoch); v(2, expiration); }
};

// (table, node) → the node may use the table while its lease of that epoch lasts.
std::string HoldKey(DescriptorId table, NodeId node);
kv::Span HoldsOf(DescriptorId table);
struct HoldRecord {
  NodeId node;
  uint64_t epoch = 0;
  uint64_t version = 0;
  template <class V> void Visit(V& v) { v(1, node); v(2, epoch); v(3, version); }
};

// Messages of Method::kDescriptorLease.
struct ReleaseRequest {
  DescriptorId table;
  int64_t wait_ns = 0;
  template <class V> void Visit(V& v) { v(1, table); v(2, wait_ns); }
};
struct ReleaseResponse {
  Timestamp released;  // every transaction that used the table had ended by then
  template <class V> void Visit(V& v) { v(1, released); }
};

}  // namespace orrery::sql
