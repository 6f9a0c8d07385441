// Quorum arithmetic against a brute-force twin that tries every subset of voters.
#include "raft/quorum.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::raft {
namespace {

// The greatest value such that some subset, being a majority, lies wholly at or above it.
uint64_t SlowMajorityValue(const Voters& voters, const std::map<ReplicaId, uint64_t>& values) {
  uint64_t best = 0;
  for (uint32_t subset = 0; subset < (1u << voters.size()); ++subset) {
    size_t size = 0;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < voters.size(); ++i) {
      if (!(subset >> i & 1)) continue;
      ++size;
      least = std::min(least, values.at(voters[i]));
    }
    if (2 * size > voters.size()) best = std::max(best, least);
  }
  return best;
}

// Won: the granted votes hold a majority. Lost: not even all the missing ones could make one.
VoteResult SlowMajorityVote(const Voters& voters, const Votes& votes) {
  if (voters.empty()) return VoteResult::kWon;
  const auto majority_if_missing = [&](bool grant) {
    size_t yes = 0;
    for (const ReplicaId id : voters) yes += votes.contains(id) ? votes.at(id) : grant;
    return 2 * yes > voters.size();
  };
  if (majority_if_missing(false)) return VoteResult::kWon;
  return majority_if_missing(true) ? VoteResult::kPending : VoteResult::kLost;
}

Voters RandomVoters(std::mt19937_64& rng) {
  Voters voters;
  for (uint64_t id = 1; id <= 9; ++id) {
    if (rng() % 2) voters.push_back(ReplicaId(id));
  }
  return voters;
}

TEST(Quorum, AgreesWithBruteForce) {
  std::mt19937_64 rng(1);
  for (int round = 0; round < 5000; ++round) {
    const ConfState conf{.voters = RandomVoters(rng), .voters_outgoing = RandomVoters(rng)};
    std::map<ReplicaId, uint64_t> values;
    Votes votes;
    for (uint64_t id = 1; id <= 9; ++id) {
      values[ReplicaId(id)] = rng() % 6;
      if (rng() % 3) votes[ReplicaId(id)] = rng() % 2;
    }
    const auto value_of = [&](ReplicaId id) { return values.at(id); };
    std::optional<uint64_t> expected;
    for (const Voters* half : {&conf.voters, &conf.voters_outgoing}) {
      if (half->empty()) continue;
      const uint64_t value = SlowMajorityValue(*half, values);
      expected = expected ? std::min(*expected, value) : value;
      EXPECT_EQ(MajorityValue<uint64_t>(*half, value_of), value);
      EXPECT_EQ(MajorityVote(*half, votes), SlowMajorityVote(*half, votes));
    }
    EXPECT_EQ(JointValue<uint64_t>(conf, value_of), expected);
    const VoteResult in = SlowMajorityVote(conf.voters, votes);
    const VoteResult out = SlowMajorityVote(conf.voters_outgoing, votes);
    const bool lost = in == VoteResult::kLost || out == VoteResult::kLost;
    const bool won = in == VoteResult::kWon && out == VoteResult::kWon;
    EXPECT_EQ(JointVote(conf, votes),
              lost ? VoteResult::kLost : won ? VoteResult::kWon : VoteResult::kPending);
  }
}

}  // namespace
}  // namespace orrery::raft
