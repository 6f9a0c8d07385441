// Probes and buggify: proof that simulation reaches the rare paths, and a seeded way into them (FoundationDB,
// flow/include/flow/Buggify.h and CodeProbe). Both do nothing in production but test one flag.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace orrery::runtime {

// The probes and buggify sites of one simulated run, shared by its nodes; reached through Runtime::probes().
// Thread-safe. Disabled when constructed without a seed.
class ProbeRegistry {
 public:
  ProbeRegistry();                        // disabled
  explicit ProbeRegistry(uint64_t seed);  // enabled
  ~ProbeRegistry();
  ProbeRegistry(const ProbeRegistry&) = delete;
  ProbeRegistry& operator=(const ProbeRegistry&) = delete;

  bool enabled() const { return state_ != nullptr; }
  // Counts that the path called `name` was taken.
  void Hit(std::string_view name);
  // True now and then: a quarter of the sites are active in a run, an active one fires with the probability
  // `permille`. Depends only on the seed, the site and how often it was asked. Firing counts as a hit.
  bool Buggify(std::string_view site, uint32_t permille = 100);
  // Switches buggify off (probes go on), so that the end of a run can settle.
  void StopBuggify();
  std::map<std::string, uint64_t> Hits() const;  // by name

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace orrery::runtime

// ORRERY_PROBE(runtime, "raft: vote refused by lease"): this rare path was reached.
#define ORRERY_PROBE(runtime, name)                                        \
  do {                                                                     \
    auto& probe_registry_ = (runtime).probes();                            \
    if (probe_registry_.enabled()) [[unlikely]] probe_registry_.Hit(name); \
  } while (0)
// if (ORRERY_BUGGIFY(runtime, "store: tiny proposal queue")) capacity = 1;
#define ORRERY_BUGGIFY(runtime, site) ((runtime).probes().enabled() && (runtime).probes().Buggify(site))
