// The leader's side of replication (§5.3, §5.4.2).
#include <algorithm>

#include "raft/raft.h"

namespace orrery::raft {

// ---- proposals ----

Status Raft::CheckProposal() const {
  if (!IsLeader()) return NotLeaderError();
  if (transfer_target_) return UnavailableError("raft: leadership is being transferred");
  return OkStatus();
}

Status Raft::MayPropose(size_t payload_bytes) const {
  RETURN_IF_ERROR(CheckProposal());
  if (uncommitted_bytes_ > 0 && uncommitted_bytes_ + payload_bytes > config_.max_uncommitted_bytes) {
    return ResourceExhaustedError("raft: too many bytes proposed and not committed");
  }
  return OkStatus();
}

StatusOr<EntryId> Raft::Propose(std::string payload, CommitNews news) {
  RETURN_IF_ERROR(MayPropose(payload.size()));
  return AppendAsLeader(EntryKind::kNormal, std::move(payload), news);
}

EntryId Raft::AppendAsLeader(EntryKind kind, std::string payload, CommitNews news) {
  NeedsAwake();
  Entry entry{term_, log_.last_index().Next(), kind, std::move(payload)};
  const EntryId id{entry.term, entry.index};
  const size_t bytes = EntryBytes(entry);
  uncommitted_.push_back({entry.index, bytes, news});
  uncommitted_bytes_ += bytes;
  log_.Append(std::move(entry));
  // The leader's own match moves in OnPersisted only (B4).
  if (const auto self = progress_.find(config_.id); self != progress_.end()) {
    self->second.next = id.index.Next();
  }
  appends_due_ = true;
  return id;
}

// ---- flow to peers ----

void Raft::FlushAppends() {
  appends_due_ = false;
  for (auto& [id, peer] : progress_) {
    if (id == config_.id) continue;
    while (SendAppend(id, peer)) {
    }
  }
  MaybeSendTimeoutNow();
}

bool Raft::MayFill(const Progress& peer) const {
  return peer.next <= log_.last_index() && !peer.inflights.Full(config_);
}

bool Raft::WantsAppend(const Progress& peer) const {
  if (peer.state == ProgressState::kSnapshot) return false;
  if (peer.state == ProgressState::kProbe)
    return !peer.probe_sent && (peer.probe_wanted || MayFill(peer));
  if (peer.probe_wanted || MayFill(peer)) return true;
  // The commit index may be news of its own, but waits for its turn when the window is full.
  return !peer.inflights.Full(config_) && peer.sent_commit < std::min(news_, peer.next.Prev());
}

bool Raft::HasAppendsToSend() const {
  if (!appends_due_) return false;
  if (TimeoutNowDue()) return true;
  return std::any_of(progress_.begin(), progress_.end(), [&](const auto& item) {
    return item.first != config_.id && WantsAppend(item.second);
  });
}

// One kApp if there is something to say and the window allows it. True: there may be more to send.
bool Raft::SendAppend(ReplicaId to, Progress& peer) {
  if (!WantsAppend(peer)) return false;
  const auto previous_term = log_.Term(peer.next.Prev());
  if (!previous_term.ok() || peer.next < log_.FirstIndex()) return SendSnapshot(to, peer);
  Message m = MessageFromLeader(MessageType::kApp, to);
  m.index = peer.next.Prev();
  m.log_term = *previous_term;
  m.commit = log_.committed();
  if (MayFill(peer)) {
    auto entries = log_.Slice(peer.next, log_.last_index().Next(), config_.max_message_bytes);
    if (!entries.ok()) {
      if (entries.status().code() == Code::kOutOfRange) return SendSnapshot(to, peer);
      storage_error_ = entries.status();
      return false;
    }
    m.entries = std::move(*entries);
  }
  const RaftIndex last(m.index.value() + m.entries.size());
  size_t bytes = 0;
  for (const Entry& entry : m.entries) bytes += EntryBytes(entry);
  peer.OnSent(m.entries.size(), last, bytes);
  peer.sent_commit = std::max(peer.sent_commit, std::min(m.commit, last));
  Send(std::move(m));
  return peer.state == ProgressState::kReplicate;
}

bool Raft::SendSnapshot(ReplicaId to, Progress& peer) {
  // A peer that does not answer would only tie up the sender; its first sign of life brings us back
  // here.
  if (now_ - peer.last_heard >= config_.election_timeout &&
      now_ - leader_since_ >= config_.election_timeout) {
    return false;
  }
  auto meta = storage_.Snapshot();
  if (!meta.ok()) return false;
  peer.BecomeSnapshot(meta->index);
  Message m = MessageFromLeader(MessageType::kSnap, to);
  m.snapshot = std::move(*meta);
  Send(std::move(m));
  return false;
}

void Raft::BroadcastHeartbeat() {
  heartbeat_deadline_ = now_ + config_.heartbeat_interval;
  for (auto& [id, peer] : progress_) {
    if (id == config_.id) continue;
    Message m = MessageFromLeader(MessageType::kHeartbeat, id);
    m.commit = std::min(peer.match, log_.committed());  // only what the peer is known to hold
    peer.sent_commit = std::max(peer.sent_commit, m.commit);
    m.read_round = read_round_;
    m.quiesce = rest_ == Rest::kAsking;
    Send(std::move(m));
  }
}

void Raft::ReportUnreachable(ReplicaId peer) {
  const auto it = progress_.find(peer);
  // What was in flight is probably lost: learn where the peer stands before filling the window
  // again.
  if (!IsLeader() || it == progress_.end() || it->second.state != ProgressState::kReplicate) return;
  it->second.BecomeProbe();
  it->second.probe_sent = true;  // until its next answer
}

void Raft::ReportSnapshot(ReplicaId peer, RawNode::SnapshotResult result) {
  const auto it = progress_.find(peer);
  if (!IsLeader() || it == progress_.end() || it->second.state != ProgressState::kSnapshot) return;
  if (result == RawNode::SnapshotResult::kFailed) it->second.pending_snapshot = RaftIndex();
  it->second.BecomeProbe();
  // The acknowledgement, or the next heartbeat's answer, goes on from here.
  it->second.probe_sent = true;
}

// ---- answers ----

void Raft::NoteAnswer(Progress& peer, const Message& m) {
  peer.last_heard = now_;
  // The echo of our own clock; a reading from the future is no echo of ours.
  if (m.sent_at <= now_) peer.acked_sent_at = std::max(peer.acked_sent_at, m.sent_at);
  peer.acked_promise.Forward(m.read_promise);
  promise_floor_.Forward(QuorumPromise());
}

Status Raft::HandleAppResponse(const Message& m) {
  const auto it = progress_.find(m.from);
  if (!IsLeader() || it == progress_.end()) return OkStatus();
  Progress& peer = it->second;
  if (m.index > log_.last_index()) return InvalidArgumentError("raft: acknowledged beyond the log");
  NoteAnswer(peer, m);
  appends_due_ = true;
  if (m.reject) {
    // Skip whole terms that cannot agree, on both sides (§5.3, end; dissertation §3.5).
    const RaftIndex hint = log_.LatestAtOrBelow(m.reject_hint, m.log_term).index;
    if (peer.Backtrack(m.index, hint) && peer.state == ProgressState::kReplicate)
      peer.BecomeProbe();
    return OkStatus();
  }
  const bool advanced = peer.Advance(m.index);
  if (peer.state == ProgressState::kProbe && m.index == peer.match) peer.BecomeReplicate();
  if (peer.state == ProgressState::kSnapshot && peer.match.Next() >= log_.FirstIndex()) {
    peer.BecomeReplicate();  // the snapshot arrived, or is not needed any more
  }
  if (peer.state == ProgressState::kReplicate) peer.inflights.FreeUpTo(m.index);
  if (advanced) AdvanceCommit();
  MaybeLeaveJoint();
  return OkStatus();
}

void Raft::HandleHeartbeatResponse(const Message& m) {
  const auto it = progress_.find(m.from);
  // A voter that was quiet, and may have dropped a request for its vote, is awake now. A leader that lives has been
  // woken, too, and speaks before this time.
  if (role_ == Role::kPreCandidate && m.sent_at == kNever) CampaignBy(now_ + 2 * config_.heartbeat_interval);
  if (!IsLeader() || it == progress_.end()) return;
  Progress& peer = it->second;
  NoteAnswer(peer, m);
  if (m.read_round <= read_round_)
    peer.acked_read_round = std::max(peer.acked_read_round, m.read_round);
  peer.probe_sent = false;
  NoteQuiesceAnswer(peer, m);
  // What is in flight may be lost: an answer to one more message, even an empty one, will tell.
  if (peer.state == ProgressState::kProbe || peer.match < log_.last_index()) {
    peer.probe_wanted = true;
    appends_due_ = true;
  }
  ConfirmReads();
  MaybeLeaveJoint();
}

// ---- commit ----

void Raft::AdvanceCommit() {
  const auto reached = JointValue<RaftIndex>(conf_, [&](ReplicaId id) {
    const auto it = progress_.find(id);
    return it == progress_.end() ? RaftIndex() : it->second.match;
  });
  if (!reached || *reached <= log_.committed()) return;
  // Only entries of this term are committed by counting; older ones follow with them (§5.4.2, B8).
  if (*reached < term_start_) return;
  log_.CommitTo(*reached);
  while (!uncommitted_.empty() && uncommitted_.front().index <= *reached) {
    if (uncommitted_.front().news == CommitNews::kAtOnce) news_ = uncommitted_.front().index;
    uncommitted_bytes_ -= uncommitted_.front().bytes;
    uncommitted_.pop_front();
  }
  appends_due_ = true;
}

bool Raft::HasQuorumContact() const {
  const auto contact = JointValue<MonoTime>(conf_, [&](ReplicaId id) {
    if (id == config_.id) return now_;
    const auto it = progress_.find(id);
    return std::max(leader_since_, it == progress_.end() ? kNever : it->second.last_heard);
  });
  return contact && now_ - *contact < config_.election_timeout;
}

}  // namespace orrery::raft
