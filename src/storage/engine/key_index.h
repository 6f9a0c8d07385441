// KeyIndex: which user keys have entries in a column family, in memory. Every read of a key asks for its locks, every
// commit for its transaction's record, and nearly none are there: the index answers that without a look at the store,
// whose filters fill up with the tombstones of entries long gone.
//
// Keys that come thousands at a time in order (a load's intents) are noted as runs: the intervals they lie in. When
// so many entries have gone that few can be left of a run, a look at the store says which, and they are noted one by one.
//
// Invariant: a key with an entry in the store is in the index, by itself or in a run; one without may be. So keys go in
// before the write of an entry begins and out after its deletion ended. Thread-safe. Two writes of one engine key do not
// overlap (the range's latches).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/sync.h"

namespace orrery::storage {

class KeyIndex {
 public:
  struct Limits {
    size_t keys_max = size_t{1} << 18;  // beyond it all keys become one run
    size_t run_min = 1024;              // fewer keys than this are noted one by one
    size_t run_max = 4096;              // more are several runs: a scan steps over what has gone from one
    size_t few = 64;                    // fewer than this, found by a look, are noted one by one
  };
  KeyIndex() : KeyIndex(Limits{}) {}
  explicit KeyIndex(Limits limits) : limits_(limits) {}

  // A write of entries, from before its keys are added until it has ended.
  class WriteScope {
   public:
    explicit WriteScope(KeyIndex& index) : index_(index) { index_.writes_.fetch_add(1); }
    ~WriteScope() { index_.writes_.fetch_sub(1); }
    WriteScope(const WriteScope&) = delete;
    WriteScope& operator=(const WriteScope&) = delete;

   private:
    KeyIndex& index_;
  };

  // `engine_key`: encoded user key, then which entry of it (which lock, which transaction's record).
  void Add(std::string_view engine_key);
  void Remove(std::string_view engine_key);
  // `count` entries, whose keys lie between those of these two engine keys.
  void AddRun(std::string_view first, std::string_view last, size_t count);
  const Limits& limits() const { return limits_; }

  // `prefix`: the encoded user key, or an engine key. False: there is no entry.
  bool MayHold(std::string_view prefix) const;
  // Makes the interval of engine keys [lower, upper) smaller, as long as it keeps all entries in it; an empty `upper` is the
  // end. False: there are none. What was there once costs nothing: a store steps over each entry that it has deleted.
  bool Narrow(std::string& lower, std::string& upper) const;
  // True: there is no entry at all.
  bool empty() const {
    const uint64_t runs_made = runs_made_.load();
    return run_count_.load() == 0 && key_count_.load() == 0 && runs_made_.load() == runs_made;
  }

  // An interval of engine keys to be looked at: what was noted of it has probably gone. None while a write is under way,
  // which would not be seen. Each is settled before the next is taken.
  struct Due {
    uint64_t run = 0;
    std::string lower;
    std::string upper;
  };
  std::optional<Due> TakeDue();
  // `entries`: the engine keys that a look begun after TakeDue found there; if they are `few`, there may be more.
  void Settle(const Due& due, const std::vector<std::string>& entries);

 private:
  static constexpr size_t kShards = 16;
  static constexpr size_t kNarrowedMax = 512;  // of more keys it would take longer than a look at the store
  using Entries = absl::InlinedVector<std::string, 1>;  // what follows the user key
  struct alignas(64) Shard {
    mutable runtime::Mutex mutex{"key_index"};
    absl::flat_hash_map<std::string, Entries, StringHash, StringEq> keys ABSL_GUARDED_BY(mutex);
  };
  // User keys from its place in the map to `last`. Runs do not overlap: one that would is united with the others.
  struct Run {
    std::string last;
    uint64_t id = 0;
    size_t left = 0;  // entries that have yet to go before it is due
    // Of so many entries.
    static size_t LeftOf(size_t count, const Limits& limits) { return count - std::min(count, limits.few / 4); }
  };
  const Shard& ShardOf(std::string_view user_key) const { return shards_[StringHash{}(user_key) % kShards]; }
  Shard& ShardOf(std::string_view user_key) { return shards_[StringHash{}(user_key) % kShards]; }
  void MakeRunOfAll();
  void AddRunOf(std::string_view first, std::string_view last, size_t count) ABSL_LOCKS_EXCLUDED(runs_mutex_);
  static void AddTo(Shard& shard, std::string_view user_key, std::string_view engine_key, std::atomic<size_t>& key_count);
  void NoteRemoved(std::string_view user_key, std::string_view engine_key);
  bool InRun(std::string_view user_key) const;

  const Limits limits_;
  std::atomic<size_t> key_count_{0};
  std::atomic<size_t> run_count_{0};
  // A run stands before the keys that it replaces go, and goes after those that replace it stand. Who has found neither,
  // runs first, has to look again if a run was made meanwhile.
  std::atomic<uint64_t> runs_made_{0};
  std::atomic<size_t> writes_{0};  // under way
  std::atomic<bool> due_{false};   // a run may be
  Shard shards_[kShards];
  mutable runtime::Mutex runs_mutex_{"key_index.runs"};  // before a shard's
  std::map<std::string, Run, std::less<>> runs_ ABSL_GUARDED_BY(runs_mutex_);
  uint64_t looked_at_ ABSL_GUARDED_BY(runs_mutex_) = 0;  // the run between TakeDue and Settle
  std::vector<std::string> removed_ ABSL_GUARDED_BY(runs_mutex_);  // of its engine keys, meanwhile
};

}  // namespace orrery::storage
