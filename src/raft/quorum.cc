#include "raft/quorum.h"

namespace orrery::raft {

VoteResult MajorityVote(const Voters& voters, const Votes& votes) {
  if (voters.empty()) return VoteResult::kWon;
  size_t yes = 0;
  size_t missing = 0;
  for (const ReplicaId id : voters) {
    const auto it = votes.find(id);
    if (it == votes.end()) ++missing;
    else if (it->second) ++yes;
  }
  const size_t majority = voters.size() / 2 + 1;
  if (yes >= majority) return VoteResult::kWon;
  return yes + missing >= majority ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult JointVote(const ConfState& conf, const Votes& votes) {
  const VoteResult incoming = MajorityVote(conf.voters, votes);
  const VoteResult outgoing = MajorityVote(conf.voters_outgoing, votes);
  if (incoming == outgoing) return incoming;
  const bool lost = incoming == VoteResult::kLost || outgoing == VoteResult::kLost;
  return lost ? VoteResult::kLost : VoteResult::kPending;
}

bool Contains(const std::vector<ReplicaId>& sorted, ReplicaId id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

bool IsVoter(const ConfState& conf, ReplicaId id) {
  return Contains(conf.voters, id) || Contains(conf.voters_outgoing, id);
}

bool IsMember(const ConfState& conf, ReplicaId id) {
  return IsVoter(conf, id) || Contains(conf.learners, id) || Contains(conf.learners_next, id);
}

std::vector<ReplicaId> AllMembers(const ConfState& conf) {
  std::vector<ReplicaId> all;
  for (const auto* list :
       {&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next}) {
    all.insert(all.end(), list->begin(), list->end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace orrery::raft
