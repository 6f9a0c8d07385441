// MemoryStorage: a LogStorage in memory, for tests and for models. It holds exactly what was
// written to it, so a copy of the object is a crash image.
//
// Thread safety: none; one owner.
#pragma once

#include <vector>

#include "orrery/raft/log_storage.h"

namespace orrery::raft {

class MemoryStorage : public LogStorage {
 public:
  MemoryStorage() = default;
  // A new group: this membership, kBootstrapIndex and kBootstrapTerm, no entries.
  explicit MemoryStorage(ConfState conf);

  StatusOr<Initial> InitialState() const override;
  StatusOr<std::vector<Entry>> Entries(RaftIndex lo, RaftIndex hi, size_t max_bytes) const override;
  StatusOr<RaftTerm> Term(RaftIndex index) const override;
  RaftIndex FirstIndex() const override;
  RaftIndex LastIndex() const override;
  StatusOr<SnapshotMeta> Snapshot() const override;

  void SetHardState(const HardState& state) { hard_state_ = state; }
  // Appends, first dropping what is stored from entries.front() on (A2). Precondition: no gap.
  void Append(const std::vector<Entry>& entries);
  // Replaces log and snapshot, keeps term and vote (A7).
  void InstallSnapshot(const SnapshotMeta& meta);
  // Records that a RaftSnapshot at `index` with this membership can be given. Precondition: index
  // in the log.
  void MakeSnapshot(RaftIndex index, const ConfState& conf);
  // Drops entries up to and including `index`. Precondition: index <= snapshot's index.
  void Compact(RaftIndex index);
  const HardState& hard_state() const { return hard_state_; }

 private:
  HardState hard_state_;
  SnapshotMeta snapshot_;     // the latest; its conf doubles as the initial membership
  EntryId dropped_;           // the entry before entries_[0]
  std::vector<Entry> entries_;
};

}  // namespace orrery::raft
