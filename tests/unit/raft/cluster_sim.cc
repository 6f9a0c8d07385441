#include "unit/raft/cluster_sim.h"

#include <algorithm>

#include "raft/quorum.h"

namespace orrery::raft::test {
namespace {

constexpr int kReplicas = 6;
constexpr int64_t kMs = 1'000'000;

ConfState VotersUpTo(uint64_t n) {
  ConfState conf;
  for (uint64_t i = 1; i <= n; ++i) conf.voters.push_back(ReplicaId(i));
  return conf;
}

}  // namespace

ClusterSim::ClusterSim(uint64_t seed, SimCounts& counts)
    : rng_(seed), counts_(counts), nodes_(kReplicas) {
  const ConfState initial = VotersUpTo(3 + seed % 3);
  if (seed % 4 == 0) rate_error_ppm_ = 100'000;
  if (seed % 3 == 0) long_delay_ = 0.2;
  if (seed % 3 == 1) restart_chance_ = 0.2;
  if (seed % 5 == 0) membership_chance_ = 0.3;
  if (seed % 5 == 1) campaign_chance_ = 0.1;
  if (seed % 5 == 2) slow_apply_ = 0.97;
  for (int i = 0; i < kReplicas; ++i) {
    Node& node = nodes_[i];
    node.id = ReplicaId(uint64_t(i + 1));
    const double error = rate_error_ppm_ / 1e6;
    node.rate = 1 + error * (double(Below(2001)) / 1000 - 1);
    node.offset = int64_t(Below(1'000'000'000'000));
    // Replicas outside the first membership know nothing until they are sent a log.
    if (IsMember(initial, node.id)) node.disk = Disk(initial);
    Start(node);
  }
}

void ClusterSim::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = what + " at " + std::to_string(time_ / kMs) + "ms";
}

// ---- lives ----

void ClusterSim::Start(Node& node) {
  node.view = node.disk;
  node.applied = node.disk.applied;
  node.conf = node.disk.conf;
  node.writes.clear();
  node.to_apply.clear();
  node.was_quiet = false;
  node.seen_commit = RaftIndex();
  Config config{.id = node.id, .applied = node.applied, .start_time = NowOf(node), .seed = rng_(),
                .start_mode = node.lives++ == 0 ? StartMode::kFresh : StartMode::kRestarted,
                .election_timeout = 100ms, .heartbeat_interval = 20ms, .lease_duration = 85ms,
                .clock_rate_error_ppm = rate_error_ppm_, .initial_read_promise = node.promise_bound,
                .max_message_bytes = 200, .max_apply_bytes = 400, .max_inflight_messages = 4,
                .max_inflight_bytes = 2000, .max_uncommitted_bytes = 4000, .max_cached_bytes = 100,
                .max_pending_reads = 16};
  const bool sees_unsynced = node.id.value() % 2 == 0;
  const Disk& storage = sees_unsynced ? node.view : node.disk;
  auto raw = RawNode::Create(config, storage);
  if (!raw.ok()) return Fail("start: " + raw.status().ToString());
  node.raw = std::move(*raw);
}

void ClusterSim::Crash(Node& node) {
  ++counts_.crashes;
  node.raw.reset();
  // What was being written may have reached the disk, up to any point.
  for (uint64_t survive = Below(node.writes.size() + 1); survive > 0; --survive) {
    Perform(node.writes.front(), node.disk);
    node.writes.pop_front();
  }
}

// ---- one step ----

void ClusterSim::Step() {
  time_ += int64_t(Below(4 * kMs) + 1);
  DeliverDue();
  ReportLateSnapshots();
  for (Node& node : nodes_) {
    if (node.raw && node.paused_until <= time_) Work(node);
  }
  CheckLeases();
  if (time_ >= calm_until_ && Chance(0.4)) RandomRequest();
  if (faults_) Faults();
}

