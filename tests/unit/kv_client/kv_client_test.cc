#include "orrery/kv/client/kv_client.h"

#include <random>

#include "kv/client/span_set.h"
#include "orrery/kv/client/loader.h"
#include "unit/kv_client/fixture.h"

namespace orrery::kv {
namespace {

TEST_F(KvClientTest, OneRangeCommitsInOneBatch) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}, {"b", "2"}}).ok());
  EXPECT_EQ(cluster_.log.back(), "n1 r2 Put Put EndTxn");
  EXPECT_EQ(Committed("b"), "2");
  EXPECT_EQ(cluster_.intent_count(), 0u);
  EXPECT_EQ(cluster_.record_count(), 0u);
}

// The keys of one phase may be more than the transaction would remember one by one.
TEST_F(KvClientTest, ABatchBeyondTheSpanBudgetCommitsInOnePhase) {
  Reset(/*span_bytes_max=*/1000);
  Batch batch;
  for (int i = 0; i < 500; ++i) batch.Insert(K("a" + std::to_string(1000 + i)), "v");
  ASSERT_TRUE(RunAlone(context_, *db_, "load", batch).ok());
  EXPECT_EQ(cluster_.intent_count(), 0u);
  EXPECT_EQ(cluster_.record_count(), 0u);
  EXPECT_EQ(Committed("a1499"), "v");
}

TEST_F(KvClientTest, RunAloneSpansRangesAndReportsADuplicate) {
  Batch batch;
  batch.Insert(K("a"), "1");
  batch.Insert(K("z"), "2");
  ASSERT_TRUE(RunAlone(context_, *db_, "load", batch).ok());
  EXPECT_EQ(Committed("a") + Committed("z"), "12");
  Batch again;
  again.Insert(K("b"), "3");
  again.Insert(K("a"), "4");
  const Status status = RunAlone(context_, *db_, "load", again);
  ASSERT_NE(GetError<ConditionFailedError>(status), nullptr) << status.ToString();
  EXPECT_EQ(Committed("a") + Committed("b"), "1-");
}

TEST_F(KvClientTest, ManyRowsAreOneRequestOfOneTransaction) {
  LoadedRows rows;
  for (const char* key : {"b", "c", "a"}) rows.Append(K(key), std::string("row ") + key);
  auto block = rows.Take();
  ASSERT_TRUE(block.ok() && rows.empty());
  ASSERT_TRUE(LoadAlone(context_, *db_, "load", std::move(*block)).ok());
  EXPECT_EQ(cluster_.log.back(), "n1 r2 InsertMany EndTxn");
  EXPECT_EQ(Committed("a") + Committed("c"), "row arow c");
  EXPECT_EQ(cluster_.intent_count() + cluster_.record_count(), 0u);
}

TEST_F(KvClientTest, ManyRowsAreCutAtABorder) {
  LoadedRows rows;
  for (const char* key : {"a", "b", "y", "z"}) rows.Append(K(key), key);
  ASSERT_TRUE(LoadAlone(context_, *db_, "load", rows.Take().value()).ok());
  EXPECT_EQ(Committed("a") + Committed("b") + Committed("y") + Committed("z"), "abyz");
  EXPECT_EQ(cluster_.intent_count(), 0u);
  LoadedRows again;
  for (const char* key : {"c", "x", "y"}) again.Append(K(key), "other");
  const Status status = LoadAlone(context_, *db_, "load", again.Take().value());
  const auto* failed = GetError<ConditionFailedError>(status);
  ASSERT_NE(failed, nullptr) << status.ToString();
  EXPECT_EQ(failed->key, K("y"));
  EXPECT_EQ(Committed("c") + Committed("x") + Committed("y"), "--y");
}

TEST_F(KvClientTest, AKeyTwiceAmongLoadedRowsIsTold) {
  LoadedRows rows;
  for (const char* key : {"b", "a", "b"}) rows.Append(K(key), key);
  const auto taken = rows.Take();
  ASSERT_NE(GetError<ConditionFailedError>(taken.status()), nullptr);
  EXPECT_EQ(GetError<ConditionFailedError>(taken.status())->key, K("b"));
  EXPECT_TRUE(rows.empty());
}

TEST_F(KvClientTest, TwoRangesCommitInTwoPhases) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}, {"z", "2"}}).ok());
  EXPECT_EQ(Committed("a") + Committed("z"), "12");
  EXPECT_EQ(cluster_.intent_count(), 0u);
  EXPECT_EQ(cluster_.record_count(), 1u);
  const std::vector<std::string> tail(cluster_.log.end() - 5, cluster_.log.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"n2 r3 Put", "n1 r2 Put Heartbeat", "n1 r2 EndTxn", "n2 r3 Resolve", "n1 r2 Resolve"}));
}

