// Rng: a stream of choices that depends on a seed and a label alone, so that what one client or fault does not
// shift what another draws. Not thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "orrery/base/hash.h"
#include "orrery/base/time.h"

namespace orrery::cli {

class Rng {
 public:
  Rng(uint64_t seed, std::string_view label, uint64_t number = 0) : state_(Hash64(label, seed * 1'000'003 + number)) {}
  uint64_t Next() {  // SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound). Precondition: bound > 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  bool Percent(uint64_t percent) { return Below(100) < percent; }
  // Uniform in [low, high).
  Duration Between(Duration low, Duration high) { return low + Duration(int64_t(Below(uint64_t((high - low).count())))); }

 private:
  uint64_t state_;
};

}  // namespace orrery::cli
