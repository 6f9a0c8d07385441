#include "storage/engine/key_index.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "orrery/storage/rocksdb_engine.h"
#include "rocksdb/perf_context.h"

namespace orrery::storage {
namespace {

// As mvcc/keys.h encodes user keys without zero bytes.
std::string KeyPrefix(std::string key) { return key.append("\0\1", 2); }
std::string LockKey(int key, char which) { return KeyPrefix("k" + std::to_string(key)) + which; }

TEST(KeyIndexTest, KnowsExactlyTheKeysWithLocks) {
  KeyIndex index;
  std::mt19937_64 random(11);
  std::multiset<int> held;
  std::set<std::pair<int, char>> model;
  for (int i = 0; i < 20'000; ++i) {
    const int key = int(random() % 50);
    const char which = char(1 + random() % 3);
    if (random() % 2 == 0) {
      index.Add(LockKey(key, which));
      if (model.insert({key, which}).second) held.insert(key);
    } else {
      index.Remove(LockKey(key, which));
      if (model.erase({key, which})) held.erase(held.find(key));
    }
    ASSERT_EQ(index.empty(), held.empty());
    const int probe = int(random() % 50);
    ASSERT_EQ(index.MayHold(KeyPrefix("k" + std::to_string(probe))), held.contains(probe));
    ASSERT_EQ(index.MayHold(LockKey(probe, '\1')), held.contains(probe));
  }
}

// Entries of a store and their index, as an engine keeps it.
class IndexedStore {
 public:
  explicit IndexedStore(KeyIndex::Limits limits) : index(limits) {}
  void Put(const std::string& key) {
    const KeyIndex::WriteScope scope(index);
    index.Add(key);
    entries.insert(key);
  }
  void PutRun(const std::vector<std::string>& keys) {
    const KeyIndex::WriteScope scope(index);
    index.AddRun(keys.front(), keys.back(), keys.size());
    entries.insert(keys.begin(), keys.end());
  }
  void Delete(const std::string& key) {
    entries.erase(key);
    index.Remove(key);
  }
  // False: nothing was due.
  bool Look() {
    const auto due = index.TakeDue();
    if (due) index.Settle(*due, Found(*due));
    return due.has_value();
  }
  std::vector<std::string> Found(const KeyIndex::Due& due) const {
    std::vector<std::string> found;
    for (auto it = entries.lower_bound(due.lower); it != entries.end() && *it < due.upper && found.size() < index.limits().few; ++it) {
      found.push_back(*it);
    }
    return found;
  }

