#include "storage/engine/key_index.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "orrery/base/ordered_encoding.h"
#include "storage/engine/rocksdb_options.h"

namespace orrery::storage {
namespace {

std::string_view UserKeyOf(std::string_view engine_key) { return engine_key.substr(0, TerminatedBytes(engine_key)); }

}  // namespace

void KeyIndex::AddTo(Shard& shard, std::string_view user_key, std::string_view engine_key, std::atomic<size_t>& key_count) {
  const std::string_view which = engine_key.substr(user_key.size());
  runtime::MutexLock lock(shard.mutex);
  auto [it, inserted] = shard.keys.try_emplace(user_key);
  if (std::find(it->second.begin(), it->second.end(), which) == it->second.end()) it->second.emplace_back(which);
  if (inserted) key_count.fetch_add(1);
}

void KeyIndex::Add(std::string_view engine_key) {
  const std::string_view user_key = UserKeyOf(engine_key);
  if (user_key.empty()) return;
  AddTo(ShardOf(user_key), user_key, engine_key, key_count_);
  if (key_count_.load(std::memory_order_relaxed) > limits_.keys_max) MakeRunOfAll();
}

void KeyIndex::Remove(std::string_view engine_key) {
  const std::string_view user_key = UserKeyOf(engine_key);
  if (user_key.empty()) return;
  if (run_count_.load() > 0) NoteRemoved(user_key, engine_key);  // first: Settle must not bring it back
  const std::string_view which = engine_key.substr(user_key.size());
  Shard& shard = ShardOf(user_key);
  runtime::MutexLock lock(shard.mutex);
  const auto it = shard.keys.find(user_key);
  if (it == shard.keys.end()) return;
  const auto at = std::find(it->second.begin(), it->second.end(), which);
  if (at != it->second.end()) it->second.erase(at);
  if (!it->second.empty()) return;
  shard.keys.erase(it);
  key_count_.fetch_sub(1);
}

// Whose entry went, one of the run's own or another's, is not known: a look at the store decides.
void KeyIndex::NoteRemoved(std::string_view user_key, std::string_view engine_key) {
  runtime::MutexLock lock(runs_mutex_);
  auto it = runs_.upper_bound(user_key);
  if (it == runs_.begin() || user_key > (--it)->second.last) return;
  Run& run = it->second;
  if (run.left > 0) --run.left;
  if (run.left == 0) due_.store(true, std::memory_order_release);
  if (run.id == looked_at_) removed_.emplace_back(engine_key);
}

void KeyIndex::AddRun(std::string_view first, std::string_view last, size_t count) {
  AddRunOf(UserKeyOf(first), UserKeyOf(last), count);
}

void KeyIndex::AddRunOf(std::string_view first, std::string_view last, size_t count) {
  runtime::MutexLock lock(runs_mutex_);
  std::string begin(first);
  Run run{std::string(last), runs_made_.load() + 1, Run::LeftOf(count, limits_)};
  auto it = runs_.upper_bound(begin);
  if (it != runs_.begin() && std::prev(it)->second.last >= begin) --it;
  while (it != runs_.end() && it->first <= run.last) {
    begin = std::min(begin, it->first);
    run.last = std::max(run.last, it->second.last);
    run.left += it->second.left;
    it = runs_.erase(it);
  }
  runs_.emplace(std::move(begin), std::move(run));
  run_count_.store(runs_.size());
  runs_made_.fetch_add(1);
}

// Too many keys to hold: one run in their place, which is there before they go.
void KeyIndex::MakeRunOfAll() {
  std::string first;
  std::string last;
  for (Shard& shard : shards_) {
    runtime::MutexLock lock(shard.mutex);
    for (const auto& [user_key, entries] : shard.keys) {  // least and greatest do not depend on the order
      if (first.empty() || user_key < first) first = user_key;
      if (user_key > last) last = user_key;
    }
  }
  if (first.empty()) return;
  AddRunOf(first, last, key_count_.load());
  for (Shard& shard : shards_) {
    runtime::MutexLock lock(shard.mutex);
    const size_t erased = absl::erase_if(shard.keys, [&](const auto& key) { return key.first >= first && key.first <= last; });
    key_count_.fetch_sub(erased);
  }
}

std::optional<KeyIndex::Due> KeyIndex::TakeDue() {
  if (!due_.load(std::memory_order_acquire)) return std::nullopt;
  runtime::MutexLock lock(runs_mutex_);
  // What a write under way has noted, in a run or among the keys that a run replaced, is not in the store yet.
  if (looked_at_ != 0 || writes_.load() != 0) return std::nullopt;
  for (const auto& [first, run] : runs_) {
    if (run.left > 0) continue;
    looked_at_ = run.id;
    return Due{run.id, first, ordered::PrefixEnd(run.last)};
  }
  due_.store(false, std::memory_order_release);
  return std::nullopt;
}

void KeyIndex::Settle(const Due& due, const std::vector<std::string>& entries) {
  runtime::MutexLock lock(runs_mutex_);
  const std::vector<std::string> removed = std::exchange(removed_, {});
  looked_at_ = 0;
  const auto it = runs_.find(due.lower);
  if (it == runs_.end() || it->second.id != due.run) return;  // united with a newer one
  if (entries.size() >= limits_.few) {
    it->second.left = Run::LeftOf(entries.size(), limits_);
    return;
  }
  // What was removed after the look began has gone; what came after it was added by itself.
  const absl::flat_hash_set<std::string> gone(removed.begin(), removed.end());
  for (const std::string& entry : entries) {
    const std::string_view user_key = UserKeyOf(entry);
    if (user_key.empty() || gone.contains(entry)) continue;
    AddTo(ShardOf(user_key), user_key, entry, key_count_);
  }
  runs_.erase(it);
  run_count_.store(runs_.size());
}

bool KeyIndex::InRun(std::string_view user_key) const {
  runtime::MutexLock lock(runs_mutex_);
  const auto it = runs_.upper_bound(user_key);
  return it != runs_.begin() && user_key <= std::prev(it)->second.last;
}

bool KeyIndex::MayHold(std::string_view prefix) const {
  const std::string_view user_key = UserKeyOf(prefix);
  if (user_key.empty()) return true;  // such entries are not noted
  if (empty()) return false;          // nearly always, of locks
  const Shard& shard = ShardOf(user_key);
  for (;;) {
    const uint64_t runs_made = runs_made_.load();
    if (run_count_.load() > 0 && InRun(user_key)) return true;
    {
      runtime::MutexLock lock(shard.mutex);
      if (shard.keys.contains(user_key)) return true;
    }
    if (runs_made_.load() == runs_made) return false;
  }
}

bool KeyIndex::Narrow(std::string& lower, std::string& upper) const {
  if (empty()) return false;
  if (key_count_.load() > kNarrowedMax) return true;
  std::string first;
  std::string last;
  const auto take = [&](const std::string& begin, const std::string& end) {
    const bool before = end < lower && !lower.starts_with(end);
    if (before || (!upper.empty() && begin >= upper)) return;
    if (first.empty() || begin < first) first = begin;
    if (end > last) last = end;
  };
  const uint64_t runs_made = runs_made_.load();
  {
    runtime::MutexLock lock(runs_mutex_);
    auto it = runs_.upper_bound(lower);
    if (it != runs_.begin()) take(std::prev(it)->first, std::prev(it)->second.last);
    if (it != runs_.end()) take(it->first, it->second.last);
    it = upper.empty() ? runs_.end() : runs_.lower_bound(upper);
    if (it != runs_.begin()) take(std::prev(it)->first, std::prev(it)->second.last);
  }
  for (const Shard& shard : shards_) {
    runtime::MutexLock lock(shard.mutex);
    for (const auto& [user_key, entries] : shard.keys) take(user_key, user_key);  // least and greatest need no order
  }
  if (runs_made_.load() != runs_made) return true;
  if (last.empty()) return false;
  if (first > lower) lower = std::move(first);
  last = ordered::PrefixEnd(last);
  if (upper.empty() || last < upper) upper = std::move(last);
  return true;
}

}  // namespace orrery::storage
