// The two futex operations (futex(2)), for the mutex and the parker.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "orrery/base/time.h"

namespace orrery::runtime::internal {

// Sleeps while *address == expected, until woken or until `deadline` of CLOCK_MONOTONIC. May return for no
// reason. True if it timed out.
inline bool FutexWait(std::atomic<uint32_t>* address, uint32_t expected, MonoTime deadline) {
  timespec at{};
  const bool finite = deadline != MonoTime::Infinite();
  if (finite) {
    const int64_t ns = deadline.ns < 0 ? 0 : deadline.ns;
    at = {.tv_sec = time_t(ns / 1'000'000'000), .tv_nsec = long(ns % 1'000'000'000)};
  }
  const long rc = syscall(SYS_futex, address, FUTEX_WAIT_BITSET_PRIVATE, expected, finite ? &at : nullptr, nullptr,
                          FUTEX_BITSET_MATCH_ANY);
  return rc != 0 && errno == ETIMEDOUT;
}

// Wakes one sleeper. Harmless on an address that is no longer in use.
inline void FutexWakeOne(std::atomic<uint32_t>* address) {
  syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace orrery::runtime::internal
