// Clock: a node's two clocks. The monotonic one measures waiting and leases; the wall one feeds the hybrid
// logical clock and what users see. In simulation both are virtual and may drift, jump and differ by node.
// Thread-safe.
#pragma once

#include <cstdint>

#include "orrery/base/time.h"

namespace orrery::runtime {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back within one incarnation; says nothing across nodes or restarts.
  virtual MonoTime MonoNow() const = 0;
  // Nanoseconds since the Unix epoch, UTC. May jump either way: never used to measure a duration.
  virtual int64_t WallNowNs() const = 0;
};

}  // namespace orrery::runtime
