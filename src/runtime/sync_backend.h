// SyncBackend: what Mutex and CondVar do in simulation. The simulator installs one; there is a process-wide
// pointer to it because a Lock() carries no Context. Production never calls it.
#pragma once

#include <cstddef>

#include "orrery/base/status.h"
#include "orrery/runtime/context.h"

namespace orrery::runtime::internal {

inline constexpr size_t kSyncStateBytes = 24;

class SyncBackend {
 public:
  virtual ~SyncBackend() = default;
  // `state` points to kSyncStateBytes bytes, zero at first.
  virtual void MutexLock(void* state, const char* name) = 0;
  virtual bool MutexTryLock(void* state, const char* name) = 0;
  virtual void MutexUnlock(void* state, const char* name) = 0;
  virtual void MutexAssertHeld(const void* state) const = 0;
  virtual Status CondVarWait(void* state, const Context& context, void* mutex_state, const char* mutex_name) = 0;
  virtual void CondVarNotify(void* state, size_t count_max) = 0;
  virtual void Yield() = 0;
};

// Precondition: none is installed; null removes it. Puts the process into Mode::kSimulation.
void InstallSyncBackend(SyncBackend* backend);
// Lets others run, in either mode.
void YieldNow();

}  // namespace orrery::runtime::internal
