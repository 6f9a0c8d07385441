// Blocking: how a thread's owner learns that the thread is about to sleep, so that another can take its place
// (the managed blocker of a fork/join pool). The parker tells of every wait of the runtime; code that sleeps in
// the kernel by itself (a synced write) says so with runtime::KernelWait. An owner that can do better than to let the thread
// sleep takes it away from who waits.
#pragma once

#include "orrery/base/time.h"

namespace orrery::runtime::internal {

class Parker;
class PollSet;

// Something that waits without a thread.
class Suspended {
 public:
  // Goes on soon. Once a wait, on any thread; must not block.
  virtual void Resume() = 0;

 protected:
  ~Suspended() = default;
};

// Called on the thread itself. None may wait for anything but a short RawMutex.
class BlockingObserver {
 public:
  virtual void OnBlock() = 0;
  virtual void OnUnblock() = 0;
  // Waits in the thread's place (Parker::SuspendFor): returns, perhaps on another thread, when the parker was given a token
  // or the deadline has come. False, at once: the thread has to sleep.
  virtual bool Suspend(Parker&, MonoTime /*deadline*/) { return false; }
  // Where a socket can be polled on behalf of who waits for it. Null: he has to sleep at it himself.
  virtual PollSet* poll_set() { return nullptr; }

 protected:
  ~BlockingObserver() = default;
};

// Null on a thread that nobody observes, which is most of them.
inline constinit thread_local BlockingObserver* blocking_observer = nullptr;

inline PollSet* CurrentPollSet() { return blocking_observer ? blocking_observer->poll_set() : nullptr; }

// Marks the thread as asleep; gives what EndBlocking needs. Nested: the outermost counts.
inline BlockingObserver* BeginBlocking() {
  BlockingObserver* const observer = blocking_observer;
  if (observer) {
    blocking_observer = nullptr;
    observer->OnBlock();
  }
  return observer;
}
inline void EndBlocking(BlockingObserver* observer) {
  if (!observer) return;
  observer->OnUnblock();
  blocking_observer = observer;
}

class BlockingSection {
 public:
  BlockingSection() : observer_(BeginBlocking()) {}
  ~BlockingSection() { EndBlocking(observer_); }
  BlockingSection(const BlockingSection&) = delete;
  BlockingSection& operator=(const BlockingSection&) = delete;

 private:
  BlockingObserver* const observer_;
};

}  // namespace orrery::runtime::internal
