#include <algorithm>

#include "kv/store/range_state.h"
#include "orrery/kv/api/counter.h"
#include "orrery/kv/store/store.h"
#include "orrery/storage/mvcc.h"

namespace orrery::kv {
namespace {

using storage::ColumnFamily;

Status PutInitialRecords(storage::OverlayBatch& batch, const RangeDescriptor& first, const RangeDescriptor& second,
                         Timestamp ts, storage::MvccStats& stats) {
  uint64_t node_max = 0;
  uint64_t store_max = 0;
  for (const auto& replica : first.replicas) {
    node_max = std::max(node_max, replica.node.value());
    store_max = std::max(store_max, replica.store.value());
  }
  const std::pair<std::string, std::string> records[] = {
      {MetaKey(first.end), wire::Encode(first)},
      {MetaKey(second.end), wire::Encode(second)},
      {ClusterKey(kNextNodeId), EncodeCounter(node_max)},
      {ClusterKey(kNextRangeId), EncodeCounter(second.range.value())},
      {ClusterKey(kNextStoreId), EncodeCounter(store_max)},
  };
  storage::MvccWriteOptions options;
  options.stats = &stats;
  for (const auto& [key, value] : records) {
    auto written = storage::MvccPut(batch, key, ts, value, options);
    if (!written.ok()) return written.status();
  }
  return OkStatus();
}

}  // namespace

void StageInitialRange(storage::WriteBatch& batch, const InitialRange& range) {
  const RangeId id = range.descriptor.range;
  AppliedStateRecord applied;
  applied.index = kInitialIndex;
  applied.term = kInitialTerm;
  applied.stats = range.stats;
  applied.gc_threshold = range.gc_threshold;
  applied.closed_ts = range.closed_ts;
  applied.write_ts_max = range.write_ts_max;
  PutRecord(batch, ColumnFamily::kState, local_keys::Descriptor(id), range.descriptor);
  PutRecord(batch, ColumnFamily::kState, local_keys::AppliedState(id), applied);
  PutRecord(batch, ColumnFamily::kState, local_keys::LeaseRecord(id), range.lease);
  PutRecord(batch, ColumnFamily::kState, local_keys::Membership(id), ConfStateOf(range.descriptor));
  PutRecord(batch, ColumnFamily::kState, local_keys::LocalReplica(id), LocalReplicaRecord{range.self});
  PutRecord(batch, ColumnFamily::kRaft, local_keys::TruncatedState(id),
            TruncatedStateRecord{kInitialIndex, kInitialTerm});
  raft::HardState hard = range.hard_state;  // B20: never lowered
  if (hard.term < kInitialTerm) hard = {kInitialTerm, ReplicaId(), kInitialIndex};
  hard.commit = std::max(hard.commit, kInitialIndex);
  PutRecord(batch, ColumnFamily::kRaft, local_keys::HardState(id), hard);
}

Status BootstrapStore(storage::Engine& engine, StoreId store, std::vector<ReplicaDescriptor> replicas, Timestamp ts) {
  ReplicaId next(1);
  ReplicaId self;
  for (auto& replica : replicas) {
    replica.replica = next;
    replica.type = ReplicaType::kVoter;
    if (replica.store == store) self = next;
    next = next.Next();
  }
  if (!self) return InvalidArgumentError("the store is not among the first replicas");
  RangeDescriptor first{RangeId(1), std::string(kMinKey), std::string(kTableDataStart), replicas, next,
                        RangeGeneration(1)};
  RangeDescriptor second{RangeId(2), std::string(kTableDataStart), std::string(kMaxKey), replicas, next,
                         RangeGeneration(1)};
  storage::MvccStats stats;
  storage::OverlayBatch overlay(engine);
  RETURN_IF_ERROR(PutInitialRecords(overlay, first, second, ts, stats));
  storage::WriteBatch batch = overlay.TakeBatch();
  Lease lease;
  lease.start = ts;
  lease.term = kInitialTerm;
  StageInitialRange(batch, {.descriptor = first, .self = self, .lease = lease, .stats = stats, .write_ts_max = ts});
  StageInitialRange(batch, {.descriptor = second, .self = self, .lease = lease, .write_ts_max = ts});
  return engine.Write(batch, storage::SyncMode::kSync);
}

}  // namespace orrery::kv
