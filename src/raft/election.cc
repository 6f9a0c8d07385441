// Elections (§5.2, §5.4.1; dissertation §9.6 for PreVote).
#include "orrery/base/assert.h"
#include "raft/raft.h"

namespace orrery::raft {

bool Raft::IsPromotable() const { return IsVoter(conf_, config_.id) && !log_.HasPendingSnapshot(); }

// The membership is adopted at apply, so a candidate must have applied every change it knows to be
// committed (7b): otherwise it could count a quorum of a membership that two changes have left
// behind.
bool Raft::HasUnappliedConfChange() const {
  const RaftIndex end = log_.committed().Next();
  for (RaftIndex lo = log_.applied().Next(); lo < end;) {
    const auto page = log_.Slice(lo, end, 1 << 20);
    if (!page.ok() || page->empty()) return true;
    for (const Entry& entry : *page) {
      if (entry.kind == EntryKind::kConfChange) return true;
    }
    lo = page->back().index.Next();
  }
  return false;
}

Status Raft::Campaign(MonoTime now) {
  Observe(now);
  if (IsLeader()) return OkStatus();
  if (!IsPromotable()) return FailedPreconditionError("raft: this replica is not a voter");
  if (HasUnappliedConfChange()) {
    return FailedPreconditionError("raft: committed membership changes are not applied yet");
  }
  // Its own vote would break its promise just as a vote for another.
  if (now_ < bound_until_) {
    if (IsQuiet()) Rouse();
    CampaignBy(bound_until_);
    return FailedPreconditionError("raft: bound by a promise to a leader");
  }
  if (IsQuiet()) Rouse();
  StartCampaign(CampaignKind::kPreVote);
  return OkStatus();
}

// Whoever hears of a leader or of a later term before that forgets it: their timers start anew.
void Raft::CampaignBy(MonoTime time) { election_deadline_ = std::min(election_deadline_, time); }

void Raft::StartCampaign(CampaignKind kind, Timestamp reads_end) {
  LeaveRole();
  leader_ = ReplicaId();
  ResetElectionTimer();
  campaign_ = kind;
  if (kind == CampaignKind::kPreVote) {
    role_ = Role::kPreCandidate;
    RequestVotes();
    RecordVote(config_.id, true);  // nothing durable is promised by a pre-vote
    return;
  }
  role_ = Role::kCandidate;
  term_ = term_.Next();
  vote_ = config_.id;
  self_vote_unstaged_ = true;  // counted when it is durable (B2, B4)
  campaign_promise_ = read_promise_;
  campaign_reads_end_ = reads_end;
  RequestVotes();
}

// Of all voters that have not answered yet.
void Raft::RequestVotes() {
  const bool pre = campaign_ == CampaignKind::kPreVote;
  ask_again_at_ = now_ + config_.heartbeat_interval;
  for (const ReplicaId id : AllMembers(conf_)) {
    if (id == config_.id || !IsVoter(conf_, id) || votes_.contains(id)) continue;
    Send({.type = pre ? MessageType::kPreVote : MessageType::kVote,
          .to = id,
          .term = pre ? term_.Next() : term_,
          .log_term = log_.last_term(),
          .index = log_.last_index(),
          .leader_transfer = campaign_ == CampaignKind::kTransfer});
  }
}

void Raft::RecordVote(ReplicaId from, bool granted) {
  votes_.emplace(from, granted);
  switch (JointVote(conf_, votes_)) {
    case VoteResult::kPending:
      return;
    case VoteResult::kLost:
      BecomeFollower(term_, ReplicaId());
      return;
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) StartCampaign(CampaignKind::kElection);
      else BecomeLeader();
      return;
  }
}

void Raft::BecomeLeader() {
  ORRERY_ASSERT(role_ == Role::kCandidate, "raft: only a candidate becomes leader");
  LeaveRole();
  role_ = Role::kLeader;
  leader_ = config_.id;
  leader_since_ = now_;
  heartbeat_deadline_ = now_ + config_.heartbeat_interval;
  for (const ReplicaId id : AllMembers(conf_)) {
    progress_[id] = {.next = log_.last_index().Next()};
  }
  if (const auto self = progress_.find(config_.id); self != progress_.end()) {
    self->second.state = ProgressState::kReplicate;
    self->second.match = log_.stable();
  }
  // What the old leader may have served binds this one, whatever the clocks say (B29, R7). A predecessor that has handed
  // over says how much of what it was promised it has used (R6): it led the term just before this one, so there was
  // nobody else in between.
  prior_read_promise_ = campaign_reads_end_.IsZero() ? campaign_promise_ : campaign_reads_end_;
  read_promise_.Forward(campaign_promise_);
  promise_floor_ = campaign_promise_;
  // Any entry so far may be a membership change: none is proposed before all are applied (R9).
  pending_conf_ = log_.last_index();
  term_start_ = log_.last_index().Next();
  AppendAsLeader(EntryKind::kNormal, "");
}

