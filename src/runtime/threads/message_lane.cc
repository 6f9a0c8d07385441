#include "runtime/threads/message_lane.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include "orrery/runtime/runtime.h"
#include "orrery/runtime/scheduler.h"
#include "runtime/frame.h"
#include "runtime/threads/socket_network.h"

namespace orrery::runtime {
namespace {

constexpr Duration kHelloTimeout = 2s;         // to connect and to hear who is there
constexpr int kUnacknowledgedMsMax = 2'500;    // then the peer has vanished or stands still
constexpr int kSilenceSeconds = 10;            // of a sender, before the kernel asks whether it is still there
constexpr size_t kLengthBytes = 4;             // big-endian, before each batch and hello
constexpr size_t kHelloBytesMax = 4 << 10;
constexpr size_t kFrameHeadBytesMax = 64;      // of one message: header and lengths
constexpr size_t kReadBytes = 64 << 10;

struct Hello {
  NodeId node;
  std::string cluster_id;
  template <class V>
  void Visit(V& v) {
    v(1, node);
    v(2, cluster_id);
  }
};

void SetLength(std::string& bytes, size_t at) {
  const size_t length = bytes.size() - at - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; ++i) bytes[at + i] = char(length >> (8 * (kLengthBytes - 1 - i)));
}
size_t GetLength(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length = length << 8 | uint8_t(bytes[i]);
  return length;
}

std::string EncodeHello(std::string_view preface, const NodeIdentity& self) {
  std::string bytes(preface);
  bytes.append(kLengthBytes, '\0');
  wire::EncodeTo(Hello{self.node, self.cluster_id}, bytes);
  SetLength(bytes, preface.size());
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
  ASSIGN_OR_RETURN(const std::string length, ReadExactly(context, stream, kLengthBytes));
  if (GetLength(length) > kHelloBytesMax) return DataLossError("a hello of too many bytes");
  ASSIGN_OR_RETURN(const std::string bytes, ReadExactly(context, stream, GetLength(length)));
  Hello hello;
  RETURN_IF_ERROR(wire::Decode(bytes, hello));
  return hello;
}

void SetOption(const SocketStream& stream, int level, int option, int value) {
  ::setsockopt(stream.fd(), level, option, &value, sizeof value);
}

}  // namespace

// ---- LaneSender

void LaneSender::SetAddress(std::string_view address) {
  MutexLock lock(mutex_);
  if (address_ == address) return;
  address_ = address;
  if (state_ == State::kReady || state_ == State::kQueuing) state_ = State::kBroken;
  work_.NotifyAll();
}

void LaneSender::Send(Method method, std::string_view message) {
  std::string batch;
  batch.reserve(kLengthBytes + kFrameHeadBytesMax + message.size());
  batch.resize(kLengthBytes);
  AppendFrame(batch, {FrameKind::kMessage, method, 0, 0}, message);
  SetLength(batch, 0);
  MutexLock lock(mutex_);
  if (state_ == State::kBroken) return;
  const size_t waiting = queue_.size() + writing_bytes_;
  if (waiting > 0 && waiting + batch.size() > options_.peer_queue_bytes_max) return;
  std::string_view rest = batch;
  if (state_ == State::kReady) {
    const Status written = stream_->TryWrite(rest);
    if (written.ok() && rest.empty()) return;
    state_ = written.ok() ? State::kQueuing : State::kBroken;
  }
  queue_.append(rest);
  work_.NotifyAll();
}

void LaneSender::Run(const Context& context) {
  Duration backoff{};
  while (true) {
    {
      MutexLock lock(mutex_);
      state_ = State::kIdle;
      if (!WaitUntil(context, mutex_, work_, [&] { return !queue_.empty(); }).ok()) return;
      state_ = State::kQueuing;
    }
    // Ambiguous: it was connected, so the next attempt is the first again.
    const Status ended = RunConnection(context);
    if (ended.code() == Code::kAmbiguous) backoff = {};
    {
      MutexLock lock(mutex_);
      state_ = State::kBroken;
      stream_ = nullptr;
      writing_bytes_ = 0;
      queue_ = std::string();
    }
    backoff = std::clamp(2 * backoff, options_.reconnect_backoff_min, options_.reconnect_backoff_max);
    if (!context.runtime().scheduler().SleepFor(context, backoff).ok()) return;
  }
}

