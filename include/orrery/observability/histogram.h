// Histogram: a log-linear distribution of non-negative integers (latencies in nanoseconds, sizes in bytes):
// 16 linear steps in each power of two, so a reading is at most 1/16 too high. Fixed memory, no allocation when
// recording. Thread-safe: recording is two relaxed atomic additions; a snapshot may miss concurrent records.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace orrery::observability {

class Histogram {
 public:
  static constexpr int kStepBits = 4;
  static constexpr int kPowerMax = 48;  // larger values count in the last bucket
  static constexpr size_t kBucketCount = size_t(kPowerMax - kStepBits + 1) << kStepBits;

  void Record(uint64_t value) {
    buckets_[BucketOf(value)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  struct Snapshot {
    std::array<uint64_t, kBucketCount> buckets{};
    uint64_t count = 0;
    uint64_t sum = 0;
    // The upper bound of the bucket that holds the q-quantile, q in [0, 1]; 0 when empty.
    uint64_t Quantile(double q) const;
    // How many values lie in buckets that end at or below `bound`.
    uint64_t CountUpTo(uint64_t bound) const;
  };
  Snapshot TakeSnapshot() const;

  static size_t BucketOf(uint64_t value);
  static uint64_t UpperBound(size_t bucket);  // inclusive

 private:
  std::array<std::atomic<uint64_t>, kBucketCount> buckets_{};
  std::atomic<uint64_t> sum_{0};
};

}  // namespace orrery::observability
