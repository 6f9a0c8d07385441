// SortedReader and the overlay over it answer as the engine itself does, whatever the order of the look-ups.
#include "orrery/storage/sorted_reader.h"

#include <random>

#include "gtest/gtest.h"
#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc/keys.h"
#include "orrery/storage/overlay_batch.h"

namespace orrery::storage {
namespace {

constexpr ColumnFamily kFamilies[] = {ColumnFamily::kMvcc, ColumnFamily::kLock, ColumnFamily::kState};

std::string UserKey(uint64_t n) {
  std::string key = "\x08k";
  for (int shift = 8; shift >= 0; shift -= 8) key.push_back(char(n >> shift));  // zero bytes are escaped
  return key;
}

struct Answer {
  bool found = false;
  std::string key;
  std::string value;
  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer Seek(const Reader& reader, ColumnFamily cf, const std::string& target, size_t prefix_bytes) {
  Answer answer;
  auto found = reader.SeekInPrefix(cf, target, prefix_bytes, answer.key, answer.value);
  EXPECT_TRUE(found.ok()) << found.status().ToString();
  answer.found = *found;
  if (!answer.found) answer.key.clear(), answer.value.clear();
  return answer;
}
Answer Get(const Reader& reader, ColumnFamily cf, const std::string& key) {
  Answer answer;
  auto found = reader.GetInto(cf, key, answer.value);
  EXPECT_TRUE(found.ok()) << found.status().ToString();
  answer.found = *found;
  if (!answer.found) answer.value.clear();
  return answer;
}

class SortedReaderTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  SortedReaderTest() {
    WriteBatch batch;
    for (uint64_t n = 0; n < 400; ++n) {
      for (uint64_t v = 0; v < Below(4); ++v) {
        batch.Put(ColumnFamily::kMvcc, VersionKey(UserKey(n), Timestamp{int64_t(Below(50)), 0}), std::to_string(n));
      }
      if (Below(5) == 0) batch.Put(ColumnFamily::kLock, IntentKey(UserKey(n)), "lock" + std::to_string(n));
      if (Below(5) == 0) batch.Put(ColumnFamily::kState, UserKey(n), "state");
    }
    EXPECT_TRUE(engine_->Write(batch, SyncMode::kNoSync).ok());
  }
  uint64_t Below(uint64_t n) { return random_() % n; }
  std::string Target(uint64_t n, size_t& prefix_bytes) {
    std::string target = KeyPrefix(UserKey(n));
    prefix_bytes = target.size();
    if (Below(2) == 0) AppendVersionSuffix(target, Timestamp{int64_t(Below(50)), 0});
    return target;
  }

  std::mt19937_64 random_{GetParam()};
  std::unique_ptr<Engine> engine_ = std::make_unique<MemEngine>();
};

TEST_P(SortedReaderTest, AnswersAsTheEngineDoes) {
  const uint64_t first = Below(200);
  const uint64_t last = first + Below(200);
  SortedReader reader(*engine_, UserKey(first), UserKey(last));
  uint64_t n = Below(400);
  for (int step = 0; step < 2000; ++step) {
    // Mostly small steps forward, some far, some back, some outside of the bounds.
    n = Below(8) == 0 ? Below(400) : std::min<uint64_t>(n + Below(3), 399);
    const ColumnFamily cf = kFamilies[Below(3)];
    size_t prefix_bytes = 0;
    const std::string target = Target(n, prefix_bytes);
    ASSERT_EQ(Seek(reader, cf, target, prefix_bytes), Seek(*engine_, cf, target, prefix_bytes)) << step;
    const std::string lock = IntentKey(UserKey(n));
    ASSERT_EQ(Get(reader, ColumnFamily::kLock, lock), Get(*engine_, ColumnFamily::kLock, lock)) << step;
  }
}

// The overlay's short cut behind its last key, compared with its iterator, which merges all.
TEST_P(SortedReaderTest, AnOverlayOnTopShowsItsWrites) {
  SortedReader reader(*engine_, UserKey(0), UserKey(399));
  OverlayBatch overlay(reader);
  for (uint64_t n = 0; n < 400; n += 1 + Below(4)) {
    const auto check = [&](uint64_t at) {
      size_t prefix_bytes = 0;
      const std::string target = Target(at, prefix_bytes);
      std::string key, value;
      auto found = overlay.SeekInPrefix(ColumnFamily::kMvcc, target, prefix_bytes, key, value);
      ASSERT_TRUE(found.ok());
      auto it = overlay.NewIterator(ColumnFamily::kMvcc, {});
      it->Seek(target);
      const bool expected = it->Valid() && it->key().starts_with(target.substr(0, prefix_bytes));
      ASSERT_EQ(*found, expected);
      if (expected) {
        ASSERT_EQ(key, it->key());
        ASSERT_EQ(value, it->value());
      }
    };
    check(n);
    const std::string key = VersionKey(UserKey(n), Timestamp{60, 0});
    EXPECT_FALSE(overlay.HasPut(ColumnFamily::kMvcc, key));
    if (Below(8) == 0) {
      size_t prefix_bytes = 0;
      const std::string begin = Target(n > 5 ? n - 5 : 0, prefix_bytes);
      overlay.DeleteRange(ColumnFamily::kMvcc, begin, key);
    } else if (Below(4) == 0) {
      overlay.Delete(ColumnFamily::kMvcc, key);
    } else {
      overlay.Put(ColumnFamily::kMvcc, key, "new");
      EXPECT_TRUE(overlay.HasPut(ColumnFamily::kMvcc, key));
    }
    check(n);
    check(Below(400));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SortedReaderTest, ::testing::Range(0u, 20u));

}  // namespace
}  // namespace orrery::storage