void ClusterSim::DeliverDue() {
  while (!flights_.empty() && flights_.begin()->first <= time_) {
    Message m = flights_.begin()->second;
    flights_.erase(flights_.begin());
    Node& to = nodes_[m.to.value() - 1];
    if (to.raw && to.paused_until > time_) {
      flights_.emplace(to.paused_until, std::move(m));
      continue;
    }
    if (!to.raw || cut_.contains({m.from.value(), m.to.value()})) continue;
    const Status status = to.raw->Step(m, NowOf(to));
    if (!status.ok()) Fail("step of " + ToString(m) + ": " + status.ToString());
    CheckLeader(to);
    CheckCommit(to);
  }
}

void ClusterSim::ReportLateSnapshots() {
  while (!snapshot_reports_.empty() && snapshot_reports_.begin()->first <= time_) {
    const auto [from, to] = snapshot_reports_.begin()->second;
    snapshot_reports_.erase(snapshot_reports_.begin());
    Node& sender = nodes_[from.value() - 1];
    if (sender.raw) sender.raw->ReportSnapshot(to, RawNode::SnapshotResult::kFailed);
  }
}

void ClusterSim::SendAll(std::vector<Message>& messages) {
  for (Message& m : messages) {
    // The driver's duty: every kSnap is reported in the end, here by its sender's patience running
    // out.
    if (m.type == MessageType::kSnap)
      snapshot_reports_.emplace(time_ + 400 * kMs, std::pair(m.from, m.to));
    const int copies = Chance(loss_) ? 0 : faults_ && Chance(0.03) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const int64_t longest = faults_ && Chance(long_delay_) ? 300 * kMs : 6 * kMs;
      flights_.emplace(time_ + int64_t(Below(uint64_t(longest))), m);
    }
  }
}

void ClusterSim::Work(Node& node) {
  if (Chance(0.3)) node.raw->Tick(NowOf(node));
  Rest(node);
  if (node.raw->HasReady() && Chance(0.7)) TakeReady(node);
  while (!node.writes.empty() && !Chance(slow_disk_)) CompleteWrite(node);
  while (!node.to_apply.empty() && !Chance(faults_ ? slow_apply_ : 0.1)) ApplyOne(node);
  if (Chance(0.004)) Compact(node);
}

// The driver's part in quiescence: a leader without work asks for it, now and then leaving out who seems to be
// down; whoever finds his leader dead is woken, and sometimes somebody for no reason.
void ClusterSim::Rest(Node& node) {
  const GroupStatus status = node.raw->GetStatus();
  if (status.quiet != node.was_quiet) {
    node.was_quiet = status.quiet;
    if (status.quiet) ++(status.role == Role::kLeader ? counts_.quiet_leaders : counts_.quiet_followers);
  }
  if (status.quiet) {
    const bool orphan = status.role != Role::kLeader && !nodes_[status.leader.value() - 1].raw;
    if (Chance(orphan ? 0.05 : faults_ ? 0.002 : 0.0005)) node.raw->Wake(NowOf(node));
  } else if (status.role == Role::kLeader && time_ < calm_until_ && Chance(0.1)) {
    std::vector<ReplicaId> absent;
    for (const Node& other : nodes_) {
      if (!other.raw && Chance(0.9)) absent.push_back(other.id);
    }
    if (!node.raw->Quiesce(absent, NowOf(node))) ++counts_.quiet_refusals;
  }
}

void ClusterSim::TakeReady(Node& node) {
  // B29: the bound is durable before any message that acknowledges a promise can leave.
  Ready ready = node.raw->TakeReady();
  node.promise_bound.Forward(node.raw->ReadPromise());
  if (!ready.storage_error.ok()) Fail("storage: " + ready.storage_error.ToString());
  SendAll(ready.messages);
  ready.messages.clear();
  for (const ReadState& read : ready.read_states) {
    ++counts_.index_reads;
    if (read.index < read_floor_[read.context])
      Fail("read index below a write acknowledged before the read");
  }
  if (ready.snapshot && !ready.committed_entries.empty())
    Fail("entries to apply beside a snapshot");
  for (Entry& entry : ready.committed_entries) node.to_apply.push_back(std::move(entry));
  ready.committed_entries.clear();
  if (ready.snapshot) node.to_apply.clear();
  if (ready.token) {
    Write write{std::move(ready), node.applied, node.conf};
    Perform(write, node.view);
    CheckEntries(write.ready.entries, node);
    node.writes.push_back(std::move(write));
  }
  CheckLeader(node);
  CheckCommit(node);
}

