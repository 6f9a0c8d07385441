// Jitter: the core's own small generator for election timeouts (splitmix64, Steele et al. 2014).
// Seeded by Config, so a group's behaviour is a function of its inputs.
#pragma once

#include <cstdint>

namespace orrery::raft {

class Jitter {
 public:
  explicit Jitter(uint64_t seed) : state_(seed) {}
  // Uniform enough in [0, bound); 0 for bound 0.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }

 private:
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

}  // namespace orrery::raft
