// Quiescence: when a range goes quiet, and what wakes it (docs/design/replica.md). The raft group takes care of
// itself; here is what it cannot know: what requests want, and whether the leader's node is alive.
#include <algorithm>

#include "kv/replica/active_request.h"
#include "orrery/base/hash.h"

namespace orrery::kv {

using runtime::MutexLock;

// ---- From outside a cycle.

// Counts the request before it looks whether the range is quiet; the cycle says that the range is quiet before it
// looks for requests. So one of the two sees the other, and no request runs on under a lease that nobody renews.
Replica::ActiveRequest::ActiveRequest(Replica& replica) : replica_(replica) {
  replica_.requests_active_.fetch_add(1);
  if (replica_.quiet_.load()) replica_.WakeForRequest();
}
Replica::ActiveRequest::~ActiveRequest() { replica_.requests_active_.fetch_sub(1); }

void Replica::WakeForRequest() {
  if (!quiet_.exchange(false)) return;  // somebody else does
  if (owns_lease_.load()) renewing_.store(true);
  Post([](Replica& self, CycleOutput& out) {
    if (!self.LivesAreUnchanged() || !self.LeaderLives()) self.CampaignAsFollower(out.now);
  });
  host_.driver().Enqueue(shared_from_this());
  host_.driver().Nudge();
}

// A lease that lapsed because the range was quiet is good again as soon as a quorum answers.
Status Replica::AwaitLease(const runtime::Context& context) {
  const Status status = CheckLease(host_.mono_clock().MonoNow());
  if (status.ok() || !renewing_.load()) return status;
  const runtime::Context limited = context.WithTimeout(host_.limits().election_timeout);
  {
    MutexLock lock(mutex_);
    while (renewing_.load() && !IsLeaseholder() && promise_cv_.Wait(limited, mutex_).ok()) {
    }
  }
  return CheckLease(host_.mono_clock().MonoNow());
}

Status Replica::EnsureLease(const runtime::Context& context) {
  const ActiveRequest active(*this);
  return AwaitLease(context);
}

bool Replica::OwnsLease() const { return IsLeaseholder() || (quiet_.load() && owns_lease_.load()); }

Rest Replica::rest() const {
  MutexLock lock(mutex_);
  Rest rest = rest_;
  rest.quiet = raft_status_.quiet;
  rest.leads = raft_status_.role == raft::Role::kLeader;
  const auto* leader = descriptor_ ? descriptor_->FindReplica(raft_status_.leader) : nullptr;
  if (leader) rest.leader = leader->node;
  rest.since_start = rest.quiet && rest.since_start;
  rest.without_leader = rest.since_start && !rest.leader;
  return rest;
}

bool Replica::MembershipIsInDoubt() const {
  MutexLock lock(mutex_);
  return !raft_status_.quiet || rest_.in_doubt;
}

void Replica::NoteMembershipConfirmed() {
  MutexLock lock(mutex_);
  rest_.in_doubt = false;
}

void Replica::PostWake(WakeReason reason) {
  Post([reason](Replica& self, CycleOutput& out) {
    const bool campaign = reason == WakeReason::kNobodyLeads ||
                          (reason == WakeReason::kLeaderIsGone && self.IsFirstToCampaign());
    if (campaign) self.CampaignAsFollower(out.now);
  });
  host_.driver().Enqueue(shared_from_this());
}

// ---- Inside a cycle. What is posted wakes the raft group before it is looked at (Collect).

// Whether the nodes that the quiet rests on are as they were: the leader's, for a follower (nobody needs another
// leader); for the leader those of all members (nobody needs to be told or brought up to date).
bool Replica::LivesAreUnchanged() const {
  return std::all_of(lives_.begin(), lives_.end(),
                     [&](const auto& known) { return host_.LifeOf(known.first) == known.second; });
}

bool Replica::LeaderLives() const {
  const auto* leader = current_descriptor_ ? current_descriptor_->FindReplica(soft_state_.leader) : nullptr;
  return !leader || host_.LifeOf(leader->node).live;
}

// After a restart a range sleeps on if its group probably does: all have the same leader in mind, or it is this
// replica. A lease's term is that of the leader who holds it. A crash may have taken what was applied last: then the
// leader has to say once more what is committed.
bool Replica::MayStartQuiet() const {
  if (host_.limits().quiesce_after <= Duration(0) || !current_descriptor_) return false;
  if (state_.index != log_.LastIndex()) return false;
  const auto& replicas = current_descriptor_->replicas;
  const bool settled = replicas.size() > 1 && std::all_of(replicas.begin(), replicas.end(), [](const auto& r) {
                         return r.type == ReplicaType::kVoter;
                       });
  return settled && current_descriptor_->FindReplica(id_) && current_lease_.term == log_.hard_state().term &&
         current_descriptor_->FindReplica(current_lease_.holder.replica);
}

// Nobody leads as long as this replica does not: its former leases are over, and the others wait for it or for its
// node's death. For one election timeout after the start its own promises bind it.
void Replica::ResumeLead(MonoTime now) {
  if (!led_before_start_ || raft_->IsQuiet()) return;
  led_before_start_ = false;
  const raft::GroupStatus status = raft_->GetStatus();
  if (!status.leader && status.term == current_lease_.term) CampaignAsFollower(now);
}

void Replica::CampaignAsFollower(MonoTime now) {
  // Bound by a promise that has not run out: as soon as it has.
  if (soft_state_.role == raft::Role::kFollower) (void)raft_->Campaign(now).ok();
}

// Of the followers that can stand in for a lost leader one goes first, so that they do not take each other's
// votes; the others' timers are the reserve. Ranges differ in whom they choose.
bool Replica::IsFirstToCampaign() const {
  if (!current_descriptor_) return false;
  const ReplicaDescriptor* first = nullptr;
  uint64_t lowest = 0;
  for (const auto& r : current_descriptor_->replicas) {
    if (r.replica == soft_state_.leader || r.type != ReplicaType::kVoter || !host_.LifeOf(r.node).live) continue;
    const uint64_t place = Hash64(ToString(r.replica), range_.value());
    if (first && place >= lowest) continue;
    first = &r;
    lowest = place;
  }
  return first && first->replica == id_;
}

// False: the message is not for the raft group. A replica that slept through its group's quiet would unseat a leader
// that is well, as all promises to it have run out: the leader is woken instead, and speaks to everybody.
bool Replica::AdmitWhileQuiet(RaftEnvelope& envelope, CycleOutput& out) {
  raft::Message& message = envelope.message;
  const bool leads = soft_state_.role == raft::Role::kLeader;
  if (message.quiesce && message.type == raft::MessageType::kHeartbeat && !leads) {
    const NodeLife life = host_.LifeOf(envelope.from.node);
    lives_ = {{envelope.from.node, life}};
    if (!life.live || requests_active_.load() > 0) message.quiesce = false;  // answered as any other
  }
  if (message.type != raft::MessageType::kPreVote || !raft_->IsQuiet() || leads) return true;
  if (message.from == soft_state_.leader || !LivesAreUnchanged() || !LeaderLives()) return true;
  raft_->Wake(out.now);
  return false;
}

// At each tick. Nothing to do for a while, and nothing that ticks are needed for.
void Replica::MaybeQuiesce(MonoTime now) {
  const Duration patience = host_.limits().quiesce_after;
  if (patience <= Duration(0) || soft_state_.role != raft::Role::kLeader) return;
  const bool moves = leaving_ || !owns_lease_.load();
  if (moves || requests_active_.load() > 0 || !in_flight_.empty() || !waiting_.empty() || !completed_.empty()) last_work_ = now;
  if (now - last_work_ < patience) return;
  if (host_.disk_space() != storage::SpaceLevel::kEnough || !full_peers_.empty()) return;
  std::vector<ReplicaId> absent;
  std::vector<std::pair<NodeId, NodeLife>> lives;
  for (const auto& r : current_descriptor_->replicas) {
    if (r.type != ReplicaType::kVoter) return;  // a change of replicas is under way
    if (r.replica == id_) continue;
    lives.emplace_back(r.node, host_.LifeOf(r.node));
    if (!lives.back().second.live) absent.push_back(r.replica);
  }
  if (raft_->Quiesce(absent, now)) {
    lives_ = std::move(lives);
    MutexLock lock(mutex_);
    rest_.member_missing = !absent.empty();
  }
  last_work_ = now;  // if nothing comes of it, it is tried again after as long a time
}

// At the end of a cycle. True if the range has to go on at once.
bool Replica::NoteQuiet(CycleOutput& out) {
  if (raft_->IsQuiet()) {
    quiet_.store(true);
    if (!was_quiet_) {
      was_quiet_ = true;
      log_.ForgetCache();
      host_.counters().times_quiet.fetch_add(1, std::memory_order_relaxed);
      host_.OnQuietChanged(*this, ReplicaHost::Quiet::kYes);
    }
    // Known to be quiet from here on: who comes or goes later finds it so.
    if (requests_active_.load() > 0 || !LivesAreUnchanged()) raft_->Wake(out.now);
  }
  if (raft_->IsQuiet() || !was_quiet_) return false;
  was_quiet_ = false;
  last_work_ = out.now;
  if (soft_state_.role == raft::Role::kLeader && owns_lease_.load()) renewing_.store(true);
  quiet_.store(false);
  {
    MutexLock lock(mutex_);
    leader_contact_ = out.now;
    rest_.since_start = rest_.in_doubt = false;
  }
  host_.OnQuietChanged(*this, ReplicaHost::Quiet::kNo);
  return raft_->HasReady();
}

}  // namespace orrery::kv
