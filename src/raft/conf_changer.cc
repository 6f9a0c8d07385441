#include "raft/conf_changer.h"

#include <algorithm>
#include <string>

#include "raft/quorum.h"

namespace orrery::raft {
namespace {

void Insert(std::vector<ReplicaId>& sorted, ReplicaId id) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), id);
  if (at == sorted.end() || *at != id) sorted.insert(at, id);
}

void Erase(std::vector<ReplicaId>& sorted, ReplicaId id) {
  sorted.erase(std::remove(sorted.begin(), sorted.end(), id), sorted.end());
}

bool SortedUnique(const std::vector<ReplicaId>& list) {
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end() &&
         (list.empty() || list.front());
}

Status ApplyStep(const ConfChangeStep& step, ConfState& conf) {
  const ReplicaId id = step.replica;
  switch (step.kind) {
    case ConfChangeKind::kAddVoter:
      Erase(conf.learners, id);
      Erase(conf.learners_next, id);
      Insert(conf.voters, id);
      return OkStatus();
    case ConfChangeKind::kAddLearner:
      Erase(conf.voters, id);
      // A voter of the outgoing half stays one until the joint configuration is left.
      Insert(Contains(conf.voters_outgoing, id) ? conf.learners_next : conf.learners, id);
      return OkStatus();
    case ConfChangeKind::kRemoveLearner:
      if (IsVoter(conf, id)) {
        return InvalidArgumentError("replica " + ToString(id) +
                                    " is a voter: demote it first (B9)");
      }
      Erase(conf.learners, id);
      return OkStatus();
  }
  return InvalidArgumentError("unknown kind of membership change");
}

StatusOr<ConfState> LeaveJoint(ConfState conf) {
  if (!conf.IsJoint()) return FailedPreconditionError("not in a joint configuration");
  for (const ReplicaId id : conf.learners_next) Insert(conf.learners, id);
  conf.learners_next.clear();
  conf.voters_outgoing.clear();
  conf.auto_leave = false;
  return conf;
}

size_t VotersChanged(const ConfState& before, const ConfState& after) {
  std::vector<ReplicaId> changed;
  std::set_symmetric_difference(before.voters.begin(), before.voters.end(), after.voters.begin(),
                                after.voters.end(), std::back_inserter(changed));
  return changed.size();
}

Status CheckSteps(const ConfChange& change) {
  std::vector<ReplicaId> named;
  for (const ConfChangeStep& step : change.steps) {
    if (!step.replica) return InvalidArgumentError("membership change without a replica id");
    named.push_back(step.replica);
  }
  std::sort(named.begin(), named.end());
  if (std::adjacent_find(named.begin(), named.end()) != named.end()) {
    return InvalidArgumentError("membership change names a replica twice");
  }
  if (change.transition > ConfTransition::kJointExplicit) {
    return InvalidArgumentError("unknown transition of a membership change");
  }
  return OkStatus();
}

}  // namespace

Status CheckConfState(const ConfState& conf) {
  for (const auto* list :
       {&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next}) {
    if (!SortedUnique(*list)) return InvalidArgumentError("membership list not sorted and unique");
  }
  if (conf.voters.empty() && conf != ConfState()) return InvalidArgumentError("no voters");
  for (const ReplicaId id : conf.learners) {
    if (IsVoter(conf, id)) return InvalidArgumentError("replica is both voter and learner");
  }
  for (const ReplicaId id : conf.learners_next) {
    if (!Contains(conf.voters_outgoing, id) || Contains(conf.voters, id)) {
      return InvalidArgumentError("learners_next holds a replica that is not being demoted");
    }
  }
  return OkStatus();
}

StatusOr<ConfState> ChangeConf(const ConfState& conf, const ConfChange& change) {
  if (change.IsLeaveJoint()) return LeaveJoint(conf);
  if (conf.IsJoint()) return FailedPreconditionError("already in a joint configuration");
  RETURN_IF_ERROR(CheckSteps(change));
  ConfState simple = conf;
  for (const ConfChangeStep& step : change.steps) RETURN_IF_ERROR(ApplyStep(step, simple));
  if (simple.voters.empty()) return InvalidArgumentError("the change would leave no voters");
  if (change.transition == ConfTransition::kAuto && VotersChanged(conf, simple) <= 1) return simple;

  ConfState joint = conf;
  joint.voters_outgoing = conf.voters;
  for (const ConfChangeStep& step : change.steps) RETURN_IF_ERROR(ApplyStep(step, joint));
  joint.auto_leave = change.transition != ConfTransition::kJointExplicit;
  return joint;
}

}  // namespace orrery::raft
