// RangeCache: which range holds a key and who leads it, as last heard. A hint: every request carries the
// generation it was routed by and is turned away if that is outdated (R1). Thread-safe.
//
// Invariant: cached descriptors never overlap; where two would, the higher generation stays.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {

struct RangeLocation {
  std::shared_ptr<const RangeDescriptor> descriptor;
  NodeId leaseholder;  // zero: not known
};

class RangeCache {
 public:
  std::optional<RangeLocation> Find(std::string_view key) const;
  std::optional<RangeLocation> FindById(RangeId range) const;
  // False, and no effect, if something at least as new is known of part of its span.
  bool Insert(const RangeDescriptor& descriptor);
  // No effect if the cached generation is another.
  void SetLeaseholder(const RangeDescriptor& descriptor, NodeId node);
  // What an older descriptor still says of the keys around `key`: cut off at what is known better. Precondition:
  // the descriptor contains the key, and Find(key) found nothing.
  RangeDescriptor Remainder(RangeDescriptor descriptor, std::string_view key) const;
  // Forgets it, unless a newer generation has taken its place.
  void Evict(const RangeDescriptor& descriptor);
  size_t size() const;

 private:
  using Map = absl::btree_map<std::string, RangeLocation, std::less<>>;  // by start key
  Map::iterator FindLocked(std::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable runtime::Mutex mutex_{"range_cache"};
  mutable Map ranges_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orrery::kv
