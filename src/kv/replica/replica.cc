#include "kv/replica/replica.h"

#include <algorithm>

#include "kv/replica/active_request.h"
#include "kv/replica/local_keys.h"
#include "orrery/base/hash.h"
#include "orrery/kv/api/key_span.h"
#include "orrery/storage/load.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::SpaceLevel;

namespace {

// Evaluations of one batch before it is given back: each repeats only after something changed.
constexpr int kAttemptsMax = 1000;
// Requests between two looks that make a range worth moving to them.
constexpr uint64_t kRequestsForMainGateway = 100;
// How long a push waits here before its sender hears how things stand.
constexpr Duration kPushWaitMax = 1s;

// Rows of users. Records of the system are few and small, and without them not even a table could be dropped.
constexpr DescriptorId kFirstUserTable{100};

bool HasWrites(const BatchRequest& batch) {
  return std::any_of(batch.requests.begin(), batch.requests.end(), IsWrite);
}

bool IsDeletion(const Request& request) {
  const auto* cput = std::get_if<ConditionalPutRequest>(&request);
  return std::holds_alternative<DeleteRequest>(request) || (cput && cput->deletes != 0);
}

// The key, or the first of many.
std::optional<std::string_view> WrittenKey(const Request& request) {
  if (const auto* many = std::get_if<InsertManyRequest>(&request)) return many->span.start;
  if (const auto* put = std::get_if<PutRequest>(&request)) return put->key;
  if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) return cput->key;
  if (const auto* del = std::get_if<DeleteRequest>(&request)) return del->key;
  return std::nullopt;
}

// Whether the batch may read at a later timestamp than it says without being sent again: it has read nothing so
// far, all it reads it locks, and its latches keep everybody else out whatever the timestamp. A SERIALIZABLE
// commit proves what was read at the timestamp it says.
bool MayReadLater(const BatchRequest& batch) {
  if (!batch.header.txn || !batch.header.can_forward_read) return false;
  const bool serializable = batch.header.txn->meta.isolation == eval::kSerializableLevel;
  return std::all_of(batch.requests.begin(), batch.requests.end(), [&](const Request& request) {
    if (const auto* get = std::get_if<GetRequest>(&request)) return get->lock != LockStrength::kNone;
    if (const auto* scan = std::get_if<ScanRequest>(&request)) return scan->lock != LockStrength::kNone;
    if (const auto* end = std::get_if<EndTxnRequest>(&request)) return !serializable && !end->split;
    return WrittenKey(request).has_value();
  });
}

// Storage's typed errors become kv's.
Status TranslateError(const Status& status, const BatchRequest& batch) {
  const std::string txn_id = batch.header.txn ? batch.header.txn->meta.id : "";
  auto retry = [&](RetryReason reason, Timestamp ts, std::string detail) {
    return ToStatus(KvError{TxnRetryError{reason, txn_id, ts, std::move(detail)}, std::nullopt});
  };
  if (const auto* e = status.payload<storage::WriteTooOldError>()) {
    return retry(RetryReason::kWriteTooOld, e->actual_ts, "Key " + Printable(e->key) + " has a newer value.");
  }
  if (const auto* e = status.payload<storage::UncertaintyError>()) {
    return retry(RetryReason::kUncertainty, e->value_ts,
                 "Key " + Printable(e->key) + " has a value that may be older than the transaction.");
  }
  return status;
}

}  // namespace

struct Replica::Attempt {
  std::shared_ptr<PendingRequest> request;
  std::shared_ptr<const RangeDescriptor> descriptor;
  Timestamp base_ts;     // chosen for a batch without transaction
  Timestamp read_ts;
  Timestamp write_ts;
  TxnMeta txn;
  RecordMark record_mark;  // of a one-phase commit: its latch on the record keeps it as it is
  LeaseSequence lease_sequence;
  Timestamp gc_threshold;
  bool writes = false;
  bool one_phase = false;
  Timestamp read_floor;   // the transaction's reads were moved here
  EndTxnLatches end_latches = EndTxnLatches::kOwn;
  Timestamp arrived;      // our clock's reading when the batch came (B35)
  Timestamp local_limit;  // what it proves of the uncertainty interval
  std::vector<std::string> seen_pending;  // see PendingRequest; for the next evaluation
  std::optional<storage::LockConflict> ask_about;  // out: whose intent is uncertain until its record is asked
  Timestamp retry_above;  // out: evaluate again at least there
  bool retry_without_one_phase = false;
  bool push_waited = false;       // out: the pushee's record may have changed, look again
  MonoTime push_deadline;         // then the pusher learns how things stand, and asks again
  CommitPart* part = nullptr;     // not to be proposed by itself
  bool must_repeat() const {
    return push_waited || ask_about || retry_without_one_phase || !retry_above.IsZero();
  }
};

