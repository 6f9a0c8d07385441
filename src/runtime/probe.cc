#include "orrery/runtime/probe.h"

#include "orrery/base/hash.h"
#include "runtime/raw_mutex.h"

namespace orrery::runtime {

struct ProbeRegistry::State {
  explicit State(uint64_t s) : seed(s) {}
  const uint64_t seed;
  mutable internal::RawMutex mutex;
  bool buggify = true;
  std::map<std::string, uint64_t, std::less<>> hits;
  std::map<std::string, uint64_t, std::less<>> asked;  // how often each buggify site was
};

namespace {
void Increment(std::map<std::string, uint64_t, std::less<>>& counts, std::string_view name) {
  auto it = counts.find(name);
  if (it == counts.end()) it = counts.emplace(std::string(name), 0).first;
  ++it->second;
}
}  // namespace

ProbeRegistry::ProbeRegistry() = default;
ProbeRegistry::ProbeRegistry(uint64_t seed) : state_(std::make_unique<State>(seed)) {}
ProbeRegistry::~ProbeRegistry() = default;

void ProbeRegistry::Hit(std::string_view name) {
  if (!state_) return;
  internal::RawLock lock(state_->mutex);
  Increment(state_->hits, name);
}

bool ProbeRegistry::Buggify(std::string_view site, uint32_t permille) {
  if (!state_) return false;
  internal::RawLock lock(state_->mutex);
  if (!state_->buggify) return false;
  const uint64_t site_hash = Hash64(site, state_->seed);
  if (site_hash % 4 != 0) return false;
  Increment(state_->asked, site);
  const uint64_t turn = state_->asked.find(site)->second;
  if (Hash64(std::to_string(turn), site_hash) % 1000 >= permille) return false;
  Increment(state_->hits, site);
  return true;
}

void ProbeRegistry::StopBuggify() {
  if (!state_) return;
  internal::RawLock lock(state_->mutex);
  state_->buggify = false;
}

std::map<std::string, uint64_t> ProbeRegistry::Hits() const {
  if (!state_) return {};
  internal::RawLock lock(state_->mutex);
  return {state_->hits.begin(), state_->hits.end()};
}

}  // namespace orrery::runtime
