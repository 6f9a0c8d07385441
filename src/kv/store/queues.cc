// The store's clockwork: raft ticks, and queues that look after ranges. One task each for the whole store, so
// that an idle range costs no timer.
#include <algorithm>

#include "kv/store/store_impl.h"
#include "orrery/storage/mvcc.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;

namespace {

constexpr size_t kGarbageKeysPerRequest = 512;
constexpr int kGarbageRequestsPerLook = 64;
constexpr size_t kLocksPerLook = 256;
// A transaction whose coordinator has not cleaned up for this long is cleaned up after.
constexpr Duration kCleanUpAge = 10s;
constexpr Duration kCleanUpInterval = 10s;
// A replica that no leader has spoken to for this long asks whether it still belongs to its range.
constexpr Duration kSilenceBeforeAsking = 5s;

}  // namespace

// N10. At each tick, so that even at a gigabyte a second no more than the reserve is written before it is noticed
// that it is due.
void StoreImpl::LookAtDisk() {
  const storage::DiskSpace space = deps_.engine.CheckSpace();
  const storage::SpaceLevel before = disk_space_.exchange(space.level, std::memory_order_relaxed);
  if (before != space.level && deps_.on_disk_space) deps_.on_disk_space(space);
}

void StoreImpl::RunTicks(const runtime::Context& context) {
  while (runtime_->scheduler().SleepFor(context, options_.tick_interval).ok()) {
    LookAtDisk();
    WatchNodes();
    WakeSome();
    for (const auto& replica : AwakeReplicas()) {
      replica->PostTick();
      driver_->Enqueue(replica);
    }
    driver_->Nudge();
  }
}

void StoreImpl::RunQueues(const runtime::Context& context) {
  while (runtime_->scheduler().SleepFor(context, options_.queue_interval).ok()) {
    for (const auto& replica : NextToLookAfter()) {
      if (context.cancelled()) return;
      LookAfter(context, replica);
    }
  }
}

// Failures are met again at the next look: nothing here is urgent, and nothing depends on it for safety.
void StoreImpl::LookAfter(const runtime::Context& context, const ReplicaPtr& replica) {
  if (!replica->initialised()) return;
  if (!replica->OwnsLease()) return LookAfterFollower(context, replica);
  const runtime::Context limited = context.WithTimeout(180s);
  if (BeginChange(replica->range())) {
    (void)MaybeSplit(limited, replica).ok();
    (void)MaybeReplicate(limited, replica).ok();
    EndChange(replica->range());
  }
  if (disk_space() != storage::SpaceLevel::kExhausted) (void)MaybeCollectGarbage(limited, replica).ok();
}

// A quiet one is so at its leader's word, who has not been heard to be gone; one that has slept since the start finds
// out by and by whether there still is somebody to lead it, and whether it still belongs to its range.
void StoreImpl::LookAfterFollower(const runtime::Context& context, const ReplicaPtr& replica) {
  const Rest rest = replica->rest();
  // Soon after the start this node may just not have heard of the others yet.
  const bool silent = mono_clock().MonoNow() - replica->last_leader_contact() >= kSilenceBeforeAsking;
  if (rest.since_start && (rest.without_leader || (silent && !LifeOf(rest.leader).live))) {
    replica->PostWake(WakeReason::kNobodyLeads);
    driver_->Nudge();
  } else if (!rest.quiet || rest.since_start) {
    (void)MaybeRemoveReplica(context, replica).ok();
  }
}

Status StoreImpl::MaybeSplit(const runtime::Context& context, const ReplicaPtr& replica) {
  const auto descriptor = replica->descriptor();
  const auto stats = replica->applied_state().stats;
  if (std::string_view(descriptor->start) < kTableDataStart) return OkStatus();
  if (stats.TotalBytes() <= int64_t(options_.range_bytes_max)) return OkStatus();
  const auto snapshot = deps_.engine.NewSnapshot();
  ASSIGN_OR_RETURN(const auto key, storage::MvccFindSplitKey(*snapshot, descriptor->start, descriptor->end,
                                                               (stats.key_bytes + stats.version_bytes) / 2));
  if (!key) return OkStatus();
  return AdminSplit(context, replica, *key);
}

