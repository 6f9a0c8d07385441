#include "orrery/kv/store/store.h"

#include <algorithm>

#include "kv/store/range_state.h"
#include "kv/store/store_impl.h"
#include "orrery/base/hash.h"
#include "orrery/storage/mvcc.h"
#include "orrery/storage/store_records.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;

namespace {

// How far ahead of the present need the bound on read promises is written: one sync in this time at most.
constexpr Duration kPromiseBoundAhead = 1s;
constexpr size_t kOutgoingSnapshotsQueued = 64;

}  // namespace

std::unique_ptr<Store> Store::Create(const StoreOptions& options, StoreDeps deps) {
  return std::make_unique<StoreImpl>(options, std::move(deps));
}

// Runs posted actions inside a cycle.
class StoreImpl::Agent final : public DrivenRange {
 public:
  void Post(std::function<void(CycleOutput&)> action) {
    MutexLock lock(mutex_);
    actions_.push_back(std::move(action));
  }
  void Collect(CycleOutput& out) override {
    std::vector<std::function<void(CycleOutput&)>> actions;
    {
      MutexLock lock(mutex_);
      actions = std::move(actions_);
      actions_.clear();
    }
    for (auto& action : actions) action(out);
  }
  void Apply(CycleOutput&) override {}
  bool Finish(CycleOutput&) override {
    MutexLock lock(mutex_);
    return !actions_.empty();
  }
  void OnStoreFailure(const Status&, CycleOutput&) override {}

 private:
  runtime::Mutex mutex_{"store.agent"};
  std::vector<std::function<void(CycleOutput&)>> actions_ ABSL_GUARDED_BY(mutex_);
};

StoreImpl::StoreImpl(const StoreOptions& options, StoreDeps deps) : options_(options), deps_(std::move(deps)) {
  limits_.election_timeout = options.election_timeout;
  limits_.heartbeat_interval = options.heartbeat_interval;
  limits_.lease_duration = options.lease_duration;
  limits_.proposal_timeout = options.proposal_timeout;
  limits_.push_delay = options.push_delay;
  limits_.lend_after = options.lend_after;
  limits_.quiesce_after = deps_.liveness ? options.quiesce_after : Duration(0);
  limits_.seed = options.seed;
  limits_.command_bytes_max = options.command_bytes_max;
  limits_.proposed_bytes_max = options.proposed_bytes_max;
  limits_.scan_bytes_max = options.scan_bytes_max;
  limits_.load_bytes_min = options.load_bytes_min;
  limits_.raft_log_bytes_max = options.raft_log_bytes_max;
  limits_.raft_log_entries_min = options.raft_log_entries_min;
  limits_.planted = options.planted;
}

StoreImpl::~StoreImpl() = default;

Status StoreImpl::Start(const runtime::Context& context) {
  runtime_ = &context.runtime();
  agent_ = std::make_shared<Agent>();
  RaftDriver::Hooks hooks;
  hooks.send = [this](NodeId to, RaftMessageBatch batch) { SendMessages(to, std::move(batch)); };
  hooks.cover_promise = [this](Timestamp promise, CycleOutput& out) { return CoverPromise(promise, out); };
  if (options_.planted == PlantedBug::kNoSync) hooks.log_sync = storage::SyncMode::kNoSync;
  hooks.effects_later = options_.planted == PlantedBug::kEffectsAfterCommit;
  driver_ = std::make_unique<RaftDriver>(deps_.engine, runtime_->clock(), std::move(hooks));
  ASSIGN_OR_RETURN(const auto bound, storage::ReadBound(deps_.engine, storage::kReadPromiseName));
  if (bound) initial_read_promise_ = promise_bound_ = *bound;
  txn_seed_ = runtime_->random().Next();
  RETURN_IF_ERROR(FinishInstalls());
  RETURN_IF_ERROR(LoadReplicas());
  tasks_ = std::make_unique<runtime::TaskGroup>(context, "store");
  context_ = tasks_->context();
  outgoing_ = std::make_unique<runtime::Channel<OutgoingSnapshot>>(kOutgoingSnapshotsQueued);
  auto spawn = [this](std::string_view name, void (StoreImpl::*body)(const runtime::Context&)) {
    tasks_->Spawn({.name = name}, [this, body](const runtime::Context& c) {
      (this->*body)(c);
      return OkStatus();
    });
  };
  tasks_->Spawn({.name = "raft driver"}, [this](const runtime::Context& c) {
    driver_->Run(c);
    return OkStatus();
  });
  spawn("raft ticks", &StoreImpl::RunTicks);
  spawn("range queues", &StoreImpl::RunQueues);
  spawn("removals", &StoreImpl::RunRemovals);
  for (uint64_t i = 0; i < options_.snapshots_outgoing_max; ++i) spawn("snapshot sender", &StoreImpl::RunSnapshotSender);
  for (const auto& replica : AllReplicas()) {
    if (const auto descriptor = replica->descriptor()) {
      OnDescriptorChanged(*descriptor);
      // The only voter of a group need not wait for an election timeout.
      if (descriptor->replicas.size() == 1) {
        replica->Post([](Replica& self, CycleOutput& out) {
          if (self.raft()) (void)self.raft()->Campaign(out.now).ok();
        });
      }
    }
    driver_->Enqueue(replica);
  }
  driver_->Nudge();
  return OkStatus();
}

