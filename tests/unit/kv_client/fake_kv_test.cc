#include "support/fake_kv.h"

#include <gtest/gtest.h>

#include "orrery/runtime/runtime.h"

namespace orrery::kv {
namespace {

// The fake never looks at its context's runtime.
class NoRuntime : public runtime::Runtime {
 public:
  runtime::Clock& clock() override { std::abort(); }
  runtime::Random& random() override { std::abort(); }
  runtime::Scheduler& scheduler() override { std::abort(); }
  runtime::FileSystem& file_system() override { std::abort(); }
  runtime::Transport& transport() override { std::abort(); }
  runtime::Network& network() override { std::abort(); }
  runtime::ProbeRegistry& probes() override { std::abort(); }
};

class FakeKvTest : public ::testing::Test {
 protected:
  NoRuntime runtime_;
  runtime::Context context_{runtime_};
  std::unique_ptr<Database> db_ = MakeFakeDatabase();

  void Put(const std::string& key, const std::string& value) {
    auto txn = db_->Begin({});
    Batch batch;
    batch.Put(key, value);
    ASSERT_TRUE(txn->RunAndCommit(context_, batch).ok());
  }
  std::optional<std::string> Get(Txn& txn, const std::string& key, LockStrength lock = LockStrength::kNone) {
    Batch batch;
    batch.Get(key, lock);
    Status s = txn.Run(context_, batch);
    EXPECT_TRUE(s.ok()) << s.ToString();
    return s.ok() ? std::get<GetResponse>(batch.responses[0]).value : std::nullopt;
  }
};

TEST_F(FakeKvTest, SnapshotDoesNotMoveAndStatementsDo) {
  Put("\x08k", "1");
  auto snapshot = db_->Begin({.isolation = IsolationLevel::kRepeatableRead});
  auto rc = db_->Begin({});
  EXPECT_EQ(Get(*snapshot, "\x08k"), "1");
  Put("\x08k", "2");
  EXPECT_EQ(Get(*snapshot, "\x08k"), "1");
  EXPECT_EQ(Get(*rc, "\x08k"), "1");
  rc->BeginStatement();
  EXPECT_EQ(Get(*rc, "\x08k"), "2");
}

TEST_F(FakeKvTest, WriteOverNewerValueIsRetryError) {
  Put("\x08k", "1");
  auto txn = db_->Begin({.isolation = IsolationLevel::kSerializable});
  EXPECT_EQ(Get(*txn, "\x08k"), "1");
  Put("\x08k", "2");
  Batch batch;
  batch.Put("\x08k", "3");
  Status status = txn->Run(context_, batch);
  ASSERT_NE(GetError<TxnRetryError>(status), nullptr) << status.ToString();
  EXPECT_EQ(status.sqlstate(), "40001");
  ASSERT_TRUE(txn->Restart(context_, status).ok());
  EXPECT_EQ(Get(*txn, "\x08k"), "2");
  ASSERT_TRUE(txn->RunAndCommit(context_, batch).ok());
}

TEST_F(FakeKvTest, WriteSkewIsFoundUnderSerializableOnly) {
  for (auto level : {IsolationLevel::kSerializable, IsolationLevel::kRepeatableRead}) {
    auto a = db_->Begin({.isolation = level});
    auto b = db_->Begin({.isolation = level});
    Get(*a, "\x08x");
    Get(*b, "\x08y");
    Batch write_y, write_x;
    write_y.Put("\x08y", "1");
    write_x.Put("\x08x", "1");
    ASSERT_TRUE(a->RunAndCommit(context_, write_y).ok());
    Status status = b->RunAndCommit(context_, write_x);
    EXPECT_EQ(status.ok(), level == IsolationLevel::kRepeatableRead) << status.ToString();
  }
}

TEST_F(FakeKvTest, LocksByWaitPolicy) {
  Put("\x08" "a", "1");
  Put("\x08" "b", "2");
  auto holder = db_->Begin({});
  Get(*holder, "\x08" "a", LockStrength::kExclusive);
  auto other = db_->Begin({});
  Batch batch;
  batch.wait = WaitPolicy::kError;
  batch.Get("\x08" "a", LockStrength::kShared);
  Status status = other->Run(context_, batch);
  EXPECT_NE(GetError<LockConflictError>(status), nullptr);
  EXPECT_EQ(status.sqlstate(), "55P03");
  batch.Clear();
  batch.wait = WaitPolicy::kSkip;
  batch.Scan({"\x08", "\x09"}, Direction::kForward, LockStrength::kExclusive);
  ASSERT_TRUE(other->Run(context_, batch).ok());
  EXPECT_EQ(std::get<ScanResponse>(batch.responses[0]).rows.count(), 1u);
  ASSERT_TRUE(holder->Rollback(context_).ok());
  EXPECT_EQ(Get(*other, "\x08" "a", LockStrength::kExclusive), "1");
}

TEST_F(FakeKvTest, FailedConditionLeavesTheTransactionOpenAndTheBatchWithoutEffect) {
  Put("\x08k", "1");
  auto txn = db_->Begin({});
  Batch batch;
  batch.Put("\x08other", "x");
  batch.Insert("\x08k", "2");
  Status status = txn->Run(context_, batch);
  const auto* failed = GetError<ConditionFailedError>(status);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->actual, "1");
  EXPECT_EQ(Get(*txn, "\x08other"), std::nullopt);
  EXPECT_FALSE(txn->has_writes());
  EXPECT_TRUE(txn->Commit(context_).ok());
}

TEST_F(FakeKvTest, SavepointHidesLaterWrites) {
  auto txn = db_->Begin({});
  Batch batch;
  batch.Put("\x08k", "1");
  ASSERT_TRUE(txn->Run(context_, batch).ok());
  const uint32_t savepoint = txn->CreateSavepoint();
  batch.Clear();
  batch.Put("\x08k", "2");
  batch.Put("\x08l", "2");
  ASSERT_TRUE(txn->Run(context_, batch).ok());
  EXPECT_EQ(Get(*txn, "\x08k"), "2");
  ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
  EXPECT_EQ(Get(*txn, "\x08k"), "1");
  EXPECT_EQ(Get(*txn, "\x08l"), std::nullopt);
  ASSERT_TRUE(txn->Commit(context_).ok());
  auto after = db_->Begin({});
  EXPECT_EQ(Get(*after, "\x08k"), "1");
}

TEST_F(FakeKvTest, ScanLimitsResumeBothWays) {
  for (const char* key : {"\x08" "1", "\x08" "2", "\x08" "3"}) Put(key, "v");
  for (auto direction : {Direction::kForward, Direction::kReverse}) {
    Span rest{"\x08", "\x09"};
    std::string seen;
    for (int i = 0; i < 3; ++i) {
      Batch batch;
      batch.max_keys = 1;
      batch.Scan(rest, direction);
      ASSERT_TRUE(db_->Read(context_, batch).ok());
      auto& response = std::get<ScanResponse>(batch.responses[0]);
      auto cursor = response.rows.Begin();
      ASSERT_TRUE(cursor.Next());
      seen += cursor.key().substr(1);
      EXPECT_EQ(response.resume.has_value(), i < 2);
      if (response.resume) rest = *response.resume;
    }
    EXPECT_EQ(seen, direction == Direction::kForward ? "123" : "321");
  }
}

TEST_F(FakeKvTest, IdsSplitsAndClear) {
  EXPECT_EQ(*db_->AllocateIds(context_, kNextDescriptorId, 3), 1u);
  EXPECT_EQ(*db_->AllocateIds(context_, kNextDescriptorId, 1), 4u);
  ASSERT_TRUE(db_->Split(context_, TablePrefix(DescriptorId(100))).ok());
  auto ranges = db_->ListRanges(context_, {std::string(kTableDataStart), std::string(kMaxKey)});
  ASSERT_TRUE(ranges.ok());
  EXPECT_EQ(ranges->size(), 2u);
  Put("\x08k", "1");
  ASSERT_TRUE(db_->ClearSpan(context_, {"\x08", "\x09"}).ok());
  auto txn = db_->Begin({});
  EXPECT_EQ(Get(*txn, "\x08k"), std::nullopt);
}

}  // namespace
}  // namespace orrery::kv
