#include "orrery/kv/cluster/placement.h"

#include <algorithm>

namespace orrery::kv {
namespace {

// Counts lag behind by a gossip round: moves for balance wait for it, or they overshoot.
constexpr Duration kBalancingInterval = 1s;
constexpr size_t kLeaseMovesMax = 100;

const PlacementNode* FindNode(const std::vector<PlacementNode>& nodes, NodeId id) {
  for (const auto& n : nodes) {
    if (n.node == id) return &n;
  }
  return nullptr;
}

// The live node outside the range with the fewest replicas; null if there is none.
const PlacementNode* BestTarget(const std::vector<PlacementNode>& nodes, const RangeDescriptor& descriptor) {
  const PlacementNode* best = nullptr;
  for (const auto& n : nodes) {
    if (!n.live || n.gone || n.draining || descriptor.FindNode(n.node)) continue;
    if (!best || n.range_count < best->range_count) best = &n;
  }
  return best;
}

ReplicaDescriptor OnNode(const PlacementNode& node) { return {.node = node.node, .store = node.store}; }

bool Replaceable(const std::vector<PlacementNode>& nodes, const ReplicaDescriptor& replica) {
  const PlacementNode* node = FindNode(nodes, replica.node);
  return node && node->gone;
}

std::optional<PlacementAction> EvenOutReplicas(const PlacementOptions& options, const std::vector<PlacementNode>& nodes,
                                               NodeId self, const RangeDescriptor& descriptor) {
  const PlacementNode* target = BestTarget(nodes, descriptor);
  if (!target) return std::nullopt;
  const ReplicaDescriptor* fullest = nullptr;
  uint64_t most = target->range_count + options.imbalance_min - 1;
  for (const auto& replica : descriptor.replicas) {
    const PlacementNode* node = FindNode(nodes, replica.node);
    if (replica.node == self || !node || node->range_count <= most) continue;
    most = node->range_count;
    fullest = &replica;
  }
  if (!fullest) return std::nullopt;
  return PlacementAction{.add = OnNode(*target), .remove = *fullest};
}

std::optional<PlacementAction> EvenOutLeases(const PlacementOptions& options, const std::vector<PlacementNode>& nodes,
                                             NodeId self, const std::vector<NodeId>& active_voters) {
  const PlacementNode* mine = FindNode(nodes, self);
  if (!mine) return std::nullopt;
  const PlacementNode* best = nullptr;
  for (const NodeId voter : active_voters) {
    const PlacementNode* node = FindNode(nodes, voter);
    if (voter == self || !node || !node->live || node->draining) continue;
    if (!best || node->lease_count < best->lease_count) best = node;
  }
  if (!best || mine->lease_count < best->lease_count + options.imbalance_min) return std::nullopt;
  return PlacementAction{.move_lease_to = best->node};
}

// The lease goes to its requests, and stays with them.
std::optional<PlacementAction> FollowRequests(const std::vector<PlacementNode>& nodes, NodeId self,
                                              const std::vector<NodeId>& active_voters, NodeId main_gateway) {
  if (!main_gateway) return std::nullopt;
  if (main_gateway == self) return PlacementAction{};
  const PlacementNode* node = FindNode(nodes, main_gateway);
  const bool votes = std::find(active_voters.begin(), active_voters.end(), main_gateway) != active_voters.end();
  if (!votes || !node || !node->live || node->draining) return std::nullopt;
  return PlacementAction{.move_lease_to = main_gateway};
}

}  // namespace

PlacementAction DecidePlacement(const PlacementOptions& options, const std::vector<PlacementNode>& nodes, NodeId self,
                                const RangeDescriptor& descriptor, const std::vector<NodeId>& active_voters,
                                NodeId main_gateway) {
  for (const auto& replica : descriptor.replicas) {
    if (replica.type != ReplicaType::kVoter) return {};  // a change is under way (R9)
  }
  const PlacementNode* target = BestTarget(nodes, descriptor);
  for (const auto& replica : descriptor.replicas) {
    if (target && Replaceable(nodes, replica)) return {.add = OnNode(*target), .remove = replica};
  }
  const size_t voters = descriptor.replicas.size();
  const size_t live = std::count_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.live && !n.draining; });
  if (voters < options.replication_factor) {
    // R10: two voters survive less than one, so the way to three begins when there are three nodes for it.
    const bool worth_it = voters % 2 == 0 || live >= voters + 2;
    if (target && worth_it) return {.add = OnNode(*target)};
  } else if (voters > options.replication_factor) {
    const auto spare = std::find_if(descriptor.replicas.rbegin(), descriptor.replicas.rend(),
                                    [&](const auto& r) { return r.node != self; });
    if (spare != descriptor.replicas.rend()) return {.remove = *spare};
  } else if (auto action = EvenOutReplicas(options, nodes, self, descriptor)) {
    return *action;
  }
  if (auto action = FollowRequests(nodes, self, active_voters, main_gateway)) return *action;
  return EvenOutLeases(options, nodes, self, active_voters).value_or(PlacementAction{});
}

size_t BalancingMoves(const std::vector<PlacementNode>& nodes, NodeId self, const PlacementAction& action) {
  if (!action.move_lease_to) return 1;
  const PlacementNode* mine = FindNode(nodes, self);
  const PlacementNode* theirs = FindNode(nodes, *action.move_lease_to);
  if (!mine || !theirs || mine->lease_count <= theirs->lease_count) return 1;
  return std::clamp<size_t>((mine->lease_count - theirs->lease_count) / (2 * nodes.size()), 1, kLeaseMovesMax);
}

std::vector<PlacementNode> PlacementNodes(const std::vector<NodeState>& states, Duration dead_timeout) {
  std::vector<PlacementNode> nodes;
  for (const auto& state : states) {
    const bool superseded =
        !state.live && std::any_of(states.begin(), states.end(), [&](const NodeState& other) {
          return other.live && other.descriptor.node != state.descriptor.node &&
                 other.descriptor.rpc_address == state.descriptor.rpc_address;
        });
    // A node never heard of in this incarnation may just be slow to come up: its silence counts from when it
    // was heard last, and Duration::max() (never) waits for the address to tell.
    const bool dead = !state.live && state.silent_for != Duration::max() && state.silent_for > dead_timeout;
    nodes.push_back({.node = state.descriptor.node,
                     .store = state.descriptor.store,
                     .live = state.live,
                     .gone = superseded || dead,
                     .draining = state.load.draining != 0,
                     .range_count = state.load.range_count,
                     .lease_count = state.load.lease_count});
  }
  return nodes;
}

PlacementAction MembershipPlacement::Decide(const PlacementQuestion& question) {
  const auto nodes = PlacementNodes(membership_.Nodes(), options_.dead_timeout);
  PlacementAction action = DecidePlacement(options_, nodes, membership_.self(), question.descriptor,
                                           question.active_voters, question.main_gateway);
  const bool balancing = action.move_lease_to || (action.add && action.remove && !Replaceable(nodes, *action.remove));
  if (!balancing) return action;
  runtime::MutexLock lock(mutex_);
  const MonoTime now = clock_.MonoNow();
  if (now >= next_balancing_) {
    next_balancing_ = now + kBalancingInterval;
    moves_left_ = BalancingMoves(nodes, membership_.self(), action);
  }
  if (moves_left_ == 0) return {};
  --moves_left_;
  return action;
}

}  // namespace orrery::kv