Replica::Replica(ReplicaHost& host, RangeId range, ReplicaId id)
    : host_(host),
      range_(range),
      id_(id),
      concurrency_(ConcurrencyOptions{.push_delay = host.limits().push_delay}),
      reads_(Timestamp()),
      log_(host.engine(), range) {}

Replica::~Replica() = default;

std::shared_ptr<const RangeDescriptor> Replica::descriptor() const {
  MutexLock lock(mutex_);
  return descriptor_;
}
Lease Replica::lease() const {
  MutexLock lock(mutex_);
  return lease_;
}
AppliedStateRecord Replica::applied_state() const {
  MutexLock lock(mutex_);
  return applied_;
}
raft::GroupStatus Replica::raft_status() const {
  MutexLock lock(mutex_);
  return raft_status_;
}
uint64_t Replica::raft_log_bytes() const {
  MutexLock lock(mutex_);
  return log_bytes_;
}
MonoTime Replica::last_leader_contact() const {
  MutexLock lock(mutex_);
  return leader_contact_;
}
bool Replica::IsLeaseholder() const {
  return host_.mono_clock().MonoNow().ns < serving_until_ns_.load(std::memory_order_acquire);
}

NodeId Replica::TakeMainGateway() {
  uint32_t counts[kGatewaysMax];
  uint64_t total = 0;
  for (size_t i = 0; i < kGatewaysMax; ++i) total += counts[i] = requests_by_gateway_[i].exchange(0);
  const size_t top = size_t(std::max_element(counts, counts + kGatewaysMax) - counts);
  const auto here = descriptor();
  if (!here || total < kRequestsForMainGateway || counts[top] < total / 4 * 3) return NodeId();
  for (const auto& r : here->replicas) {
    if (r.node.value() % kGatewaysMax == top) return r.node;
  }
  return NodeId();
}

BatchResponse Replica::Send(const runtime::Context& context, const BatchRequest& batch) {
  if (batch.requests.size() == 1 && std::holds_alternative<RecallLoanRequest>(batch.requests[0])) return GiveBackLoan();
  requests_since_tick_.fetch_add(1, std::memory_order_relaxed);
  requests_by_gateway_[batch.header.gateway.value() % kGatewaysMax].fetch_add(1, std::memory_order_relaxed);
  const ActiveRequest active(*this);
  BatchResponse response;
  if (ReadAtOnce(batch, response)) return response;
  const Status status = Execute(context, batch, response);
  if (!status.ok()) response = Fail(status, batch);
  return response;
}

BatchResponse Replica::Fail(const Status& status, const BatchRequest&) const {
  BatchResponse response;
  response.error = FromStatus(status);
  response.now = host_.clock().Peek();
  if (const auto here = descriptor()) {
    if (std::holds_alternative<RangeKeyMismatchError>(response.error->detail)) response.descriptors.push_back(*here);
  }
  return response;
}

Status Replica::NotLeaseholder() const {
  NotLeaseholderError error;
  error.range = range_;
  MutexLock lock(mutex_);
  if (descriptor_ && raft_status_.leader && raft_status_.leader != id_) {
    if (const auto* holder = descriptor_->FindReplica(raft_status_.leader)) error.lease_holder = *holder;
  }
  return ToStatus(KvError{error, std::nullopt});
}

// T27, B12: by the monotonic clock; a leader that lost its quorum's support has no lease soon after.
Status Replica::CheckLease(MonoTime now) const {
  if (HasLeaseAt(now)) return OkStatus();
  return NotLeaseholder();
}

// B29: a quorum has promised that nothing will be written at or below it any more.
bool Replica::IsPromised(int64_t wall_ns) const {
  return promised_wall_ns_.load(std::memory_order_acquire) > wall_ns || Planted(PlantedBug::kServesPastLease);
}

// A read above what a quorum has promised on our behalf must not be answered yet.
Status Replica::WaitForPromise(const runtime::Context& context, Timestamp ts) {
  const int64_t wanted = ts.wall_ns + 1;
  if (IsPromised(ts.wall_ns)) return OkStatus();
  Post([wanted](Replica& self, CycleOutput&) {
    if (!self.raft_) return;
    const int64_t ahead = self.host_.clock().PhysicalNowNs() + self.PromiseAhead().count();
    self.raft_->SetReadPromise({std::max(wanted, ahead), 0});
    (void)self.raft_->ReadIndex(0).ok();  // carries it to the others now, not with the next heartbeat
  });
  host_.driver().Enqueue(shared_from_this());
  host_.driver().Nudge();
  const runtime::Context limited = context.WithTimeout(host_.limits().proposal_timeout);
  MutexLock lock(mutex_);
  while (promised_wall_ns_.load(std::memory_order_acquire) < wanted) {
    if (serving_until_ns_.load(std::memory_order_acquire) == 0) break;
    RETURN_IF_ERROR(promise_cv_.Wait(limited, mutex_));
  }
  return OkStatus();  // the lease is checked by the caller
}

