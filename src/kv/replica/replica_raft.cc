// The replica inside a cycle of the driver: messages, proposals and ticks in; entries, messages and commands
// out; the lease that rests on the group's leadership.
#include <algorithm>
#include <iterator>

#include "kv/replica/local_keys.h"
#include "kv/replica/replica.h"
#include "orrery/base/assert.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;
using storage::SpaceLevel;

namespace {

constexpr Duration kServedPastLease = 3s;  // by a planted bug
constexpr size_t kOtherFieldsBytes = 128;  // of an ordinary command, beside its effects

}  // namespace

Status Replica::Load(raft::StartMode mode, Timestamp read_promise, LoadAs as) {
  auto& engine = host_.engine();
  RangeDescriptor descriptor;
  auto found = ReadRecord(engine, ColumnFamily::kState, local_keys::Descriptor(range_), descriptor);
  if (!found.ok()) return found.status();
  if (*found) {
    current_descriptor_ = std::make_shared<const RangeDescriptor>(std::move(descriptor));
    auto lease = ReadRecord(engine, ColumnFamily::kState, local_keys::LeaseRecord(range_), current_lease_);
    if (!lease.ok()) return lease.status();
    auto state = ReadRecord(engine, ColumnFamily::kState, local_keys::AppliedState(range_), state_);
    if (!state.ok()) return state.status();
    auto conf = ReadRecord(engine, ColumnFamily::kState, local_keys::Membership(range_), membership_);
    if (!conf.ok()) return conf.status();
    if (!*state || !*conf) return DataLossError("range " + ToString(range_) + " has lost part of its state");
  }
  RETURN_IF_ERROR(log_.Load(membership_));
  log_.SetApplied({state_.index, state_.term}, membership_);
  raft::Config config;
  config.id = id_;
  config.applied = state_.index;
  config.start_time = host_.mono_clock().MonoNow();
  config.seed = host_.limits().seed * 1000003 + range_.value() * 131 + id_.value();
  config.group = range_.value();
  config.start_mode = mode;
  config.election_timeout = host_.limits().election_timeout;
  config.heartbeat_interval = host_.limits().heartbeat_interval;
  config.lease_duration = host_.limits().lease_duration;
  config.initial_read_promise = read_promise;
  config.max_uncommitted_bytes = host_.limits().proposed_bytes_max;
  config.start_quiet = was_quiet_ = as == LoadAs::kAsleep && MayStartQuiet();
  if (was_quiet_) {
    config.known_leader = current_lease_.holder.replica;
    led_before_start_ = config.known_leader == id_;
    quiet_.store(true);
  }
  ASSIGN_OR_RETURN(raft_, raft::RawNode::Create(config, log_));
  host_.clock().Forward(current_lease_.start);
  host_.clock().Forward(state_.write_ts_max);
  MutexLock lock(mutex_);
  PublishState();
  raft_status_ = raft_->GetStatus();
  leader_contact_ = config.start_time;
  last_work_ = config.start_time;
  log_bytes_ = log_.bytes();
  rest_.since_start = rest_.in_doubt = was_quiet_;
  return OkStatus();
}

Status Replica::ReloadAfterInstall() {
  RangeDescriptor descriptor;
  auto& engine = host_.engine();
  auto found = ReadRecord(engine, ColumnFamily::kState, local_keys::Descriptor(range_), descriptor);
  if (!found.ok()) return found.status();
  if (!*found) return DataLossError("a RaftSnapshot brought no descriptor");
  current_descriptor_ = std::make_shared<const RangeDescriptor>(std::move(descriptor));
  found = ReadRecord(engine, ColumnFamily::kState, local_keys::LeaseRecord(range_), current_lease_);
  if (!found.ok()) return found.status();
  found = ReadRecord(engine, ColumnFamily::kState, local_keys::AppliedState(range_), state_);
  if (!found.ok()) return found.status();
  found = ReadRecord(engine, ColumnFamily::kState, local_keys::Membership(range_), membership_);
  if (!found.ok()) return found.status();
  log_.SetApplied({state_.index, state_.term}, membership_);
  host_.clock().Forward(current_lease_.start);
  host_.clock().Forward(state_.write_ts_max);
  MutexLock lock(mutex_);
  PublishState();
  inherited_.reset();
  return OkStatus();
}

