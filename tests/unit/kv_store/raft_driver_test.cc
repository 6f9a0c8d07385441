// The task that drives the raft groups of a store, on ranges without raft (docs/design/replica.md, "The driver has a thread of its own").
#include "kv/replica/raft_driver.h"

#include <gtest/gtest.h>

#include "orrery/runtime/sim/simulator.h"
#include "orrery/runtime/scheduler.h"
#include "orrery/storage/mem_engine.h"

namespace orrery::kv {
namespace {

using runtime::Context;

constexpr Duration kCycle = 10ms;

// Every proposal it has taken in is done with the cycle, which lasts kCycle of virtual time, as a slow disk's does.
class SlowRange final : public DrivenRange {
 public:
  explicit SlowRange(const Context& context) : context_(context) {}
  std::shared_ptr<Proposal> Propose() {
    auto proposal = std::make_shared<Proposal>();
    runtime::MutexLock lock(mutex_);
    proposed_.push_back(proposal);
    return proposal;
  }
  void Collect(CycleOutput& out) override {
    {
      runtime::MutexLock lock(mutex_);
      taken_.swap(proposed_);
    }
    groups.push_back(taken_.size());
    out.sync = true;
    (void)context_.runtime().scheduler().SleepFor(context_, kCycle).ok();
  }
  void Apply(CycleOutput&) override {}
  bool Finish(CycleOutput& out) override {
    out.finished = std::exchange(taken_, {});
    if (!finished.IsSet()) out.after.push_back([this] { finished.Set(true); });
    return false;
  }
  void OnStoreFailure(const Status&, CycleOutput&) override {}

  std::vector<size_t> groups;  // proposals a cycle
  runtime::OneShot<bool> finished;  // the first cycle is

 private:
  const Context& context_;
  runtime::Mutex mutex_{"slow range"};
  std::vector<std::shared_ptr<Proposal>> proposed_;
  std::vector<std::shared_ptr<Proposal>> taken_;
};

struct World {
  explicit World(const Context& context)
      : driver(engine, context.runtime().clock(), {.send = {}, .cover_promise = [](Timestamp, CycleOutput&) { return false; }}),
        range(std::make_shared<SlowRange>(context)),
        tasks(context, "world") {}
  ~World() {
    driver.Stop();
    tasks.Cancel();
    (void)tasks.Join().ok();
  }
  void StartDriver() {
    tasks.Spawn({.name = "driver"}, [this](const Context& c) {
      driver.Run(c);
      return OkStatus();
    });
  }
  Status Write(const Context& context) {
    const auto proposal = range->Propose();
    driver.Enqueue(range);
    return driver.Wait(context, proposal->waiter);
  }

  storage::MemEngine engine;
  RaftDriver driver;
  std::shared_ptr<SlowRange> range;
  runtime::TaskGroup tasks;
};

void InSimulations(const std::function<Status(const Context&)>& body) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    runtime::Simulator sim(seed, {});
    const Status status = sim.Run(body);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

#define CHECK_THAT(condition) \
  if (!(condition)) return InternalError("line " + std::to_string(__LINE__) + ": " #condition)

TEST(RaftDriver, WhatComesDuringACycleIsTheNextGroup) {
  InSimulations([](const Context& context) -> Status {
    World world(context);
    world.StartDriver();
    RETURN_IF_ERROR(world.Write(context));  // so that the driver is there, and soon has nothing to do
    runtime::TaskGroup writers(context, "writers");
    for (int i = 0; i < 10; ++i) {
      writers.Spawn({.name = "writer"}, [&world](const Context& c) { return world.Write(c); });
    }
    RETURN_IF_ERROR(writers.Join());
    size_t written = 0;
    size_t cycles = 0;  // one more, of nothing, follows if who wrote last was taken along before he said that he had
    for (const size_t group : world.range->groups) {
      written += group;
      if (group > 0) ++cycles;
    }
    CHECK_THAT(written == 11);
    CHECK_THAT(cycles <= 3);
    CHECK_THAT(world.driver.metrics().groups_synced.load() >= cycles);
    return OkStatus();
  });
}

// Whoever waits has other clients to serve, or none: the log goes on by itself.
TEST(RaftDriver, WhoWaitsDoesNotDrive) {
  InSimulations([](const Context& context) -> Status {
    World world(context);
    CHECK_THAT(world.Write(context.WithTimeout(5 * kCycle)).code() == Code::kDeadlineExceeded);
    CHECK_THAT(world.range->groups.empty());
    world.StartDriver();  // finds what was enqueued before
    RETURN_IF_ERROR(world.Write(context));
    CHECK_THAT(world.range->groups.front() >= 1);
    return OkStatus();
  });
}

// T18: a write whose waiter has given up is decided all the same.
TEST(RaftDriver, WhatNobodyWaitsForAnyMoreIsDone) {
  InSimulations([](const Context& context) -> Status {
    World world(context);
    world.StartDriver();
    const auto given_up = world.range->Propose();
    world.driver.Enqueue(world.range);
    CHECK_THAT(world.driver.Wait(context.WithTimeout(kCycle / 2), given_up->waiter).code() == Code::kDeadlineExceeded);
    RETURN_IF_ERROR(world.range->finished.Take(context).status());
    world.driver.Stop();
    RETURN_IF_ERROR(world.driver.Wait(context.WithTimeout(kCycle), given_up->waiter));  // done before
    return OkStatus();
  });
}

TEST(RaftDriver, NoCycleBeginsAfterStop) {
  InSimulations([](const Context& context) -> Status {
    World world(context);
    world.StartDriver();
    RETURN_IF_ERROR(world.Write(context));
    const size_t before = world.range->groups.size();
    world.driver.Stop();
    CHECK_THAT(world.Write(context.WithTimeout(5 * kCycle)).code() == Code::kDeadlineExceeded);
    CHECK_THAT(world.range->groups.size() == before);
    return OkStatus();
  });
}

// The owner of the raft state is one task: raft has no mutex.
TEST(RaftDriverDeathTest, ASecondDriverIsRefused) {
  EXPECT_DEATH(InSimulations([](const Context& context) -> Status {
                 World world(context);
                 world.StartDriver();
                 world.StartDriver();
                 runtime::TaskGroup writers(context, "writers");
                 for (int i = 0; i < 10; ++i) {
                   writers.Spawn({.name = "writer"}, [&world](const Context& c) { return world.Write(c); });
                 }
                 return writers.Join();
               }),
               "one task drives");
}

}  // namespace
}  // namespace orrery::kv
