// The Raft lane: Raft messages of one node to another on a TCP connection of their own, as batches of frames
// behind a length (docs/formats/node_frames.md). They are most of what nodes say to each other, and through a
// gRPC stream each costs several wake-ups of its threads (docs/design/runtime.md, "Transport"). Here the sender
// writes to the socket itself and one task reads.
//
// Best effort, as raft wants it: what was queued for a connection that breaks is lost.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/runtime/sync.h"
#include "orrery/runtime/threads_runtime.h"
#include "orrery/runtime/transport.h"
#include "runtime/threads/lane_wire.h"

namespace orrery::runtime {

// The sending end. Thread-safe; Run is its task's.
class LaneSender {
 public:
  // `self` is asked at each connection.
  LaneSender(std::function<NodeIdentity()> self, NodeId peer, std::string address,
             const ThreadsRuntimeOptions& options)
      : self_(std::move(self)), peer_(peer), options_(options), address_(std::move(address)) {}

  // Where the peer is from now on; a connection to elsewhere ends.
  void SetAddress(std::string_view address);
  // Never blocks. Dropped while the peer cannot be reached, or when too much waits for it.
  void Send(Method method, std::string_view message);
  // Connects when there is something to send and writes what a socket did not take at once, until cancelled.
  void Run(const Context& context);

 private:
  enum class State {
    kIdle,     // no connection
    kQueuing,  // the task connects or writes: what comes waits for it
    kReady,    // everything is written: who sends writes by himself
    kBroken,   // so is the connection, or there was none a moment ago: what comes is dropped
  };

  Status RunConnection(const Context& context);

  const std::function<NodeIdentity()> self_;
  const NodeId peer_;
  const ThreadsRuntimeOptions options_;

  Mutex mutex_{"lane_sender"};
  CondVar work_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  SocketStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of kReady
  std::string queue_ ABSL_GUARDED_BY(mutex_);
  size_t writing_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // taken from the queue by the task
};

// The receiving end, after the greeting: hands a peer's messages over, in order, until the connection or the
// context ends. Says why it ended; DataLoss: bytes that no node sends.
struct LaneReceiver {
  NodeId from;
  size_t message_bytes_max;
  std::function<void(NodeId from, Method, std::string_view message)> on_message;

  Status Serve(const Context& context, SocketStream& stream) const;
};

}  // namespace orrery::runtime