// ---- From outside a cycle.

void Replica::PostMessage(RaftEnvelope envelope) {
  MutexLock lock(inbox_mutex_);
  inbox_.messages.push_back(std::move(envelope));
}
std::vector<RaftEnvelope> Replica::TakeMessages() {
  MutexLock lock(inbox_mutex_);
  return std::exchange(inbox_.messages, {});
}
void Replica::PostTick() {
  MutexLock lock(inbox_mutex_);
  inbox_.tick = true;
}
void Replica::Post(std::function<void(Replica&, CycleOutput&)> action) {
  MutexLock lock(inbox_mutex_);
  inbox_.actions.push_back(std::move(action));
}
void Replica::Submit(std::shared_ptr<Proposal> proposal) {
  {
    MutexLock lock(inbox_mutex_);
    inbox_.proposals.push_back(std::move(proposal));
  }
  host_.driver().Enqueue(shared_from_this());
}

// ---- Inside a cycle.

void Replica::Collect(CycleOutput& out) {
  Inbox inbox;
  {
    MutexLock lock(inbox_mutex_);
    inbox = std::move(inbox_);
    inbox_ = Inbox{};
  }
  if (raft_ && !(inbox.actions.empty() && inbox.proposals.empty())) raft_->Wake(out.now);
  for (auto& action : inbox.actions) action(*this, out);
  if (dead_ || quarantined_) {
    for (auto& proposal : inbox.proposals) {
      Complete(proposal, ToStatus(KvError{RangeNotFoundError{range_}, std::nullopt}), out);
    }
    return;
  }
  for (auto& envelope : inbox.messages) {
    peers_heard_[envelope.from.replica] = envelope.from;
    if (NotePeerSpace(envelope)) UpdateSpace(out);
    const bool from_leader = envelope.message.type == raft::MessageType::kApp ||
                             envelope.message.type == raft::MessageType::kHeartbeat;
    if (from_leader) {
      MutexLock lock(mutex_);
      leader_contact_ = out.now;
    }
    if (!AdmitWhileQuiet(envelope, out)) continue;
    const Status status = raft_->Step(std::move(envelope.message), out.now);
    if (status.code() == Code::kDataLoss) return Quarantine(status, out);
  }
  ResumeLead(out.now);
  if (inbox.tick) {
    if (requests_since_tick_.load(std::memory_order_relaxed) > 0) last_work_ = out.now;
    RaisePromise();
    raft_->Tick(out.now);
    UpdateSpace(out);
    MaybeTruncate();
    MaybeQuiesce(out.now);
  }
  ProposeAll(std::move(inbox.proposals), out);
  ContinueHandOver(out.now);
  MaybeProposeLease(out);
  TakeReady(out);
  UpdateServing(out.now);
}

