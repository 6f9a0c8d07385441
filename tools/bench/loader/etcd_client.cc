// Speaks just as much of HTTP/2 (RFC 9113), HPACK (RFC 7541) and gRPC
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) as a lone unary call of etcdserverpb.KV/Put needs.
#include <stdexcept>
#include <utility>

#include "put_client.h"

namespace orrery::bench {
namespace {

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7 };
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr size_t kFrameHeaderBytes = 9, kGrpcPrefixBytes = 5;

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

class EtcdClient final : public PutClient {
 public:
  explicit EtcdClient(int port) : PutClient(port), headers_(HeaderBlock(port)) {
    std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    AppendFrame(hello, kSettings, 0, 0, "");
    // Room for all answers of this connection's life: they have some forty bytes each.
    AppendFrame(hello, FrameType(8), 0, 0, std::string("\x3f\xff\xff\xff", 4));
    Write(hello);
  }

 private:
  // Requests fit the server's windows: it has read one, and given its bytes back, before it answers it.
  void AppendPut(std::string& out, uint32_t key, std::string_view value) override {
    AppendFrame(out, kHeaders, kEndHeaders, stream_, headers_);
    AppendFrame(out, kData, kEndStream, stream_, PutMessage("k" + std::to_string(key), value));
    message_bytes_ = 0;
  }

  // A put that etcd refuses is answered without a message: trailers alone.
  Progress Take(std::string& input) override {
    size_t at = 0;
    bool ended = false;
    while (input.size() - at >= kFrameHeaderBytes) {
      const uint32_t length = BigEndian(&input[at], 3);
      if (input.size() - at < kFrameHeaderBytes + length) break;
      ended |= TakeFrame(FrameType(input[at + 3]), uint8_t(input[at + 4]), BigEndian(&input[at + 5], 4),
                         std::string_view(input).substr(at + kFrameHeaderBytes, length));
      at += kFrameHeaderBytes + length;
    }
    input.erase(0, at);
    if (!ended) return Progress::kWaiting;
    stream_ += 2;
    return message_bytes_ > kGrpcPrefixBytes ? Progress::kAnswered : Progress::kRefused;
  }

  // Returns whether the call has ended.
  bool TakeFrame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
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

  const std::string headers_;
  uint32_t stream_ = 1;
  size_t message_bytes_ = 0;
};

}  // namespace

std::unique_ptr<PutClient> NewEtcdClient(int port) { return std::make_unique<EtcdClient>(port); }

}  // namespace orrery::bench