Status StoreImpl::LoadReplicas() {
  auto it = deps_.engine.NewIterator(
      ColumnFamily::kState,
      {std::string(local_keys::kLocalReplicaPrefix), ordered::PrefixEnd(local_keys::kLocalReplicaPrefix)});
  std::vector<std::pair<RangeId, ReplicaId>> found;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    RangeId range;
    LocalReplicaRecord record;
    if (!local_keys::ParseRangeSuffix(it->key(), local_keys::kLocalReplicaPrefix.size(), range)) {
      return DataLossError("malformed key of a local replica");
    }
    RETURN_IF_ERROR(ParseRecord(it->key(), it->value(), record));
    found.emplace_back(range, record.replica);
  }
  RETURN_IF_ERROR(it->status());
  for (const auto& [range, id] : found) {
    auto replica = std::make_shared<Replica>(*this, range, id);
    RETURN_IF_ERROR(replica->Load(raft::StartMode::kRestarted, initial_read_promise_, LoadAs::kAsleep)
                        .Annotate("loading range " + ToString(range)));
    Insert(std::move(replica));
  }
  return OkStatus();
}

void StoreImpl::Stop(StopMode mode) {
  if (!tasks_) return;
  if (mode == StopMode::kDrain) HandOverLeases();
  driver_->Stop();
  outgoing_->Close();
  tasks_->Cancel();
  (void)tasks_->Join().ok();
  tasks_.reset();
}

StoreImpl::ReplicaPtr StoreImpl::Find(RangeId range) const {
  MutexLock lock(mutex_);
  const auto it = replicas_.find(range.value());
  return it == replicas_.end() ? nullptr : it->second;
}

std::vector<StoreImpl::ReplicaPtr> StoreImpl::AllReplicas() const {
  std::vector<ReplicaPtr> all;
  {
    MutexLock lock(mutex_);
    all.reserve(replicas_.size());
    for (const auto& [id, replica] : replicas_) all.push_back(replica);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->range() < b->range(); });
  return all;
}

void StoreImpl::Insert(ReplicaPtr replica) {
  MutexLock lock(mutex_);
  Forget(replica->range());
  const auto descriptor = replica->descriptor();
  const bool quiet = replica->rest().quiet;
  (quiet ? quiet_ : awake_)[replica->range().value()] = replica;
  if (descriptor) by_start_[descriptor->start] = replica;
  // Nothing is known yet of the nodes that it rests on: what WatchNodes sees first is no change.
  if (quiet && descriptor) {
    for (const auto& r : descriptor->replicas) lives_.try_emplace(r.node, NodeLife{});
  }
  replicas_[replica->range().value()] = std::move(replica);
}

void StoreImpl::Forget(RangeId range) {
  const auto it = replicas_.find(range.value());
  if (it == replicas_.end()) return;
  if (const auto descriptor = it->second->descriptor()) {
    const auto place = by_start_.find(descriptor->start);
    if (place != by_start_.end() && place->second == it->second) by_start_.erase(place);
  }
  replicas_.erase(it);
  awake_.erase(range.value());
  quiet_.erase(range.value());
}

BatchResponse StoreImpl::Send(const runtime::Context& context, const BatchRequest& request) {
  ReplicaPtr replica = Find(request.header.range);
  if (!replica || !replica->initialised()) {
    BatchResponse response;
    response.error = KvError{RangeNotFoundError{request.header.range}, std::nullopt};
    response.now = deps_.clock.Peek();
    return response;
  }
  if (IsAdmin(request)) return SendAdmin(context, std::move(replica), request);
  return SendTo(*replica, context, request);
}

