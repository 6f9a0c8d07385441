// What goes out, and the completion of writes (asynchronous storage, see RaftLog).
#include "orrery/base/assert.h"
#include "raft/raft.h"

namespace orrery::raft {

bool Raft::HasReady() const {
  const bool to_write = log_.HasUnstaged() || self_vote_unstaged_ || VoteIsUnstaged();
  const bool to_send = HasAppendsToSend() || !messages_.empty() || !messages_after_persist_.empty();
  const bool reads = !read_states_.empty() || (!unstarted_reads_.empty() && CommittedInTerm());
  return to_write || to_send || reads || log_.HasApplicable() ||
         staged_soft_state_ != SoftState{role_, leader_, term_};
}

Ready Raft::TakeReady() {
  Ready ready;
  if (IsLeader()) {
    StartReadRound();
    if (appends_due_) FlushAppends();
  }
  const SoftState soft{role_, leader_, term_};
  if (soft != staged_soft_state_) ready.soft_state = staged_soft_state_ = soft;
  const bool vote_changed = VoteIsUnstaged();
  const HardState hard{term_, vote_, log_.committed()};
  if (vote_changed || (log_.HasUnstaged() && hard != staged_hard_state_)) {
    ready.hard_state = staged_hard_state_ = hard;
  }
  ready.messages = std::exchange(messages_, {});
  ready.messages_after_persist = std::exchange(messages_after_persist_, {});
  ready.read_states = std::exchange(read_states_, {});
  if (ready.hard_state || log_.HasUnstaged() || self_vote_unstaged_ ||
      !ready.messages_after_persist.empty()) {
    ready.token = PersistToken{++last_token_};
    log_.Stage(ready.token, ready);
    persisting_.push_back({ready.token, term_, std::exchange(self_vote_unstaged_, false)});
  }
  ready.must_sync = vote_changed || !ready.entries.empty() || ready.snapshot.has_value();
  if (Status status = log_.TakeApplicable(ready.committed_entries); !status.ok())
    storage_error_ = status;
  ready.storage_error = storage_error_;
  return ready;
}

void Raft::OnPersisted(PersistToken token, MonoTime now) {
  Observe(now);
  ORRERY_ASSERT(token.value <= last_token_, "raft: only what was handed out is persisted");
  bool self_vote = false;
  while (!persisting_.empty() && persisting_.front().token.value <= token.value) {
    const Persisting& done = persisting_.front();
    persisted_term_ = done.term;
    self_vote |= done.self_vote && done.term == term_;
    persisting_.pop_front();
  }
  log_.OnPersisted(token);
  if (IsLeader()) {
    const auto self = progress_.find(config_.id);
    if (self != progress_.end() && log_.stable() > self->second.match) {
      self->second.match = log_.stable();
      AdvanceCommit();
    }
  } else if (self_vote && role_ == Role::kCandidate) {
    RecordVote(config_.id, true);
  }
}

StatusOr<std::vector<Entry>> Raft::TakeCommitted() {
  std::vector<Entry> entries;
  RETURN_IF_ERROR(log_.TakeApplicable(entries));
  return entries;
}

void Raft::OnApplied(RaftIndex index) {
  log_.OnApplied(index);
  MaybeLeaveJoint();
  MaybeCampaignDeferred();
}

}  // namespace orrery::raft
