// What a store decides by itself, as the only voter of its ranges: commits that take effect with the write that makes them
// durable, and those over several ranges, whose parts enter the logs of all of them, or of none.
#include <algorithm>

#include "kv/replica/replica.h"

namespace orrery::kv {

namespace {

// Of a command, beside its effects.
constexpr size_t kCommandBytesMax = 4096;

// Commands that change who votes, where the range ends or who leads it, and what comes to later commands of the same cycle by it.
bool ChangesTheRange(const Command& command) {
  return command.lease || command.lock_handover || command.split || command.change_replicas;
}

}  // namespace

bool Replica::IsOnlyVoter() const {
  return membership_.voters == std::vector{id_} && !membership_.IsJoint() && membership_.learners.empty();
}

// ---- One voter.

// Whether the entries to be written can do without the log: they are committed when they are durable, nobody else can
// ask for them, and all that they do stands in one batch with the applied index (docs/design/replica.md, "One voter"). What is out of
// the ordinary goes through the log, and everything where a change stream may have to read it after a crash. Of this term's
// entries all were proposed here, and are still in flight.
bool Replica::MayCommitAlone(const raft::Ready& ready) const {
  if (ready.entries.empty() || ready.snapshot || !ready.committed_entries.empty()) return false;
  if (soft_state_.role != raft::Role::kLeader || !IsOnlyVoter() || host_.changes()) return false;
  const raft::HardState& written = log_.hard_state();
  if (ready.hard_state && (ready.hard_state->term != written.term || ready.hard_state->vote != written.vote)) return false;
  const bool ordinary = std::all_of(in_flight_.begin(), in_flight_.end(), [this](const auto& item) {
    const Command& command = item.second->command;
    const bool load = command.new_rows && host_.limits().IsLargeLoad(command.effects.size());
    return !ChangesTheRange(command) && !command.truncate.index && !load;
  });
  return ordinary && std::all_of(ready.entries.begin(), ready.entries.end(), [](const raft::Entry& entry) {
           return entry.kind == raft::EntryKind::kNormal && !entry.payload.empty();
         });
}

// Raft hears of the write before it is done. What follows from that stays within this cycle until it is (B4): if the write
// fails, the store is lost and no other cycle follows.
void Replica::ApplyAlone(CycleOutput& out) {
  if (alone_.empty()) return;
  std::vector<raft::Entry> entries = std::exchange(alone_, {});
  raft_->OnPersisted(persist_token_, out.now);
  persist_token_ = {};
  auto committed = raft_->TakeCommitted();
  if (committed.ok()) {
    committed_ = std::move(*committed);
    ApplyCommitted(out);
    applied_alone_ = true;
  } else {
    Quarantine(committed.status(), out);
  }
  // Very many at once are applied in several cycles.
  if (!quarantined_ && state_.index == entries.back().index) {
    log_.StageReset(out.log, {state_.index, state_.term});
  } else {
    log_.StageEntries(out.log, std::move(entries));
  }
}

// ---- Several ranges.

void Replica::DropPart(CommitPart& part) {
  if (part.proposal) Abandon(*part.proposal->request);
  part.proposal.reset();
  part.active.reset();
}

// ---- The same inside a cycle, before Collect.

// Whether the command will be in the log with this cycle's sync, is committed by that alone, and takes
// effect when it is applied (T4, T20), whatever comes between. So the only voter is here, and nothing that waits to be
// applied changes voters or the lease. Entries of earlier terms are all applied: this term's lease was applied behind them.
bool Replica::MayProposeTogether(const Proposal& proposal) const {
  if (dead_ || quarantined_ || !raft_ || leaving_) return false;
  if (!IsOnlyVoter() || !IsLeased(proposal.command)) return false;
  const bool steady = std::all_of(in_flight_.begin(), in_flight_.end(),
                                  [](const auto& item) { return !ChangesTheRange(item.second->command); });
  return steady && raft_->MayPropose(proposal.command.effects.size() + kCommandBytesMax).ok();
}

void Replica::ProposeTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) {
  raft_->Wake(out.now);
  const Status status = ProposeOne(*proposal);
  ORRERY_ASSERT(status.ok(), "a part of a commit over several ranges is proposed with the others");
  in_flight_.emplace(proposal->entry, std::move(proposal));
}

void Replica::RefuseTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) {
  Complete(proposal, NotTogether(), out);
}

}  // namespace orrery::kv
