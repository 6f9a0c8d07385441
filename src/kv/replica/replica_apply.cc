// Applying: what a committed entry does to the replica. All replicas of a range do exactly the same (I4):
// nothing here looks at clocks, configuration or local chance.
#include <utility>

#include "kv/replica/local_keys.h"
#include "kv/replica/replica.h"
#include "orrery/storage/load.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;

namespace {

// A change of membership that never fits: stands in for one whose command was refused.
std::string RefusedConfChange() {
  raft::ConfChange change;
  change.steps.push_back({raft::ConfChangeKind::kRemoveLearner, ReplicaId(~uint64_t{0})});
  return wire::Encode(change);
}

}  // namespace

void Replica::StageAppliedState(storage::WriteBatch& batch) {
  PutRecord(batch, ColumnFamily::kState, local_keys::AppliedState(range_), state_);
}

// An entry of this term and index is what was proposed here as such, whoever committed it: its command is still at hand, and its
// bytes are for others and for restarts.
void Replica::ApplyEntry(const raft::Entry& entry, CycleOutput& out) {
  ORRERY_ASSERT(entry.index == state_.index.Next(), "A3: entries are applied in order, once");
  const auto in_flight = in_flight_.find(raft::EntryId{entry.term, entry.index});
  const std::shared_ptr<Proposal> own = in_flight == in_flight_.end() ? nullptr : in_flight->second;
  Command decoded;
  Command& command = own && entry.kind == raft::EntryKind::kNormal ? own->command : decoded;
  bool accepted = false;
  if (entry.kind == raft::EntryKind::kNormal) {
    if (!entry.payload.empty()) {
      const Status status = own ? OkStatus() : wire::Decode(entry.payload, decoded);
      if (!status.ok()) return Quarantine(status, out);
      accepted = ApplyCommand(command, entry, own.get(), out);
    }
  } else {
    raft::ConfChange change;
    Status status = wire::Decode(entry.payload, change);
    if (status.ok() && !change.context.empty()) status = wire::Decode(change.context, decoded);
    if (!status.ok()) return Quarantine(status, out);
    accepted = change.context.empty() || ApplyCommand(command, entry, own.get(), out);
    raft::Entry effective = entry;
    if (!accepted) effective.payload = RefusedConfChange();
    auto membership = raft_->ApplyConfChange(effective);
    if (!membership.ok()) return Quarantine(membership.status(), out);
    membership_ = std::move(*membership);
    PutRecord(out.effects, ColumnFamily::kState, local_keys::Membership(range_), membership_);
  }
  state_.index = entry.index;
  state_.term = entry.term;
  host_.counters().commands_applied.fetch_add(1, std::memory_order_relaxed);
  if (command.truncate.index) truncation_proposed_ = false;
  if (!own || in_flight_.erase(own->entry) == 0) return;
  Complete(own, accepted ? OkStatus() : NotLeaseholder(), out);
}

// A load's rows go into the store by themselves. What was staged before them is written before them, with the applied
// index as it is before this command; its other effects, which stay in `effects`, with those behind it (A3).
void Replica::StageLoad(const Command& command, storage::WriteBatch& effects, Proposal* own, CycleOutput& out) {
  if (!command.new_rows || !host_.limits().IsLargeLoad(effects.bytes().size())) return;
  auto load = storage::TakeLoad(effects);
  if (!load) return;
  load->rows.PromiseNewestVersions();
  if (!out.effects.empty()) StageAppliedState(out.effects);
  host_.counters().loads_ingested.fetch_add(1, std::memory_order_relaxed);
  out.loads.push_back({std::move(out.effects), std::move(load->rows), own ? std::move(own->load) : nullptr});
  out.effects.Clear();
}