void ClusterSim::Perform(const Write& write, Disk& disk) {
  const Ready& ready = write.ready;
  // Applying is not synced, but shares the write-ahead log: what was applied before a sync is
  // durable with it.
  if (write.applied > disk.applied) {
    disk.applied = write.applied;
    disk.conf = write.conf;
  }
  if (ready.snapshot) {
    disk.InstallSnapshot(*ready.snapshot);
    disk.applied = ready.snapshot->index;
    disk.conf = ready.snapshot->conf;
  }
  disk.Append(ready.entries);
  if (ready.hard_state) disk.SetHardState(*ready.hard_state);
}

void ClusterSim::CompleteWrite(Node& node) {
  Write write = std::move(node.writes.front());
  node.writes.pop_front();
  Perform(write, node.disk);
  if (write.ready.snapshot) {
    ++counts_.snapshots;
    node.applied = write.ready.snapshot->index;
    node.conf = write.ready.snapshot->conf;
    node.to_apply.clear();
  }
  SendAll(write.ready.messages_after_persist);
  node.raw->OnPersisted(write.ready.token, NowOf(node));
  CheckLeader(node);
  CheckCommit(node);
}

void ClusterSim::ApplyOne(Node& node) {
  const Entry entry = std::move(node.to_apply.front());
  node.to_apply.pop_front();
  if (entry.index <= node.applied) return;
  if (entry.index != node.applied.Next()) return Fail("applied with a gap");
  // I4: all replicas apply the same entry at an index. Durability first: it is on this disk.
  const auto durable = node.disk.Term(entry.index);
  if (!durable.ok() || *durable != entry.term) return Fail("applied above the durable log");
  const size_t at = entry.index.value() - 1 - kBootstrapIndex.value();
  if (at > decided_.size()) return Fail("applied an index nobody applied before its predecessor");
  if (at == decided_.size()) {
    decided_.push_back(entry);
    ++counts_.applied;
  } else if (decided_[at] != entry) {
    return Fail("I4: two entries applied at index " + ToString(entry.index));
  }
  if (entry.kind == EntryKind::kConfChange) {
    auto conf = node.raw->ApplyConfChange(entry);
    if (!conf.ok()) return Fail("conf change: " + conf.status().ToString());
    node.conf = *conf;
    ++counts_.conf_changes;
    if (conf->IsJoint()) ++counts_.joint;
  }
  node.applied = entry.index;
  node.raw->OnApplied(entry.index);
  CheckLeader(node);
  CheckCommit(node);
}

// ---- requests ----

ClusterSim::Node* ClusterSim::Leader() {
  Node* best = nullptr;
  for (Node& node : nodes_) {
    if (!node.raw || node.raw->GetStatus().role != Role::kLeader) continue;
    if (!best || node.raw->GetStatus().term > best->raw->GetStatus().term) best = &node;
  }
  return best;
}

void ClusterSim::RandomRequest() {
  if (faults_ && Chance(campaign_chance_)) {
    Node& node = nodes_[Below(nodes_.size())];
    if (node.raw) (void)node.raw->Campaign(NowOf(node));
    return;
  }
  // Now and then ask a deposed leader too.
  for (Node& node : nodes_) {
    if (!node.raw || node.raw->GetStatus().role != Role::kLeader) continue;
    RequestOnLeader(node);
    CheckLeader(node);
    CheckCommit(node);
  }
}

