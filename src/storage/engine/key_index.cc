#include "storage/engine/key_index.h"

#include <algorithm>
#include <utility>

#include "orrery/base/ordered_encoding.h"
#include "storage/engine/rocksdb_options.h"

namespace orrery::storage {

void KeyIndex::Add(std::string_view engine_key) {
  const size_t size = TerminatedBytes(engine_key);
  if (size == 0 || gave_up_.load(std::memory_order_relaxed)) return;
  const std::string_view user_key = engine_key.substr(0, size);
  const std::string_view which = engine_key.substr(size);
  Shard& shard = ShardOf(user_key);
  {
    runtime::MutexLock lock(shard.mutex);
    auto [it, inserted] = shard.keys.try_emplace(user_key);
    if (std::find(it->second.begin(), it->second.end(), which) == it->second.end()) it->second.emplace_back(which);
    if (!inserted) return;
  }
  if (key_count_.fetch_add(1, std::memory_order_release) >= keys_max_) gave_up_.store(true, std::memory_order_release);
}

void KeyIndex::Remove(std::string_view engine_key) {
  const size_t size = TerminatedBytes(engine_key);
  if (size == 0) return;
  const std::string_view user_key = engine_key.substr(0, size);
  const std::string_view which = engine_key.substr(size);
  Shard& shard = ShardOf(user_key);
  runtime::MutexLock lock(shard.mutex);
  const auto it = shard.keys.find(user_key);
  if (it == shard.keys.end()) return;
  const auto at = std::find(it->second.begin(), it->second.end(), which);
  if (at != it->second.end()) it->second.erase(at);
  if (!it->second.empty()) return;
  shard.keys.erase(it);
  key_count_.fetch_sub(1, std::memory_order_release);
}

bool KeyIndex::MayHold(std::string_view prefix) const {
  if (gave_up_.load(std::memory_order_acquire)) return true;
  const size_t size = TerminatedBytes(prefix);
  if (size == 0) return true;
  const std::string_view user_key = prefix.substr(0, size);
  const Shard& shard = ShardOf(user_key);
  runtime::MutexLock lock(shard.mutex);
  return shard.keys.contains(user_key);
}

bool KeyIndex::Narrow(std::string& lower, std::string& upper) const {
  if (empty()) return false;
  if (gave_up_.load(std::memory_order_acquire) || key_count_.load(std::memory_order_acquire) > kNarrowedMax) return true;
  std::string first;
  std::string last;
  for (const Shard& shard : shards_) {
    runtime::MutexLock lock(shard.mutex);
    for (const auto& [user_key, entries] : shard.keys) {  // least and greatest do not depend on the order
      const bool before = user_key < lower && !lower.starts_with(user_key);
      if (before || (!upper.empty() && user_key >= upper)) continue;
      if (first.empty() || user_key < first) first = user_key;
      if (user_key > last) last = user_key;
    }
  }
  if (last.empty()) return false;
  if (first > lower) lower = std::move(first);
  last = ordered::PrefixEnd(last);
  if (upper.empty() || last < upper) upper = std::move(last);
  return true;
}

}  // namespace orrery::storage
