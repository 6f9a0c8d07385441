// Nodes, crashes, wires, streams, disks and clocks of the simulation.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "orrery/runtime/sim/simulator.h"

namespace orrery::runtime {
namespace {

constexpr NodeId kA(1), kB(2);

Status Sleep(const Context& ctx, Duration d) { return ctx.runtime().scheduler().SleepFor(ctx, d); }

// Serves echoes and counts them until it is stopped.
NodeMain EchoNode(std::multiset<std::string>* executed) {
  return [executed](const Context& ctx) {
    Transport& transport = ctx.runtime().transport();
    transport.Serve(Method::kKvBatch, [executed](const Context& c, NodeId, std::string_view request) {
      executed->emplace(request);
      const Status slept = Sleep(c, 2ms);
      return slept.ok() ? StatusOr<std::string>(std::string(request)) : StatusOr<std::string>(slept);
    });
    EXPECT_TRUE(transport.Start(ctx, Simulator::RpcAddress(kB)).ok());
    OneShot<int> never;
    (void)never.Take(ctx);
    transport.Stop();
  };
}

TEST(SimWorld, CallOutcomesMeanWhatTheySay) {
  int ok = 0, unavailable = 0, perhaps = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Simulator sim(seed, {});
    std::multiset<std::string> executed;
    const Status status = sim.Run([&](const Context& ctx) -> Status {
      sim.StartNode(kB, EchoNode(&executed));
      ctx.runtime().transport().SetAddress(kB, Simulator::RpcAddress(kB));
      RETURN_IF_ERROR(Sleep(ctx, 1ms));
      TaskGroup nemesis(ctx, "nemesis");
      nemesis.Spawn({}, [&](const Context& c) -> Status {
        for (int i = 0; i < 10; ++i) {
          RETURN_IF_ERROR(Sleep(c, Duration(sim.random().Below(30'000'000))));
          if (sim.random().Below(2)) sim.CutLink(i % 2 ? NodeId() : kB, i % 2 ? kB : NodeId());
          else sim.CrashNode(kB), sim.StartNode(kB, EchoNode(&executed));
          RETURN_IF_ERROR(Sleep(c, 5ms));
          sim.HealAll();
        }
        return OkStatus();
      });
      for (int i = 0; i < 60; ++i) {
        const std::string request = std::to_string(i);
        const auto reply = ctx.runtime().transport().Call(ctx.WithTimeout(4s), kB, Method::kKvBatch, request);
        const size_t count = executed.count(request);
        EXPECT_LE(count, 1u) << "a call is delivered at most once";
        if (reply.ok()) {
          EXPECT_EQ(count, 1u);
          ++ok;
        } else if (reply.status().code() == Code::kUnavailable) {
          EXPECT_EQ(count, 0u) << "Unavailable: certainly not executed";
          ++unavailable;
        } else {
          ++perhaps;
        }
      }
      return nemesis.Join();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_GT(ok, 0);
  EXPECT_GT(unavailable, 0);
  EXPECT_GT(perhaps, 0);
}

TEST(SimWorld, MessagesAreLostDoubledAndOvertakenAsAsked) {
  const auto run = [](const SimLinkOptions& link) {
    std::vector<int> seen;
    Simulator sim(7, {.link = link});
    const Status status = sim.Run([&](const Context& ctx) -> Status {
      sim.StartNode(kB, [&](const Context& c) {
        Transport& transport = c.runtime().transport();
        transport.ServeOneWay(Method::kGossip, [&](const Context&, NodeId from, std::string_view m) {
          EXPECT_EQ(from, kA);
          seen.push_back(std::stoi(std::string(m)));
        });
        EXPECT_TRUE(transport.Start(c, "b:1").ok());
        OneShot<int> never;
        (void)never.Take(c);
        transport.Stop();
      });
      sim.StartNode(kA, [&](const Context& c) {
        (void)Sleep(c, 1ms);
        c.runtime().transport().SetAddress(kB, "b:1");
        for (int i = 0; i < 200; ++i) c.runtime().transport().Send(kB, Method::kGossip, std::to_string(i));
      });
      return Sleep(ctx, 1s);
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return seen;
  };
  const auto clean = run({});
  ASSERT_EQ(clean.size(), 200u);
  EXPECT_TRUE(std::is_sorted(clean.begin(), clean.end()));
  EXPECT_LT(run({.loss = 500}).size(), 150u);
  EXPECT_GT(run({.duplication = 500}).size(), 250u);
  const auto shuffled = run({.reorder = 500});
  EXPECT_EQ(shuffled.size(), 200u);
  EXPECT_FALSE(std::is_sorted(shuffled.begin(), shuffled.end()));
  EXPECT_TRUE(run({.cut = true}).empty());
}

TEST(SimWorld, StreamsCarryBytesAndBreakWithTheNode) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulator sim(seed, {});
    std::string received;
    const Status status = sim.Run([&](const Context& ctx) -> Status {
      sim.StartNode(kB, [&](const Context& c) {
        auto listener = c.runtime().network().Listen("b:5432");
        ASSERT_TRUE(listener.ok());
        EXPECT_EQ(c.runtime().network().Listen("b:5432").status().code(), Code::kFailedPrecondition);
        auto stream = (*listener)->Accept(c);
        if (!stream.ok()) return;
        char buffer[1000];
        while (true) {
          auto n = (*stream)->Read(c, buffer, sizeof buffer);
          if (!n.ok() || *n == 0) break;
          received.append(buffer, *n);
          if (!(*stream)->Write(c, "ok").ok()) break;
        }
      });
      RETURN_IF_ERROR(Sleep(ctx, 1ms));
      ASSIGN_OR_RETURN(auto stream, ctx.runtime().network().Connect(ctx, "b:5432"));
      const std::string big(600'000, 'q');
      RETURN_IF_ERROR(stream->Write(ctx, big));
      char buffer[16];
      while (received.size() < big.size()) RETURN_IF_ERROR(stream->Read(ctx, buffer, sizeof buffer).status());
      EXPECT_EQ(received, big);
      sim.CrashNode(kB);
      Status read;
      while (read.ok()) read = stream->Read(ctx, buffer, sizeof buffer).status();
      EXPECT_EQ(read.code(), Code::kUnavailable);
      EXPECT_EQ(ctx.runtime().network().Connect(ctx, "b:5432").status().code(), Code::kUnavailable);
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
}

// B5 and the promise of WriteFileAtomic: after a crash at any instant the file is the last acknowledged
// contents or the one being written, never a mixture; and both happen.
TEST(SimWorld, AtomicFilesSurviveCrashesWhole) {
  int old_seen = 0, new_seen = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Simulator sim(seed, {});
    int acknowledged = 0, started = 0;
    const Status status = sim.Run([&](const Context& ctx) -> Status {
      const NodeMain writer = [&](const Context& c) {
        for (int i = 1; i <= 20; ++i) {
          started = i;
          if (!c.runtime().file_system().WriteFileAtomic("state", std::string(200, char('a' + i))).ok()) return;
          if (c.cancelled()) return;
          acknowledged = i;
        }
      };
      sim.StartNode(kA, writer);
      RETURN_IF_ERROR(Sleep(ctx, Duration(1 + sim.random().Below(60'000'000))));
      sim.CrashNode(kA);
      const int was_acknowledged = acknowledged, was_started = started;
      sim.StartNode(kA, [&](const Context& c) {
        const auto found = c.runtime().file_system().ReadFile("state");
        if (!found.ok()) {
          EXPECT_EQ(was_acknowledged, 0);
          return;
        }
        EXPECT_EQ(*found, std::string(200, found->front()));
        const int value = found->front() - 'a';
        EXPECT_GE(value, was_acknowledged);
        EXPECT_LE(value, was_started);
        ++(value == was_acknowledged ? old_seen : new_seen);
      });
      return Sleep(ctx, 1s);
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_GT(old_seen, 0);
  EXPECT_GT(new_seen, 0);
}

TEST(SimWorld, CrashFencesAndDrains) {
  Simulator sim(1, {});
  std::string log;
  const Status status = sim.Run([&](const Context& ctx) -> Status {
    sim.OnFence(kA, [&](Random&) { log += "fence "; });
    sim.StartNode(kA, [&](const Context& c) {
      auto lock = c.runtime().file_system().Lock("LOCK");
      EXPECT_TRUE(lock.ok());
      EXPECT_FALSE(c.runtime().file_system().Lock("LOCK").ok());
      (void)Sleep(c, 1h);
      log += c.cancelled() ? "cancelled " : "slept ";
      EXPECT_TRUE(c.runtime().file_system().WriteFileAtomic("late", "x").ok());
    });
    RETURN_IF_ERROR(Sleep(ctx, 1s));
    EXPECT_TRUE(sim.IsRunning(kA));
    sim.CrashNode(kA);
    EXPECT_FALSE(sim.IsRunning(kA));
    log += "drained ";
    sim.StartNode(kA, [&](const Context& c) {
      EXPECT_TRUE(c.runtime().file_system().Lock("LOCK").ok());
      EXPECT_FALSE(*c.runtime().file_system().Exists("late")) << "effects after the fence vanish";
      EXPECT_TRUE(c.runtime().file_system().WriteFileAtomic("kept", "x").ok());
    });
    RETURN_IF_ERROR(Sleep(ctx, 1s));
    sim.StopNode(kA);
    sim.WipeDisk(kA);
    sim.StartNode(kA, [&](const Context& c) { EXPECT_FALSE(*c.runtime().file_system().Exists("kept")); });
    return Sleep(ctx, 1s);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(log, "fence cancelled drained ");
}

TEST(SimWorld, TaskThatOutlivesItsNodeFailsTheRun) {
  Simulator sim(1, {});
  const Status status = sim.Run([&](const Context& ctx) -> Status {
    sim.StartNode(kA, [](const Context& c) {
      const Context deaf(c.runtime());  // not below the incarnation's scope
      (void)Sleep(deaf, 1h);
    });
    RETURN_IF_ERROR(Sleep(ctx, 1s));
    sim.CrashNode(kA);
    return OkStatus();
  });
  EXPECT_NE(status.message().find("tasks of node 1 outlive it"), std::string_view::npos) << status.ToString();
  EXPECT_NE(status.message().find("\"node 1: main\" waits for a sleep"), std::string_view::npos);
}

TEST(SimWorld, WallClocksJumpAndDriftByNodeMonotonicOnesAgree) {
  Simulator sim(1, {});
  const Status status = sim.Run([&](const Context& ctx) -> Status {
    const auto idle = [](const Context& c) { (void)Sleep(c, 1h); };
    sim.StartNode(kA, idle);
    sim.StartNode(kB, idle);
    Clock& a = sim.NodeRuntime(kA).clock();
    Clock& b = sim.NodeRuntime(kB).clock();
    EXPECT_EQ(a.WallNowNs(), b.WallNowNs());
    sim.SetWallClock(kA, -5s, 1000);
    EXPECT_EQ(b.WallNowNs() - a.WallNowNs(), 5'000'000'000);
    RETURN_IF_ERROR(Sleep(ctx, 1000s));
    EXPECT_NEAR(double(b.WallNowNs() - a.WallNowNs()), 4e9, 1e7);
    EXPECT_EQ(a.MonoNow(), b.MonoNow());
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::runtime