void ClusterSim::RequestOnLeader(Node& node) {
  if (node.raw->IsQuiet()) {
    if (Chance(0.7)) return;
    node.raw->Wake(NowOf(node));
  }
  const double dice = double(Below(1000)) / 1000;
  if (dice < 0.5) {
    const auto news = Below(3) == 0 ? CommitNews::kAtOnce : CommitNews::kWithNext;
    (void)node.raw->Propose(std::to_string(next_payload_++) + std::string(Below(60), 'x'), news);
  } else if (dice < 0.6) {
    const uint64_t context = next_payload_++;
    if (node.raw->ReadIndex(context).ok()) read_floor_[context] = committed_anywhere_;
  } else if (dice < 0.9) {
    read_clock_ += int64_t(Below(10));
    node.raw->SetReadPromise({read_clock_ + 50, 0});
  } else if (dice < 0.96 && Chance(membership_chance_) && faults_) {
    ProposeMembership(node);
  } else if (dice > 0.985 && faults_) {
    const ReplicaId to(Below(kReplicas) + 1);
    if (!node.raw->TransferLeadership(to, NowOf(node)).ok()) return;
    ++counts_.transfers;
    // R6: a lease of this term was valid, so its holder knows all that was served before.
    const RaftTerm term = node.raw->GetStatus().term;
    if (served_reads_.contains(term)) node.raw->SetReadsEnd(ServedUpTo(term));
  }
}

void ClusterSim::ProposeMembership(Node& node) {
  const ConfState conf = node.raw->GetStatus().conf;
  ConfChange change;
  const uint64_t count = 1 + Below(3);
  size_t voters = conf.voters.size();
  for (uint64_t i = 0; i < count; ++i) {
    const ReplicaId id(Below(kReplicas) + 1);
    ConfChangeStep step{ConfChangeKind::kAddVoter, id};
    if (Contains(conf.voters, id)) {
      if (voters <= 3) continue;
      step.kind = ConfChangeKind::kAddLearner;
      --voters;
    } else if (Chance(0.3)) {
      step.kind = Contains(conf.learners, id) ? ConfChangeKind::kRemoveLearner
                                              : ConfChangeKind::kAddLearner;
    } else {
      ++voters;
    }
    change.steps.push_back(step);
  }
  if (change.steps.empty() && !conf.IsJoint()) return;
  if (conf.IsJoint()) change.steps.clear();
  change.transition = ConfTransition(Below(3));
  (void)node.raw->ProposeConfChange(change);
}

void ClusterSim::Compact(Node& node) {
  const RaftIndex durable = node.disk.applied;
  if (durable <= node.disk.FirstIndex() || !node.writes.empty()) return;
  node.disk.MakeSnapshot(durable, node.disk.conf);
  const RaftIndex upto(durable.value() - Below(3));
  node.disk.Compact(upto);
  node.view = node.disk;
  ++counts_.truncations;
}

// ---- faults ----

void ClusterSim::Faults() {
  if (Chance(0.004)) {
    Node& node = nodes_[Below(nodes_.size())];
    if (node.raw) Crash(node);
  }
  for (Node& node : nodes_) {
    if (!node.raw && Chance(restart_chance_)) Start(node);
    // A stop-the-world pause: the node's clock runs on, and its first act may be to ask for its
    // lease.
    if (node.raw && Chance(0.0005)) node.paused_until = time_ + int64_t(Below(400 * kMs));
  }
  if (Chance(0.003)) {
    cut_.clear();
    const uint64_t kind = Below(4);
    for (uint64_t i = 1; i <= kReplicas; ++i) {
      for (uint64_t j = 1; j <= kReplicas; ++j) {
        if (kind == 1 && Chance(0.2)) cut_.insert({i, j});                       // one-way cuts
        if (kind == 2 && (i % 2) != (j % 2)) cut_.insert({i, j});                // halves
        if (kind == 3 && (i == 1 || j == 1) && i != j) cut_.insert({i, j});      // one isolated
      }
    }
  }
  if (Chance(0.003)) calm_until_ = time_ + int64_t(Below(600 * kMs));
  if (Chance(0.003)) loss_ = Chance(0.5) ? 0.3 : 0.01;
  if (Chance(0.003)) slow_disk_ = Chance(0.3) ? 0.97 : 0.3;
  if (Chance(0.01)) {
    Node* leader = Leader();
    const ReplicaId peer(Below(kReplicas) + 1);
    if (!leader) return;
    if (Chance(0.5)) leader->raw->ReportUnreachable(peer);
    else leader->raw->ReportSnapshot(peer, RawNode::SnapshotResult::kFailed);
  }
}

