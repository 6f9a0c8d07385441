// Placement: where the replicas and the lease of a range should be. The decision is a pure function of what is
// known of the nodes; MembershipPlacement feeds it from Membership. Hints only (R13).
#pragma once

#include <optional>
#include <vector>

#include "orrery/kv/api/descriptor.h"
#include "orrery/kv/cluster/membership.h"
#include "orrery/kv/store/placement_policy.h"

namespace orrery::kv {

struct PlacementNode {
  NodeId node;
  StoreId store;
  bool live = false;
  bool gone = false;      // silent past the dead timeout, or another node has taken its address: replace it
  bool draining = false;
  uint64_t range_count = 0;
  uint64_t lease_count = 0;
};

struct PlacementOptions {
  size_t replication_factor = 3;
  Duration dead_timeout = std::chrono::minutes(5);
  uint64_t imbalance_min = 3;  // differences of counts below this move nothing
};

// `self` holds the lease and asks. One step at a time, in this order: replace what is gone, add what is
// missing, remove what is too much, even out replicas, take the lease to where the requests come from (a request
// whose gateway holds the lease costs no message), even out the other leases. Deterministic.
PlacementAction DecidePlacement(const PlacementOptions& options, const std::vector<PlacementNode>& nodes, NodeId self,
                                const RangeDescriptor& descriptor, const std::vector<NodeId>& active_voters,
                                NodeId main_gateway = NodeId());

// Nodes as DecidePlacement wants them. A node that is silent is gone at once if a live node with another id
// uses its address: its store was replaced.
std::vector<PlacementNode> PlacementNodes(const std::vector<NodeState>& states, Duration dead_timeout);

// How many such moves may be made before the counts are looked at anew: few enough that all nodes together, each
// deciding alone, do not overshoot. 1 for anything but a move of a lease.
size_t BalancingMoves(const std::vector<PlacementNode>& nodes, NodeId self, const PlacementAction& action);

class MembershipPlacement : public PlacementPolicy {
 public:
  // `membership` and `clock` outlive it.
  MembershipPlacement(const Membership& membership, const runtime::Clock& clock, PlacementOptions options)
      : membership_(membership), clock_(clock), options_(options) {}
  PlacementAction Decide(const PlacementQuestion& question) override;

 private:
  const Membership& membership_;
  const runtime::Clock& clock_;
  const PlacementOptions options_;
  runtime::Mutex mutex_{"placement"};
  MonoTime next_balancing_ ABSL_GUARDED_BY(mutex_);
  size_t moves_left_ ABSL_GUARDED_BY(mutex_) = 0;  // until then
};

}  // namespace orrery::kv