void Replica::TakeReady(CycleOutput& out) {
  persist_token_ = {};
  if (!raft_->HasReady()) return;
  raft::Ready ready = raft_->TakeReady();
  if (!ready.storage_error.ok()) return Quarantine(ready.storage_error, out);
  if (ready.soft_state) {
    const bool was_leader = soft_state_.role == raft::Role::kLeader;
    const bool same_term = soft_state_.term == ready.soft_state->term;
    soft_state_ = *ready.soft_state;
    if (was_leader && (soft_state_.role != raft::Role::kLeader || !same_term)) {
      if (!Planted(PlantedBug::kServesPastLease)) StopServing();
      leaving_.reset();
    }
    if (!same_term) lease_proposed_ = false;
  }
  Route(std::move(ready.messages), out.messages);
  if (ready.snapshot) {
    // A7: its chunks are staged on this store. They go in at once, so that Readys stay in order.
    const Status installed = host_.InstallStagedSnapshot(*this, *ready.snapshot);
    if (!installed.ok()) return Quarantine(installed, out);
    FailInFlight([](const Proposal&) { return true; },
                 AmbiguousError("the range was replaced by a RaftSnapshot; the outcome of a write is not known"), out);
    out.after.push_back([this] { host_.OnDescriptorChanged(*current_descriptor_); });
  }
  out.entry_count += ready.entries.size();
  if (MayCommitAlone(ready)) {
    alone_ = std::move(ready.entries);
  } else {
    log_.StageEntries(out.log, std::move(ready.entries));
    if (ready.hard_state) log_.StageHardState(out.log, *ready.hard_state);
  }
  out.sync = out.sync || ready.must_sync;
  Route(std::move(ready.messages_after_persist), out.messages_after_persist);
  committed_ = std::move(ready.committed_entries);
  persist_token_ = ready.token;
  out.read_promise.Forward(raft_->ReadPromise());
}

bool Replica::ApplyAwaited(CycleOutput& out) {
  if (dead_ || quarantined_ || committed_.empty() || in_flight_.empty()) return false;
  ApplyCommitted(out);
  return !dead_ && !quarantined_;
}

void Replica::Apply(CycleOutput& out) {
  if (std::exchange(applied_alone_, false) || dead_ || quarantined_) return;
  if (persist_token_) {
    raft_->OnPersisted(persist_token_, out.now);
    auto more = raft_->TakeCommitted();
    if (!more.ok()) return Quarantine(more.status(), out);
    std::move(more->begin(), more->end(), std::back_inserter(committed_));
  }
  persist_token_ = {};
  ApplyCommitted(out);
}

void Replica::ApplyCommitted(CycleOutput& out) {
  if (committed_.empty()) return;
  for (const auto& entry : committed_) {
    ApplyEntry(entry, out);
    if (dead_ || quarantined_) return;
  }
  StageAppliedState(out.effects);
  log_.SetApplied({state_.index, state_.term}, membership_);
}

void Replica::PublishState() {
  ORRERY_ASSERT(current_descriptor_ || !descriptor_, "a replica that has its data keeps it until it goes");
  descriptor_ = current_descriptor_;
  lease_ = current_lease_;
  applied_ = state_;
  initialised_.store(descriptor_ != nullptr, std::memory_order_release);
}

void Replica::PublishApplied(CycleOutput& out) {
  {
    ToWake to_wake;
    MutexLock lock(mutex_);
    if (!committed_.empty()) PublishState();
    for (auto& [proposal, status] : completed_) {
      if (status.ok()) {
        ApplyLocalEffects(*proposal, to_wake);
      } else if (proposal->request) {
        Woken woken;
        concurrency_.Finish(*proposal->request, woken);
        to_wake.Add(woken);
      }
      proposal->request.reset();
    }
  }
  for (auto& [proposal, status] : completed_) {
    proposal->status = std::move(status);
    out.finished.push_back(std::move(proposal));
  }
  completed_.clear();
  if (!committed_.empty()) {
    raft_->OnApplied(committed_.back().index);
    committed_.clear();
  }
}

bool Replica::Finish(CycleOutput& out) {
  if (dead_ || quarantined_) return false;
  PublishApplied(out);
  bool leaving_may_go_on = false;
  raft::GroupStatus raft_status = raft_->GetStatus();
  {
    MutexLock lock(mutex_);
    raft_status_ = std::move(raft_status);
    log_bytes_ = log_.bytes();
    if (leaving_) {
      leaving_may_go_on = leaving_->proposed ? inherited_ && inherited_->sequence == ended_lease_
                                             : concurrency_.idle() && loans_.lent.over_at() <= out.now;
    }
  }
  UpdateServing(out.now);
  MaybeOpenAdmission(out.now);
  const bool woken = NoteQuiet(out);
  MutexLock lock(inbox_mutex_);
  return woken || raft_->HasReady() || !inbox_.empty() || WaitingMayGoOn() || leaving_may_go_on || LeaseIsDue(out.now);
}

