// KernelWait: while one lives, the calling thread is expected to sleep in the kernel for longer than waking
// another thread costs (a synced write to disk). Servers of many connections let another thread poll meanwhile.
// Waits through the runtime (conditions, sleeps, streams, calls) need none. Means nothing in simulation.
#pragma once

namespace orrery::runtime {

namespace internal {
class BlockingObserver;
}

class KernelWait {
 public:
  KernelWait();
  ~KernelWait();
  KernelWait(const KernelWait&) = delete;
  KernelWait& operator=(const KernelWait&) = delete;

 private:
  internal::BlockingObserver* const observer_;
};

}  // namespace orrery::runtime
