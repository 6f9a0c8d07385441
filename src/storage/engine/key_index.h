// KeyIndex: which user keys have entries in a column family, in memory. Every read of a key asks for its locks, every
// commit for its transaction's record, and nearly none are there: the index answers that without a look at the store,
// whose filters fill up with the tombstones of entries long gone.
//
// Invariant: a key with an entry in the store is in the index; one without may be. So keys go in before a write
// begins and out after it ended. Thread-safe. Two writes of one engine key do not overlap (the range's latches).
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

class KeyIndex {
 public:
  // Beyond this many user keys (a bulk load's intents) the index gives up until the store is opened again, and every
  // read looks.
  explicit KeyIndex(size_t keys_max = size_t{1} << 20) : keys_max_(keys_max) {}

  // `engine_key`: encoded user key, then which entry of it (which lock, which transaction's record).
  void Add(std::string_view engine_key);
  void Remove(std::string_view engine_key);
  // `prefix`: the encoded user key, or an engine key. False: there is no entry.
  bool MayHold(std::string_view prefix) const;
  // Makes the interval of engine keys [lower, upper) smaller, as long as it keeps all entries in it; an empty `upper` is the
  // end. False: there are none. What was there once costs nothing: a store steps over each entry that it has deleted.
  bool Narrow(std::string& lower, std::string& upper) const;
  // True: there is no entry at all.
  bool empty() const {
    return key_count_.load(std::memory_order_acquire) == 0 && !gave_up_.load(std::memory_order_acquire);
  }

 private:
  static constexpr size_t kShards = 16;
  static constexpr size_t kNarrowedMax = 512;  // of more keys it would take longer than a look at the store
  using Entries = absl::InlinedVector<std::string, 1>;  // what follows the user key
  struct alignas(64) Shard {
    mutable runtime::Mutex mutex{"key_index"};
    absl::flat_hash_map<std::string, Entries, StringHash, StringEq> keys ABSL_GUARDED_BY(mutex);
  };
  const Shard& ShardOf(std::string_view user_key) const { return shards_[StringHash{}(user_key) % kShards]; }
  Shard& ShardOf(std::string_view user_key) { return shards_[StringHash{}(user_key) % kShards]; }

  const size_t keys_max_;
  std::atomic<size_t> key_count_{0};
  std::atomic<bool> gave_up_{false};
  Shard shards_[kShards];
};

}  // namespace orrery::storage
