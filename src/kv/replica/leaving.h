// A lease that leaves on purpose: its state at the one who gives it away, and at the one who takes it over (B44).
#pragma once

#include "orrery/base/ids.h"
#include "orrery/base/time.h"
#include "orrery/kv/concurrency/lock_handover.h"

namespace orrery::kv {

// What a move of the lease is worth: kPutOff rather stays than lose locks or wait long; kRequired goes anyway.
enum class LeaseMove : uint8_t { kPutOff, kRequired };

struct Leaving {                   // our lease, which goes to another replica
  ReplicaId target;
  LeaseMove move;
  MonoTime patience;               // for the requests under way to end
  bool proposed = false;           // the command that carries the locks
};

struct Inherited {
  LeaseSequence sequence;          // of the lease that was handed over
  LockHandover locks;
};

}  // namespace orrery::kv
