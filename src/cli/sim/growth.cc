#include "cli/sim/growth.h"

#include <algorithm>

namespace orrery::cli {

using runtime::Context;

namespace {

bool IsAtStage(const kv::RangeDescriptor& range, GrowthStage stage) {
  const auto voters = std::count_if(range.replicas.begin(), range.replicas.end(),
                                    [](const auto& replica) { return replica.type == kv::ReplicaType::kVoter; });
  if (stage == GrowthStage::kTwoVoters) return voters == 2;
  return size_t(voters) < range.replicas.size();
}

// A live node without a replica of the range.
std::optional<kv::ReplicaDescriptor> Newcomer(SimCluster& cluster, const kv::RangeDescriptor& range) {
  for (const NodeId node : cluster.nodes()) {
    const auto life = cluster.Life(node);
    if (!life || range.FindNode(life->identity)) continue;
    return kv::ReplicaDescriptor{.node = life->identity, .store = StoreId(life->identity.value())};
  }
  return std::nullopt;
}

}  // namespace

Status RunGrowth(const Context& context, SimCluster& cluster, Duration fault_time) {
  Rng rng(cluster.options().seed, "growth");
  Duration pause = rng.Between(1ms, fault_time / 3);
  while (cluster.size() < cluster.options().nodes) {
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, pause));
    cluster.Grow();
    const uint64_t left = cluster.options().nodes - cluster.size();
    // Three nodes are needed before anything grows: often they come together.
    pause = left == 0 || rng.Percent(50) ? Duration(0) : rng.Between(1ms, fault_time / 3 / int64_t(left));
  }
  return OkStatus();
}

NodeId LeaderAtStage(SimCluster& cluster, GrowthStage stage) {
  NodeId leader;
  for (const NodeId node : cluster.nodes()) {
    cluster.Observe(node, [&](NodeLife& life) {
      for (const auto& range : life.store->ListRanges()) {
        if (range.lease_valid_here && IsAtStage(range.descriptor, stage)) leader = node;
      }
    });
  }
  return leader;
}

void ChangeReplicasOnce(ClientEnv& env, SimCluster& cluster, const Context& context) {
  std::vector<kv::RangeDescriptor> held;
  for (const auto& range : env.life->store->ListRanges()) {
    if (range.lease_valid_here && range.descriptor.replicas.size() > 1) held.push_back(range.descriptor);
  }
  if (held.empty()) return;
  const kv::RangeDescriptor& range = held[env.rng.Below(held.size())];
  std::vector<kv::ReplicaDescriptor> others = range.replicas;
  std::erase_if(others, [&](const auto& replica) { return replica.node == env.life->identity; });
  kv::AdminChangeReplicasRequest change;
  change.remove = others[env.rng.Below(others.size())];
  if (env.rng.Percent(60)) change.add = Newcomer(cluster, range);
  kv::BatchRequest batch;
  batch.requests.push_back(change);
  batch.header.range = range.range;
  batch.header.generation = range.generation;
  const auto response = env.life->store->Send(context, batch);
  const char* done = change.add ? "replicas moved" : range.replicas.size() == 2 ? "ranges back to one voter" : "replicas taken away";
  cluster.report().Count(response.error ? "changes of replicas refused" : done);
}

}  // namespace orrery::cli
