#include "orrery/kv/txn/record.h"

#include <algorithm>

namespace orrery::kv {
namespace {

bool IsFinal(TxnStatus status) { return status == TxnStatus::kCommitted || status == TxnStatus::kAborted; }

KvError Retry(RetryReason reason, const TxnMeta& txn, Timestamp retry_ts) {
  std::string detail;
  if (reason == RetryReason::kAbortedByPusher) detail = "Another transaction has ended this one.";
  if (reason == RetryReason::kAbortedRecordGone) detail = "The range of its first lock has changed hands since it began.";
  KvError error;
  error.detail = TxnRetryError{reason, txn.id, retry_ts, std::move(detail)};
  return error;
}

RecordChange Write(TxnRecord record) { return {RecordChange::Kind::kWrite, std::move(record)}; }

RecordMarkChange Finished(TxnStatus outcome, Timestamp commit_ts) {
  return {RecordMarkChange::Kind::kFinished, outcome, commit_ts};
}

// The record that a living transaction without one would have.
TxnRecord Imagined(const TxnMeta& txn, const RecordMark& mark) {
  TxnRecord record{.meta = txn, .status = TxnStatus::kPending};
  record.meta.write_ts.Forward(mark.pushed_to);
  return record;
}

// Why a transaction without a record cannot go on; nothing if it can.
std::optional<KvError> WhyNoRecord(const TxnMeta& txn, const RecordMark& mark) {
  if (mark.outcome == TxnStatus::kAborted) return Retry(RetryReason::kAbortedByPusher, txn, txn.write_ts);
  if (!CanCreateRecord(txn, mark)) return Retry(RetryReason::kAbortedRecordGone, txn, txn.write_ts);
  return std::nullopt;
}

EndTxnResult Failed(KvError error) { return {.error = std::move(error)}; }

EndTxnResult Commit(const std::optional<TxnRecord>& record, const RecordMark& mark, const Transaction& txn,
                    const EndTxnRequest& request, LocksLeft locks_left) {
  Timestamp commit_ts = txn.meta.write_ts;
  commit_ts.Forward(mark.pushed_to);
  if (record) commit_ts.Forward(record->meta.write_ts);
  const bool serializable = txn.meta.isolation == uint8_t(IsolationLevel::kSerializable);
  if (serializable && commit_ts > txn.read_ts) {  // T12: the coordinator refreshes its reads and asks again
    return Failed(Retry(RetryReason::kSerializable, txn.meta, commit_ts));
  }
  if (commit_ts >= request.deadline) return Failed(Retry(RetryReason::kDeadlineExceeded, txn.meta, commit_ts));
  EndTxnResult result{.status = TxnStatus::kCommitted, .commit_ts = commit_ts};
  if (locks_left == LocksLeft::kNone) {
    if (record) result.change.kind = RecordChange::Kind::kErase;
    result.mark = Finished(TxnStatus::kCommitted, commit_ts);
    return result;
  }
  TxnRecord committed{.meta = txn.meta, .status = TxnStatus::kCommitted};
  committed.meta.write_ts = commit_ts;
  if (record) committed.last_heartbeat = record->last_heartbeat;
  committed.lock_spans = request.lock_spans;
  committed.ignored = txn.ignored;
  result.change = Write(std::move(committed));
  return result;
}

EndTxnResult Abort(const std::optional<TxnRecord>& record, const Transaction& txn, const EndTxnRequest& request,
                   LocksLeft locks_left) {
  EndTxnResult result{.status = TxnStatus::kAborted};
  if (!record || locks_left == LocksLeft::kNone) {
    // The mark, or the low-water of a later lease, says "aborted" as well as a record would (T16).
    if (record) result.change.kind = RecordChange::Kind::kErase;
    result.mark = Finished(TxnStatus::kAborted, {});
    return result;
  }
  TxnRecord aborted = *record;
  aborted.status = TxnStatus::kAborted;
  aborted.meta.epoch = std::max(aborted.meta.epoch, txn.meta.epoch);
  aborted.lock_spans = request.lock_spans;
  result.change = Write(std::move(aborted));
  return result;
}

// Moves or ends the pushee: the record if there is one, else the mark that any later record must honour.
void Apply(const std::optional<TxnRecord>& record, PushResult& result) {
  const bool aborted = result.pushee.status == TxnStatus::kAborted;
  if (record) {
    result.change = Write(result.pushee);
  } else if (aborted) {
    result.mark = Finished(TxnStatus::kAborted, {});
  } else {
    result.mark = {RecordMarkChange::Kind::kPushed, TxnStatus::kPending, result.pushee.meta.write_ts};
  }
}

}  // namespace

bool IsAbandoned(const TxnRecord& record, Timestamp now) {
  const Timestamp last = std::max(record.last_heartbeat, record.meta.min_ts);
  return last.wall_ns + kAbandonedAfter.count() < now.wall_ns;
}

bool CanCreateRecord(const TxnMeta& txn, const RecordMark& mark) {
  return mark.outcome == TxnStatus::kPending && txn.min_ts > mark.low_water;
}

EndTxnResult EndTxn(const std::optional<TxnRecord>& record, const RecordMark& mark, const Transaction& txn,
                    const EndTxnRequest& request, LocksLeft locks_left) {
  const bool commit = request.outcome == TxnStatus::kCommitted;
  // T13, T19: what is final stays so; a replay gets the first answer.
  const TxnStatus present = record ? record->status : mark.outcome;
  if (present == TxnStatus::kCommitted) {
    return {.status = TxnStatus::kCommitted, .commit_ts = record ? record->meta.write_ts : mark.commit_ts};
  }
  if (present == TxnStatus::kAborted) {
    if (commit) return Failed(Retry(RetryReason::kAbortedByPusher, txn.meta, txn.meta.write_ts));
    EndTxnResult result{.status = TxnStatus::kAborted};
    if (record && locks_left == LocksLeft::kNone) {
      result.change.kind = RecordChange::Kind::kErase;
      result.mark = Finished(TxnStatus::kAborted, {});
    }
    return result;
  }
  if (record && record->meta.epoch > txn.meta.epoch) {  // a message of an earlier life of the transaction
    return Failed(Retry(RetryReason::kAbortedByPusher, txn.meta, record->meta.write_ts));
  }
  // T16: without a record and with a mark that covers its beginning, nobody here knows how it ended.
  if (!record) {
    if (auto why = WhyNoRecord(txn.meta, mark)) return Failed(std::move(*why));
  }
  return commit ? Commit(record, mark, txn, request, locks_left) : Abort(record, txn, request, locks_left);
}

HeartbeatResult HeartbeatTxn(const std::optional<TxnRecord>& record, const RecordMark& mark,
                             const Transaction& txn, Timestamp now) {
  HeartbeatResult result;
  if (!record && mark.outcome == TxnStatus::kCommitted) {
    result.record = Imagined(txn.meta, mark);
    result.record.status = TxnStatus::kCommitted;
    result.record.meta.write_ts = mark.commit_ts;
    return result;
  }
  if (!record) {
    if (auto why = WhyNoRecord(txn.meta, mark)) {
      result.error = std::move(*why);
      return result;
    }
  } else if (record->status == TxnStatus::kAborted) {
    result.error = Retry(RetryReason::kAbortedByPusher, txn.meta, txn.meta.write_ts);
    return result;
  }
  result.record = record ? *record : Imagined(txn.meta, mark);
  if (IsFinal(result.record.status)) return result;
  result.record.last_heartbeat.Forward(now);
  result.record.meta.epoch = std::max(result.record.meta.epoch, txn.meta.epoch);
  result.change = Write(result.record);
  return result;
}

PushResult PushTxn(const std::optional<TxnRecord>& record, const RecordMark& mark, const PushTxnRequest& request,
                   Timestamp now) {
  PushResult result;
  result.pushee = record ? *record : Imagined(request.pushee, mark);
  if (!record) {
    if (IsFinal(mark.outcome)) {
      result.pushee.status = mark.outcome;
      if (mark.outcome == TxnStatus::kCommitted) result.pushee.meta.write_ts = mark.commit_ts;
      return result;
    }
    // A committed record is erased only once its last lock is gone, and its transaction itself asks by
    // EndTxn: so whoever met a lock and finds neither record nor leave to create one knows it never commits.
    if (!CanCreateRecord(request.pushee, mark)) {
      result.pushee.status = TxnStatus::kAborted;
      return result;
    }
  }
  if (IsFinal(result.pushee.status)) return result;
  if (IsAbandoned(result.pushee, now)) {  // T22
    result.pushee.status = TxnStatus::kAborted;
    Apply(record, result);
    return result;
  }
  if (request.type == PushType::kQuery) return result;
  const int32_t pusher_priority = request.pusher ? request.pusher->priority : 0;
  const bool outranks = pusher_priority > result.pushee.meta.priority;
  if (request.type == PushType::kTimestamp) {
    if (result.pushee.meta.write_ts > request.push_to) return result;  // moved far enough already
    // Below SERIALIZABLE a transaction commits later than it reads without any harm, so it never resists.
    const bool weak = result.pushee.meta.isolation != uint8_t(IsolationLevel::kSerializable);
    if (!weak && !outranks) {
      result.must_wait = true;
      return result;
    }
    result.pushee.meta.write_ts = request.push_to.Next();
    Apply(record, result);
    return result;
  }
  if (!outranks) {
    result.must_wait = true;
    return result;
  }
  result.pushee.status = TxnStatus::kAborted;
  Apply(record, result);
  return result;
}

EraseResult EraseRecord(const TxnRecord& record) {
  EraseResult result;
  result.change.kind = RecordChange::Kind::kErase;
  const bool committed = record.status == TxnStatus::kCommitted;
  result.mark = Finished(record.status, committed ? record.meta.write_ts : Timestamp());
  return result;
}

}  // namespace orrery::kv