void ClusterSim::Heal() {
  faults_ = false;
  calm_until_ = 0;
  loss_ = 0;
  slow_disk_ = 0.1;
  cut_.clear();
  for (Node& node : nodes_) {
    if (!node.raw) Start(node);
  }
}

bool ClusterSim::Converged() const {
  const Node* leader = nullptr;
  for (const Node& node : nodes_) {
    if (node.raw->GetStatus().role == Role::kLeader && !node.raw->GetStatus().conf.auto_leave)
      leader = &node;
  }
  if (!leader || !leader->raw->LeaseAt(NowOf(*leader)).ValidAt(NowOf(*leader))) return false;
  for (const ReplicaId id : AllMembers(leader->conf)) {
    if (nodes_[id.value() - 1].applied != leader->applied) return false;
  }
  return leader->applied == leader->raw->GetStatus().last_index;
}

std::string ClusterSim::Run(int steps) {
  for (int i = 0; i < steps && failure_.empty(); ++i) Step();
  if (!failure_.empty()) return failure_;
  Heal();
  const size_t before = decided_.size();
  for (int i = 0; i < 20'000 && failure_.empty(); ++i) {
    Step();
    if (decided_.size() > before + 3 && Converged()) return failure_;
  }
  if (failure_.empty()) Fail("no progress after healing\n" + Describe());
  return failure_;
}

std::string ClusterSim::Describe() const {
  std::string out;
  for (const Node& node : nodes_) {
    out += "  " + ToString(node.id);
    if (!node.raw) {
      out += " down\n";
      continue;
    }
    const GroupStatus s = node.raw->GetStatus();
    out += " " + std::string(RoleName(s.role)) + " term=" + ToString(s.term) +
           " leader=" + ToString(s.leader) + " commit=" + ToString(s.commit) +
           " applied=" + ToString(s.applied) + " last=" + ToString(s.last_index) +
           " durable=" + ToString(s.durable_index) + " " + ToString(s.conf) + "\n";
    for (const PeerStatus& peer : s.peers) {
      out += "    peer " + ToString(peer.id) + " state=" + std::to_string(int(peer.state)) +
             " match=" + ToString(peer.match) + " next=" + ToString(peer.next) +
             " inflight=" + std::to_string(peer.inflight_messages) +
             (peer.recently_active ? "" : " silent") + "\n";
    }
  }
  return out;
}

// ---- the oracle ----

void ClusterSim::CheckEntries(const std::vector<Entry>& entries, const Node& node) {
  // I2: an (index, term) names one entry, and the entry before it.
  for (const Entry& entry : entries) {
    const auto previous = node.view.Term(entry.index.Prev());
    const auto [it, added] =
        entries_.try_emplace({entry.index, entry.term}, Seen{*previous, entry.payload});
    if (!added && (it->second.previous_term != *previous || it->second.payload != entry.payload)) {
      Fail("I2: logs differ at " + ToString(entry));
    }
  }
}

