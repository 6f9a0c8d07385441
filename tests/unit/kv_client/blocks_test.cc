// Blocks of one transaction beside each other. What MiniCluster::fate does happens while a batch is on its way.
#include <algorithm>
#include <functional>

#include "orrery/kv/api/errors.h"
#include "unit/kv_client/fixture.h"

namespace orrery::kv {
namespace {

class BlocksTest : public KvClientTest {
 protected:
  Status InsertBlock(Txn& txn, const std::vector<std::string>& keys) {
    KvBlock rows;
    for (const std::string& key : keys) rows.Append(K(key), key);
    Batch batch;
    batch.InsertMany(std::move(rows));
    return txn.RunBeside(context_, batch);
  }
  // Acts once, while a batch that begins with the insertion of a block from this key on is on its way to its range.
  void WhileItIsOnItsWay(const std::string& key, std::function<void()> act, MiniCluster::Fate fate = MiniCluster::Fate::kDeliver) {
    cluster_.fate = [key, act = std::move(act), fate, done = false](const BatchRequest& request) mutable {
      const auto* insert = std::get_if<InsertManyRequest>(&request.requests[0]);
      if (insert == nullptr || insert->span.start != K(key)) return MiniCluster::Fate::kDeliver;
      if (!std::exchange(done, true)) act();
      return fate;
    };
  }
};

TEST_F(BlocksTest, BlocksOfOneTransactionAreOnTheirWayTogether) {
  auto txn = Serializable();
  ASSERT_TRUE(InsertBlock(*txn, {"a", "b"}).ok());  // the first: it makes the record
  WhileItIsOnItsWay("c", [&] { EXPECT_TRUE(InsertBlock(*txn, {"e", "z"}).ok()); });
  ASSERT_TRUE(InsertBlock(*txn, {"c", "d"}).ok());
  EXPECT_EQ(Get(*txn, "c") + Get(*txn, "z"), "cz");
  ASSERT_TRUE(txn->Commit(context_).ok());
  for (const char* key : {"a", "b", "c", "d", "e", "z"}) EXPECT_EQ(Committed(key), key);
}

// What was read beside it is refreshed with it, and the block keeps its number: it is the same write (T12, T19).
TEST_F(BlocksTest, ABlockThatHasToBeSentAgainWaitsForTheOthers) {
  auto txn = Serializable();
  EXPECT_EQ(Get(*txn, "q"), "-");
  ASSERT_TRUE(InsertBlock(*txn, {"a", "b"}).ok());
  ASSERT_TRUE(AutoCommit({{"d", "gone"}}).ok());
  auto eraser = db_->Begin({});
  ASSERT_TRUE(Delete(*eraser, "d").ok() && eraser->Commit(context_).ok());
  WhileItIsOnItsWay("c", [&] { EXPECT_TRUE(InsertBlock(*txn, {"e", "f"}).ok()); });
  cluster_.log.clear();
  ASSERT_TRUE(InsertBlock(*txn, {"c", "d"}).ok());
  EXPECT_EQ(std::count(cluster_.log.begin(), cluster_.log.end(), "n1 r2 InsertMany"), 3);
  EXPECT_TRUE(std::any_of(cluster_.log.begin(), cluster_.log.end(), [](const std::string& line) {
    return line.find("Refresh") != std::string::npos;
  }));
  ASSERT_TRUE(txn->Commit(context_).ok());
  for (const char* key : {"a", "c", "d", "e", "f"}) EXPECT_EQ(Committed(key), key);
}

// Of a block that fails the part on another range does not count, and the one beside it does.
TEST_F(BlocksTest, ABlockThatFailsTakesOnlyItselfAlong) {
  ASSERT_TRUE(AutoCommit({{"z", "there"}}).ok());
  auto txn = Serializable();
  ASSERT_TRUE(InsertBlock(*txn, {"a"}).ok());
  WhileItIsOnItsWay("m", [&] { EXPECT_TRUE(InsertBlock(*txn, {"e", "f"}).ok()); });
  const Status failed = InsertBlock(*txn, {"k", "y", "z"});
  const auto* condition = GetError<ConditionFailedError>(failed);
  ASSERT_TRUE(condition != nullptr && condition->key == K("z")) << failed.ToString();
  ASSERT_TRUE(txn->Commit(context_).ok());
  for (const char* key : {"a", "e", "f"}) EXPECT_EQ(Committed(key), key);
  EXPECT_EQ(Committed("k") + Committed("y") + Committed("z"), "--there");
}

// T18: nobody knows of one block whether it was written; the transaction does not happen, whatever became of the other.
TEST_F(BlocksTest, ABlockWhoseAnswerIsLostEndsTheTransaction) {
  auto txn = Serializable();
  ASSERT_TRUE(InsertBlock(*txn, {"a"}).ok());
  WhileItIsOnItsWay("c", [&] { EXPECT_TRUE(InsertBlock(*txn, {"e"}).ok()); }, MiniCluster::Fate::kLoseAnswer);
  const Status lost = InsertBlock(*txn, {"c"});
  ASSERT_TRUE(GetError<TxnRetryError>(lost) && GetError<TxnRetryError>(lost)->aborted()) << lost.ToString();
  EXPECT_FALSE(InsertBlock(*txn, {"g"}).ok());
  EXPECT_FALSE(txn->Commit(context_).ok());
  EXPECT_TRUE(txn->Rollback(context_).ok());
  EXPECT_EQ(Committed("a") + Committed("c") + Committed("e") + Committed("g"), "----");
}

}  // namespace
}  // namespace orrery::kv
