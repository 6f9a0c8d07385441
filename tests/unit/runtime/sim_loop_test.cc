// Time, tasks, mutexes and what the simulator reports as wrong.
#include <gtest/gtest.h>

#include "orrery/runtime/sim/simulator.h"

namespace orrery::runtime {
namespace {

class SimLoop : public ::testing::TestWithParam<SimBackend> {
 protected:
  Status Run(uint64_t seed, absl::AnyInvocable<Status(const Context&)> body) {
    Simulator sim(seed, {.backend = GetParam()});
    return sim.Run(std::move(body));
  }
  static void ExpectFailure(const Status& status, std::string_view part) {
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find(part), std::string_view::npos) << status.ToString();
  }
};

TEST_P(SimLoop, TimeIsVirtual) {
  Simulator sim(1, {.backend = GetParam(), .time_max = std::chrono::hours(100)});
  std::string order;
  const Status status = sim.Run([&](const Context& ctx) {
    TaskGroup group(ctx, "sleepers");
    for (const int hours : {3, 1, 2}) {
      group.Spawn({}, [&order, hours](const Context& c) -> Status {
        RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, std::chrono::hours(hours)));
        order += std::to_string(hours);
        return OkStatus();
      });
    }
    RETURN_IF_ERROR(group.Join());
    return ctx.runtime().scheduler().SleepFor(ctx.WithTimeout(1s), 2s);
  });
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded);  // the body's own status
  EXPECT_EQ(order, "123");
  EXPECT_GE(sim.now().ns, 3 * 3600 * 1'000'000'000LL);
}

