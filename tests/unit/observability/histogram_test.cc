#include "orrery/observability/histogram.h"

#include <gtest/gtest.h>

namespace orrery::observability {
namespace {

TEST(Histogram, BucketsTileTheNumbersWithinASixteenth) {
  for (size_t b = 1; b < Histogram::kBucketCount; ++b) {
    const uint64_t low = Histogram::UpperBound(b - 1) + 1;
    EXPECT_EQ(Histogram::BucketOf(low), b);
    if (b == Histogram::kBucketCount - 1) break;
    const uint64_t high = Histogram::UpperBound(b);
    EXPECT_EQ(Histogram::BucketOf(high), b);
    EXPECT_LE(high - low, low / 16);
  }
  EXPECT_EQ(Histogram::BucketOf(UINT64_MAX), Histogram::kBucketCount - 1);
}

TEST(Histogram, QuantilesAndSums) {
  Histogram h;
  EXPECT_EQ(h.TakeSnapshot().Quantile(0.5), 0u);
  for (uint64_t v = 1; v <= 1000; ++v) h.Record(v * 1000);
  const auto s = h.TakeSnapshot();
  EXPECT_EQ(s.count, 1000u);
  EXPECT_EQ(s.sum, 500'500'000u);
  EXPECT_NEAR(double(s.Quantile(0.5)), 500'000, 500'000 / 16.0);
  EXPECT_NEAR(double(s.Quantile(0.99)), 990'000, 990'000 / 16.0);
  EXPECT_GE(s.Quantile(1), 1'000'000u);
  EXPECT_EQ(s.CountUpTo(1023), 1u);
}

}  // namespace
}  // namespace orrery::observability
