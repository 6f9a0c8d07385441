#include "runtime/threads/message_lane.h"

#include <algorithm>
#include <utility>

#include "orrery/runtime/runtime.h"
#include "orrery/runtime/scheduler.h"
#include "runtime/frame.h"

namespace orrery::runtime {
namespace {

constexpr size_t kReadBytes = 64 << 10;

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
  const std::string batch = EncodeLaneBatch({FrameKind::kMessage, method, 0, 0}, message);
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

Status LaneSender::RunConnection(const Context& context) {
  std::string address;
  {
    MutexLock lock(mutex_);
    address = address_;
  }
  ASSIGN_OR_RETURN(const auto stream, ConnectLane(context, kMessageLanePreface, self_(), peer_, address));
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
  const size_t batch_bytes_max = message_bytes_max + kFrameHeadBytesMax;

  std::string buffer(kReadBytes, '\0');
  size_t end = 0;  // of what was read
  while (true) {
    std::string_view bytes(buffer.data(), end);
    size_t wanted = kReadBytes;
    while (bytes.size() >= kLaneLengthBytes) {
      const size_t size = LaneLength(bytes);
      if (size > batch_bytes_max) return DataLossError("a batch of too many bytes");
      if (bytes.size() < kLaneLengthBytes + size) {
        wanted = std::max(kReadBytes, kLaneLengthBytes + size);
        break;
      }
      std::string_view batch = bytes.substr(kLaneLengthBytes, size);
      bytes.remove_prefix(kLaneLengthBytes + size);
      while (!batch.empty()) {
        FrameHeader header;
        std::string_view payload;
        RETURN_IF_ERROR(NextFrame(batch, header, payload));
        if (header.kind != FrameKind::kMessage) return DataLossError("unexpected frame");
        on_message(from, header.method, payload);
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
