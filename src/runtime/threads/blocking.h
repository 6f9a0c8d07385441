// Blocking: how a thread's owner learns that the thread is about to sleep, so that another can take its place
// (the managed blocker of a fork/join pool). The parker tells of every wait of the runtime; code that sleeps in
// the kernel by itself (a synced write) says so with runtime::KernelWait.
#pragma once

namespace orrery::runtime::internal {

// Called on the thread itself. Neither may wait for anything but a short RawMutex.
class BlockingObserver {
 public:
  virtual void OnBlock() = 0;
  virtual void OnUnblock() = 0;

 protected:
  ~BlockingObserver() = default;
};

// Null on a thread that nobody observes, which is most of them.
inline constinit thread_local BlockingObserver* blocking_observer = nullptr;

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
