// The transaction record as a state machine of pure functions: what each request does to a record, given the
// record (or its absence), the marks the timestamp cache keeps for it, and the leaseholder's clock. Used by
// kv/replica/eval; the replica writes `change`, leaves `mark` before the response goes out, and answers.
//
//              heartbeat, first push                   EndTxn(commit)
//   (absent) ───────────────────────► PENDING ───────────────────────► COMMITTED ─┐
//       │                                │  EndTxn(abort), push, abandoned        │ all intents resolved:
//       ├── EndTxn(commit) ──────────────┼───────────────────────────► COMMITTED ─┤ record erased,
//       └── EndTxn(abort), push ─────────┴───────────────────────────► ABORTED   ─┘ mark left
//
// Rules: T13 one-way; T15 acknowledged only once applied; T16 an absent record may be created only if no mark
// forbids it, and "unknown" is never reported as aborted to a transaction's own coordinator; T22 abandoned
// after 5 s without a heartbeat by the leaseholder's clock. Thread-safe (no state).
#pragma once

#include <optional>
#include <string>

#include "orrery/base/time.h"
#include "orrery/kv/api/batch.h"
#include "orrery/kv/concurrency/timestamp_cache.h"

namespace orrery::kv {

inline constexpr Duration kHeartbeatInterval = 1s;
inline constexpr Duration kAbandonedAfter = 5s;

// What happens to the record on disk.
struct RecordChange {
  enum class Kind : uint8_t { kNone, kWrite, kErase };
  Kind kind = Kind::kNone;
  TxnRecord record;  // kWrite
};
// A mark to leave in the timestamp cache, once the change is applied and before the response leaves.
struct RecordMarkChange {
  enum class Kind : uint8_t { kNone, kFinished, kPushed };
  Kind kind = Kind::kNone;
  TxnStatus outcome = TxnStatus::kPending;  // kFinished
  Timestamp ts;                             // commit timestamp, or pushed to
};

// T22: the later of the heartbeat and the beginning, by the leaseholder's clock.
bool IsAbandoned(const TxnRecord& record, Timestamp now);
// T16: whether a record with this beginning may still come into being.
bool CanCreateRecord(const TxnMeta& txn, const RecordMark& mark);

struct EndTxnResult {
  std::optional<KvError> error;   // TxnRetryError; then change and mark are none
  TxnStatus status = TxnStatus::kPending;  // final state reached: equals the request's, unless kAborted was
                                           // asked for and it had committed already
  Timestamp commit_ts;            // of kCommitted
  RecordChange change;
  RecordMarkChange mark;
};
// `all_resolved`: the command itself resolves every lock (all of them on this range), so that no record is
// needed afterwards. Commits at max(txn.write_ts, record, pushed mark); under SERIALIZABLE that must be the
// read timestamp (T12), else kSerializable with the timestamp to refresh to. T28 is checked at the final one.
enum class LocksLeft : uint8_t { kNone, kSome };
EndTxnResult EndTxn(const std::optional<TxnRecord>& record, const RecordMark& mark, const Transaction& txn,
                    const EndTxnRequest& request, LocksLeft locks_left);

struct HeartbeatResult {
  std::optional<KvError> error;  // aborted, or the record can no longer be created
  RecordChange change;
  TxnRecord record;              // as it is now: tells the coordinator of pushes
};
HeartbeatResult HeartbeatTxn(const std::optional<TxnRecord>& record, const RecordMark& mark,
                             const Transaction& txn, Timestamp now);

struct PushResult {
  bool must_wait = false;  // the pushee is alive and not below the pusher: enqueue (TxnWaitQueue), ask again
  TxnRecord pushee;        // as it is, or will be with `change` and `mark`
  RecordChange change;
  RecordMarkChange mark;
};
// A pusher that met a lock of the pushee asks; see PushType. A query never waits.
PushResult PushTxn(const std::optional<TxnRecord>& record, const RecordMark& mark, const PushTxnRequest& request,
                   Timestamp now);

// After the last intent was resolved: the record goes, its mark stays.
struct EraseResult {
  RecordChange change;
  RecordMarkChange mark;
};
EraseResult EraseRecord(const TxnRecord& record);

}  // namespace orrery::kv