// T16: a new leaseholder knows nothing of transactions without a record.
TEST_F(KvClientTest, T16ChangesOfLeaseEndNoTransaction) {
  auto txn = db_->Begin({});
  cluster_.ForgetMarks();
  ASSERT_TRUE(Put(*txn, "a", "1").ok());  // as another, later one
  cluster_.ForgetMarks();
  ASSERT_TRUE(Put(*txn, "z", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());  // its record stood with its first intent
  EXPECT_EQ(Committed("a") + Committed("z"), "12");
  auto buffered = db_->Begin({});
  Batch insert;
  insert.Insert(K("b"), "3");
  ASSERT_TRUE(buffered->Run(context_, insert).ok());
  cluster_.ForgetMarks();
  ASSERT_TRUE(buffered->Commit(context_).ok());
  EXPECT_EQ(Committed("b"), "3");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

TEST_F(KvClientTest, ReadOnlyCommitSendsNothing) {
  auto txn = Serializable();
  EXPECT_EQ(Get(*txn, "a"), "-");
  const size_t before = cluster_.log.size();
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(cluster_.log.size(), before);
  EXPECT_EQ(txn->commit_timestamp(), txn->read_timestamp());
}

TEST_F(KvClientTest, FollowsLeasesAndSplits) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}, {"d", "4"}}).ok());
  cluster_.MoveLease(K("a"), NodeId(3));
  ASSERT_TRUE(AutoCommit({{"a", "2"}}).ok());
  EXPECT_EQ(cluster_.log.back(), "n3 r2 Put EndTxn");
  cluster_.Split(K("c"), NodeId(1));
  ASSERT_TRUE(AutoCommit({{"a", "3"}, {"d", "5"}}).ok());
  EXPECT_EQ(Committed("a") + Committed("d"), "35");
}

TEST_F(KvClientTest, ALeftHalfWhoseMetaRecordIsLockedIsFoundByTheRightOne) {
  cluster_.Split(K("c"), NodeId(1));
  cluster_.HideMeta(K("c"));
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  EXPECT_EQ(Committed("a"), "1");
}

TEST_F(KvClientTest, ScansAcrossRangesWithAndWithoutLimits) {
  cluster_.Split(K("f"), NodeId(3));
  for (const char* key : {"a", "c", "g", "i", "n", "p"}) ASSERT_TRUE(AutoCommit({{key, key}}).ok());
  for (uint64_t limit : {0, 1, 2, 4}) {
    for (auto direction : {Direction::kForward, Direction::kReverse}) {
      std::string seen;
      std::optional<Span> rest = Span{K("a"), K("zz")};
      for (int i = 0; rest && i < 10; ++i) {
        auto txn = Serializable();
        Batch batch;
        batch.max_keys = limit;
        batch.Scan(*rest, direction);
        ASSERT_TRUE(txn->Run(context_, batch).ok());
        auto& scan = std::get<ScanResponse>(batch.responses[0]);
        ASSERT_TRUE(limit == 0 || scan.rows.count() <= limit);
        for (auto cursor = scan.rows.Begin(); cursor.Next();) seen += cursor.value();
        rest = scan.resume;
      }
      EXPECT_EQ(seen, direction == Direction::kForward ? "acginp" : "pnigca") << limit;
    }
  }
  Batch batch;  // Database::Read over several ranges
  batch.Scan({K("a"), K("zz")});
  Timestamp read_ts;
  ASSERT_TRUE(db_->Read(context_, batch, &read_ts).ok());
  EXPECT_EQ(std::get<ScanResponse>(batch.responses[0]).rows.count(), 6u);
  EXPECT_FALSE(read_ts.IsZero());
}

