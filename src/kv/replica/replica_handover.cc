// Handing the lease over with what only memory knows (docs/design/transactions.md, "Locks go with the lease").
//
//   closed: nothing new is admitted ─► no latch is held: locks are exact ─► proposed: the lease is over
//     ─► applied here, kept by every replica ─► leadership is transferred ─► the next lease takes them over
#include "kv/replica/replica.h"
#include "orrery/base/assert.h"

namespace orrery::kv {

using runtime::MutexLock;

namespace {

// What one command carries. More locks than this are a bulk change's.
constexpr size_t kHandOverBytesMax = 1 << 20;

}  // namespace

// B11, R6. Inside a cycle. A lease with nothing to hand over goes at once.
Status Replica::TransferLeadershipTo(NodeId target, LeaseMove move, MonoTime now) {
  if (!raft_ || !current_descriptor_) return FailedPreconditionError("the replica is not initialised");
  const ReplicaDescriptor* to = current_descriptor_->FindNode(target);
  if (!to || to->type != ReplicaType::kVoter) return InvalidArgumentError("the target holds no voter of this range");
  if (to->replica == id_) return OkStatus();
  if (full_peers_.contains(to->replica)) return FailedPreconditionError("the disk of the target is full");
  return BeginHandOver(to->replica, move, now);
}

Status Replica::BeginHandOver(ReplicaId target, LeaseMove move, MonoTime now) {
  if (leaving_) {
    return leaving_->target == target ? OkStatus() : FailedPreconditionError("the lease is moving elsewhere");
  }
  const bool serving = serving_until_ns_.load(std::memory_order_relaxed) != 0;
  {
    MutexLock lock(mutex_);
    lends_.store(false, std::memory_order_relaxed);  // until the lease turns out to stay
    if ((serving && concurrency_.lock_count() > 0) || loans_.lent.over_at() > now) {
      const Duration patience = host_.limits().election_timeout / (move == LeaseMove::kRequired ? 2 : 10);
      leaving_ = Leaving{.target = target, .move = move, .patience = now + patience};
      closed_until_ = now + 2 * host_.limits().election_timeout;
      closed_.store(true, std::memory_order_release);
    }
  }
  return leaving_ ? OkStatus() : TransferNow(target, now);
}

Status Replica::TransferNow(ReplicaId target, MonoTime now) {
  leaving_.reset();
  Timestamp lent_until;
  {
    MutexLock lock(mutex_);
    ORRERY_ASSERT(loans_.lent.over_at() <= now, "I26: a lease leaves when nobody reads on its behalf any more");
    lent_until = loans_.lent.read_max();
  }
  host_.clock().Forward(lent_until);
  const Status status = raft_->TransferLeadership(target, now);
  UpdateServing(now);  // B11: stops before the message leaves
  // R6: all reads under this lease lie at or below our clock (T3), those of earlier ones below its start. So the next
  // lease need not start where the promise ends, ahead of all clocks. After serving has stopped: a reader whose clock
  // reading comes after this one sees that, too, and does not answer (T27).
  const bool knows_all = current_lease_.term == soft_state_.term && current_lease_.holder.replica == id_;
  if (status.ok() && knows_all) raft_->SetReadsEnd(host_.clock().Now());
  return status;
}

// In each cycle while the lease is leaving.
void Replica::ContinueHandOver(MonoTime now) {
  if (!leaving_) return;
  const ReplicaId target = leaving_->target;
  if (leaving_->proposed) {
    if (!inherited_ || inherited_->sequence != ended_lease_) return;  // not applied yet
    lease_proposed_ = false;  // should the transfer fail, a new lease of ours inherits as anybody's would
    (void)TransferNow(target, now).ok();
    return;
  }
  const bool required = leaving_->move == LeaseMove::kRequired;
  LockTable::Exported locks;
  bool idle = false;
  {
    MutexLock lock(mutex_);
    if (loans_.lent.over_at() > now) return;  // soon, and nothing is lent any more
    idle = concurrency_.idle();
    if (idle) locks = ExportLocks("", kHandOverBytesMax);
  }
  if (!idle && now < leaving_->patience) return;
  // Requests that take their time, or more locks than a command carries.
  if (!required && !(idle && locks.complete)) return OpenAdmission();
  if (!idle) return (void)TransferNow(target, now).ok();
  auto proposal = std::make_shared<Proposal>();
  proposal->command.lease_sequence = current_lease_.sequence;
  proposal->command.lock_handover = std::move(locks.locks);
  if (!ProposeOne(*proposal).ok()) {
    if (required) return (void)TransferNow(target, now).ok();
    return OpenAdmission();
  }
  in_flight_.emplace(proposal->entry, std::move(proposal));
  // From here on nothing is served or proposed under this lease, whatever becomes of the proposal.
  leaving_->proposed = true;
  ended_lease_ = current_lease_.sequence;
  UpdateServing(now);
}

LockTable::Exported Replica::ExportLocks(std::string_view start, size_t bytes_max) const {
  LockTable::Exported out = concurrency_.ExportLocks(start, bytes_max);
  for (TxnLocks& of : out.locks.txns) {
    if (of.txn.anchor_key < start || !descriptor_->ContainsKey(of.txn.anchor_key)) continue;
    const RecordMark mark = reads_.GetRecordMark(of.txn.id);
    if (CanCreateRecord(of.txn, mark)) of.record = UnwrittenRecord{mark.low_water, mark.pushed_to};
  }
  return out;
}

// B44: only under the lease that follows the one that was handed over. Any other knows nothing of what happened
// to these locks and records in between.
void Replica::TakeOver(const Lease& lease, Holder holder) {
  const std::optional<Inherited> inherited = std::exchange(inherited_, std::nullopt);
  if (holder == Holder::kAnother) return;
  lease_start_wall_ns_.store(lease.start.wall_ns, std::memory_order_relaxed);
  MutexLock lock(mutex_);
  Woken woken;
  concurrency_.OnLeaseLost(woken);  // what late requests of an earlier lease of ours have left
  const Timestamp reads_low_water = Planted(PlantedBug::kNoLowWater) ? Timestamp() : lease.start;
  reads_.RaiseLowWater({reads_low_water, lease.start});  // T8, B26, B27
  if (inherited && inherited->sequence.Next() == lease.sequence) {
    concurrency_.ImportLocks(inherited->locks);
    for (const TxnLocks& of : inherited->locks.txns) {
      if (of.record) reads_.AllowRecord(of.txn.id, of.txn.min_ts, *of.record);
      host_.counters().locks_inherited.fetch_add(of.locks.size(), std::memory_order_relaxed);
    }
  }
  Wake(woken);
}

void Replica::InheritFromLeftHalf(LockHandover locks) { inherited_ = Inherited{current_lease_.sequence, std::move(locks)}; }

// ---- Admission.

void Replica::OpenAdmission() {
  leaving_.reset();
  MutexLock lock(mutex_);
  closed_.store(false, std::memory_order_release);
  closed_cv_.NotifyAll();
}

// At the end of a cycle: who waits to be admitted hears who the next leaseholder is, as soon as that is known.
void Replica::MaybeOpenAdmission(MonoTime now) {
  if (leaving_ || !closed_.load(std::memory_order_relaxed)) return;
  const bool serves = serving_until_ns_.load(std::memory_order_relaxed) != 0;
  const bool elsewhere = soft_state_.leader && soft_state_.leader != id_;
  bool late = false;
  {
    MutexLock lock(mutex_);
    late = now >= closed_until_;
  }
  if (serves || elsewhere || late) OpenAdmission();
}

// OK when the lease stays or is gone: the caller checks it.
Status Replica::WaitForAdmission(const runtime::Context& context) {
  MutexLock lock(mutex_);
  const runtime::Context limited = context.WithDeadline(closed_until_);
  while (closed_.load(std::memory_order_relaxed)) {
    if (!closed_cv_.Wait(limited, mutex_).ok()) return context.Check();
  }
  return OkStatus();
}

// A request has left its latches: it may have been the last that a hand-over waits for.
void Replica::NudgeHandOver() {
  if (!closed_.load(std::memory_order_acquire)) return;
  host_.driver().Enqueue(shared_from_this());
  host_.driver().Nudge();
}

}  // namespace orrery::kv