TEST_P(SimLoop, SyncPrimitivesWork) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Status status = Run(seed, [](const Context& ctx) -> Status {
      Channel<int> channel(2);
      OneShot<int> sum;
      TaskGroup group(ctx, "pair");
      group.Spawn({}, [&](const Context& c) -> Status {
        for (int i = 1; i <= 100; ++i) RETURN_IF_ERROR(channel.Send(c, i));
        channel.Close();
        return OkStatus();
      });
      group.Spawn({}, [&](const Context& c) -> Status {
        int total = 0;
        while (true) {
          ASSIGN_OR_RETURN(auto item, channel.Receive(c));
          if (!item) break;
          total += *item;
        }
        sum.Set(total);
        return OkStatus();
      });
      ASSIGN_OR_RETURN(const int total, sum.Take(ctx));
      EXPECT_EQ(total, 5050);
      return group.Join();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
}

TEST_P(SimLoop, CancellationAndDeadlinesEndWaits) {
  const Status status = Run(3, [](const Context& ctx) -> Status {
    const auto scope = ctx.WithCancel();
    OneShot<int> never;
    EXPECT_EQ(never.Take(ctx.WithTimeout(10ms)).status().code(), Code::kDeadlineExceeded);
    TaskGroup group(scope.context, "waiters");
    for (int i = 0; i < 10; ++i) {
      group.Spawn({}, [&, i](const Context& c) {
        const Status s = i % 2 ? never.Take(c).status() : c.runtime().scheduler().SleepFor(c, 1h);
        EXPECT_EQ(s.code(), Code::kCancelled);
        return OkStatus();
      });
    }
    RETURN_IF_ERROR(ctx.runtime().scheduler().SleepFor(ctx, 1s));
    scope.Cancel();
    return group.Join();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// An update that reads in one critical section and writes in another loses increments, in some seeds only.
TEST_P(SimLoop, PreemptionFindsTheLostUpdate) {
  int lost = 0, whole = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    int count = 0;
    const Status status = Run(seed, [&](const Context& ctx) -> Status {
      Mutex mutex("counter");
      TaskGroup group(ctx, "adders");
      for (int t = 0; t < 2; ++t) {
        group.Spawn({}, [&](const Context&) {
          for (int i = 0; i < 10; ++i) {
            mutex.Lock();
            const int seen = count;
            mutex.Unlock();
            MutexLock lock(mutex);
            count = seen + 1;
          }
          return OkStatus();
        });
      }
      return group.Join();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    ++(count == 20 ? whole : lost);
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(whole, 0);
}

TEST_P(SimLoop, DeadlockNamesTheTasks) {
  const Status status = Run(1, [](const Context& ctx) -> Status {
    auto* never = new OneShot<int>;  // the failed run's tasks keep referring to it
    auto* group = new TaskGroup(ctx, "stuck");
    group->Spawn({.name = "waiter of nothing"}, [never](const Context& c) { return never->Take(c).status(); });
    return group->Join();
  });
  ExpectFailure(status, "deadlock");
  ExpectFailure(status, "\"driver: waiter of nothing\" waits for a condition under mutex \"one_shot\"");
  ExpectFailure(status, "\"driver: main\" waits for the end of task \"waiter of nothing\"");
  ExpectFailure(status, "seed 1");
}

TEST_P(SimLoop, MutexHeldAcrossAWaitFails) {
  ExpectFailure(Run(1,
                    [](const Context& ctx) -> Status {
                      auto* mutex = new Mutex("kept");
                      MutexLock lock(*mutex);
                      return ctx.runtime().scheduler().SleepFor(ctx, 1s);
                    }),
                "waits for a sleep while it holds mutex \"kept\"");
}

TEST_P(SimLoop, LockOrderIsChecked) {
  ExpectFailure(Run(1,
                    [](const Context&) -> Status {
                      auto* a = new Mutex("a");
                      auto* b = new Mutex("b");
                      auto* c = new Mutex("c");
                      for (auto [x, y] : {std::pair{a, b}, {b, c}, {c, a}}) {  // never a deadlock in this run
                        MutexLock first(*x);
                        MutexLock second(*y);
                      }
                      return OkStatus();
                    }),
                "takes mutex \"a\" while it holds \"c\"");
  ExpectFailure(Run(1,
                    [](const Context&) -> Status {
                      auto* mutex = new Mutex("mutex");
                      mutex->Lock();
                      mutex->Lock();
                      return OkStatus();
                    }),
                "already holds");
}

TEST_P(SimLoop, LimitsEndARun) {
  Simulator endless(1, {.backend = GetParam(), .time_max = 10s});
  ExpectFailure(endless.Run([](const Context& ctx) -> Status {
    while (true) RETURN_IF_ERROR(ctx.runtime().scheduler().SleepFor(ctx, 100ms));
  }),
                "virtual time limit");
}

TEST_P(SimLoop, StepsAreLimited) {
  Simulator busy(1, {.backend = GetParam(), .step_count_max = 1'000});
  ExpectFailure(busy.Run([](const Context& ctx) -> Status {
    while (true) ctx.runtime().scheduler().Yield();
  }),
                "step limit");
}

TEST_P(SimLoop, ThousandsOfTasks) {
  const int kTasks = GetParam() == SimBackend::kFiber ? 3'000 : 300;
  const Status status = Run(5, [&](const Context& ctx) -> Status {
    int done = 0;
    TaskGroup group(ctx, "crowd");
    for (int i = 0; i < kTasks; ++i) {
      group.Spawn({}, [&](const Context& c) -> Status {
        RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 1s));
        ++done;
        return OkStatus();
      });
    }
    RETURN_IF_ERROR(group.Join());
    EXPECT_EQ(done, kTasks);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(Probes, FireBySeedAndSite) {
  int fired_in = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    ProbeRegistry a(seed), b(seed);
    int fired = 0;
    for (int i = 0; i < 100; ++i) {
      const bool now = a.Buggify("site");
      EXPECT_EQ(now, b.Buggify("site"));
      fired += now;
    }
    if (fired) ++fired_in;
    EXPECT_EQ(a.Hits()["site"], uint64_t(fired));
  }
  EXPECT_GT(fired_in, 10);
  EXPECT_LT(fired_in, 50);
  ProbeRegistry off;
  EXPECT_FALSE(off.enabled());
  off.Hit("x");
  EXPECT_TRUE(off.Hits().empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, SimLoop, ::testing::Values(SimBackend::kFiber, SimBackend::kBaton),
                         [](const auto& info) { return info.param == SimBackend::kFiber ? "fiber" : "baton"; });

}  // namespace
}  // namespace orrery::runtime
