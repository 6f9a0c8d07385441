// A commit over several ranges of one store: how its parts enter the logs of all of them, or of none.
#include <algorithm>

#include "kv/replica/replica.h"

namespace orrery::kv {

namespace {

// Of a command, beside its effects.
constexpr size_t kCommandBytesMax = 4096;

}  // namespace

void Replica::DropPart(CommitPart& part) {
  if (part.proposal) Abandon(*part.proposal->request);
  part.proposal.reset();
  part.active.reset();
}

// ---- Inside a cycle, before Collect.

// Whether the command will be in the log with this cycle's sync, is committed by that alone, and takes
// effect when it is applied (T4, T20), whatever comes between. So the only voter is here, and nothing that waits to be
// applied changes voters or the lease. Entries of earlier terms are all applied: this term's lease was applied behind them.
bool Replica::MayProposeTogether(const Proposal& proposal) const {
  if (dead_ || quarantined_ || !raft_ || leaving_) return false;
  if (membership_.voters != std::vector{id_} || membership_.IsJoint() || !membership_.learners.empty()) return false;
  if (!IsLeased(proposal.command)) return false;
  const bool steady = std::all_of(in_flight_.begin(), in_flight_.end(), [](const auto& item) {
    const Command& command = item.second->command;
    return !command.lease && !command.lock_handover && !command.split && !command.change_replicas;
  });
  return steady && raft_->MayPropose(proposal.command.effects.size() + kCommandBytesMax).ok();
}

void Replica::ProposeTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) {
  raft_->Wake(out.now);
  const Status status = ProposeOne(*proposal);
  ORRERY_ASSERT(status.ok(), "a part of a commit over several ranges is proposed with the others");
  in_flight_.emplace(proposal->command.id, std::move(proposal));
}

void Replica::RefuseTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) {
  Complete(proposal, NotTogether(), out);
}

}  // namespace orrery::kv
