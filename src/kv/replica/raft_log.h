// RaftLog: one replica's log on disk (ColumnFamily::kRaft) with its newest entries cached, as the raft core
// reads it and the driver writes it.
//
// Thread safety: none; belongs to the driver of the range. Invariant: what was staged is visible at once to
// the readers here and written by the batch it was staged in, before the raft core is told OnPersisted.
#pragma once

#include "kv/replica/records.h"
#include "orrery/base/fifo.h"
#include "orrery/raft/log_storage.h"

namespace orrery::kv {

class RaftLog : public raft::LogStorage {
 public:
  RaftLog(const storage::Engine& engine, RangeId range) : engine_(engine), range_(range) {}

  // Reads HardState, truncated state and the last index. `conf` is the membership as of the applied index.
  Status Load(raft::ConfState conf);

  // ---- raft::LogStorage
  StatusOr<Initial> InitialState() const override { return Initial{hard_state_, conf_}; }
  StatusOr<std::vector<raft::Entry>> Entries(RaftIndex lo, RaftIndex hi, size_t max_bytes) const override;
  StatusOr<RaftTerm> Term(RaftIndex index) const override;
  RaftIndex FirstIndex() const override { return truncated_.index.Next(); }
  RaftIndex LastIndex() const override { return last_; }
  StatusOr<raft::SnapshotMeta> Snapshot() const override;

  // ---- For the driver: each adds to the batch and takes effect here at once.
  void StageHardState(storage::WriteBatch& batch, const raft::HardState& state);
  // Drops what is stored from entries.front() on (A2).
  void StageEntries(storage::WriteBatch& batch, std::vector<raft::Entry> entries);
  // Drops everything up to `to` (A8). No effect if that is gone already.
  void StageTruncation(storage::WriteBatch& batch, const TruncatedStateRecord& to);
  // Replaces the log by a RaftSnapshot's position; HardState stays (A7, B20).
  void StageReset(storage::WriteBatch& batch, const TruncatedStateRecord& at);
  void SetApplied(const TruncatedStateRecord& applied, const raft::ConfState& conf) {
    applied_ = applied;
    conf_ = conf;
  }

  // The range is quiet: its entries are read from disk if anybody wants them.
  void ForgetCache();

  const raft::HardState& hard_state() const { return hard_state_; }
  uint64_t bytes() const { return bytes_; }  // of the entries held, roughly (from this incarnation on)

 private:
  StatusOr<raft::Entry> ReadEntry(RaftIndex index) const;
  void TrimCache();

  const storage::Engine& engine_;
  const RangeId range_;
  raft::HardState hard_state_;
  raft::ConfState conf_;
  TruncatedStateRecord truncated_;
  TruncatedStateRecord applied_;
  RaftIndex last_;
  RaftTerm last_term_;
  uint64_t bytes_ = 0;
  Fifo<raft::Entry> cache_;  // the newest entries, contiguous up to last_
  size_t cache_bytes_ = 0;
};

}  // namespace orrery::kv
