#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <vector>

#include "orrery/runtime/kernel_wait.h"
#include "orrery/runtime/threads_runtime.h"
#include "runtime/threads/socket_stream.h"
#include "runtime/threads/stream_server.h"
#include "unit/runtime/stream_echo.h"

namespace orrery::runtime {
namespace {

class Streams : public ::testing::Test {
 protected:
  ~Streams() override { Stop(); }
  void Stop() {
    if (!server_) return;
    scope_.Cancel();
    server_->Join();
    MutexLock lock(world_.mutex);
    EXPECT_EQ(world_.alive, 0) << "every handler ends with its stream";
    server_.reset();
  }
  struct Client {
    std::unique_ptr<ByteStream> stream;
    std::string rest;
  };
  Client Connect() {
    auto client = network_.Connect(root_, listener_->address());
    EXPECT_TRUE(client.ok()) << client.status().ToString();
    auto accepted = listener_->Accept(root_);
    EXPECT_TRUE(accepted.ok()) << accepted.status().ToString();
    server_->Add(std::move(*accepted), std::make_unique<EchoHandler>(world_));
    return {std::move(*client), ""};
  }
  std::string Say(Client& client, const std::string& line) {
    EXPECT_TRUE(client.stream->Write(root_, line + "\n").ok());
    return ReadLine(root_.WithTimeout(30s), *client.stream, client.rest);
  }
  std::string Hear(Client& client) { return ReadLine(root_.WithTimeout(30s), *client.stream, client.rest); }
  size_t threads() { return static_cast<SocketStreamServer&>(*server_).thread_count(); }

