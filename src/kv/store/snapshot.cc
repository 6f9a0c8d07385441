// RaftSnapshots (A7, docs/formats/snapshot.md). The sender reads an engine snapshot and streams it in chunks;
// the receiver stages the chunks in its engine, and installs them when its raft group wants them: marker
// (synced), old data away, chunks in, log replaced and marker away (synced). A restart with a marker does the
// same again; staged chunks without a marker are waste.
#include <algorithm>

#include "kv/store/store_impl.h"
#include "orrery/base/hash.h"
#include "orrery/storage/mvcc.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;

namespace {

// A transfer that nobody has continued for this long is forgotten.
constexpr Duration kTransferIdleMax = 30s;
constexpr Duration kChunkTimeout = 10s;

// How long after the rows the state is read that says how far they go, by a planted bug.
constexpr Duration kTorn = 50ms;

// A range's data as chunks of puts: its own records from `state`, its rows from `rows`, which is the same snapshot.
class ChunkReader {
 public:
  ChunkReader(const storage::Reader& state, const storage::Reader& rows, const RangeDescriptor& descriptor,
              uint64_t chunk_bytes)
      : state_(state), rows_(rows), chunk_bytes_(chunk_bytes) {
    const RangeId range = descriptor.range;
    const auto bounds = storage::BoundsOf(descriptor.start, descriptor.end);
    parts_ = {{ColumnFamily::kState, local_keys::RangePrefix(range), local_keys::RangePrefixEnd(range)},
              {ColumnFamily::kState, local_keys::TxnRecordsStart(descriptor.start),
               local_keys::TxnRecordsStart(descriptor.end)},
              {ColumnFamily::kLock, bounds.lower, bounds.upper},
              {ColumnFamily::kMvcc, bounds.lower, bounds.upper}};
  }
  // False after the last one.
  StatusOr<bool> Next(storage::WriteBatch& chunk) {
    chunk.Clear();
    while (part_ < parts_.size()) {
      const Part& part = parts_[part_];
      if (!iterator_) {
        const storage::Reader& reader = part_ == 0 ? state_ : rows_;
        iterator_ = reader.NewIterator(part.cf, {part.lower, part.upper});
        iterator_->SeekToFirst();
      }
      for (; iterator_->Valid(); iterator_->Next()) {
        if (chunk.bytes().size() >= chunk_bytes_) return true;
        chunk.Put(part.cf, iterator_->key(), iterator_->value());
      }
      RETURN_IF_ERROR(iterator_->status());
      iterator_.reset();
      ++part_;
    }
    return !chunk.empty();
  }

