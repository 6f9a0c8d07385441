#include "kv/client/txn_coordinator.h"

#include <algorithm>

#include "kv/client/routing.h"
#include "orrery/base/hash.h"

namespace orrery::kv {
namespace {

constexpr int kRenamesMax = 8;
constexpr int kResendsMax = 32;  // of one batch at later timestamps, before the caller decides

Status RetryError(RetryReason reason, const TxnMeta& txn, Timestamp ts) {
  KvError error;
  error.detail = TxnRetryError{reason, txn.id, ts, ""};
  return ToStatus(error);
}

LockStrength LockOf(const Request& request) {
  if (const auto* get = std::get_if<GetRequest>(&request)) return get->lock;
  if (const auto* scan = std::get_if<ScanRequest>(&request)) return scan->lock;
  return LockStrength::kIntent;
}

bool IsReplicatedLock(const Request& request) {
  const auto* get = std::get_if<GetRequest>(&request);
  const auto* scan = std::get_if<ScanRequest>(&request);
  return (get && get->durability == LockDurability::kReplicated) ||
         (scan && scan->durability == LockDurability::kReplicated);
}

bool IsReadOrWrite(const Request& request) {
  return std::holds_alternative<GetRequest>(request) || std::holds_alternative<ScanRequest>(request) ||
         std::holds_alternative<PutRequest>(request) || std::holds_alternative<ConditionalPutRequest>(request) ||
         std::holds_alternative<DeleteRequest>(request) || std::holds_alternative<InsertManyRequest>(request);
}

}  // namespace

bool IsRecordGone(const Status& status) {
  const auto* retry = GetError<TxnRetryError>(status);
  return retry && retry->reason == RetryReason::kAbortedRecordGone;
}

TxnCoordinator::TxnCoordinator(CoordinatorEnv env, const TxnOptions& options)
    : env_(env),
      isolation_(options.isolation),
      priority_(options.priority),
      locks_(env.options.span_bytes_max),
      reads_(env.options.span_bytes_max) {
  Reset();
}

TxnCoordinator::~TxnCoordinator() {
  if (state_ == State::kFinished) return;
  env_.background.Unregister(heartbeat_);
  if (!locks_.empty()) env_.background.Enqueue({txn(), TxnStatus::kAborted, locks_.Normalised()});
}

std::string TxnCoordinator::NewId() const {
  std::string id(storage::kTxnIdBytes, '\0');
  for (size_t i = 0; i < storage::kTxnIdBytes; i += 8) {
    const uint64_t bits = env_.random.Next();
    std::copy_n(reinterpret_cast<const char*>(&bits), 8, id.data() + i);
  }
  return id;
}

// T11: of a reader that begins now.
Timestamp TxnCoordinator::UncertaintyLimit() const {
  if (Planted(PlantedBug::kNoUncertainty)) return txn().read_ts;
  return env_.clock.UncertaintyLimit(txn().read_ts);
}

// A fresh transaction: new id, nothing read, nothing locked.
void TxnCoordinator::Reset() {
  Transaction fresh;
  fresh.meta.id = NewId();
  fresh.read_ts = env_.clock.Now();
  fresh.meta.write_ts = fresh.read_ts;
  fresh.meta.min_ts = fresh.read_ts;
  fresh.meta.priority = priority_;
  fresh.meta.isolation = uint8_t(isolation_);
  fresh.gateway = env_.options.routing.node;
  fresh.started = fresh.read_ts;
  request_.header.txn = std::move(fresh);
  txn().uncertainty_limit = UncertaintyLimit();
  state_ = State::kOpen;
  last_sequence_ = 0;
  write_sequences_.clear();
  buffer_.Clear();
  left_locks_ = false;
  locks_.Clear();
  reads_.Clear();
  refreshed_to_ = txn().read_ts;
  txn_has_read_ = false;
  statement_has_read_ = false;
  deadline_ = Timestamp::Max();
}

std::string TxnCoordinator::id() const { return HexEncode(txn().meta.id); }

Status TxnCoordinator::CheckUsable() {
  if (state_ == State::kOpen && heartbeat_) {
    bool aborted = false;
    {
      runtime::MutexLock lock(heartbeat_->mutex);
      aborted = heartbeat_->aborted;
    }
    if (aborted && left_locks_) state_ = State::kAborted;
    if (aborted && !left_locks_) Rename();
  }
  switch (state_) {
    case State::kOpen: return OkStatus();
    case State::kAborted: return RetryError(RetryReason::kAbortedByPusher, txn().meta, txn().meta.write_ts);
    case State::kFailed: return FailedPreconditionError("the transaction has failed: it can only be rolled back");
    case State::kFinished: break;
  }
  return FailedPreconditionError("the transaction is finished");
}

void TxnCoordinator::TrackLocks(const Batch& batch) {
  TxnMeta& meta = txn().meta;
  bool writes = false;
  for (const Request& request : batch.requests) {
    if (LockOf(request) == LockStrength::kNone) continue;
    writes |= !std::holds_alternative<GetRequest>(request) && !std::holds_alternative<ScanRequest>(request);
    // A one-phase commit has nothing to resolve, so what has to be resolved rules it out.
    left_locks_ = left_locks_ || IsReplicatedLock(request);
    const KeySpan span = KeySpanOf(request, request_.header);
    if (meta.anchor_key.empty()) meta.anchor_key = span.start;
    locks_.Add(span.start, span.end);
  }
  if (writes) {
    write_sequences_.push_back(last_sequence_ + 1);
    left_locks_ = true;
  }
  if (meta.anchor_key.empty() || heartbeat_) return;
  // Nobody can have met this transaction yet: it counts as alive from now on (T22), not from its BEGIN.
  const Timestamp now = env_.clock.Now();
  if (now.wall_ns - meta.min_ts.wall_ns > env_.options.heartbeat_interval.count()) meta.min_ts = now;
  heartbeat_ = env_.background.Register(txn());
}

// T16. A new leaseholder cannot tell what became of transactions that had no record yet, so they are over. As long
// as nothing of this one stands on a disk it goes on under another id: only locks in memory are lost, and what was
// written under them is conditional (B44).
void TxnCoordinator::Rename() {
  SpanSet locks = locks_;
  env_.background.Unregister(heartbeat_);
  env_.background.Enqueue({txn(), TxnStatus::kAborted, locks.Normalised()});
  txn().meta.id = NewId();
  txn().meta.min_ts = env_.clock.Now();
  heartbeat_ = env_.background.Register(txn());
}

// The batch that would have locked them has failed as a whole, and it was the first to lock.
void TxnCoordinator::ForgetLocks() {
  left_locks_ = false;
  env_.background.Unregister(heartbeat_);
  heartbeat_.reset();
  locks_.Clear();
  write_sequences_.clear();
  txn().meta.anchor_key.clear();
}

void TxnCoordinator::NumberRequests() {
  txn().meta.sequence = last_sequence_ + 1;
  last_sequence_ += uint32_t(request_.requests.size());
}

// Whether the read timestamp may move without looking at what was read before.
bool TxnCoordinator::MayMoveReads() const {
  return isolation_ == IsolationLevel::kReadCommitted ? !statement_has_read_ : !txn_has_read_;
}

void TxnCoordinator::MoveTo(Timestamp ts) {
  txn().read_ts.Forward(ts);
  txn().meta.write_ts.Forward(txn().read_ts);
  refreshed_to_ = txn().read_ts;
}

Status TxnCoordinator::Run(const runtime::Context& context, Batch& batch) {
  RETURN_IF_ERROR(CheckUsable());
  batch.responses.clear();
  if (batch.requests.empty()) return OkStatus();
  if (!std::all_of(batch.requests.begin(), batch.requests.end(), IsReadOrWrite)) {
    return InvalidArgumentError("a transaction's batch holds reads and writes only");
  }
  if (!left_locks_ || buffer_.has_unsent()) {
    ASSIGN_OR_RETURN(const Buffered buffered, RunBuffered(context, batch));
    if (buffered == Buffered::kDone) return OkStatus();
  }
  return Send(context, batch);
}

Status TxnCoordinator::Send(const runtime::Context& context, Batch& batch) {
  const bool nothing_left = !left_locks_;
  TrackLocks(batch);
  // The record is written with the first of what it decides about: a change of lease then takes nothing away (T16).
  const bool makes_record = nothing_left && left_locks_;
  request_.requests.swap(batch.requests);
  if (makes_record) request_.requests.emplace_back(HeartbeatTxnRequest{});
  request_.header.wait = batch.wait;
  request_.header.max_keys = batch.max_keys;
  request_.header.max_bytes = batch.max_bytes;
  NumberRequests();
  const uint32_t first_sequence = txn().meta.sequence;
  BatchResponse response;
  Status status = SendAndRecover(context, DistSender::Pieces::kMany, response);
  for (int attempt = 0; nothing_left && IsRecordGone(status) && attempt < kRenamesMax; ++attempt) {
    Rename();
    status = SendAndRecover(context, DistSender::Pieces::kMany, response);
  }
  if (makes_record) {
    request_.requests.pop_back();
    if (status.ok()) response.responses.pop_back();
  }
  request_.requests.swap(batch.requests);
  return FinishSend(context, batch, first_sequence, std::move(status), response);
}

Status TxnCoordinator::FinishSend(const runtime::Context& context, Batch& batch, uint32_t first_sequence, Status status,
                                  BatchResponse& response) {
  if (status.code() == Code::kAmbiguous) status = Withdraw(context, status);
  if (!status.ok()) return Failed(batch.requests, first_sequence, status);
  NoteReads(batch.requests, response.responses);
  batch.responses = std::move(response.responses);
  if (!left_locks_) NoteHeld(batch);
  return OkStatus();
}

// T18: nobody knows what became of a write, but no commit was sent: the transaction certainly does not happen.
Status TxnCoordinator::Withdraw(const runtime::Context& context, const Status& error) const {
  RETURN_IF_ERROR(context.Check());
  KvError withdrawn;
  withdrawn.detail = TxnRetryError{RetryReason::kAbortedRecordGone, txn().meta.id, txn().meta.write_ts,
                                   "The answer to a write was lost: " + std::string(error.message())};
  return ToStatus(withdrawn);
}

// Sends request_ until it is answered, moving the timestamps up where that is sound.
Status TxnCoordinator::SendAndRecover(const runtime::Context& context, DistSender::Pieces pieces,
                                      BatchResponse& response) {
  for (int resends = 0;; ++resends) {
    request_.header.can_forward_read = MayMoveReads();
    response = env_.sender.Route(context, request_, pieces);
    TakeTxn(response);
    if (!response.error) return OkStatus();
    const Status error = ToStatus(*response.error);
    if (resends >= kResendsMax) return error;
    if (Status s = Recover(context, error); !s.ok()) return s;
  }
}

// What the answer says of the transaction.
void TxnCoordinator::TakeTxn(const BatchResponse& response) {
  if (!response.txn || response.txn->meta.id != txn().meta.id) return;
  if (!Planted(PlantedBug::kForgetsForwardedWrite)) txn().meta.write_ts.Forward(response.txn->meta.write_ts);
  AddObserved(txn(), *response.txn);
  if (response.txn->read_ts > txn().read_ts && MayMoveReads()) MoveTo(response.txn->read_ts);
}

// OK: send again. Else what to tell the caller.
Status TxnCoordinator::Recover(const runtime::Context& context, const Status& error) {
  const auto* retry = GetError<TxnRetryError>(error);
  if (!retry || retry->aborted() || retry->reason == RetryReason::kDeadlineExceeded) return error;
  const Timestamp to = std::max({retry->retry_ts, txn().meta.write_ts, txn().read_ts.Next()});
  if (MayMoveReads()) {
    MoveTo(to);
    return OkStatus();
  }
  // READ COMMITTED restarts the statement. REPEATABLE READ keeps its snapshot: a conflict is the user's (40001). A
  // clock's uncertainty is not: a later snapshot in which nothing that was read has changed is the same to him.
  const bool refreshes = isolation_ == IsolationLevel::kSerializable ||
                         (isolation_ == IsolationLevel::kRepeatableRead && retry->reason == RetryReason::kUncertainty);
  if (!refreshes) return error;
  if (Status s = Refresh(context, to); !s.ok()) {
    return GetError<TxnRetryError>(s) && !GetError<TxnRetryError>(s)->aborted() ? error : s;
  }
  return OkStatus();
}

// T12: proves that all reads would give the same at `to`, and moves there.
Status TxnCoordinator::Refresh(const runtime::Context& context, Timestamp to) {
  BatchRequest refresh;
  refresh.header.txn = txn();
  refresh.header.txn->read_ts = to;
  refresh.header.txn->meta.write_ts.Forward(to);
  for (const Span& span : reads_.Normalised()) {
    refresh.requests.emplace_back(RefreshRequest{.span = span, .from = refreshed_to_});
  }
  if (!refresh.requests.empty() && !Planted(PlantedBug::kSkipsRefresh)) {
    const BatchResponse response = env_.sender.Route(context, refresh, DistSender::Pieces::kMany);
    if (response.error) return ToStatus(*response.error);
  }
  MoveTo(to);
  return OkStatus();
}

void TxnCoordinator::NoteReads(const std::vector<Request>& requests, const std::vector<Response>& responses) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto* scan = std::get_if<ScanRequest>(&requests[i]);
    const auto* get = std::get_if<GetRequest>(&requests[i]);
    const auto* cput = std::get_if<ConditionalPutRequest>(&requests[i]);
    const auto* many = std::get_if<InsertManyRequest>(&requests[i]);
    if (!scan && !get && !cput && !many) continue;
    txn_has_read_ = true;
    statement_has_read_ = true;
    if (isolation_ == IsolationLevel::kReadCommitted) continue;
    if (many) {
      reads_.Add(many->span.start, many->span.end);
      continue;
    }
    if (!scan) {
      reads_.Add(get ? get->key : cput->key, "");
      continue;
    }
    // Only as far as it came (B46: what a limit cut off was not read, all before it was, rows or not).
    const auto* answer = i < responses.size() ? std::get_if<ScanResponse>(&responses[i]) : nullptr;
    if (!answer || !answer->resume) {
      reads_.Add(scan->span.start, scan->span.end);
    } else if (scan->direction == Direction::kForward) {
      if (answer->resume->start > scan->span.start) reads_.Add(scan->span.start, answer->resume->start);
    } else if (answer->resume->end < scan->span.end) {
      reads_.Add(answer->resume->end, scan->span.end);
    }
  }
}

