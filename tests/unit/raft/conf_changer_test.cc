// Membership arithmetic: single cases, and the invariants over random walks.
#include "raft/conf_changer.h"

#include <gtest/gtest.h>

#include <random>

#include "raft/quorum.h"

namespace orrery::raft {
namespace {

std::vector<ReplicaId> R(std::initializer_list<uint64_t> ids) {
  std::vector<ReplicaId> out;
  for (const uint64_t id : ids) out.push_back(ReplicaId(id));
  return out;
}

ConfChangeStep Step(ConfChangeKind kind, uint64_t id) { return {kind, ReplicaId(id)}; }

TEST(ConfChanger, OneVoterChangesAtOnce) {
  const ConfState conf{.voters = R({1, 2, 3}), .learners = R({4})};
  const auto added = ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddVoter, 4)}});
  ASSERT_TRUE(added.ok());
  EXPECT_EQ(*added, (ConfState{.voters = R({1, 2, 3, 4})}));
  const auto demoted = ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddLearner, 3)}});
  ASSERT_TRUE(demoted.ok());
  EXPECT_EQ(*demoted, (ConfState{.voters = R({1, 2}), .learners = R({3, 4})}));
}

TEST(ConfChanger, TwoVotersGoThroughAJointConfiguration) {
  const ConfState conf{.voters = R({1, 2, 3}), .learners = R({4})};
  const auto joint = ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddVoter, 4),
                                                 Step(ConfChangeKind::kAddLearner, 3)}});
  ASSERT_TRUE(joint.ok());
  EXPECT_EQ(*joint, (ConfState{.voters = R({1, 2, 4}), .voters_outgoing = R({1, 2, 3}),
                               .learners_next = R({3}), .auto_leave = true}));
  EXPECT_EQ(ChangeConf(*joint, {.steps = {Step(ConfChangeKind::kAddVoter, 5)}}).status().code(),
            Code::kFailedPrecondition);
  const auto left = ChangeConf(*joint, {});
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(*left, (ConfState{.voters = R({1, 2, 4}), .learners = R({3})}));
}

TEST(ConfChanger, RefusesWhatWouldBreakTheGroup) {
  const ConfState conf{.voters = R({1})};
  EXPECT_EQ(ChangeConf(conf, {}).status().code(), Code::kFailedPrecondition);  // nothing to leave
  EXPECT_EQ(ChangeConf(conf, {.steps = {Step(ConfChangeKind::kRemoveLearner, 1)}}).status().code(),
            Code::kInvalidArgument);  // B9
  EXPECT_EQ(ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddLearner, 1)}}).status().code(),
            Code::kInvalidArgument);  // no voters left
  EXPECT_EQ(ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddVoter, 2),
                                        Step(ConfChangeKind::kAddLearner, 2)}}).status().code(),
            Code::kInvalidArgument);  // named twice
  EXPECT_EQ(ChangeConf(conf, {.steps = {Step(ConfChangeKind::kAddVoter, 0)}}).status().code(),
            Code::kInvalidArgument);
}

// Along any walk every membership is well formed, and the majorities of neighbours overlap: that is
// what makes a change safe (§6).
TEST(ConfChanger, NeighboursAlwaysOverlap) {
  std::mt19937_64 rng(7);
  ConfState conf{.voters = R({1, 2, 3})};
  int changes = 0;
  for (int i = 0; i < 20'000; ++i) {
    ConfChange change{.transition = ConfTransition(rng() % 3)};
    for (uint64_t n = rng() % 4; n > 0; --n) {
      change.steps.push_back(Step(ConfChangeKind(rng() % 3 + 1), rng() % 6 + 1));
    }
    const auto next = ChangeConf(conf, change);
    if (!next.ok()) continue;
    ++changes;
    ASSERT_TRUE(CheckConfState(*next).ok()) << ToString(*next);
    // No set of grants wins in one while its complement wins in the other.
    for (uint32_t subset = 0; subset < 64; ++subset) {
      Votes in;
      Votes out;
      for (uint64_t id = 1; id <= 6; ++id) {
        in[ReplicaId(id)] = subset >> (id - 1) & 1;
        out[ReplicaId(id)] = !in[ReplicaId(id)];
      }
      ASSERT_FALSE(JointVote(conf, in) == VoteResult::kWon &&
                   JointVote(*next, out) == VoteResult::kWon)
          << ToString(conf) << " to " << ToString(*next);
    }
    conf = *next;
  }
  EXPECT_GT(changes, 5'000);
}

}  // namespace
}  // namespace orrery::raft
