// Mutex, CondVar, Context, tasks and groups on real threads. Meant to run under TSan too.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "orrery/runtime/threads_runtime.h"

namespace orrery::runtime {
namespace {

class ThreadsSync : public ::testing::Test {
 protected:
  std::unique_ptr<ThreadsRuntime> runtime_ = ThreadsRuntime::Create();
  Context root_{*runtime_};
};

TEST_F(ThreadsSync, MutexExcludes) {
  Mutex mutex("test");
  int64_t count = 0;
  TaskGroup group(root_, "adders");
  for (int t = 0; t < 4; ++t) {
    group.Spawn({}, [&](const Context&) {
      for (int i = 0; i < 20'000; ++i) {
        MutexLock lock(mutex);
        ++count;
      }
      return OkStatus();
    });
  }
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(count, 80'000);
  EXPECT_TRUE(mutex.TryLock());
  mutex.AssertHeld();
  mutex.Unlock();
}

TEST_F(ThreadsSync, ChannelHandsOverEverythingInOrder) {
  Channel<int> channel(3);
  TaskGroup group(root_, "channel");
  group.Spawn({}, [&](const Context& ctx) -> Status {
    for (int i = 0; i < 5'000; ++i) RETURN_IF_ERROR(channel.Send(ctx, i));
    channel.Close();
    return OkStatus();
  });
  int expected = 0;
  while (true) {
    auto item = channel.Receive(root_);
    ASSERT_TRUE(item.ok());
    if (!*item) break;
    ASSERT_EQ(**item, expected++);
  }
  EXPECT_EQ(expected, 5'000);
  EXPECT_TRUE(group.Join().ok());
  EXPECT_FALSE(channel.TrySend(1));
  EXPECT_EQ(channel.Send(root_, 1).code(), Code::kFailedPrecondition);
}

TEST_F(ThreadsSync, WaitsEndByDeadline) {
  Mutex mutex;
  CondVar cv;
  const Context ctx = root_.WithTimeout(5ms);
  MutexLock lock(mutex);
  const Status status = WaitUntil(ctx, mutex, cv, [] { return false; });
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded);
  EXPECT_GE(runtime_->clock().MonoNow(), ctx.deadline());
  mutex.AssertHeld();
}

TEST_F(ThreadsSync, CancellationReachesWaitsOfChildScopesAndSleeps) {
  const auto outer = root_.WithCancel();
  const auto inner = outer.context.WithCancel();
  OneShot<int> never;
  std::atomic<int> cancelled{0};
  TaskGroup group(inner.context, "waiters");
  for (int i = 0; i < 8; ++i) {
    group.Spawn({}, [&, i](const Context& ctx) {
      const Status s = i % 2 ? never.Take(ctx).status()
                             : ctx.runtime().scheduler().SleepFor(ctx, std::chrono::hours(1));
      if (s.code() == Code::kCancelled) ++cancelled;
      return OkStatus();
    });
  }
  outer.Cancel();
  outer.Cancel();  // idempotent
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(cancelled, 8);
  EXPECT_TRUE(inner.context.cancelled());
  EXPECT_EQ(never.Take(inner.context).status().code(), Code::kCancelled);
  EXPECT_FALSE(root_.cancelled());
}

TEST_F(ThreadsSync, DetachedOutlivesTheRequestButNotTheRoot) {
  const auto incarnation = root_.WithCancel();
  const auto request = incarnation.context.WithCancel();
  const Context detached = request.context.WithTimeout(1ms).Detached();
  request.Cancel();
  EXPECT_FALSE(detached.cancelled());
  EXPECT_EQ(detached.deadline(), MonoTime::Infinite());
  incarnation.Cancel();
  EXPECT_TRUE(detached.cancelled());
}

TEST_F(ThreadsSync, OnCancelRunsOnceOrNotAtAll) {
  const auto scope = root_.WithCancel();
  int runs = 0;
  auto kept = scope.context.OnCancel([&] { ++runs; });
  { auto dropped = scope.context.OnCancel([&] { runs += 100; }); }
  scope.Cancel();
  EXPECT_EQ(runs, 1);
  auto late = scope.context.OnCancel([&] { runs += 10; });
  EXPECT_EQ(runs, 11);
}

// Notifications, cancellations and deadlines race; no wake-up may be lost and nobody may hang.
TEST_F(ThreadsSync, NotifyAndCancelRace) {
  for (int round = 0; round < 300; ++round) {
    Mutex mutex;
    CondVar cv;
    int tokens = 0;
    std::atomic<int> taken{0};
    const auto scope = root_.WithCancel();
    TaskGroup patient(root_, "patient");
    TaskGroup cancelled(scope.context, "cancelled");
    const auto taker = [&](const Context& ctx) {
      MutexLock lock(mutex);
      if (WaitUntil(ctx, mutex, cv, [&] { return tokens > 0; }).ok()) --tokens, ++taken;
      return OkStatus();
    };
    patient.Spawn({}, taker);
    cancelled.Spawn({}, taker);
    TaskGroup racers(root_, "racers");
    racers.Spawn({}, [&](const Context&) {
      for (int i = 0; i < 2; ++i) {
        MutexLock lock(mutex);
        ++tokens;
        cv.NotifyOne();
      }
      return OkStatus();
    });
    racers.Spawn({}, [&](const Context&) {
      scope.Cancel();
      return OkStatus();
    });
    EXPECT_TRUE(racers.Join().ok());
    EXPECT_TRUE(cancelled.Join().ok());
    EXPECT_TRUE(patient.Join().ok());  // hangs if its notification was lost
    EXPECT_EQ(taken + tokens, 2);
  }
}

TEST_F(ThreadsSync, GroupReportsTheFirstErrorAndReapsEndedTasks) {
  TaskGroup group(root_, "group");
  for (int i = 0; i < 2'000; ++i) {
    group.Spawn({.name = "short"}, [i](const Context&) {
      return i == 700 ? InvalidArgumentError("seven hundred") : OkStatus();
    });
  }
  EXPECT_EQ(group.Join().message(), "seven hundred");
}

TEST_F(ThreadsSync, ThousandsOfTasksAtOnce) {
  constexpr int kTasks = 3'000;
  Mutex mutex;
  CondVar all_there;
  int present = 0;
  TaskGroup group(root_, "crowd");
  for (int i = 0; i < kTasks; ++i) {
    group.Spawn({.name = "member"}, [&](const Context& ctx) {
      MutexLock lock(mutex);
      if (++present == kTasks) all_there.NotifyAll();
      return WaitUntil(ctx, mutex, all_there, [&] { return present == kTasks; });
    });
  }
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(present, kTasks);
}

TEST_F(ThreadsSync, RandomForksByLabel) {
  const auto a = ThreadsRuntime::Create({.random_seed = 7});
  const auto b = ThreadsRuntime::Create({.random_seed = 7});
  EXPECT_EQ(a->random().Fork("raft")->Next(), b->random().Fork("raft")->Next());
  EXPECT_NE(a->random().Fork("raft")->Next(), b->random().Fork("kv")->Next());
}

using ThreadsSyncDeathTest = ThreadsSync;
TEST_F(ThreadsSyncDeathTest, AbandonedTaskIsAnAssertion) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH({ auto task = runtime_->scheduler().Spawn(root_, {}, [](const Context&) {}); }, "joined before");
}

}  // namespace
}  // namespace orrery::runtime