void Replica::OnStoreFailure(const Status& status, CycleOutput& out) {
  StopServing();
  FailInFlight([](const Proposal&) { return true; }, AmbiguousError("the store failed: " + status.ToString()), out);
  {
    MutexLock lock(mutex_);
    for (auto& [proposal, result] : completed_) {
      if (!proposal->request) continue;
      Woken woken;
      concurrency_.Finish(*proposal->request, woken);
      Wake(woken);
      proposal->request.reset();
    }
  }
  for (auto& [proposal, result] : completed_) {
    proposal->status = result.ok() ? AmbiguousError("the store failed") : result;
    out.finished.push_back(proposal);
  }
  completed_.clear();
  quarantined_ = true;
  OpenAdmission();
}

// ---- Proposals.

void Replica::Complete(const std::shared_ptr<Proposal>& proposal, Status status, CycleOutput& out) {
  if (dead_ || quarantined_) {  // no Finish will follow
    MutexLock lock(mutex_);
    if (proposal->request) {
      Woken woken;
      concurrency_.Finish(*proposal->request, woken);
      Wake(woken);
      proposal->request.reset();
    }
    proposal->status = std::move(status);
    out.finished.push_back(proposal);
    return;
  }
  completed_.emplace_back(proposal, std::move(status));
}

// What waits has not entered the log: certainly not executed.
void Replica::FailInFlight(const std::function<bool(const Proposal&)>& which, const Status& status,
                           CycleOutput& out) {
  const auto stays = std::stable_partition(waiting_.begin(), waiting_.end(), [&](const auto& proposal) { return !which(*proposal); });
  for (auto it = stays; it != waiting_.end(); ++it) Complete(*it, NotLeaseholder(), out);
  waiting_.erase(stays, waiting_.end());
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    if (!which(*it->second)) {
      ++it;
      continue;
    }
    Complete(it->second, status, out);
    it = in_flight_.erase(it);
  }
}

// What is more than raft takes before some of it is committed waits, and all that came behind it: a large command would never
// have its turn among small ones.
void Replica::ProposeAll(std::vector<std::shared_ptr<Proposal>> proposals, CycleOutput& out) {
  std::move(proposals.begin(), proposals.end(), std::back_inserter(waiting_));
  for (; !waiting_.empty(); waiting_.pop_front()) {
    const std::shared_ptr<Proposal>& proposal = waiting_.front();
    Status status = ProposeOne(*proposal);
    if (status.code() == Code::kResourceExhausted) return;
    if (status.ok()) {
      in_flight_.emplace(proposal->entry, proposal);
      continue;
    }
    // It never entered the log: certainly not executed.
    if (!proposal->command.change_replicas) status = NotLeaseholder();
    Complete(proposal, std::move(status), out);
  }
}

// Of what waits, the first may be proposed now, or refused for good.
bool Replica::WaitingMayGoOn() const {
  return !waiting_.empty() && raft_->MayPropose(waiting_.front()->command.effects.size()).code() != Code::kResourceExhausted;
}

// T4: evaluated under the lease that is current, which rests on the term in which we propose.
bool Replica::IsLeased(const Command& command) const {
  return soft_state_.role == raft::Role::kLeader && current_lease_.term == soft_state_.term &&
         current_lease_.sequence == command.lease_sequence && current_lease_.holder.replica == id_ &&
         current_lease_.sequence != ended_lease_;
}