 private:
  struct Part {
    ColumnFamily cf;
    std::string lower;
    std::string upper;
  };
  const storage::Reader& state_;
  const storage::Reader& rows_;
  const uint64_t chunk_bytes_;
  std::vector<Part> parts_;
  size_t part_ = 0;
  std::unique_ptr<storage::Iterator> iterator_;
};

void StageClear(storage::WriteBatch& batch, const RangeDescriptor& descriptor) {
  storage::MvccClearRange(batch, descriptor.start, descriptor.end);
  batch.DeleteRange(ColumnFamily::kState, local_keys::TxnRecordsStart(descriptor.start),
                    local_keys::TxnRecordsStart(descriptor.end));
}

// From the marker on: may run again after a crash at any point, as the chunks stay until the last batch.
Status InstallChunks(storage::Engine& engine, RangeId range, const InstallMarkerRecord& marker) {
  storage::WriteBatch clear;
  RangeDescriptor old;
  auto found = ReadRecord(engine, ColumnFamily::kState, local_keys::Descriptor(range), old);
  if (!found.ok()) return found.status();
  if (*found) StageClear(clear, old);
  clear.DeleteRange(ColumnFamily::kState, local_keys::RangePrefix(range), local_keys::RangePrefixEnd(range));
  RETURN_IF_ERROR(engine.Write(clear, storage::SyncMode::kNoSync));
  storage::WriteBatch done;
  for (uint64_t i = 0; i < marker.chunk_count; ++i) {
    const std::string key = local_keys::StagedChunk(range, i);
    std::string bytes;
    ASSIGN_OR_RETURN(const bool present, engine.GetInto(ColumnFamily::kState, key, bytes));
    if (!present) return DataLossError("a staged chunk of a RaftSnapshot is missing");
    ASSIGN_OR_RETURN(const std::string_view body, OpenRecord(key, bytes));
    ASSIGN_OR_RETURN(const storage::WriteBatch chunk, storage::WriteBatch::FromBytes(std::string(body)));
    RETURN_IF_ERROR(engine.Write(chunk, storage::SyncMode::kNoSync));
    done.Delete(ColumnFamily::kState, key);
  }
  raft::HardState hard;  // term and vote as they were (A7, B20)
  found = ReadRecord(engine, ColumnFamily::kRaft, local_keys::HardState(range), hard);
  if (!found.ok()) return found.status();
  hard.term = std::max(hard.term, marker.meta.term);
  hard.commit = std::max(hard.commit, marker.meta.index);
  PutRecord(done, ColumnFamily::kRaft, local_keys::HardState(range), hard);
  PutRecord(done, ColumnFamily::kRaft, local_keys::TruncatedState(range),
            TruncatedStateRecord{marker.meta.index, marker.meta.term});
  PutRecord(done, ColumnFamily::kState, local_keys::LocalReplica(range), LocalReplicaRecord{marker.replica});
  auto it = engine.NewIterator(ColumnFamily::kRaft, {local_keys::LogPrefix(range), local_keys::HardState(range)});
  for (it->SeekToFirst(); it->Valid(); it->Next()) done.Delete(ColumnFamily::kRaft, it->key());
  RETURN_IF_ERROR(it->status());
  done.Delete(ColumnFamily::kState, local_keys::InstallMarker(range));
  return engine.Write(done, storage::SyncMode::kSync);
}

}  // namespace

// ---- Sending.

void StoreImpl::SendRaftSnapshot(std::shared_ptr<Replica> replica, RaftEnvelope envelope) {
  const std::pair<uint64_t, uint64_t> key{envelope.range.value(), envelope.to.replica.value()};
  {
    MutexLock lock(mutex_);
    if (!sending_.insert(key).second) return;  // under way; raft hears of its end
  }
  const ReplicaId peer = envelope.to.replica;
  if (!outgoing_->TrySend({replica, std::move(envelope)})) {
    MutexLock lock(mutex_);
    sending_.erase(key);
    replica->Post([peer](Replica& self, CycleOutput&) {
      self.raft()->ReportSnapshot(peer, raft::RawNode::SnapshotResult::kFailed);
    });
  }
}

void StoreImpl::RunSnapshotSender(const runtime::Context& context) {
  for (;;) {
    auto job = outgoing_->Receive(context);
    if (!job.ok() || !*job) return;
    const ReplicaId peer = (*job)->envelope.to.replica;
    const ReplicaPtr replica = (*job)->replica;
    const Status sent = SendSnapshot(context, **job);
    if (sent.ok()) counters_.snapshots_sent.fetch_add(1, std::memory_order_relaxed);
    {
      MutexLock lock(mutex_);
      sending_.erase({replica->range().value(), peer.value()});
    }
    if (!sent.ok()) (void)runtime_->scheduler().SleepFor(context, options_.heartbeat_interval).ok();
    replica->Post([peer, ok = sent.ok()](Replica& self, CycleOutput&) {
      self.raft()->ReportSnapshot(peer, ok ? raft::RawNode::SnapshotResult::kDelivered
                                           : raft::RawNode::SnapshotResult::kFailed);
    });
    driver_->Enqueue(replica);
    driver_->Nudge();
  }
}

