// The two ends of a stream between nodes, as gRPC reactors. Private to the gRPC transport.
//
// A node opens the streams it needs towards a peer (a lane each for messages, calls and bulk, so that a
// snapshot delays nobody) and sends its calls and messages there; answers come back on the same
// stream. Everything queued while a write is in flight leaves in the next batch: batching is what makes gRPC
// cheap (docs/design/dependencies.md, section 3).
//
// No mutex of ours is held while gRPC is called: it may run a reaction on the calling thread.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/runtime/sync.h"
#include "orrery/runtime/transport.h"
#include "runtime/raw_mutex.h"
#include "runtime/frame.h"
#include "runtime/threads/node_identity.h"

namespace orrery::runtime {

inline constexpr char kStreamMethod[] = "/orrery.Node/Stream";
inline constexpr char kNodeKey[] = "orrery-node";        // decimal; "0": not known yet
inline constexpr char kClusterKey[] = "orrery-cluster";  // empty: not known yet
inline constexpr size_t kBatchBytesMax = 1 << 20;        // except that a batch holds at least one frame

// Frames waiting for the write in flight to end. Guarded by its owner's mutex.
class Outbox {
 public:
  struct Frame {
    uint64_t call_id;  // of a kCall; else 0
    std::string bytes;
  };
  void Push(Frame frame) {
    bytes_ += frame.bytes.size();
    frames_.push_back(std::move(frame));
  }
  bool empty() const { return frames_.empty(); }
  size_t bytes() const { return bytes_; }
  // The next batch; the ids of its calls are appended to `call_ids`.
  grpc::ByteBuffer TakeBatch(std::vector<uint64_t>& call_ids);
  void Clear() {
    frames_.clear();
    bytes_ = 0;
  }

 private:
  std::deque<Frame> frames_;
  size_t bytes_ = 0;
};

// A batch as one string_view, valid as long as the slice. False if gRPC cannot give it.
bool BatchBytes(const grpc::ByteBuffer& buffer, grpc::Slice& slice, std::string_view& bytes);

// The caller's end: one attempt at a stream. Lives until gRPC is done with it, whoever else holds it.
class ClientStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public std::enable_shared_from_this<ClientStream> {
 public:
  struct Reply {
    Status status;
    std::string bytes;
  };
  struct PendingCall {
    bool written = false;  // guarded by the stream's mutex
    OneShot<Reply> reply;
  };
  struct Events {
    std::function<void()> on_connected;
    std::function<void(const Status&)> on_ended;  // the last event
  };

  // `expected`: the node that must answer; none: whoever does.
  ClientStream(NodeIdentity self, NodeId expected, std::string address, size_t queue_bytes_max, Events events)
      : self_(std::move(self)), expected_(expected), address_(std::move(address)),
        queue_bytes_max_(queue_bytes_max), events_(std::move(events)) {}

  void Start(const std::shared_ptr<grpc::Channel>& channel);
  void Cancel() { context_.TryCancel(); }
  StatusOr<std::string> Call(const Context& context, Method method, std::string_view request);
  // The peer has answered, and has been heard of since: a moment ago, if it has gone meanwhile (ChannelTo's pings).
  bool Ready();
  // Whether it was queued.
  bool Send(Method method, std::string_view message);

  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  enum class State { kConnecting, kReady, kBroken };

  bool Enqueue(uint64_t call_id, std::string frame);
  void MaybeWrite();
  void Break(std::string_view reason, Code code = Code::kUnavailable);
  void EndOfReads();
  void HandleAnswers(std::string_view batch);
  Status CheckServer() const;

  const NodeIdentity self_;
  const NodeId expected_;
  const std::string address_;
  const size_t queue_bytes_max_;
  const Events events_;
  std::shared_ptr<ClientStream> self_reference_;  // until OnDone
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer read_buffer_;
  grpc::ByteBuffer write_buffer_;

  internal::RawMutex mutex_;
  State state_ = State::kConnecting;  // guarded by mutex_, as all below
  bool writing_ = false;
  bool hold_released_ = false;
  bool read_ended_ = false;
  std::string break_reason_;
  Code break_code_ = Code::kUnavailable;
  Outbox outbox_;
  uint64_t last_call_id_ = 0;
  std::map<uint64_t, std::shared_ptr<PendingCall>> calls_;
};

// The server's end. Lives until gRPC and the handlers of its calls are done with it.
class ServerStream final : public grpc::ServerGenericBidiReactor, public std::enable_shared_from_this<ServerStream> {
 public:
  // What the transport does with what arrives.
  class Receiver {
   public:
    virtual void OnMessage(NodeId from, Method method, std::string_view message) = 0;
    virtual void OnCall(std::shared_ptr<ServerStream> stream, const FrameHeader& header, std::string request) = 0;

   protected:
    ~Receiver() = default;
  };

  ServerStream(Receiver& receiver, NodeId from) : receiver_(receiver), from_(from) {}
  void Start(grpc::CallbackServerContext& context, const NodeIdentity& self);

  NodeId from() const { return from_; }
  // The scope is cancelled when the caller gives up or goes away. False: it already has.
  bool AddCall(uint64_t call_id, std::shared_ptr<CancelScope> scope);
  void Answer(uint64_t call_id, FrameKind kind, std::string_view payload);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  Status HandleBatch(std::string_view batch);
  void MaybeWrite();
  void End(grpc::Status status);

  Receiver& receiver_;
  const NodeId from_;
  std::shared_ptr<ServerStream> self_reference_;  // until OnDone
  grpc::ByteBuffer read_buffer_;
  grpc::ByteBuffer write_buffer_;

  internal::RawMutex mutex_;
  bool writing_ = false;  // guarded by mutex_, as all below
  bool ending_ = false;
  bool finished_ = false;
  grpc::Status final_status_;
  Outbox outbox_;
  std::map<uint64_t, std::shared_ptr<CancelScope>> calls_;
};

}  // namespace orrery::runtime
