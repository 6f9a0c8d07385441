#include "runtime/threads/call_lane.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"
#include "orrery/runtime/runtime.h"
#include "runtime/status_wire.h"
#include "runtime/threads/blocking.h"

namespace orrery::runtime {
namespace {

constexpr size_t kLanesMax = 512;             // to one node; calls beyond go another way
constexpr Duration kIdleMax = 30s;            // of a lane, after which it is one too many
constexpr Duration kConnectAgainAfter = 1s;   // to a peer that took no lane
constexpr size_t kBufferBytes = 4 << 10;      // of a lane that waits for its next call
// How long a read sleeps before it looks at its deadline. A deadline that is further away costs no system call.
constexpr int kLookSeconds = 1;

StatusOr<size_t> ReceiveAsleep(const Context& context, const SocketStream& stream, char* buffer, size_t size) {
  const internal::BlockingSection section;
  const ShutdownOnCancel guard(context, stream.fd(), SHUT_RDWR);
  while (true) {
    const bool soon = context.deadline() - context.runtime().clock().MonoNow() < std::chrono::seconds(kLookSeconds);
    if (soon) RETURN_IF_ERROR(PollUntil(context, stream.fd(), POLLIN));
    const ssize_t n = ::recv(stream.fd(), buffer, size, soon ? MSG_DONTWAIT : 0);
    if (n > 0) return size_t(n);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    RETURN_IF_ERROR(context.Check());
    return AmbiguousError("connection lost before the answer");
  }
}

// What recv gives now, or the negative error number. Not inlined: errno belongs to the thread, and a compiler may keep its address
// over a wait, after which the thread is another one.
[[gnu::noinline]] ssize_t ReceiveNow(const SocketStream& stream, char* buffer, size_t size) {
  const ssize_t n = ::recv(stream.fd(), buffer, size, MSG_DONTWAIT);
  return n < 0 ? -errno : n;
}

// Makes room for more of what is announced by the length at the front of `buffer`; what has come already fills it.
// The memory follows what has come, not what was announced.
void Grow(std::string& buffer, size_t wanted) { buffer.resize(std::min(std::max(wanted, kBufferBytes), 2 * buffer.size())); }

void Shrink(std::string& buffer) {
  if (buffer.size() > 16 * kBufferBytes) buffer = std::string();
  if (buffer.empty()) buffer.resize(kBufferBytes);
}

}  // namespace

// ---- CallLanes

std::optional<StatusOr<std::string>> CallLanes::Call(const Context& context, const std::string& address, Method method,
                                                     std::string_view request) {
  internal::PollSet* const poll_set = internal::CurrentPollSet();
  std::unique_ptr<Lane> lane = Take(context, address, poll_set);
  if (!lane) return std::nullopt;
  lane->polled.MoveTo(poll_set);
  const std::string call = EncodeLaneBatch({FrameKind::kCall, method, 0, MillisecondsLeft(context)}, request);
  // A call that did not leave whole is not executed.
  if (const Status written = lane->stream->Write(context, call); !written.ok()) {
    Drop(std::move(lane));
    return std::nullopt;
  }
  StatusOr<std::string> batch = ReadAnswer(context, *lane);
  FrameHeader header;
  std::string_view payload, rest;
  if (batch.ok()) rest = *batch;
  if (batch.ok() && (!NextFrame(rest, header, payload).ok() || !rest.empty() ||
                     (header.kind != FrameKind::kResponse && header.kind != FrameKind::kFailure)))
    batch = AmbiguousError("malformed answer");
  if (!batch.ok()) {
    Drop(std::move(lane));
    return batch.status().Annotate("call to " + address);
  }
  GiveBack(context, std::move(lane));
  if (header.kind == FrameKind::kFailure) return DecodeStatus(payload);
  batch->erase(0, size_t(payload.data() - batch->data()));
  return batch;
}

StatusOr<size_t> CallLanes::Receive(const Context& context, Lane& lane, char* buffer, size_t size, bool first) {
  if (!lane.polled.set()) return ReceiveAsleep(context, *lane.stream, buffer, size);
  const ShutdownOnCancel guard(context, lane.stream->fd(), SHUT_RDWR);
  bool wait = first;
  while (true) {
    if (wait && !lane.polled.Await(context.deadline())) return DeadlineExceededError("deadline exceeded");
    const ssize_t n = ReceiveNow(*lane.stream, buffer, size);
    if (n > 0) return size_t(n);
    wait = n == -EAGAIN || n == -EWOULDBLOCK;
    if (wait || n == -EINTR) continue;
    RETURN_IF_ERROR(context.Check());
    return AmbiguousError("connection lost before the answer");
  }
}

StatusOr<std::string> CallLanes::ReadAnswer(const Context& context, Lane& lane) const {
  Shrink(lane.buffer);
  std::string& buffer = lane.buffer;
  size_t end = 0, whole = kLaneLengthBytes;
  while (end < whole) {
    if (end == buffer.size()) Grow(buffer, whole);
    ASSIGN_OR_RETURN(const size_t n, Receive(context, lane, buffer.data() + end, buffer.size() - end, end == 0));
    end += n;
    if (end < kLaneLengthBytes) continue;
    whole = kLaneLengthBytes + LaneLength(buffer);
    if (whole - kLaneLengthBytes > message_bytes_max_ + kFrameHeadBytesMax || end > whole)
      return AmbiguousError("malformed answer");
  }
  return buffer.substr(kLaneLengthBytes, whole - kLaneLengthBytes);
}

void CallLanes::MarkBusy(Lane& lane) {
  lane.busy_index = busy_.size();
  busy_.push_back(&lane);
}

bool CallLanes::UnmarkBusy(Lane& lane) {
  if (lane.busy_index >= busy_.size() || busy_[lane.busy_index] != &lane) return false;
  busy_[lane.busy_index] = busy_.back();
  busy_[lane.busy_index]->busy_index = lane.busy_index;
  busy_.pop_back();
  return true;
}

std::unique_ptr<CallLanes::Lane> CallLanes::Take(const Context& context, const std::string& address,
                                                 const internal::PollSet* poll_set) {
  uint64_t breaks = 0;
  {
    MutexLock lock(mutex_);
    while (!idle_.empty()) {
      // The one used last of those that need not be moved for the caller; else the one used last.
      auto taken = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& lane) { return lane->polled.set() == poll_set; });
      if (taken == idle_.rend()) taken = idle_.rbegin();
      auto lane = std::move(*taken);
      idle_.erase(std::next(taken).base());
      if (lane->address == address) {
        MarkBusy(*lane);
        return lane;
      }
      --count_;
    }
    if (count_ >= kLanesMax || context.runtime().clock().MonoNow() < retry_at_) return nullptr;
    ++count_;
    breaks = breaks_;
  }
  auto stream = ConnectLane(context, kCallLanePreface, self_(), peer_, address);
  MutexLock lock(mutex_);
  if (!stream.ok() || breaks_ != breaks) {
    --count_;
    if (!context.cancelled()) retry_at_ = context.runtime().clock().MonoNow() + kConnectAgainAfter;
    return nullptr;
  }
  const timeval look{.tv_sec = kLookSeconds, .tv_usec = 0};
  ::setsockopt((*stream)->fd(), SOL_SOCKET, SO_RCVTIMEO, &look, sizeof look);
  auto lane = std::make_unique<Lane>(std::move(*stream), address);
  MarkBusy(*lane);
  return lane;
}

