#include "orrery/kv/hlc/hybrid_clock.h"

#include <algorithm>
#include <limits>
#include <string>

namespace orrery::kv {
namespace {

// The clock counts nanoseconds only: a reading with a logical part is covered by the next nanosecond.
int64_t CeilNs(Timestamp ts) { return ts.logical == 0 ? ts.wall_ns : ts.wall_ns + 1; }

}  // namespace

HybridClock::HybridClock(runtime::Clock& clock, HybridClockOptions options)
    : clock_(clock),
      options_(std::move(options)),
      last_ns_(CeilNs(options_.persisted_bound)),  // T1: all of the former incarnation lies at or below
      bound_ns_(options_.persist ? CeilNs(options_.persisted_bound) : std::numeric_limits<int64_t>::max()) {}

Timestamp HybridClock::Now() { return {MoveTo(clock_.WallNowNs(), Advance::kConsume), 0}; }

Timestamp HybridClock::Peek() const {
  return {std::max(last_ns_.load(std::memory_order_acquire), clock_.WallNowNs()), 0};
}

Status HybridClock::Update(Timestamp remote) {
  // The usual case reads no clock: what we have seen already cannot be too far ahead.
  if (CeilNs(remote) <= last_ns_.load(std::memory_order_acquire)) return OkStatus();
  const int64_t ahead_ns = remote.wall_ns - clock_.WallNowNs();
  if (ahead_ns > options_.max_offset.count()) {
    return FailedPreconditionError("remote timestamp " + remote.ToString() + " is " +
                                   std::to_string(ahead_ns / 1'000'000) +
                                   " ms ahead of this node's clock: beyond the maximum clock offset");
  }
  MoveTo(CeilNs(remote), Advance::kAtLeast);
  return OkStatus();
}

void HybridClock::Forward(Timestamp local) { MoveTo(CeilNs(local), Advance::kAtLeast); }

int64_t HybridClock::MoveTo(int64_t candidate_ns, Advance how) {
  int64_t last = last_ns_.load(std::memory_order_acquire);
  for (;;) {
    const int64_t next = std::max(candidate_ns, how == Advance::kConsume ? last + 1 : last);
    if (next == last) return last;
    if (next > bound_ns_.load(std::memory_order_acquire)) {
      ExtendBound(next);
      last = last_ns_.load(std::memory_order_acquire);
      continue;
    }
    // B50: only ever from `last` to something above it.
    if (last_ns_.compare_exchange_weak(last, next, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return next;
    }
  }
}

void HybridClock::ExtendBound(int64_t needed_ns) {
  runtime::MutexLock lock(bound_mutex_);
  if (needed_ns <= bound_ns_.load(std::memory_order_acquire)) return;
  const int64_t bound = needed_ns + options_.bound_ahead.count();
  options_.persist(Timestamp{bound, 0});  // A10: durable before anything above the old bound is issued
  bound_ns_.store(bound, std::memory_order_release);
}

void HybridClock::MaintainBound() {
  if (!options_.persist) return;
  const int64_t now = Peek().wall_ns;
  const int64_t half_used = now + options_.bound_ahead.count() / 2;
  if (half_used > bound_ns_.load(std::memory_order_acquire)) ExtendBound(half_used);
}

void HybridClock::PersistFinalBound() {
  if (!options_.persist) return;
  runtime::MutexLock lock(bound_mutex_);
  const int64_t last = last_ns_.load(std::memory_order_acquire);
  options_.persist(Timestamp{last, 0});
  bound_ns_.store(last, std::memory_order_release);
}

Duration HybridClock::WaitBeforeServing() const {
  return Duration(std::max<int64_t>(0, CeilNs(options_.persisted_bound) - clock_.WallNowNs()));
}

}  // namespace orrery::kv