Status StoreImpl::SendSnapshot(const runtime::Context& context, OutgoingSnapshot& job) {
  const auto rows = deps_.engine.NewSnapshot();
  std::unique_ptr<storage::EngineSnapshot> later;
  if (options_.planted == PlantedBug::kTearsSnapshots) {
    (void)runtime_->scheduler().SleepFor(context, kTorn).ok();
    later = deps_.engine.NewSnapshot();
  }
  const storage::Reader& state = later ? *later : *rows;
  const RangeId range = job.envelope.range;
  RangeDescriptor descriptor;
  AppliedStateRecord applied;
  raft::ConfState membership;
  ASSIGN_OR_RETURN(bool found, ReadRecord(state, ColumnFamily::kState, local_keys::Descriptor(range), descriptor));
  if (!found) return NotFoundError("the range is gone");
  ASSIGN_OR_RETURN(found, ReadRecord(state, ColumnFamily::kState, local_keys::AppliedState(range), applied));
  ASSIGN_OR_RETURN(found, ReadRecord(state, ColumnFamily::kState, local_keys::Membership(range), membership));
  job.envelope.message.snapshot = raft::SnapshotMeta{applied.index, applied.term, membership};
  SnapshotChunk chunk;
  chunk.range = range;
  chunk.to = job.envelope.to;
  chunk.snapshot = runtime_->random().Next();
  chunk.descriptor = descriptor;
  ChunkReader reader(state, *rows, descriptor, options_.snapshot_chunk_bytes);
  storage::WriteBatch data;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(data));
    if (!more) {
      chunk.last = job.envelope;
      data.Clear();
    }
    chunk.bytes = data.bytes();
    chunk.checksum = Hash64(chunk.bytes);
    auto answer = runtime_->transport().Call(context.WithTimeout(kChunkTimeout), chunk.to.node,
                                             runtime::Method::kRaftSnapshot, wire::Encode(chunk));
    if (!answer.ok()) return answer.status();
    if (!more) return OkStatus();
    ++chunk.sequence;
    chunk.descriptor = {};
  }
}

// ---- Receiving.

StatusOr<std::string> StoreImpl::HandleSnapshotChunk(const runtime::Context&, NodeId from, std::string_view request) {
  SnapshotChunk chunk;
  RETURN_IF_ERROR(wire::Decode(request, chunk));
  if (!driver_ || chunk.to.store != options_.store) return FailedPreconditionError("another store is meant");
  if (Hash64(chunk.bytes) != chunk.checksum) return DataLossError("a chunk of a RaftSnapshot was damaged");
  if (chunk.sequence == 0) {
    RETURN_IF_ERROR(CheckNoOverlap(chunk.range, chunk.descriptor));
    MutexLock lock(mutex_);
    auto& incoming = incoming_[chunk.range.value()];
    const MonoTime now = mono_clock().MonoNow();
    const bool busy = incoming.snapshot != 0 && !incoming.complete && now - incoming.touched < kTransferIdleMax;
    if (busy || incoming.complete) return UnavailableError("another RaftSnapshot of the range is arriving");
    incoming = Incoming{chunk.snapshot, 0, chunk.descriptor, now, false, {}};
  }
  {
    MutexLock lock(mutex_);
    const auto it = incoming_.find(chunk.range.value());
    if (it == incoming_.end() || it->second.snapshot != chunk.snapshot || it->second.complete ||
        it->second.next_sequence != chunk.sequence) {
      return FailedPreconditionError("the chunk belongs to no transfer");
    }
    it->second.touched = mono_clock().MonoNow();
    if (!chunk.last) ++it->second.next_sequence;
  }
  if (!chunk.last) {
    if (disk_space() != storage::SpaceLevel::kEnough) RETURN_IF_ERROR(deps_.engine.CheckSpace().status);
    storage::WriteBatch stage;
    const std::string key = local_keys::StagedChunk(chunk.range, chunk.sequence);
    stage.Put(ColumnFamily::kState, key, SealRecord(key, chunk.bytes));
    RETURN_IF_ERROR(deps_.engine.Write(stage, storage::SyncMode::kNoSync));
    return std::string();
  }
  if (!chunk.last->message.snapshot || chunk.last->from.node != from) return InvalidArgumentError("no snapshot");
  {
    MutexLock lock(mutex_);
    auto& incoming = incoming_[chunk.range.value()];
    incoming.complete = true;
    incoming.meta = *chunk.last->message.snapshot;
  }
  RunInCycle([this, envelope = std::move(*chunk.last)](CycleOutput& out) mutable {
    const RangeId range = envelope.range;
    const ReplicaPtr replica = MakeUninitialised(envelope, out);
    auto forget = [this, range] {  // wanted or not, the transfer ends with this message
      MutexLock lock(mutex_);
      incoming_.erase(range.value());
    };
    if (!replica) return forget();
    replica->PostMessage(std::move(envelope));
    // Takes in what was posted; the next cycle's Collect has installed it or ignored it.
    driver_->Enqueue(replica);
    replica->Post([this, forget](Replica&, CycleOutput& cycle) { cycle.after.push_back(forget); });
  });
  driver_->Nudge();
  return std::string();
}

