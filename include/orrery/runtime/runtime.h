// Runtime: the only door between a node and the world. One per node incarnation, owned by main() or by the
// simulator; everything below takes it by reference (through Context). Thread-safe.
#pragma once

#include "orrery/runtime/clock.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/file_system.h"
#include "orrery/runtime/probe.h"
#include "orrery/runtime/random.h"
#include "orrery/runtime/scheduler.h"
#include "orrery/runtime/sync.h"
#include "orrery/runtime/transport.h"

namespace orrery::runtime {

class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual Clock& clock() = 0;
  virtual Random& random() = 0;
  virtual Scheduler& scheduler() = 0;
  virtual FileSystem& file_system() = 0;
  virtual Transport& transport() = 0;
  virtual Network& network() = 0;
  virtual ProbeRegistry& probes() = 0;  // one a simulated run, shared by its nodes; disabled in production
};

// Which back end Mutex and CondVar use. Set once, before the first of them is constructed and before the
// first Runtime; production needs no call. Asserts when changed later.
enum class Mode { kThreads, kSimulation };
void SetProcessMode(Mode mode);
Mode ProcessMode();

}  // namespace orrery::runtime
