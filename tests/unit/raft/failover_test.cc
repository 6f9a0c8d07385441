// How long a group is without a leader whose entries commit, after its leader has died: a histogram over seeds, in
// virtual time. Ticks, messages and disks take what they take on a loaded machine, and between two followers the first
// message after a long silence is lost, as on a connection whose other end was started anew meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "orrery/raft/memory_storage.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {
namespace {

constexpr Duration kTick = 100ms;

class Group {
 public:
  Group(uint64_t seed, uint64_t voters) : rng_(seed), lossy_(seed % 2 == 0) {
    ConfState conf;
    for (uint64_t i = 1; i <= voters; ++i) conf.voters.push_back(ReplicaId(i));
    for (uint64_t i = 1; i <= voters; ++i) {
      Node& node = nodes_[ReplicaId(i)];
      node.disk = std::make_unique<MemoryStorage>(conf);
      node.next_tick = now_ + Below(kTick);
      auto raw = RawNode::Create({.id = ReplicaId(i), .applied = kBootstrapIndex, .start_time = now_, .seed = rng_(),
                                  .group = seed, .start_mode = StartMode::kFresh}, *node.disk);
      node.raw = std::move(*raw);
    }
  }

  // Elects somebody, works for a while, kills the leader. The time until another one has committed an entry.
  Duration Gap() {
    while (!Leader()) Step();
    const MonoTime busy_until = now_ + 2s + Below(1s);
    while (now_ < busy_until || !Leader()) {
      Step();
      if (const ReplicaId leader = Leader(); leader && rng_() % 20 == 0) (void)nodes_[leader].raw->Propose("x").ok();
    }
    const ReplicaId leader = Leader();
    const RaftTerm term = nodes_[leader].raw->GetStatus().term;
    nodes_.erase(leader);
    const MonoTime died = now_;
    // What it has said last may be on its way.
    while (now_ - died < 10s && !Leader(term)) Step();
    return now_ - died;
  }

 private:
  struct Node {
    std::unique_ptr<MemoryStorage> disk;
    std::unique_ptr<RawNode> raw;
    MonoTime next_tick;
    struct Write {
      MonoTime done;
      PersistToken token;
      std::vector<Message> messages;
    };
    std::vector<Write> writes;
  };

  Duration Below(Duration limit) { return Duration(int64_t(rng_() % uint64_t(limit.count()))); }

  // Who leads, in a later term than `after`, with an entry of its term committed.
  ReplicaId Leader(RaftTerm after = {}) const {
    for (const auto& [id, node] : nodes_) {
      const GroupStatus status = node.raw->GetStatus();
      if (status.role == Role::kLeader && status.term > after && node.raw->LeaseAt(now_).held) return id;
    }
    return {};
  }

  void Send(std::vector<Message> messages) {
    for (Message& m : messages) {
      const bool known = !lossy_ || !connected_.insert({m.from, m.to}).second;
      const bool between_followers = m.type == MessageType::kPreVote || m.type == MessageType::kPreVoteResp ||
                                     m.type == MessageType::kVote || m.type == MessageType::kVoteResp;
      if (between_followers && !known) continue;
      flights_.emplace(now_ + 1ms + Below(rng_() % 10 == 0 ? 40ms : 3ms), std::move(m));
    }
  }

  void Work(Node& node) {
    if (now_ >= node.next_tick) {
      node.next_tick = now_ + kTick + Below(rng_() % 10 == 0 ? 100ms : 5ms);
      node.raw->Tick(now_);
    }
    while (!node.writes.empty() && node.writes.front().done <= now_) {
      Node::Write write = std::move(node.writes.front());
      node.writes.erase(node.writes.begin());
      node.raw->OnPersisted(write.token, now_);
      Send(std::move(write.messages));
    }
    while (node.raw->HasReady()) {
      Ready ready = node.raw->TakeReady();
      Send(std::move(ready.messages));
      node.disk->Append(ready.entries);
      if (ready.hard_state) node.disk->SetHardState(*ready.hard_state);
      if (ready.token) {
        const MonoTime done = now_ + (ready.must_sync ? Below(rng_() % 20 == 0 ? 80ms : 5ms) : 0ms);
        const MonoTime queued = node.writes.empty() ? done : std::max(done, node.writes.back().done);
        node.writes.push_back({queued, ready.token, std::move(ready.messages_after_persist)});
      }
      if (!ready.committed_entries.empty()) node.raw->OnApplied(ready.committed_entries.back().index);
    }
  }

  void Step() {
    now_ = now_ + 1ms;
    while (!flights_.empty() && flights_.begin()->first <= now_) {
      Message m = std::move(flights_.begin()->second);
      flights_.erase(flights_.begin());
      const auto to = nodes_.find(m.to);
      if (to == nodes_.end()) continue;
      EXPECT_TRUE(to->second.raw->Step(std::move(m), now_).ok());
    }
    for (auto& [id, node] : nodes_) Work(node);
  }

  std::mt19937_64 rng_;
  const bool lossy_;
  MonoTime now_{1'000'000'000'000};
  std::map<ReplicaId, Node> nodes_;
  std::multimap<MonoTime, Message> flights_;
  std::set<std::pair<ReplicaId, ReplicaId>> connected_;
};

// G16's share of the gap that is raft's: an election timeout, the turn of a successor, a vote.
TEST(Failover, AnotherLeadsSoonAfterTheLeaderDied) {
  for (const uint64_t voters : {3, 5}) {
    std::vector<int64_t> gaps;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      gaps.push_back(Group(seed, voters).Gap().count() / 1'000'000);
      ASSERT_LT(gaps.back(), 2000) << "ms; seed " << seed << ", " << voters << " voters";
    }
    std::sort(gaps.begin(), gaps.end());
    std::cout << voters << " voters, ms: median " << gaps[150] << ", 90 % " << gaps[270] << ", 99 % " << gaps[297] << ", most "
              << gaps[299] << "\n";
    EXPECT_LT(gaps[150], 1250);
    EXPECT_LT(gaps[297], 1700);
  }
}

}  // namespace
}  // namespace orrery::raft