// What an error leaves of the transaction.
Status TxnCoordinator::Failed(const std::vector<Request>& requests, uint32_t first_sequence, Status error) {
  const auto* retry = GetError<TxnRetryError>(error);
  if (retry && retry->aborted()) {
    state_ = State::kAborted;
    return error;
  }
  const bool condition = GetError<ConditionFailedError>(error) != nullptr;
  if (!retry && !condition && !GetError<LockConflictError>(error)) {
    state_ = State::kFailed;
    return error;
  }
  if (condition) NoteReads(requests, {});  // the caller has learnt what is there
  // Parts on other ranges may have been written: they do not count (a batch has all of its effect or none).
  const auto written = std::find(write_sequences_.begin(), write_sequences_.end(), first_sequence);
  if (written != write_sequences_.end()) {
    write_sequences_.erase(written);
    txn().ignored.push_back({first_sequence, first_sequence + uint32_t(requests.size()) - 1});
  }
  return error;
}

void TxnCoordinator::BeginStatement() {
  if (isolation_ != IsolationLevel::kReadCommitted || state_ != State::kOpen) return;
  statement_has_read_ = false;
  MoveTo(env_.clock.Now());
  txn().uncertainty_limit = UncertaintyLimit();
  txn().started = txn().read_ts;
  txn().observed.clear();
}