BatchResponse StoreImpl::SendTo(Replica& replica, const runtime::Context& context, const BatchRequest& request) {
  BatchResponse response = replica.Send(context, request);
  if (response.error && !request.requests.empty()) {
    auto* mismatch = std::get_if<RangeKeyMismatchError>(&response.error->detail);
    if (mismatch) AddDescriptorOf(SpanOf(request.requests.front(), request.header).start, mismatch->descriptors);
  }
  return response;
}

bool StoreImpl::ReadLent(const BatchRequest& request, BatchResponse& response) {
  const ReplicaPtr replica = Find(request.header.range);
  return replica && replica->ReadLent(request, response);
}

void StoreImpl::AcceptLoan(RangeId range, const ReadLoan& loan, MonoTime asked_at) {
  if (const ReplicaPtr replica = Find(range)) replica->AcceptLoan(loan, asked_at);
}

// Who was routed by old borders learns the new ones here, before the meta records tell them.
void StoreImpl::AddDescriptorOf(std::string_view key, std::vector<RangeDescriptor>& descriptors) const {
  const ReplicaPtr replica = FindByStart(key);
  const auto descriptor = replica ? replica->descriptor() : nullptr;
  if (!descriptor || !descriptor->ContainsKey(key)) return;
  const bool known = std::any_of(descriptors.begin(), descriptors.end(),
                                 [&](const auto& d) { return d.range == descriptor->range; });
  if (!known) descriptors.push_back(*descriptor);
}

StoreImpl::ReplicaPtr StoreImpl::FindByStart(std::string_view key) const {
  MutexLock lock(mutex_);
  auto it = by_start_.upper_bound(key);
  return it == by_start_.begin() ? nullptr : (--it)->second;
}

void StoreImpl::RunInCycle(std::function<void(CycleOutput&)> action) {
  agent_->Post(std::move(action));
  driver_->Enqueue(agent_);
}

bool StoreImpl::CoverPromise(Timestamp promise, CycleOutput& out) {
  if (promise <= promise_bound_) return false;
  promise_bound_ = {promise.wall_ns + kPromiseBoundAhead.count(), 0};
  storage::PutBound(out.log, storage::kReadPromiseName, promise_bound_);
  out.sync = true;
  return true;
}

// A replica gets its data, and with it its place: a range's first key never changes.
void StoreImpl::NoteStart(RangeId range, const std::string& start) {
  MutexLock lock(mutex_);
  const auto it = replicas_.find(range.value());
  if (it != replicas_.end()) by_start_[start] = it->second;
}

void StoreImpl::OnDescriptorChanged(const RangeDescriptor& descriptor) {
  if (descriptor.range == RangeId(1) && deps_.on_first_range) deps_.on_first_range(descriptor);
}

std::vector<RangeStatus> StoreImpl::ListRanges() const {
  std::vector<RangeStatus> out;
  for (const auto& replica : AllReplicas()) {
    const auto descriptor = replica->descriptor();
    if (!descriptor) continue;
    RangeStatus status;
    status.descriptor = *descriptor;
    status.lease = replica->lease();
    status.lease_valid_here = replica->IsLeaseholder();
    status.lease_rests_here = !status.lease_valid_here && replica->OwnsLease();
    status.raft = replica->raft_status();
    const AppliedStateRecord applied = replica->applied_state();
    status.stats = applied.stats;
    status.gc_threshold = applied.gc_threshold;
    status.raft_log_bytes = replica->raft_log_bytes();
    out.push_back(std::move(status));
  }
  return out;
}

StoreMetrics StoreImpl::GetMetrics() const {
  StoreMetrics metrics;
  {
    MutexLock lock(mutex_);
    metrics.range_count = replicas_.size();
    metrics.quiet_count = quiet_.size();
  }
  metrics.lease_count = uint64_t(std::max<int64_t>(0, counters_.leases));
  metrics.times_quiet = counters_.times_quiet;
  metrics.commands_applied = counters_.commands_applied;
  metrics.loads_ingested = counters_.loads_ingested;
  metrics.commits_together = counters_.commits_together;
  metrics.raft_groups_synced = driver_->metrics().groups_synced;
  metrics.entries_synced = driver_->metrics().entries_synced;
  metrics.splits = counters_.splits;
  metrics.locks_inherited = counters_.locks_inherited;
  metrics.snapshots_sent = counters_.snapshots_sent;
  metrics.snapshots_installed = counters_.snapshots_installed;
  metrics.ambiguous_results = counters_.ambiguous_results;
  metrics.lock_waits = counters_.lock_waits;
  metrics.loans_made = counters_.loans_made;
  metrics.loans_recalled = counters_.loans_recalled;
  metrics.loans_waited_out = counters_.loans_waited_out;
  return metrics;
}

