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

TEST(KeyIndexTest, GivesUpRatherThanForgets) {
  KeyIndex index(4);
  for (int i = 0; i < 10; ++i) index.Add(LockKey(i, '\1'));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(index.MayHold(KeyPrefix("k" + std::to_string(i))));
  EXPECT_TRUE(index.MayHold(KeyPrefix("never seen")));
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
