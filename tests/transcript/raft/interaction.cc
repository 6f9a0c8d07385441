#include "transcript/raft/interaction.h"

#include <algorithm>

#include "orrery/base/wire.h"

namespace orrery::raft::test {
namespace {

constexpr std::string_view kStates[] = {"probe", "replicate", "snapshot"};

bool HasWord(const transcript::Command& command, std::string_view word) {
  return std::find(command.args.begin(), command.args.end(), word) != command.args.end();
}

std::vector<ReplicaId> Ids(const transcript::Command& command, const std::string& key) {
  std::vector<ReplicaId> ids;
  if (!command.Has(key)) return ids;
  for (const std::string& word : command.options.at(key))
    ids.push_back(ReplicaId(std::stoull(word)));
  return ids;
}

std::string Said(const Status& status) {
  return status.ok() ? "ok"
                     : std::string(CodeName(status.code())) + ": " + std::string(status.message());
}

std::string Said(const StatusOr<EntryId>& id) {
  return id.ok() ? ToString(id->term) + "/" + ToString(id->index) : Said(id.status());
}

std::string Ms(MonoTime t) { return std::to_string(t.ns / 1'000'000) + "ms"; }

template <class List>
void AppendLines(std::string& out, const std::string& title, const List& list) {
  for (const auto& item : list) out += "  " + title + " " + ToString(item) + "\n";
}

std::string Describe(ReplicaId id, const Ready& ready) {
  std::string out = "ready " + ToString(id) + "\n";
  if (ready.soft_state) {
    out += "  role " + std::string(RoleName(ready.soft_state->role)) + " leader=" +
           ToString(ready.soft_state->leader) + " term=" + ToString(ready.soft_state->term) + "\n";
  }
  AppendLines(out, "send", ready.messages);
  if (ready.snapshot) {
    out += "  install snapshot " + ToString(ready.snapshot->term) + "/" +
           ToString(ready.snapshot->index) + "\n";
  }
  AppendLines(out, "append", ready.entries);
  if (ready.hard_state)
    out += "  write " + ToString(*ready.hard_state) + (ready.must_sync ? " sync\n" : "\n");
  AppendLines(out, "send after persist", ready.messages_after_persist);
  AppendLines(out, "apply", ready.committed_entries);
  for (const ReadState& read : ready.read_states) {
    out += "  read " + std::to_string(read.context) + " at " + ToString(read.index) + "\n";
  }
  return out;
}

}  // namespace

std::string Interaction::Handle(const transcript::Command& command) {
  const std::string& name = command.name;
  if (name == "add-nodes") return AddNodes(command);
  if (name == "tick" || name == "run") return Tick(command);
  if (name == "deliver-msgs") return DeliverMessages(command);
  if (name == "stabilize") return Stabilize(command);
  if (name == "persist") return CompleteWrite(ReplicaId(std::stoull(command.args.at(0))));
  if (name == "process-ready") {
    std::string out;
    for (const ReplicaId id : Named(command)) out += ProcessReady(id);
    return out;
  }
  for (const auto handler : {&Interaction::Requests, &Interaction::Faults, &Interaction::Inspect}) {
    if (std::string out = (this->*handler)(command); !out.empty()) return out;
  }
  return "unknown command " + name;
}

std::string Interaction::AddNodes(const transcript::Command& command) {
  const ConfState members{.voters = Ids(command, "voters"), .learners = Ids(command, "learners")};
  async_ = HasWord(command, "async");
  config_.max_inflight_messages = command.GetUint("inflight", 16);
  config_.max_message_bytes = command.GetUint("message-bytes", 1 << 20);
  config_.max_uncommitted_bytes = command.GetUint("quota", 1 << 20);
  config_.max_cached_bytes = command.GetUint("cache", 0);
  for (const auto* list : {&members.voters, &members.learners}) {
    for (const ReplicaId id : *list) nodes_[id].disk = Disk(members);
  }
  for (const ReplicaId id : Ids(command, "bare")) nodes_[id];
  const StartMode mode = HasWord(command, "restarted") ? StartMode::kRestarted : StartMode::kFresh;
  for (auto& [id, node] : nodes_) Start(id, mode);
  return "ok";
}

void Interaction::Start(ReplicaId id, StartMode mode) {
  Node& node = nodes_.at(id);
  Config config = config_;
  config.id = id;
  config.applied = node.disk.applied;
  config.start_time = now_;
  config.seed = id.value() * 100 + node.lives++;
  config.group = 1;
  config.start_mode = mode;
  auto raw = RawNode::Create(config, node.disk);
  node.raw = raw.ok() ? std::move(*raw) : nullptr;
}

std::vector<ReplicaId> Interaction::Named(const transcript::Command& command) const {
  std::vector<ReplicaId> ids;
  for (const std::string& word : command.args) {
    if (std::isdigit(static_cast<unsigned char>(word[0])))
      ids.push_back(ReplicaId(std::stoull(word)));
  }
  if (ids.empty()) {
    for (const auto& [id, node] : nodes_) ids.push_back(id);
  }
  std::erase_if(ids, [&](ReplicaId id) { return !nodes_.at(id).raw; });
  return ids;
}

// ---- time, writes, messages ----

std::string Interaction::Tick(const transcript::Command& command) {
  const std::vector<ReplicaId> ids = Named(command);
  for (uint64_t ms = command.GetUint("ms", 100); ms > 0; ms -= std::min<uint64_t>(ms, 100)) {
    now_ = now_ + std::chrono::milliseconds(std::min<uint64_t>(ms, 100));
    for (const ReplicaId id : ids) nodes_.at(id).raw->Tick(now_);
    if (command.name == "run") Stabilize(command);
  }
  return Ms(now_);
}

std::string Interaction::ProcessReady(ReplicaId id) {
  Node& node = nodes_.at(id);
  if (!node.raw->HasReady()) return "ready " + ToString(id) + ": nothing\n";
  Ready ready = node.raw->TakeReady();
  std::string out = Describe(id, ready);
  if (!ready.storage_error.ok()) out += "  storage error: " + Said(ready.storage_error) + "\n";
  SendAll(std::exchange(ready.messages, {}));
  const std::vector<Entry> to_apply = std::exchange(ready.committed_entries, {});
  if (ready.token) {
    node.writes.push_back(std::move(ready));
    if (!async_) CompleteWrite(id);
  }
  return out + Apply(node, to_apply);
}

std::string Interaction::Apply(Node& node, const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) {
    if (entry.kind == EntryKind::kConfChange) {
      const auto conf = node.raw->ApplyConfChange(entry);
      if (conf.ok()) node.disk.conf = *conf;
      out += "  conf " + (conf.ok() ? ToString(*conf) : Said(conf.status())) + "\n";
    }
    node.disk.applied = entry.index;
    node.raw->OnApplied(entry.index);
  }
  return out;
}