// B43: the conditions under which Execute admits a timestamp, without waiting.
bool Replica::MayServeAt(Timestamp ts) {
  return IsPromised(ts.wall_ns) && host_.clock().Update(ts).ok();
}

Status Replica::Execute(const runtime::Context& context, const BatchRequest& batch, BatchResponse& response) {
  Attempt attempt;
  attempt.writes = HasWrites(batch);
  attempt.one_phase = eval::IsOnePhase(batch);
  if (attempt.one_phase) attempt.end_latches = EndTxnLatches::kAsWritten;
  attempt.arrived = host_.clock().Peek();
  attempt.push_deadline = host_.mono_clock().MonoNow() + kPushWaitMax;
  Timestamp floor;
  for (int i = 0; i < kAttemptsMax; ++i) {
    RETURN_IF_ERROR(context.Check());
    if (IsLeaving()) RETURN_IF_ERROR(WaitForAdmission(context));
    RETURN_IF_ERROR(AwaitLease(context));
    RETURN_IF_ERROR(CheckMayLock(batch));
    // T3: our clock is at or above the request's.
    const auto& header = batch.header;
    RETURN_IF_ERROR(host_.clock().Update(header.now));
    RETURN_IF_ERROR(host_.clock().Update(header.txn ? header.txn->read_ts : header.ts));
    attempt.base_ts = header.ts.IsZero() && !header.txn ? host_.clock().Now() : header.ts;
    attempt.base_ts.Forward(floor);
    RETURN_IF_ERROR(WaitForPromise(context, header.txn ? header.txn->read_ts : attempt.base_ts));
    attempt.retry_above = {};
    attempt.push_waited = false;
    attempt.ask_about.reset();
    const Status status = ExecuteOnce(context, batch, attempt, response);
    if (attempt.push_waited && status.ok()) continue;
    // Turned away, certainly without effect: it learns where to go once that is known.
    if (IsLeaving() && GetError<NotLeaseholderError>(status)) continue;
    if (attempt.ask_about) {
      RETURN_IF_ERROR(AskAboutIntent(context, attempt));
      continue;
    }
    if (!attempt.retry_above.IsZero()) {
      floor = attempt.retry_above;
      continue;
    }
    if (attempt.retry_without_one_phase) {
      attempt.retry_without_one_phase = false;
      attempt.one_phase = false;
      continue;
    }
    return status;
  }
  return UnavailableError("the request was disturbed too often");
}

Status Replica::HoldPart(const runtime::Context& context, CommitPart& part) {
  requests_since_tick_.fetch_add(1, std::memory_order_relaxed);
  requests_by_gateway_[part.batch.header.gateway.value() % kGatewaysMax].fetch_add(1, std::memory_order_relaxed);
  part.active = std::make_shared<ActiveRequest>(*this);
  if (IsLeaving()) return NotTogether();
  RETURN_IF_ERROR(AwaitLease(context));
  RETURN_IF_ERROR(CheckMayLock(part.batch));
  const Timestamp read_ts = part.batch.header.txn->read_ts;
  RETURN_IF_ERROR(host_.clock().Update(part.batch.header.now));  // T3
  RETURN_IF_ERROR(host_.clock().Update(read_ts));
  RETURN_IF_ERROR(WaitForPromise(context, read_ts));
  Attempt attempt;
  attempt.writes = attempt.one_phase = true;
  attempt.end_latches = EndTxnLatches::kAsWritten;
  attempt.arrived = host_.clock().Peek();
  attempt.part = &part;
  const Status status = ExecuteOnce(context, part.batch, attempt, part.response);
  const bool elsewhere = GetError<NotLeaseholderError>(status) || GetError<RangeNotFoundError>(status);
  if (attempt.must_repeat() || elsewhere) return NotTogether();
  if (status.ok() && !part.proposal) return NotTogether();  // it writes nothing here
  return status;
}

