// Many inserts at once do what one conditional put after the other does.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "orrery/storage/load.h"
#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc.h"

namespace orrery::storage {
namespace {

TxnMeta Txn(char id, int64_t ts) {
  TxnMeta txn;
  txn.id = std::string(kTxnIdBytes, id);
  txn.anchor_key = "a";
  txn.write_ts = {ts, 0};
  txn.sequence = 1;
  return txn;
}

class InsertMany : public ::testing::Test {
 protected:
  MemEngine engine_;

  void Write(OverlayBatch& batch) { ASSERT_TRUE(engine_.Write(batch.TakeBatch(), SyncMode::kNoSync).ok()); }
  void Put(std::string_view key, int64_t ts) {
    OverlayBatch batch(engine_);
    ASSERT_TRUE(MvccPut(batch, key, {ts, 0}, "old", {}).ok());
    Write(batch);
  }
  static KvBlock Rows(const std::vector<std::string>& keys) {
    KvBlock rows;
    for (const std::string& key : keys) rows.Append(key, "value of " + key);
    return rows;
  }
  StatusOr<MvccInsertManyResult> Insert(OverlayBatch& batch, const KvBlock& rows, const MvccWriteOptions& options,
                                        int64_t ts = 10) {
    return MvccInsertMany(batch, rows, {ts, 0}, options, failed_key_);
  }
  std::string failed_key_;
};

TEST_F(InsertMany, NewKeysAreOneVersionEachInOrder) {
  Put("b", 5);
  OverlayBatch batch(engine_);
  const auto result = Insert(batch, Rows({"c", std::string("c\0", 2), "d", "f"}), {});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_TRUE(result->all_new);
  EXPECT_EQ(batch.batch().op_count(), 4u);
  EXPECT_TRUE(batch.batch().IsLoad());
  Write(batch);
  EXPECT_EQ(MvccGet(engine_, "d", {10, 0}).value()->value, "value of d");
  EXPECT_FALSE(MvccGet(engine_, "d", {9, 0}).value().has_value());
}

TEST_F(InsertMany, AKeyWithAValueFailsWithItsName) {
  Put("d", 5);
  OverlayBatch batch(engine_);
  const auto result = Insert(batch, Rows({"c", "d", "e"}), {});
  ASSERT_NE(result.status().payload<ConditionFailedError>(), nullptr) << result.status().ToString();
  EXPECT_EQ(failed_key_, "d");
}

TEST_F(InsertMany, ForeignLocksAreInTheWay) {
  const TxnMeta other = Txn('o', 5);
  OverlayBatch lock(engine_);
  ASSERT_TRUE(MvccAcquireLock(lock, "d", LockStrength::kExclusive, other, nullptr).ok());
  Write(lock);
  OverlayBatch batch(engine_);
  EXPECT_TRUE(Insert(batch, Rows({"a", "b", "c"}), {}).ok());
  const auto result = Insert(batch, Rows({"c2", "d", "e"}), {});
  EXPECT_NE(result.status().payload<LockConflictError>(), nullptr) << result.status().ToString();
}

TEST_F(InsertMany, RowsOutOfOrderAreRefused) {
  for (const auto& keys : {std::vector<std::string>{"b", "a"}, {"a", "a"}}) {
    OverlayBatch batch(engine_);
    EXPECT_EQ(Insert(batch, Rows(keys), {}).status().code(), Code::kInvalidArgument);
  }
}

// The same random rows over the same random state, by the one way and the other: batch, statistics, error.
TEST(InsertManyProperty, EqualsConditionalPuts) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    MemEngine engine;
    const auto key = [&] { return std::string(1, char('a' + random() % 26)) + std::string(random() % 2, '\0'); };
    for (uint64_t n = random() % 12; n > 0; --n) {
      OverlayBatch batch(engine);
      const Timestamp ts{int64_t(1 + random() % 15), 0};
      const TxnMeta other = Txn('o', ts.wall_ns);
      MvccWriteOptions options;
      const std::string at = key();
      switch (random() % 4) {
        case 0: (void)MvccDelete(batch, at, ts, options).ok(); break;
        case 1: options.txn = &other; (void)MvccPut(batch, at, ts, "intent", options).ok(); break;
        default: (void)MvccPut(batch, at, ts, "old", options).ok(); break;
      }
      if (random() % 4 != 0 || options.txn == nullptr) {
        ASSERT_TRUE(engine.Write(batch.TakeBatch(), SyncMode::kNoSync).ok());
      }
    }
    std::map<std::string, std::string> chosen;
    for (uint64_t n = 1 + random() % 8; n > 0; --n) chosen[key()] = std::to_string(random() % 100);
    KvBlock rows;
    for (const auto& [k, v] : chosen) rows.Append(k, v);

    TxnMeta txn = Txn('t', 20);
    MvccWriteOptions options;
    if (random() % 3 > 0) options.txn = &txn;
    if (random() % 2 == 0) options.mode = WriteMode::kOnePhase;
    const Timestamp read_ts{int64_t(10 + random() % 11), 0};
    MvccStats one_by_one, at_once;
    OverlayBatch expected(engine), actual(engine);
    Status first_error;
    std::string failed_key, first_failed;
    options.stats = &one_by_one;
    for (const auto& [k, v] : chosen) {
      const auto put = MvccConditionalPut(expected, k, read_ts, v, std::nullopt, IfMissing::kFail, options);
      if (put.ok()) continue;
      first_error = put.status();
      first_failed = k;
      break;
    }
    options.stats = &at_once;
    const auto result = MvccInsertMany(actual, rows, read_ts, options, failed_key);
    ASSERT_EQ(result.status().ToString(), first_error.ToString()) << "seed " << seed;
    ASSERT_EQ(failed_key, first_failed) << "seed " << seed;
    if (!result.ok()) continue;
    ASSERT_EQ(actual.batch().bytes(), expected.batch().bytes()) << "seed " << seed;
    ASSERT_EQ(at_once.ToString(), one_by_one.ToString()) << "seed " << seed;
    if (result->all_new) {
      WriteBatch batch = actual.batch();
      const auto load = TakeLoad(batch);
      ASSERT_TRUE(load && batch.empty() && load->row_count == chosen.size());
      const bool committed = options.txn == nullptr || options.mode == WriteMode::kOnePhase;
      ASSERT_EQ(load->rows.op_count(), committed ? chosen.size() : 2 * chosen.size());
    }
  }
}

}  // namespace
}  // namespace orrery::storage
