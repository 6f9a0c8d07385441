#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <vector>

#include "orrery/runtime/kernel_wait.h"
#include "orrery/runtime/threads_runtime.h"
#include "runtime/threads/fibers.h"
#include "runtime/threads/socket_stream.h"
#include "runtime/threads/stream_server.h"
#include "unit/runtime/stream_echo.h"

namespace orrery::runtime {
namespace {

// With fibers, and with a thread a waiting handler.
class Streams : public ::testing::TestWithParam<bool> {
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
  std::unique_ptr<StreamServer> server_ =
      network_.NewStreamServer(scope_.context, {.name = "echo", .running_max = 2, .fibers = GetParam()});
};

INSTANTIATE_TEST_SUITE_P(Both, Streams, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Fibers" : "Threads"; });

TEST_P(Streams, ServesManyStreamsOnFewThreads) {
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

TEST_P(Streams, HandlersThatWaitHoldNobodyUp) {
  constexpr int kWaiting = 50;
  std::vector<Client> waiting;
  for (int i = 0; i < kWaiting; ++i) {
    waiting.push_back(Connect());
    // The latter as a statement that waits for a lock: every 50 ms it asks about who holds it.
    ASSERT_TRUE(waiting.back().stream->Write(root_, i % 2 == 0 ? "wait\n" : "wait 50\n").ok());
  }
  ASSERT_TRUE(world_.AwaitWaiting(root_.WithTimeout(30s), kWaiting).ok());
  Client other = Connect();
  EXPECT_EQ(Say(other, "echo alive"), "alive");
  if (internal::kFibersWork && GetParam()) EXPECT_LE(threads(), 12u) << "who waits has given his thread away";
  else EXPECT_GE(threads(), size_t(kWaiting) + 1);
  world_.Release();
  for (auto& client : waiting) EXPECT_EQ(Hear(client), "waited");
  // Too many now: they leave for a rest as the streams go on.
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(Say(waiting[size_t(i % kWaiting)], "echo x"), "x");
}

// Says which of its waits ended how: each line is a wait of so many milliseconds, for something that never comes.
class Waiter final : public StreamHandler {
 public:
  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent) override {
    char buffer[64];
    const auto n = stream.TryRead(buffer, sizeof buffer);
    if (!n.ok() || (*n && **n == 0)) return {StreamNext::Action::kClose};
    if (!*n) return {};
    const Duration patience = std::stol(std::string(buffer, **n)) * Duration(1ms);
    const Clock& clock = context.runtime().clock();
    const MonoTime end = clock.MonoNow() + patience;
    Mutex mutex{"never"};
    CondVar never;
    Status status;
    {
      MutexLock lock(mutex);
      status = WaitUntil(context.WithDeadline(end), mutex, never, [] { return false; });
    }
    const bool early = clock.MonoNow() < end;
    const bool ended = status.code() == Code::kDeadlineExceeded;
    (void)stream.Write(context, !ended ? "no deadline\n" : early ? "early\n" : "late enough\n");
    return {};
  }
};

// Deadlines near and far: the near ones keep their thread, the far ones are the watcher's.
TEST_P(Streams, AWaitEndsWithItsDeadline) {
  std::vector<Client> clients;
  for (const char* patience : {"1", "20", "150", "250", "300", "300", "420"}) {
    auto client = network_.Connect(root_, listener_->address());
    auto accepted = listener_->Accept(root_);
    ASSERT_TRUE(client.ok() && accepted.ok());
    server_->Add(std::move(*accepted), std::make_unique<Waiter>());
    clients.push_back({std::move(*client), ""});
    ASSERT_TRUE(clients.back().stream->Write(root_, patience).ok());
  }
  for (Client& client : clients) EXPECT_EQ(Hear(client), "late enough");
}

// Handlers hand a ball on to each other, from whichever thread they run on to whichever comes next: each throw is a wait that ends while
// it begins, or before.
class Thrower final : public StreamHandler {
 public:
  struct Game {
    Mutex mutex{"game"};
    std::vector<std::unique_ptr<CondVar>> turns;
    size_t player ABSL_GUARDED_BY(mutex) = 0;
    int throws_left ABSL_GUARDED_BY(mutex) = 0;
  };
  Thrower(Game& game, size_t number) : game_(game), number_(number) {}
  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent) override {
    char buffer[8];
    const auto n = stream.TryRead(buffer, sizeof buffer);
    if (!n.ok() || !*n || **n == 0) return {StreamNext::Action::kClose};
    (void)stream.Write(context, Play(context).ok() ? "over\n" : "lost\n");
    return {};
  }
  Status Play(const Context& context) {
    // Some waits have a deadline, as long as an hour.
    const Context patient = number_ % 2 == 0 ? context : context.WithTimeout(3600s);
    MutexLock lock(game_.mutex);
    while (true) {
      RETURN_IF_ERROR(WaitUntil(patient, game_.mutex, *game_.turns[number_],
                                [&] { return game_.player == number_ || game_.throws_left == 0; }));
      if (game_.throws_left == 0) break;
      --game_.throws_left;
      game_.player = (game_.player + 1) % game_.turns.size();
      game_.turns[game_.player]->NotifyOne();
    }
    for (auto& turn : game_.turns) turn->NotifyAll();
    return OkStatus();
  }

 private:
  Game& game_;
  const size_t number_;
};

// One of the players is none of the crew's.
TEST_P(Streams, NoWakeUpIsLost) {
  for (const size_t players : {2, 3, 7}) {
    Thrower::Game game;
    for (size_t i = 0; i < players; ++i) game.turns.push_back(std::make_unique<CondVar>());
    {
      MutexLock lock(game.mutex);
      game.throws_left = 20'000;
    }
    TaskGroup group(root_, "player");
    group.Spawn({}, [&](const Context& context) { return Thrower(game, 0).Play(context.WithTimeout(30s)); });
    std::vector<Client> clients;
    for (size_t i = 1; i < players; ++i) {
      auto client = network_.Connect(root_, listener_->address());
      auto accepted = listener_->Accept(root_);
      ASSERT_TRUE(client.ok() && accepted.ok());
      server_->Add(std::move(*accepted), std::make_unique<Thrower>(game, i));
      clients.push_back({std::move(*client), ""});
      ASSERT_TRUE(clients.back().stream->Write(root_, "x").ok());
    }
    EXPECT_TRUE(group.Join().ok());
    for (Client& client : clients) EXPECT_EQ(Hear(client), "over");
    clients.clear();
    while (server_->stream_count() > 0) sched_yield();  // they refer to the game
  }
}

// Two that are woken together, each of whom then blocks in the kernel until it has met the other: the thread that takes the first up
// must not keep the second waiting.
class Meeting final : public StreamHandler {
 public:
  struct Place {
    Mutex mutex{"place"};
    CondVar changed;
    int waiting ABSL_GUARDED_BY(mutex) = 0;
    int arrived ABSL_GUARDED_BY(mutex) = 0;
    bool open ABSL_GUARDED_BY(mutex) = false;
  };
  explicit Meeting(Place& place) : place_(place) {}
  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent) override {
    char buffer[8];
    const auto n = stream.TryRead(buffer, sizeof buffer);
    if (!n.ok() || !*n || **n == 0) return {StreamNext::Action::kClose};
    Status met;
    {
      MutexLock lock(place_.mutex);
      ++place_.waiting;
      place_.changed.NotifyAll();
      met = WaitUntil(context, place_.mutex, place_.changed, [&] { return place_.open; });
      const KernelWait asleep;
      ++place_.arrived;
      place_.changed.NotifyAll();
      if (met.ok()) met = WaitUntil(context.WithTimeout(10s), place_.mutex, place_.changed, [&] { return place_.arrived == 2; });
    }
    (void)stream.Write(context, met.ok() ? "met\n" : "alone\n");
    return {};
  }