// Locks are resolved page after page, each page once: a page asked for again steps over all that was resolved behind it.
TEST_F(KvClientTest, ALongResolutionAsksForEachPageOnce) {
  cluster_.resolved_max = 1;
  for (const char last : {'f', 'p'}) {  // on one range, on two
    BatchRequest put;
    put.header.txn.emplace();
    put.header.txn->meta = {.id = std::string(16, last), .anchor_key = K("a"), .sequence = 1};
    put.header.txn->meta.write_ts = put.header.txn->read_ts = clock_.Now();
    for (char c = 'a'; c <= last; ++c) put.requests.emplace_back(PutRequest{K(std::string(1, c)), "1"});
    ASSERT_FALSE(client_->sender().Send(context_, put).error);
    EXPECT_EQ(cluster_.intent_count(), size_t(last - 'a' + 1));
    cluster_.log.clear();
    BatchRequest resolve;
    resolve.requests.emplace_back(
        ResolveIntentRequest{.span = {K("a"), K("z")}, .txn = put.header.txn->meta, .status = TxnStatus::kAborted});
    ASSERT_FALSE(client_->sender().Send(context_, resolve).error);
    EXPECT_EQ(cluster_.intent_count(), 0u);
    // Each page one lock; the first page of the second range, or the last of a range, may find that it was all.
    EXPECT_LE(cluster_.log.size(), size_t(last - 'a' + 2));
  }
}

