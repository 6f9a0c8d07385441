// Locks and hand-over between tasks: the same classes in production and in simulation, chosen by one branch
// on a process-wide constant (runtime.h, Mode). No std::mutex anywhere else.
//
// Rules (style.md section 4): no Mutex is held across a wait other than CondVar's own; lock order is checked
// in simulation; Lock, Unlock and Notify are points where a simulation may switch tasks.
// The order is one of names: mutexes that nest have different names ("mutex", the default, is not checked).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "orrery/base/assert.h"
#include "orrery/base/status.h"
#include "orrery/base/status_or.h"
#include "orrery/runtime/context.h"

namespace orrery::runtime {

// `name` must outlive the mutex (a literal); it names the lock in order checks and deadlock reports.
class ABSL_LOCKABLE Mutex {
 public:
  explicit Mutex(const char* name = "mutex");
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void Unlock() ABSL_UNLOCK_FUNCTION();
  // Asserts that the calling task holds it (checked in simulation and debug builds).
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK();

 private:
  friend class CondVar;
  // Room for either back end's state, so that a Mutex needs no allocation in production.
  alignas(8) unsigned char state_[24];
  const char* name_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  CondVar();
  ~CondVar();
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // Releases `mutex`, waits for a notification (or spuriously returns), takes `mutex` again. Cancelled or
  // DeadlineExceeded when the context ends first. Callers loop on their condition.
  Status Wait(const Context& context, Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void NotifyOne();
  void NotifyAll();

 private:
  alignas(8) unsigned char state_[24];
};

// Waits until `condition()` holds, under `mutex`.
template <class Condition>
Status WaitUntil(const Context& context, Mutex& mutex, CondVar& cv, Condition condition)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
  while (!condition()) RETURN_IF_ERROR(cv.Wait(context, mutex));
  return OkStatus();
}

// A bounded queue between tasks. Thread-safe.
template <class T>
class Channel {
 public:
  explicit Channel(size_t capacity) : capacity_(capacity) {
    ORRERY_ASSERT(capacity > 0, "Channel: capacity is positive");
  }
  // Waits for room. Cancelled / DeadlineExceeded; FailedPrecondition once closed.
  Status Send(const Context& context, T value) {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(WaitUntil(context, mutex_, not_full_, [&] { return closed_ || items_.size() < capacity_; }));
    if (closed_) return FailedPreconditionError("channel closed");
    items_.push_back(std::move(value));
    not_empty_.NotifyOne();
    return OkStatus();
  }
  // False if full or closed.
  bool TrySend(T value) {
    MutexLock lock(mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    not_empty_.NotifyOne();
    return true;
  }
  // Waits for an item. Empty once closed and drained.
  StatusOr<std::optional<T>> Receive(const Context& context) {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(WaitUntil(context, mutex_, not_empty_, [&] { return closed_ || !items_.empty(); }));
    if (items_.empty()) return std::optional<T>();
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.NotifyOne();
    return item;
  }
  void Close() {
    MutexLock lock(mutex_);
    closed_ = true;
    not_empty_.NotifyAll();
    not_full_.NotifyAll();
  }

 private:
  const size_t capacity_;
  Mutex mutex_{"channel"};
  CondVar not_empty_;
  CondVar not_full_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// A value set once by one task and awaited by another. Thread-safe.
template <class T>
class OneShot {
 public:
  // Precondition: not set before.
  void Set(T value) {
    MutexLock lock(mutex_);
    ORRERY_ASSERT(!value_, "OneShot: set once");
    value_.emplace(std::move(value));
    cv_.NotifyAll();
  }
  bool IsSet() const {
    MutexLock lock(mutex_);
    return value_.has_value();
  }
  // Waits; then moves the value out (one taker).
  StatusOr<T> Take(const Context& context) {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(WaitUntil(context, mutex_, cv_, [&] { return value_.has_value(); }));
    return StatusOr<T>(std::move(*value_));
  }

 private:
  mutable Mutex mutex_{"one_shot"};
  CondVar cv_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orrery::runtime