Status Replica::ProposeOne(Proposal& proposal) {
  Command& command = proposal.command;
  if (Planted(PlantedBug::kSequenceAtProposal) && !command.lease) command.lease_sequence = current_lease_.sequence;
  if (!command.lease && !IsLeased(command)) return NotLeaseholder();
  command.lease_applied_index = max_lease_applied_index_ + 1;
  if (command.change_replicas) {
    raft::ConfChange change = ConfChangeBetween(*current_descriptor_, command.change_replicas->descriptor);
    change.context = wire::Encode(command);
    ASSIGN_OR_RETURN(proposal.entry, raft_->ProposeConfChange(change));
  } else {
    // What followers do nothing with but to write it down, they may hear of later.
    RETURN_IF_ERROR(raft_->MayPropose(command.effects.size()));  // before it is encoded, as it may be asked many times
    const bool awaited = command.lease || command.split || command.lock_handover;
    std::string payload;
    payload.reserve(command.effects.size() + kOtherFieldsBytes);
    wire::EncodeTo(command, payload);
    const auto news = awaited ? raft::CommitNews::kAtOnce : raft::CommitNews::kWithNext;
    ASSIGN_OR_RETURN(proposal.entry, raft_->Propose(std::move(payload), news));
  }
  ++max_lease_applied_index_;
  return OkStatus();
}

// An earlier leader's promise may lie in the future (a restart finds only the bound of what was promised). The
// lease waits until timestamps above it are acceptable to everybody's clocks.
bool Replica::LeaseIsDue(MonoTime now) const {
  if (soft_state_.role != raft::Role::kLeader || lease_proposed_ || leaving_ || !current_descriptor_) return false;
  if (!raft_->LeaseAt(now).held) return false;
  return raft_->PriorReadPromise().wall_ns <= host_.clock().PhysicalNowNs() + PromiseAhead().count();
}

// B13: a leader serves nothing until its own lease is applied under its own term; it may propose one once an
// entry of its term is applied (LeaseStatus::held), so the sequence follows every earlier lease.
void Replica::MaybeProposeLease(CycleOutput& out) {
  if (!LeaseIsDue(out.now)) return;
  const ReplicaDescriptor* self = current_descriptor_->FindReplica(id_);
  if (!self) return;
  Lease lease;
  lease.sequence = current_lease_.sequence.Next();
  lease.holder = *self;
  lease.term = soft_state_.term;
  lease.start = host_.clock().Now();
  lease.start.Forward(current_lease_.start);       // T5
  lease.start.Forward(raft_->PriorReadPromise());  // B29: and the bound is on disk from now on
  max_lease_applied_index_ = state_.lease_applied_index;
  auto proposal = std::make_shared<Proposal>();
  proposal->command.lease = lease;
  proposal->command.lease_sequence = current_lease_.sequence;
  if (ProposeOne(*proposal).ok()) {
    lease_proposed_ = true;
    in_flight_.emplace(proposal->entry, std::move(proposal));
  }
}

// A8: keeps what live followers still need, unless the log has grown over its limit.
void Replica::MaybeTruncate() {
  if (soft_state_.role != raft::Role::kLeader || truncation_proposed_ || current_lease_.term != soft_state_.term) return;
  const auto& limits = host_.limits();
  const uint64_t held = state_.index.value() - log_.FirstIndex().Prev().value();
  const bool over_limit = log_.bytes() > limits.raft_log_bytes_max;
  // Few entries are worth a truncation if they are large (a bulk load's are megabytes).
  const bool many = held >= 2 * limits.raft_log_entries_min;
  if (!many && !over_limit) return;
  const raft::GroupStatus status = raft_->GetStatus();
  RaftIndex keep_from = state_.index;
  for (const auto& peer : status.peers) {
    if (!over_limit || peer.recently_active) keep_from = std::min(keep_from, peer.match);
  }
  const uint64_t patience = many ? 4 : 16;  // a few large entries behind is not yet hopelessly behind
  if (log_.bytes() > patience * limits.raft_log_bytes_max) keep_from = state_.index;
  if (keep_from < log_.FirstIndex()) return;
  const uint64_t behind = many ? limits.raft_log_entries_min : 1;
  const uint64_t target = std::min(keep_from.value(), state_.index.value() > behind ? state_.index.value() - behind : 0);
  if (target <= log_.FirstIndex().value() + behind) return;
  const auto term = log_.Term(RaftIndex(target));
  if (!term.ok()) return;
  auto proposal = std::make_shared<Proposal>();
  proposal->command.lease_sequence = current_lease_.sequence;
  proposal->command.truncate = {RaftIndex(target), *term};
  if (ProposeOne(*proposal).ok()) {
    truncation_proposed_ = true;
    in_flight_.emplace(proposal->entry, std::move(proposal));
  }
}

