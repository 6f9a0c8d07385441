#include "orrery/runtime/sync.h"

#include <sched.h>

#include <cstring>
#include <new>

#include "orrery/runtime/kernel_wait.h"
#include "orrery/runtime/runtime.h"
#include "runtime/cancel_scope.h"
#include "runtime/raw_mutex.h"
#include "runtime/sync_backend.h"
#include "runtime/threads/blocking.h"
#include "runtime/threads/parker.h"

namespace orrery::runtime {
namespace {

using internal::Parker;
using internal::RawMutex;

// The one piece of process-wide state: which world this process lives in (style.md section 3, "One binary").
struct ProcessState {
  bool simulation = false;  // read by every Lock: constant from the first Mutex on
  std::atomic<bool> in_use{false};
  internal::SyncBackend* backend = nullptr;
} process;

void MarkInUse() {
  if (!process.in_use.load(std::memory_order_relaxed)) process.in_use.store(true, std::memory_order_relaxed);
}

// One wait on a CondVar of the threads back end; lives on the waiter's stack.
struct Waiter final : CancelScope::Listener {
  void OnCancelled() override { parker.Unpark(); }
  Parker parker;
  Waiter* prev = nullptr;
  Waiter* next = nullptr;
  bool listed = false;
};

// Why not absl::CondVar: a cancelled Context must wake exactly its own waiter, also in the instant between
// the registration and the sleep, and without taking the user's mutex. A parker a waiter gives that.
struct CondVarState {
  RawMutex mutex;
  std::atomic<Waiter*> head{nullptr};  // changed under mutex; read without it to skip idle notifications
  Waiter* tail = nullptr;