std::string Interaction::CompleteWrite(ReplicaId id) {
  Node& node = nodes_.at(id);
  if (node.writes.empty()) return "nothing under way";
  Ready ready = std::move(node.writes.front());
  node.writes.pop_front();
  if (ready.snapshot) {
    node.disk.InstallSnapshot(*ready.snapshot);
    node.disk.applied = ready.snapshot->index;
    node.disk.conf = ready.snapshot->conf;
  }
  node.disk.Append(ready.entries);
  if (ready.hard_state) node.disk.SetHardState(*ready.hard_state);
  std::string out = "persisted " + std::to_string(ready.token.value) + "\n";
  AppendLines(out, "send", ready.messages_after_persist);
  SendAll(std::move(ready.messages_after_persist));
  node.raw->OnPersisted(ready.token, now_);
  return out;
}

void Interaction::SendAll(std::vector<Message> messages) {
  for (Message& m : messages) {
    if (isolated_.contains(m.from) == isolated_.contains(m.to)) in_flight_.push_back(std::move(m));
  }
}

std::string Interaction::Deliver(const Message& m) {
  const auto to = nodes_.find(m.to);
  if (to == nodes_.end() || !to->second.raw) return "lost " + ToString(m) + "\n";
  // Through bytes and back, as on the wire.
  Message received;
  Status status = wire::Decode(wire::Encode(m), received);
  if (status.ok()) status = to->second.raw->Step(std::move(received), now_);
  return "deliver " + ToString(m) + "\n" + (status.ok() ? "" : "  " + Said(status) + "\n");
}

