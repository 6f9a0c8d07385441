// Quiescence: a group with nothing to do costs nothing. The leader asks with its heartbeats; a member whose
// log ends where the leader's does stops its timers and says so; when all have, the leader stops too. Nothing of
// Raft is weakened: a quiet replica is one whose clock stands still, a quiet leader one that speaks to nobody, so
// that its lease and its read promise lapse. Whether the leader's node is alive is the driver's to watch.
//
// What may be lost: the asking (it is repeated), the answer (likewise; the leader stays awake meanwhile), the
// leader's last word before a quiet member hears more of it (it hears the next heartbeat).
#include <algorithm>

#include "orrery/base/assert.h"
#include "raft/raft.h"

namespace orrery::raft {

bool Raft::MayQuiesce() const {
  if (!IsLeader() || transfer_target_ || !unstarted_reads_.empty() || !pending_reads_.empty()) return false;
  if (conf_.IsJoint() || !IsVoter(conf_, config_.id) || !HasQuorumContact()) return false;
  if (log_.HasUnstaged() || !persisting_.empty()) return false;
  const RaftIndex last = log_.last_index();
  if (log_.applied() != last || log_.committed() != last || log_.stable() != last) return false;
  return std::all_of(progress_.begin(), progress_.end(), [&](const auto& item) {
    const auto& [id, peer] = item;
    if (id == config_.id || Contains(absent_, id)) return true;
    return peer.state == ProgressState::kReplicate && peer.match == last && peer.sent_commit == last;
  });
}

bool Raft::Quiesce(const std::vector<ReplicaId>& absent, MonoTime now) {
  Observe(now);
  if (rest_ != Rest::kAwake) return false;
  absent_ = absent;
  std::sort(absent_.begin(), absent_.end());
  if (!MayQuiesce()) return false;
  rest_ = Rest::kAsking;
  asked_at_ = now_;
  for (auto& [id, peer] : progress_) peer.quiet = false;
  BroadcastHeartbeat();
  FallQuietIfAllAgree();  // a single voter
  return true;
}

void Raft::FallQuietIfAllAgree() {
  const bool all = std::all_of(progress_.begin(), progress_.end(), [&](const auto& item) {
    return item.first == config_.id || item.second.quiet || Contains(absent_, item.first);
  });
  if (all) FallQuiet();
}

void Raft::FallQuiet() {
  rest_ = Rest::kQuiet;
  log_.ForgetTail();
}

// The follower's log is the leader's: the leader heard so of everything up to `commit`, and there is no more.
bool Raft::AgreesToQuiesce(const Message& m) const {
  const RaftIndex last = log_.last_index();
  return m.quiesce && m.commit == last && log_.committed() == last && log_.stable() == last &&
         log_.applied() == last && !log_.HasPendingSnapshot();
}

void Raft::NoteQuiesceAnswer(Progress& peer, const Message& m) {
  // An answer to what was said before the asking says nothing of it; an ordinary heartbeat may have gone out in the
  // same turn.
  if (rest_ != Rest::kAsking || m.sent_at < asked_at_ || (!m.quiesce && m.sent_at == asked_at_)) return;
  if (!m.quiesce) {
    rest_ = Rest::kAwake;  // the next heartbeat wakes who has agreed
    return;
  }
  peer.quiet = true;
  FallQuietIfAllAgree();
}

// What arrives late of the time before, or repeats the asking, wakes nobody; a member's news that it is awake is
// not the echo of anything.
bool Raft::Rouses(const Message& m) const {
  if (rest_ != Rest::kQuiet) return false;
  if (m.term != term_) return true;
  if (m.type == MessageType::kHeartbeat) return !m.quiesce;
  return m.type != MessageType::kHeartbeatResp || m.sent_at == kNever;
}

void Raft::Rouse() {
  rest_ = Rest::kAwake;
  ResetElectionTimer();
  if (!IsLeader()) return;
  leader_since_ = now_;  // CheckQuorum starts counting anew; leases do not
  BroadcastHeartbeat();
}

void Raft::Wake(MonoTime now) {
  Observe(now);
  if (rest_ == Rest::kAsking) rest_ = Rest::kAwake;
  if (rest_ != Rest::kQuiet) return;
  Rouse();
  if (IsLeader()) return;
  // Not only to the leader: if it is gone, the others must be awake to vote.
  for (const ReplicaId id : AllMembers(conf_)) {
    if (id == config_.id) continue;
    Send({.type = MessageType::kHeartbeatResp, .to = id, .sent_at = kNever, .read_promise = read_promise_});
  }
}

// Work ends the asking. A replica that is quiet has an old clock reading, by which it must not act.
void Raft::NeedsAwake() {
  ORRERY_ASSERT(rest_ != Rest::kQuiet, "raft: a quiet replica is woken before it gets work");
  rest_ = Rest::kAwake;
}

}  // namespace orrery::raft
