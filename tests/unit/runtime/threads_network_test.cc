#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fcntl.h>

#include "orrery/runtime/threads_runtime.h"

namespace orrery::runtime {
namespace {

class Sockets : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<ByteStream> client, server;
  };
  Pair Connect(Listener& listener) {
    Pair pair;
    auto client = network_.Connect(root_, listener.address());
    EXPECT_TRUE(client.ok()) << client.status().ToString();
    auto server = listener.Accept(root_);
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    pair.client = std::move(*client);
    pair.server = std::move(*server);
    return pair;
  }
  std::string ReadExactly(ByteStream& stream, size_t size) {
    std::string result;
    char buffer[4096];
    while (result.size() < size) {
      auto n = stream.Read(root_, buffer, std::min(sizeof buffer, size - result.size()));
      if (!n.ok() || *n == 0) break;
      result.append(buffer, *n);
    }
    return result;
  }

  std::unique_ptr<ThreadsRuntime> runtime_ = ThreadsRuntime::Create();
  Context root_{*runtime_};
  Network& network_ = runtime_->network();
};

TEST(ListenAddresses, OnlyLoopbackIsOutOfReach) {
  for (const char* address : {"127.0.0.1:1", "127.200.3.4:1", "127.1:1", "localhost:1", "[::1]:1", "::1:1",
                              "[::ffff:127.0.0.1]:1", "unix:/tmp/socket"}) {
    auto outside = ReachableFromOutside(address);
    ASSERT_TRUE(outside.ok()) << address << ": " << outside.status().ToString();
    EXPECT_EQ(*outside, "") << address;
  }
  const std::pair<const char*, const char*> reachable[] = {
      {"0.0.0.0:1", "0.0.0.0:1"}, {"0:7", "0.0.0.0:7"}, {"10.0.0.1:1", "10.0.0.1:1"}, {"128.0.0.1:1", "128.0.0.1:1"},
      {"126.255.255.255:1", "126.255.255.255:1"}, {"[::]:1", "[::]:1"}, {"[2001:db8::1]:1", "[2001:db8::1]:1"},
      {"[::2]:1", "[::2]:1"}, {"[fe80::1]:1", "[fe80::1]:1"}, {"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1"},
      {"[::ffff:0.0.0.0]:1", "[::ffff:0.0.0.0]:1"}};
  for (const auto& [address, ip] : reachable) {
    auto outside = ReachableFromOutside(address);
    ASSERT_TRUE(outside.ok()) << address << ": " << outside.status().ToString();
    EXPECT_EQ(*outside, ip) << address;
  }
  auto nowhere = ReachableFromOutside(":15432");
  ASSERT_TRUE(nowhere.ok());
  EXPECT_NE(*nowhere, "");
  // gRPC's own notations do not slip through.
  for (const char* address : {"ipv4:0.0.0.0:1", "dns:0.0.0.0:1", "dns:///0.0.0.0:1", "127.0.0.1", "127.0.0.1:x", ""})
    EXPECT_FALSE(ReachableFromOutside(address).ok()) << address;
}

TEST_F(Sockets, BytesBothWaysOverTcpAndUnix) {
  const std::string path = "unix:/tmp/orrery_socket_" + std::to_string(::getpid());
  for (const std::string& address : {std::string("127.0.0.1:0"), path}) {
    auto listener = network_.Listen(address);
    ASSERT_TRUE(listener.ok()) << listener.status().ToString();
    auto [client, server] = Connect(**listener);
    const std::string big(3'000'000, 'b');
    TaskGroup group(root_, "writer");
    group.Spawn({}, [&](const Context& ctx) { return client->Write(ctx, big); });
    EXPECT_EQ(ReadExactly(*server, big.size()), big);
    EXPECT_TRUE(group.Join().ok());
    EXPECT_FALSE(client->Readable());
    ASSERT_TRUE(server->Write(root_, "hello").ok());
    EXPECT_EQ(ReadExactly(*client, 5), "hello");
    server.reset();
    char byte;
    EXPECT_EQ(*client->Read(root_, &byte, 1), 0u);
    EXPECT_TRUE(client->Readable());  // the end of the stream is readable
  }
  EXPECT_NE(::access(path.substr(5).c_str(), F_OK), 0) << "the socket's file is gone with its listener";
}

