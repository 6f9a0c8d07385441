#include "orrery/kv/api/descriptor.h"

namespace orrery::kv {

const ReplicaDescriptor* RangeDescriptor::FindNode(NodeId node) const {
  for (const auto& r : replicas) {
    if (r.node == node) return &r;
  }
  return nullptr;
}

const ReplicaDescriptor* RangeDescriptor::FindReplica(ReplicaId replica) const {
  for (const auto& r : replicas) {
    if (r.replica == replica) return &r;
  }
  return nullptr;
}

}  // namespace orrery::kv
