// RaftLog: one replica's log, as the sum of what LogStorage holds and a tail kept in memory.
//
//   |<-- LogStorage -->|<----------- tail_ ------------>|
//                           applied <= applying <= min(committed, stable)
//                                stable <= staged <= last
//
// stable: known durable (OnPersisted). staged: handed out to be appended. The tail holds at least
// what is above stable and what is not handed out for applying; older entries stay in it up to
// Config::max_cached_bytes.
//
// Readys in flight: Stage() notes up to where each Ready makes the log durable. When the log is
// truncated, the notes of earlier Readys are cut back too: what they wrote above the cut will be
// dropped from disk by a later write, so their completion must not attest it (the "ABA" hazard of
// asynchronous storage writes).
#pragma once

#include <optional>
#include <vector>

#include "orrery/base/fifo.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {

class RaftLog {
 public:
  RaftLog(const LogStorage& storage, const Config& config) : storage_(storage), config_(config) {}
  // Reads the borders of the stored log. DataLoss if they contradict `commit` or `applied`.
  Status Load(RaftIndex commit, RaftIndex applied);

  RaftIndex last_index() const { return RaftIndex(before_.index.value() + tail_.size()); }
  RaftTerm last_term() const { return tail_.empty() ? before_.term : tail_.back().term; }
  RaftIndex committed() const { return committed_; }
  RaftIndex stable() const { return stable_; }
  RaftIndex applying() const { return applying_; }
  RaftIndex applied() const { return applied_; }
  RaftIndex FirstIndex() const;
  // OutOfRange if truncated or beyond the end.
  StatusOr<RaftTerm> Term(RaftIndex index) const;
  bool Matches(EntryId id) const;
  bool IsUpToDate(EntryId other) const;  // §5.4.1: `other` is at least as complete as this log
  // Entries of [lo, hi) up to max_bytes, at least one. OutOfRange if truncated.
  StatusOr<std::vector<Entry>> Slice(RaftIndex lo, RaftIndex hi, size_t max_bytes) const;
  // The greatest index <= `from` whose term is <= `term`: where two logs may still agree.
  EntryId LatestAtOrBelow(RaftIndex from, RaftTerm term) const;

  // Follower: takes entries that follow `previous`. False: no match there. DataLoss: they
  // contradict a committed entry.
  StatusOr<bool> TryAppend(EntryId previous, std::vector<Entry> entries);
  // Leader: adds one entry at the end.
  void Append(Entry entry);
  void CommitTo(RaftIndex index);  // precondition: index <= last_index(); never lowers
  void Restore(const SnapshotMeta& meta);
  bool HasPendingSnapshot() const { return pending_snapshot_.has_value(); }

  // Ready's side.
  bool HasUnstaged() const;
  bool HasApplicable() const;
  // Moves what is unstaged into `ready`.
  void Stage(PersistToken token, Ready& ready);
  // True if a snapshot became durable (applied is then its index).
  bool OnPersisted(PersistToken token);
  // Next entries to apply, within max_apply_bytes of outstanding work.
  Status TakeApplicable(std::vector<Entry>& out);
  void OnApplied(RaftIndex index);
  // Gives the memory back, as nobody will ask soon. Precondition: everything is stable and applied.
  void ForgetTail();

 private:
  struct StagedWrite {
    PersistToken token;
    RaftIndex last;      // durable up to here once written
    bool attests = true; // false: made void by a snapshot
    bool snapshot = false;
    RaftIndex snapshot_index;
  };
  struct Applying {
    RaftIndex last;
    size_t bytes;
  };
  void TruncateFrom(RaftIndex index, RaftTerm previous_term);
  void Prune();

  const LogStorage& storage_;
  const Config& config_;
  EntryId before_;  // the entry before tail_.front()
  Fifo<Entry> tail_;
  size_t tail_bytes_ = 0;
  RaftIndex stable_;
  RaftIndex staged_;
  RaftIndex committed_;
  RaftIndex applying_;
  RaftIndex applied_;
  std::optional<SnapshotMeta> pending_snapshot_;  // accepted, not yet durable
  bool snapshot_staged_ = false;
  Fifo<StagedWrite> writes_;
  Fifo<Applying> apply_batches_;
  size_t apply_bytes_ = 0;
};

}  // namespace orrery::raft