// Whether that is news.
bool Replica::NotePeerSpace(const RaftEnvelope& envelope) {
  const ReplicaId peer = envelope.from.replica;
  if (envelope.disk_space == 0) return full_peers_.erase(peer) != 0;
  const SpaceLevel level = envelope.disk_space == 1 ? SpaceLevel::kFull : SpaceLevel::kExhausted;
  return std::exchange(full_peers_[peer], level) != level;
}

// N10. A full disk takes no new data while what is left of it still serves raft's own records, commits, resolved
// locks and deletions; an exhausted one no deletions either. A leader with a full disk hands over to a voter that has
// room. Full followers get no entries as long as the others are a majority (as if the messages were lost); if they are
// needed for one, all new data is refused before it is proposed: afterwards nobody could say what becomes of it.
void Replica::UpdateSpace(CycleOutput& out) {
  majority_has_space_ = true;
  ProposalSpace space;
  const SpaceLevel own = host_.disk_space();
  if ((own != SpaceLevel::kEnough || !full_peers_.empty()) && soft_state_.role == raft::Role::kLeader) {
    size_t voters = 0;
    size_t with_space = 0;
    size_t not_exhausted = 0;
    ReplicaId successor;
    for (const auto& peer : raft_->GetStatus().peers) {
      if (peer.learner) continue;
      ++voters;
      if (peer.id != id_ && !peer.recently_active) continue;
      const auto full = full_peers_.find(peer.id);
      const SpaceLevel level = peer.id == id_ ? own : full == full_peers_.end() ? SpaceLevel::kEnough : full->second;
      not_exhausted += level != SpaceLevel::kExhausted;
      if (level != SpaceLevel::kEnough) continue;
      ++with_space;
      if (peer.id != id_) successor = peer.id;
    }
    majority_has_space_ = with_space * 2 > voters;
    const SpaceLevel majority = not_exhausted * 2 <= voters ? SpaceLevel::kExhausted
                                : majority_has_space_       ? SpaceLevel::kEnough
                                                            : SpaceLevel::kFull;
    space = {std::max(own, majority), own >= majority};
    const bool leads_in_vain = majority_has_space_ && own != SpaceLevel::kEnough;
    if (leads_in_vain && successor) (void)BeginHandOver(successor, LeaseMove::kRequired, out.now).ok();  // or at the next tick
  }
  space_.store(space, std::memory_order_relaxed);
}

// ---- The lease.

// Called at each tick: a range that is read keeps its promise ahead of the clock, an idle one lets it lapse. The
// physical clock counts: a new lease moves the hybrid clock up to the former promise, so that a promise measured
// from there would run ahead by one more step with each lease, until other nodes refuse its timestamps.
void Replica::RaisePromise() {
  if (soft_state_.role != raft::Role::kLeader) return;
  if (requests_since_tick_.exchange(0, std::memory_order_relaxed) == 0) return;
  raft_->SetReadPromise({host_.clock().PhysicalNowNs() + PromiseAhead().count(), 0});
}

// The next leader writes above what was promised: less than the clock offset that everybody tolerates, so that
// its timestamps are accepted at once.
Duration Replica::PromiseAhead() const { return host_.clock().max_offset() * 3 / 5; }