void Raft::HandleVoteRequest(const Message& m) {
  const bool pre = m.type == MessageType::kPreVote;
  // Any replica with a log answers, learner or not: it may not know yet of its promotion (B10).
  const bool free = vote_ == m.from || (!vote_ && !leader_) || (pre && m.term > term_);
  const bool bound = BoundToLeader() && !m.leader_transfer && vote_ != m.from;
  const bool complete = log_.IsUpToDate({m.log_term, m.index});
  const bool granted = free && !(pre ? BoundToLeader() : bound) && complete;
  Message answer = VoteAnswer(m, !granted);
  if (pre && granted) answer.term = m.term;
  if (granted && !pre) {
    vote_ = m.from;
    ResetElectionTimer();
  }
  // Two that ask at the same moment would both go on and take each other's votes: one gives way.
  if (granted && pre && role_ == Role::kPreCandidate && m.from < config_.id) BecomeFollower(term_, ReplicaId());
  // Nobody leads, as far as both know, and the asker cannot: its log is shorter than this one.
  if (pre && !complete && !BoundToLeader() && role_ == Role::kFollower) CampaignBy(now_);
  Send(std::move(answer));
}

Message Raft::VoteAnswer(const Message& m, bool reject) const {
  const bool pre = m.type == MessageType::kPreVote;
  Message answer{.type = pre ? MessageType::kPreVoteResp : MessageType::kVoteResp, .to = m.from,
                 .term = term_, .reject = reject, .read_promise = read_promise_};
  if (pre && reject && !IsLeader() && now_ < bound_until_) answer.bound_for_ns = (bound_until_ - now_).count();
  if (const auto commit_term = log_.Term(log_.committed()); commit_term.ok()) {
    answer.commit = log_.committed();
    answer.log_term = *commit_term;
  }
  return answer;
}

// A voter's refusal may be the only news of what is committed. Without it a group can be stuck for
// good: demoted voters that have applied the end of a joint configuration, and so may not campaign,
// hold longer logs than voters that still believe in the joint configuration and need their votes.
void Raft::LearnCommit(const Message& m) {
  if (IsLeader() || m.commit <= log_.committed()) return;
  if (!log_.Matches({m.log_term, m.commit})) return;
  log_.CommitTo(m.commit);  // same entry, same log up to it (I2)
  // A candidate that now knows of a membership it has not applied must not count votes by the older
  // one.
  if (role_ != Role::kFollower && HasUnappliedConfChange()) BecomeFollower(term_, ReplicaId());
}

void Raft::HandleVoteResponse(const Message& m) {
  LearnCommit(m);
  const bool pre = m.type == MessageType::kPreVoteResp;
  if (role_ != (pre ? Role::kPreCandidate : Role::kCandidate)) return;
  if (pre && m.term != (m.reject ? term_ : term_.Next())) return;
  if (!IsVoter(conf_, m.from)) return;
  campaign_promise_.Forward(m.read_promise);
  RecordVote(m.from, !m.reject);
}

// Who is refused need not wait for another election timeout. Voters hear of a leader for the last time at different
// moments: one that is bound is asked again when its promise has run out. A vote lost to a rival is tried again after a
// while that is short, as nobody leads, and random, as the rival does the same.
void Raft::AskAgainSoon(const Message& m) {
  if (!m.reject || IsLeader() || leader_) return;
  const Duration timeout = config_.election_timeout;
  const bool asks = role_ == Role::kPreCandidate || (role_ == Role::kFollower && !vote_);
  if (m.type == MessageType::kVoteResp && vote_ == config_.id) {
    CampaignBy(now_ + timeout / 4 + Duration(jitter_.Below(uint64_t(timeout.count() / 2))));
  } else if (m.type == MessageType::kPreVoteResp && asks && m.bound_for_ns > 0) {
    CampaignBy(now_ + std::min(Duration(m.bound_for_ns), timeout));
  }
}

void Raft::HandleTimeoutNow(const Message& m) {
  // A stale one is dropped: other term, other leader, or another log than it was meant for (B11).
  if (role_ != Role::kFollower || leader_ != m.from) return;
  if (m.index != log_.last_index() || m.log_term != log_.last_term()) return;
  if (!IsPromotable()) return;
  // The news of the leader's own removal usually comes just before this: campaign once that is
  // applied (B15).
  if (HasUnappliedConfChange()) deferred_campaign_ = {{m.log_term, m.index}, m.reads_end};
  else StartCampaign(CampaignKind::kTransfer, m.reads_end);
}

void Raft::MaybeCampaignDeferred() {
  if (!deferred_campaign_ || HasUnappliedConfChange()) return;
  const EntryId last{log_.last_term(), log_.last_index()};
  const auto deferred = std::exchange(deferred_campaign_, std::nullopt);
  if (deferred->last == last && IsPromotable()) StartCampaign(CampaignKind::kTransfer, deferred->reads_end);
}

}  // namespace orrery::raft