// T16. A transaction from before our lease, whose record can no longer be, would take or wait for locks in vain:
// whoever meets them takes them for a dead one's. It goes on under another id, better now than at its commit.
Status Replica::CheckMayLock(const BatchRequest& batch) const {
  if (!batch.header.txn) return OkStatus();
  const TxnMeta& txn = batch.header.txn->meta;
  if (txn.min_ts.wall_ns > lease_start_wall_ns_.load(std::memory_order_relaxed)) return OkStatus();  // nearly always
  const bool locks = std::any_of(batch.requests.begin(), batch.requests.end(), [](const Request& request) {
    const auto* get = std::get_if<GetRequest>(&request);
    const auto* scan = std::get_if<ScanRequest>(&request);
    return (get && get->lock != LockStrength::kNone) || (scan && scan->lock != LockStrength::kNone) || WrittenKey(request);
  });
  if (!locks) return OkStatus();
  {
    MutexLock lock(mutex_);
    if (!descriptor_ || !descriptor_->ContainsKey(txn.anchor_key)) return OkStatus();
    const RecordMark mark = reads_.GetRecordMark(txn.id);
    if (mark.outcome != TxnStatus::kPending || CanCreateRecord(txn, mark)) return OkStatus();
  }
  ASSIGN_OR_RETURN(const auto record, eval::ReadTxnRecord(host_.engine(), txn.anchor_key, txn.id));
  if (record) return OkStatus();
  return ToStatus(KvError{TxnRetryError{RetryReason::kAbortedRecordGone, txn.id, txn.write_ts,
                                        "The range of its first lock has changed hands since it began."},
                          std::nullopt});
}

// T11: an intent in the uncertainty interval is a value only if its transaction has committed. Pending now, it was
// not committed when the reader began.
Status Replica::AskAboutIntent(const runtime::Context& context, Attempt& attempt) {
  const storage::LockConflict& intent = *attempt.ask_about;
  if (Planted(PlantedBug::kTakesIntentsForPending)) {
    attempt.seen_pending.push_back(intent.txn.id);
    return OkStatus();
  }
  BatchRequest batch;
  batch.header.now = host_.clock().Peek();
  batch.header.gateway = host_.node();
  batch.requests.emplace_back(PushTxnRequest{.pushee = intent.txn, .type = PushType::kQuery});
  const BatchResponse response = host_.sender().Send(context, batch);
  if (response.error) return ToStatus(*response.error);
  const auto* answer = response.responses.empty() ? nullptr : std::get_if<PushTxnResponse>(&response.responses[0]);
  if (!answer) return InternalError("a push was answered with something else");
  const TxnRecord& record = answer->pushee;
  if (record.status == TxnStatus::kPending || record.status == TxnStatus::kStaging) {
    attempt.seen_pending.push_back(intent.txn.id);
    return OkStatus();
  }
  ResolveIntentRequest resolve{.span = {intent.key, ""}, .txn = intent.txn, .status = record.status,
                               .ignored = record.ignored};
  resolve.txn.write_ts = record.meta.write_ts;
  resolve.txn.epoch = std::max(resolve.txn.epoch, record.meta.epoch);
  std::vector<ResolveIntentRequest> requests;
  requests.push_back(std::move(resolve));
  return ResolveLocks(context, std::move(requests));
}

Status Replica::CheckRouting(const BatchRequest& batch) const {
  if (retired_ || !descriptor_) return ToStatus(KvError{RangeNotFoundError{range_}, std::nullopt});
  for (const auto& request : batch.requests) {
    if (const auto* gc = std::get_if<GcRequest>(&request); gc && gc->keys.empty()) continue;
    if (!Contains(*descriptor_, KeySpanOf(request, batch.header))) {
      return ToStatus(KvError{RangeKeyMismatchError{{*descriptor_}}, std::nullopt});
    }
  }
  return OkStatus();
}

