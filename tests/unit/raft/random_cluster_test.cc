// Random clusters: I1 to I5, lease disjointness in true time, read promises, and progress after
// healing.
#include <gtest/gtest.h>

#include <cstdlib>

#include "unit/raft/cluster_sim.h"

namespace orrery::raft::test {
namespace {

TEST(RandomCluster, InvariantsHoldUnderFaults) {
  // ORRERY_RAFT_SEEDS widens the search; ORRERY_RAFT_FIRST_SEED repeats one.
  const char* count = std::getenv("ORRERY_RAFT_SEEDS");
  const char* first = std::getenv("ORRERY_RAFT_FIRST_SEED");
  const uint64_t begin = first ? std::strtoull(first, nullptr, 10) : 1;
  const uint64_t end = begin + (count ? std::strtoull(count, nullptr, 10) : 120);
  SimCounts counts;
  for (uint64_t seed = begin; seed < end; ++seed) {
    ClusterSim sim(seed, counts);
    ASSERT_EQ(sim.Run(10000), "") << "seed " << seed;
  }
  std::cout << "elections=" << counts.elections << " applied=" << counts.applied
            << " conf_changes=" << counts.conf_changes << " joint=" << counts.joint
            << " snapshots=" << counts.snapshots << " crashes=" << counts.crashes
            << " transfers=" << counts.transfers << " lease_reads=" << counts.lease_reads
            << " index_reads=" << counts.index_reads << " truncations=" << counts.truncations
            << " takeovers_after_reads=" << counts.takeovers_after_reads
            << " takeovers_below_promise=" << counts.takeovers_below_promise
            << " quiet_leaders=" << counts.quiet_leaders << " quiet_followers=" << counts.quiet_followers
            << " quiet_refusals=" << counts.quiet_refusals << "\n";
  if (end - begin < 100) return;
  // Not vacuous (H4).
  EXPECT_GT(counts.elections, 500);
  EXPECT_GT(counts.applied, 10'000);
  EXPECT_GT(counts.joint, 100);
  EXPECT_GT(counts.snapshots, 100);
  EXPECT_GT(counts.crashes, 500);
  EXPECT_GT(counts.transfers, 100);
  EXPECT_GT(counts.lease_reads, 10'000);
  EXPECT_GT(counts.index_reads, 1'000);
  EXPECT_GT(counts.takeovers_after_reads, 100);
  EXPECT_GT(counts.takeovers_below_promise, 30);
  EXPECT_GT(counts.quiet_leaders, 200);
  EXPECT_GT(counts.quiet_followers, 300);
}

}  // namespace
}  // namespace orrery::raft::test
