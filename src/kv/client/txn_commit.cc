// How a TxnCoordinator ends: one phase, two phases, rollback, and finding out what became of a commit.
#include <algorithm>

#include "kv/client/routing.h"
#include "kv/client/txn_coordinator.h"

namespace orrery::kv {
namespace {

constexpr Duration kAmbiguityTimeout = 5s;
constexpr int kCommitAttemptsMax = 16;
constexpr int kRenamesMax = 8;

const EndTxnResponse* EndOf(const BatchResponse& response) {
  return response.responses.empty() ? nullptr : std::get_if<EndTxnResponse>(&response.responses.back());
}

Status RetryError(RetryReason reason, const TxnMeta& txn, Timestamp ts, std::string detail = "") {
  KvError error;
  error.detail = TxnRetryError{reason, txn.id, ts, std::move(detail)};
  return ToStatus(error);
}

// The keys that the batch writes, sorted: all of them, however many (an InsertMany's as its span), so that the range
// can see that the batch is the whole transaction.
std::vector<Span> WrittenKeys(const std::vector<Request>& requests, const BatchHeader& header) {
  std::vector<Span> keys;
  for (const Request& request : requests) {
    const bool reads = std::holds_alternative<GetRequest>(request) || std::holds_alternative<ScanRequest>(request);
    if (reads) continue;
    const KeySpan span = KeySpanOf(request, header);
    keys.push_back({std::string(span.start), std::string(span.end)});
  }
  const auto by_start = [](const Span& a, const Span& b) { return a.start < b.start; };
  if (!std::is_sorted(keys.begin(), keys.end(), by_start)) std::sort(keys.begin(), keys.end(), by_start);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

// After a commit was sent, only these errors prove that it did not happen (T18).
bool ProvesNoCommit(const Status& error) {
  // A commit is never sent again once it may have been executed, so what an answer says is said of this one.
  return GetError<TxnRetryError>(error) || GetError<ConditionFailedError>(error) || GetError<LockConflictError>(error) ||
         GetError<RangeKeyMismatchError>(error) || error.code() == Code::kUnavailable ||
         error.sqlstate() == "53100" ||  // refused before it was proposed (N10)
         error.code() == Code::kInvalidArgument || error.code() == Code::kUnimplemented;
}

}  // namespace

Status TxnCoordinator::CheckDeadline() const {
  if (txn().meta.write_ts < deadline_) return OkStatus();
  return RetryError(RetryReason::kDeadlineExceeded, txn().meta, txn().meta.write_ts);
}

EndTxnRequest TxnCoordinator::EndRequest() {
  return {.outcome = TxnStatus::kCommitted, .lock_spans = locks_.Normalised(), .deadline = deadline_};
}

bool TxnCoordinator::FitsOnePhase(const Batch& batch) {
  if (batch.max_keys != 0 || batch.max_bytes != 0) return false;
  bool writes = false;
  for (const Request& request : batch.requests) {
    if (const auto* get = std::get_if<GetRequest>(&request)) {
      if (get->lock != LockStrength::kNone) return false;
    } else if (const auto* scan = std::get_if<ScanRequest>(&request)) {
      if (scan->lock != LockStrength::kNone) return false;
    } else if (std::holds_alternative<PutRequest>(request) || std::holds_alternative<DeleteRequest>(request) ||
               std::holds_alternative<ConditionalPutRequest>(request) ||
               std::holds_alternative<InsertManyRequest>(request)) {
      writes = true;
    } else {
      return false;
    }
  }
  return writes;
}

Status TxnCoordinator::RunAndCommit(const runtime::Context& context, Batch& batch) {
  RETURN_IF_ERROR(CheckUsable());
  if (locks_.empty() && FitsOnePhase(batch)) return CommitInOnePhase(context, batch);
  RETURN_IF_ERROR(Run(context, batch));
  return Commit(context);
}

// All of it and the commit in one batch, if one range holds it. Nothing was locked before, so an error that
// proves the batch had no effect leaves nothing behind.
Status TxnCoordinator::CommitInOnePhase(const runtime::Context& context, Batch& batch) {
  TrackLocks(batch);
  batch.responses.clear();
  EndTxnRequest end{.outcome = TxnStatus::kCommitted,
                    .lock_spans = WrittenKeys(batch.requests, request_.header),
                    .deadline = deadline_};
  request_.requests.swap(batch.requests);
  request_.requests.emplace_back(std::move(end));
  request_.header.wait = batch.wait;
  request_.header.max_keys = 0;
  request_.header.max_bytes = 0;
  NumberRequests();
  BatchResponse response;
  Status status = SendAndRecover(context, DistSender::Pieces::kOne, response);
  request_.requests.pop_back();
  request_.requests.swap(batch.requests);
  if (status.ok()) {
    status = FinishCommit(context, response);
    if (status.ok()) {
      response.responses.pop_back();
      batch.responses = std::move(response.responses);
    }
    return status;
  }
  if (!ProvesNoCommit(status)) {
    status = ResolveAmbiguity(context, status);
    // Committed, but what it read on the way is lost with the answer.
    if (status.ok()) batch.responses.assign(batch.requests.size(), EmptyResponse{});
    return status;
  }
  ForgetLocks();
  if (GetError<RangeKeyMismatchError>(status)) {  // more than one range's: intents first
    RETURN_IF_ERROR(Run(context, batch));
    return Commit(context);
  }
  return Failed(batch.requests, txn().meta.sequence, status);
}

Status TxnCoordinator::Commit(const runtime::Context& context) {
  RETURN_IF_ERROR(CheckUsable());
  if (buffer_.has_unsent()) return CommitBuffered(context);
  if (has_writes()) return CommitWrites(context);
  // Nothing to make durable: all reads are of one timestamp, and the locks have served.
  commit_ts_ = txn().read_ts;
  Release(context, TxnStatus::kAborted);
  state_ = State::kFinished;
  return OkStatus();
}

// The buffered writes and the commit in one batch, if one range holds them all.
Status TxnCoordinator::CommitBuffered(const runtime::Context& context) {
  if (left_locks_) {  // earlier writes may be anywhere
    RETURN_IF_ERROR(Flush(context));
    return CommitWrites(context);
  }
  request_.requests.clear();
  AppendBuffered(request_.requests);
  request_.requests.emplace_back(EndRequest());
  request_.header.wait = WaitPolicy::kBlock;
  request_.header.max_keys = 0;
  request_.header.max_bytes = 0;
  write_sequences_.push_back(last_sequence_ + 1);
  NumberRequests();
  const uint32_t first_sequence = txn().meta.sequence;
  BatchResponse response;
  Status status = SendAndRecover(context, DistSender::Pieces::kOne, response);
  // A commit that may have arrived is never sent again, so this says that it had no effect.
  for (int attempt = 0; IsRecordGone(status) && attempt < kRenamesMax; ++attempt) {
    Rename();
    status = SendAndRecover(context, DistSender::Pieces::kOne, response);
  }
  if (status.ok()) return FinishCommit(context, response);
  if (!ProvesNoCommit(status)) return ResolveAmbiguity(context, status);
  if (GetError<RangeKeyMismatchError>(status)) {  // more than one range's: intents first
    write_sequences_.pop_back();
    RETURN_IF_ERROR(Flush(context));
    return CommitWrites(context);
  }
  return Failed(request_.requests, first_sequence, LostLock(status));
}

Status TxnCoordinator::CommitWrites(const runtime::Context& context) {
  request_.requests.clear();
  request_.requests.emplace_back(EndRequest());
  request_.header.wait = WaitPolicy::kBlock;
  request_.header.max_keys = 0;
  request_.header.max_bytes = 0;
  request_.header.can_forward_read = 0;
  NumberRequests();
  for (int attempt = 0;; ++attempt) {
    const bool moved = isolation_ == IsolationLevel::kSerializable && txn().meta.write_ts > txn().read_ts;
    if (moved && !Planted(PlantedBug::kCommitsAboveReads)) {
      if (Status s = Refresh(context, txn().meta.write_ts); !s.ok()) {
        const auto* retry = GetError<TxnRetryError>(s);
        if (!retry) state_ = State::kFailed;
        if (retry && retry->aborted()) state_ = State::kAborted;
        return retry && !retry->aborted() ? RetryError(RetryReason::kSerializable, txn().meta, txn().meta.write_ts,
                                                       retry->detail)
                                          : s;
      }
    }
    RETURN_IF_ERROR(CheckDeadline());
    const BatchResponse response = env_.sender.Route(context, request_, DistSender::Pieces::kOne);
    if (!response.error) return FinishCommit(context, response);
    const Status error = ToStatus(*response.error);
    if (!ProvesNoCommit(error)) return ResolveAmbiguity(context, error);
    const auto* retry = GetError<TxnRetryError>(error);
    if (retry && retry->aborted()) state_ = State::kAborted;
    if (!retry) state_ = State::kFailed;
    const bool refreshable = retry && retry->reason == RetryReason::kSerializable && attempt < kCommitAttemptsMax;
    if (!refreshable) return error;
    txn().meta.write_ts.Forward(retry->retry_ts);
  }
}

// T15: the commit is applied. Locks elsewhere are resolved later, whoever meets them finds the record.
Status TxnCoordinator::FinishCommit(const runtime::Context& context, const BatchResponse& response) {
  const EndTxnResponse* end = EndOf(response);
  if (!end) {
    state_ = State::kFailed;
    return AmbiguousError("malformed answer to a commit");
  }
  commit_ts_ = end->commit_ts;
  txn().meta.write_ts = end->commit_ts;
  txn().status = TxnStatus::kCommitted;
  if (end->one_phase || end->all_resolved) locks_.Clear();
  Release(context, TxnStatus::kCommitted);
  state_ = State::kFinished;
  return OkStatus();
}

// T18: a commit was sent and its answer is lost. Ask the record; then make sure by trying to abort, which
// either proves that it never commits or finds that it has. Else: 40003.
Status TxnCoordinator::ResolveAmbiguity(const runtime::Context& context, const Status& error) {
  if (Planted(PlantedBug::kUnknownAsCommitted)) {
    env_.background.Unregister(heartbeat_);
    commit_ts_ = txn().meta.write_ts;
    state_ = State::kFinished;
    return OkStatus();
  }
  const runtime::Context later = context.Detached().WithTimeout(kAmbiguityTimeout);
  BatchRequest query;
  query.requests.emplace_back(PushTxnRequest{.pushee = txn().meta, .type = PushType::kQuery});
  const BatchResponse seen = env_.sender.Route(later, query, DistSender::Pieces::kOne);
  const auto* push = seen.error || seen.responses.empty() ? nullptr : std::get_if<PushTxnResponse>(&seen.responses[0]);
  Timestamp committed_at;
  if (push && push->pushee.status == TxnStatus::kCommitted) {
    committed_at = push->pushee.meta.write_ts;
  } else {
    BatchRequest abort;
    abort.header.txn = txn();
    abort.requests.emplace_back(EndTxnRequest{.outcome = TxnStatus::kAborted, .lock_spans = locks_.Normalised()});
    const BatchResponse ended = env_.sender.Route(later, abort, DistSender::Pieces::kOne);
    const EndTxnResponse* end = ended.error ? nullptr : EndOf(ended);
    if (!end && Planted(PlantedBug::kUnknownAsAborted)) {
      state_ = State::kAborted;
      return RetryError(RetryReason::kAbortedRecordGone, txn().meta, txn().meta.write_ts);
    }
    if (!end) {
      env_.background.Unregister(heartbeat_);
      state_ = State::kFinished;
      return AmbiguousError("the outcome of the commit is not known: " + std::string(error.message()));
    }
    committed_at = end->commit_ts;
  }
  if (committed_at.IsZero()) {
    state_ = State::kAborted;
    return RetryError(RetryReason::kAbortedByPusher, txn().meta, txn().meta.write_ts,
                      "the commit did not arrive and was withdrawn: " + std::string(error.message()));
  }
  commit_ts_ = committed_at;
  txn().meta.write_ts = committed_at;
  Release(context, TxnStatus::kCommitted);
  state_ = State::kFinished;
  return OkStatus();
}

// Hands the locks to the background: the transaction is over.
void TxnCoordinator::Release(const runtime::Context& context, TxnStatus status) {
  env_.background.Unregister(heartbeat_);
  heartbeat_.reset();
  if (!locks_.empty()) env_.background.Enqueue(context, {txn(), status, locks_.Normalised()});
  locks_.Clear();
}

Status TxnCoordinator::Rollback(const runtime::Context& context) {
  if (state_ == State::kFinished) return OkStatus();
  Release(context, TxnStatus::kAborted);
  write_sequences_.clear();
  buffer_.Clear();
  state_ = State::kFinished;
  return OkStatus();
}

}  // namespace orrery::kv