void Replica::ChooseTimestamps(const BatchRequest& batch, Attempt& attempt) {
  attempt.lease_sequence = lease_.sequence;
  attempt.gc_threshold = applied_.gc_threshold;
  attempt.descriptor = descriptor_;
  const auto& txn = batch.header.txn;
  Timestamp write_ts = attempt.base_ts;
  if (txn) {
    attempt.txn = txn->meta;
    write_ts = txn->meta.write_ts;
    write_ts.Forward(attempt.read_floor);
    // Not for correctness: a snapshot that was taken on a node whose clock is ahead, and has read here, does not see
    // what commits here afterwards. Who commits where he reads (SERIALIZABLE) would have to refresh for it, and intents
    // at several timestamps would be written again by their resolution. For parts, CommitTogether has done it.
    const bool commits_later = IsolationLevel(txn->meta.isolation) != IsolationLevel::kSerializable;
    if (attempt.one_phase && commits_later && !attempt.part) write_ts.Forward(host_.clock().Now());
  }
  if (attempt.writes && !Planted(PlantedBug::kWritesUnderReads)) {  // T7
    for (const auto& request : batch.requests) {
      if (const auto* many = std::get_if<InsertManyRequest>(&request)) {
        const ReadMark read = reads_.GetMax(SpanRef(many->span));
        const bool own = !read.txn_id.empty() && read.txn_id == attempt.txn.id;
        if (read.ts >= write_ts) write_ts.Forward(own ? read.ts : read.ts.Next());
      } else if (const auto key = WrittenKey(request)) {
        write_ts = reads_.WritableAt(*key, write_ts, attempt.txn.id);
      }
    }
  }
  if (txn) {
    if (attempt.one_phase) {
      attempt.record_mark = reads_.GetRecordMark(txn->meta.id);
      write_ts.Forward(attempt.record_mark.pushed_to);
    }
    attempt.txn.write_ts = write_ts;
    attempt.read_ts = std::max(txn->read_ts, attempt.read_floor);
    // B35: an earlier leaseholder's clock may have been ahead of ours until our lease began.
    attempt.local_limit = ObservedAt(*txn, host_.node()).value_or(attempt.arrived);
    if (!Planted(PlantedBug::kObservesAcrossLeases)) attempt.local_limit.Forward(lease_.start);
  } else {
    attempt.read_ts = attempt.local_limit = write_ts;
  }
  attempt.write_ts = write_ts;
}

// tidy: long function: the order of its steps (latch, route, choose timestamps, evaluate, finish) is the protocol.
Status Replica::ExecuteOnce(const runtime::Context& context, const BatchRequest& batch, Attempt& attempt,
                            BatchResponse& response) {
  const auto before = descriptor();
  if (!before) return ToStatus(KvError{RangeNotFoundError{range_}, std::nullopt});
  attempt.request = NewPendingRequest(batch, attempt.base_ts, *before, attempt.end_latches);
  attempt.request->seen_pending = attempt.seen_pending;
  attempt.request->waits_for_latches_only = attempt.part != nullptr;
  Status status = Admit(context, *attempt.request, nullptr);
  while (status.ok()) {
    bool lent = false;
    {
      MutexLock lock(mutex_);
      status = CheckRouting(batch);  // R1: under latches
      lent = status.ok() && attempt.writes && MustRecall(host_.mono_clock().MonoNow());
      if (status.ok() && !lent) ChooseTimestamps(batch, attempt);
    }
    if (lent) status = RecallLoans(context);
    if (!status.ok()) break;
    if (lent) continue;
    if (attempt.read_ts <= attempt.gc_threshold) {
      status = Status(Code::kOutOfRange, "72000", "snapshot too old: its versions were collected");
      break;
    }
    eval::RangeView view;
    view.range = attempt.descriptor;
    view.now = host_.clock().Peek();
    view.gc_threshold = attempt.gc_threshold;
    view.scan_bytes_max = host_.limits().scan_bytes_max;
    view.planted = host_.limits().planted;
    view.record_mark = [this, &attempt](std::string_view id) {
      if (attempt.one_phase && id == attempt.txn.id) return attempt.record_mark;
      MutexLock lock(mutex_);
      return reads_.GetRecordMark(id);
    };
    PendingRequest* request = attempt.request.get();
    view.is_locked = [this, request](std::string_view key, LockStrength strength) {
      MutexLock lock(mutex_);
      return concurrency_.IsLocked(*request, key, strength);
    };
    const auto sorted = eval::ReaderInKeyOrder(host_.engine(), batch);
    storage::OverlayBatch overlay(sorted ? static_cast<const storage::Reader&>(*sorted) : host_.engine());
    const storage::Reader& reader =
        attempt.writes ? static_cast<const storage::Reader&>(overlay) : host_.engine();
    eval::Evaluation e{view, batch.header, overlay, reader, attempt.read_ts};
    if (batch.header.txn) e.txn = &attempt.txn;
    e.write_ts = attempt.write_ts;
    e.one_phase = attempt.one_phase;
    e.seen_pending = &request->seen_pending;
    e.local_limit = attempt.local_limit;
    // T11: where the timestamp was chosen here, what is committed above it here is not uncertain, except for intents
    // of before that other clocks have moved up.
    if (!batch.header.txn && batch.header.ts.IsZero()) {
      e.uncertainty_limit = host_.clock().UncertaintyLimit(attempt.read_ts);
    }
    size_t failed = 0;
    if (attempt.part || !(attempt.one_phase && eval::AnswerReplay(e, batch))) status = eval::EvaluateBatch(e, batch, failed);
    if (status.ok()) {
      if (e.push_must_wait && host_.mono_clock().MonoNow() < attempt.push_deadline) {
        attempt.push_waited = true;
        return WaitForPushee(context, std::get<PushTxnRequest>(batch.requests.back()), *attempt.request,
                             attempt.push_deadline);
      }
      return attempt.writes ? FinishWrite(context, batch, attempt, e, response)
                            : FinishRead(batch, attempt, e, response);
    }
    if (const auto* conflict = status.payload<storage::LockConflictError>()) {
      status = Admit(context, *attempt.request, &conflict->locks);
      // A commit that was waited for may lie above the timestamp chosen here: choose anew, or an acknowledged
      // write would be missed (there is no uncertainty interval for such a batch).
      if (status.ok() && !batch.header.txn && batch.header.ts.IsZero() &&
          request->committed_in_the_way > attempt.read_ts) {
        attempt.retry_above = request->committed_in_the_way;
        break;
      }
      continue;
    }
    if (e.one_phase_failed) {
      attempt.retry_without_one_phase = true;
      break;
    }
    if (const auto* old = status.payload<storage::WriteTooOldError>()) {
      if (!batch.header.txn) {
        attempt.retry_above = old->actual_ts;
        break;
      }
      // Whoever waited for a lock meets its holder's commit: it reads that now, in its place in the queue.
      if (MayReadLater(batch) && MayServeAt(old->actual_ts)) {
        attempt.read_floor.Forward(old->actual_ts);
        status = OkStatus();
        continue;
      }
    }
    if (const auto* uncertain = status.payload<storage::UncertaintyError>()) {
      if (uncertain->intent) {
        attempt.ask_about = uncertain->intent;
        attempt.seen_pending = request->seen_pending;
        break;
      }
      if (!batch.header.txn) {
        attempt.retry_above = uncertain->value_ts;
        break;
      }
    }
    if (GetError<ConditionFailedError>(status)) {  // it tells what was read (B46)
      KvError error = FromStatus(status);
      error.request_index = uint32_t(failed);
      status = ToStatus(error);
      MutexLock lock(mutex_);
      RememberReads(batch, attempt, {});
    }
    status = TranslateError(status, batch);
    break;
  }
  Abandon(*attempt.request);
  return status;
}