Status TxnCoordinator::RestartStatement(const runtime::Context&, const Status& retry_error) {
  const auto* retry = GetError<TxnRetryError>(retry_error);
  if (!retry) return InternalError("RestartStatement needs a TxnRetryError");
  if (isolation_ != IsolationLevel::kReadCommitted) return retry_error;
  RETURN_IF_ERROR(CheckUsable());
  if (retry->aborted()) return retry_error;
  statement_has_read_ = false;
  MoveTo(std::max(retry->retry_ts, env_.clock.Now()));
  return OkStatus();
}

Status TxnCoordinator::Restart(const runtime::Context& context, const Status& retry_error) {
  const auto* retry = GetError<TxnRetryError>(retry_error);
  if (!retry) return InternalError("Restart needs a TxnRetryError");
  if (state_ == State::kFinished || state_ == State::kFailed) return CheckUsable();
  if (state_ == State::kAborted || retry->aborted()) {
    Release(context, TxnStatus::kAborted);
    const Timestamp not_below = retry->retry_ts;
    Reset();
    MoveTo(not_below);
    return OkStatus();
  }
  // The same transaction in its next epoch: what it wrote is void, its locks still keep others out (T9).
  if (!Planted(PlantedBug::kRestartsInSameEpoch)) txn().meta.epoch += 1;
  txn().ignored.clear();
  write_sequences_.clear();
  buffer_.Clear();
  reads_.Clear();
  txn_has_read_ = false;
  statement_has_read_ = false;
  deadline_ = Timestamp::Max();
  MoveTo(std::max(retry->retry_ts, env_.clock.Now()));
  if (heartbeat_) {
    runtime::MutexLock lock(heartbeat_->mutex);
    heartbeat_->txn.meta.epoch = txn().meta.epoch;
  }
  return OkStatus();
}

Status TxnCoordinator::RollbackTo(const runtime::Context&, uint32_t savepoint) {
  RETURN_IF_ERROR(CheckUsable());
  if (savepoint >= last_sequence_) return OkStatus();
  buffer_.RollbackTo(savepoint);
  auto& ignored = txn().ignored;
  std::erase_if(ignored, [&](const SequenceRange& range) { return range.first > savepoint; });
  if (!Planted(PlantedBug::kRollbackKeepsWrites)) ignored.push_back({savepoint + 1, last_sequence_});
  while (!write_sequences_.empty() && write_sequences_.back() > savepoint) write_sequences_.pop_back();
  return OkStatus();
}

}  // namespace orrery::kv