  KeyIndex index;
  std::set<std::string> entries;
};

std::vector<std::string> LockKeys(int from, int count) {
  std::vector<std::string> keys;
  for (int i = from; i < from + count; ++i) keys.push_back(LockKey(1000 + i, '\1'));
  return keys;
}

TEST(KeyIndexTest, TooManyKeysBecomeARunUntilTheyHaveGone) {
  IndexedStore store({.keys_max = 4, .run_min = 3, .run_max = 8, .few = 3});
  const auto keys = LockKeys(0, 10);
  for (const auto& key : keys) store.Put(key);
  for (const auto& key : keys) EXPECT_TRUE(store.index.MayHold(key));
  EXPECT_TRUE(store.index.MayHold(KeyPrefix("k1002x")));  // among them
  EXPECT_FALSE(store.index.MayHold(KeyPrefix("z")));
  for (const auto& key : keys) {
    EXPECT_FALSE(store.index.empty());
    store.Delete(key);
    while (store.Look()) continue;
  }
  EXPECT_TRUE(store.index.empty());
  EXPECT_FALSE(store.index.MayHold(keys[3]));
}

TEST(KeyIndexTest, ARunIsNotLookedAtWhileAWriteIsUnderWay) {
  IndexedStore store({.keys_max = 100, .run_min = 3, .run_max = 8, .few = 3});
  const auto keys = LockKeys(0, 5);
  store.PutRun(keys);
  for (const auto& key : keys) store.Delete(key);
  {
    const KeyIndex::WriteScope other(store.index);
    EXPECT_FALSE(store.index.TakeDue());
  }
  EXPECT_TRUE(store.Look());
  EXPECT_TRUE(store.index.empty());
}

// Between the look and what it leads to, entries come and go.
TEST(KeyIndexTest, ALookIsSettledWithWhatHappenedMeanwhile) {
  IndexedStore store({.keys_max = 100, .run_min = 3, .run_max = 8, .few = 3});
  const auto keys = LockKeys(0, 5);
  store.PutRun(keys);
  for (const auto& key : {keys[0], keys[1], keys[2]}) store.Delete(key);
  for (int i = 0; i < 2; ++i) {  // others' entries among them
    store.Put(LockKey(1001, '\2'));
    store.Delete(LockKey(1001, '\2'));
  }
  const auto due = store.index.TakeDue();
  ASSERT_TRUE(due);
  const auto found = store.Found(*due);
  EXPECT_EQ(found, (std::vector<std::string>{keys[3], keys[4]}));
  store.Delete(keys[3]);
  store.Put(keys[0]);
  store.index.Settle(*due, found);
  EXPECT_TRUE(store.index.MayHold(keys[0]));
  EXPECT_FALSE(store.index.MayHold(keys[3]));
  EXPECT_TRUE(store.index.MayHold(keys[4]));
  store.Delete(keys[0]);
  store.Delete(keys[4]);
  EXPECT_TRUE(store.index.empty());
}

// A run that is united with a new one while it is looked at stays: what the new one's write brings is not in the store yet.
TEST(KeyIndexTest, ARunThatGrowsWhileItIsLookedAtStays) {
  IndexedStore store({.keys_max = 100, .run_min = 3, .run_max = 8, .few = 3});
  const auto keys = LockKeys(0, 5);
  store.PutRun(keys);
  for (const auto& key : keys) store.Delete(key);
  const auto due = store.index.TakeDue();
  ASSERT_TRUE(due);
  const auto found = store.Found(*due);
  store.PutRun(LockKeys(4, 5));
  store.index.Settle(*due, found);
  for (const auto& key : LockKeys(4, 5)) EXPECT_TRUE(store.index.MayHold(key));
}

TEST(KeyIndexTest, RunsAndKeysNeverForgetAndAlwaysEnd) {
  std::mt19937_64 random(23);
  for (int round = 0; round < 200; ++round) {
    IndexedStore store({.keys_max = random() % 2 == 0 ? size_t{20} : size_t{1000}, .run_min = 4, .run_max = 8, .few = 4});
    const auto any = [&] { return LockKeys(int(random() % 60), 1).front(); };
    for (int step = 0; step < 150; ++step) {
      switch (random() % 5) {
        case 0: store.PutRun(LockKeys(int(random() % 50), 1 + int(random() % 12))); break;
        case 1: store.Put(any()); break;
        case 2: (void)store.Look(); break;
        default:
          if (!store.entries.empty()) store.Delete(*std::next(store.entries.begin(), ptrdiff_t(random() % store.entries.size())));
      }
      for (const std::string& key : store.entries) ASSERT_TRUE(store.index.MayHold(key));
      std::string lower = any();
      std::string upper = any();
      const auto within = [&] { return std::set<std::string>(store.entries.lower_bound(lower), store.entries.lower_bound(upper)); };
      if (lower >= upper) continue;
      const auto expected = within();
      if (store.index.Narrow(lower, upper)) {
        ASSERT_EQ(within(), expected);
      } else {
        ASSERT_TRUE(expected.empty());
      }
    }
    while (!store.entries.empty()) store.Delete(*store.entries.begin());
    while (store.Look()) continue;
    // A key put twice in one run was counted twice: the count ends later than the entries, with others' coming and going.
    for (int i = 0; i < 1000 && !store.index.empty(); ++i) {
      const std::string key = LockKeys(i % 62, 1).front();
      store.Put(key);
      store.Delete(key);
      while (store.Look()) continue;
    }
    ASSERT_TRUE(store.index.empty());
  }
}

TEST(KeyIndexTest, NarrowedIntervalsKeepAllThatIsThere) {
  std::mt19937_64 random(5);
  const auto any_key = [&] {
    return KeyPrefix(std::string(1, char('a' + random() % 8)) + std::string(random() % 2, 'x')) + std::string(random() % 2, '\2');
  };
  int narrower = 0;
  for (int run = 0; run < 2000; ++run) {
    KeyIndex index;
    std::set<std::string> model;
    for (uint64_t n = random() % 6; n-- > 0;) {
      const std::string key = any_key() + char(1 + random() % 3);
      index.Add(key);
      model.insert(key);
    }
    std::string lower = random() % 4 == 0 ? "" : any_key();
    std::string upper = random() % 4 == 0 ? "" : any_key();
    if (!upper.empty() && upper <= lower) continue;
    const auto within = [&] {
      return std::set<std::string>(model.lower_bound(lower), upper.empty() ? model.end() : model.lower_bound(upper));
    };
    const std::set<std::string> expected = within();
    const std::string lower_before = lower;
    if (!index.Narrow(lower, upper)) {
      ASSERT_TRUE(expected.empty());
      continue;
    }
    narrower += lower != lower_before;
    ASSERT_EQ(within(), expected);
  }
  EXPECT_GT(narrower, 100);
}

// A load's locks are gone, one lock lives: a look at a part of the table does not step over what was deleted.
TEST(KeyIndexTest, DeletedLocksCostAScanNothing) {
  auto opened = OpenStoreInMemory({});
  ASSERT_TRUE(opened.ok());
  Engine& engine = **opened;
  constexpr int kFirst = 100'000;
  constexpr int kCount = 5'000;
  WriteBatch locked, resolved;
  for (int i = kFirst; i < kFirst + kCount; ++i) {
    locked.Put(ColumnFamily::kLock, LockKey(i, '\1'), "v");
    if (i % 1000 != 0) resolved.Delete(ColumnFamily::kLock, LockKey(i, '\1'));
  }
  ASSERT_TRUE(engine.Write(locked, SyncMode::kNoSync).ok());
  ASSERT_TRUE(engine.Write(resolved, SyncMode::kNoSync).ok());
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);
  rocksdb::get_perf_context()->Reset();
  size_t found = 0;
  for (int page = kFirst; page < kFirst + kCount; page += 100) {
    const auto it = engine.NewIterator(ColumnFamily::kLock, {LockKey(page, '\1'), LockKey(page + 100, '\1')});
    for (it->SeekToFirst(); it->Valid(); it->Next()) ++found;
  }
  EXPECT_EQ(found, size_t(kCount / 1000));
  EXPECT_LT(rocksdb::get_perf_context()->internal_delete_skipped_count, 10u);
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
}

// The same for locks that came in one batch as a load's do, which are noted as one run: scans step over no more than what
// went from it while it stands, and over nothing once it has gone. Readers see all of them at all times.
TEST(KeyIndexTest, TheEngineKeepsALoadsLocksAsARun) {
  auto opened = OpenStoreInMemory({});
  ASSERT_TRUE(opened.ok());
  Engine& engine = **opened;
  const auto keys = LockKeys(0, 3000);
  WriteBatch locked;
  for (const auto& key : keys) {
    locked.Put(ColumnFamily::kMvcc, key + "x", "row");
    locked.Put(ColumnFamily::kLock, key, "v");
  }
  ASSERT_TRUE(engine.Write(locked, SyncMode::kNoSync).ok());
  std::set<std::string> model(keys.begin(), keys.end());
  std::mt19937_64 random(3);
  std::string value;
  std::string key;
  for (int step = 0; !model.empty(); ++step) {
    WriteBatch batch;
    auto it = step < 40 ? model.lower_bound(keys[random() % keys.size()]) : model.begin();
    for (uint64_t n = 50 + random() % 200; n-- > 0 && it != model.end();) {
      batch.Delete(ColumnFamily::kLock, *it);
      it = model.erase(it);
    }
    if (step == 15 || step == 25) {  // again, with a batch that also deletes
      for (const auto& again : keys) {
        if (!model.insert(again).second) continue;
        batch.Put(ColumnFamily::kLock, again, "v");
      }
      batch.Delete(ColumnFamily::kLock, keys[1500]);
      model.erase(keys[1500]);
    }
    ASSERT_TRUE(engine.Write(batch, SyncMode::kNoSync).ok());
    size_t found = 0;
    const auto all = engine.NewIterator(ColumnFamily::kLock, {});
    for (all->SeekToFirst(); all->Valid(); all->Next()) ++found;
    ASSERT_EQ(found, model.size());
    for (int i = 0; i < 20; ++i) {
      const std::string& probe = keys[random() % keys.size()];
      const auto got = engine.GetInto(ColumnFamily::kLock, probe, value);
      ASSERT_TRUE(got.ok());
      ASSERT_EQ(*got, model.contains(probe));
    }
  }
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);
  rocksdb::get_perf_context()->Reset();
  const auto none = engine.NewIterator(ColumnFamily::kLock, {keys[0], keys[2999]});
  none->SeekToFirst();
  EXPECT_FALSE(none->Valid());
  EXPECT_EQ(rocksdb::get_perf_context()->internal_delete_skipped_count, 0u);
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
}