void ClusterSim::CheckLeader(Node& node) {
  const GroupStatus status = node.raw->GetStatus();
  if (status.role != Role::kLeader || status.term == node.leader_term) return;
  node.leader_term = status.term;
  ++counts_.elections;
  // I1: one leader a term. A term is counted by replica and by life: a crash ends a leadership.
  if (!leaders_.emplace(status.term, node.id).second)
    Fail("I1: term " + ToString(status.term) + " led twice");
  if (node.disk.hard_state().term != status.term || node.disk.hard_state().vote != node.id) {
    Fail("B2: leads a term it has not made durable");
  }
  // I3: the log has every entry that was committed in an earlier term. News of an election may be late: what a later
  // leader has committed meanwhile, of whatever term, this one need not have (seed 131).
  for (size_t i = 0; i < decided_.size(); ++i) {
    const RaftIndex index(i + 1 + kBootstrapIndex.value());
    if (index < node.view.FirstIndex() || committed_in_.at(index) >= status.term) continue;
    const auto term = node.view.Term(index);
    if (!term.ok() || *term != decided_[i].term)
      return Fail("I3: new leader lacks index " + ToString(index));
  }
  // B29, R7: it knows of every read an earlier leader may have served.
  const Timestamp served = ServedUpTo(status.term);
  if (!served.IsZero()) ++counts_.takeovers_after_reads;
  if (node.raw->PriorReadPromise() < node.raw->ReadPromise()) ++counts_.takeovers_below_promise;
  if (node.raw->PriorReadPromise() < served) Fail("B29: new leader does not know of reads served");
}

// By leaders of terms up to this one, which has begun.
Timestamp ClusterSim::ServedUpTo(RaftTerm last) const {
  Timestamp served;
  for (const auto& [term, ts] : served_reads_) {
    if (term <= last) served.Forward(ts);
  }
  return served;
}

void ClusterSim::CheckCommit(Node& node) {
  const GroupStatus status = node.raw->GetStatus();
  if (status.commit <= node.seen_commit) return;
  node.seen_commit = status.commit;
  if (status.commit <= committed_anywhere_) return;
  // I5: whoever first knows an index committed is a leader, and a quorum holds it on disk.
  if (status.role != Role::kLeader) return Fail("I5: committed first at a follower");
  if (!DurableOnQuorum(node, status.commit, status.term)) {
    return Fail("I5: commit " + ToString(status.commit) + " is not durable on a quorum");
  }
  for (RaftIndex i = committed_anywhere_.Next(); i <= status.commit; i = i.Next()) committed_in_[i] = status.term;
  committed_anywhere_ = status.commit;
}

bool ClusterSim::DurableOnQuorum(const Node& leader, RaftIndex index, RaftTerm term) {
  Votes holds;  // B8: what is committed by counting is of the leader's own term
  for (const Node& node : nodes_) {
    const auto here = node.disk.Term(index);
    holds[node.id] = here.ok() && *here == term;
  }
  return JointVote(leader.raw->GetStatus().conf, holds) == VoteResult::kWon;
}

void ClusterSim::CheckLeases() {
  for (Node& node : nodes_) {
    if (!node.raw) continue;
    const LeaseStatus lease = node.raw->LeaseAt(NowOf(node));
    if (!lease.ValidAt(NowOf(node))) continue;
    // I7, in true time: while a lease is valid nobody has been elected after its holder.
    const auto& [newest_term, newest_leader] = *leaders_.rbegin();
    if (newest_leader != node.id || newest_term != node.raw->GetStatus().term) {
      Fail("I7: replica " + ToString(node.id) + " holds a lease after a later election");
    }
    served_reads_[newest_term].Forward(lease.promised_read_ts);
    // B13: whatever earlier leaders may have acknowledged is applied before the first read.
    for (size_t i = decided_.size(); i > 0 && counts_.lease_reads % 16 == 0; --i) {
      if (decided_[i - 1].term >= newest_term) continue;
      if (node.applied < decided_[i - 1].index)
        Fail("B13: lease before earlier entries are applied");
      break;
    }
    ++counts_.lease_reads;
  }
}

}  // namespace orrery::raft::test