TEST_F(KvClientTest, T12RefreshLetsASerializableCommitLater) {
  ASSERT_TRUE(AutoCommit({{"x", "1"}}).ok());
  auto txn = Serializable();
  EXPECT_EQ(Get(*txn, "x"), "1");
  // Somebody reads y later than we began, so that our write of y must go above that.
  Batch read;
  read.Get(K("y"));
  ASSERT_TRUE(db_->Read(context_, read).ok());
  const Timestamp before = txn->read_timestamp();
  ASSERT_TRUE(Put(*txn, "y", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_GT(txn->commit_timestamp(), before);
  EXPECT_EQ(txn->commit_timestamp(), txn->read_timestamp());
}

TEST_F(KvClientTest, T12ChangedReadFailsTheRefresh) {
  for (size_t budget : {size_t(1) << 20, size_t(64)}) {  // the small one widens its spans
    Reset(budget);
    auto txn = Serializable();
    for (const char* key : {"b", "d", "x"}) Get(*txn, key);
    ASSERT_TRUE(AutoCommit({{"x", "changed"}}).ok());
    Batch read;
    read.Get(K("y"));
    ASSERT_TRUE(db_->Read(context_, read).ok());
    const Status put = Put(*txn, "y", "2");
    ASSERT_TRUE(put.ok()) << put.ToString();
    Status status = txn->Commit(context_);
    ASSERT_NE(GetError<TxnRetryError>(status), nullptr) << status.ToString();
    EXPECT_EQ(status.sqlstate(), "40001");
    ASSERT_TRUE(txn->Restart(context_, status).ok());
    EXPECT_EQ(Get(*txn, "x"), "changed");
    EXPECT_EQ(Get(*txn, "y"), "-");  // T9: the former epoch's write is void
    ASSERT_TRUE(txn->Rollback(context_).ok());
    EXPECT_EQ(cluster_.intent_count(), 0u);
  }
}

TEST_F(KvClientTest, WriteConflictByIsolationLevel) {
  for (auto level : {IsolationLevel::kReadCommitted, IsolationLevel::kRepeatableRead, IsolationLevel::kSerializable}) {
    auto txn = db_->Begin({.isolation = level});
    Get(*txn, "k");
    ASSERT_TRUE(AutoCommit({{"k", "other"}}).ok());
    Status status = Put(*txn, "k", "mine");
    ASSERT_NE(GetError<TxnRetryError>(status), nullptr) << int(level);
    EXPECT_EQ(txn->RestartStatement(context_, status).ok(), level == IsolationLevel::kReadCommitted);
    if (level == IsolationLevel::kReadCommitted) {
      EXPECT_EQ(Get(*txn, "k"), "other");
      ASSERT_TRUE(Put(*txn, "k", "mine").ok());
      ASSERT_TRUE(txn->Commit(context_).ok());
      EXPECT_EQ(Committed("k"), "mine");
    }
    ASSERT_TRUE(txn->Rollback(context_).ok());
    EXPECT_EQ(cluster_.intent_count(), 0u);
  }
}

TEST_F(KvClientTest, BlindWriteMovesUpByItself) {
  auto txn = Serializable();
  ASSERT_TRUE(AutoCommit({{"k", "other"}}).ok());
  ASSERT_TRUE(Put(*txn, "k", "mine").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("k"), "mine");
}

TEST_F(KvClientTest, T30SavepointsHideWrites) {
  auto txn = db_->Begin({});
  ASSERT_TRUE(Put(*txn, "k", "1").ok());
  const uint32_t savepoint = txn->CreateSavepoint();
  ASSERT_TRUE(Put(*txn, "k", "2").ok());
  ASSERT_TRUE(Put(*txn, "z", "2").ok());
  ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
  EXPECT_EQ(Get(*txn, "k"), "1");
  EXPECT_EQ(Get(*txn, "z"), "-");
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("k") + Committed("z"), "1-");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

// ---- The write buffer: what is under an exclusive lock leaves with the commit.

TEST_F(KvClientTest, LockedWritesOfOneRangeCommitInOneBatch) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  auto txn = db_->Begin({});
  EXPECT_EQ(LockingGet(*txn, "a"), "1");
  ASSERT_TRUE(Put(*txn, "a", "2").ok());
  EXPECT_EQ(Get(*txn, "a"), "2");  // its own write
  EXPECT_TRUE(txn->has_writes());
  ASSERT_TRUE(Insert(*txn, "b", "3").ok());
  EXPECT_EQ(cluster_.intent_count(), 0u);
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(cluster_.log.back(), "n1 r2 CPut CPut EndTxn");
  EXPECT_EQ(Committed("a") + Committed("b"), "23");
  EXPECT_EQ(cluster_.record_count(), 0u);
}

TEST_F(KvClientTest, ReplicatedLocksAreResolvedWithTheCommit) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  auto txn = db_->Begin({});
  Batch batch;
  batch.Get(K("a"), LockStrength::kExclusive, LockDurability::kReplicated);
  ASSERT_TRUE(txn->Run(context_, batch).ok());
  ASSERT_TRUE(Put(*txn, "a", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_NE(cluster_.log.back(), "n1 r2 CPut EndTxn");  // one phase would leave the lock behind
  EXPECT_EQ(Committed("a"), "2");
}

TEST_F(KvClientTest, LockedWritesOfTwoRangesCommitInTwoPhases) {
  auto txn = Serializable();
  ASSERT_TRUE(Insert(*txn, "a", "1").ok());
  ASSERT_TRUE(Insert(*txn, "z", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("a") + Committed("z"), "12");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

TEST_F(KvClientTest, BufferedInsertFindsTheDuplicateAtOnce) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  auto txn = db_->Begin({});
  Batch batch;
  batch.Insert(K("b"), "new");
  batch.Insert(K("a"), "new");
  const Status status = txn->Run(context_, batch);
  ASSERT_NE(GetError<ConditionFailedError>(status), nullptr);
  EXPECT_EQ(GetError<ConditionFailedError>(status)->key, K("a"));
  EXPECT_FALSE(txn->has_writes());  // all or nothing
  EXPECT_EQ(Get(*txn, "b"), "-");
  Batch twice;
  twice.Insert(K("c"), "1");
  twice.Insert(K("c"), "2");
  EXPECT_NE(GetError<ConditionFailedError>(txn->Run(context_, twice)), nullptr);
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("a") + Committed("b") + Committed("c"), "1--");
}

TEST_F(KvClientTest, FreshKeysAreSentWithTheCommitAlone) {
  auto txn = db_->Begin({});
  EXPECT_EQ(LockingGet(*txn, "a"), "-");  // the lock a transaction holds anyway; the fresh key is of the same range
  const size_t before = cluster_.log.size();
  Batch batch;
  batch.inserted_keys = InsertedKeys::kFresh;
  batch.Insert(K("b"), "1");
  ASSERT_TRUE(txn->Run(context_, batch).ok());
  EXPECT_EQ(cluster_.log.size(), before);
  EXPECT_EQ(Get(*txn, "b"), "1");
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(cluster_.log.size(), before + 1);
  EXPECT_EQ(Committed("b"), "1");
}

TEST_F(KvClientTest, AFreshKeyThatExistsIsARetryNotALostRow) {
  ASSERT_TRUE(AutoCommit({{"b", "there"}}).ok());
  auto txn = db_->Begin({});
  Batch batch;
  batch.inserted_keys = InsertedKeys::kFresh;
  batch.Insert(K("b"), "mine");
  ASSERT_TRUE(txn->Run(context_, batch).ok());
  const Status status = txn->Commit(context_);
  EXPECT_NE(GetError<TxnRetryError>(status), nullptr) << status.ToString();
  ASSERT_TRUE(txn->Rollback(context_).ok());
  EXPECT_EQ(Committed("b"), "there");
}

TEST_F(KvClientTest, ReadCommittedMayReadOutsideUntilItLocksOrWrites) {
  auto txn = db_->Begin({});
  EXPECT_TRUE(txn->MayReadOutside());
  EXPECT_EQ(Get(*txn, "a"), "-");
  EXPECT_TRUE(txn->MayReadOutside());
  const uint32_t savepoint = txn->CreateSavepoint();
  LockingGet(*txn, "a");
  EXPECT_FALSE(txn->MayReadOutside());
  ASSERT_TRUE(Put(*txn, "a", "1").ok());
  EXPECT_FALSE(txn->MayReadOutside());
  ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
  EXPECT_FALSE(txn->MayReadOutside());  // an intent may stand
  ASSERT_TRUE(txn->Rollback(context_).ok());
  EXPECT_FALSE(txn->MayReadOutside());
  EXPECT_FALSE(Serializable()->MayReadOutside());
  EXPECT_FALSE(db_->Begin({.isolation = IsolationLevel::kRepeatableRead})->MayReadOutside());
}

TEST_F(KvClientTest, LockedDeletionsWaitForTheCommit) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}, {"b", "1"}, {"c", "1"}}).ok());
  auto txn = db_->Begin({});
  for (const char* key : {"a", "b", "c"}) {
    EXPECT_EQ(LockingGet(*txn, key), "1");
    ASSERT_TRUE(Delete(*txn, key).ok());
    EXPECT_EQ(Get(*txn, key), "-");
  }
  ASSERT_TRUE(Insert(*txn, "b", "2").ok());  // there is none any more
  EXPECT_EQ(Get(*txn, "b"), "2");
  const uint32_t savepoint = txn->CreateSavepoint();
  ASSERT_TRUE(Insert(*txn, "c", "2").ok());
  EXPECT_NE(GetError<ConditionFailedError>(Insert(*txn, "c", "3")), nullptr);
  ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
  EXPECT_EQ(Get(*txn, "c"), "-");
  EXPECT_EQ(cluster_.intent_count(), 0u);
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(cluster_.log.back(), "n1 r2 CPut CPut CPut EndTxn");
  EXPECT_EQ(Committed("a") + Committed("b") + Committed("c"), "-2-");
  EXPECT_EQ(cluster_.record_count(), 0u);
}