TEST(KeyIndexTest, TheEngineFindsLocksThroughIt) {
  auto opened = OpenStoreInMemory({});
  ASSERT_TRUE(opened.ok());
  Engine& engine = **opened;
  std::mt19937_64 random(7);
  std::set<std::string> model;
  for (int i = 0; i < 3000; ++i) {
    WriteBatch batch;
    for (uint64_t n = random() % 4; n-- > 0;) {
      const std::string key = LockKey(int(random() % 20), char(1 + random() % 2));
      if (random() % 2 == 0) {
        batch.Put(ColumnFamily::kLock, key, "v");
        model.insert(key);
      } else {
        batch.Delete(ColumnFamily::kLock, key);
        model.erase(key);
      }
    }
    if (random() % 100 == 0) {
      batch.DeleteRange(ColumnFamily::kLock, LockKey(3, '\1'), LockKey(5, '\1'));
      model.erase(model.lower_bound(LockKey(3, '\1')), model.lower_bound(LockKey(5, '\1')));
    }
    ASSERT_TRUE(engine.Write(batch, SyncMode::kNoSync).ok());
    const std::string probe = LockKey(int(random() % 20), char(1 + random() % 2));
    std::string key;
    std::string value;
    auto got = engine.GetInto(ColumnFamily::kLock, probe, value);
    ASSERT_TRUE(got.ok());
    ASSERT_EQ(*got, model.contains(probe));
    const size_t prefix = probe.size() - 1;
    auto sought = engine.SeekInPrefix(ColumnFamily::kLock, probe.substr(0, prefix), prefix, key, value);
    ASSERT_TRUE(sought.ok());
    const auto first = model.lower_bound(probe.substr(0, prefix));
    const bool expected = first != model.end() && first->starts_with(probe.substr(0, prefix));
    ASSERT_EQ(*sought, expected);
    if (expected) {
      ASSERT_EQ(key, *first);
    }
  }
}

}  // namespace
}  // namespace orrery::storage
