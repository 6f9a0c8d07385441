#include "runtime/sim/sync.h"

#include <string>

#include "orrery/base/assert.h"
#include "runtime/cancel_scope.h"

namespace orrery::runtime::sim {
namespace {

// All zero is a free mutex, so Mutex can construct it without knowing this type.
struct MutexState {
  SimTask* owner;
  WaitQueue waiters;
};
struct CondVarState {
  WaitQueue waiters;
};
static_assert(sizeof(MutexState) <= internal::kSyncStateBytes);

MutexState& AsMutex(void* state) { return *static_cast<MutexState*>(state); }

struct CancelWake final : CancelScope::Listener {
  CancelWake(Loop& l, SimTask& t) : loop(l), task(t) {}
  void OnCancelled() override { loop.Wake(task); }
  Loop& loop;
  SimTask& task;
};

}  // namespace

void SimSync::MutexLock(void* state, const char* name) {
  if (!loop_.current()) {
    ORRERY_ASSERT(!AsMutex(state).owner, "outside of tasks no mutex is contended");
    return;
  }
  loop_.MaybePreempt();
  loop_.CheckLockOrder(name);
  Acquire(state, name);
}

void SimSync::Acquire(void* state, const char* name) {
  MutexState& mutex = AsMutex(state);
  SimTask* self = loop_.current();
  while (mutex.owner) {
    if (mutex.owner == self)
      loop_.Fail("task \"" + self->name + "\" takes mutex \"" + name + "\" which it already holds");
    WaitQueue::Waiter waiter{self};
    mutex.waiters.Append(waiter);
    loop_.Block("mutex \"" + std::string(name) + "\" held by \"" + mutex.owner->name + "\"", MonoTime::Infinite());
    mutex.waiters.Remove(waiter);
  }
  mutex.owner = self;
  self->held.push_back({state, name});
}

bool SimSync::MutexTryLock(void* state, const char* name) {
  MutexState& mutex = AsMutex(state);
  if (!loop_.current()) return true;
  loop_.MaybePreempt();
  if (mutex.owner) return false;
  mutex.owner = loop_.current();
  mutex.owner->held.push_back({state, name});
  return true;
}

void SimSync::Release(void* state) {
  MutexState& mutex = AsMutex(state);
  SimTask* self = loop_.current();
  ORRERY_ASSERT(mutex.owner == self, "a mutex is unlocked by the task that holds it");
  mutex.owner = nullptr;
  std::erase_if(self->held, [&](const SimTask::Held& held) { return held.mutex == state; });
  mutex.waiters.WakeOne(loop_);
}

void SimSync::MutexUnlock(void* state, const char*) {
  if (!loop_.current()) return;
  Release(state);
  loop_.MaybePreempt();
}

void SimSync::MutexAssertHeld(const void* state) const {
  if (!loop_.current()) return;
  ORRERY_ASSERT(static_cast<const MutexState*>(state)->owner == loop_.current(), "the calling task holds the mutex");
}

Status SimSync::CondVarWait(void* state, const Context& context, void* mutex_state, const char* mutex_name) {
  SimTask* self = loop_.current();
  ORRERY_ASSERT(self != nullptr, "only tasks wait");
  RETURN_IF_ERROR(context.Check());
  MutexAssertHeld(mutex_state);
  loop_.CheckHoldsNothing("a condition under mutex \"" + std::string(mutex_name) + "\"", mutex_state);
  if (loop_.random().Chance(loop_.options().spurious_wakeup_permille)) {
    Release(mutex_state);
    loop_.Yield();
    Acquire(mutex_state, mutex_name);
    return OkStatus();
  }
  WaitQueue& queue = static_cast<CondVarState*>(state)->waiters;
  WaitQueue::Waiter waiter{self};
  CancelWake cancel(loop_, *self);
  queue.Append(waiter);
  CancelScope* scope = CancelScope::Of(context);
  const bool registered = scope && scope->Register(cancel);
  Release(mutex_state);
  loop_.Block("a condition under mutex \"" + std::string(mutex_name) + "\"", context.deadline());
  if (registered) scope->Unregister(cancel);
  const bool notified = !waiter.listed;
  queue.Remove(waiter);
  Acquire(mutex_state, mutex_name);
  return notified ? OkStatus() : context.Check();
}

void SimSync::CondVarNotify(void* state, size_t count_max) {
  WaitQueue& queue = static_cast<CondVarState*>(state)->waiters;
  if (count_max == 1) queue.WakeOne(loop_);
  else queue.WakeAll(loop_);
  loop_.MaybePreempt();
}

}  // namespace orrery::runtime::sim