Status StoreImpl::MaybeReplicate(const runtime::Context& context, const ReplicaPtr& replica) {
  const auto descriptor = replica->descriptor();
  AdminChangeReplicasRequest change;
  change.expected_generation = descriptor->generation;
  for (const auto& r : descriptor->replicas) {
    if (r.type == ReplicaType::kVoter) continue;
    change.remove = r;  // left over from a change that did not end
    return AdminChangeReplicas(context, replica, change);
  }
  if (!deps_.placement) return OkStatus();
  PlacementQuestion question{*descriptor, replica->applied_state().stats.TotalBytes(), {}, replica->TakeMainGateway()};
  const raft::GroupStatus status = replica->raft_status();
  for (const auto& peer : status.peers) {
    const auto* r = descriptor->FindReplica(peer.id);
    if (r && IsActive(peer, *r, status.quiet)) question.active_voters.push_back(r->node);
  }
  const PlacementAction action = deps_.placement->Decide(question);
  if (action.add || action.remove) {
    if (action.remove && action.remove->node == options_.node) {  // the lease first (R10)
      for (const NodeId node : question.active_voters) {
        if (node != options_.node) return AdminTransferLease(context, replica, node, LeaseMove::kRequired);
      }
      return OkStatus();
    }
    change.add = action.add;
    change.remove = action.remove;
    return AdminChangeReplicas(context, replica, change);
  }
  if (action.move_lease_to) {
    HurryLooks();
    return AdminTransferLease(context, replica, *action.move_lease_to, LeaseMove::kPutOff);
  }
  return OkStatus();
}

Status StoreImpl::MaybeCollectGarbage(const runtime::Context& context, const ReplicaPtr& replica) {
  const MonoTime now = mono_clock().MonoNow();
  const RaftIndex applied = replica->applied_state().index;  // before the look
  bool collect = false;
  bool clean = false;
  {
    MutexLock lock(mutex_);
    Cleaned& cleaned = cleaned_[replica->range().value()];
    if (now - cleaned.at < kCleanUpInterval) return OkStatus();
    cleaned.at = now;
    clean = applied != RaftIndex() && cleaned.nothing_up_to == applied;
    auto [last, first_look] = collected_.try_emplace(replica->range().value(), now);
    collect = !first_look && now - last->second >= options_.gc_interval;
    if (collect) last->second = now;
  }
  if (!clean) {
    ASSIGN_OR_RETURN(const bool nothing, CleanUpTransactions(context, replica));
    MutexLock lock(mutex_);
    if (nothing) cleaned_[replica->range().value()].nothing_up_to = applied;
  }
  if (!collect) return OkStatus();
  const auto descriptor = replica->descriptor();
  const Timestamp threshold{deps_.clock.Peek().wall_ns - options_.gc_ttl.count(), 0};
  for (int i = 0; i < kGarbageRequestsPerLook; ++i) {
    GcRequest gc;
    gc.threshold = threshold;
    {
      const auto snapshot = deps_.engine.NewSnapshot();
      ASSIGN_OR_RETURN(auto garbage, storage::MvccFindGarbage(*snapshot, descriptor->start, descriptor->end, threshold,
                                                              kGarbageKeysPerRequest));
      for (auto& key : garbage) gc.keys.push_back({std::move(key.key), key.ts});
    }
    if (gc.keys.empty()) return OkStatus();
    const bool last = gc.keys.size() < kGarbageKeysPerRequest;
    BatchRequest batch;
    batch.header.range = replica->range();
    batch.header.generation = descriptor->generation;
    batch.requests.push_back(std::move(gc));
    const BatchResponse response = replica->Send(context, batch);
    if (response.error) return ToStatus(*response.error);
    if (last) return OkStatus();
  }
  return OkStatus();
}