 private:
  Place& place_;
};

TEST_P(Streams, WhoBlocksLeavesWhatIsReadyToOthers) {
  Meeting::Place place;
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) {
    auto client = network_.Connect(root_, listener_->address());
    auto accepted = listener_->Accept(root_);
    ASSERT_TRUE(client.ok() && accepted.ok());
    server_->Add(std::move(*accepted), std::make_unique<Meeting>(place));
    clients.push_back({std::move(*client), ""});
  }
  for (int round = 0; round < 200; ++round) {
    {
      MutexLock lock(place.mutex);
      place.waiting = place.arrived = 0;
      place.open = false;
    }
    for (Client& client : clients) ASSERT_TRUE(client.stream->Write(root_, "x").ok());
    {
      MutexLock lock(place.mutex);
      ASSERT_TRUE(WaitUntil(root_.WithTimeout(30s), place.mutex, place.changed, [&] { return place.waiting == 2; }).ok());
      place.open = true;
      place.changed.NotifyAll();
    }
    for (Client& client : clients) ASSERT_EQ(Hear(client), "met") << "round " << round;
  }
  Stop();
}

// More at once than stacks are kept for.
TEST_P(Streams, ManyWaitAtOnce) {
  std::vector<Client> waiting;
  for (int round = 0; round < 2; ++round) {
    const size_t count = internal::kFibersWork && GetParam() ? 600 : 100;
    for (size_t i = waiting.size(); i < count; ++i) waiting.push_back(Connect());
    for (Client& client : waiting) ASSERT_TRUE(client.stream->Write(root_, "wait\n").ok());
    ASSERT_TRUE(world_.AwaitWaiting(root_.WithTimeout(30s), int(count)).ok());
    world_.Release();
    for (Client& client : waiting) EXPECT_EQ(Hear(client), "waited");
    MutexLock lock(world_.mutex);
    world_.waiting = 0;
    world_.released = false;
  }
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

TEST_P(Streams, AHandlerIsToldThatItsPeerHasHungUp) {
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

TEST_P(Streams, HandlersThatComputeForLongHoldNobodyUp) {
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

// Says under which policy of the system's scheduler it runs, sleeps, and runs again.
class PolicyTeller final : public StreamHandler {
 public:
  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent) override {
    char buffer[8];
    const auto n = stream.TryRead(buffer, sizeof buffer);
    if (!n.ok() || (*n && **n == 0)) return {StreamNext::Action::kClose};
    if (!*n) return {};
    const int before = sched_getscheduler(0);
    int asleep = -1, of_a_task = -1;
    {
      const KernelWait wait;
      asleep = sched_getscheduler(0);
    }
    TaskGroup tasks(context, "task");
    tasks.Spawn({}, [&](const Context&) {
      of_a_task = sched_getscheduler(0);
      return OkStatus();
    });
    (void)tasks.Join();
    const int after = sched_getscheduler(0);
    (void)stream.Write(context, Name(before) + " " + Name(asleep) + " " + Name(after) + ", " + Name(of_a_task) + "\n");
    return {};
  }
  static std::string Name(int policy) {
    return policy == SCHED_OTHER ? "ordinary" : policy == SCHED_BATCH ? "batch" : std::to_string(policy);
  }
};

// Whoever wakes for an event does not push others aside; whoever comes back from a sync does, and so do all other tasks.
TEST_P(Streams, HandlersRunAsBatchesButForWhatOthersWaitFor) {
  auto client = network_.Connect(root_, listener_->address());
  auto accepted = listener_->Accept(root_);
  ASSERT_TRUE(client.ok() && accepted.ok());
  server_->Add(std::move(*accepted), std::make_unique<PolicyTeller>());
  Client teller{std::move(*client), ""};
  // Soon: a handler that a busy machine stops for a whole tick of the watcher counts as one that computes.
  const auto says_soon = [&](const std::string& what) {
    const MonoTime end = runtime_->clock().MonoNow() + 30s;
    while (true) {
      const std::string said = Say(teller, "x");
      EXPECT_NE(said.find(" ordinary "), std::string::npos) << "asleep: " << said;
      EXPECT_TRUE(said.ends_with(", ordinary")) << "a task: " << said;
      if (said == what) return true;
      if (HasFailure() || runtime_->clock().MonoNow() > end) return false;
    }
  };
  const std::string of_short_turns = "batch ordinary batch, ordinary";
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(says_soon(of_short_turns));
  // While another handler computes, it may push it aside.
  std::atomic<bool> go_on{true};
  const auto busy = std::move(*network_.Connect(root_, listener_->address()));
  server_->Add(std::move(*listener_->Accept(root_)), std::make_unique<Spinner>(go_on));
  ASSERT_TRUE(busy->Write(root_, "x").ok());
  const std::string of_long_turns = "ordinary ordinary ordinary, ordinary";
  EXPECT_TRUE(says_soon(of_long_turns));
  // And goes on so, for as long as that one computes.
  for (const MonoTime later = runtime_->clock().MonoNow() + 300ms; runtime_->clock().MonoNow() < later;) Say(teller, "x");
  EXPECT_TRUE(says_soon(of_long_turns));
  go_on = false;
  EXPECT_TRUE(says_soon(of_short_turns));
  teller.stream.reset();
  Stop();
  // The pool's threads, some of which were the crew's.
  TaskGroup tasks(root_, "task");
  std::atomic<int> others{0};
  for (int i = 0; i < 8; ++i) {
    tasks.Spawn({}, [&](const Context&) {
      if (sched_getscheduler(0) != SCHED_OTHER) ++others;
      return OkStatus();
    });
  }
  EXPECT_TRUE(tasks.Join().ok());
  EXPECT_EQ(others, 0);
}

// Waits for as long as it takes the watcher to fall asleep, and then computes.
class LateSpinner final : public StreamHandler {
 public:
  explicit LateSpinner(std::atomic<bool>& spins) : spins_(spins) {}
  StreamNext Handle(const Context& context, ByteStream&, StreamEvent) override {
    Mutex mutex{"never"};
    CondVar never;
    {
      MutexLock lock(mutex);
      (void)WaitUntil(context.WithTimeout(800ms), mutex, never, [] { return false; });
    }
    spins_.store(true);
    while (spins_.load()) sched_yield();
    return {StreamNext::Action::kClose};
  }

 private:
  std::atomic<bool>& spins_;
};

TEST_P(Streams, AHandlerThatComputesAfterALongWaitHoldsNobodyUp) {
  std::atomic<bool> spins{false};
  auto late = std::move(*network_.Connect(root_, listener_->address()));
  server_->Add(std::move(*listener_->Accept(root_)), std::make_unique<LateSpinner>(spins));
  Client other = Connect();
  ASSERT_TRUE(late->Write(root_, "x").ok());
  while (!spins.load()) sched_yield();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Say(other, "echo alive"), "alive");
  spins = false;
}

TEST_P(Streams, NothingIsLostWhenBytesNeverStop) {
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

TEST_P(Streams, TheEndOfAStreamIsSeenBehindItsLastBytes) {
  for (int i = 0; i < 200; ++i) {
    Client client = Connect();
    ASSERT_TRUE(client.stream->Write(root_, "echo last\n").ok());
    ::shutdown(static_cast<SocketStream&>(*client.stream).fd(), SHUT_WR);
    EXPECT_EQ(Hear(client), "last");
    EXPECT_EQ(Hear(client), "<end>");
  }
}

TEST_P(Streams, SilenceEndsAStreamThatAskedForIt) {
  Client quiet = Connect(), busy = Connect(), patient = Connect();
  ASSERT_TRUE(quiet.stream->Write(root_, "silence 30\n").ok());
  ASSERT_TRUE(busy.stream->Write(root_, "silence 3600000\n").ok());
  EXPECT_EQ(Hear(quiet), "idle");
  EXPECT_EQ(Hear(quiet), "<end>");
  EXPECT_EQ(Say(busy, "echo still here"), "still here");
  EXPECT_EQ(Say(patient, "echo so am I"), "so am I");
}

TEST_P(Streams, AStopTellsIdleAndRunningStreamsAndEndsThem) {
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

TEST_P(Streams, ASlowReaderHoldsNobodyUp) {
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
TEST_P(Streams, ComingsAndGoings) {
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

TEST_P(Streams, AKernelWaitLetsAnotherPoll) {
  // Outside of a handler, and nested, it means nothing and does no harm.
  const KernelWait outer;
  const KernelWait inner;
  Client client = Connect();
  EXPECT_EQ(Say(client, "echo x"), "x");
}

}  // namespace
}  // namespace orrery::runtime
