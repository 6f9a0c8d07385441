#include "storage/engine/key_index.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "orrery/storage/rocksdb_engine.h"

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
