// How Linux schedules the calling thread (sched(7)). An ordinary thread that wakes may push the one aside that runs; a batch
// thread lets it have its turn. A new thread inherits the policy of the one that makes it.
#pragma once

#include <sched.h>

namespace orrery::runtime::internal {

enum class ThreadPolicy : int { kOrdinary = SCHED_OTHER, kBatch = SCHED_BATCH };

inline bool IsOrdinary() { return ::sched_getscheduler(0) == SCHED_OTHER; }

// From the one to the other, which needs no privilege. False: the system forbids it all the same (seccomp).
inline bool SetThreadPolicy(ThreadPolicy policy) {
  const sched_param none{};
  return ::sched_setscheduler(0, int(policy), &none) == 0;
}

}  // namespace orrery::runtime::internal
