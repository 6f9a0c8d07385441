// bench_puts: clients that put keys, each on a connection of its own and one put at a time. One thread serves them all, so that on a
// small machine the processors are left to the server, and both sides of a comparison have clients of the same weight.
#include <sys/epoll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <vector>

#include "put_client.h"

namespace orrery::bench {
namespace {

struct Options {
  std::string server = "etcd";
  std::vector<int> ports;
  int clients = 64;
  int keys = 100'000;
  int value_bytes = 100;
  int seconds = 5;   // how long puts are begun, if `count` is 0
  int64_t count = 0;  // how many are begun
};

struct Seen {
  std::vector<double> latencies_us;
  int64_t refused = 0;
  double seconds = 0;
};

Seen Run(const Options& options) {
  std::vector<std::unique_ptr<PutClient>> clients;
  const int poll = epoll_create1(0);
  for (int i = 0; i < options.clients; ++i) {
    const int port = options.ports[size_t(i) % options.ports.size()];
    clients.push_back(options.server == "etcd" ? NewEtcdClient(port) : NewPostgresClient(port));
    epoll_event event{.events = EPOLLIN, .data = {.u32 = uint32_t(i)}};
    epoll_ctl(poll, EPOLL_CTL_ADD, clients.back()->fd(), &event);
  }
  std::mt19937 random(1);
  const std::string value(size_t(options.value_bytes), 'v');
  int64_t left = options.count;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::seconds(options.seconds);
  const auto next = [&](PutClient& client) {
    if (options.count == 0 ? Clock::now() < end : left-- > 0) {
      client.Put(uint32_t(random() % uint32_t(options.keys)), value);
    }
  };
  for (auto& client : clients) next(*client);
  Seen seen;
  epoll_event events[64];
  while (std::any_of(clients.begin(), clients.end(), [](const auto& client) { return client->busy(); })) {
    const int count = epoll_wait(poll, events, 64, 30'000);
    if (count == 0) throw std::runtime_error("the server has not answered for half a minute");
    for (int i = 0; i < count; ++i) {
      PutClient& client = *clients[events[i].data.u32];
      const Progress progress = client.Read();
      if (progress == Progress::kWaiting) continue;
      if (progress == Progress::kRefused) ++seen.refused;
      if (progress == Progress::kAnswered) {
        seen.latencies_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - client.begun()).count());
      }
      next(client);
    }
  }
  close(poll);
  seen.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return seen;
}

void Print(Seen& seen) {
  std::sort(seen.latencies_us.begin(), seen.latencies_us.end());
  const auto share = [&](double part) {
    return seen.latencies_us.empty() ? 0.0 : seen.latencies_us[size_t(part * double(seen.latencies_us.size()))];
  };
  std::printf(R"({"puts": %zu, "refused": %lld, "seconds": %.6f, "latency_us": {"p50": %.1f, "p95": %.1f, "p99": %.1f}})" "\n",
              seen.latencies_us.size(), static_cast<long long>(seen.refused), seen.seconds, share(0.5), share(0.95), share(0.99));
}

int Main(int argc, char** argv) {
  CLI::App app("bench_puts: puts keys, one put at a time on each connection, and prints what it saw as JSON");
  Options options;
  app.add_option("--server", options.server, "What it speaks: etcd, or postgresql to a table puts (k bigint PRIMARY KEY, v text)")
      ->check(CLI::IsMember({"etcd", "postgresql"}))
      ->capture_default_str();
  app.add_option("--ports", options.ports, "Ports on 127.0.0.1; connections go to them in turn")->delimiter(',')->required();
  app.add_option("--clients", options.clients, "Connections")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--keys", options.keys, "How many different keys, at random")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--value-bytes", options.value_bytes, "Of each value")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--count", options.count, "How many puts, however long they take")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    Seen seen = Run(options);
    Print(seen);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_puts: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace orrery::bench

int main(int argc, char** argv) { return orrery::bench::Main(argc, argv); }
