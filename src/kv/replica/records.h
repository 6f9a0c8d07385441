// Records that a store keeps for its ranges, and the command: what a raft log entry carries. Plain data;
// docs/formats/range_local.md and raft_log.md document the bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/batch.h"
#include "orrery/kv/concurrency/lock_handover.h"
#include "orrery/raft/types.h"
#include "orrery/storage/engine.h"
#include "orrery/storage/mvcc/stats.h"

namespace orrery::kv {

// The log of a new range begins after this entry, so that a replica without data always needs a RaftSnapshot.
inline constexpr RaftIndex kInitialIndex{10};
inline constexpr RaftTerm kInitialTerm{5};

// Changes with every applied command, in its batch (A3, B6).
struct AppliedStateRecord {
  RaftIndex index;
  RaftTerm term;
  uint64_t lease_applied_index = 0;  // T20
  storage::MvccStats stats;
  Timestamp gc_threshold;
  Timestamp closed_ts;
  Timestamp write_ts_max;            // of all commands: who gets the state by a RaftSnapshot is no further behind
  template <class V> void Visit(V& v) {
    v(1, index); v(2, term); v(3, lease_applied_index); v(4, stats); v(5, gc_threshold); v(6, closed_ts);
    v(7, write_ts_max);
  }
};

struct TruncatedStateRecord {  // the last entry dropped from the log
  RaftIndex index;
  RaftTerm term;
  template <class V> void Visit(V& v) { v(1, index); v(2, term); }
};

struct TombstoneRecord {  // B21: replicas below this id are never made again
  ReplicaId next_replica;
  template <class V> void Visit(V& v) { v(1, next_replica); }
};

struct LocalReplicaRecord {
  ReplicaId replica;
  template <class V> void Visit(V& v) { v(1, replica); }
};

struct InstallMarkerRecord {  // A7: a RaftSnapshot whose chunks are all staged and being installed
  uint64_t chunk_count = 0;
  ReplicaId replica;
  raft::SnapshotMeta meta;
  template <class V> void Visit(V& v) { v(1, chunk_count); v(2, replica); v(3, meta); }
};

// What a committed entry does. Everything was decided when it was evaluated: applying it only checks the lease
// sequence (T4) and the lease applied index (T20), so all replicas do the same.
struct Command {
  LeaseSequence lease_sequence;     // it was evaluated under
  uint64_t lease_applied_index = 0;
  std::string effects;              // a serialised storage::WriteBatch
  storage::MvccStats stats_delta;
  Timestamp write_ts;               // highest timestamp written: followers' clocks stay above it
  Timestamp closed_ts;
  Timestamp gc_threshold;           // zero: unchanged
  std::optional<Lease> lease;       // a new lease; the command has no other effect
  std::optional<SplitTrigger> split;
  storage::MvccStats right_stats;   // split: of the right half
  Timestamp right_read_bound;       // split: no read of the right half was served above this (B25)
  std::optional<ChangeReplicasTrigger> change_replicas;
  TruncatedStateRecord truncate;    // index none: no truncation
  uint8_t new_rows = 0;             // 1: what it puts into kMvcc are new keys' versions, ascending (bulk_load.md)
  std::optional<LockHandover> lock_handover;  // the proposer's lease ends with it; for the next one (B44)
  template <class V> void Visit(V& v) {
    v(3, lease_sequence); v(4, lease_applied_index); v(5, effects); v(6, stats_delta);
    v(7, write_ts); v(8, closed_ts); v(9, gc_threshold); v(10, lease); v(11, split); v(12, right_stats);
    v(13, right_read_bound); v(14, change_replicas); v(15, truncate);
    v(16, lock_handover); v(17, new_rows);
  }
};

// Records on disk: 4 bytes of checksum over key and message, then the message. A record that strayed or was
// damaged is DataLoss.
std::string SealRecord(std::string_view key, std::string_view message);
inline constexpr size_t kRecordChecksumBytes = 4;
// The same in place: `record` is room for the checksum and the message.
void SealRecordInPlace(std::string_view key, std::string& record);
StatusOr<std::string_view> OpenRecord(std::string_view key, std::string_view bytes);

template <class T>
void PutRecord(storage::WriteBatch& batch, storage::ColumnFamily cf, std::string_view key, const T& record) {
  std::string bytes(kRecordChecksumBytes, '\0');
  wire::EncodeTo(record, bytes);
  SealRecordInPlace(key, bytes);
  batch.Put(cf, key, bytes);
}
template <class T>
Status ParseRecord(std::string_view key, std::string_view bytes, T& record) {
  ASSIGN_OR_RETURN(const std::string_view message, OpenRecord(key, bytes));
  return wire::Decode(message, record);
}
// False (and `record` untouched) if there is none.
template <class T>
StatusOr<bool> ReadRecord(const storage::Reader& reader, storage::ColumnFamily cf, std::string_view key, T& record) {
  std::string bytes;
  ASSIGN_OR_RETURN(const bool found, reader.GetInto(cf, key, bytes));
  if (!found) return false;
  RETURN_IF_ERROR(ParseRecord(key, bytes, record));
  return true;
}

// Membership of the raft group that a descriptor stands for, outside joint configurations.
raft::ConfState ConfStateOf(const RangeDescriptor& descriptor);
// The raft change that leads from one descriptor to the next; no steps if the replicas are the same.
raft::ConfChange ConfChangeBetween(const RangeDescriptor& from, const RangeDescriptor& to);

}  // namespace orrery::kv