TEST_F(KvClientTest, BufferedDeletionsAreSentWhereTheyMustBeSeen) {
  for (const bool rolled_back : {false, true}) {
    ASSERT_TRUE(AutoCommit({{"a", "1"}, {"b", "1"}}).ok());
    auto txn = db_->Begin({});
    LockingGet(*txn, "a");
    ASSERT_TRUE(Put(*txn, "a", "2").ok());
    const uint32_t savepoint = txn->CreateSavepoint();
    ASSERT_TRUE(Delete(*txn, "a").ok());
    Batch scan;
    scan.Scan({K("a"), K("c")});
    ASSERT_TRUE(txn->Run(context_, scan).ok());
    auto cursor = std::get<ScanResponse>(scan.responses[0]).rows.Begin();
    ASSERT_TRUE(cursor.Next());
    EXPECT_EQ(cursor.key(), K("b"));
    if (rolled_back) {
      ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
    }
    EXPECT_EQ(Get(*txn, "a"), rolled_back ? "2" : "-");
    ASSERT_TRUE(txn->Commit(context_).ok());
    EXPECT_EQ(Committed("a"), rolled_back ? "2" : "-");
    EXPECT_EQ(cluster_.intent_count(), 0u);
  }
}

TEST_F(KvClientTest, B44ADeletionUnderALostLockIsARetry) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  auto txn = db_->Begin({});
  EXPECT_EQ(LockingGet(*txn, "a"), "1");
  ASSERT_TRUE(Delete(*txn, "a").ok());
  ASSERT_TRUE(AutoCommit({{"a", "other"}}).ok());  // the mini cluster keeps no unreplicated locks
  txn->BeginStatement();
  const Status status = txn->Commit(context_);
  ASSERT_NE(GetError<TxnRetryError>(status), nullptr) << status.ToString();
  ASSERT_TRUE(txn->Rollback(context_).ok());
  EXPECT_EQ(Committed("a"), "other");
}

