// Parker: where a task sleeps until another gives it its token (a futex with memory). A token given early is kept, so there
// is no lost wake-up; several tokens are one. One task parks, any may unpark. The task's thread sleeps with it, or, where its
// owner knows how (BlockingObserver::Suspend), does something else meanwhile.
#pragma once

#include <atomic>
#include <cstdint>

#include "orrery/base/time.h"
#include "runtime/threads/blocking.h"
#include "runtime/threads/futex.h"

namespace orrery::runtime::internal {

class Parker {
 public:
  // Waits for a token and takes it. False if `deadline` (of CLOCK_MONOTONIC) came first.
  bool ParkUntil(MonoTime deadline) {
    uint32_t seen = kToken;
    if (state_.compare_exchange_strong(seen, kEmpty, std::memory_order_acquire)) return true;
    if (BlockingObserver* observer = blocking_observer; observer && observer->Suspend(*this, deadline))
      return state_.exchange(kEmpty, std::memory_order_acquire) == kToken;
    seen = kEmpty;
    if (!state_.compare_exchange_strong(seen, kParked, std::memory_order_acquire)) {
      state_.store(kEmpty, std::memory_order_relaxed);  // the token came in between
      return true;
    }
    const BlockingSection section;
    while (true) {
      const bool timed_out = FutexWait(&state_, kParked, deadline);
      if (state_.load(std::memory_order_acquire) == kToken) {
        state_.store(kEmpty, std::memory_order_relaxed);
        return true;
      }
      if (!timed_out) continue;  // spurious
      return state_.exchange(kEmpty, std::memory_order_acquire) == kToken;
    }
  }
  // Who is to be woken: nobody, a thread, or something suspended.
  struct Sleeper {
    std::atomic<uint32_t>* thread = nullptr;
    Suspended* suspended = nullptr;
  };
  void Unpark() { Wake(UnparkDeferred()); }
  // The two halves of Unpark: the first must happen while the parker surely lives; the second takes a system
  // call, only when needed, and is harmless when a thread's parker has gone meanwhile (a spurious wake-up at worst). What is
  // suspended stays so until the second.
  Sleeper UnparkDeferred() {
    switch (state_.exchange(kToken, std::memory_order_acq_rel)) {
      case kParked: return {.thread = &state_};
      case kSuspended: return {.suspended = suspended_};
      default: return {};
    }
  }
  static void Wake(Sleeper sleeper) {
    if (sleeper.thread) FutexWakeOne(sleeper.thread);
    if (sleeper.suspended) sleeper.suspended->Resume();
  }

  // For whoever suspends: a token resumes `suspended`, unless Expire was first. False: the token is there already.
  bool SuspendFor(Suspended& suspended) {
    suspended_ = &suspended;
    uint32_t seen = kEmpty;
    return state_.compare_exchange_strong(seen, kSuspended, std::memory_order_acq_rel);
  }
  // The deadline has come. True: no token will resume what is suspended here, the caller does.
  bool Expire() {
    uint32_t seen = kSuspended;
    return state_.compare_exchange_strong(seen, kEmpty, std::memory_order_acq_rel);
  }

 private:
  static constexpr uint32_t kEmpty = 0, kToken = 1, kParked = 2, kSuspended = 3;

  std::atomic<uint32_t> state_{kEmpty};
  Suspended* suspended_ = nullptr;  // of kSuspended
};

}  // namespace orrery::runtime::internal
