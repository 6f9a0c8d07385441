// SeededRandom: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
// One atomic addition a number, so it is thread-safe without a mutex.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "orrery/runtime/random.h"

namespace orrery::runtime {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : seed_(seed), state_(seed) {}
  uint64_t Next() override {
    uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed) + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::unique_ptr<Random> Fork(std::string_view label) override;
  // True with probability permille / 1000.
  bool Chance(uint32_t permille) { return permille != 0 && Below(1000) < permille; }

 private:
  const uint64_t seed_;
  std::atomic<uint64_t> state_;
};

}  // namespace orrery::runtime
