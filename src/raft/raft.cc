#include "raft/raft.h"

#include "orrery/base/assert.h"
#include "raft/conf_changer.h"

namespace orrery::raft {

Raft::Raft(const Config& config, const LogStorage& storage)
    : config_(config), log_(storage, config_), storage_(storage), jitter_(config.seed),
      now_(config.start_time), read_promise_(config.initial_read_promise) {}

Status Raft::Load(const LogStorage& storage) {
  ASSIGN_OR_RETURN(const LogStorage::Initial initial, storage.InitialState());
  RETURN_IF_ERROR(CheckConfState(initial.conf));
  RETURN_IF_ERROR(log_.Load(initial.hard_state.commit, config_.applied));
  if (initial.conf != ConfState() && storage.FirstIndex() <= RaftIndex(1)) {
    return InvalidArgumentError(
        "raft log: a group starts at kBootstrapIndex, so that newcomers need a snapshot");
  }
  term_ = persisted_term_ = initial.hard_state.term;
  vote_ = initial.hard_state.vote;
  staged_hard_state_ = initial.hard_state;
  conf_ = initial.conf;
  staged_soft_state_.term = term_;
  if (log_.last_term() > term_) return DataLossError("raft log: an entry of a term never entered");
  if (config_.start_mode == StartMode::kRestarted) bound_until_ = now_ + config_.election_timeout;
  ResetElectionTimer();
  if (config_.start_quiet) {
    rest_ = Rest::kQuiet;
    if (config_.known_leader != config_.id) leader_ = config_.known_leader;
  }
  return OkStatus();
}

// A leader's successors wait in turn, each long enough for the one before to be elected: nobody has to draw a short
// wait first, and no two ask at the same moment. Who has no leader in mind draws.
void Raft::ResetElectionTimer() {
  const Duration base = config_.election_timeout;
  const Duration slot = base / 4;
  Duration from = base;
  Duration width = base;
  if (const auto rank = RankAsSuccessor()) {
    from += slot * int64_t(std::min<uint64_t>(*rank, 3));
    width = *rank < 3 ? slot / 4 : slot;
  }
  election_deadline_ = now_ + from + Duration(jitter_.Below(uint64_t(width.count())));
}

// In which place this voter would succeed the leader it knows. All voters count alike; the order differs from group to
// group and from term to term, so that a lost node's ranges go to all others, and one dead successor is not the first again.
std::optional<uint64_t> Raft::RankAsSuccessor() const {
  if (!leader_ || leader_ == config_.id) return std::nullopt;
  uint64_t others = 0;
  std::optional<uint64_t> place;
  for (const ReplicaId id : conf_.voters) {
    if (id == leader_) continue;
    if (id == config_.id) place = others;
    ++others;
  }
  if (!place) return std::nullopt;
  return (*place + config_.group + term_.value()) % others;
}

// ---- time ----

void Raft::Tick(MonoTime now) {
  if (IsQuiet()) return;
  Observe(now);
  if (IsLeader()) return TickLeader();
  if (now_ < election_deadline_) {
    // The question or the answer may be lost: between two followers the first message after a long silence often is.
    if (role_ != Role::kFollower && now_ >= ask_again_at_) RequestVotes();
    return;
  }
  ResetElectionTimer();
  // A replica that still keeps a promise (7b), or does not yet know the membership it holds, waits
  // on.
  if (now_ >= bound_until_ && IsPromotable() && !HasUnappliedConfChange()) {
    StartCampaign(CampaignKind::kPreVote);
  }
}

void Raft::TickLeader() {
  if (!HasQuorumContact()) return BecomeFollower(term_, ReplicaId());  // CheckQuorum (B14)
  if (transfer_target_ && now_ >= transfer_deadline_) AbandonTransfer();
  if (rest_ == Rest::kAsking && now_ - asked_at_ >= config_.election_timeout) rest_ = Rest::kAwake;
  if (!IsLeader() || now_ < heartbeat_deadline_) return;
  BroadcastHeartbeat();
  MaybeLeaveJoint();
}

MonoTime Raft::NextDeadline() const {
  if (IsQuiet()) return MonoTime::Infinite();
  if (!IsLeader()) return election_deadline_;
  return transfer_target_ ? std::min(heartbeat_deadline_, transfer_deadline_) : heartbeat_deadline_;
}

// ---- terms and roles ----

void Raft::BecomeFollower(RaftTerm term, ReplicaId leader) {
  ORRERY_ASSERT(term >= term_, "raft: terms only grow");
  if (term > term_) {
    term_ = term;
    vote_ = ReplicaId();  // only on a strictly greater term (B3)
  }
  LeaveRole();
  role_ = Role::kFollower;
  leader_ = leader;
  ResetElectionTimer();
}

void Raft::LeaveRole() {
  rest_ = Rest::kAwake;
  deferred_campaign_.reset();
  votes_.clear();
  self_vote_unstaged_ = false;
  progress_.clear();
  appends_due_ = false;
  uncommitted_.Clear();
  uncommitted_bytes_ = 0;
  news_ = {};
  transfer_target_ = ReplicaId();
  timeout_now_sent_ = false;
  reads_end_ = {};
  unstarted_reads_.clear();
  pending_reads_.Clear();
}

// ---- messages ----

Status Raft::CheckMessage(const Message& m) const {
  if (m.to != config_.id) return InvalidArgumentError("raft message for another replica");
  if (!m.from || m.from == config_.id) return InvalidArgumentError("raft message without a sender");
  // A replica that never heard of any term may refuse a pre-vote.
  if (!m.term && m.type != MessageType::kPreVoteResp)
    return InvalidArgumentError("raft message without a term");
  if (m.type < MessageType::kApp || m.type > MessageType::kTimeoutNow) {
    return InvalidArgumentError("unknown type of raft message");
  }
  RaftTerm previous = m.log_term;
  RaftIndex next = m.index.Next();
  for (const Entry& entry : m.entries) {
    if (entry.index != next || entry.term < previous || entry.term > m.term) {
      return InvalidArgumentError("raft message with entries out of order");
    }
    previous = entry.term;
    next = next.Next();
  }
  if (m.type != MessageType::kSnap) return OkStatus();
  if (!m.snapshot || !m.snapshot->index || m.snapshot->term > m.term ||
      m.snapshot->conf == ConfState()) {
    return InvalidArgumentError("raft message without a snapshot");
  }
  return CheckConfState(m.snapshot->conf);
}

Status Raft::Step(Message m, MonoTime now) {
  Observe(now);
  RETURN_IF_ERROR(CheckMessage(m));
  if (Rouses(m)) Rouse();
  if (SettleTerm(m)) return OkStatus();
  switch (m.type) {
    case MessageType::kVote:
    case MessageType::kPreVote:
      HandleVoteRequest(m);
      return OkStatus();
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      HandleVoteResponse(m);
      AskAgainSoon(m);
      return OkStatus();
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      return StepFromLeader(m);
    case MessageType::kAppResp:
      return HandleAppResponse(m);
    case MessageType::kHeartbeatResp:
      HandleHeartbeatResponse(m);
      return OkStatus();
    case MessageType::kTimeoutNow:
      HandleTimeoutNow(m);
      return OkStatus();
  }
  return OkStatus();
}

bool Raft::BoundToLeader() const {
  // A leader is in contact with a quorum (CheckQuorum), hence bound to itself.
  return IsLeader() || now_ < bound_until_;
}

bool Raft::SettleTerm(const Message& m) {
  if (m.term == term_) return false;
  if (m.term < term_) {
    AnswerOldTerm(m);
    return true;
  }
  switch (m.type) {
    case MessageType::kPreVote:
      return false;  // changes no state
    case MessageType::kPreVoteResp:
      if (!m.reject) return false;  // granted for the term we asked about
      break;
    case MessageType::kVote:
      // Leader stickiness, which is what a lease rests on (B12). A transfer goes past it: that
      // leader has given up its lease for the rest of its term (B11).
      if (BoundToLeader() && !m.leader_transfer) return true;
      break;
    default:
      break;
  }
  const bool from_leader = m.type == MessageType::kApp || m.type == MessageType::kHeartbeat ||
                           m.type == MessageType::kSnap;
  BecomeFollower(m.term, from_leader ? m.from : ReplicaId());
  return false;
}

void Raft::AnswerOldTerm(const Message& m) {
  switch (m.type) {
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      // A deposed leader, or one that a candidate with a greater term has to unseat because the
      // others, being bound to that leader, refuse it (B14). The greater term in the answer is what
      // counts.
      Send({.type = MessageType::kAppResp, .to = m.from, .reject = true});
      return;
    case MessageType::kPreVote:
      Send(VoteAnswer(m, true));
      return;
    case MessageType::kPreVoteResp:
      LearnCommit(m);
      return;
    default:
      return;
  }
}

Status Raft::StepFromLeader(Message& m) {
  if (IsLeader() || (leader_ && leader_ != m.from)) {
    return DataLossError("raft: two leaders in term " + ToString(term_) + " (I1)");
  }
  if (role_ != Role::kFollower) BecomeFollower(term_, m.from);
  leader_ = m.from;
  ResetElectionTimer();
  bound_until_ = std::max(bound_until_, now_ + config_.election_timeout);
  read_promise_.Forward(m.read_promise);
  switch (m.type) {
    case MessageType::kApp: return HandleApp(m);
    case MessageType::kHeartbeat: return HandleHeartbeat(m);
    default: return HandleSnap(m);
  }
}

void Raft::Send(Message m) {
  m.from = config_.id;
  if (!m.term) m.term = term_;
  bool after_persist = false;
  switch (m.type) {
    // A request for votes states a term and a log that must survive a crash: an answer to it may
    // arrive late, and would otherwise count for a shorter log after a restart in the same term.
    case MessageType::kVote:
    case MessageType::kVoteResp:
    case MessageType::kAppResp:
      after_persist = true;
      break;
    case MessageType::kHeartbeatResp:
      after_persist = persisted_term_ != term_;
      break;
    default:
      break;
  }
  (after_persist ? messages_after_persist_ : messages_).push_back(std::move(m));
}

Message Raft::MessageFromLeader(MessageType type, ReplicaId to) const {
  return {.type = type, .to = to, .sent_at = now_, .read_promise = read_promise_};
}

Status Raft::NotLeaderError() const {
  return FailedPreconditionError("not the leader of the raft group")
      .WithPayload(std::make_shared<NotLeader>(leader_, term_));
}

GroupStatus Raft::GetStatus() const {
  GroupStatus s{.id = config_.id,
                .role = role_,
                .leader = leader_,
                .vote = vote_,
                .term = term_,
                .commit = log_.committed(),
                .applied = log_.applied(),
                .last_index = log_.last_index(),
                .durable_index = log_.stable(),
                .transfer_target = transfer_target_,
                .quiet = IsQuiet(),
                .conf = conf_};
  for (const auto& [id, peer] : progress_) {
    const bool active = id == config_.id || now_ - peer.last_heard < config_.election_timeout;
    s.peers.push_back({.id = id, .state = peer.state, .match = peer.match, .next = peer.next,
                       .pending_snapshot = peer.pending_snapshot,
                       .inflight_messages = peer.inflights.count(),
                       .learner = !IsVoter(conf_, id), .recently_active = active});
  }
  return s;
}

}  // namespace orrery::raft