void CallLanes::GiveBack(const Context& context, std::unique_ptr<Lane> lane) {
  const MonoTime now = context.runtime().clock().MonoNow();
  lane->idle_since = now;
  MutexLock lock(mutex_);
  if (!UnmarkBusy(*lane)) return;  // broken meanwhile
  idle_.push_back(std::move(lane));
  if (now - idle_.front()->idle_since > kIdleMax) {
    idle_.pop_front();
    --count_;
  }
}

void CallLanes::Drop(std::unique_ptr<Lane> lane) {
  MutexLock lock(mutex_);
  if (UnmarkBusy(*lane)) --count_;
}

void CallLanes::Break() {
  MutexLock lock(mutex_);
  ++breaks_;
  count_ -= idle_.size() + busy_.size();
  idle_.clear();
  for (Lane* lane : busy_) lane->stream->Close();
  busy_.clear();
}

// ---- CallLaneHandler

StreamNext CallLaneHandler::Handle(const Context&, ByteStream& stream, StreamEvent event) {
  const StreamNext close{.action = StreamNext::Action::kClose};
  if (event == StreamEvent::kStopping) return close;
  if (end_ == 0) Shrink(buffer_);
  while (true) {
    auto n = stream.TryRead(buffer_.data() + end_, buffer_.size() - end_);
    if (n.ok() && !*n) return {};
    if (!n.ok() || **n == 0) return close;
    end_ += **n;
    if (!ServeCalls(stream).ok()) return close;
  }
}

Status CallLaneHandler::ServeCalls(ByteStream& stream) {
  std::string_view bytes(buffer_.data(), end_);
  size_t whole = 0;
  while (bytes.size() >= kLaneLengthBytes) {
    const size_t size = LaneLength(bytes);
    if (size > message_bytes_max_ + kFrameHeadBytesMax) return DataLossError("a call of too many bytes");
    whole = kLaneLengthBytes + size;
    if (bytes.size() < whole) break;
    RETURN_IF_ERROR(ServeCall(stream, bytes.substr(kLaneLengthBytes, size)));
    bytes.remove_prefix(whole);
  }
  end_ = bytes.size();
  std::copy(bytes.begin(), bytes.end(), buffer_.begin());
  if (end_ == buffer_.size()) Grow(buffer_, whole);
  return OkStatus();
}

Status CallLaneHandler::ServeCall(ByteStream& stream, std::string_view batch) {
  FrameHeader header;
  std::string_view request;
  RETURN_IF_ERROR(NextFrame(batch, header, request));
  if (header.kind != FrameKind::kCall || !batch.empty()) return DataLossError("unexpected frame");
  StatusOr<std::string> result = run_(WithMillisecondsLeft(caller_.context, header.timeout_ms), from_, header.method, request);
  const FrameKind kind = result.ok() ? FrameKind::kResponse : FrameKind::kFailure;
  return stream.Write(caller_.context, EncodeLaneBatch({kind, header.method, header.call_id, 0},
                                                       result.ok() ? *result : EncodeStatus(result.status())));
}

}  // namespace orrery::runtime
