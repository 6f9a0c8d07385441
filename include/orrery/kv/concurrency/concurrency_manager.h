// ConcurrencyManager: the order in which the requests of one range may run. It keeps requests that would
// disturb each other apart (latches, short), and lets transactions hold keys over many requests (locks, long).
//
//            Sequence
//               │
//      ┌────────▼────────┐ conflict: kWaitLatch (FIFO by arrival)
//      │     latches     │◄───────────────────────────────────────┐
//      └────────┬────────┘                                        │
//               │ granted                                         │ woken, pushed or resolved:
//      ┌────────▼────────┐ held by another: latches are dropped,  │ the caller calls Sequence again
//      │   lock table    ├─ joins the key's queue: kWaitLock ─────┤
//      └────────┬────────┘  holder known to be finished: kResolve ┘
//               │ free
//      kProceed: evaluate ── meets a replicated lock the table did not know: HandleLockConflict ──► kWaitLock
//               │
//            Finish: latches and queue positions released, next ones woken
//
// The life of a write that meets an intent: Sequence grants its latch; the lock table knows nothing;
// evaluation returns a LockConflict; HandleLockConflict records the intent's holder, queues the request at
// the key and drops the latch. After 50 ms the caller pushes the holder's record (PushTarget), where the
// push waits (TxnWaitQueue) until the holder is done. The intent is resolved; OnLockUpdated hands the key to
// the first of its queue, wakes it alone, and the others go on waiting, now for that one's transaction.
//
// Limits, honestly: replicated locks appear in the table only once somebody ran into them; unreplicated ones
// live here alone: they go to the next leaseholder if the lease is handed over, and are lost with it otherwise (B44).
// A non-transactional request waits but never claims.
// Pure: no thread, clock or I/O; the caller (kv/replica) holds the range's mutex around every call and does
// the waiting, the pushing and the resolving. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/time.h"
#include "orrery/kv/api/batch.h"
#include "orrery/kv/concurrency/latch_manager.h"
#include "orrery/kv/concurrency/lock_table.h"
#include "orrery/kv/concurrency/admission.h"

namespace orrery::kv {

struct ConcurrencyOptions {
  Duration push_delay = 50ms;       // how long to wait at a lock before its holder's record is pushed
  size_t known_records_max = 1024;  // remembered results of pushes
};

struct Outcome {
  enum class Kind : uint8_t {
    kProceed,    // latches are held, no lock is in the way: evaluate, then Finish
    kWaitLatch,  // wait to be woken, then Sequence
    kWaitLock,   // wait to be woken, or for lock.push_after and then push PushTarget(); then Sequence
    kResolve,    // send ResolveIntent for each of `resolve` (not through this request), then Sequence
  };
  Kind kind = Kind::kProceed;
  LockWait lock;                              // kWaitLock
  std::vector<ResolveIntentRequest> resolve;  // kResolve
};

class ConcurrencyManager {
 public:
  explicit ConcurrencyManager(ConcurrencyOptions options = {});
  ~ConcurrencyManager();

  // Moves `request` on as far as it goes. Called first, and again after each wait, push or resolution.
  // A request that waits holds no latches, only its places in the queues.
  Outcome Sequence(Admission& request, Woken& woken);
  // Evaluation met these locks: remembers them, drops the request's latches and queues it. The outcome is
  // kWaitLock or kResolve. Precondition: the request was told to proceed.
  Outcome HandleLockConflict(Admission& request, const std::vector<storage::LockConflict>& conflicts, Woken& woken);
  // Ends the request (done, failed or cancelled) at any stage. After this it is not referred to any more.
  // Locks it acquired must have been reported before.
  void Finish(Admission& request, Woken& woken);

  // Whom a request in kWaitLock should push now: the holder may have changed since. Empty: nobody, Sequence.
  std::optional<LockWait> PushTarget(const Admission& request) const;
  // SKIP LOCKED: whether a lock known here keeps `request` from locking `key`. Evaluation asks, key by key.
  bool IsLocked(const Admission& request, std::string_view key, LockStrength strength) const;

  // Whether a plain read at `ts` needs no latch: no request that came before writes the key at or below `ts`. The
  // caller sees to it that none that comes later does (T6).
  bool MayReadAtOnce(std::string_view key, Timestamp ts) const { return !latches_.WouldWait(key, ts); }

  // `txn` holds `key` now. Called while the request still holds its latches (unreplicated: as it is
  // evaluated; replicated: as its command is applied).
  void OnLockAcquired(const TxnMeta& txn, std::string_view key, LockStrength strength, LockDurability durability);
  // The locks of `txn` in `span` were resolved on disk: gone, or moved to txn.write_ts while kPending.
  void OnLockUpdated(const TxnMeta& txn, TxnStatus status, SpanRef span, Woken& woken);
  // A push, or the record's apply, showed this state: unreplicated locks of a finished transaction go at once,
  // replicated ones are reported as kResolve to whoever waits for them.
  void OnTxnRecord(const TxnRecord& record, Woken& woken);

  // The unreplicated locks from `start` on, for another table to go on with. They are exact while no request is
  // under way.
  LockTable::Exported ExportLocks(std::string_view start, size_t bytes_max) const { return locks_.Export(start, bytes_max); }
  void ImportLocks(const LockHandover& handed_over);
  // No request holds latches or waits for them.
  bool idle() const { return latches_.empty(); }

  // The lease is lost, or the range was replaced by a snapshot: forgets every lock, wakes every waiter (the
  // lease check then turns them away).
  void OnLeaseLost(Woken& woken);
  // Locks at or above the split key leave with the right side; their waiters are woken.
  void OnSplit(std::string_view split_key, Woken& woken);

  // Every lock and queue, for views and transcripts; one line a fact, ordered by key.
  std::string DebugString() const;
  size_t lock_count() const { return locks_.size(); }

 private:
  Outcome Blocked(Admission& request, LockTable::ScanResult result, Woken& woken);

  const ConcurrencyOptions options_;
  uint64_t next_sequence_ = 1;
  LatchManager latches_;
  LockTable locks_;
};

}  // namespace orrery::kv