// T6: what was read, at which timestamp, before the latches go. A scan that hit a limit read only so far.
void Replica::RememberReads(const BatchRequest& batch, const Attempt& attempt,
                            const std::vector<Response>& responses) {
  // It promises nothing about what is locked.
  if (batch.header.wait == WaitPolicy::kReadCommitted && !batch.header.txn) return;
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    const Request& request = batch.requests[i];
    if (const auto* get = std::get_if<GetRequest>(&request)) {
      reads_.AddRead(SpanRef(get->key), attempt.read_ts, attempt.txn.id);
    } else if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) {
      // One that is committed left its own version where it read: no other write gets below that. (An intent may
      // yet be rolled back to a savepoint, and what was read is known all the same.)
      if (attempt.one_phase && !responses.empty()) continue;
      reads_.AddRead(SpanRef(cput->key), attempt.read_ts, attempt.txn.id);
    } else if (const auto* many = std::get_if<InsertManyRequest>(&request)) {
      if (attempt.one_phase && !responses.empty()) continue;
      reads_.AddRead(SpanRef(many->span), attempt.read_ts, attempt.txn.id);
    } else if (const auto* refresh = std::get_if<RefreshRequest>(&request)) {
      reads_.AddRead(SpanRef(refresh->span), attempt.read_ts, attempt.txn.id);
    } else if (const auto* scan = std::get_if<ScanRequest>(&request)) {
      Span span = scan->span;
      const auto* answer = i < responses.size() ? std::get_if<ScanResponse>(&responses[i]) : nullptr;
      if (answer && answer->resume) {
        if (*answer->resume == span) continue;
        (scan->direction == Direction::kForward ? span.end : span.start) =
            scan->direction == Direction::kForward ? answer->resume->start : answer->resume->end;
      }
      reads_.AddRead(SpanRef(span), attempt.read_ts, attempt.txn.id);
    }
  }
}

