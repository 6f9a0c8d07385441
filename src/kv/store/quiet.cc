// Quiet ranges: who they are, and what wakes them from outside (docs/design/replica.md). One look at each node per
// tick stands for the timers of all ranges that rest on it.
#include <algorithm>

#include "kv/store/store_impl.h"

namespace orrery::kv {

using runtime::MutexLock;

namespace {

// Quiet ranges looked after in one round of the queues, and while the cluster is changing or leases are evened out.
constexpr size_t kQuietLooks = 100;
constexpr size_t kHurriedLooks = 1000;
// However many ranges a lost node led, all have woken after this many ticks.
constexpr size_t kTicksToWakeAll = 12;
constexpr size_t kWakesPerTickMin = 50;
constexpr size_t kHandOversAtOnce = 16;

}  // namespace

NodeLife StoreImpl::LifeOf(NodeId node) const { return deps_.liveness ? deps_.liveness->LifeOf(node) : NodeLife{}; }

std::vector<StoreImpl::ReplicaPtr> StoreImpl::AwakeReplicas() const {
  MutexLock lock(mutex_);
  std::vector<ReplicaPtr> all;
  all.reserve(awake_.size());
  for (const auto& [range, replica] : awake_) all.push_back(replica);
  return all;
}

std::vector<StoreImpl::ReplicaPtr> StoreImpl::QuietReplicas() const {
  MutexLock lock(mutex_);
  std::vector<ReplicaPtr> all;
  all.reserve(quiet_.size());
  for (const auto& [range, replica] : quiet_) all.push_back(replica);
  return all;
}

void StoreImpl::OnQuietChanged(Replica& replica, Quiet quiet) {
  const auto descriptor = replica.descriptor();
  std::vector<std::pair<NodeId, NodeLife>> nodes;
  if (quiet == Quiet::kYes && descriptor) {
    for (const auto& r : descriptor->replicas) nodes.emplace_back(r.node, LifeOf(r.node));
  }
  const uint64_t range = replica.range().value();
  MutexLock lock(mutex_);
  const auto it = replicas_.find(range);
  if (it == replicas_.end() || it->second.get() != &replica) return;
  (quiet == Quiet::kYes ? awake_ : quiet_).erase(range);
  (quiet == Quiet::kYes ? quiet_ : awake_)[range] = it->second;
  for (const auto& [node, life] : nodes) lives_.try_emplace(node, life);
}

// A range that goes quiet while its nodes change compares them once more when it is known to be quiet
// (Replica::NoteQuiet), so that no change falls between the two.
void StoreImpl::WatchNodes() {
  std::map<NodeId, NodeLife> before;
  {
    MutexLock lock(mutex_);
    before = lives_;
  }
  for (const auto& [node, life] : before) {
    const NodeLife now = LifeOf(node);
    if (now == life) continue;
    const bool first = life == NodeLife{};  // heard of since this store started
    {
      MutexLock lock(mutex_);
      lives_[node] = now;
      if (!first) hurried_looks_ = quiet_.size();
    }
    OnNodeChanged(node, first ? Heard::kForTheFirstTime : Heard::kBefore, life, now);
  }
}

// Ranges that have slept since this store started know nothing of the nodes, and a node that is heard for the first time is no news
// to them. But one that has fallen quiet since may have done so without it.
void StoreImpl::OnNodeChanged(NodeId node, Heard heard, NodeLife before, NodeLife now) {
  const bool anew = now.incarnation != before.incarnation;
  const bool back = now.live && (anew || !before.live);
  for (auto& replica : QuietReplicas()) {
    const Rest rest = replica->rest();
    const auto descriptor = replica->descriptor();
    if (!rest.quiet || !descriptor || !descriptor->FindNode(node)) continue;
    if (rest.leads && back && rest.member_missing) {
      to_wake_.emplace_back(std::move(replica), WakeReason::kMemberIsBack);
    } else if (heard == Heard::kBefore && !rest.leads && rest.leader == node && (!now.live || (anew && !rest.since_start))) {
      to_wake_.emplace_back(std::move(replica), WakeReason::kLeaderIsGone);
    }
  }
  wakes_per_tick_ = std::max(kWakesPerTickMin, to_wake_.size() / kTicksToWakeAll);
}

// Thousands of elections at one instant would hold up each other, and everything else.
void StoreImpl::WakeSome() {
  for (size_t i = 0; i < wakes_per_tick_ && !to_wake_.empty(); ++i) {
    to_wake_.front().first->PostWake(to_wake_.front().second);
    to_wake_.pop_front();
  }
}

// There is something to be done with many of the quiet ranges.
void StoreImpl::HurryLooks() {
  MutexLock lock(mutex_);
  hurried_looks_ = std::max(hurried_looks_, kHurriedLooks);
}

// All that are awake, and the next of those that are not.
std::vector<StoreImpl::ReplicaPtr> StoreImpl::NextToLookAfter() {
  std::vector<ReplicaPtr> next = AwakeReplicas();
  MutexLock lock(mutex_);
  size_t looks = hurried_looks_ > 0 ? kHurriedLooks : kQuietLooks;
  hurried_looks_ -= std::min(hurried_looks_, looks);
  looks = std::min(looks, quiet_.size());
  for (auto it = quiet_.lower_bound(next_quiet_look_); looks > 0; --looks) {
    if (it == quiet_.end()) it = quiet_.begin();
    next.push_back(it->second);
    next_quiet_look_ = it->first + 1;
    ++it;
  }
  return next;
}

bool StoreImpl::IsActive(const raft::PeerStatus& peer, const ReplicaDescriptor& replica, bool quiet) const {
  if (replica.node == options_.node) return true;
  return peer.recently_active && (!quiet || LifeOf(replica.node).live);
}

// Drain: every lease goes to a voter that takes part, many at a time.
void StoreImpl::HandOverLeases() {
  std::vector<ReplicaPtr> leases;
  for (auto& replica : AllReplicas()) {
    if (replica->OwnsLease() && replica->initialised()) leases.push_back(std::move(replica));
  }
  std::atomic<size_t> next{0};
  runtime::TaskGroup group(*context_, "drain");
  for (size_t i = 0; i < std::min(kHandOversAtOnce, leases.size()); ++i) {
    group.Spawn({.name = "drain"}, [this, &leases, &next](const runtime::Context& context) {
      for (size_t at = next++; at < leases.size() && !context.cancelled(); at = next++) {
        const auto descriptor = leases[at]->descriptor();
        const raft::GroupStatus status = leases[at]->raft_status();
        for (const auto& peer : status.peers) {
          const auto* to = descriptor->FindReplica(peer.id);
          if (!to || to->node == options_.node || peer.learner || !IsActive(peer, *to, status.quiet)) continue;
          (void)AdminTransferLease(context, leases[at], to->node, LeaseMove::kRequired).ok();
          break;
        }
      }
      return OkStatus();
    });
  }
  (void)group.Join().ok();
}

}  // namespace orrery::kv
