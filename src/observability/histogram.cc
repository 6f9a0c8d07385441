#include "orrery/observability/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace orrery::observability {

size_t Histogram::BucketOf(uint64_t value) {
  constexpr uint64_t kSteps = uint64_t(1) << kStepBits;
  if (value < kSteps) return size_t(value);
  if (value >> kPowerMax != 0) return kBucketCount - 1;
  const int shift = std::bit_width(value) - 1 - kStepBits;  // value >> shift lies in [kSteps, 2 kSteps)
  return (size_t(shift) << kStepBits) + size_t(value >> shift);
}

uint64_t Histogram::UpperBound(size_t bucket) {
  constexpr uint64_t kSteps = uint64_t(1) << kStepBits;
  if (bucket < kSteps) return bucket;
  if (bucket >= kBucketCount - 1) return UINT64_MAX;
  const int shift = int(bucket >> kStepBits) - 1;
  const uint64_t step = kSteps + (bucket & (kSteps - 1));
  return ((step + 1) << shift) - 1;
}

Histogram::Snapshot Histogram::TakeSnapshot() const {
  Snapshot snapshot;
  for (size_t i = 0; i < kBucketCount; ++i) {
    snapshot.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    snapshot.count += snapshot.buckets[i];
  }
  snapshot.sum = sum_.load(std::memory_order_relaxed);
  return snapshot;
}

uint64_t Histogram::Snapshot::Quantile(double q) const {
  if (count == 0) return 0;
  const auto rank = std::max<uint64_t>(1, uint64_t(std::ceil(q * double(count))));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBucketCount; ++i) {
    seen += buckets[i];
    if (seen >= rank) return UpperBound(i);
  }
  return UpperBound(kBucketCount - 1);
}

uint64_t Histogram::Snapshot::CountUpTo(uint64_t bound) const {
  uint64_t seen = 0;
  for (size_t i = 0; i < kBucketCount && UpperBound(i) <= bound; ++i) seen += buckets[i];
  return seen;
}

}  // namespace orrery::observability
