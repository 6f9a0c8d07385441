// Growth: a cluster that begins as one node and becomes many while it is at work; and changes of replicas, which take
// ranges back to fewer voters. Called from the driver's tasks unless they say otherwise.
#pragma once

#include "cli/sim/cluster.h"

namespace orrery::cli {

// Where a range is on its way from one voter to three.
enum class GrowthStage : uint8_t {
  kLearner,    // a member has no vote yet
  kTwoVoters,  // every commit needs both
};

// Lets all nodes to come join, by the seed: the first within a third of `fault_time`, the others with it or within
// another third. No effect on a cluster that does not grow.
Status RunGrowth(const runtime::Context& context, SimCluster& cluster, Duration fault_time);
// A node that leads a range at that stage, or none.
NodeId LeaderAtStage(SimCluster& cluster, GrowthStage stage);
// Takes a voter from a range that this node leads, or gives it another one in its place. What is missing then is
// added by the node itself. On a node's task.
void ChangeReplicasOnce(ClientEnv& env, SimCluster& cluster, const runtime::Context& context);

}  // namespace orrery::cli