// What transactions left behind: final records (their locks are resolved, then they go) and locks whose holder
// is finished or abandoned (T22: decided by its record alone).
StatusOr<bool> StoreImpl::CleanUpTransactions(const runtime::Context& context, const ReplicaPtr& replica) {
  const auto descriptor = replica->descriptor();
  const Timestamp old{deps_.clock.Peek().wall_ns - kCleanUpAge.count(), 0};
  std::vector<TxnRecord> records;
  std::vector<storage::LockConflict> locks;
  bool nothing = true;
  {
    const auto snapshot = deps_.engine.NewSnapshot();
    auto it = snapshot->NewIterator(ColumnFamily::kState, {local_keys::TxnRecordsStart(descriptor->start),
                                                           local_keys::TxnRecordsStart(descriptor->end)});
    for (it->SeekToFirst(); it->Valid() && records.size() < kLocksPerLook; it->Next()) {
      TxnRecord record;
      RETURN_IF_ERROR(ParseRecord(it->key(), it->value(), record));
      nothing = false;
      if (record.meta.write_ts < old && record.last_heartbeat < old) records.push_back(std::move(record));
    }
    RETURN_IF_ERROR(it->status());
    if (replica->applied_state().stats.lock_count > 0) {
      nothing = false;
      ASSIGN_OR_RETURN(locks, storage::MvccScanLocks(*snapshot, descriptor->start, descriptor->end, kLocksPerLook));
    }
  }
  for (const auto& record : records) {
    if (record.status == TxnStatus::kPending || record.status == TxnStatus::kStaging) {
      RETURN_IF_ERROR(AskAndResolve(context, record.meta, std::nullopt));
    } else {
      RETURN_IF_ERROR(ResolveSpans(context, record, record.lock_spans));
      RETURN_IF_ERROR(replica->EraseTxnRecord(context, record));
    }
  }
  for (const auto& lock : locks) {
    if (lock.txn.write_ts < old) RETURN_IF_ERROR(AskAndResolve(context, lock.txn, Span{lock.key, ""}));
  }
  return nothing;
}

Status StoreImpl::AskAndResolve(const runtime::Context& context, const TxnMeta& txn, std::optional<Span> lock) {
  PushTxnRequest query;
  query.pushee = txn;
  query.type = PushType::kQuery;
  BatchRequest batch;
  batch.header.now = deps_.clock.Peek();
  batch.header.gateway = options_.node;
  batch.requests.push_back(std::move(query));
  const BatchResponse response = deps_.sender.Send(context, batch);
  if (response.error) return ToStatus(*response.error);
  const auto* answer = response.responses.empty() ? nullptr : std::get_if<PushTxnResponse>(&response.responses[0]);
  if (!answer || !lock) return OkStatus();
  const TxnStatus status = answer->pushee.status;
  if (status != TxnStatus::kCommitted && status != TxnStatus::kAborted) return OkStatus();
  return ResolveSpans(context, answer->pushee, {*lock});
}

Status StoreImpl::ResolveSpans(const runtime::Context& context, const TxnRecord& record,
                               const std::vector<Span>& spans) {
  for (const Span& span : spans) {
    std::optional<Span> rest = span;
    while (rest) {
      BatchRequest batch;
      batch.header.now = deps_.clock.Peek();
      batch.header.gateway = options_.node;
      batch.requests.push_back(ResolveIntentRequest{*rest, record.meta, record.status, record.ignored});
      const BatchResponse response = deps_.sender.Send(context, batch);
      if (response.error) return ToStatus(*response.error);
      const auto* answer =
          response.responses.empty() ? nullptr : std::get_if<ResolveIntentResponse>(&response.responses[0]);
      rest = answer ? answer->resume : std::nullopt;
    }
  }
  return OkStatus();
}

