// Parker: where one thread sleeps until another gives it its token (a futex with memory). A token given early
// is kept, so there is no lost wake-up; several tokens are one. One thread parks, any may unpark.
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
  void Unpark() { Wake(UnparkDeferred()); }
  // The two halves of Unpark: the first must happen while the parker surely lives; the second takes a system
  // call, only when needed, and is harmless when the parker has gone meanwhile (a spurious wake-up at worst).
  std::atomic<uint32_t>* UnparkDeferred() {
    return state_.exchange(kToken, std::memory_order_release) == kParked ? &state_ : nullptr;
  }
  static void Wake(std::atomic<uint32_t>* address) {
    if (address) FutexWakeOne(address);
  }

 private:
  static constexpr uint32_t kEmpty = 0, kToken = 1, kParked = 2;

  std::atomic<uint32_t> state_{kEmpty};
};

}  // namespace orrery::runtime::internal
