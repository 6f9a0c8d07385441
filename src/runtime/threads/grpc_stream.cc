#include "runtime/threads/grpc_stream.h"

#include <algorithm>
#include <utility>

#include "orrery/runtime/runtime.h"
#include "runtime/cancel_scope.h"
#include "runtime/status_wire.h"
#include "runtime/threads/lane_wire.h"

namespace orrery::runtime {

using internal::RawLock;

namespace {

grpc::ByteBuffer ToBuffer(std::string bytes) {
  auto* owned = new std::string(std::move(bytes));  // lives as long as gRPC holds the slice
  grpc::Slice slice(owned->data(), owned->size(), [](void* s) { delete static_cast<std::string*>(s); }, owned);
  return grpc::ByteBuffer(&slice, 1);
}

std::string MetadataOf(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const char* key) {
  const auto it = metadata.find(key);
  return it == metadata.end() ? "" : std::string(it->second.data(), it->second.size());
}

}  // namespace

grpc::ByteBuffer Outbox::TakeBatch(std::vector<uint64_t>& call_ids) {
  std::string batch;
  do {
    Frame frame = std::move(frames_.front());
    frames_.pop_front();
    bytes_ -= frame.bytes.size();
    if (frame.call_id != 0) call_ids.push_back(frame.call_id);
    if (batch.empty()) batch = std::move(frame.bytes);
    else batch.append(frame.bytes);
  } while (!frames_.empty() && batch.size() + frames_.front().bytes.size() <= kBatchBytesMax);
  return ToBuffer(std::move(batch));
}

bool BatchBytes(const grpc::ByteBuffer& buffer, grpc::Slice& slice, std::string_view& bytes) {
  if (!buffer.DumpToSingleSlice(&slice).ok()) return false;
  bytes = std::string_view(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return true;
}

// ---- ClientStream

void ClientStream::Start(const std::shared_ptr<grpc::Channel>& channel) {
  self_reference_ = shared_from_this();
  context_.AddMetadata(kNodeKey, ToString(self_.node));
  context_.AddMetadata(kClusterKey, self_.cluster_id);
  stub_ = std::make_unique<grpc::GenericStub>(channel);
  stub_->PrepareBidiStreamingCall(&context_, kStreamMethod, {}, this);
  StartRead(&read_buffer_);
  AddHold();  // writes start outside reactions
  StartCall();
}

StatusOr<std::string> ClientStream::Call(const Context& context, Method method, std::string_view request) {
  auto call = std::make_shared<PendingCall>();
  FrameHeader header{FrameKind::kCall, method, 0, MillisecondsLeft(context)};
  {
    RawLock lock(mutex_);
    if (state_ == State::kBroken) return Status(break_code_, "not connected to " + address_ + ": " + break_reason_);
    if (outbox_.bytes() > queue_bytes_max_) return UnavailableError("queue to " + address_ + " is full");
    header.call_id = ++last_call_id_;
    calls_.emplace(header.call_id, call);
    std::string frame;
    AppendFrame(frame, header, request);
    outbox_.Push({header.call_id, std::move(frame)});
  }
  MaybeWrite();
  auto reply = call->reply.Take(context);
  if (reply.ok()) {
    if (!reply->status.ok()) return reply->status;
    return std::move(reply->bytes);
  }
  {
    RawLock lock(mutex_);
    calls_.erase(header.call_id);
  }
  std::string cancel;
  AppendFrame(cancel, {FrameKind::kCancel, method, header.call_id, 0}, "");
  Enqueue(0, std::move(cancel));
  return reply.status().Annotate("call to " + address_);
}

bool ClientStream::Ready() {
  RawLock lock(mutex_);
  return state_ == State::kReady;
}

bool ClientStream::Send(Method method, std::string_view message) {
  std::string frame;
  frame.reserve(message.size() + 24);
  AppendFrame(frame, {FrameKind::kMessage, method, 0, 0}, message);
  return Enqueue(0, std::move(frame));
}

bool ClientStream::Enqueue(uint64_t call_id, std::string frame) {
  {
    RawLock lock(mutex_);
    if (state_ == State::kBroken || outbox_.bytes() > queue_bytes_max_) return false;
    outbox_.Push({call_id, std::move(frame)});
  }
  MaybeWrite();
  return true;
}

void ClientStream::MaybeWrite() {
  bool release_hold = false;
  {
    RawLock lock(mutex_);
    if (writing_) return;
    if (state_ == State::kBroken) {
      release_hold = !hold_released_;
      hold_released_ = true;
    } else if (state_ == State::kReady && !outbox_.empty()) {
      std::vector<uint64_t> call_ids;
      write_buffer_ = outbox_.TakeBatch(call_ids);
      for (const uint64_t id : call_ids) {
        const auto it = calls_.find(id);
        if (it != calls_.end()) it->second->written = true;
      }
      writing_ = true;
    } else {
      return;
    }
  }
  if (release_hold) RemoveHold();
  else if (writing_) StartWrite(&write_buffer_);
}

void ClientStream::Break(std::string_view reason, Code code) {
  {
    RawLock lock(mutex_);
    if (state_ != State::kBroken) {
      break_reason_ = reason;
      break_code_ = code;
    }
    state_ = State::kBroken;
    outbox_.Clear();
  }
  context_.TryCancel();
  MaybeWrite();
}

Status ClientStream::CheckServer() const {
  const auto& metadata = context_.GetServerInitialMetadata();
  if (metadata.find(kNodeKey) == metadata.end()) return UnavailableError("no node answers there");
  const std::string node = MetadataOf(metadata, kNodeKey);
  const std::string cluster = MetadataOf(metadata, kClusterKey);
  if (ForeignTo(self_, cluster)) {
    // Who asks an address wants to know; who calls a node tries another one.
    return Status(expected_ ? Code::kUnavailable : Code::kFailedPrecondition,
                  "a node of another cluster (" + cluster + ") answers there");
  }
  if (expected_ && node != ToString(expected_))
    return UnavailableError("expected node " + ToString(expected_) + ", but node " + node + " answers there");
  return OkStatus();
}

void ClientStream::OnReadInitialMetadataDone(bool ok) {
  if (!ok) return Break("not connected");
  const Status server = CheckServer();
  if (!server.ok()) return Break(server.message(), server.code());
  bool ended;
  {
    RawLock lock(mutex_);
    if (state_ == State::kConnecting) state_ = State::kReady;
    ended = read_ended_;
  }
  if (ended) return Break("stream ended");
  events_.on_connected();
  MaybeWrite();
}

void ClientStream::OnReadDone(bool ok) {
  grpc::Slice slice;
  std::string_view batch;
  if (!ok) return EndOfReads();
  if (!BatchBytes(read_buffer_, slice, batch)) return Break("unreadable batch");
  HandleAnswers(batch);
  read_buffer_.Clear();
  StartRead(&read_buffer_);
}

// A server that refuses the stream ends it right behind its metadata, and the two events come in any order: the
// metadata tell why.
void ClientStream::EndOfReads() {
  {
    RawLock lock(mutex_);
    read_ended_ = true;
    if (state_ == State::kConnecting) return;
  }
  Break("stream ended");
}

void ClientStream::HandleAnswers(std::string_view batch) {
  while (!batch.empty()) {
    FrameHeader header;
    std::string_view payload;
    if (!NextFrame(batch, header, payload).ok()) return Break("malformed answer");
    std::shared_ptr<PendingCall> call;
    {
      RawLock lock(mutex_);
      const auto it = calls_.find(header.call_id);
      if (it == calls_.end()) continue;  // given up meanwhile
      call = std::move(it->second);
      calls_.erase(it);
    }
    if (header.kind == FrameKind::kResponse) call->reply.Set({OkStatus(), std::string(payload)});
    else call->reply.Set({DecodeStatus(payload), ""});
  }
}

void ClientStream::OnWriteDone(bool ok) {
  {
    RawLock lock(mutex_);
    writing_ = false;
  }
  if (ok) MaybeWrite();
  else Break("write failed");
}

void ClientStream::OnDone(const grpc::Status& status) {
  std::map<uint64_t, std::shared_ptr<PendingCall>> calls;
  std::string reason;
  Code code;
  {
    RawLock lock(mutex_);
    state_ = State::kBroken;
    code = break_code_;
    calls.swap(calls_);
    const bool ours = (status.error_code() == grpc::StatusCode::CANCELLED && !break_reason_.empty()) ||
                      code != Code::kUnavailable;
    reason = address_ + ": " + (ours ? break_reason_ : status.error_message());
  }
  for (auto& [id, call] : calls) {
    if (call->written) call->reply.Set({AmbiguousError("connection lost before the answer of " + reason), ""});
    else call->reply.Set({Status(code, "not connected to " + reason), ""});
  }
  // The transport must see the end only after this object's hold on the channel is gone: the last channel may
  // not be destroyed by gRPC's own thread. So *this may end within these two lines.
  const auto on_ended = events_.on_ended;
  self_reference_.reset();
  on_ended(Status(code, reason));
}

// ---- ServerStream

void ServerStream::Start(grpc::CallbackServerContext& context, const NodeIdentity& self) {
  self_reference_ = shared_from_this();
  const std::string cluster = MetadataOf(context.client_metadata(), kClusterKey);
  context.AddInitialMetadata(kNodeKey, ToString(self.node));
  context.AddInitialMetadata(kClusterKey, self.cluster_id);
  if (ForeignTo(self, cluster))
    return End({grpc::StatusCode::FAILED_PRECONDITION, "this node belongs to another cluster"});
  StartSendInitialMetadata();  // tells the caller who we are before it sends anything
  StartRead(&read_buffer_);
}

void ServerStream::OnReadDone(bool ok) {
  if (!ok) return End(grpc::Status::OK);
  grpc::Slice slice;
  std::string_view batch;
  const Status handled =
      BatchBytes(read_buffer_, slice, batch) ? HandleBatch(batch) : DataLossError("unreadable batch");
  if (!handled.ok()) return End({grpc::StatusCode::INVALID_ARGUMENT, std::string(handled.message())});
  read_buffer_.Clear();
  StartRead(&read_buffer_);
}

Status ServerStream::HandleBatch(std::string_view batch) {
  while (!batch.empty()) {
    FrameHeader header;
    std::string_view payload;
    RETURN_IF_ERROR(NextFrame(batch, header, payload));
    if (header.kind == FrameKind::kMessage) {
      receiver_.OnMessage(from_, header.method, payload);
    } else if (header.kind == FrameKind::kCall) {
      receiver_.OnCall(shared_from_this(), header, std::string(payload));
    } else if (header.kind == FrameKind::kCancel) {
      std::shared_ptr<CancelScope> scope;
      {
        RawLock lock(mutex_);
        const auto it = calls_.find(header.call_id);
        if (it != calls_.end()) scope = it->second;
      }
      if (scope) scope->Cancel();
    } else {
      return DataLossError("unexpected frame");
    }
  }
  return OkStatus();
}

bool ServerStream::AddCall(uint64_t call_id, std::shared_ptr<CancelScope> scope) {
  RawLock lock(mutex_);
  return !ending_ && calls_.emplace(call_id, std::move(scope)).second;
}

void ServerStream::Answer(uint64_t call_id, FrameKind kind, std::string_view payload) {
  std::string frame;
  frame.reserve(payload.size() + 24);
  AppendFrame(frame, {kind, Method{}, call_id, 0}, payload);
  std::shared_ptr<CancelScope> scope;  // its destructor may take other mutexes
  {
    RawLock lock(mutex_);
    const auto it = calls_.find(call_id);
    if (it != calls_.end()) {
      scope = std::move(it->second);
      calls_.erase(it);
    }
    if (ending_) return;
    outbox_.Push({0, std::move(frame)});
  }
  MaybeWrite();
}

void ServerStream::MaybeWrite() {
  bool finish = false;
  {
    RawLock lock(mutex_);
    if (writing_ || finished_) return;
    if (ending_) {
      finish = finished_ = true;
    } else if (!outbox_.empty()) {
      std::vector<uint64_t> none;
      write_buffer_ = outbox_.TakeBatch(none);
      writing_ = true;
    } else {
      return;
    }
  }
  if (finish) Finish(final_status_);
  else StartWrite(&write_buffer_);
}

void ServerStream::OnWriteDone(bool ok) {
  {
    RawLock lock(mutex_);
    writing_ = false;
  }
  if (ok) MaybeWrite();
  else End(grpc::Status::OK);
}

void ServerStream::End(grpc::Status status) {
  std::map<uint64_t, std::shared_ptr<CancelScope>> calls;
  {
    RawLock lock(mutex_);
    if (!ending_) final_status_ = std::move(status);
    ending_ = true;
    outbox_.Clear();
    calls.swap(calls_);
  }
  for (auto& [id, scope] : calls) scope->Cancel();  // nobody waits for these any more
  MaybeWrite();
}

void ServerStream::OnDone() { self_reference_.reset(); }

}  // namespace orrery::runtime
