// Calls that handlers of a stream server make over call lanes: who waits for an answer leaves his stack, and the server
// polls for it. A call to the relay makes one of its handlers call the node at the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "orrery/runtime/threads_runtime.h"
#include "runtime/threads/fibers.h"

namespace orrery::runtime {
namespace {

// This process's threads that serve calls.
int CrewThreads() {
  int count = 0;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", gone)) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    count += name == "call lane";
  }
  return count;
}

struct Node {
  explicit Node(uint64_t id) : runtime(ThreadsRuntime::Create({})) {
    runtime->transport().SetIdentity(NodeId(id), "c1");
  }
  void Start() {
    auto bound = runtime->transport().Start(scope.context, "127.0.0.1:0");
    ASSERT_TRUE(bound.ok()) << bound.status().ToString();
    address = *bound;
  }
  StatusOr<std::string> Call(const Context& context, uint64_t to, std::string_view request) {
    return runtime->transport().Call(context, NodeId(to), Method::kKvBatch, request);
  }
  Context Soon() const { return scope.context.WithTimeout(20s); }

  std::unique_ptr<ThreadsRuntime> runtime;
  Context::Cancellable scope = Context(*runtime).WithCancel();
  std::string address;
};

class CallsOfHandlers : public ::testing::Test {
 protected:
  // The relay's handlers give the caller's deadline on, unless `patience_` says otherwise.
  CallsOfHandlers() {
    end_->runtime->transport().Serve(
        Method::kKvBatch, [this](const Context& ctx, NodeId, std::string_view request) { return AtEnd(ctx, request); });
    end_->Start();
    relay_.runtime->transport().SetAddress(NodeId(3), end_->address);
    relay_.runtime->transport().Serve(Method::kKvBatch, [this](const Context& ctx, NodeId, std::string_view request) {
      const Duration patience = patience_;
      return relay_.Call(patience > Duration(0) ? ctx.WithTimeout(patience) : ctx, 3, request);
    });
    relay_.Start();
    caller_.runtime->transport().SetAddress(NodeId(2), relay_.address);
    caller_.runtime->transport().SetAddress(NodeId(3), end_->address);
    // The first calls find their lanes being connected, or the watching stream.
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(caller_.Call(caller_.Soon(), 2, "").ok());
  }

  StatusOr<std::string> AtEnd(const Context& ctx, std::string_view request) {
    if (request != "wait") return "<" + std::string(request) + ">";
    MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    const Status waited = WaitUntil(ctx, mutex_, changed_, [&] { return released_; });
    --waiting_;
    ends_.push_back(waited.code());
    changed_.NotifyAll();
    if (!waited.ok()) return waited;
    return std::string("waited");
  }
  bool Await(auto condition) {
    MutexLock lock(mutex_);
    return WaitUntil(caller_.Soon(), mutex_, changed_, condition).ok();
  }
  StatusOr<std::string> Relay(std::string_view request) { return caller_.Call(caller_.Soon(), 2, request); }

  Mutex mutex_{"end"};
  CondVar changed_;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Code> ends_ ABSL_GUARDED_BY(mutex_);
  std::atomic<Duration> patience_{Duration(0)};

