// The gap that clients of the other nodes see when the node that leads what they write to dies, stands still or is cut off
// (G16, G17), in virtual time: what bench failover measures with real processes, over many seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "cli/sim/cluster.h"

namespace orrery::cli {
namespace {

using runtime::Context;

enum class Fault { kKill, kStop, kIsolate };
constexpr Duration kFaultTime = 6s;

class FailoverRun {
 public:
  explicit FailoverRun(uint64_t seed) : cluster_(Options(seed), report_) {}

  // The longest time without a success of any client on another node.
  Duration Gap(Fault fault) {
    cluster_.SetClientBody([this](ClientEnv& env) { Write(env); });
    const Status run = cluster_.sim().Run([&](const Context& context) -> Status {
      auto& scheduler = context.runtime().scheduler();
      for (const NodeId node : cluster_.nodes()) cluster_.Start(node);
      while (successes_.size() < 300) RETURN_IF_ERROR(scheduler.SleepFor(context, 10ms));
      RETURN_IF_ERROR(scheduler.SleepFor(context, 2s));  // replicas everywhere, leases evened out
      victim_ = cluster_.LeaseholderOf(Key(0));
      if (!victim_) return InternalError("no leaseholder");
      struck_ = cluster_.Now();
      successes_.assign(1, struck_);
      if (fault == Fault::kKill) cluster_.Crash(victim_);
      if (fault == Fault::kStop) cluster_.sim().PauseNode(victim_, kFaultTime);
      if (fault == Fault::kIsolate) cluster_.sim().Isolate(victim_);
      RETURN_IF_ERROR(scheduler.SleepFor(context, kFaultTime));
      cluster_.sim().HealAll();
      stop_ = true;
      return scheduler.SleepFor(context, 100ms);
    });
    EXPECT_TRUE(run.ok()) << run.ToString();
    successes_.push_back(struck_ + kFaultTime.count());
    int64_t gap = 0;
    for (size_t i = 1; i < successes_.size(); ++i) gap = std::max(gap, successes_[i] - successes_[i - 1]);
    return Duration(gap);
  }

 private:
  static SimClusterOptions Options(uint64_t seed) {
    SimClusterOptions options;
    options.seed = seed;
    options.clients_per_node = 2;
    options.stack = NodeStack::kKv;
    options.simulator.buggify = false;
    options.simulator.time_max = std::chrono::minutes(2);
    return options;
  }
  static std::string Key(uint64_t n) { return kv::TablePrefix(DescriptorId(1002)) + std::to_string(n); }

  void Write(ClientEnv& env) {
    auto& scheduler = env.context.runtime().scheduler();
    while (!stop_ && scheduler.SleepFor(env.context, env.rng.Between(1ms, 10ms)).ok()) {
      const std::string key = Key(env.id);
      const Status written = env.database.RunTxn(env.context, "write", [&](kv::Txn& txn) {
        kv::Batch batch;
        batch.Put(key, "x");
        return txn.Run(env.context, batch);
      });
      if (written.ok() && env.life->node != victim_ && !stop_) successes_.push_back(cluster_.Now());
    }
  }

  RunReport report_;
  SimCluster cluster_;
  NodeId victim_;
  int64_t struck_ = 0;
  std::vector<int64_t> successes_;
  bool stop_ = false;
};

class Failover : public ::testing::TestWithParam<std::pair<Fault, Duration>> {};

TEST_P(Failover, TheGapIsShort) {
  const auto [fault, longest] = GetParam();
  const char* count = std::getenv("ORRERY_FAILOVER_SEEDS");
  const uint64_t seeds = count ? std::strtoull(count, nullptr, 10) : 8;
  std::vector<int64_t> gaps;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Duration gap = FailoverRun(seed).Gap(fault);
    EXPECT_LT(gap, longest) << "ns; seed " << seed;
    gaps.push_back(gap.count() / 1'000'000);
  }
  std::sort(gaps.begin(), gaps.end());
  std::printf("ms: least %ld, median %ld, 90 %% %ld, most %ld\n", long(gaps.front()), long(gaps[gaps.size() / 2]),
              long(gaps[gaps.size() * 9 / 10]), long(gaps.back()));
}

INSTANTIATE_TEST_SUITE_P(All, Failover,
                         ::testing::Values(std::pair(Fault::kKill, Duration(2s)), std::pair(Fault::kStop, Duration(2500ms)),
                                           std::pair(Fault::kIsolate, Duration(2500ms))));

}  // namespace
}  // namespace orrery::cli