std::string Interaction::DeliverMessages(const transcript::Command& command) {
  std::deque<Message> kept;
  std::string out;
  for (const Message& m : std::exchange(in_flight_, {})) {
    const bool meant = (!command.Has("to") || m.to == ReplicaId(command.GetUint("to"))) &&
                       (!command.Has("from") || m.from == ReplicaId(command.GetUint("from"))) &&
                       (!command.Has("type") || MessageTypeName(m.type) == command.Get("type"));
    if (!meant) kept.push_back(m);
    else if (HasWord(command, "drop")) out += "drop " + ToString(m) + "\n";
    else out += Deliver(m);
  }
  in_flight_.insert(in_flight_.begin(), kept.begin(), kept.end());
  return out.empty() ? "nothing in flight" : out;
}

std::string Interaction::Stabilize(const transcript::Command& command) {
  const std::vector<ReplicaId> ids = Named(command);
  std::string out;
  for (int rounds = 0; rounds < 100; ++rounds) {
    bool worked = false;
    for (const ReplicaId id : ids) {
      for (; nodes_.at(id).raw->HasReady(); worked = true) out += ProcessReady(id);
      for (; !nodes_.at(id).writes.empty(); worked = true) out += CompleteWrite(id);
    }
    std::deque<Message> kept;
    for (const Message& m : std::exchange(in_flight_, {})) {
      if (std::find(ids.begin(), ids.end(), m.to) == ids.end()) {
        kept.push_back(m);
      } else {
        out += Deliver(m);
        worked = true;
      }
    }
    in_flight_.insert(in_flight_.end(), kept.begin(), kept.end());
    if (!worked) return HasWord(command, "quiet") || out.empty() ? "ok" : out;
  }
  return out + "does not come to rest";
}

// ---- requests ----

std::string Interaction::Requests(const transcript::Command& command) {
  const std::string& name = command.name;
  if (name == "campaign") return Said(At(command).raw->Campaign(now_));
  if (name == "propose") return Said(At(command).raw->Propose(command.args.at(1)));
  if (name == "propose-conf-change") return ProposeConfChange(command);
  if (name == "transfer") {
    return Said(At(command).raw->TransferLeadership(ReplicaId(command.GetUint("to")), now_));
  }
  if (name == "read-index") return Said(At(command).raw->ReadIndex(command.GetUint("context")));
  if (name == "quiesce") {
    return At(command).raw->Quiesce(Ids(command, "absent"), now_) ? "asking" : "refused";
  }
  if (name == "wake") {
    At(command).raw->Wake(now_);
    return "ok";
  }
  if (name == "set-promise") {
    At(command).raw->SetReadPromise({int64_t(command.GetUint("ts")), 0});
    return "ok";
  }
  return "";
}

std::string Interaction::ProposeConfChange(const transcript::Command& command) {
  ConfChange change;
  const std::string joint = command.Get("joint");
  if (joint == "auto") change.transition = ConfTransition::kJointAutoLeave;
  if (joint == "explicit") change.transition = ConfTransition::kJointExplicit;
  for (size_t i = 1; i < command.args.size(); ++i) {
    const std::string& word = command.args[i];
    if (word == "leave") continue;
    const auto kind = word[0] == 'v'   ? ConfChangeKind::kAddVoter
                      : word[0] == 'l' ? ConfChangeKind::kAddLearner
                                       : ConfChangeKind::kRemoveLearner;
    change.steps.push_back({kind, ReplicaId(std::stoull(word.substr(1)))});
  }
  return Said(At(command).raw->ProposeConfChange(change));
}