  Node caller_{1}, relay_{2};
  std::unique_ptr<Node> end_ = std::make_unique<Node>(3);
};

TEST_F(CallsOfHandlers, AnswersOfAnySizeComeBackWhole) {
  for (const size_t size :
       {0, 1, 4'000, 4'090, 4'091, 4'092, 4'096, 4'100, 9'000, 65'536, 3'000'000, 70'000, 5, 500'000, 2}) {
    const std::string request(size, 'r');
    const auto answer = Relay(request);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_TRUE(*answer == "<" + request + ">") << size << ": " << answer->substr(0, 40);
  }
}

TEST_F(CallsOfHandlers, WhoWaitsForAnAnswerKeepsNoThread) {
  constexpr int kCalls = 200;
  const int before = CrewThreads();
  TaskGroup group(caller_.Soon(), "callers");
  std::atomic<int> answered{0};
  for (int i = 0; i < kCalls; ++i) {
    group.Spawn({}, [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const std::string answer, caller_.Call(ctx, 2, "wait"));
      if (answer == "waited") ++answered;
      return OkStatus();
    });
  }
  ASSERT_TRUE(Await([&] { return waiting_ == kCalls; }));
  // 200 wait at the relay, and 200 at the end. With a thread for each at the relay there would be 200 at least. Those there are were needed
  // when the relay connected its lanes, and a crew keeps 64 for a rest.
  if (internal::kFibersWork) EXPECT_LT(CrewThreads() - before, kCalls * 3 / 4);
  else EXPECT_GE(CrewThreads() - before, 2 * kCalls - 8);
  EXPECT_EQ(*Relay("other"), "<other>") << "and hold nobody up";
  {
    MutexLock lock(mutex_);
    released_ = true;
    changed_.NotifyAll();
  }
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(answered, kCalls);
}

TEST_F(CallsOfHandlers, AWaitEndsWithItsDeadlineFarOrNear) {
  int ended = 0;
  for (const Duration patience : {20ms, 320ms, 5ms, 250ms}) {  // the near ones keep their threads
    patience_ = patience;
    const MonoTime begin = caller_.runtime->clock().MonoNow();
    EXPECT_EQ(Relay("wait").status().code(), Code::kDeadlineExceeded) << patience.count();
    EXPECT_GE(caller_.runtime->clock().MonoNow() - begin, patience);
    ++ended;
    EXPECT_TRUE(Await([&] { return int(ends_.size()) == ended; }));
    EXPECT_EQ(*Relay("next"), "<next>") << "the lane that was given up is not used again";
  }
}

TEST_F(CallsOfHandlers, AWaitEndsWhenTheFirstCallerGivesUp) {
  const auto scope = caller_.Soon().WithCancel();
  TaskGroup group(scope.context, "caller");
  group.Spawn({}, [&](const Context& ctx) { return caller_.Call(ctx, 2, "wait").status(); });
  ASSERT_TRUE(Await([&] { return waiting_ == 1; }));
  scope.Cancel();
  EXPECT_EQ(group.Join().code(), Code::kCancelled);
  EXPECT_TRUE(Await([&] { return ends_ == std::vector{Code::kCancelled}; }))
      << "from the caller to the relay to the end";
}

TEST_F(CallsOfHandlers, AWaitEndsWithItsPeer) {
  TaskGroup group(caller_.Soon(), "caller");
  Status status;
  group.Spawn({}, [&](const Context& ctx) {
    status = caller_.Call(ctx, 2, "wait").status();
    return OkStatus();
  });
  ASSERT_TRUE(Await([&] { return waiting_ == 1; }));
  end_->runtime->transport().Stop();
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(status.code(), Code::kAmbiguous) << status.ToString();
}

// A lane that was polled for a handler serves a task of no server, which reads it asleep, and is polled again.
TEST_F(CallsOfHandlers, LanesGoFromHandlersToOtherTasksAndBack) {
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(*Relay("handler"), "<handler>");
    EXPECT_EQ(*relay_.Call(relay_.Soon(), 3, "task"), "<task>");
  }
  TaskGroup group(relay_.Soon(), "both");
  std::atomic<int> wrong{0};
  for (int i = 0; i < 8; ++i) {
    group.Spawn({}, [&, i](const Context& ctx) {
      for (int n = 0; n < 200; ++n) {
        const std::string request = std::to_string(i * 1000 + n);
        const auto answer = i % 2 ? Relay(request) : relay_.Call(ctx, 3, request);
        if (!answer.ok() || *answer != "<" + request + ">") ++wrong;
      }
      return OkStatus();
    });
  }
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace orrery::runtime
