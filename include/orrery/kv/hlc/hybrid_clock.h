// HybridClock: the node's source of timestamps (Kulkarni et al., "Logical Physical Clocks", 2014). It never
// issues a timestamp twice, stays at or above every timestamp it was told of, and so carries causality.
//
// One word holds the clock: nanoseconds, where an event within one wall reading takes the next nanosecond
// instead of a logical counter (a node would have to issue a thousand million a second to run ahead). So
// Now() is one compare-and-swap and needs no mutex.
//
// Invariants: T1 strictly monotone, across restarts too (persisted bound, A10, B49); T2 no remote timestamp
// above physical + max_offset is accepted (B51); one place moves the clock, and only upwards (B50).
// Thread-safe.
#pragma once

#include <atomic>
#include <functional>

#include "orrery/base/status.h"
#include "orrery/base/time.h"
#include "orrery/base/timestamp.h"
#include "orrery/runtime/clock.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {

struct HybridClockOptions {
  Duration max_offset = 500ms;  // between any two nodes' wall clocks; beyond it a node stops itself (T2)
  // How far ahead of the clock the persisted bound is put: one synced write in about half of this time.
  Duration bound_ahead = 2s;
  // The bound read back from disk at start; zero for a new store.
  Timestamp persisted_bound;
  // Makes the bound durable. Called with a mutex of the clock held: it must be a plain synced file write
  // (FileSystem::WriteAtSync), and must not return unless durable: a failed sync ends the process (B53).
  // Null: the clock lives only as long as the process (tests).
  std::function<void(Timestamp bound)> persist;
};

class HybridClock {
 public:
  // `clock` must outlive this.
  HybridClock(runtime::Clock& clock, HybridClockOptions options);
  HybridClock(const HybridClock&) = delete;
  HybridClock& operator=(const HybridClock&) = delete;

  // A timestamp above every one issued or accepted before.
  Timestamp Now();
  // The present reading, not consumed: at or above every timestamp issued or accepted before. For comparisons
  // (is a heartbeat old, is a bound passed), never as the timestamp of an event.
  Timestamp Peek() const;
  // After this, Now() > remote. FailedPrecondition, and no effect, if `remote` lies further than max_offset
  // above our physical clock (T2, B51).
  Status Update(Timestamp remote);
  // The same for timestamps of our own disk (lease starts, applied state), which were accepted once: not
  // refused.
  void Forward(Timestamp local);

  // B49: how long a restarted node must wait before it serves, until its wall clock has passed the bound of
  // its former incarnation; zero when it has. Until then its timestamps would be refused by the others.
  Duration WaitBeforeServing() const;
  // Extends the persisted bound when half of it is used; called by a ticker about once a second so that
  // Now() does not have to.
  void MaintainBound();
  // At a graceful stop: persists the present reading as bound, so that the next start need not wait.
  // Precondition: nothing takes timestamps any more.
  void PersistFinalBound();

  Duration max_offset() const { return options_.max_offset; }
  // T11: where the uncertainty interval of a transaction that starts at `start` ends.
  Timestamp UncertaintyLimit(Timestamp start) const {
    return {start.wall_ns + options_.max_offset.count(), start.logical};
  }
  int64_t PhysicalNowNs() const { return clock_.WallNowNs(); }

 private:
  // The one place that moves the clock: to at least `candidate_ns`, above the old reading if `consume`.
  enum class Advance { kAtLeast, kConsume };
  int64_t MoveTo(int64_t candidate_ns, Advance how);
  void ExtendBound(int64_t needed_ns);

  runtime::Clock& clock_;
  const HybridClockOptions options_;
  std::atomic<int64_t> last_ns_;   // everything issued or accepted is at or below
  std::atomic<int64_t> bound_ns_;  // durable: nothing above it is issued
  runtime::Mutex bound_mutex_{"hybrid_clock.bound"};
};

}  // namespace orrery::kv
