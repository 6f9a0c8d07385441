// The invariants of a simulated cluster that do not depend on its workload: those watched while it runs, and
// those that hold when all is quiet.
#pragma once

#include <map>
#include <set>

#include "cli/sim/cluster.h"
#include "cli/sim/model.h"

namespace orrery::cli {

// Watches while faults happen: two replicas never hold a range's lease at one true instant (I7), replicas of one
// store never overlap (I16), a replica id names one store for ever (I17).
class Watcher {
 public:
  explicit Watcher(SimCluster& cluster) : cluster_(cluster) {}
  void LookOnce();

 private:
  struct Holder {
    NodeId node;
    kv::Lease lease;
  };
  std::vector<std::pair<RangeId, Holder>> Holders(NodeId node);
  void CheckStore(NodeId node, const std::vector<kv::RangeStatus>& ranges);
  bool StillHolds(const Holder& holder, RangeId range);

  SimCluster& cluster_;
  std::map<std::pair<RangeId, ReplicaId>, StoreId> replica_stores_;
  std::map<NodeId, std::pair<uint64_t, RaftTerm>> terms_;
};

// After the faults: every range takes writes and every lock is resolved within `limit` of virtual time (I14,
// I24), from every node.
void CheckLiveness(const runtime::Context& context, SimCluster& cluster, Duration limit);
// After growth: every range gets its three voters, on three nodes, within `limit` (R10).
void CheckGrown(const runtime::Context& context, SimCluster& cluster, Duration limit);
// When quiet: replicas are equal (I4), the routing index is the ranges and covers the key space (I15), nothing
// is locked (I14); fills the model with every version.
void Audit(const runtime::Context& context, SimCluster& cluster, VersionModel& model);

}  // namespace orrery::cli
