// RawMutex: the mutex of the threads back end, and of the insides of this layer in both worlds. It is never a
// scheduling point of a simulation: nothing may wait, and no task may switch, while one is held.
//
// Mutex 3 of U. Drepper, "Futexes Are Tricky" (2011), with a short spin. Why not absl::Mutex: as Debian builds
// it, locking and unlocking it takes 92 ns of CPU, this takes 14 (std::mutex 23), and a statement takes dozens.
// Being made of atomics, it also shows ThreadSanitizer all it needs.
#pragma once

#include <atomic>
#include <cstdint>

#include "orrery/base/assert.h"
#include "runtime/threads/futex.h"

namespace orrery::runtime::internal {

class RawMutex {
 public:
  RawMutex() = default;
  RawMutex(const RawMutex&) = delete;
  RawMutex& operator=(const RawMutex&) = delete;

  void Lock() {
    if (!TryLock()) [[unlikely]] LockSlow();
  }
  bool TryLock() {
    uint32_t seen = kFree;
    return state_.compare_exchange_strong(seen, kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void Unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) [[unlikely]] FutexWakeOne(&state_);
  }
  void AssertHeld() const {
    ORRERY_ASSERT(state_.load(std::memory_order_relaxed) != kFree, "the mutex is held");
  }

 private:
  static constexpr uint32_t kFree = 0, kLocked = 1, kContended = 2;  // kContended: somebody may sleep
  static constexpr int kSpins = 100;  // about a microsecond: critical sections are short, sleeping costs 25

  void LockSlow() {
    for (int i = 0; i < kSpins; ++i) {
      if (state_.load(std::memory_order_relaxed) == kFree && TryLock()) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree)
      FutexWait(&state_, kContended, MonoTime::Infinite());
  }

  std::atomic<uint32_t> state_{kFree};
};

class RawLock {
 public:
  explicit RawLock(RawMutex& mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~RawLock() { mutex_.Unlock(); }
  RawLock(const RawLock&) = delete;
  RawLock& operator=(const RawLock&) = delete;

 private:
  RawMutex& mutex_;
};

}  // namespace orrery::runtime::internal
