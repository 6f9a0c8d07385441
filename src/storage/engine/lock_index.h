// LockIndex: which user keys have entries in the lock column family, in memory. Every read of a key asks for its
// locks and nearly none has any: the index answers that without a look at the store, whose filters fill up with the
// tombstones of locks long gone.
//
// Invariant: a key with a lock in the store is in the index; one without may be. So entries go in before a write
// begins and out after it ended. Thread-safe. Two writes of one lock key do not overlap (the range's latches).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/sync.h"

namespace orrery::storage {

class LockIndex {
 public:
  // Beyond this many user keys with locks (a bulk load's intents) the index gives up until the store is opened
  // again, and every read looks.
  explicit LockIndex(size_t keys_max = size_t{1} << 20) : keys_max_(keys_max) {}

  // `lock_key`: encoded user key, then which lock of it.
  void Add(std::string_view lock_key);
  void Remove(std::string_view lock_key);
  // `prefix`: the encoded user key, or a lock key. False: there is no lock.
  bool MayHold(std::string_view prefix) const;

 private:
  static constexpr size_t kShards = 16;
  using Locks = absl::InlinedVector<std::string, 1>;  // what follows the user key
  struct alignas(64) Shard {
    mutable runtime::Mutex mutex{"lock_index"};
    absl::flat_hash_map<std::string, Locks, StringHash, StringEq> keys ABSL_GUARDED_BY(mutex);
  };
  const Shard& ShardOf(std::string_view user_key) const { return shards_[StringHash{}(user_key) % kShards]; }
  Shard& ShardOf(std::string_view user_key) { return shards_[StringHash{}(user_key) % kShards]; }

  const size_t keys_max_;
  std::atomic<size_t> key_count_{0};
  std::atomic<bool> gave_up_{false};
  Shard shards_[kShards];
};

}  // namespace orrery::storage