void Replica::FillResponse(const BatchRequest& batch, const Attempt& attempt, eval::Evaluation& e,
                           BatchResponse& response) {
  response.responses = std::move(e.responses);
  if (batch.header.txn) {
    if (e.txn_out) {
      response.txn = std::move(*e.txn_out);
    } else {
      response.txn = *batch.header.txn;
    }
    response.txn->read_ts.Forward(attempt.read_ts);
    response.txn->meta.write_ts.Forward(attempt.txn.write_ts);
    response.txn->meta.sequence = batch.header.txn->meta.sequence;
    if (!ObservedAt(*response.txn, host_.node())) response.txn->observed.push_back({host_.node(), attempt.arrived});
  } else {
    response.ts = attempt.writes ? e.write_ts : attempt.read_ts;
  }
  response.now = host_.clock().Peek();
  if (batch.header.generation < attempt.descriptor->generation) response.descriptors.push_back(*attempt.descriptor);
}

namespace {

std::shared_ptr<Proposal> NewProposal(eval::Evaluation& e) {
  auto proposal = std::make_shared<Proposal>();
  proposal->local = std::move(e.local);
  if (e.txn) proposal->txn = *e.txn;
  return proposal;
}

// The proposer's task brings a load's rows to disk, so that the cycle which applies them need not. The rows come first among the
// effects, so that taking them out again leaves them where they are.
Status PrepareLoad(ReplicaHost& host, storage::WriteBatch& effects, size_t new_rows, Proposal& proposal) {
  if (new_rows == 0 || !host.limits().IsLargeLoad(effects.bytes().size())) return OkStatus();
  auto load = storage::TakeLoad(effects);
  if (!load) return OkStatus();
  Status status;
  if (load->row_count == new_rows) {
    proposal.command.new_rows = 1;
    auto prepared = host.engine().PrepareLoad(load->rows);
    status = prepared.status();
    if (prepared.ok()) proposal.load = std::move(*prepared);
  }
  load->rows.Append(effects);
  effects = std::move(load->rows);
  return status;
}

}  // namespace

void Replica::ApplyLocalEffects(Proposal& proposal, ToWake& to_wake) {
  ApplyLocalEffects(proposal.local, proposal.txn, proposal.request.get(), to_wake);
}

// Locks and marks become known to later requests while the latches are still held.
void Replica::ApplyLocalEffects(const eval::LocalEffects& effects, const TxnMeta& txn, PendingRequest* request,
                                ToWake& to_wake) {
  Woken woken;
  for (const auto& lock : effects.acquired) {
    concurrency_.OnLockAcquired(txn, lock.key, lock.strength, lock.durability);
  }
  for (const auto& mark : effects.marks) {
    if (mark.change.kind == RecordMarkChange::Kind::kFinished) {
      reads_.MarkFinished(mark.txn_id, mark.change.outcome, mark.change.ts, mark.min_ts);
    } else {
      reads_.MarkPushed(mark.txn_id, mark.change.ts, mark.min_ts);
    }
  }
  for (const auto& resolved : effects.resolved) {
    concurrency_.OnLockUpdated(resolved.txn, resolved.status, SpanRef(resolved.span), woken);
  }
  if (effects.record) {
    concurrency_.OnTxnRecord(*effects.record, woken);
    WakePushers(pushes_.OnRecord(*effects.record));
  }
  if (request) concurrency_.Finish(*request, woken);
  to_wake.Add(woken);
}

Status Replica::FinishRead(const BatchRequest& batch, Attempt& attempt, eval::Evaluation& e,
                           BatchResponse& response) {
  const auto* push = batch.requests.empty() ? nullptr : std::get_if<PushTxnRequest>(&batch.requests.back());
  {
    ToWake to_wake;
    MutexLock lock(mutex_);
    RememberReads(batch, attempt, e.responses);
    if (push) {
      std::get<PushTxnResponse>(e.responses.back()).waiters = pushes_.Edges(push->pushee.id);
    }
    ApplyLocalEffects(e.local, attempt.txn, attempt.request.get(), to_wake);
  }
  NudgeHandOver();
  // T27, B52: only an answer that leaves within the lease is one.
  RETURN_IF_ERROR(CheckLease(host_.mono_clock().MonoNow()));
  FillResponse(batch, attempt, e, response);
  return OkStatus();
}

