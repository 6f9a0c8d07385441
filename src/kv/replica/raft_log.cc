#include "kv/replica/raft_log.h"

#include "kv/replica/local_keys.h"

namespace orrery::kv {
namespace {

using storage::ColumnFamily;

constexpr size_t kCacheBytesMax = 4 << 20;

}  // namespace

Status RaftLog::Load(raft::ConfState conf) {
  conf_ = std::move(conf);
  auto found = ReadRecord(engine_, ColumnFamily::kRaft, local_keys::HardState(range_), hard_state_);
  if (!found.ok()) return found.status();
  found = ReadRecord(engine_, ColumnFamily::kRaft, local_keys::TruncatedState(range_), truncated_);
  if (!found.ok()) return found.status();
  last_ = truncated_.index;
  last_term_ = truncated_.term;
  const std::string prefix = local_keys::LogPrefix(range_);
  auto it = engine_.NewIterator(ColumnFamily::kRaft, {prefix, local_keys::HardState(range_)});
  it->SeekToLast();
  if (!it->Valid()) return it->status();
  raft::Entry entry;
  RETURN_IF_ERROR(ParseRecord(it->key(), it->value(), entry).Annotate("last raft log entry"));
  if (entry.index > last_) {
    last_ = entry.index;
    last_term_ = entry.term;
  }
  // What is left from before a restart is counted by one walk over the keys' values.
  for (it->SeekToFirst(); it->Valid(); it->Next()) bytes_ += it->value().size();
  return it->status();
}

StatusOr<raft::Entry> RaftLog::ReadEntry(RaftIndex index) const {
  if (!cache_.empty() && index >= cache_.front().index && index <= last_) {
    return cache_[index.value() - cache_.front().index.value()];
  }
  raft::Entry entry;
  ASSIGN_OR_RETURN(const bool found,
                   ReadRecord(engine_, ColumnFamily::kRaft, local_keys::LogEntry(range_, index), entry));
  if (!found || entry.index != index) return DataLossError("raft log entry " + ToString(index) + " is missing");
  return entry;
}

StatusOr<std::vector<raft::Entry>> RaftLog::Entries(RaftIndex lo, RaftIndex hi, size_t max_bytes) const {
  if (lo < FirstIndex()) return OutOfRangeError("raft log is truncated");
  std::vector<raft::Entry> out;
  size_t bytes = 0;
  for (RaftIndex i = lo; i < hi && i <= last_; i = i.Next()) {
    ASSIGN_OR_RETURN(raft::Entry entry, ReadEntry(i));
    bytes += raft::EntryBytes(entry);
    if (!out.empty() && bytes > max_bytes) break;
    out.push_back(std::move(entry));
  }
  return out;
}

StatusOr<RaftTerm> RaftLog::Term(RaftIndex index) const {
  if (index == truncated_.index) return RaftTerm(truncated_.term);
  if (index == last_) return RaftTerm(last_term_);
  if (index < truncated_.index || index > last_) return OutOfRangeError("no such raft log entry");
  ASSIGN_OR_RETURN(const raft::Entry entry, ReadEntry(index));
  return RaftTerm(entry.term);
}

StatusOr<raft::SnapshotMeta> RaftLog::Snapshot() const {
  return raft::SnapshotMeta{applied_.index, applied_.term, conf_};
}

void RaftLog::StageHardState(storage::WriteBatch& batch, const raft::HardState& state) {
  hard_state_ = state;
  PutRecord(batch, ColumnFamily::kRaft, local_keys::HardState(range_), state);
}

void RaftLog::StageEntries(storage::WriteBatch& batch, std::vector<raft::Entry> entries) {
  if (entries.empty()) return;
  const RaftIndex first = entries.front().index;
  const RaftIndex old_last = last_;
  while (!cache_.empty() && cache_.back().index >= first) {
    cache_bytes_ -= raft::EntryBytes(cache_.back());
    cache_.pop_back();
  }
  if (!cache_.empty() && cache_.back().index.Next() != first) {
    ForgetCache();
  }
  for (auto& entry : entries) {
    const std::string key = local_keys::LogEntry(range_, entry.index);
    PutRecord(batch, ColumnFamily::kRaft, key, entry);
    bytes_ += raft::EntryBytes(entry);
    cache_bytes_ += raft::EntryBytes(entry);
    last_ = entry.index;
    last_term_ = entry.term;
    cache_.push_back(std::move(entry));
  }
  for (RaftIndex i = last_.Next(); i <= old_last; i = i.Next()) {
    batch.Delete(ColumnFamily::kRaft, local_keys::LogEntry(range_, i));
  }
  TrimCache();
}

void RaftLog::ForgetCache() {
  cache_.Clear();
  cache_bytes_ = 0;
}

void RaftLog::TrimCache() {
  while (cache_bytes_ > kCacheBytesMax && cache_.size() > 1) {
    cache_bytes_ -= raft::EntryBytes(cache_.front());
    cache_.pop_front();
  }
}

void RaftLog::StageTruncation(storage::WriteBatch& batch, const TruncatedStateRecord& to) {
  if (to.index <= truncated_.index || to.index > last_) return;
  const uint64_t total = last_.value() - truncated_.index.value();
  const uint64_t dropped = to.index.value() - truncated_.index.value();
  for (RaftIndex i = truncated_.index.Next(); i <= to.index; i = i.Next()) {
    batch.Delete(ColumnFamily::kRaft, local_keys::LogEntry(range_, i));
  }
  bytes_ -= bytes_ / total * dropped;
  truncated_ = to;
  PutRecord(batch, ColumnFamily::kRaft, local_keys::TruncatedState(range_), truncated_);
  while (!cache_.empty() && cache_.front().index <= to.index) {
    cache_bytes_ -= raft::EntryBytes(cache_.front());
    cache_.pop_front();
  }
}

void RaftLog::StageReset(storage::WriteBatch& batch, const TruncatedStateRecord& at) {
  for (RaftIndex i = truncated_.index.Next(); i <= last_; i = i.Next()) {
    batch.Delete(ColumnFamily::kRaft, local_keys::LogEntry(range_, i));
  }
  ForgetCache();
  bytes_ = 0;
  truncated_ = at;
  applied_ = at;
  last_ = at.index;
  last_term_ = at.term;
  PutRecord(batch, ColumnFamily::kRaft, local_keys::TruncatedState(range_), truncated_);
}

}  // namespace orrery::kv
