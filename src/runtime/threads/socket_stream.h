// SocketStream: a connected socket as a ByteStream, and what sockets share.
//
// How waits are interrupted: sockets are blocking, so that an idle reader costs one system call a request.
// Cancellation and Close shut the socket down, which ends a blocked recv, send or accept at once; the
// descriptor itself is closed only by the owner's destructor, so its number cannot be re-used under a waiter.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <string>

#include "orrery/runtime/runtime.h"
#include "runtime/cancel_scope.h"
#include "runtime/threads/fd.h"

namespace orrery::runtime {

// While it lives, cancellation of the context shuts the socket down.
class ShutdownOnCancel final : public CancelScope::Listener {
 public:
  ShutdownOnCancel(const Context& context, int fd, int how) : scope_(CancelScope::Of(context)), fd_(fd), how_(how) {
    registered_ = scope_ && scope_->Register(*this);
    if (scope_ && !registered_) OnCancelled();
  }
  ~ShutdownOnCancel() {
    if (registered_) scope_->Unregister(*this);
  }
  void OnCancelled() override { ::shutdown(fd_, how_); }

 private:
  CancelScope* scope_;
  const int fd_;
  const int how_;
  bool registered_ = false;
};

inline bool HasDeadline(const Context& context) { return context.deadline() != MonoTime::Infinite(); }
// OK when `events` of poll(2) came (or the socket was shut down), DeadlineExceeded when the deadline did.
Status PollUntil(const Context& context, int fd, short events);

class SocketStream final : public ByteStream {
 public:
  SocketStream(OwnedFd fd, std::string peer);

  StatusOr<size_t> Read(const Context& context, char* buffer, size_t size) override;
  StatusOr<std::optional<size_t>> TryRead(char* buffer, size_t size) override;
  Status Write(const Context& context, std::string_view bytes) override;
  bool Readable() override;
  std::string peer() const override { return peer_; }
  void Close() override;
  // Writes what the socket takes at once and drops it from `bytes`. Never blocks.
  Status TryWrite(std::string_view& bytes) { return SendSome(bytes, MSG_DONTWAIT); }

  // For the stream server, whose polling is edge-triggered: bytes that come later are a new event.
  // May a read that fills less than its buffer be taken for the last one? Not if the end of the stream can
  // stand behind it (epoll(7), "Possible pitfalls": it says nothing about EOF).
  enum class ShortRead { kIsLast, kIsNotLast };
  void StartEvent(ShortRead short_read) {
    exhausted_ = false;
    short_read_ = short_read;
  }
  // All there was when the event came has been read.
  bool exhausted() const { return exhausted_; }
  int fd() const { return fd_.get(); }

 private:
  // Sends until all is sent or the socket would block, and drops what was sent from `bytes`.
  Status SendSome(std::string_view& bytes, int flags);

  OwnedFd fd_;
  const std::string peer_;
  std::atomic<bool> closed_{false};
  bool exhausted_ = false;  // the reader's
  ShortRead short_read_ = ShortRead::kIsNotLast;
};

}  // namespace orrery::runtime
