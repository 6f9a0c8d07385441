#include "orrery/kv/hlc/hybrid_clock.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::kv {
namespace {

class ManualClock : public runtime::Clock {
 public:
  MonoTime MonoNow() const override { return {wall_ns}; }
  int64_t WallNowNs() const override { return wall_ns; }
  int64_t wall_ns = 1'000'000'000'000;
};

TEST(HybridClockTest, FollowsTheWallClockAndNeverRepeats) {
  ManualClock wall;
  HybridClock clock(wall, {});
  const Timestamp first = clock.Now();
  EXPECT_EQ(first.wall_ns, wall.wall_ns);
  EXPECT_GT(clock.Now(), first);
  wall.wall_ns -= 1'000'000'000;  // jumps back
  EXPECT_GT(clock.Now(), first);
  wall.wall_ns += 5'000'000'000;
  EXPECT_EQ(clock.Now().wall_ns, wall.wall_ns);
}

TEST(HybridClockTest, T2RefusesWhatIsTooFarAhead) {
  ManualClock wall;
  HybridClock clock(wall, {.max_offset = 500ms});
  const Timestamp near{wall.wall_ns + 499'000'000, 7};
  const Timestamp far{wall.wall_ns + 501'000'000, 0};
  EXPECT_TRUE(clock.Update(near).ok());
  EXPECT_GT(clock.Now(), near);
  EXPECT_FALSE(clock.Update(far).ok());
  EXPECT_LT(clock.Now(), far);
}

// B50 with an adversarial source: whatever the wall does, readings rise strictly and stay above updates.
TEST(HybridClockTest, PropertyMonotone) {
  std::mt19937_64 random(50);
  ManualClock wall;
  HybridClock clock(wall, {});
  Timestamp last;
  for (int i = 0; i < 100'000; ++i) {
    wall.wall_ns += int64_t(random() % 2001) - 1000;
    if (random() % 3 == 0) {
      const Timestamp remote{wall.wall_ns + int64_t(random() % 4000) - 2000, uint32_t(random() % 3)};
      ASSERT_TRUE(clock.Update(remote).ok());
      ASSERT_GE(clock.Peek(), Timestamp(remote.wall_ns, 0));
      last.Forward(remote);
    }
    const Timestamp now = clock.Now();
    ASSERT_GT(now, last) << i;
    last = now;
  }
}

// T1, A10: everything issued lies at or below what was durable when it was issued, and a new incarnation
// begins above it.
TEST(HybridClockTest, PersistsItsBoundAheadAndStartsAboveIt) {
  ManualClock wall;
  Timestamp durable;
  int writes = 0;
  HybridClockOptions options{.bound_ahead = 2s, .persist = [&](Timestamp b) { durable = b; ++writes; }};
  Timestamp last;
  {
    HybridClock clock(wall, options);
    for (int i = 0; i < 10'000; ++i) {
      wall.wall_ns += 1'000'000;
      if (i % 100 == 0) clock.MaintainBound();
      last = clock.Now();
      ASSERT_LE(last, durable);
    }
  }
  EXPECT_LE(writes, 12);  // ten seconds: about one a second
  wall.wall_ns -= 3'600'000'000'000;  // the node was down while somebody set its clock back
  options.persisted_bound = durable;
  HybridClock restarted(wall, options);
  EXPECT_GT(restarted.WaitBeforeServing(), Duration(std::chrono::minutes(59)));
  EXPECT_GT(restarted.Now(), last);
}

TEST(HybridClockTest, GracefulStopNeedsNoWait) {
  ManualClock wall;
  Timestamp durable;
  HybridClockOptions options{.persist = [&](Timestamp b) { durable = b; }};
  HybridClock clock(wall, options);
  const Timestamp last = clock.Now();
  EXPECT_GT(durable, last);
  clock.PersistFinalBound();
  EXPECT_EQ(durable, last);
  options.persisted_bound = durable;
  wall.wall_ns += 1;
  HybridClock restarted(wall, options);
  EXPECT_EQ(restarted.WaitBeforeServing(), Duration(0));
  EXPECT_GT(restarted.Now(), last);
}

}  // namespace
}  // namespace orrery::kv
