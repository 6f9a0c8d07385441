// SocketStreamServer: the streams of a StreamServer on one edge-triggered epoll, served by a StreamCrew.
//
// Why edge-triggered: a stream that is served need not be taken out of the epoll and put back (a system call a
// request). What comes meanwhile is an event on another thread, which marks the slot dirty and goes on; the
// serving thread looks at the mark when it is done.
#pragma once

#include <atomic>
#include <set>
#include <utility>

#include "runtime/cancel_scope.h"
#include "runtime/threads/poll_set.h"
#include "runtime/threads/stream_crew.h"
#include "runtime/threads/stream_slots.h"

namespace orrery::runtime {

class SocketStreamServer final : public StreamServer {
 public:
  SocketStreamServer(const Context& context, const StreamServerOptions& options);
  ~SocketStreamServer() override;
  void Add(std::unique_ptr<ByteStream> stream, std::unique_ptr<StreamHandler> handler) override;
  size_t stream_count() const override { return count_.load(std::memory_order_relaxed); }
  void Join() override;

  size_t thread_count() const { return crew_.thread_count(); }

 private:
  using Slot = internal::StreamSlot;
  using ShortRead = SocketStream::ShortRead;
  class StopListener final : public CancelScope::Listener {
   public:
    explicit StopListener(SocketStreamServer& server) : server_(server) {}
    void OnCancelled() override { server_.Stop(); }

   private:
    SocketStreamServer& server_;
  };

  // A fiber's life.
  void Work(internal::Fiber& self);
  void Serve(Slot& slot, ShortRead short_read);
  void Requeue(Slot& slot);
  // The peer of a stream that another thread serves has closed its half.
  void TellClosed(uint64_t key);
  // What to tell the handler; takes the idle timer back.
  StreamEvent TakeEvent(Slot& slot);
  void SetTimer(Slot& slot, Duration timeout);
  void End(Slot& slot);
  void Stop();
  // On the watcher: ends silences that last too long, tells all streams of a stop. When to be called again.
  MonoTime Tick();

  const Context context_;
  const std::shared_ptr<internal::PollSet> poll_set_;  // the streams, and what their handlers await elsewhere
  OwnedFd wake_;  // an eventfd: readable, for every thread, once the crew ends
  std::atomic<size_t> count_{0};
  std::atomic<bool> stopping_{false};
  internal::Parker joiner_;
  bool joined_ = false;

  internal::RawMutex mutex_;
  internal::StreamSlots slots_;                    // allocation under mutex_
  std::set<std::pair<MonoTime, uint64_t>> timers_;  // guarded by mutex_
  bool all_told_ = false;                          // guarded by mutex_: of the stop

  StopListener stop_listener_{*this};
  bool listens_ = false;
  internal::StreamCrew crew_;  // last: its threads use the rest
};

}  // namespace orrery::runtime