Status StoreImpl::InstallStagedSnapshot(Replica& replica, const raft::SnapshotMeta& meta) {
  InstallMarkerRecord marker;
  RangeDescriptor descriptor;
  {
    MutexLock lock(mutex_);
    const auto it = incoming_.find(replica.range().value());
    if (it == incoming_.end() || !it->second.complete || !(it->second.meta == meta)) {
      return DataLossError("the RaftSnapshot that the group wants is not staged");
    }
    marker = {it->second.next_sequence, replica.id(), meta};
    descriptor = it->second.descriptor;
  }
  RETURN_IF_ERROR(CheckNoOverlap(replica.range(), descriptor));  // B22
  storage::WriteBatch batch;
  PutRecord(batch, ColumnFamily::kState, local_keys::InstallMarker(replica.range()), marker);
  RETURN_IF_ERROR(deps_.engine.Write(batch, storage::SyncMode::kSync));
  RETURN_IF_ERROR(InstallChunks(deps_.engine, replica.range(), marker));
  storage::WriteBatch nothing;
  replica.log().StageReset(nothing, {meta.index, meta.term});
  counters_.snapshots_installed.fetch_add(1, std::memory_order_relaxed);
  RETURN_IF_ERROR(replica.ReloadAfterInstall());
  NoteStart(replica.range(), descriptor.start);
  return OkStatus();
}

// At start: installs that a crash interrupted are completed, transfers that it interrupted are forgotten.
Status StoreImpl::FinishInstalls() {
  std::vector<std::pair<RangeId, InstallMarkerRecord>> markers;
  auto it = deps_.engine.NewIterator(
      ColumnFamily::kState,
      {std::string(local_keys::kInstallMarkerPrefix), ordered::PrefixEnd(local_keys::kInstallMarkerPrefix)});
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    RangeId range;
    InstallMarkerRecord marker;
    if (!local_keys::ParseRangeSuffix(it->key(), local_keys::kInstallMarkerPrefix.size(), range)) {
      return DataLossError("malformed key of an install marker");
    }
    RETURN_IF_ERROR(ParseRecord(it->key(), it->value(), marker));
    markers.emplace_back(range, marker);
  }
  RETURN_IF_ERROR(it->status());
  for (const auto& [range, marker] : markers) RETURN_IF_ERROR(InstallChunks(deps_.engine, range, marker));
  storage::WriteBatch waste;
  it = deps_.engine.NewIterator(ColumnFamily::kState, {std::string(local_keys::kStagedPrefix),
                                                       ordered::PrefixEnd(local_keys::kStagedPrefix)});
  for (it->SeekToFirst(); it->Valid(); it->Next()) waste.Delete(ColumnFamily::kState, it->key());
  RETURN_IF_ERROR(it->status());
  return waste.empty() ? OkStatus() : deps_.engine.Write(waste, storage::SyncMode::kNoSync);
}

}  // namespace orrery::kv
