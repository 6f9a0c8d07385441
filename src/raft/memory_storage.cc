#include "orrery/raft/memory_storage.h"

#include "orrery/base/assert.h"

namespace orrery::raft {

MemoryStorage::MemoryStorage(ConfState conf)
    : hard_state_{.term = kBootstrapTerm, .commit = kBootstrapIndex},
      snapshot_{kBootstrapIndex, kBootstrapTerm, std::move(conf)},
      dropped_{kBootstrapTerm, kBootstrapIndex} {}

StatusOr<LogStorage::Initial> MemoryStorage::InitialState() const {
  return Initial{hard_state_, snapshot_.conf};
}

StatusOr<std::vector<Entry>> MemoryStorage::Entries(RaftIndex lo, RaftIndex hi,
                                                    size_t max_bytes) const {
  if (lo < FirstIndex()) return OutOfRangeError("raft log truncated");
  if (hi > LastIndex().Next()) return OutOfRangeError("beyond the end of the raft log");
  std::vector<Entry> out;
  size_t bytes = 0;
  for (; lo < hi; lo = lo.Next()) {
    const Entry& entry = entries_[lo.value() - dropped_.index.value() - 1];
    bytes += EntryBytes(entry);
    if (!out.empty() && bytes > max_bytes) break;
    out.push_back(entry);
  }
  return out;
}

StatusOr<RaftTerm> MemoryStorage::Term(RaftIndex index) const {
  if (index == dropped_.index) return dropped_.term;
  if (index < dropped_.index || index > LastIndex()) return OutOfRangeError("not in the raft log");
  return entries_[index.value() - dropped_.index.value() - 1].term;
}

RaftIndex MemoryStorage::FirstIndex() const { return dropped_.index.Next(); }
RaftIndex MemoryStorage::LastIndex() const {
  return RaftIndex(dropped_.index.value() + entries_.size());
}

StatusOr<SnapshotMeta> MemoryStorage::Snapshot() const {
  if (!snapshot_.index) return UnavailableError("no snapshot yet");
  return snapshot_;
}

void MemoryStorage::Append(const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  const RaftIndex first = entries.front().index;
  ORRERY_ASSERT(first >= FirstIndex() && first <= LastIndex().Next(), "memory storage: no gap");
  entries_.resize(first.value() - dropped_.index.value() - 1);
  entries_.insert(entries_.end(), entries.begin(), entries.end());
}

void MemoryStorage::InstallSnapshot(const SnapshotMeta& meta) {
  snapshot_ = meta;
  dropped_ = {meta.term, meta.index};
  entries_.clear();
  if (hard_state_.commit < meta.index) hard_state_.commit = meta.index;
}

void MemoryStorage::MakeSnapshot(RaftIndex index, const ConfState& conf) {
  const auto term = Term(index);
  ORRERY_ASSERT(term.ok(), "memory storage: a snapshot of an entry of the log");
  snapshot_ = {index, *term, conf};
}

void MemoryStorage::Compact(RaftIndex index) {
  if (index <= dropped_.index) return;
  ORRERY_ASSERT(index <= snapshot_.index, "memory storage: truncated only up to a snapshot");
  const RaftTerm term = *Term(index);
  entries_.erase(entries_.begin(), entries_.begin() + (index.value() - dropped_.index.value()));
  dropped_ = {term, index};
}

}  // namespace orrery::raft
