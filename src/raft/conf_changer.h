// Membership arithmetic: the configuration that a ConfChange makes of another. Pure.
#pragma once

#include "orrery/base/status_or.h"
#include "orrery/raft/types.h"

namespace orrery::raft {

// Invariants of every ConfState: lists sorted and unique; at least one voter; learners are in
// neither half; learners_next only in a joint configuration, and within voters_outgoing.
Status CheckConfState(const ConfState& conf);

// FailedPrecondition: the change does not fit (joint already, nothing to leave). InvalidArgument:
// it would break an invariant, remove a voter without demoting it first (B9), or name a replica
// twice.
StatusOr<ConfState> ChangeConf(const ConfState& conf, const ConfChange& change);

}  // namespace orrery::raft
