// Linearizability of one register's history (Wing & Gong, "Testing and Proving Correctness of Concurrent
// Objects", 1993; with Lowe's memory of states seen, "Testing for Linearizability", 2017). Registers are
// independent of each other, so a history of many keys is checked key by key (Herlihy & Wing: locality).
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace orrery::cli {

// Times are true ones: nanoseconds of the simulation's own clock.
struct RegisterOp {
  enum class Kind : uint8_t { kRead, kWrite, kCas };
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  Kind kind = Kind::kRead;
  uint64_t value = 0;     // read: what was seen; write and compare-and-set: what is written
  uint64_t expected = 0;  // compare-and-set: what must stand before
  int64_t invoked = 0;
  int64_t returned = 0;   // kNever: its outcome is not known, it may take effect at any later time or never
  std::string who;        // for the explanation
};

struct RegisterVerdict {
  bool linearizable = true;
  // The search was given up (`steps_max`): nothing is known. Counted, never called valid.
  bool undecided = false;
  std::string explanation;  // of a violation: the operation that fits nowhere, and what was current then
};

// Operations that certainly had no effect are left out by the caller; reads have a known outcome. The register
// starts as `initial`. Values written are expected to differ from each other: that keeps the search short, the
// verdict is right anyway.
RegisterVerdict CheckRegister(std::vector<RegisterOp> ops, uint64_t initial, uint64_t steps_max = 5'000'000);

}  // namespace orrery::cli
