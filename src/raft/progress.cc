#include "raft/progress.h"

#include <algorithm>

namespace orrery::raft {

void Inflights::Add(RaftIndex last, size_t bytes) {
  messages_.push_back({last, bytes});
  bytes_ += bytes;
}

void Inflights::FreeUpTo(RaftIndex index) {
  while (!messages_.empty() && messages_.front().last <= index) {
    bytes_ -= messages_.front().bytes;
    messages_.pop_front();
  }
}

void Inflights::Clear() {
  messages_.Clear();
  bytes_ = 0;
}

bool Inflights::Full(const Config& config) const {
  return messages_.size() >= config.max_inflight_messages || bytes_ >= config.max_inflight_bytes;
}

void Progress::BecomeProbe() {
  next = match.Next();
  if (state == ProgressState::kSnapshot) next = std::max(next, pending_snapshot.Next());
  state = ProgressState::kProbe;
  pending_snapshot = RaftIndex();
  sent_commit = std::min(sent_commit, next.Prev());
  probe_sent = false;
  probe_wanted = true;
  inflights.Clear();
}

void Progress::BecomeReplicate() {
  state = ProgressState::kReplicate;
  next = match.Next();
  pending_snapshot = RaftIndex();
  probe_sent = false;
  probe_wanted = false;
  inflights.Clear();
}

void Progress::BecomeSnapshot(RaftIndex index) {
  state = ProgressState::kSnapshot;
  pending_snapshot = index;
  probe_sent = false;
  probe_wanted = false;
  inflights.Clear();
}

bool Progress::Advance(RaftIndex index) {
  probe_sent = false;
  if (index <= match) return false;
  match = index;
  next = std::max(next, index.Next());
  return true;
}

bool Progress::Backtrack(RaftIndex rejected, RaftIndex hint) {
  switch (state) {
    case ProgressState::kReplicate:
      if (rejected <= match) return false;
      next = match.Next();
      return true;
    case ProgressState::kSnapshot:
      return false;
    case ProgressState::kProbe:
      if (next.Prev() != rejected) return false;
      next = std::max(std::min(rejected, hint.Next()), match.Next());
      sent_commit = std::min(sent_commit, next.Prev());
      probe_sent = false;
      probe_wanted = true;
      return true;
  }
  return false;
}

void Progress::OnSent(size_t count, RaftIndex last, size_t bytes) {
  probe_wanted = false;
  if (state == ProgressState::kProbe) {
    probe_sent = true;
  } else if (count > 0) {
    next = last.Next();
    inflights.Add(last, bytes);
  }
}

}  // namespace orrery::raft
