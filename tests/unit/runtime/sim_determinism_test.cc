// The same seed gives the same run: on both back ends, and in another process.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "orrery/runtime/sim/simulator.h"

namespace orrery::runtime {
namespace {

// A toy bank that uses all there is: an account a node, kept in a file; transfers by call; a one-way rumour
// of each balance; timers, mutexes, a channel, buggify; a nemesis that crashes, cuts and shifts clocks.
class ToyBank {
 public:
  explicit ToyBank(Simulator& sim) : sim_(sim) {}

  Status Run(const Context& ctx) {
    for (uint64_t n = 1; n <= 3; ++n) StartNode(NodeId(n));
    TaskGroup group(ctx, "workload");
    group.Spawn({.name = "nemesis"}, [this](const Context& c) { return Nemesis(c); });
    for (int t = 0; t < 3; ++t) group.Spawn({.name = "client"}, [this](const Context& c) { return Client(c); });
    return group.Join();
  }

 private:
  void StartNode(NodeId id) {
    sim_.StartNode(id, [this, id](const Context& ctx) { NodeMain(id, ctx); });
  }

  void NodeMain(NodeId id, const Context& ctx) {
    Runtime& runtime = ctx.runtime();
    Mutex mutex("account");
    auto stored = runtime.file_system().ReadFile("balance");
    int64_t balance = stored.ok() ? std::stoll(*stored) : 100;
    Channel<int64_t> to_disk(4);
    std::map<NodeId, std::string> rumours;
    Transport& transport = runtime.transport();
    transport.Serve(Method::kKvBatch, [&](const Context& c, NodeId, std::string_view amount) -> StatusOr<std::string> {
      int64_t now = 0;
      {
        MutexLock lock(mutex);
        now = balance += std::stoll(std::string(amount));
      }
      if (ORRERY_BUGGIFY(runtime, "toy: slow transfer")) RETURN_IF_ERROR(runtime.scheduler().SleepFor(c, 300ms));
      RETURN_IF_ERROR(to_disk.Send(c, now));
      return std::to_string(now);
    });
    transport.ServeOneWay(Method::kGossip, [&](const Context&, NodeId from, std::string_view rumour) {
      MutexLock lock(mutex);
      rumours[from] = rumour;
      if (rumours.size() == 2) ORRERY_PROBE(runtime, "toy: heard of everybody");
    });
    ASSERT_TRUE(transport.Start(ctx, Simulator::RpcAddress(id)).ok());
    for (uint64_t n = 1; n <= 3; ++n) transport.SetAddress(NodeId(n), Simulator::RpcAddress(NodeId(n)));
    TaskGroup group(ctx, "node");
    group.Spawn({.name = "disk"}, [&](const Context& c) -> Status {
      while (true) {
        ASSIGN_OR_RETURN(auto value, to_disk.Receive(c));
        if (!value) return OkStatus();
        RETURN_IF_ERROR(runtime.file_system().WriteFileAtomic("balance", std::to_string(*value)));
      }
    });
    group.Spawn({.name = "gossip"}, [&](const Context& c) -> Status {
      while (true) {
        RETURN_IF_ERROR(runtime.scheduler().SleepFor(c, 50ms));
        MutexLock lock(mutex);
        for (uint64_t n = 1; n <= 3; ++n)
          if (NodeId(n) != id) transport.Send(NodeId(n), Method::kGossip, std::to_string(runtime.clock().WallNowNs()));
      }
    });
    (void)group.Join();
    transport.Stop();
  }

  Status Client(const Context& ctx) {
    Transport& transport = ctx.runtime().transport();
    for (uint64_t n = 1; n <= 3; ++n) transport.SetAddress(NodeId(n), Simulator::RpcAddress(NodeId(n)));
    for (int i = 0; i < 40; ++i) {
      const NodeId to(1 + sim_.random().Below(3));
      (void)transport.Call(ctx.WithTimeout(500ms), to, Method::kKvBatch, std::to_string(i));
      RETURN_IF_ERROR(ctx.runtime().scheduler().SleepFor(ctx, Duration(sim_.random().Below(20'000'000))));
    }
    return OkStatus();
  }

