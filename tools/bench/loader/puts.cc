// bench_etcd_puts: clients of etcd that put keys, each on a connection of its own and one put at a time. One thread serves them all,
// so that on a small machine the processors are left to etcd. Speaks just as much of HTTP/2 (RFC 9113), HPACK (RFC 7541) and gRPC
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) as a lone unary call of etcdserverpb.KV/Put needs.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<int> ports;
  int clients = 64;
  int keys = 100'000;
  int value_bytes = 100;
  int seconds = 5;   // how long puts are begun, if `count` is 0
  int64_t count = 0;  // how many are begun
};

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7 };
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr size_t kFrameHeaderBytes = 9, kGrpcPrefixBytes = 5;

void AppendBigEndian(std::string& out, uint32_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(char(value >> (8 * i)));
}

uint32_t BigEndian(const char* at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | uint8_t(at[i]);
  return value;
}

void AppendFrame(std::string& out, FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  AppendBigEndian(out, uint32_t(payload.size()), 3);
  out.push_back(char(type));
  out.push_back(char(flags));
  AppendBigEndian(out, stream, 4);
  out += payload;
}

// A literal without Huffman coding and without a place in the dynamic table: each request's header block is the same.
void AppendText(std::string& out, std::string_view text) {
  out.push_back(char(text.size()));  // below 127 here
  out += text;
}

std::string HeaderBlock(int port) {
  std::string out("\x83\x86", 2);  // of the static table: ":method: POST", ":scheme: http"
  out.push_back(4);                // literal value, name of the static table's entry 4, ":path"
  AppendText(out, "/etcdserverpb.KV/Put");
  out.push_back(1);  // ":authority"
  AppendText(out, "127.0.0.1:" + std::to_string(port));
  out += std::string("\x0f\x10", 2);  // entry 31, "content-type", as 15 + 16
  AppendText(out, "application/grpc");
  out.push_back(0);  // a name of its own
  AppendText(out, "te");
  AppendText(out, "trailers");
  return out;
}

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(char(value | 128));
  out.push_back(char(value));
}

// etcdserverpb.PutRequest: key = 1, value = 2, behind gRPC's prefix (not compressed, length).
std::string PutMessage(std::string_view key, std::string_view value) {
  std::string message;
  for (const auto& [tag, field] : {std::pair(char(0x0a), key), std::pair(char(0x12), value)}) {
    message.push_back(tag);
    AppendVarint(message, field.size());
    message += field;
  }
  std::string out(1, '\0');
  AppendBigEndian(out, uint32_t(message.size()), 4);
  return out + message;
}

enum class Progress { kWaiting, kAnswered, kRefused };

// One client: a connection with at most one call on its way.
class Client {
 public:
  explicit Client(int port) : headers_(HeaderBlock(port)) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      throw std::runtime_error("no connection to port " + std::to_string(port));
    }
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    AppendFrame(hello, kSettings, 0, 0, "");
    // Room for all answers of this connection's life: they have some forty bytes each.
    AppendFrame(hello, FrameType(8), 0, 0, std::string("\x3f\xff\xff\xff", 4));
    Write(hello);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(fd_); }

  int fd() const { return fd_; }
  Clock::time_point begun() const { return begun_; }
  bool busy() const { return busy_; }

  // Requests fit the server's windows: it has read one, and given its bytes back, before it answers it.
  void Put(std::string_view key, std::string_view value) {
    std::string out;
    AppendFrame(out, kHeaders, kEndHeaders, stream_, headers_);
    AppendFrame(out, kData, kEndStream, stream_, PutMessage(key, value));
    busy_ = true;
    message_bytes_ = 0;
    begun_ = Clock::now();
    Write(out);
  }

  // Call when the socket is readable. A put that etcd refuses is answered without a message: trailers alone.
  Progress Read() {
    char bytes[4096];
    const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
    if (got <= 0) throw std::runtime_error("etcd has closed a connection");
    input_.append(bytes, size_t(got));
    size_t at = 0;
    bool ended = false;
    while (input_.size() - at >= kFrameHeaderBytes) {
      const uint32_t length = BigEndian(&input_[at], 3);
      if (input_.size() - at < kFrameHeaderBytes + length) break;
      ended |= Take(FrameType(input_[at + 3]), uint8_t(input_[at + 4]), BigEndian(&input_[at + 5], 4),
                    std::string_view(input_).substr(at + kFrameHeaderBytes, length));
      at += kFrameHeaderBytes + length;
    }
    input_.erase(0, at);
    if (!ended) return Progress::kWaiting;
    stream_ += 2;
    busy_ = false;
    return message_bytes_ > kGrpcPrefixBytes ? Progress::kAnswered : Progress::kRefused;
  }

 private:
  // Returns whether the call has ended.
  bool Take(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
    if (type == kGoAway) throw std::runtime_error("etcd ends a connection");
    if ((type == kSettings || type == kPing) && !(flags & kAck)) {
      std::string answer;
      AppendFrame(answer, type, kAck, 0, type == kPing ? payload : "");
      Write(answer);
    }
    if (stream != stream_) return false;
    if (type == kData) message_bytes_ += payload.size();
    return type == kReset || ((type == kData || type == kHeaders) && (flags & kEndStream));
  }

  void Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("etcd does not take a request");
      bytes.remove_prefix(size_t(sent));
    }
  }

  int fd_;
  std::string headers_, input_;
  uint32_t stream_ = 1;
  size_t message_bytes_ = 0;
  bool busy_ = false;
  Clock::time_point begun_;
};

struct Seen {
  std::vector<double> latencies_us;
  int64_t refused = 0;
  double seconds = 0;
};

Seen Run(const Options& options) {
  std::vector<std::unique_ptr<Client>> clients;
  const int poll = epoll_create1(0);
  for (int i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<Client>(options.ports[size_t(i) % options.ports.size()]));
    epoll_event event{.events = EPOLLIN, .data = {.u32 = uint32_t(i)}};
    epoll_ctl(poll, EPOLL_CTL_ADD, clients.back()->fd(), &event);
  }
  std::mt19937 random(1);
  const std::string value(size_t(options.value_bytes), 'v');
  int64_t left = options.count;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::seconds(options.seconds);
  const auto next = [&](Client& client) {
    if (options.count == 0 ? Clock::now() < end : left-- > 0) {
      client.Put("k" + std::to_string(random() % uint32_t(options.keys)), value);
    }
  };
  for (auto& client : clients) next(*client);
  Seen seen;
  epoll_event events[64];
  while (std::any_of(clients.begin(), clients.end(), [](const auto& client) { return client->busy(); })) {
    const int count = epoll_wait(poll, events, 64, 30'000);
    if (count == 0) throw std::runtime_error("etcd has not answered for half a minute");
    for (int i = 0; i < count; ++i) {
      Client& client = *clients[events[i].data.u32];
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("bench_etcd_puts: puts keys into etcd, one put at a time on each connection, and prints what it saw as JSON");
  Options options;
  app.add_option("--ports", options.ports, "etcd's client ports on 127.0.0.1; connections go to them in turn")->delimiter(',')->required();
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
    std::fprintf(stderr, "bench_etcd_puts: %s\n", error.what());
    return 1;
  }
  return 0;
}