Status Replica::FinishWrite(const runtime::Context& context, const BatchRequest& batch, Attempt& attempt,
                            eval::Evaluation& e, BatchResponse& response) {
  const bool effective = !e.overlay.batch().empty() || e.split || e.change_replicas || !e.gc_threshold.IsZero();
  if (!effective) return FinishRead(batch, attempt, e, response);
  auto proposal = NewProposal(e);
  proposal->request = attempt.request;
  Command& command = proposal->command;
  command.lease_sequence = attempt.lease_sequence;
  storage::WriteBatch effects = e.overlay.TakeBatch();
  command.stats_delta = e.stats;
  command.write_ts = e.txn ? e.txn->write_ts : e.write_ts;
  command.gc_threshold = e.gc_threshold;
  command.split = std::move(e.split);
  command.right_stats = e.right_stats;
  command.change_replicas = std::move(e.change_replicas);
  // The split holds a latch that no read passes, so what was read lies at or below our clock (T3).
  if (command.split) command.right_read_bound = host_.clock().Now();
  if (attempt.part && attempt.part->record == CommitPart::Record::kElsewhere) {
    // Here, too, its locks in memory go with the commit.
    proposal->local.record = TxnRecord{*e.txn, TxnStatus::kCommitted, e.view.now, attempt.part->lock_spans,
                                 batch.header.txn->ignored};
  }
  Status possible = effects.bytes().size() > host_.limits().command_bytes_max
                        ? ResourceExhaustedError("the batch is larger than one command may be")
                        : CheckSpaceFor(batch);
  if (possible.ok()) possible = PrepareLoad(host_, effects, e.new_rows, *proposal);
  if (!possible.ok()) {
    Abandon(*attempt.request);
    return possible;
  }
  command.effects = std::move(effects).TakeBytes();
  {
    MutexLock lock(mutex_);
    RememberReads(batch, attempt, e.responses);
  }
  // Causality: what we acknowledge lies below everything our clock says from now on.
  host_.clock().Forward(command.write_ts);
  if (attempt.part) {
    attempt.part->proposal = std::move(proposal);
    attempt.part->write_ts = e.txn->write_ts;
  } else {
    RETURN_IF_ERROR(ProposeAndWait(context, proposal));
  }
  FillResponse(batch, attempt, e, response);
  return OkStatus();
}

// 53100: certainly not executed (N10). Deletions make room in the end, so they go on while a little is left.
Status Replica::CheckSpaceFor(const BatchRequest& batch) const {
  const ProposalSpace space = space_.load(std::memory_order_relaxed);
  if (space.level == SpaceLevel::kEnough) return OkStatus();
  const bool exhausted = space.level == SpaceLevel::kExhausted;
  const std::string user_data = TablePrefix(kFirstUserTable);
  const bool is_refused = std::any_of(batch.requests.begin(), batch.requests.end(), [&](const Request& request) {
    const auto key = WrittenKey(request);
    return key && *key >= user_data && (exhausted || !IsDeletion(request));
  });
  if (!is_refused) return OkStatus();
  RETURN_IF_ERROR(CheckLease(host_.mono_clock().MonoNow()));  // handed over to a node with room: asked there
  const std::string what = "could not write to range " + ToString(range_) + ": No space left on ";
  const std::string where =
      space.own_disk ? "the disk of node " + ToString(host_.node()) : "the disks of a majority of its replicas";
  return Status(Code::kResourceExhausted, "53100", what + where + (exhausted ? ", not even for deletions" : ""));
}

Status Replica::EraseTxnRecord(const runtime::Context& context, const TxnRecord& record) {
  const ActiveRequest active(*this);
  RETURN_IF_ERROR(AwaitLease(context));
  PushTxnRequest query;  // takes the latch on the record
  query.pushee = record.meta;
  BatchRequest batch;
  batch.requests.push_back(std::move(query));
  const auto before = descriptor();
  auto request = NewPendingRequest(batch, host_.clock().Now(), *before);
  Status status = Admit(context, *request, nullptr);
  auto proposal = std::make_shared<Proposal>();
  if (status.ok()) {
    MutexLock lock(mutex_);
    status = CheckRouting(batch);
    proposal->command.lease_sequence = lease_.sequence;
  }
  if (status.ok()) status = RecallLoans(context);
  storage::OverlayBatch overlay(host_.engine());
  if (status.ok()) {
    auto now = eval::ReadTxnRecord(overlay, record.meta.anchor_key, record.meta.id);
    if (!now.ok()) {
      status = now.status();
    } else if (*now && (*now)->status == record.status) {
      const EraseResult erased = EraseRecord(**now);
      eval::StageRecordChange(overlay, record.meta, erased.change);
      if (erased.mark.kind != RecordMarkChange::Kind::kNone) {
        proposal->local.marks.push_back({record.meta.id, record.meta.min_ts, erased.mark});
      }
    }
  }
  if (!status.ok() || overlay.batch().empty()) {
    Abandon(*request);
    return status;
  }
  proposal->request = std::move(request);
  proposal->command.effects = std::move(overlay.TakeBatch()).TakeBytes();
  return ProposeAndWait(context, proposal);
}

}  // namespace orrery::kv
