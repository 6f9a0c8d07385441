// Random: the node's source of randomness; seeded in simulation, from the system in production. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace orrery::runtime {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
  // Uniform in [0, bound). Precondition: bound > 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // An independent stream for one component; the same label in the same run gives the same stream.
  virtual std::unique_ptr<Random> Fork(std::string_view label) = 0;
};

}  // namespace orrery::runtime