std::string Interaction::Faults(const transcript::Command& command) {
  const std::string& name = command.name;
  if (name == "partition") {
    for (const ReplicaId id : Named(command)) isolated_.insert(id);
    std::erase_if(in_flight_, [&](const Message& m) {
      return isolated_.contains(m.from) != isolated_.contains(m.to);
    });
  } else if (name == "heal") {
    isolated_.clear();
  } else if (name == "crash") {
    At(command).raw.reset();
    At(command).writes.clear();
  } else if (name == "restart") {
    Start(ReplicaId(std::stoull(command.args.at(0))), StartMode::kRestarted);
  } else if (name == "snapshot") {
    At(command).disk.MakeSnapshot(At(command).disk.applied, At(command).disk.conf);
  } else if (name == "compact") {
    At(command).disk.Compact(RaftIndex(command.GetUint("index")));
  } else if (name == "unreachable") {
    At(command).raw->ReportUnreachable(ReplicaId(command.GetUint("peer")));
  } else if (name == "report-snapshot") {
    At(command).raw->ReportSnapshot(ReplicaId(command.GetUint("peer")),
                                    HasWord(command, "failed")
                                        ? RawNode::SnapshotResult::kFailed
                                        : RawNode::SnapshotResult::kDelivered);
  } else {
    return "";
  }
  return "ok";
}

// ---- looking ----

std::string Interaction::Inspect(const transcript::Command& command) {
  if (command.name == "states") {
    std::string out;
    for (const auto& [id, node] : nodes_) {
      out += ToString(id);
      if (!node.raw) {
        out += " down\n";
        continue;
      }
      const GroupStatus s = node.raw->GetStatus();
      out += " " + std::string(RoleName(s.role)) + " term=" + ToString(s.term) +
             " leader=" + ToString(s.leader) + " vote=" + ToString(s.vote) +
             " commit=" + ToString(s.commit) + " last=" + ToString(s.last_index) +
             (s.quiet ? " quiet\n" : "\n");
    }
    return out;
  }
  if (command.name == "status") {
    const GroupStatus s = At(command).raw->GetStatus();
    std::string out = std::string(RoleName(s.role)) + " term=" + ToString(s.term) +
                      " commit=" + ToString(s.commit) + " applied=" + ToString(s.applied) +
                      " last=" + ToString(s.last_index) + " durable=" + ToString(s.durable_index) +
                      " conf=" + ToString(s.conf) + "\n";
    for (const PeerStatus& p : s.peers) {
      out += "  " + ToString(p.id) + (p.learner ? " learner " : " ") +
             std::string(kStates[int(p.state)]) + " match=" + ToString(p.match) +
             " next=" + ToString(p.next);
      if (p.inflight_messages > 0) out += " inflight=" + std::to_string(p.inflight_messages);
      if (p.pending_snapshot) out += " pending=" + ToString(p.pending_snapshot);
      out += p.recently_active ? "\n" : " silent\n";
    }
    return out;
  }
  if (command.name == "log") {
    const Disk& disk = At(command).disk;
    std::string out =
        "first=" + ToString(disk.FirstIndex()) + " last=" + ToString(disk.LastIndex()) + "\n";
    if (disk.FirstIndex() > disk.LastIndex()) return out;
    const auto entries = disk.Entries(disk.FirstIndex(), disk.LastIndex().Next(), 1 << 20);
    for (const Entry& entry : *entries) out += ToString(entry) + "\n";
    return out;
  }
  if (command.name == "lease") {
    const LeaseStatus lease = At(command).raw->LeaseAt(now_);
    const std::string prior =
        " prior_promise=" + std::to_string(At(command).raw->PriorReadPromise().wall_ns);
    if (!lease.held) return "now " + Ms(now_) + ": none" + prior;
    return "now " + Ms(now_) + ": " + (lease.ValidAt(now_) ? "valid" : "over") + " until " +
           (lease.valid_until < MonoTime{} ? "never" : Ms(lease.valid_until)) + " promise=" +
           std::to_string(lease.promised_read_ts.wall_ns) + prior;
  }
  return "";
}

}  // namespace orrery::raft::test
