// Quorum arithmetic: what a majority has reached, and what a vote comes to, in plain and joint
// configurations. Pure functions over sorted lists of voters. An empty list is the absent half of a
// joint configuration: it imposes nothing.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "orrery/raft/types.h"

namespace orrery::raft {

using Voters = std::vector<ReplicaId>;

// The greatest value that a majority of `voters` has reached; nothing for an empty list.
template <class T, class ValueOf>
std::optional<T> MajorityValue(const Voters& voters, const ValueOf& value_of) {
  if (voters.empty()) return std::nullopt;
  std::vector<T> values;
  values.reserve(voters.size());
  for (const ReplicaId id : voters) values.push_back(value_of(id));
  // Majority = size / 2 + 1 values at or above it.
  const auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end(),
                   [](const T& a, const T& b) { return b < a; });
  return *middle;
}

// The greatest value that a majority of each half has reached; nothing if there are no voters at
// all.
template <class T, class ValueOf>
std::optional<T> JointValue(const ConfState& conf, const ValueOf& value_of) {
  const auto incoming = MajorityValue<T>(conf.voters, value_of);
  const auto outgoing = MajorityValue<T>(conf.voters_outgoing, value_of);
  if (!incoming || !outgoing) return incoming ? incoming : outgoing;
  return std::min(*incoming, *outgoing);
}

enum class VoteResult : uint8_t { kPending, kWon, kLost };
using Votes = std::map<ReplicaId, bool>;

VoteResult MajorityVote(const Voters& voters, const Votes& votes);
VoteResult JointVote(const ConfState& conf, const Votes& votes);

bool Contains(const std::vector<ReplicaId>& sorted, ReplicaId id);
bool IsVoter(const ConfState& conf, ReplicaId id);
bool IsMember(const ConfState& conf, ReplicaId id);
std::vector<ReplicaId> AllMembers(const ConfState& conf);  // sorted, without repetition

}  // namespace orrery::raft