TEST_F(KvClientTest, ScansSeeBufferedWrites) {
  auto txn = db_->Begin({});
  ASSERT_TRUE(Insert(*txn, "b", "1").ok());
  Batch apart;
  apart.Scan({K("n"), K("o")});
  ASSERT_TRUE(txn->Run(context_, apart).ok());
  EXPECT_EQ(cluster_.intent_count(), 0u);  // nobody asked for it
  Batch scan;
  scan.Scan({K("a"), K("c")});
  ASSERT_TRUE(txn->Run(context_, scan).ok());
  auto cursor = std::get<ScanResponse>(scan.responses[0]).rows.Begin();
  ASSERT_TRUE(cursor.Next());
  EXPECT_EQ(cursor.value(), "1");
  ASSERT_TRUE(Insert(*txn, "d", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("b") + Committed("d"), "12");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

TEST_F(KvClientTest, T30SavepointsHideBufferedWrites) {
  for (const bool sent_before : {false, true}) {
    ASSERT_TRUE(AutoCommit({{"a", "0"}, {"b", "0"}}).ok());
    auto txn = db_->Begin({});
    LockingGet(*txn, "a");
    LockingGet(*txn, "b");
    ASSERT_TRUE(Put(*txn, "a", "1").ok());
    const uint32_t savepoint = txn->CreateSavepoint();
    ASSERT_TRUE(Put(*txn, "a", "2").ok());
    ASSERT_TRUE(Put(*txn, "b", "2").ok());
    if (sent_before) {
      Batch scan;
      scan.Scan({K("a"), K("c")});
      ASSERT_TRUE(txn->Run(context_, scan).ok());
      EXPECT_EQ(cluster_.intent_count(), 2u);
    }
    ASSERT_TRUE(txn->RollbackTo(context_, savepoint).ok());
    EXPECT_EQ(Get(*txn, "a"), "1");  // written before the savepoint, whenever it was sent
    EXPECT_EQ(Get(*txn, "b"), "0");
    ASSERT_TRUE(txn->Commit(context_).ok());
    EXPECT_EQ(Committed("a") + Committed("b"), "10");
    EXPECT_EQ(cluster_.intent_count(), 0u);
  }
}

TEST_F(KvClientTest, B44ALostLockIsARetryNotALostUpdate) {
  ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
  auto txn = db_->Begin({});
  EXPECT_EQ(LockingGet(*txn, "a"), "1");
  ASSERT_TRUE(Put(*txn, "a", "2").ok());
  ASSERT_TRUE(AutoCommit({{"a", "other"}}).ok());  // the mini cluster keeps no unreplicated locks
  txn->BeginStatement();
  const Status status = txn->Commit(context_);
  ASSERT_NE(GetError<TxnRetryError>(status), nullptr) << status.ToString();
  ASSERT_TRUE(txn->Rollback(context_).ok());
  EXPECT_EQ(Committed("a"), "other");
}

TEST_F(KvClientTest, T18LostBufferedCommitsAreFoundOut) {
  for (const auto fate : {MiniCluster::Fate::kLoseRequest, MiniCluster::Fate::kLoseAnswer}) {
    ASSERT_TRUE(AutoCommit({{"a", "1"}}).ok());
    auto txn = db_->Begin({});
    LockingGet(*txn, "a");
    ASSERT_TRUE(Put(*txn, "a", "2").ok());
    bool lost = false;
    cluster_.fate = [&](const BatchRequest& request) {
      if (lost || !std::holds_alternative<EndTxnRequest>(request.requests.back())) return MiniCluster::Fate::kDeliver;
      lost = true;
      return fate;
    };
    const Status status = txn->Commit(context_);
    cluster_.fate = nullptr;
    EXPECT_TRUE(lost);
    EXPECT_EQ(status.ok(), fate == MiniCluster::Fate::kLoseAnswer) << status.ToString();
    EXPECT_EQ(Committed("a"), status.ok() ? "2" : "1");
    (void)txn->Rollback(context_);
  }
}

TEST_F(KvClientTest, FailedConditionHasNoEffectOnAnyRange) {
  ASSERT_TRUE(AutoCommit({{"z", "there"}}).ok());
  auto txn = db_->Begin({});
  ASSERT_TRUE(Put(*txn, "b", "kept").ok());
  Batch batch;
  batch.Put(K("a"), "1");
  batch.Insert(K("z"), "2");
  Status status = txn->Run(context_, batch);
  ASSERT_NE(GetError<ConditionFailedError>(status), nullptr) << status.ToString();
  EXPECT_EQ(Get(*txn, "a"), "-");
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("a") + Committed("b") + Committed("z"), "-keptthere");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

TEST_F(KvClientTest, DestroyedAndRolledBackTransactionsLeaveNothing) {
  {
    auto txn = db_->Begin({});
    ASSERT_TRUE(Put(*txn, "a", "1").ok());
    ASSERT_TRUE(Put(*txn, "z", "1").ok());
    ASSERT_TRUE(txn->Rollback(context_).ok());
    ASSERT_TRUE(txn->Rollback(context_).ok());
    EXPECT_FALSE(Put(*txn, "a", "1").ok());
  }
  EXPECT_EQ(cluster_.intent_count(), 0u);
  EXPECT_EQ(Committed("a"), "-");
}

bool IsCommit(const BatchRequest& request) {
  const auto* end = std::get_if<EndTxnRequest>(&request.requests.back());
  return end && end->outcome == TxnStatus::kCommitted;
}

// T18: whatever is lost on the way, the answer is true or says that it is not known.
TEST_F(KvClientTest, T18LostCommitsAreFoundOut) {
  for (bool two_ranges : {false, true}) {
    for (auto lost : {MiniCluster::Fate::kLoseRequest, MiniCluster::Fate::kLoseAnswer}) {
      int losses = 0;
      cluster_.fate = [&](const BatchRequest& request) {
        return IsCommit(request) && losses++ == 0 ? lost : MiniCluster::Fate::kDeliver;
      };
      const std::string value = std::to_string(two_ranges) + std::to_string(int(lost));
      std::vector<std::pair<std::string, std::string>> writes{{"a", value}};
      if (two_ranges) writes.push_back({"z", value});
      Status status = AutoCommit(writes);
      EXPECT_EQ(losses, 1);
      EXPECT_EQ(status.ok(), lost == MiniCluster::Fate::kLoseAnswer) << status.ToString();
      if (!status.ok()) {
        EXPECT_EQ(status.sqlstate(), "40001");  // proven
      }
      EXPECT_EQ(Committed("a") == value, status.ok());
      EXPECT_EQ(cluster_.intent_count(), 0u);
    }
  }
}

TEST_F(KvClientTest, T18NothingAnswersAnyMore) {
  bool cut = false;
  cluster_.fate = [&](const BatchRequest& request) {
    cut |= IsCommit(request);
    return cut ? MiniCluster::Fate::kLoseAnswer : MiniCluster::Fate::kDeliver;
  };
  Status status = AutoCommit({{"a", "1"}});
  EXPECT_EQ(status.code(), Code::kAmbiguous) << status.ToString();
  EXPECT_EQ(status.sqlstate(), "40003");
  EXPECT_EQ(Committed("a"), "1");
}

// Only a commit's outcome can be unknown: a transaction whose write was lost certainly does not happen.
TEST_F(KvClientTest, T18ALostWriteIsNoUnknownOutcome) {
  auto txn = db_->Begin({});
  cluster_.fate = [](const BatchRequest& batch) {
    return IsWrite(batch.requests[0]) ? MiniCluster::Fate::kLoseAnswer : MiniCluster::Fate::kDeliver;
  };
  const Status lost = Put(*txn, "a", "1");
  const auto* retry = GetError<TxnRetryError>(lost);
  ASSERT_TRUE(retry && retry->aborted()) << lost.ToString();
  cluster_.fate = nullptr;
  ASSERT_TRUE(txn->Restart(context_, lost).ok());
  ASSERT_TRUE(Put(*txn, "a", "2").ok());
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("a"), "2");
  EXPECT_EQ(cluster_.intent_count(), 0u);
}

TEST_F(KvClientTest, T19LostWritesAreSentAgainOnce) {
  auto txn = db_->Begin({});
  int losses = 0;
  cluster_.fate = [&](const BatchRequest&) {
    return losses++ < 2 ? MiniCluster::Fate::kLoseAnswer : MiniCluster::Fate::kDeliver;
  };
  Batch batch;
  batch.Insert(K("a"), "1");
  Status status = txn->Run(context_, batch);  // the replay finds its own write, not a conflict
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(txn->Commit(context_).ok());
  EXPECT_EQ(Committed("a"), "1");
}

TEST_F(KvClientTest, T28DeadlineIsCheckedOnEveryPath) {
  for (const char* second : {"b", "z"}) {
    auto txn = db_->Begin({});
    txn->LimitCommit(txn->read_timestamp());
    Batch batch;
    batch.Put(K("a"), "1");
    batch.Put(K(second), "1");
    Status status = txn->RunAndCommit(context_, batch);
    const auto* retry = GetError<TxnRetryError>(status);
    ASSERT_NE(retry, nullptr) << status.ToString();
    EXPECT_EQ(retry->reason, RetryReason::kDeadlineExceeded);
    ASSERT_TRUE(txn->Rollback(context_).ok());
    EXPECT_EQ(Committed("a"), "-");
  }
}

TEST_F(KvClientTest, CountersAndLists) {
  EXPECT_EQ(*db_->AllocateIds(context_, kNextDescriptorId, 5), 1u);
  EXPECT_EQ(*db_->AllocateIds(context_, kNextDescriptorId, 1), 6u);
  auto ranges = db_->ListRanges(context_, {std::string(kTableDataStart), std::string(kMaxKey)});
  ASSERT_TRUE(ranges.ok()) << ranges.status().ToString();
  EXPECT_EQ(ranges->size(), 2u);
}

TEST(SpanSetTest, NeverForgets) {
  for (size_t budget : {100, 400, 10'000}) {
    SpanSet set(budget);
    std::vector<Span> added;
    for (int i = 0; i < 100; ++i) {
      Span span{"k" + std::to_string(i * 7919 % 1000), ""};
      if (i % 5 == 0) span.end = span.start + "5";
      added.push_back(span);
      set.Add(span.start, span.end);
    }
    const auto spans = set.Normalised();
    for (const Span& span : added) {
      bool covered = false;
      for (const Span& s : spans) {
        covered |= s.Contains(span.start) && (span.is_point() || (!s.is_point() && s.end >= span.end));
      }
      EXPECT_TRUE(covered) << span.start << " with " << budget;
    }
    for (size_t i = 1; i < spans.size(); ++i) EXPECT_LT(spans[i - 1].start, spans[i].start);
  }
}

// As long as they fit: no key more, none less, and no span into another.
TEST(SpanSetTest, NormalisedSpansHoldTheSameKeys) {
  const auto key_of = [](int n) { return std::string(1, char('a' + n)); };
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    SpanSet set(1 << 20);
    std::vector<Span> added;
    for (size_t n = random() % 8; n > 0; --n) {
      const int from = int(random() % 10);
      Span span{key_of(from), ""};
      if (random() % 2 == 0) span.end = key_of(from + 1 + int(random() % 4));
      set.Add(span.start, span.end);
      added.push_back(span);
    }
    const auto covered = [](const std::vector<Span>& spans, const std::string& key) {
      return std::any_of(spans.begin(), spans.end(), [&](const Span& span) { return span.Contains(key); });
    };
    const std::vector<Span> spans = set.Normalised();
    for (int n = 0; n < 15; ++n) {
      for (const std::string& key : {key_of(n), key_of(n) + '\0', key_of(n) + "x"}) {
        EXPECT_EQ(covered(spans, key), covered(added, key)) << key;
      }
    }
    for (size_t i = 1; i < spans.size(); ++i) {
      EXPECT_FALSE(spans[i - 1].Overlaps(spans[i]));
      EXPECT_LT(spans[i - 1].start, spans[i].start);
    }
  }
}

TEST(RangeCacheTest, HigherGenerationWins) {
  RangeCache cache;
  RangeDescriptor whole{.range = RangeId(1), .start = "a", .end = "z", .generation = RangeGeneration(1)};
  EXPECT_TRUE(cache.Insert(whole));
  EXPECT_FALSE(cache.Insert(whole));
  RangeDescriptor right{.range = RangeId(2), .start = "m", .end = "z", .generation = RangeGeneration(2)};
  EXPECT_TRUE(cache.Insert(right));
  EXPECT_FALSE(cache.Find("b"));  // the old whole overlapped it
  EXPECT_EQ(cache.Find("n")->descriptor->range, RangeId(2));
  EXPECT_FALSE(cache.Insert(whole));
  cache.Evict(whole);
  EXPECT_EQ(cache.size(), 1u);
}

// A look-up may find a record that is older than what a range told of its split: only the keys that nothing newer is
// known of are taken from it (seed 1 of the simulated bank).
TEST(RangeCacheTest, AnOldRecordCountsOnlyWhereNothingNewerIsKnown) {
  RangeCache cache;
  const RangeDescriptor old{.range = RangeId(1), .start = "a", .end = "z", .generation = RangeGeneration(1)};
  EXPECT_EQ(cache.Remainder(old, "n"), old);
  ASSERT_TRUE(cache.Insert({.range = RangeId(1), .start = "a", .end = "m", .generation = RangeGeneration(2)}));
  ASSERT_TRUE(cache.Insert({.range = RangeId(3), .start = "t", .end = "z", .generation = RangeGeneration(3)}));
  const RangeDescriptor rest = cache.Remainder(old, "n");
  EXPECT_EQ(rest.range, RangeId(1));
  EXPECT_EQ(rest.start, "m");
  EXPECT_EQ(rest.end, "t");
  EXPECT_EQ(cache.Remainder(old, "m").start, "m");
}

}  // namespace
}  // namespace orrery::kv
