#include "orrery/kv/concurrency/txn_wait_queue.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "orrery/base/assert.h"

namespace orrery::kv {
namespace {

// Edges of a cycle's far side are as old as the polls that carried them here: a wait that is over may show this often.
constexpr int kSightingsMin = 3;
constexpr size_t kEdgesMax = 1024;  // of one answer; a longer list is cut, the cycle is found a poll later

// The transactions on a way from `from` to `to` along the edges, both included; empty if there is none.
std::vector<TxnMeta> FindPath(const std::vector<WaitEdge>& edges, const TxnMeta& from, const TxnMeta& to) {
  std::map<std::string, const WaitEdge*> reached_by;  // transaction → the edge that led to it
  std::vector<std::string> frontier{from.id};
  while (!frontier.empty() && !reached_by.contains(to.id)) {
    std::vector<std::string> next;
    for (const std::string& id : frontier) {
      for (const WaitEdge& edge : edges) {
        if (edge.waiter.id == id && edge.waits_for != from.id && reached_by.emplace(edge.waits_for, &edge).second) {
          next.push_back(edge.waits_for);
        }
      }
    }
    frontier = std::move(next);
  }
  std::vector<TxnMeta> path;
  if (!reached_by.contains(to.id)) return path;
  path.push_back(to);
  for (std::string id = to.id; id != from.id; id = path.back().id) path.push_back(reached_by.at(id)->waiter);
  return path;
}

}  // namespace

bool GivesWay(const TxnMeta& a, const TxnMeta& b) {
  // Lowest priority, then youngest, then the larger id.
  return std::tie(b.priority, a.min_ts, a.id) > std::tie(a.priority, b.min_ts, b.id);
}

void TxnWaitQueue::Enqueue(PushWaiter& waiter) {
  ORRERY_ASSERT(!waiter.queued_, "a push waits once");
  waiters_[waiter.pushee_.id].push_back(&waiter);
  waiter.queued_ = true;
}

void TxnWaitQueue::Dequeue(PushWaiter& waiter) {
  if (!waiter.queued_) return;
  waiter.queued_ = false;
  auto it = waiters_.find(waiter.pushee_.id);
  ORRERY_ASSERT(it != waiters_.end(), "a queued push is in the queue of its pushee");
  it->second.erase(std::find(it->second.begin(), it->second.end(), &waiter));
  if (it->second.empty()) waiters_.erase(it);
}

std::vector<WaitEdge> TxnWaitQueue::Edges(std::string_view txn_id) const {
  std::vector<WaitEdge> out;
  auto it = waiters_.find(txn_id);
  if (it == waiters_.end()) return out;
  std::set<std::pair<std::string, std::string>> seen;
  const auto add = [&](const WaitEdge& edge) {
    if (out.size() < kEdgesMax && seen.emplace(edge.waiter.id, edge.waits_for).second) out.push_back(edge);
  };
  for (const PushWaiter* waiter : it->second) {
    if (!waiter->pusher_) continue;
    add({*waiter->pusher_, std::string(txn_id)});
    for (const WaitEdge& edge : waiter->known_) add(edge);
  }
  return out;
}

TxnWaitQueue::Verdict TxnWaitQueue::Report(PushWaiter& waiter, const TxnRecord& pusher,
                                           std::vector<WaitEdge> edges) {
  if (pusher.status == TxnStatus::kAborted || pusher.status == TxnStatus::kCommitted) return Verdict::kAborted;
  waiter.known_ = std::move(edges);
  if (!waiter.pusher_) return Verdict::kWait;
  // Does the one we wait for wait for us?
  const std::vector<TxnMeta> members = FindPath(waiter.known_, waiter.pushee_, *waiter.pusher_);
  std::vector<std::string> cycle;
  for (const TxnMeta& member : members) cycle.push_back(member.id);
  std::sort(cycle.begin(), cycle.end());
  waiter.cycle_seen_ = cycle.empty() ? 0 : cycle == waiter.cycle_ ? waiter.cycle_seen_ + 1 : 1;
  const bool confirmed = waiter.cycle_seen_ >= kSightingsMin;  // T21: seen again
  waiter.cycle_ = std::move(cycle);
  if (!confirmed) return Verdict::kWait;
  const bool victim = std::all_of(members.begin(), members.end(), [&](const TxnMeta& member) {
    return member.id == waiter.pusher_->id || GivesWay(*waiter.pusher_, member);
  });
  return victim ? Verdict::kVictim : Verdict::kWait;
}

std::vector<PushWaiter*> TxnWaitQueue::OnRecord(const TxnRecord& record) {
  std::vector<PushWaiter*> done;
  auto it = waiters_.find(record.meta.id);
  if (it == waiters_.end()) return done;
  const bool final = record.status == TxnStatus::kAborted || record.status == TxnStatus::kCommitted;
  for (PushWaiter* waiter : it->second) {
    if (final || (waiter->type_ == PushType::kTimestamp && record.meta.write_ts > waiter->push_to_)) {
      done.push_back(waiter);
    }
  }
  for (PushWaiter* waiter : done) Dequeue(*waiter);
  return done;
}

std::vector<PushWaiter*> TxnWaitQueue::Clear() {
  std::vector<PushWaiter*> all;
  for (auto& [pushee, waiters] : waiters_) {
    for (PushWaiter* waiter : waiters) {
      waiter->queued_ = false;
      all.push_back(waiter);
    }
  }
  waiters_.clear();
  return all;
}

}  // namespace orrery::kv