void Replica::UpdateServing(MonoTime now) {
  const bool ours = soft_state_.role == raft::Role::kLeader && current_lease_.term == soft_state_.term &&
                    current_lease_.holder.replica == id_ && current_lease_.sequence != ended_lease_;
  raft::LeaseStatus status = ours ? raft_->LeaseAt(now) : raft::LeaseStatus{};
  if (Planted(PlantedBug::kServesPastLease)) {
    if (!status.held && HasLeaseAt(now)) return;
    status.valid_until = status.valid_until + kServedPastLease;
  }
  NoteOwnership(status.held);
  if (!status.held) {
    if (serving_until_ns_.load(std::memory_order_relaxed) != 0) StopServing();
    return;
  }
  if (!leaving_) lends_.store(true, std::memory_order_relaxed);
  const bool more = status.promised_read_ts.wall_ns > promised_wall_ns_.load(std::memory_order_relaxed);
  promised_wall_ns_.store(status.promised_read_ts.wall_ns, std::memory_order_release);
  serving_until_ns_.store(status.valid_until.ns, std::memory_order_release);
  const bool renewed = now < status.valid_until && renewing_.exchange(false);
  if (more || renewed) {
    MutexLock lock(mutex_);
    promise_cv_.NotifyAll();
  }
}

void Replica::NoteOwnership(bool owns) {
  if (owns_lease_.exchange(owns) != owns) host_.counters().leases.fetch_add(owns ? 1 : -1, std::memory_order_relaxed);
  if (owns || !renewing_.exchange(false)) return;
  MutexLock lock(mutex_);
  promise_cv_.NotifyAll();  // the lease that was waited for is lost
}

void Replica::StopServing() {
  NoteOwnership(false);
  serving_until_ns_.store(0, std::memory_order_release);
  promised_wall_ns_.store(0, std::memory_order_release);
  MutexLock lock(mutex_);
  Woken woken;
  concurrency_.OnLeaseLost(woken);
  Wake(woken);
  WakePushers(pushes_.Clear());
  promise_cv_.NotifyAll();
}

// ---- Peers.

std::optional<ReplicaDescriptor> Replica::PeerOf(ReplicaId peer) const {
  if (current_descriptor_) {
    if (const auto* found = current_descriptor_->FindReplica(peer)) return *found;
  }
  if (const auto it = peers_heard_.find(peer); it != peers_heard_.end()) return it->second;
  return std::nullopt;
}

void Replica::Route(std::vector<raft::Message> messages, std::map<NodeId, RaftMessageBatch>& out) {
  const ReplicaDescriptor self{host_.node(), host_.store(), id_, ReplicaType::kVoter};
  for (auto& message : messages) {
    const auto peer = PeerOf(message.to);
    if (!peer) continue;
    const bool has_entries = message.type == raft::MessageType::kApp && !message.entries.empty();
    if (has_entries && majority_has_space_ && full_peers_.contains(message.to)) continue;
    RaftEnvelope envelope{range_, self, *peer, std::move(message), uint8_t(host_.disk_space())};
    if (envelope.message.type == raft::MessageType::kSnap) {
      host_.SendRaftSnapshot(shared_from_this(), std::move(envelope));
    } else {
      out[peer->node].messages.push_back(std::move(envelope));
    }
  }
}

// B58: proof of lost data, or a log that cannot be read: this replica takes no further part.
void Replica::Quarantine(const Status& status, CycleOutput& out) {
  StopServing();
  OpenAdmission();
  quarantined_ = true;
  committed_.clear();
  FailInFlight([](const Proposal&) { return true; }, AmbiguousError("replica quarantined: " + status.ToString()), out);
  auto rest = std::move(completed_);
  completed_.clear();
  for (auto& [proposal, result] : rest) Complete(proposal, result, out);
}

void Replica::Retire(CycleOutput& out) {
  StopServing();
  OpenAdmission();
  dead_ = true;
  committed_.clear();
  FailInFlight([](const Proposal&) { return true; }, AmbiguousError("the replica was removed"), out);
  auto rest = std::move(completed_);
  completed_.clear();
  for (auto& [proposal, result] : rest) Complete(proposal, result, out);
  MutexLock lock(mutex_);
  retired_ = true;
}

}  // namespace orrery::kv
