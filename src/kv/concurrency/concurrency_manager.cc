#include "orrery/kv/concurrency/concurrency_manager.h"

#include "orrery/base/assert.h"

namespace orrery::kv {

ConcurrencyManager::ConcurrencyManager(ConcurrencyOptions options)
    : options_(options), locks_(options.known_records_max) {}

ConcurrencyManager::~ConcurrencyManager() = default;

Outcome ConcurrencyManager::Sequence(Admission& request, Woken& woken) {
  using Stage = Admission::Stage;
  ORRERY_ASSERT(request.stage_ != Stage::kFinished, "a finished request is not sequenced again");
  ORRERY_ASSERT(request.stage_ != Stage::kHoldsLatches, "a request that was told to proceed is not sequenced again");
  if (request.stage_ == Stage::kNew) request.sequence_ = next_sequence_++;
  if (request.stage_ == Stage::kWaitsForLatch) {
    if (!latches_.Blockers(request).empty()) return {.kind = Outcome::Kind::kWaitLatch};
  } else if (!latches_.Acquire(request)) {
    request.stage_ = Stage::kWaitsForLatch;
    return {.kind = Outcome::Kind::kWaitLatch};
  }
  request.stage_ = Stage::kHoldsLatches;
  LockTable::ScanResult met = locks_.Scan(request, woken);
  if (!met.wait && met.resolve.empty()) return {};
  return Blocked(request, std::move(met), woken);
}

// By what a scan, or the evaluation, has met.
Outcome ConcurrencyManager::Blocked(Admission& request, LockTable::ScanResult result, Woken& woken) {
  // A request must not keep others out while it waits for a lock.
  latches_.Release(request, woken);
  request.stage_ = Admission::Stage::kWaitsForLock;
  Outcome outcome;
  if (!result.resolve.empty()) {
    outcome.kind = Outcome::Kind::kResolve;
    outcome.resolve = std::move(result.resolve);
    return outcome;
  }
  outcome.kind = Outcome::Kind::kWaitLock;
  outcome.lock = std::move(*result.wait);
  outcome.lock.push_after = outcome.lock.fail_if_pending ? Duration(0) : options_.push_delay;
  return outcome;
}

Outcome ConcurrencyManager::HandleLockConflict(Admission& request,
                                               const std::vector<storage::LockConflict>& conflicts,
                                               Woken& woken) {
  ORRERY_ASSERT(request.stage_ == Admission::Stage::kHoldsLatches, "only a request under way meets locks");
  ORRERY_ASSERT(!conflicts.empty(), "a conflict names a lock");
  LockTable::ScanResult result;
  for (const storage::LockConflict& conflict : conflicts) {
    locks_.AddDiscovered(request, conflict, result, woken);
  }
  ORRERY_ASSERT(result.wait || !result.resolve.empty(), "a request conflicts with locks of others only");
  return Blocked(request, std::move(result), woken);
}

void ConcurrencyManager::Finish(Admission& request, Woken& woken) {
  if (request.stage_ == Admission::Stage::kFinished || request.stage_ == Admission::Stage::kNew) return;
  request.stage_ = Admission::Stage::kFinished;
  latches_.Release(request, woken);
  locks_.Dequeue(request, woken);
}

std::optional<LockWait> ConcurrencyManager::PushTarget(const Admission& request) const {
  return locks_.PushTarget(request);
}

bool ConcurrencyManager::IsLocked(const Admission& request, std::string_view key, LockStrength strength) const {
  return locks_.IsLocked(request, key, strength);
}

void ConcurrencyManager::OnLockAcquired(const TxnMeta& txn, std::string_view key, LockStrength strength,
                                        LockDurability durability) {
  locks_.OnAcquired(txn, key, strength, durability);
}

void ConcurrencyManager::OnLockUpdated(const TxnMeta& txn, TxnStatus status, SpanRef span, Woken& woken) {
  if (locks_.size() > 0) locks_.OnUpdated(txn, status, span, woken);
}

void ConcurrencyManager::OnTxnRecord(const TxnRecord& record, Woken& woken) { locks_.OnTxnRecord(record, woken); }

void ConcurrencyManager::ImportLocks(const LockHandover& handed_over) {
  for (const TxnLocks& of : handed_over.txns) {
    for (const HeldLock& lock : of.locks) {
      locks_.OnAcquired(of.txn, lock.key, lock.strength, LockDurability::kUnreplicated);
    }
  }
}

void ConcurrencyManager::OnLeaseLost(Woken& woken) { locks_.ClearFrom("", woken); }

void ConcurrencyManager::OnSplit(std::string_view split_key, Woken& woken) { locks_.ClearFrom(split_key, woken); }

std::string ConcurrencyManager::DebugString() const { return locks_.DebugString(); }

}  // namespace orrery::kv
