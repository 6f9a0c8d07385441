// ClusterSim: a raft group under seeded faults, with its invariants checked after every step.
//
// True time is the simulator's; each node reads it through a clock of its own offset and rate.
// Messages are lost, duplicated, delayed and reordered; a crash loses what was not synced, except
// for a random prefix that had reached the disk. The oracle sees everything: all logs, all commits,
// all leases in true time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "orrery/raft/memory_storage.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft::test {

// How often the interesting things happened, over all seeds: a run that saw none proves nothing.
struct SimCounts {
  int64_t elections = 0, applied = 0, conf_changes = 0, joint = 0, snapshots = 0, crashes = 0,
          transfers = 0;
  int64_t lease_reads = 0, index_reads = 0, truncations = 0, takeovers_after_reads = 0, takeovers_below_promise = 0;
  int64_t quiet_leaders = 0, quiet_followers = 0, quiet_refusals = 0;
};

class ClusterSim {
 public:
  ClusterSim(uint64_t seed, SimCounts& counts);
  // Runs `steps` steps of faults, then heals everything and demands progress. The first broken
  // invariant ends the run; its description is returned ("" = all held).
  std::string Run(int steps);

 private:
  class Disk : public MemoryStorage {
   public:
    Disk() = default;
    explicit Disk(const ConfState& members)
        : MemoryStorage(members), conf(members), applied(kBootstrapIndex) {}
    StatusOr<Initial> InitialState() const override { return Initial{hard_state(), conf}; }
    ConfState conf;     // as of `applied`
    RaftIndex applied;
  };
  struct Write {
    Ready ready;  // without messages that went at once
    RaftIndex applied;
    ConfState conf;
  };
  struct Node {
    ReplicaId id;
    Disk disk;                  // survives a crash
    Disk view;                  // disk and the writes under way
    Timestamp promise_bound;    // durable; covers every promise acknowledged
    std::unique_ptr<RawNode> raw;
    std::deque<Write> writes;
    std::deque<Entry> to_apply;
    RaftIndex applied;
    ConfState conf;
    RaftTerm leader_term;       // last term seen leading
    RaftIndex seen_commit;
    double rate = 1;
    int64_t offset = 0;
    int lives = 0;
    int64_t paused_until = 0;
    bool was_quiet = false;
  };
  struct Seen {
    RaftTerm previous_term;
    std::string payload;
  };

  void Start(Node& node);
  void Crash(Node& node);
  void Step();
  void DeliverDue();
  void ReportLateSnapshots();
  void Work(Node& node);
  void TakeReady(Node& node);
  void CompleteWrite(Node& node);
  void ApplyOne(Node& node);
  static void Perform(const Write& write, Disk& disk);
  void SendAll(std::vector<Message>& messages);
  void RandomRequest();
  void RequestOnLeader(Node& node);
  void Rest(Node& node);
  void ProposeMembership(Node& node);
  void Compact(Node& node);
  void Faults();
  void Heal();
  bool Converged() const;
  std::string Describe() const;

  void CheckEntries(const std::vector<Entry>& entries, const Node& node);
  void CheckLeader(Node& node);
  Timestamp ServedUpTo(RaftTerm last) const;
  void CheckCommit(Node& node);
  void CheckLeases();
  bool DurableOnQuorum(const Node& leader, RaftIndex index, RaftTerm term);
  void Fail(const std::string& what);

  Node* Leader();
  MonoTime NowOf(const Node& node) const {
    return {int64_t(double(time_) * node.rate) + node.offset};
  }
  uint64_t Below(uint64_t n) { return rng_() % n; }
  bool Chance(double p) { return double(rng_() >> 11) * 0x1.0p-53 < p; }

  std::mt19937_64 rng_;
  SimCounts& counts_;
  int64_t time_ = 1'000'000'000;
  std::vector<Node> nodes_;
  std::multimap<int64_t, Message> flights_;
  std::multimap<int64_t, std::pair<ReplicaId, ReplicaId>> snapshot_reports_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;  // directed links
  double loss_ = 0.02;
  double slow_disk_ = 0.3;
  // The temper of a seed.
  double long_delay_ = 0.03;
  double restart_chance_ = 0.01;
  double membership_chance_ = 0.05;
  double campaign_chance_ = 0.01;
  double slow_apply_ = 0.3;
  int64_t calm_until_ = 0;  // no requests: groups fall quiet
  bool faults_ = true;
  uint32_t rate_error_ppm_ = 10'000;
  uint64_t next_payload_ = 1;
  std::string failure_;

  // The oracle.
  std::map<RaftTerm, ReplicaId> leaders_;
  std::map<std::pair<RaftIndex, RaftTerm>, Seen> entries_;
  std::vector<Entry> decided_;         // [i] = entry kBootstrapIndex + i + 1
  RaftIndex committed_anywhere_ = kBootstrapIndex;
  std::map<RaftIndex, RaftTerm> committed_in_;  // by the leader of which term
  // Highest timestamp read under a lease, by the leader's term.
  std::map<RaftTerm, Timestamp> served_reads_;
  std::map<uint64_t, RaftIndex> read_floor_;
  int64_t read_clock_ = 100;
};

}  // namespace orrery::raft::test