// Whether the command took effect. T4: only under the lease it was evaluated under. T20: at most once.
bool Replica::ApplyCommand(Command& command, const raft::Entry& entry, Proposal* own, CycleOutput& out) {
  if (command.lease) {
    const bool follows = command.lease->sequence == current_lease_.sequence.Next() &&
                         command.lease->start >= current_lease_.start;
    if (!follows) return false;
    ApplyLease(*command.lease, out);
    return true;
  }
  if (command.lease_sequence != current_lease_.sequence) return false;
  if (command.lease_applied_index <= state_.lease_applied_index) return false;
  auto effects = storage::WriteBatch::FromBytes(std::move(command.effects));
  if (!effects.ok()) {
    Quarantine(effects.status(), out);
    return false;
  }
  if (auto* sink = host_.changes()) {
    sink->OnApplied({range_, entry.index, command.lease_sequence, command.closed_ts, *effects});
  }
  StageLoad(command, *effects, own, out);
  out.effects.Append(*effects);
  state_.lease_applied_index = command.lease_applied_index;
  state_.stats += command.stats_delta;
  state_.gc_threshold.Forward(command.gc_threshold);
  state_.closed_ts.Forward(command.closed_ts);
  state_.write_ts_max.Forward(command.write_ts);
  host_.clock().Forward(command.write_ts);
  if (command.truncate.index) log_.StageTruncation(out.effects, command.truncate);
  if (command.split) ApplySplit(command, out);
  if (command.lock_handover) inherited_ = Inherited{command.lease_sequence, std::move(*command.lock_handover)};
  if (command.change_replicas) ApplyChangeReplicas(*command.change_replicas, out);
  return true;
}

void Replica::ApplyLease(const Lease& lease, CycleOutput& out) {
  ORRERY_ASSERT(lease.start >= current_lease_.start, "T5: lease starts never go back");
  current_lease_ = lease;
  state_.lease_applied_index = 0;
  PutRecord(out.effects, ColumnFamily::kState, local_keys::LeaseRecord(range_), lease);
  host_.clock().Forward(lease.start);
  const bool ours = lease.holder.replica == id_ && lease.term == soft_state_.term;
  if (ours) {
    max_lease_applied_index_ = 0;
    truncation_proposed_ = false;
  }
  TakeOver(lease, ours ? Holder::kThisReplica : Holder::kAnother);
  // What was evaluated under an earlier lease can no longer take effect (T4): certainly not executed.
  FailInFlight([&](const Proposal& p) { return p.command.lease_sequence < lease.sequence && !p.command.lease; },
               NotLeaseholder(), out);
  out.after.push_back([this, descriptor = current_descriptor_, holder = lease.holder.node] {
    host_.OnLeaseChanged(*descriptor, holder);
  });
}

// A4, R3. The right half's state goes into the same batch; its replica is made when that is written.
void Replica::ApplySplit(const Command& command, CycleOutput& out) {
  const SplitTrigger& split = *command.split;
  host_.StageRightHalf(command, current_lease_, state_, out.effects);
  state_.stats -= command.right_stats;
  const bool ours = soft_state_.role == raft::Role::kLeader && current_lease_.holder.replica == id_;
  LockHandover right_locks;
  current_descriptor_ = std::make_shared<const RangeDescriptor>(split.left);
  PutRecord(out.effects, ColumnFamily::kState, local_keys::Descriptor(range_), split.left);
  {
    MutexLock lock(mutex_);
    // Exact: the split has latched the whole range.
    if (ours) right_locks = ExportLocks(split.right.start, ~size_t{0}).locks;
    descriptor_ = current_descriptor_;  // B33: at once, no request of the right half is let in any more
    Woken woken;
    concurrency_.OnSplit(split.right.start, woken);
    Wake(woken);
  }
  host_.counters().splits.fetch_add(1, std::memory_order_relaxed);
  // Of the right half: later leaseholders of this range serve none of it.
  host_.OnSplitApplied(split, command.right_read_bound,
                       ours ? ReplicaHost::AfterSplit::kCampaign : ReplicaHost::AfterSplit::kWait, std::move(right_locks), out);
}

void Replica::ApplyChangeReplicas(const ChangeReplicasTrigger& change, CycleOutput& out) {
  current_descriptor_ = std::make_shared<const RangeDescriptor>(change.descriptor);
  PutRecord(out.effects, ColumnFamily::kState, local_keys::Descriptor(range_), change.descriptor);
  out.after.push_back([this, descriptor = current_descriptor_] { host_.OnDescriptorChanged(*descriptor); });
}

}  // namespace orrery::kv
