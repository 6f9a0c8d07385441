// The transport between runtimes of one process, over real sockets: gRPC streams, and the Raft lane.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>

#include "orrery/runtime/threads_runtime.h"
#include "runtime/frame.h"
#include "runtime/threads/lane_wire.h"

namespace orrery::runtime {
namespace {

struct Node {
  explicit Node(uint64_t id, std::string cluster = "c1", ThreadsRuntimeOptions options = {})
      : runtime(ThreadsRuntime::Create(options)), id(id) {
    if (id != 0) runtime->transport().SetIdentity(NodeId(id), cluster);
  }
  void Start(const std::string& at = "127.0.0.1:0") {
    auto bound = runtime->transport().Start(scope.context, at);
    ASSERT_TRUE(bound.ok()) << bound.status().ToString();
    address = *bound;
  }
  Transport& transport() { return runtime->transport(); }

  std::unique_ptr<ThreadsRuntime> runtime;
  NodeId id;
  Context::Cancellable scope = Context(*runtime).WithCancel();
  std::string address;
};

void ServeEcho(Node& node) {
  node.transport().Serve(Method::kKvBatch, [](const Context&, NodeId from, std::string_view request) {
    return StatusOr<std::string>("from " + ToString(from) + ": " + std::string(request));
  });
}

class GrpcTransport : public ::testing::Test {
 protected:
  Context Soon(Node& node) { return node.scope.context.WithTimeout(10s); }
};

TEST_F(GrpcTransport, CallsAnswersAndStatuses) {
  Node a(1), b(2);
  ServeEcho(b);
  b.transport().Serve(Method::kJoin, [](const Context&, NodeId, std::string_view) {
    return StatusOr<std::string>(Status(Code::kAborted, "40001", "try again").WithHint("later"));
  });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  for (int i = 0; i < 100; ++i) {
    auto reply = a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, std::to_string(i));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_EQ(*reply, "from 1: " + std::to_string(i));
  }
  const Status failed = a.transport().Call(Soon(a), NodeId(2), Method::kJoin, "").status();
  EXPECT_EQ(failed.code(), Code::kAborted);
  EXPECT_EQ(failed.message(), "try again");
  EXPECT_EQ(failed.fields().hint, "later");
  EXPECT_EQ(a.transport().Call(Soon(a), NodeId(2), Method::kDebug, "").status().code(), Code::kUnimplemented);
  const std::string big(5 << 20, 'z');
  EXPECT_EQ(a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, big)->size(), big.size() + 8);
  EXPECT_EQ(a.transport().Call(Soon(a), NodeId(3), Method::kKvBatch, "").status().code(), Code::kUnavailable);
}

