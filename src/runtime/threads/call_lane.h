// Call lanes: calls of one node to another, each on a TCP connection that is its own for as long as it runs. The
// task that calls writes and reads the socket itself (one of a stream server leaves the waiting to its server's epoll),
// and at the other end the task that reads the call runs it and writes the answer: two wake-ups a call, where a stream
// that is shared takes one more at each end for whoever reads it (docs/design/runtime.md, "Transport").
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/runtime/stream_server.h"
#include "orrery/runtime/sync.h"
#include "runtime/threads/lane_wire.h"
#include "runtime/threads/poll_set.h"

namespace orrery::runtime {

// The calling end: the connections to one node. Thread-safe.
class CallLanes {
 public:
  // `self` is asked at each connection.
  CallLanes(std::function<NodeIdentity()> self, NodeId peer, size_t message_bytes_max)
      : self_(std::move(self)), peer_(peer), message_bytes_max_(message_bytes_max) {}

  // As Transport::Call. Nothing: no lane is to be had (too many calls at once, or the peer takes none), or the one
  // there was had been lost; the call was certainly not executed.
  std::optional<StatusOr<std::string>> Call(const Context& context, const std::string& address, Method method,
                                            std::string_view request);
  // Ends all lanes; the calls under way are Ambiguous.
  void Break();

 private:
  struct Lane {
    Lane(std::unique_ptr<SocketStream> connected, std::string to)
        : stream(std::move(connected)), polled(stream->fd()), address(std::move(to)) {}

    const std::unique_ptr<SocketStream> stream;
    internal::PolledFd polled;  // with the streams of whose task calls, if it is one of a stream server
    const std::string address;
    std::string buffer;  // of answers
    MonoTime idle_since;
    size_t busy_index = 0;
  };

  void MarkBusy(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: it was not; the lanes have been broken meanwhile.
  bool UnmarkBusy(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: none is to be had.
  std::unique_ptr<Lane> Take(const Context& context, const std::string& address, const internal::PollSet* poll_set);
  void GiveBack(const Context& context, std::unique_ptr<Lane> lane);
  void Drop(std::unique_ptr<Lane> lane);
  StatusOr<std::string> ReadAnswer(const Context& context, Lane& lane) const;
  // `first`: of an answer, which is never there already.
  static StatusOr<size_t> Receive(const Context& context, Lane& lane, char* buffer, size_t size, bool first);

  const std::function<NodeIdentity()> self_;
  const NodeId peer_;
  const size_t message_bytes_max_;

  Mutex mutex_{"call_lanes"};
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;  // idle, busy, being connected
  uint64_t breaks_ ABSL_GUARDED_BY(mutex_) = 0;
  MonoTime retry_at_ ABSL_GUARDED_BY(mutex_){};
  std::deque<std::unique_ptr<Lane>> idle_ ABSL_GUARDED_BY(mutex_);  // the one used last is used first
  std::vector<Lane*> busy_ ABSL_GUARDED_BY(mutex_);         // each at its busy_index
};

// The end that is called: one connection, after the greeting, on a StreamServer.
class CallLaneHandler final : public StreamHandler {
 public:
  // Runs a call on the task that read it.
  using Run = std::function<StatusOr<std::string>(const Context&, NodeId from, Method, std::string_view request)>;

  // Calls are cancelled with `context`, and when the caller hangs up.
  CallLaneHandler(const Context& context, NodeId from, size_t message_bytes_max, Run run)
      : caller_(context.WithCancel()), from_(from), message_bytes_max_(message_bytes_max), run_(std::move(run)) {}

  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent event) override;
  void OnPeerClosed() override { caller_.Cancel(); }

 private:
  // Serves the calls that have come whole. Not OK: the lane ends.
  Status ServeCalls(ByteStream& stream);
  Status ServeCall(ByteStream& stream, std::string_view batch);

  const Context::Cancellable caller_;
  const NodeId from_;
  const size_t message_bytes_max_;
  const Run run_;
  std::string buffer_;
  size_t end_ = 0;  // of what was read
};

}  // namespace orrery::runtime