  void Append(Waiter& w) {
    mutex.Lock();
    w.prev = tail;
    if (tail) tail->next = &w;
    else head.store(&w, std::memory_order_release);
    tail = &w;
    w.listed = true;
    mutex.Unlock();
  }
  void UnlinkLocked(Waiter& w) {
    if (w.prev) w.prev->next = w.next;
    else head.store(w.next, std::memory_order_relaxed);
    (w.next ? w.next->prev : tail) = w.prev;
    w.listed = false;
  }
  // Whether it was still waiting for a notification.
  bool Remove(Waiter& w) {
    mutex.Lock();
    const bool was_listed = w.listed;
    if (was_listed) UnlinkLocked(w);
    mutex.Unlock();
    return was_listed;
  }
};

static_assert(sizeof(RawMutex) <= internal::kSyncStateBytes);
static_assert(sizeof(CondVarState) <= internal::kSyncStateBytes);

RawMutex& Raw(unsigned char* state) { return *std::launder(reinterpret_cast<RawMutex*>(state)); }
CondVarState& Cond(unsigned char* state) { return *std::launder(reinterpret_cast<CondVarState*>(state)); }

internal::SyncBackend& Backend() {
  ORRERY_ASSERT(process.backend != nullptr, "in simulation mode only a simulator's tasks wait");
  return *process.backend;
}

}  // namespace

void SetProcessMode(Mode mode) {
  const bool simulation = mode == Mode::kSimulation;
  if (simulation == process.simulation) return;
  ORRERY_ASSERT(!process.in_use.load(std::memory_order_relaxed), "the process mode is set before its first use");
  process.simulation = simulation;
}

Mode ProcessMode() { return process.simulation ? Mode::kSimulation : Mode::kThreads; }

namespace internal {

void InstallSyncBackend(SyncBackend* backend) {
  SetProcessMode(Mode::kSimulation);
  ORRERY_ASSERT(!backend || !process.backend, "one simulator at a time in a process");
  process.backend = backend;
}

void YieldNow() {
  if (process.simulation) Backend().Yield();
  else sched_yield();
}

}  // namespace internal

KernelWait::KernelWait() : observer_(internal::BeginBlocking()) {}
KernelWait::~KernelWait() { internal::EndBlocking(observer_); }

Mutex::Mutex(const char* name) : name_(name) {
  MarkInUse();
  if (process.simulation) std::memset(state_, 0, sizeof state_);
  else new (state_) RawMutex;
}

Mutex::~Mutex() {
  if (!process.simulation) Raw(state_).~RawMutex();
}

void Mutex::Lock() {
  if (process.simulation) [[unlikely]] {
    // Without a simulator there is one thread and nothing to exclude: its results are being looked at.
    if (process.backend) process.backend->MutexLock(state_, name_);
    return;
  }
  Raw(state_).Lock();
}

bool Mutex::TryLock() {
  if (process.simulation) [[unlikely]]
    return !process.backend || process.backend->MutexTryLock(state_, name_);
  return Raw(state_).TryLock();
}

void Mutex::Unlock() {
  if (process.simulation) [[unlikely]] {
    if (process.backend) process.backend->MutexUnlock(state_, name_);
    return;
  }
  Raw(state_).Unlock();
}

void Mutex::AssertHeld() const {
  if (process.simulation) [[unlikely]] {
    if (process.backend) process.backend->MutexAssertHeld(state_);
    return;
  }
  Raw(const_cast<unsigned char*>(state_)).AssertHeld();
}

CondVar::CondVar() {
  MarkInUse();
  if (process.simulation) std::memset(state_, 0, sizeof state_);
  else new (state_) CondVarState;
}

CondVar::~CondVar() {
  if (process.simulation) return;
  ORRERY_ASSERT(Cond(state_).head.load() == nullptr, "CondVar: nobody waits when it is destroyed");
  Cond(state_).~CondVarState();
}

Status CondVar::Wait(const Context& context, Mutex& mutex) {
  if (process.simulation) [[unlikely]]
    return Backend().CondVarWait(state_, context, mutex.state_, mutex.name_);
  RETURN_IF_ERROR(context.Check());
  CondVarState& cv = Cond(state_);
  Waiter waiter;
  cv.Append(waiter);
  CancelScope* scope = CancelScope::Of(context);
  const bool registered = scope && scope->Register(waiter);
  const bool cancelled_early = scope && !registered;
  if (!cancelled_early) {
    Raw(mutex.state_).Unlock();
    waiter.parker.ParkUntil(context.deadline());
    if (registered) scope->Unregister(waiter);
  }
  // Also the barrier that keeps a notifier's hands off the waiter before it leaves this frame.
  const bool notified = !cv.Remove(waiter);
  if (!cancelled_early) Raw(mutex.state_).Lock();
  // A notification that met a cancellation is not lost: the caller looks at its condition first.
  return notified ? OkStatus() : context.Check();
}

void CondVar::NotifyOne() {
  if (process.simulation) [[unlikely]] {
    if (process.backend) process.backend->CondVarNotify(state_, 1);
    return;
  }
  CondVarState& cv = Cond(state_);
  if (cv.head.load(std::memory_order_acquire) == nullptr) return;
  cv.mutex.Lock();
  Parker::Sleeper sleeper;
  if (Waiter* waiter = cv.head.load(std::memory_order_relaxed)) {
    cv.UnlinkLocked(*waiter);
    sleeper = waiter->parker.UnparkDeferred();
  }
  cv.mutex.Unlock();
  Parker::Wake(sleeper);
}

void CondVar::NotifyAll() {
  if (process.simulation) [[unlikely]] {
    if (process.backend) process.backend->CondVarNotify(state_, SIZE_MAX);
    return;
  }
  CondVarState& cv = Cond(state_);
  if (cv.head.load(std::memory_order_acquire) == nullptr) return;
  cv.mutex.Lock();
  while (Waiter* waiter = cv.head.load(std::memory_order_relaxed)) {
    cv.UnlinkLocked(*waiter);
    waiter->parker.Unpark();
  }
  cv.mutex.Unlock();
}

}  // namespace orrery::runtime
