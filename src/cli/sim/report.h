// What a simulated run found: violated rules, and counts that prove the run was not an empty one (H4). Not
// thread-safe: one task at a time runs in a simulation.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::cli {

class RunReport {
 public:
  struct Violation {
    std::string rule;  // "I11 acknowledged transactions are present"
    std::string what;
  };
  void Violate(std::string_view rule, std::string what) {
    // One broken rule often breaks in many places: the first ones tell enough.
    if (violations_.size() < kViolationsMax) violations_.push_back({std::string(rule), std::move(what)});
  }
  void Count(std::string_view what, uint64_t by = 1) { counts_[std::string(what)] += by; }
  uint64_t CountOf(std::string_view what) const {
    const auto it = counts_.find(std::string(what));
    return it == counts_.end() ? 0 : it->second;
  }
  bool failed() const { return !violations_.empty(); }
  const std::vector<Violation>& violations() const { return violations_; }
  const std::map<std::string, uint64_t>& counts() const { return counts_; }

 private:
  static constexpr size_t kViolationsMax = 8;
  std::vector<Violation> violations_;
  std::map<std::string, uint64_t> counts_;
};

}  // namespace orrery::cli