TEST_F(Sockets, AddressInUseIsNamed) {
  auto first = network_.Listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const auto second = network_.Listen((*first)->address());
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(second.status().message(), "address " + (*first)->address() + " is already in use");
  EXPECT_EQ(network_.Listen("nonsense").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(network_.Listen("127.0.0.1:pg").status().code(), Code::kInvalidArgument);
}

TEST_F(Sockets, DeadlineLeavesTheStreamUsable) {
  auto listener = network_.Listen("127.0.0.1:0");
  auto [client, server] = Connect(**listener);
  char byte;
  EXPECT_EQ(server->Read(root_.WithTimeout(5ms), &byte, 1).status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ((*listener)->Accept(root_.WithTimeout(5ms)).status().code(), Code::kDeadlineExceeded);
  ASSERT_TRUE(client->Write(root_, "x").ok());
  EXPECT_EQ(*server->Read(root_.WithTimeout(1s), &byte, 1), 1u);
}

TEST_F(Sockets, CancellationAndCloseWakeWaits) {
  auto listener = network_.Listen("127.0.0.1:0");
  auto [client, server] = Connect(**listener);
  const auto scope = root_.WithCancel();
  TaskGroup group(root_, "waits");
  OneShot<Code> read, write, accept, closed_read;
  group.Spawn({}, [&](const Context&) {
    char byte;
    read.Set(server->Read(scope.context, &byte, 1).status().code());
    return OkStatus();
  });
  group.Spawn({}, [&](const Context&) {
    const std::string endless(64 << 20, 'x');  // nobody reads it
    write.Set(server->Write(scope.context, endless).code());
    return OkStatus();
  });
  group.Spawn({}, [&](const Context&) {
    accept.Set((*listener)->Accept(scope.context).status().code());
    return OkStatus();
  });
  scope.Cancel();
  EXPECT_EQ(*read.Take(root_), Code::kCancelled);
  EXPECT_EQ(*write.Take(root_), Code::kCancelled);
  EXPECT_EQ(*accept.Take(root_), Code::kCancelled);

  auto listener2 = network_.Listen("127.0.0.1:0");
  auto [client2, server2] = Connect(**listener2);
  group.Spawn({}, [&, s = server2.get()](const Context& ctx) {
    char byte;
    closed_read.Set(s->Read(ctx, &byte, 1).status().code());
    return OkStatus();
  });
  server2->Close();
  EXPECT_EQ(*closed_read.Take(root_), Code::kFailedPrecondition);
  EXPECT_FALSE(client2->Write(root_, std::string(1 << 20, 'x')).ok() && client2->Write(root_, "y").ok());
  (*listener2)->Close();
  EXPECT_EQ((*listener2)->Accept(root_).status().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(group.Join().ok());
}

TEST_F(Sockets, ConnectingNowhereFails) {
  std::string address;
  {
    auto listener = network_.Listen("127.0.0.1:0");
    address = (*listener)->address();
  }
  EXPECT_EQ(network_.Connect(root_, address).status().code(), Code::kUnavailable);
}

TEST_F(Sockets, AcceptOutlivesTheLackOfDescriptors) {
  auto listener = network_.Listen("127.0.0.1:0");
  rlimit saved;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &saved), 0);
  auto client = network_.Connect(root_, (*listener)->address());
  ASSERT_TRUE(client.ok());
  const int next_free = ::dup(0);
  ::close(next_free);
  const rlimit none{rlim_t(next_free), saved.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ((*listener)->Accept(root_.WithTimeout(20ms)).status().code(), Code::kDeadlineExceeded);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &saved), 0);
  EXPECT_TRUE((*listener)->Accept(root_.WithTimeout(5s)).ok());
}

}  // namespace
}  // namespace orrery::runtime
