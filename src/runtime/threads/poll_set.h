// PollSet: the epoll of a stream server, and what it polls there beside its streams: sockets from which one of the
// server's own tasks awaits an answer. So this task's stack can lie aside meanwhile (fibers.h), and its thread serves
// streams. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/raw_mutex.h"
#include "runtime/threads/fd.h"
#include "runtime/threads/parker.h"

namespace orrery::runtime::internal {

class PollSet : public std::enable_shared_from_this<PollSet> {
 public:
  PollSet();
  int epoll_fd() const { return epoll_.get(); }

  // Keys of events that are for Tell; all others are the server's (StreamSlot::key, whose index has fewer bits).
  static bool IsAwaited(uint64_t key) { return (key & kAwaited) != 0; }
  // There was an event: gives who awaits it a token. What is to be woken.
  Parker::Sleeper Tell(uint64_t key);

 private:
  friend class PolledFd;
  static constexpr uint64_t kAwaited = uint64_t{1} << 31;
  // An event that was fetched before its socket left the set names a generation that is over, and is dropped.
  struct Entry {
    uint32_t generation = 0;
    Parker* parker = nullptr;
  };

  // Zero, which is no key: the system has no memory for it.
  uint64_t Add(int fd, Parker& parker);
  void Remove(uint64_t key);

  OwnedFd epoll_;
  RawMutex mutex_;
  std::vector<Entry> entries_;  // guarded by mutex_
  std::vector<uint32_t> free_;  // guarded by mutex_; indexes of entries_
};

// A socket, of somebody else, that may be polled in a set. One task at a time uses it.
class PolledFd {
 public:
  explicit PolledFd(int fd) : fd_(fd) {}
  PolledFd(const PolledFd&) = delete;
  PolledFd& operator=(const PolledFd&) = delete;
  // The socket is closed right after.
  ~PolledFd() { Forget(); }

  // Polled there from now on, if the system can; nowhere if null.
  void MoveTo(PollSet* set);
  const PollSet* set() const { return set_.get(); }
  // In a set: waits until bytes have come, or the end of the stream, since the last time. Seldom that returns although
  // nothing has. False if the deadline came first. So before it, whatever there was must have been read: all of an
  // answer, or until EAGAIN.
  bool Await(MonoTime deadline) { return parker_.ParkUntil(deadline); }

 private:
  void Forget();

  const int fd_;
  std::shared_ptr<PollSet> set_;
  uint64_t key_ = 0;
  Parker parker_;
};

}  // namespace orrery::runtime::internal