  std::unique_ptr<ThreadsRuntime> runtime_ = ThreadsRuntime::Create();
  Context root_{*runtime_};
  Network& network_ = runtime_->network();
  Context::Cancellable scope_ = root_.WithCancel();
  std::unique_ptr<Listener> listener_ = std::move(*network_.Listen("127.0.0.1:0"));
  EchoWorld world_;
  std::unique_ptr<StreamServer> server_ = network_.NewStreamServer(scope_.context, {.name = "echo", .running_max = 2});
};

TEST_F(Streams, ServesManyStreamsOnFewThreads) {
  std::vector<Client> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(Connect());
  for (int round = 0; round < 3; ++round)
    for (size_t i = 0; i < clients.size(); ++i)
      ASSERT_EQ(Say(clients[i], "echo " + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(server_->stream_count(), 1000u);
  // Two run and one watches; a busy machine that stops a thread for some ms makes the watcher send another.
  EXPECT_LE(threads(), 12u);
  for (auto& client : clients) EXPECT_EQ(Say(client, "close"), "<end>");
  server_->Join();  // all have ended: nothing to wait for, with the context alive
  server_.reset();
}

TEST_F(Streams, HandlersThatWaitHoldNobodyUp) {
  constexpr int kWaiting = 50;
  std::vector<Client> waiting;
  for (int i = 0; i < kWaiting; ++i) {
    waiting.push_back(Connect());
    ASSERT_TRUE(waiting.back().stream->Write(root_, "wait\n").ok());
  }
  ASSERT_TRUE(world_.AwaitWaiting(root_.WithTimeout(30s), kWaiting).ok());
  Client other = Connect();
  EXPECT_EQ(Say(other, "echo alive"), "alive");
  EXPECT_GE(threads(), size_t(kWaiting) + 1);
  world_.Release();
  for (auto& client : waiting) EXPECT_EQ(Hear(client), "waited");
  // Too many now: they leave for a rest as the streams go on.
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(Say(waiting[size_t(i % kWaiting)], "echo x"), "x");
}

// Works until its client has hung up.
class Patient final : public StreamHandler {
 public:
  explicit Patient(EchoWorld& world) : world_(world) {}
  StreamNext Handle(const Context& context, ByteStream&, StreamEvent) override {
    MutexLock lock(world_.mutex);
    ++world_.waiting;
    world_.changed.NotifyAll();
    (void)WaitUntil(context, world_.mutex, world_.changed, [&] { return closed_; });
    return {StreamNext::Action::kClose};
  }
  void OnPeerClosed() override {
    MutexLock lock(world_.mutex);
    closed_ = true;
    world_.changed.NotifyAll();
  }

 private:
  EchoWorld& world_;
  bool closed_ = false;
};

TEST_F(Streams, AHandlerIsToldThatItsPeerHasHungUp) {
  for (const bool while_served : {true, false}) {
    auto client = network_.Connect(root_, listener_->address());
    auto accepted = listener_->Accept(root_);
    ASSERT_TRUE(client.ok() && accepted.ok());
    ASSERT_TRUE((*client)->Write(root_, "work").ok());
    if (!while_served) client->reset();  // the word and the end are one event
    server_->Add(std::move(*accepted), std::make_unique<Patient>(world_));
    if (while_served) {
      ASSERT_TRUE(world_.AwaitWaiting(root_.WithTimeout(30s), 1).ok());
      client->reset();
    }
  }
  server_->Join();  // both have ended
  server_.reset();
}

// A handler that waits for nothing the runtime knows of is found by the watcher.
class Spinner final : public StreamHandler {
 public:
  explicit Spinner(std::atomic<bool>& go_on) : go_on_(go_on) {}
  StreamNext Handle(const Context&, ByteStream&, StreamEvent) override {
    while (go_on_.load()) sched_yield();
    return {StreamNext::Action::kClose};
  }

 private:
  std::atomic<bool>& go_on_;
};

TEST_F(Streams, HandlersThatComputeForLongHoldNobodyUp) {
  std::atomic<bool> go_on{true};
  std::vector<std::unique_ptr<ByteStream>> busy;
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::move(*network_.Connect(root_, listener_->address())));
    server_->Add(std::move(*listener_->Accept(root_)), std::make_unique<Spinner>(go_on));
    ASSERT_TRUE(busy.back()->Write(root_, "x").ok());
  }
  Client other = Connect();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Say(other, "echo alive"), "alive");
  go_on = false;
}

TEST_F(Streams, NothingIsLostWhenBytesNeverStop) {
  Client client = Connect();
  Client other = Connect();
  constexpr int kLines = 20'000;
  TaskGroup group(root_, "writer");
  group.Spawn({}, [&](const Context& ctx) {
    std::string lines;
    for (int i = 0; i < kLines; ++i) lines += "echo " + std::to_string(i) + "\n";
    return client.stream->Write(ctx, lines);
  });
  for (int i = 0; i < kLines; ++i) {
    ASSERT_EQ(Hear(client), std::to_string(i));
    if (i % 1000 != 0) continue;
    ASSERT_EQ(Say(other, "echo me too"), "me too");
  }
  EXPECT_TRUE(group.Join().ok());
}

TEST_F(Streams, TheEndOfAStreamIsSeenBehindItsLastBytes) {
  for (int i = 0; i < 200; ++i) {
    Client client = Connect();
    ASSERT_TRUE(client.stream->Write(root_, "echo last\n").ok());
    ::shutdown(static_cast<SocketStream&>(*client.stream).fd(), SHUT_WR);
    EXPECT_EQ(Hear(client), "last");
    EXPECT_EQ(Hear(client), "<end>");
  }
}

TEST_F(Streams, SilenceEndsAStreamThatAskedForIt) {
  Client quiet = Connect(), busy = Connect(), patient = Connect();
  ASSERT_TRUE(quiet.stream->Write(root_, "silence 30\n").ok());
  ASSERT_TRUE(busy.stream->Write(root_, "silence 3600000\n").ok());
  EXPECT_EQ(Hear(quiet), "idle");
  EXPECT_EQ(Hear(quiet), "<end>");
  EXPECT_EQ(Say(busy, "echo still here"), "still here");
  EXPECT_EQ(Say(patient, "echo so am I"), "so am I");
}

TEST_F(Streams, AStopTellsIdleAndRunningStreamsAndEndsThem) {
  std::vector<Client> idle;
  for (int i = 0; i < 20; ++i) idle.push_back(Connect());
  Client waiting = Connect();
  ASSERT_TRUE(waiting.stream->Write(root_, "wait\n").ok());
  ASSERT_TRUE(world_.AwaitWaiting(root_.WithTimeout(30s), 1).ok());
  scope_.Cancel();
  for (auto& client : idle) {
    EXPECT_EQ(Hear(client), "stopping");
    EXPECT_EQ(Hear(client), "<end>");
  }
  EXPECT_EQ(Hear(waiting), "waited") << "its wait was cancelled and it answered";
  EXPECT_EQ(Hear(waiting), "stopping");
  Client late = Connect();
  EXPECT_EQ(Hear(late), "stopping") << "also one that comes after the stop";
  server_->Join();
  EXPECT_EQ(server_->stream_count(), 0u);
  MutexLock lock(world_.mutex);
  EXPECT_EQ(world_.cancelled, 1);
  server_.reset();
}

TEST_F(Streams, ASlowReaderHoldsNobodyUp) {
  constexpr size_t kBytes = 64 << 20;  // more than any socket buffers
  std::vector<Client> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(Connect());
    ASSERT_TRUE(slow.back().stream->Write(root_, "big " + std::to_string(kBytes) + "\n").ok());
  }
  Client other = Connect();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Say(other, "echo alive"), "alive");
  std::string received(1 << 20, '\0');
  for (size_t total = 0; total < kBytes;) {
    const auto n = slow[0].stream->Read(root_.WithTimeout(30s), received.data(), received.size());
    ASSERT_TRUE(n.ok());
    total += *n;
  }
  EXPECT_EQ(Say(slow[0], "echo done"), "done");
  Stop();  // the others' writes end with the context
}

// Clients that come, talk and go at any moment, from many tasks: what TSAN and ASAN look at.
TEST_F(Streams, ComingsAndGoings) {
  TaskGroup group(root_, "clients");
  Mutex accept_mutex{"accept"};
  for (int task = 0; task < 8; ++task) {
    group.Spawn({}, [&, task](const Context& ctx) -> Status {
      for (int i = 0; i < 60; ++i) {
        ASSIGN_OR_RETURN(auto stream, network_.Connect(ctx, listener_->address()));
        ASSIGN_OR_RETURN(auto accepted, listener_->Accept(ctx));
        server_->Add(std::move(accepted), std::make_unique<EchoHandler>(world_));
        std::string rest;
        RETURN_IF_ERROR(stream->Write(ctx, i % 3 == 0 ? "silence 1\necho x\n" : "echo x\n"));
        if ((i + task) % 4 == 0) continue;  // gone before the answer
        if (ReadLine(ctx, *stream, rest) != "x") return InternalError("no answer");
      }
      return OkStatus();
    });
  }
  EXPECT_TRUE(group.Join().ok());
}

TEST_F(Streams, AKernelWaitLetsAnotherPoll) {
  // Outside of a handler, and nested, it means nothing and does no harm.
  const KernelWait outer;
  const KernelWait inner;
  Client client = Connect();
  EXPECT_EQ(Say(client, "echo x"), "x");
}

}  // namespace
}  // namespace orrery::runtime