  Status Nemesis(const Context& ctx) {
    for (int i = 0; i < 6; ++i) {
      RETURN_IF_ERROR(ctx.runtime().scheduler().SleepFor(ctx, Duration(sim_.random().Below(200'000'000))));
      const NodeId victim(1 + sim_.random().Below(3));
      switch (sim_.random().Below(3)) {
        case 0:
          sim_.CrashNode(victim);
          StartNode(victim);
          break;
        case 1:
          sim_.Isolate(victim);
          RETURN_IF_ERROR(ctx.runtime().scheduler().SleepFor(ctx, 300ms));
          sim_.HealAll();
          break;
        default:
          sim_.SetWallClock(victim, Duration(int64_t(sim_.random().Below(1'000'000'000))), 100);
      }
    }
    return OkStatus();
  }

  Simulator& sim_;
};

struct Outcome {
  uint64_t hash = 0;
  uint64_t steps = 0;
  std::vector<std::string> trace;
  std::map<std::string, uint64_t> hits;
};

Outcome RunToy(uint64_t seed, SimBackend backend, bool record = false) {
  SimulatorOptions options{.backend = backend, .record_trace = record};
  options.link = {.loss = 20, .duplication = 20, .reorder = 50};
  Simulator sim(seed, options);
  ToyBank bank(sim);
  const Status status = sim.Run([&](const Context& ctx) { return bank.Run(ctx); });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return {sim.trace_hash(), sim.step_count(), sim.trace(), sim.probes().Hits()};
}

TEST(SimDeterminism, SameSeedSameRunOnBothBackEnds) {
  std::map<std::string, uint64_t> hits;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Outcome fiber = RunToy(seed, SimBackend::kFiber);
    const Outcome again = RunToy(seed, SimBackend::kFiber);
    EXPECT_EQ(fiber.hash, again.hash) << "seed " << seed;
    const Outcome baton = RunToy(seed, SimBackend::kBaton);
    EXPECT_EQ(fiber.steps, baton.steps);
    EXPECT_EQ(fiber.hash, baton.hash) << "seed " << seed;
    for (const auto& [name, count] : fiber.hits) hits[name] += count;
    EXPECT_NE(fiber.hash, RunToy(seed + 1000, SimBackend::kFiber).hash);
  }
  EXPECT_GT(hits["toy: heard of everybody"], 0u);
  EXPECT_GT(hits["toy: slow transfer"], 0u);
}

TEST(SimDeterminism, TraceNamesEveryEvent) {
  const Outcome recorded = RunToy(3, SimBackend::kFiber, true);
  EXPECT_EQ(recorded.hash, RunToy(3, SimBackend::kFiber).hash) << "recording changes nothing";
  EXPECT_GT(recorded.trace.size(), 1'000u);
  EXPECT_EQ(recorded.trace, RunToy(3, SimBackend::kFiber, true).trace);
}

// Prints the hash for the test below, which runs this program again.
TEST(SimDeterminism, HashOfSeedFromEnvironment) {
  const char* seed = std::getenv("ORRERY_SIM_TEST_SEED");
  const Outcome outcome = RunToy(seed ? std::strtoull(seed, nullptr, 10) : 1, SimBackend::kFiber);
  std::printf("trace_hash=%llu\n", static_cast<unsigned long long>(outcome.hash));
}

TEST(SimDeterminism, SameSeedSameRunInAnotherProcess) {
  char self[4096] = {};
  ASSERT_GT(::readlink("/proc/self/exe", self, sizeof self - 1), 0);
  for (const uint64_t seed : {11, 12, 13}) {
    const std::string command = "ORRERY_SIM_TEST_SEED=" + std::to_string(seed) + " " + self +
                                " --gtest_filter=SimDeterminism.HashOfSeedFromEnvironment";
    FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    char buffer[512];
    while (std::fgets(buffer, sizeof buffer, pipe)) output += buffer;
    EXPECT_EQ(::pclose(pipe), 0);
    const size_t at = output.find("trace_hash=");
    ASSERT_NE(at, std::string::npos) << output;
    EXPECT_EQ(std::strtoull(output.c_str() + at + 11, nullptr, 10), RunToy(seed, SimBackend::kFiber).hash);
  }
}

}  // namespace
}  // namespace orrery::runtime
