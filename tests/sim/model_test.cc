// The exact test of reads (I12) refuses histories in which a read missed a version, saw one of the future, lost a
// row or found one too many: the bugs it is there for.
#include "cli/sim/model.h"

#include <gtest/gtest.h>

#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::cli {
namespace {

Timestamp At(int64_t wall) { return {wall, 0}; }

class ModelTest : public testing::Test {
 protected:
  // a: 1 at 10, 2 at 20, gone at 30. b: 5 at 15.
  void SetUp() override {
    Write("a", 10, "1");
    Write("a", 20, "2");
    Write("a", 30, std::nullopt);
    Write("b", 15, "5");
    ASSERT_TRUE(model_.Load(engine_, {"a", "z"}).ok());
    EXPECT_EQ(model_.version_count(), 4u);
  }
  void Write(std::string_view key, int64_t at, std::optional<std::string_view> value) {
    const std::string version_key = storage::VersionKey(key, At(at));
    storage::VersionValue version;
    version.tombstone = !value;
    if (value) version.payload = *value;
    storage::WriteBatch batch;
    batch.Put(storage::ColumnFamily::kMvcc, version_key, storage::EncodeVersionValue(version_key, version));
    ASSERT_TRUE(engine_.Write(batch, storage::SyncMode::kSync).ok());
  }
  using Keys = std::vector<std::pair<std::string, std::optional<std::string>>>;
  bool Fits(int64_t at, Keys keys, std::set<std::string, std::less<>> written = {}) {
    return Compare({.ts = At(at), .written = std::move(written), .keys = std::move(keys), .who = "a test"}, model_).empty();
  }
  bool ScanFits(int64_t at, Keys keys) {
    return Compare({.ts = At(at), .keys = std::move(keys), .span = kv::Span{"a", "z"}, .who = "a test"}, model_).empty();
  }

  storage::MemEngine engine_;
  VersionModel model_;
};

TEST_F(ModelTest, I12WhatStoodThere) {
  EXPECT_TRUE(Fits(9, {{"a", std::nullopt}}));
  EXPECT_TRUE(Fits(10, {{"a", "1"}}));
  EXPECT_TRUE(Fits(25, {{"a", "2"}, {"b", "5"}}));
  EXPECT_TRUE(Fits(30, {{"a", std::nullopt}, {"b", "5"}}));
  EXPECT_EQ(model_.Latest("b"), "5");
  EXPECT_EQ(model_.Latest("a"), std::nullopt);
}

TEST_F(ModelTest, I12AStaleReadIsFound) { EXPECT_FALSE(Fits(20, {{"a", "1"}})); }
TEST_F(ModelTest, I12AReadOfTheFutureIsFound) { EXPECT_FALSE(Fits(19, {{"a", "2"}})); }
TEST_F(ModelTest, I12AReadOfTwoMomentsIsFound) { EXPECT_FALSE(Fits(15, {{"a", "2"}, {"b", "5"}})); }
TEST_F(ModelTest, I12AnUncommittedValueIsFound) { EXPECT_FALSE(Fits(15, {{"a", "7"}})); }
TEST_F(ModelTest, I12AValueThatWasDeletedIsFound) { EXPECT_FALSE(Fits(31, {{"a", "2"}})); }

// A transaction that wrote at 20 read what was there before; without its own writes it would have seen them.
TEST_F(ModelTest, I12OwnWritesAreNotRead) {
  EXPECT_TRUE(Fits(20, {{"a", "1"}}, {"a"}));
  EXPECT_FALSE(Fits(20, {{"a", "2"}}, {"a"}));
  EXPECT_TRUE(Fits(20, {{"a", "2"}, {"b", "5"}}, {"b"}));  // another one wrote at the same moment
  EXPECT_FALSE(Fits(30, {{"a", "1"}}, {"a"}));  // a write between read and commit: no refresh
}

TEST_F(ModelTest, I12AScanHasAllRowsAndNoOther) {
  EXPECT_TRUE(ScanFits(20, {{"a", "2"}, {"b", "5"}}));
  EXPECT_TRUE(ScanFits(30, {{"b", "5"}}));
  EXPECT_FALSE(ScanFits(20, {{"a", "2"}}));
  EXPECT_FALSE(ScanFits(30, {{"b", "5"}, {"c", "1"}}));
}

}  // namespace
}  // namespace orrery::cli
