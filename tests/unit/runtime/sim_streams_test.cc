#include <gtest/gtest.h>

#include <vector>

#include "orrery/runtime/runtime.h"
#include "orrery/runtime/sim/simulator.h"
#include "unit/runtime/stream_echo.h"

namespace orrery::runtime::sim {
namespace {

constexpr NodeId kServer(1);

Status Sleep(const Context& context, Duration duration) {
  return context.runtime().scheduler().SleepFor(context, duration);
}

// Accepts until the node stops, then waits for the streams.
NodeMain EchoServer(EchoWorld& world) {
  return [&world](const Context& context) {
    auto listener = context.runtime().network().Listen("s:1");
    ASSERT_TRUE(listener.ok());
    auto server = context.runtime().network().NewStreamServer(context, {.name = "echo"});
    while (true) {
      auto stream = (*listener)->Accept(context);
      if (!stream.ok()) break;
      server->Add(std::move(*stream), std::make_unique<EchoHandler>(world));
    }
    server->Join();
    EXPECT_EQ(server->stream_count(), 0u);
  };
}

struct Client {
  std::unique_ptr<ByteStream> stream;
  std::string rest;
};

class Script {
 public:
  explicit Script(const Context& context) : context_(context) {}
  Client Connect() {
    auto stream = context_.runtime().network().Connect(context_, "s:1");
    EXPECT_TRUE(stream.ok()) << stream.status().ToString();
    return {std::move(*stream), ""};
  }
  std::string Say(Client& client, const std::string& line) {
    EXPECT_TRUE(client.stream->Write(context_, line + "\n").ok());
    return ReadLine(context_, *client.stream, client.rest);
  }
  std::string Hear(Client& client) { return ReadLine(context_, *client.stream, client.rest); }

 private:
  const Context context_;
};

void RunSeeds(int count, const std::function<Status(Simulator&, const Context&, EchoWorld&)>& driver) {
  for (uint64_t seed = 0; seed < uint64_t(count); ++seed) {
    Simulator sim(seed, {});
    EchoWorld world;
    const Status status = sim.Run([&](const Context& context) -> Status {
      sim.StartNode(kServer, EchoServer(world));
      RETURN_IF_ERROR(Sleep(context, 1ms));
      return driver(sim, context, world);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(SimStreams, AnswersAllAndWaitsHoldNobodyUp) {
  int told = 0;
  RunSeeds(30, [&told](Simulator& sim, const Context& context, EchoWorld& world) -> Status {
    Script script(context);
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(script.Connect());
    for (int i = 0; i < 5; ++i) RETURN_IF_ERROR(clients[size_t(i)].stream->Write(context, "wait\n"));
    RETURN_IF_ERROR(world.AwaitWaiting(context, 5));
    for (size_t i = 5; i < 20; ++i) EXPECT_EQ(script.Say(clients[i], "echo " + std::to_string(i)), std::to_string(i));
    world.Release();
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(script.Hear(clients[i]), "waited");
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(script.Say(clients[i], "close"), "<end>");
    sim.StopNode(kServer);
    // The last word races with the end of the wires.
    for (size_t i = 10; i < 20; ++i) {
      const std::string line = script.Hear(clients[i]);
      if (line == "stopping") ++told;
      else EXPECT_EQ(line, "<error>");
    }
    MutexLock lock(world.mutex);
    EXPECT_EQ(world.alive, 0);
    return OkStatus();
  });
  EXPECT_GT(told, 0);
}

TEST(SimStreams, SilenceIsMeasuredFromTheLastByte) {
  RunSeeds(10, [](Simulator&, const Context& context, EchoWorld&) -> Status {
    Script script(context);
    Client client = script.Connect();
    RETURN_IF_ERROR(client.stream->Write(context, "silence 500\n"));
    for (int i = 0; i < 5; ++i) {
      RETURN_IF_ERROR(Sleep(context, 300ms));
      EXPECT_EQ(script.Say(client, "echo x"), "x");
    }
    const MonoTime before = context.runtime().clock().MonoNow();
    EXPECT_EQ(script.Hear(client), "idle");
    EXPECT_GE(context.runtime().clock().MonoNow() - before, Duration(450ms));
    EXPECT_EQ(script.Hear(client), "<end>");
    return OkStatus();
  });
}

TEST(SimStreams, ACrashEndsHandlersWhereverTheyStand) {
  RunSeeds(30, [](Simulator& sim, const Context& context, EchoWorld& world) -> Status {
    Script script(context);
    std::vector<Client> clients;
    for (int i = 0; i < 6; ++i) clients.push_back(script.Connect());
    for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(clients[size_t(i)].stream->Write(context, "wait\n"));
    RETURN_IF_ERROR(clients[3].stream->Write(context, "big 3000000\n"));  // nobody reads it
    RETURN_IF_ERROR(Sleep(context, Duration(1 + sim.random().Below(5'000'000))));
    sim.CrashNode(kServer);
    {
      MutexLock lock(world.mutex);
      EXPECT_EQ(world.alive, 0);
    }
    for (auto& client : clients) {
      std::string line;
      while (line != "<error>" && line != "<end>") line = script.Hear(client);
      EXPECT_EQ(line, "<error>");
    }
    return OkStatus();
  });
}

}  // namespace
}  // namespace orrery::runtime::sim
