#include "orrery/kv/client/range_cache.h"

#include <algorithm>

namespace orrery::kv {

RangeCache::Map::iterator RangeCache::FindLocked(std::string_view key) {
  auto it = ranges_.upper_bound(key);
  if (it == ranges_.begin()) return ranges_.end();
  --it;
  return it->second.descriptor->ContainsKey(key) ? it : ranges_.end();
}

std::optional<RangeLocation> RangeCache::Find(std::string_view key) const {
  runtime::MutexLock lock(mutex_);
  auto it = const_cast<RangeCache*>(this)->FindLocked(key);
  if (it == ranges_.end()) return std::nullopt;
  return it->second;
}

std::optional<RangeLocation> RangeCache::FindById(RangeId range) const {
  runtime::MutexLock lock(mutex_);
  for (const auto& [start, location] : ranges_) {
    if (location.descriptor->range == range) return location;
  }
  return std::nullopt;
}

bool RangeCache::Insert(const RangeDescriptor& descriptor) {
  if (descriptor.start >= descriptor.end) return false;  // not a descriptor: bytes of a peer
  runtime::MutexLock lock(mutex_);
  auto first = ranges_.upper_bound(descriptor.start);
  if (first != ranges_.begin() && std::prev(first)->second.descriptor->end > descriptor.start) --first;
  NodeId leaseholder;
  auto last = first;
  for (; last != ranges_.end() && last->first < descriptor.end; ++last) {
    const RangeDescriptor& old = *last->second.descriptor;
    if (old.generation >= descriptor.generation) return false;
    if (old.range == descriptor.range) leaseholder = last->second.leaseholder;
  }
  ranges_.erase(first, last);
  if (!descriptor.FindNode(leaseholder)) leaseholder = NodeId();
  ranges_.emplace(descriptor.start, RangeLocation{std::make_shared<const RangeDescriptor>(descriptor), leaseholder});
  return true;
}

void RangeCache::SetLeaseholder(const RangeDescriptor& descriptor, NodeId node) {
  runtime::MutexLock lock(mutex_);
  auto it = ranges_.find(descriptor.start);
  if (it == ranges_.end() || it->second.descriptor->generation != descriptor.generation) return;
  it->second.leaseholder = node;
}

RangeDescriptor RangeCache::Remainder(RangeDescriptor descriptor, std::string_view key) const {
  runtime::MutexLock lock(mutex_);
  const auto after = ranges_.upper_bound(key);
  if (after != ranges_.end()) descriptor.end = std::min(descriptor.end, after->first);
  if (after != ranges_.begin()) {
    const std::string& end = std::prev(after)->second.descriptor->end;
    if (end <= key) descriptor.start = std::max(descriptor.start, end);
  }
  return descriptor;
}

void RangeCache::Evict(const RangeDescriptor& descriptor) {
  runtime::MutexLock lock(mutex_);
  auto it = ranges_.find(descriptor.start);
  if (it != ranges_.end() && it->second.descriptor->generation <= descriptor.generation) ranges_.erase(it);
}

size_t RangeCache::size() const {
  runtime::MutexLock lock(mutex_);
  return ranges_.size();
}

}  // namespace orrery::kv
