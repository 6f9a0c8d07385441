// Golden histories: the checker accepts what can be put in order, and refuses what cannot. A checker that
// accepts everything would make every simulation worthless.
#include "cli/sim/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace orrery::cli {
namespace {

using Kind = RegisterOp::Kind;
constexpr int64_t kNever = RegisterOp::kNever;

RegisterOp Read(uint64_t value, int64_t from, int64_t to) { return {Kind::kRead, value, 0, from, to, "r"}; }
RegisterOp Write(uint64_t value, int64_t from, int64_t to) { return {Kind::kWrite, value, 0, from, to, "w"}; }
RegisterOp Cas(uint64_t expected, uint64_t value, int64_t from, int64_t to) { return {Kind::kCas, value, expected, from, to, "c"}; }

bool Linearizable(std::vector<RegisterOp> ops) {
  const RegisterVerdict verdict = CheckRegister(std::move(ops), 0);
  EXPECT_FALSE(verdict.undecided);
  EXPECT_EQ(verdict.linearizable, verdict.explanation.empty());
  return verdict.linearizable;
}

TEST(Linearizability, EmptyAndSequential) {
  EXPECT_TRUE(Linearizable({}));
  EXPECT_TRUE(Linearizable({Read(0, 1, 2)}));
  EXPECT_TRUE(Linearizable({Write(1, 1, 2), Read(1, 3, 4), Cas(1, 2, 5, 6), Read(2, 7, 8)}));
  EXPECT_FALSE(Linearizable({Read(1, 1, 2)}));
  EXPECT_FALSE(Linearizable({Read(1, 1, 2), Write(1, 3, 4)}));
}

TEST(Linearizability, StaleRead) {
  EXPECT_FALSE(Linearizable({Write(1, 1, 2), Write(2, 3, 4), Read(1, 5, 6)}));
  EXPECT_TRUE(Linearizable({Write(1, 1, 2), Write(2, 3, 6), Read(1, 4, 5)}));
}

TEST(Linearizability, ConcurrentWritesInEitherOrder) {
  EXPECT_TRUE(Linearizable({Write(1, 1, 10), Write(2, 1, 10), Read(1, 11, 12)}));
  EXPECT_TRUE(Linearizable({Write(1, 1, 10), Write(2, 1, 10), Read(2, 11, 12)}));
  // but in one order for everybody
  EXPECT_FALSE(Linearizable({Write(1, 1, 10), Write(2, 1, 10), Read(1, 11, 12), Read(2, 13, 14)}));
}

TEST(Linearizability, ReadsDoNotGoBack) {
  EXPECT_FALSE(Linearizable({Write(1, 1, 100), Read(1, 2, 3), Read(0, 4, 5)}));
  EXPECT_TRUE(Linearizable({Write(1, 1, 100), Read(0, 2, 3), Read(1, 4, 5)}));
}

TEST(Linearizability, LostUpdate) {
  EXPECT_FALSE(Linearizable({Cas(0, 1, 1, 10), Cas(0, 2, 1, 10)}));
  EXPECT_TRUE(Linearizable({Cas(0, 1, 1, 10), Cas(1, 2, 1, 10)}));
}

TEST(Linearizability, UnknownOutcomeMayHappenLateOrNever) {
  EXPECT_TRUE(Linearizable({Write(1, 1, kNever), Read(0, 2, 3), Read(1, 40, 50)}));
  EXPECT_TRUE(Linearizable({Write(1, 1, kNever), Read(0, 40, 50)}));
  EXPECT_FALSE(Linearizable({Write(1, 1, kNever), Read(1, 2, 3), Read(0, 4, 5)}));
  EXPECT_FALSE(Linearizable({Read(1, 1, 2), Write(1, 3, kNever)}));  // not before it was asked for
  EXPECT_TRUE(Linearizable({Cas(0, 1, 1, kNever), Cas(1, 2, 1, kNever), Read(2, 10, 11)}));
  EXPECT_FALSE(Linearizable({Cas(5, 1, 1, kNever), Read(1, 10, 11)}));
}

TEST(Linearizability, LongHistoriesAreDecidedQuickly) {
  std::vector<RegisterOp> ops;
  for (uint64_t i = 1; i <= 2000; ++i) {
    const auto at = int64_t(i * 10);
    ops.push_back(Write(i, at, at + 35));
    ops.push_back(Read(i, at + 5, at + 25));
    if (i % 7 == 0) ops.push_back(Write(1'000'000 + i, at, kNever));
  }
  const RegisterVerdict verdict = CheckRegister(ops, 0);
  EXPECT_FALSE(verdict.undecided);
}

// Histories made by a real register are accepted; the same with one read changed to a value that was gone
// before it began are refused.
TEST(Linearizability, RandomHistoriesOfARealRegister) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<RegisterOp> ops;
    uint64_t state = 0;
    uint64_t next = 0;
    std::vector<std::pair<int64_t, uint64_t>> states = {{0, 0}};
    for (int64_t point = 100; point < 100 + 60 * 10; point += 10) {
      RegisterOp op;
      op.invoked = point - int64_t(random() % 60);
      op.returned = point + int64_t(random() % 60);
      op.kind = Kind(random() % 3);
      if (op.kind == Kind::kRead) {
        op.value = state;
      } else {
        op.expected = state;
        op.value = state = ++next;
        states.emplace_back(point, state);
        if (random() % 10 == 0) op.returned = kNever;
      }
      ops.push_back(op);
    }
    EXPECT_TRUE(Linearizable(ops)) << "seed " << seed;
    // A read of a value that had been replaced, by an operation that had returned, before it was invoked.
    std::vector<RegisterOp> broken = ops;
    broken.push_back(Read(0, 10'000, 10'001));
    if (state != 0) {
      EXPECT_FALSE(Linearizable(broken)) << "seed " << seed;
    }
  }
}

TEST(Linearizability, GivingUpIsNotAVerdict) {
  std::vector<RegisterOp> ops;
  for (uint64_t i = 1; i <= 30; ++i) ops.push_back(Write(i, 1, 1000));
  ops.push_back(Read(99, 2000, 2001));
  EXPECT_TRUE(CheckRegister(ops, 0, 1000).undecided);
}

}  // namespace
}  // namespace orrery::cli
