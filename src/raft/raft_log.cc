#include "raft/raft_log.h"

#include <algorithm>

#include "orrery/base/assert.h"

namespace orrery::raft {

Status RaftLog::Load(RaftIndex commit, RaftIndex applied) {
  const RaftIndex last = storage_.LastIndex();
  const RaftIndex dropped = storage_.FirstIndex().Prev();
  if (dropped > last) return DataLossError("raft log: first index beyond the last");
  if (commit > last) return DataLossError("raft log: commit index beyond the last entry");
  if (applied > last) return DataLossError("raft log: applied index beyond the last entry");
  if (applied < dropped) return DataLossError("raft log: truncated beyond the applied index");
  ASSIGN_OR_RETURN(const RaftTerm last_term, storage_.Term(last));
  before_ = {last_term, last};
  stable_ = staged_ = last;
  // Committed entries may be applied before the commit index reaches the disk: it needs no sync of
  // its own.
  committed_ = std::max(commit, std::max(applied, dropped));
  applying_ = applied_ = applied;
  return OkStatus();
}

RaftIndex RaftLog::FirstIndex() const {
  return pending_snapshot_ ? pending_snapshot_->index.Next() : storage_.FirstIndex();
}

StatusOr<RaftTerm> RaftLog::Term(RaftIndex index) const {
  if (index > last_index()) return OutOfRangeError("beyond the end of the raft log");
  if (index == before_.index) return before_.term;
  if (index > before_.index) return tail_[index.value() - before_.index.value() - 1].term;
  if (pending_snapshot_) return OutOfRangeError("replaced by a snapshot");
  return storage_.Term(index);
}

bool RaftLog::Matches(EntryId id) const {
  const auto term = Term(id.index);
  return term.ok() && *term == id.term;
}

bool RaftLog::IsUpToDate(EntryId other) const {
  return other >= EntryId{last_term(), last_index()};  // by term, then by index
}

StatusOr<std::vector<Entry>> RaftLog::Slice(RaftIndex lo, RaftIndex hi, size_t max_bytes) const {
  ORRERY_ASSERT(lo <= hi && hi <= last_index().Next(), "raft log: slice within the log");
  if (lo < FirstIndex()) return OutOfRangeError("raft log truncated");
  std::vector<Entry> out;
  size_t bytes = 0;
  if (lo <= before_.index && lo < hi) {
    const RaftIndex stored_end = std::min(hi, before_.index.Next());
    ASSIGN_OR_RETURN(out, storage_.Entries(lo, stored_end, max_bytes));
    if (out.empty() || out.front().index != lo || out.back().index >= stored_end) {
      return DataLossError("raft log: storage returned other entries than asked for");
    }
    for (const Entry& entry : out) bytes += EntryBytes(entry);
    lo = out.back().index.Next();
    if (lo < stored_end) return out;  // the limit was reached
  }
  for (; lo < hi; lo = lo.Next()) {
    const Entry& entry = tail_[lo.value() - before_.index.value() - 1];
    bytes += EntryBytes(entry);
    if (!out.empty() && bytes > max_bytes) break;
    out.push_back(entry);
  }
  return out;
}

EntryId RaftLog::LatestAtOrBelow(RaftIndex from, RaftTerm term) const {
  RaftIndex index = std::min(from, last_index());
  for (;; index = index.Prev()) {
    const auto here = Term(index);
    if (!here.ok()) return {RaftTerm(), index};
    if (*here <= term || !index) return {*here, index};
  }
}

StatusOr<bool> RaftLog::TryAppend(EntryId previous, std::vector<Entry> entries) {
  if (!Matches(previous)) return false;
  RaftTerm previous_term = previous.term;
  for (size_t i = 0; i < entries.size(); ++i) {
    const EntryId id{entries[i].term, entries[i].index};
    if (Matches(id)) {
      previous_term = id.term;
      continue;
    }
    if (id.index <= committed_)
      return DataLossError("raft log: a leader contradicts a committed entry (I3)");
    if (id.index <= last_index()) TruncateFrom(id.index, previous_term);
    for (; i < entries.size(); ++i) Append(std::move(entries[i]));
  }
  return true;
}

void RaftLog::Append(Entry entry) {
  ORRERY_ASSERT(entry.index == last_index().Next(), "raft log: entries without a gap");
  tail_bytes_ += EntryBytes(entry);
  tail_.push_back(std::move(entry));
}

void RaftLog::TruncateFrom(RaftIndex index, RaftTerm previous_term) {
  ORRERY_ASSERT(index > committed_, "I3: committed entries are never truncated");
  while (!tail_.empty() && tail_.back().index >= index) {
    tail_bytes_ -= EntryBytes(tail_.back());
    tail_.pop_back();
  }
  const RaftIndex keep = index.Prev();
  if (tail_.empty()) before_ = {previous_term, keep};
  stable_ = std::min(stable_, keep);
  staged_ = std::min(staged_, keep);
  for (size_t i = 0; i < writes_.size(); ++i) writes_[i].last = std::min(writes_[i].last, keep);
}

void RaftLog::CommitTo(RaftIndex index) {
  ORRERY_ASSERT(index <= last_index(), "raft log: commit within the log");
  committed_ = std::max(committed_, index);
}

void RaftLog::Restore(const SnapshotMeta& meta) {
  ORRERY_ASSERT(meta.index > committed_, "raft log: a snapshot only moves forward");
  tail_.Clear();
  tail_bytes_ = 0;
  before_ = {meta.term, meta.index};
  committed_ = staged_ = meta.index;
  stable_ = RaftIndex();  // nothing of the new log is durable until the snapshot is
  pending_snapshot_ = meta;
  snapshot_staged_ = false;
  for (size_t i = 0; i < writes_.size(); ++i) writes_[i].attests = false;
}

bool RaftLog::HasUnstaged() const {
  return staged_ < last_index() || (pending_snapshot_ && !snapshot_staged_);
}

bool RaftLog::HasApplicable() const {
  return applying_ < std::min(committed_, stable_) && apply_bytes_ < config_.max_apply_bytes;
}

void RaftLog::Stage(PersistToken token, Ready& ready) {
  StagedWrite write{.token = token, .last = last_index()};
  if (pending_snapshot_ && !snapshot_staged_) {
    ready.snapshot = pending_snapshot_;
    snapshot_staged_ = write.snapshot = true;
    write.snapshot_index = pending_snapshot_->index;
  }
  ready.entries.reserve(last_index().value() - staged_.value());
  for (RaftIndex i = staged_.Next(); i <= last_index(); i = i.Next()) {
    ready.entries.push_back(tail_[i.value() - before_.index.value() - 1]);
  }
  staged_ = last_index();
  writes_.push_back(write);
}

bool RaftLog::OnPersisted(PersistToken token) {
  bool snapshot_done = false;
  while (!writes_.empty() && writes_.front().token.value <= token.value) {
    const StagedWrite write = writes_.front();
    writes_.pop_front();
    if (!write.attests) continue;
    if (write.snapshot) {
      pending_snapshot_.reset();
      applying_ = std::max(applying_, write.snapshot_index);
      OnApplied(write.snapshot_index);  // whatever was still to be applied below it is in it
      snapshot_done = true;
    }
    // A write staged before the pending snapshot is void, one after it implies it: order is kept.
    if (!pending_snapshot_) stable_ = std::max(stable_, write.last);
  }
  Prune();
  return snapshot_done;
}

Status RaftLog::TakeApplicable(std::vector<Entry>& out) {
  if (!HasApplicable()) return OkStatus();
  const RaftIndex end = std::min(committed_, stable_).Next();
  ASSIGN_OR_RETURN(out, Slice(applying_.Next(), end, config_.max_apply_bytes - apply_bytes_));
  size_t bytes = 0;
  for (const Entry& entry : out) bytes += EntryBytes(entry);
  applying_ = out.back().index;
  apply_batches_.push_back({applying_, bytes});
  apply_bytes_ += bytes;
  Prune();
  return OkStatus();
}

void RaftLog::OnApplied(RaftIndex index) {
  ORRERY_ASSERT(index <= applying_, "raft log: applied what was handed out");
  applied_ = std::max(applied_, index);
  while (!apply_batches_.empty() && apply_batches_.front().last <= applied_) {
    apply_bytes_ -= apply_batches_.front().bytes;
    apply_batches_.pop_front();
  }
}

void RaftLog::ForgetTail() {
  ORRERY_ASSERT(stable_ == last_index() && applied_ == last_index() && !pending_snapshot_,
                "raft log: what is forgotten here is stored and applied");
  before_ = {last_term(), last_index()};
  tail_.Clear();
  tail_bytes_ = 0;
}

void RaftLog::Prune() {
  const RaftIndex needless = std::min(stable_, applying_);
  while (!tail_.empty() && tail_bytes_ > config_.max_cached_bytes &&
         tail_.front().index <= needless) {
    before_ = {tail_.front().term, tail_.front().index};
    tail_bytes_ -= EntryBytes(tail_.front());
    tail_.pop_front();
  }
}

}  // namespace orrery::raft
