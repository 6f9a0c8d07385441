#include "runtime/threads/lane_wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>

#include "orrery/runtime/runtime.h"
#include "runtime/threads/socket_network.h"

namespace orrery::runtime {
namespace {

constexpr Duration kHelloTimeout = 2s;       // to connect and to hear who is there
constexpr int kUnacknowledgedMsMax = 2'500;  // then the peer has vanished or stands still
constexpr int kSilenceSeconds = 10;          // of a caller, before the kernel asks whether it is still there
constexpr size_t kHelloBytesMax = 4 << 10;
static_assert(kMessageLanePreface.size() == kCallLanePreface.size());

struct Hello {
  NodeId node;
  std::string cluster_id;
  template <class V>
  void Visit(V& v) {
    v(1, node);
    v(2, cluster_id);
  }
};

std::string EncodeHello(std::string_view preface, const NodeIdentity& self) {
  std::string bytes(preface);
  bytes.append(kLaneLengthBytes, '\0');
  wire::EncodeTo(Hello{self.node, self.cluster_id}, bytes);
  SetLaneLength(bytes, preface.size());
  return bytes;
}

StatusOr<std::string> ReadExactly(const Context& context, SocketStream& stream, size_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    ASSIGN_OR_RETURN(const size_t n, stream.Read(context, bytes.data() + done, size - done));
    if (n == 0) return UnavailableError("the connection ended before its hello");
    done += n;
  }
  return bytes;
}

StatusOr<Hello> ReadHello(const Context& context, SocketStream& stream) {
  ASSIGN_OR_RETURN(const std::string length, ReadExactly(context, stream, kLaneLengthBytes));
  if (LaneLength(length) > kHelloBytesMax) return DataLossError("a hello of too many bytes");
  ASSIGN_OR_RETURN(const std::string bytes, ReadExactly(context, stream, LaneLength(length)));
  Hello hello;
  RETURN_IF_ERROR(wire::Decode(bytes, hello));
  return hello;
}

void SetOption(const SocketStream& stream, int level, int option, int value) {
  ::setsockopt(stream.fd(), level, option, &value, sizeof value);
}

}  // namespace

void SetLaneLength(std::string& bytes, size_t at) {
  const size_t length = bytes.size() - at - kLaneLengthBytes;
  for (size_t i = 0; i < kLaneLengthBytes; ++i) bytes[at + i] = char(length >> (8 * (kLaneLengthBytes - 1 - i)));
}

size_t LaneLength(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = 0; i < kLaneLengthBytes; ++i) length = length << 8 | uint8_t(bytes[i]);
  return length;
}

std::string EncodeLaneBatch(const FrameHeader& header, std::string_view payload) {
  std::string batch;
  batch.reserve(kLaneLengthBytes + kFrameHeadBytesMax + payload.size());
  batch.resize(kLaneLengthBytes);
  AppendFrame(batch, header, payload);
  SetLaneLength(batch, 0);
  return batch;
}

uint64_t MillisecondsLeft(const Context& context) {
  if (context.deadline() == MonoTime::Infinite()) return 0;
  const Duration left = context.deadline() - context.runtime().clock().MonoNow();
  return uint64_t(std::max<int64_t>(1, (left.count() + 999'999) / 1'000'000));
}

Context WithMillisecondsLeft(const Context& context, uint64_t timeout_ms) {
  if (timeout_ms == 0) return context;
  return context.WithTimeout(std::chrono::milliseconds(std::min<uint64_t>(timeout_ms, uint64_t(1) << 32)));
}

StatusOr<std::unique_ptr<SocketStream>> ConnectLane(const Context& context, std::string_view preface,
                                                    const NodeIdentity& self, NodeId peer, std::string_view address) {
  const Context soon = context.WithTimeout(kHelloTimeout);
  ASSIGN_OR_RETURN(auto stream, ConnectSocket(soon, address));
  SetOption(*stream, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMsMax);
  RETURN_IF_ERROR(stream->Write(soon, EncodeHello(preface, self)));
  ASSIGN_OR_RETURN(const Hello hello, ReadHello(soon, *stream));
  if (ForeignTo(self, hello.cluster_id) || hello.node != peer) return UnavailableError("another node answers there");
  return stream;
}

StatusOr<LaneGreeting> AcceptLane(const Context& context, SocketStream& stream, const NodeIdentity& self) {
  SetOption(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(stream, IPPROTO_TCP, TCP_KEEPIDLE, kSilenceSeconds);
  SetOption(stream, IPPROTO_TCP, TCP_KEEPINTVL, kSilenceSeconds);
  const Context soon = context.WithTimeout(kHelloTimeout);
  ASSIGN_OR_RETURN(const std::string preface, ReadExactly(soon, stream, kMessageLanePreface.size()));
  if (preface != kMessageLanePreface && preface != kCallLanePreface) return DataLossError("not the preface of a lane");
  ASSIGN_OR_RETURN(const Hello peer, ReadHello(soon, stream));
  RETURN_IF_ERROR(stream.Write(soon, EncodeHello("", self)));  // also to strangers: it tells them why
  if (ForeignTo(self, peer.cluster_id)) return FailedPreconditionError("a node of another cluster");
  return LaneGreeting{preface == kCallLanePreface, peer.node};
}

}  // namespace orrery::runtime
