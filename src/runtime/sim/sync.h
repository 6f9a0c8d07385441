// SimSync: Mutex and CondVar in simulation. Their 24 bytes hold an owner and a queue of waiting tasks.
#pragma once

#include "runtime/sim/loop.h"
#include "runtime/sync_backend.h"

namespace orrery::runtime::sim {

class SimSync final : public internal::SyncBackend {
 public:
  explicit SimSync(Loop& loop) : loop_(loop) {}
  void MutexLock(void* state, const char* name) override;
  bool MutexTryLock(void* state, const char* name) override;
  void MutexUnlock(void* state, const char* name) override;
  void MutexAssertHeld(const void* state) const override;
  Status CondVarWait(void* state, const Context& context, void* mutex_state, const char* mutex_name) override;
  void CondVarNotify(void* state, size_t count_max) override;
  void Yield() override { loop_.Yield(); }

 private:
  void Acquire(void* state, const char* name);
  void Release(void* state);

  Loop& loop_;
};

}  // namespace orrery::runtime::sim
