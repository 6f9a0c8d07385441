#include <algorithm>

#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {
namespace {

// Locks that the commit resolves itself; more are left to ResolveIntent, and nobody waits for them.
constexpr uint64_t kLocksResolvedMax = 4000;

// R2: the trigger leads from the range's present descriptor to its successor.
Status CheckTriggers(const RangeDescriptor& now, const EndTxnRequest& request) {
  if (request.split) {
    const auto& [left, right] = *request.split;
    const bool fits = left.range == now.range && left.start == now.start && left.end == right.start &&
                      right.end == now.end && left.generation == now.generation.Next() &&
                      left.replicas == now.replicas;
    if (!fits) return FailedPreconditionError("the range has changed since its split was planned");
  }
  if (request.change_replicas) {
    const auto& next = request.change_replicas->descriptor;
    const bool fits = next.range == now.range && next.start == now.start && next.end == now.end &&
                      next.generation == now.generation.Next();
    if (!fits) return FailedPreconditionError("the range has changed since its change of replicas was planned");
  }
  return OkStatus();
}

// Resolves the transaction's locks on this range; whether any may be left anywhere.
StatusOr<LocksLeft> ResolveHere(Evaluation& e, const EndTxnRequest& request, TxnStatus status, Timestamp ts) {
  bool left = false;
  uint64_t budget = kLocksResolvedMax;
  TxnMeta meta = *e.txn;
  meta.write_ts = ts;
  for (const Span& span : request.lock_spans) {
    const auto here = Clip(span, *e.view.range);
    if (!here || !(*here == span)) left = true;
    if (budget == 0) left = true;
    if (!here || budget == 0) continue;
    storage::LockUpdate update{here->start, here->end, meta.id, meta.epoch, status, ts, e.header.txn->ignored};
    ASSIGN_OR_RETURN(const auto result, storage::MvccResolveLocks(e.overlay, update, budget, &e.stats));
    budget -= std::min(budget, result.resolved_count);
    Span done = *here;
    if (result.resume) {
      left = true;
      done.end = result.resume->first;
    }
    e.local.resolved.push_back({meta, status, std::move(done)});
  }
  return left ? LocksLeft::kSome : LocksLeft::kNone;
}

Status RunTriggers(Evaluation& e, const EndTxnRequest& request) {
  if (request.split) {
    const auto& right = request.split->right;
    ASSIGN_OR_RETURN(e.right_stats, storage::MvccComputeStats(e.reader, right.start, right.end));
    e.split = request.split;
  }
  e.change_replicas = request.change_replicas;
  return OkStatus();
}

// What the planted bugs of a commit make it believe.
void PlantIn(const Evaluation& e, std::optional<TxnRecord>& record, RecordMark& mark, Transaction& txn) {
  if (e.view.planted == PlantedBug::kCommitsAboveReads) {
    txn.read_ts = Timestamp::Max();
  } else if (e.view.planted == PlantedBug::kCommitIgnoresPush) {
    mark.pushed_to = {};
    if (record && record->status == TxnStatus::kPending) record->meta.write_ts = txn.meta.write_ts;
  }
}

}  // namespace

StatusOr<Response> Evaluate(Evaluation& e, const EndTxnRequest& request) {
  if (!e.txn) return InvalidArgumentError("the end of a transaction needs a transaction");
  ASSIGN_OR_RETURN(auto record, ReadTxnRecord(e.reader, e.txn->anchor_key, e.txn->id));
  RecordMark mark = e.view.record_mark(e.txn->id);
  Transaction txn = *e.header.txn;
  txn.meta = *e.txn;
  if (e.view.planted != PlantedBug::kNone) PlantIn(e, record, mark, txn);
  EndTxnResult result = EndTxn(record, mark, txn, request, e.one_phase ? LocksLeft::kNone : LocksLeft::kSome);
  if (result.error) return ToStatus(*result.error);
  if (result.status == TxnStatus::kCommitted) RETURN_IF_ERROR(CheckTriggers(*e.view.range, request));
  bool all_resolved = e.one_phase;
  if (!e.one_phase) {
    const Timestamp ts = result.status == TxnStatus::kCommitted ? result.commit_ts : e.txn->write_ts;
    ASSIGN_OR_RETURN(const LocksLeft left, ResolveHere(e, request, result.status, ts));
    all_resolved = left == LocksLeft::kNone;
    if (all_resolved) result = EndTxn(record, mark, txn, request, left);
  } else if (result.status != TxnStatus::kCommitted || result.commit_ts != e.txn->write_ts) {
    // Somebody pushed the record to be: the versions stand at another timestamp by now.
    e.one_phase_failed = true;
    return AbortedError("one-phase commit is not possible");
  }
  StageRecordChange(e.overlay, *e.txn, result.change);
  LeaveMark(e, *e.txn, result.mark);
  if (result.status == TxnStatus::kCommitted) RETURN_IF_ERROR(RunTriggers(e, request));
  txn.read_ts = e.header.txn->read_ts;
  txn.status = result.status;
  if (result.status == TxnStatus::kCommitted) txn.meta.write_ts = result.commit_ts;
  e.local.record = TxnRecord{txn.meta, txn.status, e.view.now, request.lock_spans, txn.ignored};
  e.txn_out = std::move(txn);
  EndTxnResponse response;
  response.commit_ts = result.commit_ts;
  response.one_phase = e.one_phase;
  response.all_resolved = all_resolved;
  return Response(std::move(response));
}

}  // namespace orrery::kv::eval
