// PlacementPolicy: what should happen to the replicas and the lease of one range. Implemented by kv/cluster
// over its pure placement functions and the state of the nodes; asked by the store's replicate queue. Safety
// never depends on its answers (R13): a change that does not fit is refused where it is applied.
#pragma once

#include <optional>

#include "orrery/kv/api/descriptor.h"

namespace orrery::kv {

struct PlacementQuestion {
  const RangeDescriptor& descriptor;
  int64_t range_bytes = 0;
  // Voters that the leader heard from lately, itself included.
  std::vector<NodeId> active_voters;
  // The node through which nearly all of the range's requests came lately; none if there were few, or from all over.
  NodeId main_gateway;
};

// At most one step at a time. `add` and `remove` may come together: a replacement.
struct PlacementAction {
  std::optional<ReplicaDescriptor> add;     // node and store
  std::optional<ReplicaDescriptor> remove;  // as in the descriptor
  std::optional<NodeId> move_lease_to;      // used only if nothing is added or removed
  bool empty() const { return !add && !remove && !move_lease_to; }
};

// Thread-safe. Must not block.
class PlacementPolicy {
 public:
  virtual ~PlacementPolicy() = default;
  virtual PlacementAction Decide(const PlacementQuestion& question) = 0;
};

}  // namespace orrery::kv
