#include "orrery/kv/cluster/placement.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::kv {
namespace {

std::vector<PlacementNode> Live(size_t count) {
  std::vector<PlacementNode> nodes;
  for (uint64_t n = 1; n <= count; ++n) nodes.push_back({.node = NodeId(n), .store = StoreId(n), .live = true});
  return nodes;
}

RangeDescriptor On(std::vector<uint64_t> nodes) {
  RangeDescriptor d;
  for (const uint64_t n : nodes) {
    d.replicas.push_back({.node = NodeId(n), .store = StoreId(n), .replica = ReplicaId(d.replicas.size() + 1)});
  }
  return d;
}

PlacementAction Decide(const std::vector<PlacementNode>& nodes, const RangeDescriptor& d, uint64_t self = 1) {
  std::vector<NodeId> active;
  for (const auto& r : d.replicas) active.push_back(r.node);
  return DecidePlacement({}, nodes, NodeId(self), d, active);
}

TEST(Placement, NothingToDoOnASettledCluster) {
  EXPECT_TRUE(Decide(Live(3), On({1, 2, 3})).empty());
  EXPECT_TRUE(Decide(Live(1), On({1})).empty());
}

TEST(Placement, OneVoterWaitsForThreeNodes) {
  EXPECT_TRUE(Decide(Live(2), On({1})).empty());  // R10: two voters survive less than one
  EXPECT_EQ(Decide(Live(3), On({1})).add->node, NodeId(2));
  EXPECT_EQ(Decide(Live(3), On({1, 2})).add->node, NodeId(3));
}

TEST(Placement, TheEmptiestNodeGetsTheReplica) {
  auto nodes = Live(5);
  nodes[1].range_count = 9;
  nodes[3].range_count = 2;
  nodes[2].range_count = nodes[4].range_count = 5;
  EXPECT_EQ(Decide(nodes, On({1, 2})).add->node, NodeId(4));
}

TEST(Placement, AGoneNodeIsReplacedInOneStep) {
  auto nodes = Live(4);
  nodes[1].live = false;
  EXPECT_FALSE(Decide(nodes, On({1, 2, 3})).remove);  // silent, but not yet given up
  nodes[1].gone = true;
  const auto action = Decide(nodes, On({1, 2, 3}));
  EXPECT_EQ(action.add->node, NodeId(4));
  EXPECT_EQ(action.remove->node, NodeId(2));
}

TEST(Placement, TheLeaseGoesToItsRequestsAndStaysWithThem) {
  auto nodes = Live(3);
  nodes[0].lease_count = 9;
  const RangeDescriptor d = On({1, 2, 3});
  const std::vector<NodeId> active{NodeId(1), NodeId(2)};
  const auto decide = [&](uint64_t gateway) {
    return DecidePlacement({}, nodes, NodeId(1), d, active, NodeId(gateway)).move_lease_to;
  };
  EXPECT_EQ(decide(0), NodeId(2));       // evened out
  EXPECT_EQ(decide(1), std::nullopt);    // busy here: counts do not matter
  nodes[0].lease_count = 0;
  EXPECT_EQ(decide(0), std::nullopt);
  EXPECT_EQ(decide(2), NodeId(2));
  EXPECT_EQ(decide(3), std::nullopt);    // it lags behind
  nodes[1].draining = true;
  EXPECT_EQ(decide(2), std::nullopt);
}

// Thousands of leases are evened out in minutes, a handful one by one, and nobody overshoots.
TEST(Placement, MovesGoByHowUnevenItIs) {
  auto nodes = Live(3);
  const PlacementAction move{.move_lease_to = NodeId(2)};
  nodes[0].lease_count = 10'000;
  EXPECT_EQ(BalancingMoves(nodes, NodeId(1), move), 100u);
  nodes[0].lease_count = 100;
  nodes[1].lease_count = 40;
  EXPECT_EQ(BalancingMoves(nodes, NodeId(1), move), 10u);
  nodes[0].lease_count = 43;
  EXPECT_EQ(BalancingMoves(nodes, NodeId(1), move), 1u);
  nodes[0].lease_count = 3;  // it follows its requests
  EXPECT_EQ(BalancingMoves(nodes, NodeId(1), move), 1u);
  nodes[0].lease_count = 10'000;
  EXPECT_EQ(BalancingMoves(nodes, NodeId(1), {.add = ReplicaDescriptor{}, .remove = ReplicaDescriptor{}}), 1u);
}

TEST(Placement, NothingMovesWhileAChangeIsUnderWay) {
  auto d = On({1, 2, 3});
  d.replicas[2].type = ReplicaType::kLearner;
  EXPECT_TRUE(Decide(Live(5), d).empty());
}

TEST(Placement, SurplusReplicasGoButNeverTheLeaseholders) {
  EXPECT_EQ(Decide(Live(4), On({1, 2, 3, 4}), 4).remove->node, NodeId(3));
  EXPECT_EQ(Decide(Live(4), On({1, 2, 3, 4}), 1).remove->node, NodeId(4));
}

TEST(Placement, LeasesEvenOut) {
  auto nodes = Live(3);
  nodes[0].lease_count = 5;
  nodes[1].lease_count = 3;
  nodes[2].lease_count = 2;
  EXPECT_EQ(Decide(nodes, On({1, 2, 3})).move_lease_to, NodeId(3));
  nodes[2].draining = true;
  EXPECT_TRUE(Decide(nodes, On({1, 2, 3})).empty());
}

TEST(Placement, AStoreReplacedAtTheSameAddressIsGoneAtOnce) {
  const auto state = [](uint64_t id, const char* address, bool live, Duration silent) {
    return NodeState{.descriptor = {.node = NodeId(id), .store = StoreId(id), .rpc_address = address},
                     .live = live, .silent_for = silent};
  };
  auto nodes = PlacementNodes({state(1, "a", true, 0s), state(2, "b", false, 5s), state(3, "c", true, 0s),
                               state(4, "b", true, 0s)}, 5min);
  EXPECT_TRUE(nodes[1].gone);
  nodes = PlacementNodes({state(1, "a", true, 0s), state(2, "b", false, 5s), state(3, "c", false, 6min),
                          state(4, "d", false, Duration::max())}, 5min);
  EXPECT_FALSE(nodes[1].gone);
  EXPECT_TRUE(nodes[2].gone);
  EXPECT_FALSE(nodes[3].gone);  // not heard since we started: may be slow to come up
}

// From any starting point, following the advice reaches rest, with three voters on live nodes.
TEST(Placement, AdviceConverges) {
  std::mt19937_64 rng(11);
  for (int round = 0; round < 200; ++round) {
    const size_t count = 3 + rng() % 4;
    auto nodes = Live(count);
    std::vector<RangeDescriptor> ranges;
    for (int r = 0; r < 10; ++r) {
      std::vector<uint64_t> on;
      for (uint64_t n = 1; n <= count; ++n) if (rng() % 2) on.push_back(n);
      if (on.empty()) on.push_back(1);
      ranges.push_back(On(on));
    }
    if (count > 3 && rng() % 2) nodes[count - 1].live = false, nodes[count - 1].gone = true;
    bool moved = true;
    int steps = 0;
    for (; moved && steps < 200; ++steps) {
      moved = false;
      for (auto& range : ranges) {
        for (auto& n : nodes) {
          n.range_count = 0;
          for (const auto& r : ranges) n.range_count += r.FindNode(n.node) != nullptr;
        }
        uint64_t self = 0;
        for (const auto& r : range.replicas) if (nodes[r.node.value() - 1].live) self = r.node.value();
        if (self == 0) continue;
        auto action = DecidePlacement({}, nodes, NodeId(self), range, {});
        if (action.remove) std::erase(range.replicas, *action.remove);
        if (action.add) range.replicas.push_back(*action.add);
        moved |= action.add || action.remove;
      }
    }
    ASSERT_LT(steps, 200) << "seed round " << round;
    for (const auto& range : ranges) {
      bool reachable = false;
      for (const auto& r : range.replicas) reachable |= nodes[r.node.value() - 1].live;
      if (reachable) {
        EXPECT_EQ(range.replicas.size(), 3u);
      }
    }
  }
}

}  // namespace
}  // namespace orrery::kv