TEST_F(GrpcTransport, UnidentifiedCallersByAddressAndPortZero) {
  Node joiner(0), b(2);
  ServeEcho(b);
  b.Start();
  EXPECT_EQ(*joiner.transport().CallAddress(Soon(joiner), b.address, Method::kKvBatch, "hi"), "from 0: hi");
  Node rival(3);
  const auto taken = rival.runtime->transport().Start(rival.scope.context, b.address);
  EXPECT_EQ(taken.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(taken.status().message().find(b.address), std::string_view::npos);
}

TEST_F(GrpcTransport, MessagesArriveInOrderPerPeer) {
  Node a(1), b(2);
  Mutex mutex;
  CondVar cv;
  std::vector<int> seen;
  b.transport().ServeOneWay(Method::kRaftMessages, [&](const Context&, NodeId from, std::string_view message) {
    EXPECT_EQ(from, NodeId(1));
    MutexLock lock(mutex);
    seen.push_back(std::stoi(std::string(message)));
    cv.NotifyAll();
  });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  for (int i = 0; i < 5'000; ++i) a.transport().Send(NodeId(2), Method::kRaftMessages, std::to_string(i));
  MutexLock lock(mutex);
  ASSERT_TRUE(WaitUntil(Soon(a), mutex, cv, [&] { return seen.size() == 5'000; }).ok());
  for (int i = 0; i < 5'000; ++i) ASSERT_EQ(seen[size_t(i)], i);
}

TEST_F(GrpcTransport, ManyCallsAtOnce) {
  Node a(1), b(2);
  std::atomic<int> inside{0};
  OneShot<bool> all_inside;
  Mutex mutex;
  CondVar cv;
  b.transport().Serve(Method::kKvBatch, [&](const Context& ctx, NodeId, std::string_view request) {
    MutexLock lock(mutex);
    if (++inside == 200) cv.NotifyAll();
    const Status s = WaitUntil(ctx, mutex, cv, [&] { return inside >= 200; });  // each waits for all others
    return s.ok() ? StatusOr<std::string>(std::string(request)) : StatusOr<std::string>(s);
  });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  TaskGroup group(Soon(a), "callers");
  for (int i = 0; i < 200; ++i) {
    group.Spawn({}, [&, i](const Context& ctx) {
      return a.transport().Call(ctx, NodeId(2), Method::kKvBatch, std::to_string(i)).status();
    });
  }
  EXPECT_TRUE(group.Join().ok());
}

TEST_F(GrpcTransport, ForeignClustersAndWrongNodesAreRefused) {
  Node a(1, "c1"), foreign(2, "other"), c(3, "c1");
  ServeEcho(foreign);
  ServeEcho(c);
  foreign.Start();
  c.Start();
  a.transport().SetAddress(NodeId(2), foreign.address);
  EXPECT_EQ(a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, "x").status().code(), Code::kUnavailable);
  // Who asks an address learns whose it is.
  const Status asked = a.transport().CallAddress(Soon(a), foreign.address, Method::kKvBatch, "x").status();
  EXPECT_EQ(asked.code(), Code::kFailedPrecondition);
  EXPECT_NE(asked.message().find("other"), std::string_view::npos) << asked.ToString();
  a.transport().SetAddress(NodeId(2), c.address);  // node 2's address now belongs to node 3
  const Status wrong = a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, "x").status();
  EXPECT_EQ(wrong.code(), Code::kUnavailable);
  EXPECT_NE(wrong.message().find("node 3 answers"), std::string_view::npos) << wrong.ToString();
}

TEST_F(GrpcTransport, DeadPeerIsUnavailableLostAnswerIsAmbiguousAndReturnHeals) {
  Node a(1);
  auto b = std::make_unique<Node>(2);
  OneShot<bool> entered;
  b->transport().Serve(Method::kKvBatch, [&](const Context& ctx, NodeId, std::string_view) -> StatusOr<std::string> {
    entered.Set(true);
    OneShot<int> never;
    return never.Take(ctx).status();  // ends by cancellation only
  });
  b->Start();
  const std::string address = b->address;
  a.transport().SetAddress(NodeId(2), address);
  TaskGroup group(Soon(a), "caller");
  Status lost;
  group.Spawn({}, [&](const Context& ctx) {
    lost = a.transport().Call(ctx, NodeId(2), Method::kKvBatch, "x").status();
    return OkStatus();
  });
  ASSERT_TRUE(entered.Take(Soon(a)).ok());
  b->runtime->transport().Stop();
  EXPECT_TRUE(group.Join().ok());
  EXPECT_EQ(lost.code(), Code::kAmbiguous) << lost.ToString();
  Status gone = AmbiguousError("");  // until the caller's end has noticed, a call may still be written
  while (gone.code() == Code::kAmbiguous)
    gone = a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, "x").status();
  EXPECT_EQ(gone.code(), Code::kUnavailable) << gone.ToString();
  b.reset();

  Node again(2);
  ServeEcho(again);
  again.Start(address);
  StatusOr<std::string> reply = UnavailableError("");
  const Context soon = Soon(a);
  while (!reply.ok() && soon.Check().ok()) {
    reply = a.transport().Call(soon, NodeId(2), Method::kKvBatch, "x");
    if (!reply.ok()) (void)a.runtime->scheduler().SleepFor(soon, 10ms);
  }
  EXPECT_TRUE(reply.ok()) << reply.status().ToString();
}

TEST_F(GrpcTransport, GivingUpCancelsTheHandler) {
  Node a(1), b(2);
  OneShot<Code> end;
  OneShot<bool> entered;
  b.transport().Serve(Method::kKvBatch, [&](const Context& ctx, NodeId, std::string_view) -> StatusOr<std::string> {
    entered.Set(true);
    OneShot<int> never;
    const Status s = never.Take(ctx).status();
    end.Set(s.code());
    return s;
  });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  const auto scope = a.scope.context.WithCancel();
  TaskGroup group(scope.context, "caller");
  group.Spawn({}, [&](const Context& ctx) {
    EXPECT_EQ(a.transport().Call(ctx, NodeId(2), Method::kKvBatch, "x").status().code(), Code::kCancelled);
    return OkStatus();
  });
  ASSERT_TRUE(entered.Take(Soon(a)).ok());
  scope.Cancel();
  EXPECT_EQ(*end.Take(Soon(b)), Code::kCancelled);
  EXPECT_TRUE(group.Join().ok());
}

TEST_F(GrpcTransport, RandomBytesOnThePortDoNoHarm) {
  Node a(1), b(2);
  ServeEcho(b);
  b.Start();
  for (int i = 0; i < 20; ++i) {
    auto stream = a.runtime->network().Connect(Soon(a), b.address);
    ASSERT_TRUE(stream.ok());
    std::string noise = i % 2 ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "";
    for (int k = 0; k < 5'000; ++k) noise.push_back(char(a.runtime->random().Next()));
    (void)(*stream)->Write(Soon(a), noise);
  }
  a.transport().SetAddress(NodeId(2), b.address);
  EXPECT_TRUE(a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, "x").ok());
}

// ---- The Raft lane.

// What a node has been sent.
struct Received {
  explicit Received(Node& node) {
    node.transport().ServeOneWay(Method::kRaftMessages, [this](const Context&, NodeId from, std::string_view message) {
      MutexLock lock(mutex);
      messages.emplace_back(from, message);
      cv.NotifyAll();
    });
  }
  size_t count() {
    MutexLock lock(mutex);
    return messages.size();
  }
  Status Await(const Context& context, size_t count) {
    MutexLock lock(mutex);
    return WaitUntil(context, mutex, cv, [&] { return messages.size() >= count; });
  }
  Mutex mutex;
  CondVar cv;
  std::vector<std::pair<NodeId, std::string>> messages;
};

// Sends until one arrives: those of a broken connection may be lost.
Status SendUntilReceived(Node& from, NodeId to, const Context& context, Received& received) {
  const size_t before = received.count();
  while (received.count() == before) {
    from.transport().Send(to, Method::kRaftMessages, "again");
    RETURN_IF_ERROR(from.runtime->scheduler().SleepFor(context, 5ms));
  }
  return OkStatus();
}

std::string Prefixed(std::string_view bytes) {
  std::string out(4, '\0');
  for (int i = 0; i < 4; ++i) out[size_t(i)] = char(bytes.size() >> (8 * (3 - i)));
  return out.append(bytes);
}
std::string HelloOf(uint64_t node, std::string_view cluster) {
  std::string hello("\x08", 1);
  wire::AppendVarint(hello, node);
  hello += "\x12";
  wire::AppendVarint(hello, cluster.size());
  return Prefixed(hello.append(cluster));
}

TEST_F(GrpcTransport, MessagesLargerThanASocketTakesArriveWholeAndInOrder) {
  Node a(1), b(2);
  Received received(b);
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  for (int i = 0; i < 12; ++i) {
    a.transport().Send(NodeId(2), Method::kRaftMessages, std::string(size_t(i % 3 == 0 ? 5 << 20 : 10 * i), char('a' + i)));
  }
  ASSERT_TRUE(received.Await(Soon(a), 12).ok());
  for (int i = 0; i < 12; ++i) {
    const auto& [from, message] = received.messages[size_t(i)];
    EXPECT_EQ(from, NodeId(1));
    EXPECT_TRUE(message == std::string(size_t(i % 3 == 0 ? 5 << 20 : 10 * i), char('a' + i))) << i;
  }
}

TEST_F(GrpcTransport, MessagesGoToTheRightNodeOfTheRightClusterOnly) {
  Node a(1, "c1"), foreign(2, "other"), c(3, "c1"), d(2, "c1");
  Received by_foreign(foreign), by_c(c), by_d(d);
  foreign.Start();
  c.Start();
  d.Start();
  for (const std::string& wrong : {foreign.address, c.address}) {
    a.transport().SetAddress(NodeId(2), wrong);
    for (int i = 0; i < 20; ++i) {
      a.transport().Send(NodeId(2), Method::kRaftMessages, "stray");
      ASSERT_TRUE(a.runtime->scheduler().SleepFor(Soon(a), 5ms).ok());
    }
  }
  a.transport().SetAddress(NodeId(2), d.address);  // it moved
  EXPECT_TRUE(SendUntilReceived(a, NodeId(2), Soon(a), by_d).ok());
  EXPECT_EQ(by_foreign.count() + by_c.count(), 0u);
}

TEST_F(GrpcTransport, APeerThatReturnsGetsMessagesAgain) {
  Node a(1);
  auto b = std::make_unique<Node>(2);
  auto received = std::make_unique<Received>(*b);
  b->Start();
  const std::string address = b->address;
  a.transport().SetAddress(NodeId(2), address);
  ASSERT_TRUE(SendUntilReceived(a, NodeId(2), Soon(a), *received).ok());
  b->runtime->transport().Stop();
  for (int i = 0; i < 100; ++i) a.transport().Send(NodeId(2), Method::kRaftMessages, "to nobody");
  b.reset();
  Node again(2);
  Received by_again(again);
  again.Start(address);
  EXPECT_TRUE(SendUntilReceived(a, NodeId(2), Soon(a), by_again).ok());
}

// One that answers the hello and reads nothing after it.
TEST_F(GrpcTransport, APeerThatDoesNotReadCostsItsQueueAndNoTime) {
  ThreadsRuntimeOptions options;
  options.peer_queue_bytes_max = 1 << 20;
  Node a(1, "c1", options);
  auto listener = a.runtime->network().Listen("127.0.0.1:0");
  ASSERT_TRUE(listener.ok());
  a.transport().SetAddress(NodeId(2), (*listener)->address());
  a.transport().Send(NodeId(2), Method::kRaftMessages, "first");
  auto stream = (*listener)->Accept(Soon(a));
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE((*stream)->Write(Soon(a), HelloOf(2, "c1")).ok());
  const std::string message(100 << 10, 'm');
  for (int i = 0; i < 2'000; ++i) a.transport().Send(NodeId(2), Method::kRaftMessages, message);
  a.runtime->transport().Stop();
  uint64_t read = 0;
  std::string buffer(1 << 20, '\0');
  while (true) {
    auto n = (*stream)->Read(Context(*a.runtime).WithTimeout(10s), buffer.data(), buffer.size());
    if (!n.ok() || *n == 0) break;
    read += *n;
  }
  EXPECT_GT(read, message.size());
  EXPECT_LT(read, 40u << 20) << "of 200 MB: what the queue and the sockets hold";
}

TEST_F(GrpcTransport, BytesThatNoNodeSendsEndTheirLaneAlone) {
  Node a(1), b(2);
  Received received(b);
  b.Start();
  std::string call;
  AppendFrame(call, {FrameKind::kCall, Method::kRaftMessages, 7, 0}, "x");
  std::string good;
  AppendFrame(good, {FrameKind::kMessage, Method::kRaftMessages, 0, 0}, "good");
  const std::string preface(kMessageLanePreface);
  const std::string begun = preface + HelloOf(1, "c1");
  const std::vector<std::string> endings = {
      "X", preface.substr(0, preface.size() - 1) + "?", preface + std::string(4, '\xff'), preface + Prefixed("\xff\xff\xff"),
      preface + HelloOf(1, "other"), begun + std::string(4, '\xff'), begun + Prefixed(call),
      begun + Prefixed(good.substr(0, good.size() - 1)), begun + Prefixed("\x01"),
      begun + Prefixed(good) + Prefixed(std::string(100'000, '\xff'))};
  for (size_t i = 0; i < endings.size(); ++i) {
    auto stream = a.runtime->network().Connect(Soon(a), b.address);
    ASSERT_TRUE(stream.ok());
    ASSERT_TRUE((*stream)->Write(Soon(a), endings[i]).ok());
    std::string buffer(1 << 10, '\0');
    while (true) {  // the hello, perhaps, and the end
      auto n = (*stream)->Read(Soon(a), buffer.data(), buffer.size());
      if (!n.ok() || *n == 0) {
        EXPECT_NE(n.status().code(), Code::kDeadlineExceeded) << "case " << i << " was not ended";
        break;
      }
    }
  }
  EXPECT_EQ(received.count(), 1u) << "the good one before the bad";
  a.transport().SetAddress(NodeId(2), b.address);
  EXPECT_TRUE(SendUntilReceived(a, NodeId(2), Soon(a), received).ok());
}

// ---- Call lanes.

std::string ThreadName() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

// Tells how the call came, and its size.
void ServeHow(Node& node) {
  node.transport().Serve(Method::kKvBatch, [](const Context&, NodeId, std::string_view request) {
    return StatusOr<std::string>(ThreadName() + " " + std::to_string(request.size()) + std::string(request));
  });
}

// Calls until one has gone over a lane: the first ones may still find the watching stream being connected.
Status CallUntilLane(Node& from, NodeId to, const Context& context) {
  while (true) {
    ASSIGN_OR_RETURN(const std::string answer, from.transport().Call(context, to, Method::kKvBatch, ""));
    if (answer == "call lane 0") return OkStatus();
    RETURN_IF_ERROR(from.runtime->scheduler().SleepFor(context, 1ms));
  }
}

TEST_F(GrpcTransport, CallsTakeLanesAndAnswersOfAnySizeComeBackWhole) {
  Node a(1), b(2);
  ServeHow(b);
  b.transport().Serve(Method::kJoin, [](const Context&, NodeId, std::string_view) { return StatusOr<std::string>(ThreadName()); });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  ASSERT_TRUE(CallUntilLane(a, NodeId(2), Soon(a)).ok());
  for (const size_t size : {0, 1, 4'000, 4'096, 4'100, 9'000, 65'536, 3'000'000, 70'000, 5, 500'000, 2}) {
    const std::string request(size, 'r');
    auto answer = a.transport().Call(Soon(a), NodeId(2), Method::kKvBatch, request);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_TRUE(*answer == "call lane " + std::to_string(size) + request) << size << ": " << answer->substr(0, 40);
  }
  EXPECT_NE(*a.transport().Call(Soon(a), NodeId(2), Method::kJoin, ""), "call lane") << "seldom calls share the stream";
}

TEST_F(GrpcTransport, ACallOverALaneEndsWithItsDeadlineItsCancellationOrItsPeer) {
  Node a(1);
  auto b = std::make_unique<Node>(2);
  Mutex mutex;
  CondVar cv;
  int entered = 0;
  std::vector<Code> ends;
  b->transport().Serve(Method::kKvBatch, [&](const Context& ctx, NodeId, std::string_view request) -> StatusOr<std::string> {
    if (request.empty()) return ThreadName() + " 0";
    MutexLock lock(mutex);
    ++entered;
    cv.NotifyAll();
    const Status s = WaitUntil(ctx, mutex, cv, [] { return false; });
    ends.push_back(s.code());
    cv.NotifyAll();
    return s;
  });
  b->Start();
  a.transport().SetAddress(NodeId(2), b->address);
  ASSERT_TRUE(CallUntilLane(a, NodeId(2), Soon(a)).ok());
  const auto await = [&](auto condition) {
    MutexLock lock(mutex);
    return WaitUntil(Soon(a), mutex, cv, condition).ok();
  };
  EXPECT_EQ(a.transport().Call(a.scope.context.WithTimeout(30ms), NodeId(2), Method::kKvBatch, "wait").status().code(),
            Code::kDeadlineExceeded);
  EXPECT_TRUE(await([&] { return ends.size() == 1; })) << "the handler learns of the deadline, or that the caller has gone";

  const auto scope = a.scope.context.WithCancel();
  TaskGroup given_up(scope.context, "caller");
  given_up.Spawn({}, [&](const Context& ctx) { return a.transport().Call(ctx, NodeId(2), Method::kKvBatch, "wait").status(); });
  ASSERT_TRUE(await([&] { return entered == 2; }));
  scope.Cancel();
  EXPECT_EQ(given_up.Join().code(), Code::kCancelled);
  ASSERT_TRUE(await([&] { return ends.size() == 2; })) << "the handler learns that the caller has gone";
  EXPECT_EQ(ends[1], Code::kCancelled);

  TaskGroup left(Soon(a), "caller");
  left.Spawn({}, [&](const Context& ctx) { return a.transport().Call(ctx, NodeId(2), Method::kKvBatch, "wait").status(); });
  ASSERT_TRUE(await([&] { return entered == 3; }));
  b->runtime->transport().Stop();
  EXPECT_EQ(left.Join().code(), Code::kAmbiguous);
}

TEST_F(GrpcTransport, MoreCallsAtOnceThanLanesFindTheirWay) {
  Node a(1), b(2);
  std::atomic<int> inside{0}, over_lanes{0};
  Mutex mutex;
  CondVar cv;
  constexpr int kCalls = 600;  // there are 512 lanes
  b.transport().Serve(Method::kKvBatch, [&](const Context& ctx, NodeId, std::string_view request) -> StatusOr<std::string> {
    if (request.empty()) return ThreadName() + " 0";
    if (ThreadName() == "call lane") ++over_lanes;
    MutexLock lock(mutex);
    if (++inside == kCalls) cv.NotifyAll();
    RETURN_IF_ERROR(WaitUntil(ctx, mutex, cv, [&] { return inside >= kCalls; }));  // each waits for all others
    return std::string(request);
  });
  b.Start();
  a.transport().SetAddress(NodeId(2), b.address);
  ASSERT_TRUE(CallUntilLane(a, NodeId(2), Soon(a)).ok());
  for (int round = 0; round < 2; ++round) {
    inside = over_lanes = 0;
    TaskGroup group(Soon(a), "callers");
    for (int i = 0; i < kCalls; ++i) {
      group.Spawn({}, [&, i](const Context& ctx) {
        return a.transport().Call(ctx, NodeId(2), Method::kKvBatch, std::to_string(i)).status();
      });
    }
    EXPECT_TRUE(group.Join().ok());
    EXPECT_EQ(over_lanes, 512) << "round " << round;
  }
}

TEST_F(GrpcTransport, ALaneSpeaksItsBytesAndOnlyThose) {
  Node a(1), b(2);
  b.transport().Serve(Method::kKvBatch, [](const Context&, NodeId from, std::string_view request) -> StatusOr<std::string> {
    if (request == "no") return Status(Code::kAborted, "40001", "try again");
    return "from " + ToString(from) + ": " + std::string(request);
  });
  b.Start();
  const auto call = [](std::string_view request, uint64_t id, FrameKind kind = FrameKind::kCall) {
    std::string frame;
    AppendFrame(frame, {kind, Method::kKvBatch, id, 0}, request);
    return frame;
  };
  const std::string begun = std::string(kCallLanePreface) + HelloOf(7, "c1");
  struct Case {
    std::string sent, answers;
  };
  std::string failure;
  AppendFrame(failure, {FrameKind::kFailure, Method::kKvBatch, 6, 0}, std::string("\x08\x09\x12\x05" "40001\x1a\x09" "try again"));
  const std::vector<Case> cases = {
      {begun + Prefixed(call("x", 5)) + Prefixed(call("no", 6)) + Prefixed("\xff"),
       HelloOf(2, "c1") + Prefixed(call("from 7: x", 5, FrameKind::kResponse)) + Prefixed(failure)},
      {begun + Prefixed(call("x", 5, FrameKind::kMessage)), HelloOf(2, "c1")},
      {begun + Prefixed(call("x", 5) + call("y", 6)), HelloOf(2, "c1")},
      {begun + std::string(4, '\xff'), HelloOf(2, "c1")},
      {std::string(kCallLanePreface) + HelloOf(7, "other"), HelloOf(2, "c1")},
  };
  for (const Case& c : cases) {
    auto stream = a.runtime->network().Connect(Soon(a), b.address);
    ASSERT_TRUE(stream.ok());
    ASSERT_TRUE((*stream)->Write(Soon(a), c.sent).ok());
    std::string answers, buffer(1 << 10, '\0');
    while (true) {
      auto n = (*stream)->Read(Soon(a), buffer.data(), buffer.size());
      EXPECT_NE(n.status().code(), Code::kDeadlineExceeded);
      if (!n.ok() || *n == 0) break;
      answers.append(buffer, 0, *n);
    }
    EXPECT_EQ(answers, c.answers);
  }
}

}  // namespace
}  // namespace orrery::runtime