// R12: only the meta record can say that a replica no longer belongs here (RemoveUnlessMember).
Status StoreImpl::MaybeRemoveReplica(const runtime::Context& context, const ReplicaPtr& replica) {
  if (mono_clock().MonoNow() - replica->last_leader_contact() < kSilenceBeforeAsking) return OkStatus();
  if (!replica->MembershipIsInDoubt()) return OkStatus();
  const auto mine = replica->descriptor();
  if (mine->range == RangeId(1) && mine->replicas.size() == 1) return OkStatus();
  return RemoveUnlessMember(context, replica);
}

// A task of its own: a queue may be waiting for a learner on a store whose queue waits for one here, and neither can
// be made before the older replica in its place is gone.
void StoreImpl::RunRemovals(const runtime::Context& context) {
  while (runtime_->scheduler().SleepFor(context, options_.queue_interval).ok()) {
    std::set<RangeId> ranges;
    {
      MutexLock lock(mutex_);
      ranges.swap(in_the_way_);
    }
    for (const RangeId range : ranges) {
      const ReplicaPtr replica = Find(range);
      if (replica && replica->initialised()) (void)RemoveUnlessMember(context, replica).ok();  // or at the next message
    }
  }
}

Status StoreImpl::RemoveUnlessMember(const runtime::Context& context, const ReplicaPtr& replica) {
  const auto mine = replica->descriptor();
  // The range that holds our first key now: the first meta record above it.
  BatchRequest batch;
  batch.header.now = deps_.clock.Peek();
  batch.header.gateway = options_.node;
  batch.header.max_keys = 1;
  batch.requests.push_back(ScanRequest{Span{MetaKey(mine->start).append(1, '\0'), std::string(kClusterPrefix)}});
  const BatchResponse response = deps_.sender.Send(context.WithTimeout(kSilenceBeforeAsking), batch);
  if (response.error) return ToStatus(*response.error);
  const auto* scan = response.responses.empty() ? nullptr : std::get_if<ScanResponse>(&response.responses[0]);
  if (!scan) return InternalError("a Scan was answered with something else");
  auto row = scan->rows.Begin();
  if (!row.Next()) return OkStatus();
  RangeDescriptor truth;
  RETURN_IF_ERROR(wire::Decode(row.value(), truth));
  if (truth.range != mine->range || truth.generation < mine->generation) return OkStatus();
  if (truth.FindReplica(replica->id())) {
    replica->NoteMembershipConfirmed();
    return OkStatus();
  }
  // A younger replica may be due here already: the tombstone must not bar it (B21).
  const auto* successor = truth.FindNode(options_.node);
  return RemoveReplica(replica, successor ? successor->replica : truth.next_replica);
}

Status StoreImpl::RemoveReplica(const ReplicaPtr& replica, ReplicaId next_replica) {
  RunInCycle([this, replica, next_replica](CycleOutput& out) { Bury(replica, next_replica, out); });
  driver_->Nudge();
  return OkStatus();
}

// A6: data, state, log and the tombstone that bars its return, in one synced batch.
void StoreImpl::Bury(const ReplicaPtr& replica, ReplicaId next_replica, CycleOutput& out) {
  if (Find(replica->range()) != replica) return;
  const RangeId range = replica->range();
  if (const auto descriptor = replica->descriptor()) {
    storage::MvccClearRange(out.log, descriptor->start, descriptor->end);
    out.log.DeleteRange(ColumnFamily::kState, local_keys::TxnRecordsStart(descriptor->start),
                        local_keys::TxnRecordsStart(descriptor->end));
  }
  out.log.DeleteRange(ColumnFamily::kState, local_keys::RangePrefix(range), local_keys::RangePrefixEnd(range));
  out.log.DeleteRange(ColumnFamily::kRaft, local_keys::RaftPrefix(range), local_keys::RaftPrefixEnd(range));
  out.log.Delete(ColumnFamily::kState, local_keys::LocalReplica(range));
  PutRecord(out.log, ColumnFamily::kState, local_keys::Tombstone(range), TombstoneRecord{next_replica});
  out.sync = true;
  replica->Retire(out);
  MutexLock lock(mutex_);
  Forget(range);
}

}  // namespace orrery::kv
