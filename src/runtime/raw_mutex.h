// RawMutex: absl::Mutex made visible to ThreadSanitizer. For the insides of this layer only: it is never a
// scheduling point, so nothing may wait, and no task may switch, while one is held.
#pragma once

#include "absl/synchronization/mutex.h"

#if defined(__SANITIZE_THREAD__)
// Debian's absl is compiled without TSan, which would therefore not see the order its mutexes create.
#include <sanitizer/tsan_interface.h>
#define ORRERY_TSAN(call) call
#else
#define ORRERY_TSAN(call) ((void)0)
#endif

namespace orrery::runtime::internal {

class RawMutex {
 public:
  RawMutex() { ORRERY_TSAN(__tsan_mutex_create(this, 0)); }
  ~RawMutex() { ORRERY_TSAN(__tsan_mutex_destroy(this, 0)); }
  void Lock() {
    ORRERY_TSAN(__tsan_mutex_pre_lock(this, 0));
    mutex_.Lock();
    ORRERY_TSAN(__tsan_mutex_post_lock(this, 0, 0));
  }
  bool TryLock() {
    ORRERY_TSAN(__tsan_mutex_pre_lock(this, __tsan_mutex_try_lock));
    const bool locked = mutex_.TryLock();
    ORRERY_TSAN(__tsan_mutex_post_lock(
        this, locked ? __tsan_mutex_try_lock : __tsan_mutex_try_lock | __tsan_mutex_try_lock_failed, 0));
    return locked;
  }
  void Unlock() {
    ORRERY_TSAN(__tsan_mutex_pre_unlock(this, 0));
    mutex_.Unlock();
    ORRERY_TSAN(__tsan_mutex_post_unlock(this, 0));
  }
  void AssertHeld() const { mutex_.AssertHeld(); }

 private:
  absl::Mutex mutex_;
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
