#include "runtime/seeded_random.h"

#include "orrery/base/hash.h"

namespace orrery::runtime {

std::unique_ptr<Random> SeededRandom::Fork(std::string_view label) {
  return std::make_unique<SeededRandom>(Hash64(label, seed_));
}

}  // namespace orrery::runtime