StatusOr<RangeDigest> StoreImpl::Digest(RangeId range) const {
  const auto snapshot = deps_.engine.NewSnapshot();
  RangeDescriptor descriptor;
  ASSIGN_OR_RETURN(const bool found,
                   ReadRecord(*snapshot, ColumnFamily::kState, local_keys::Descriptor(range), descriptor));
  if (!found) return NotFoundError("no replica of range " + ToString(range));
  AppliedStateRecord applied;
  auto read = ReadRecord(*snapshot, ColumnFamily::kState, local_keys::AppliedState(range), applied);
  if (!read.ok()) return read.status();
  ASSIGN_OR_RETURN(uint64_t digest, storage::MvccDigest(*snapshot, descriptor.start, descriptor.end));
  auto it = snapshot->NewIterator(ColumnFamily::kState, {local_keys::TxnRecordsStart(descriptor.start),
                                                         local_keys::TxnRecordsStart(descriptor.end)});
  for (it->SeekToFirst(); it->Valid(); it->Next()) digest = Hash64(it->value(), Hash64(it->key(), digest));
  RETURN_IF_ERROR(it->status());
  digest = Hash64(wire::Encode(applied.stats), digest);
  return RangeDigest{applied.index, digest};
}

// ---- Splits, inside a cycle.

namespace {

bool IsYes(const StatusOr<bool>& answer) { return answer.ok() && *answer; }

}  // namespace

void StoreImpl::StageRightHalf(const Command& command, const Lease& left_lease, const AppliedStateRecord& left_state,
                               storage::WriteBatch& effects) {
  const RangeDescriptor& right = command.split->right;
  const ReplicaDescriptor* self = right.FindNode(options_.node);
  if (!self || IsYes(IsBuried(right.range, self->replica))) {
    storage::MvccClearRange(effects, right.start, right.end);  // B21: gone from here already
    effects.DeleteRange(ColumnFamily::kState, local_keys::TxnRecordsStart(right.start),
                        local_keys::TxnRecordsStart(right.end));
    return;
  }
  InitialRange initial{.descriptor = right, .self = self->replica, .lease = left_lease, .stats = command.right_stats,
                       .gc_threshold = left_state.gc_threshold, .closed_ts = left_state.closed_ts,
                       .write_ts_max = left_state.write_ts_max};  // R3
  initial.lease.term = kInitialTerm;
  const auto* holder = right.FindNode(left_lease.holder.node);
  initial.lease.holder = holder ? *holder : ReplicaDescriptor();
  initial.lease.start.Forward(command.right_read_bound);  // B25: nothing is written below what was read
  if (const auto existing = Find(right.range)) initial.hard_state = existing->log().hard_state();
  StageInitialRange(effects, initial);
}

void StoreImpl::OnSplitApplied(const SplitTrigger& split, Timestamp read_promise, AfterSplit then, LockHandover locks,
                               CycleOutput& out) {
  const ReplicaDescriptor* self = split.right.FindNode(options_.node);
  if (!self || IsYes(IsBuried(split.right.range, self->replica))) return;
  out.after.push_back([this, right = split.right, id = self->replica, read_promise, then, &out,
                       locks = std::move(locks)]() mutable {
    const ReplicaPtr before = Find(right.range);
    auto replica = std::make_shared<Replica>(*this, right.range, id);
    // One without data may have been asked for its vote before the split came here. Unless it has met a leader's term
    // it has promised nothing to anybody, and if it refused its vote for a time the left half's leaseholder would not
    // be elected.
    const bool promised = before && before->log().hard_state().term > kInitialTerm;
    const Status loaded =
        replica->Load(promised ? raft::StartMode::kRestarted : raft::StartMode::kFresh, read_promise);
    if (!loaded.ok()) return;  // removed here, or its state is damaged: it takes no part
    if (before) {
      for (RaftEnvelope& envelope : before->TakeMessages()) replica->PostMessage(std::move(envelope));
      before->Retire(out);
    }
    replica->InheritFromLeftHalf(std::move(locks));
    Insert(replica);
    if (then == AfterSplit::kCampaign) {
      replica->Post([](Replica& r, CycleOutput& cycle) { (void)r.raft()->Campaign(cycle.now).ok(); });
    }
    driver_->Enqueue(replica);
    OnDescriptorChanged(right);
  });
}

}  // namespace orrery::kv