StatusOr<std::unique_ptr<SocketStream>> LaneSender::Connect(const Context& context) {
  std::string address;
  {
    MutexLock lock(mutex_);
    address = address_;
  }
  ASSIGN_OR_RETURN(auto stream, ConnectSocket(context, address));
  SetOption(*stream, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMsMax);
  const NodeIdentity self = self_();
  RETURN_IF_ERROR(stream->Write(context, EncodeHello(kLanePreface, self)));
  ASSIGN_OR_RETURN(const Hello peer, ReadHello(context, *stream));
  if (ForeignTo(self, peer.cluster_id) || peer.node != peer_) return UnavailableError("another node answers there");
  return stream;
}

Status LaneSender::RunConnection(const Context& context) {
  ASSIGN_OR_RETURN(const auto stream, Connect(context.WithTimeout(kHelloTimeout)));
  const auto lost = [](const Status& why) { return AmbiguousError(why.message()); };
  while (true) {
    std::string bytes;
    {
      MutexLock lock(mutex_);
      writing_bytes_ = 0;
      stream_ = stream.get();
      if (state_ == State::kQueuing && queue_.empty()) state_ = State::kReady;
      const Status waited = WaitUntil(context, mutex_, work_, [&] { return state_ != State::kReady; });
      if (!waited.ok() || state_ == State::kBroken) return lost(waited);
      bytes.swap(queue_);
      writing_bytes_ = bytes.size();
    }
    const Status written = stream->Write(context, bytes);
    if (!written.ok()) return lost(written);
  }
}

// ---- LaneReceiver

Status LaneReceiver::Serve(const Context& context, SocketStream& stream) const {
  SetOption(stream, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(stream, IPPROTO_TCP, TCP_KEEPIDLE, kSilenceSeconds);
  SetOption(stream, IPPROTO_TCP, TCP_KEEPINTVL, kSilenceSeconds);
  const Context soon = context.WithTimeout(kHelloTimeout);
  ASSIGN_OR_RETURN(const std::string preface, ReadExactly(soon, stream, kLanePreface.size()));
  if (preface != kLanePreface) return DataLossError("not the preface of a lane");
  ASSIGN_OR_RETURN(const Hello peer, ReadHello(soon, stream));
  RETURN_IF_ERROR(stream.Write(soon, EncodeHello("", self)));  // also to strangers: it tells them why
  if (ForeignTo(self, peer.cluster_id)) return FailedPreconditionError("a node of another cluster");
  const size_t batch_bytes_max = message_bytes_max + kFrameHeadBytesMax;

  std::string buffer(kReadBytes, '\0');
  size_t end = 0;  // of what was read
  while (true) {
    std::string_view bytes(buffer.data(), end);
    size_t wanted = kReadBytes;
    while (bytes.size() >= kLengthBytes) {
      const size_t size = GetLength(bytes);
      if (size > batch_bytes_max) return DataLossError("a batch of too many bytes");
      if (bytes.size() < kLengthBytes + size) {
        wanted = std::max(kReadBytes, kLengthBytes + size);
        break;
      }
      std::string_view batch = bytes.substr(kLengthBytes, size);
      bytes.remove_prefix(kLengthBytes + size);
      while (!batch.empty()) {
        FrameHeader header;
        std::string_view payload;
        RETURN_IF_ERROR(NextFrame(batch, header, payload));
        if (header.kind != FrameKind::kMessage) return DataLossError("unexpected frame");
        on_message(peer.node, header.method, payload);
      }
    }
    end = bytes.size();
    std::copy(bytes.begin(), bytes.end(), buffer.begin());
    // The memory follows what has come, not what was announced.
    if (end == buffer.size()) buffer.resize(std::min(wanted, 2 * buffer.size()));
    if (end == 0 && buffer.size() > kReadBytes) buffer = std::string(kReadBytes, '\0');
    ASSIGN_OR_RETURN(const size_t n, stream.Read(context, buffer.data() + end, buffer.size() - end));
    if (n == 0) return OkStatus();
    end += n;
  }
}

}  // namespace orrery::runtime
