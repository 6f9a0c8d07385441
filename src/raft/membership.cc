// Membership changes (§6; dissertation §4) and leadership transfer (dissertation §3.10).
//
// A membership is adopted when its entry is applied. Each one hands on to the next, through the
// overlap of their quorums, what was committed, who may lead, and the read promises given
// (promise_floor_).
#include "orrery/base/wire.h"
#include "raft/conf_changer.h"
#include "raft/raft.h"

namespace orrery::raft {

bool Raft::MayChangeConf() const {
  return CommittedInTerm() && pending_conf_ <= log_.applied() && QuorumPromise() >= promise_floor_;
}

StatusOr<EntryId> Raft::ProposeConfChange(const ConfChange& change) {
  RETURN_IF_ERROR(CheckProposal());
  if (!CommittedInTerm())
    return FailedPreconditionError("raft: nothing of this term is committed yet (B7)");
  if (pending_conf_ > log_.applied()) {
    return FailedPreconditionError("raft: another membership change may be unapplied (R9)");
  }
  if (!MayChangeConf()) {
    return FailedPreconditionError(
        "raft: the read promise is not acknowledged by this membership yet (B29)");
  }
  RETURN_IF_ERROR(ChangeConf(conf_, change).status());
  const EntryId id = AppendAsLeader(EntryKind::kConfChange, wire::Encode(change));
  pending_conf_ = id.index;
  return id;
}

void Raft::MaybeLeaveJoint() {
  if (!conf_.auto_leave || !IsLeader() || transfer_target_ || !MayChangeConf()) return;
  pending_conf_ = AppendAsLeader(EntryKind::kConfChange, wire::Encode(ConfChange())).index;
}

StatusOr<ConfState> Raft::ApplyConfChange(const Entry& entry) {
  ConfChange change;
  RETURN_IF_ERROR(wire::Decode(entry.payload, change));
  auto next = ChangeConf(conf_, change);
  // Every replica refuses the same changes, as all have the same membership at the same index.
  if (next.ok()) AdoptConf(std::move(*next));
  return conf_;
}

void Raft::AdoptConf(ConfState conf) {
  if (IsLeader()) promise_floor_.Forward(QuorumPromise());
  conf_ = std::move(conf);
  if (!IsLeader()) return;
  const std::vector<ReplicaId> members = AllMembers(conf_);
  std::erase_if(progress_, [&](const auto& item) { return !Contains(members, item.first); });
  for (const ReplicaId id : members) {
    // A newcomer starts as recently heard of, so that it does not count against CheckQuorum at
    // once.
    if (!progress_.contains(id))
      progress_[id] = {.next = log_.last_index().Next(), .last_heard = now_};
  }
  if (!IsVoter(conf_, config_.id)) return StepDownRemoved();
  if (transfer_target_ && !Contains(conf_.voters, transfer_target_)) AbandonTransfer();
  if (!IsLeader()) return;
  AdvanceCommit();  // the new quorum may be smaller
  ConfirmReads();
  appends_due_ = true;
}

// A leader that is no voter any more lets the best of the others campaign at once (B15).
void Raft::StepDownRemoved() {
  FlushAppends();  // the last words carry the commit index of its own removal
  ReplicaId successor;
  RaftIndex best;
  for (const auto& [id, peer] : progress_) {
    if (!Contains(conf_.voters, id) || peer.match < best || (successor && peer.match == best))
      continue;
    successor = id;
    best = peer.match;
  }
  const auto best_term = log_.Term(best);
  if (successor && best_term.ok()) {
    Message m = MessageFromLeader(MessageType::kTimeoutNow, successor);
    m.index = best;
    m.log_term = *best_term;
    Send(std::move(m));
  }
  BecomeFollower(term_, ReplicaId());
}

Status Raft::TransferLeadership(ReplicaId to, MonoTime now) {
  Observe(now);
  if (!IsLeader()) return NotLeaderError();
  if (to == config_.id) return InvalidArgumentError("raft: transfer to the leader itself");
  if (!Contains(conf_.voters, to))
    return InvalidArgumentError("raft: transfer to a replica that is no voter");
  if (transfer_target_ == to) return OkStatus();
  if (transfer_target_) return FailedPreconditionError("raft: another transfer is under way");
  Wake(now);
  transfer_target_ = to;  // from here on no lease is held (B11)
  transfer_deadline_ = now_ + config_.election_timeout;
  Progress& peer = progress_[to];
  peer.probe_sent = false;
  appends_due_ = true;
  return OkStatus();
}

void Raft::SetReadsEnd(Timestamp ts) {
  if (IsLeader() && transfer_target_ && reads_end_.IsZero()) reads_end_ = ts;
}

bool Raft::TimeoutNowDue() const {
  if (!IsLeader() || !transfer_target_ || timeout_now_sent_) return false;
  const auto target = progress_.find(transfer_target_);
  return target != progress_.end() && target->second.match == log_.last_index();
}

void Raft::MaybeSendTimeoutNow() {
  if (!TimeoutNowDue()) return;
  Message m = MessageFromLeader(MessageType::kTimeoutNow, transfer_target_);
  m.index = log_.last_index();
  m.log_term = log_.last_term();
  m.reads_end = reads_end_;
  timeout_now_sent_ = true;
  Send(std::move(m));
}

void Raft::AbandonTransfer() {
  transfer_target_ = ReplicaId();
  reads_end_ = {};
  if (!timeout_now_sent_) return;
  // The target may still campaign past leader stickiness. Only a new term makes that harmless
  // (B11): there, a quorum has voted already. Voters let this replica through as its lease of the
  // old term is given up.
  BecomeFollower(term_, ReplicaId());
  if (IsPromotable() && !HasUnappliedConfChange()) StartCampaign(CampaignKind::kTransfer);
}

}  // namespace orrery::raft
