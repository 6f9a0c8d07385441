#include "orrery/kv/txn/record.h"

#include <gtest/gtest.h>

#include <set>

namespace orrery::kv {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
Timestamp S(int64_t seconds, uint32_t logical = 0) { return {seconds * kSecond, logical}; }

Transaction Writer(IsolationLevel isolation = IsolationLevel::kSerializable) {
  Transaction txn;
  txn.meta = {.id = "writer", .anchor_key = "k", .write_ts = S(100), .min_ts = S(100),
              .isolation = uint8_t(isolation)};
  txn.read_ts = S(100);
  return txn;
}

// A record with the marks beside it, driven by the functions under test as a replica would drive it.
struct Range {
  std::optional<TxnRecord> record;
  TimestampCache cache{S(1)};
  int64_t now = 101;

  void Take(const RecordChange& change, const RecordMarkChange& mark, const TxnMeta& txn) {
    if (change.kind == RecordChange::Kind::kWrite) record = change.record;
    if (change.kind == RecordChange::Kind::kErase) record.reset();
    if (mark.kind == RecordMarkChange::Kind::kFinished) cache.MarkFinished(txn.id, mark.outcome, mark.ts, txn.min_ts);
    if (mark.kind == RecordMarkChange::Kind::kPushed) cache.MarkPushed(txn.id, mark.ts, txn.min_ts);
  }
  EndTxnResult End(const Transaction& txn, TxnStatus outcome, LocksLeft left = LocksLeft::kSome) {
    auto r = EndTxn(record, cache.GetRecordMark(txn.meta.id), txn, {.outcome = outcome}, left);
    if (!r.error) Take(r.change, r.mark, txn.meta);
    return r;
  }
  HeartbeatResult Heartbeat(const Transaction& txn) {
    auto r = HeartbeatTxn(record, cache.GetRecordMark(txn.meta.id), txn, S(now));
    Take(r.change, {}, txn.meta);
    return r;
  }
  PushResult Push(const Transaction& pushee, PushType type, int32_t priority = 0, Timestamp to = {}) {
    PushTxnRequest request{.pushee = pushee.meta, .pusher = TxnMeta{.id = "pusher", .priority = priority},
                           .type = type, .push_to = to};
    auto r = PushTxn(record, cache.GetRecordMark(pushee.meta.id), request, S(now));
    Take(r.change, r.mark, pushee.meta);
    return r;
  }
};

RetryReason ReasonOf(const std::optional<KvError>& error) {
  return error ? std::get<TxnRetryError>(error->detail).reason : RetryReason::kUnknown;
}

TEST(RecordTest, CommitWithoutRecordAndReplay) {
  Range range;
  auto first = range.End(Writer(), TxnStatus::kCommitted, LocksLeft::kNone);
  EXPECT_FALSE(first.error);
  EXPECT_EQ(first.commit_ts, S(100));
  EXPECT_FALSE(range.record);
  auto replay = range.End(Writer(), TxnStatus::kCommitted, LocksLeft::kNone);  // T19
  EXPECT_FALSE(replay.error);
  EXPECT_EQ(replay.commit_ts, S(100));
}

TEST(RecordTest, T12CommitAbovePushMustRefresh) {
  Range range;
  EXPECT_FALSE(range.Push(Writer(IsolationLevel::kReadCommitted), PushType::kTimestamp, 0, S(120)).must_wait);
  auto serializable = range.End(Writer(), TxnStatus::kCommitted);
  EXPECT_EQ(ReasonOf(serializable.error), RetryReason::kSerializable);
  EXPECT_EQ(std::get<TxnRetryError>(serializable.error->detail).retry_ts, S(120).Next());
  auto weak = range.End(Writer(IsolationLevel::kReadCommitted), TxnStatus::kCommitted);
  EXPECT_EQ(weak.commit_ts, S(120).Next());
}

TEST(RecordTest, SerializableResistsItsEquals) {
  Range range;
  EXPECT_TRUE(range.Push(Writer(), PushType::kTimestamp, 0, S(120)).must_wait);
  EXPECT_TRUE(range.Push(Writer(), PushType::kAbort).must_wait);
  EXPECT_FALSE(range.Push(Writer(), PushType::kTimestamp, 1, S(120)).must_wait);
  EXPECT_EQ(range.Push(Writer(), PushType::kAbort, 1).pushee.status, TxnStatus::kAborted);
  EXPECT_EQ(ReasonOf(range.End(Writer(), TxnStatus::kCommitted).error), RetryReason::kAbortedByPusher);
}

TEST(RecordTest, T22AbandonedByTheLeaseholdersClock) {
  Range range;
  range.Heartbeat(Writer());
  range.now = 106;  // five seconds: not yet more
  EXPECT_TRUE(range.Push(Writer(), PushType::kAbort).must_wait);
  range.Heartbeat(Writer());
  range.now = 111;
  EXPECT_TRUE(range.Push(Writer(), PushType::kAbort).must_wait);
  range.now = 112;
  EXPECT_EQ(range.Push(Writer(), PushType::kQuery).pushee.status, TxnStatus::kAborted);
  EXPECT_EQ(ReasonOf(range.Heartbeat(Writer()).error), RetryReason::kAbortedByPusher);
}

TEST(RecordTest, T16UnknownIsNeverAbortedForTheCoordinator) {
  Range range;
  range.cache.RaiseLowWater({.records = S(200)});  // a new lease: what was before is not known here
  EXPECT_EQ(ReasonOf(range.End(Writer(), TxnStatus::kAborted).error), RetryReason::kAbortedRecordGone);
  EXPECT_EQ(ReasonOf(range.End(Writer(), TxnStatus::kCommitted).error), RetryReason::kAbortedRecordGone);
  // Whoever met one of its locks knows that it did not commit.
  EXPECT_EQ(range.Push(Writer(), PushType::kQuery).pushee.status, TxnStatus::kAborted);
}

TEST(RecordTest, T28DeadlineCountsAtTheFinalTimestamp) {
  Transaction txn = Writer(IsolationLevel::kReadCommitted);
  RecordMark mark{.pushed_to = S(150)};
  auto r = EndTxn(std::nullopt, mark, txn, {.deadline = S(150)}, LocksLeft::kSome);
  EXPECT_EQ(ReasonOf(r.error), RetryReason::kDeadlineExceeded);
  EXPECT_FALSE(EndTxn(std::nullopt, mark, txn, {.deadline = S(150, 1)}, LocksLeft::kSome).error);
}

// One history of the record, as its transaction and those that meet its locks see it.
enum Step { kCommitSome, kCommitNone, kRollback, kBeat, kPushTs, kPushAbort, kQuery, kTime, kErase, kLease, kStepCount };

struct History {
  Range range;
  Transaction txn = Writer(IsolationLevel::kReadCommitted);
  std::optional<Timestamp> committed;
  bool aborted = false;     // proven to somebody
  bool locks_left = true;   // whether a lock of it can still be met

  void Commit(LocksLeft left) {
    auto r = range.End(txn, TxnStatus::kCommitted, left);
    if (r.error) {
      if (committed) {  // only "unknown" may be said of a committed one, never "aborted"
        ASSERT_EQ(ReasonOf(r.error), RetryReason::kAbortedRecordGone);
      }
      return;
    }
    ASSERT_FALSE(aborted);
    if (committed) {
      ASSERT_EQ(*committed, r.commit_ts);
    }
    committed = r.commit_ts;
    if (left == LocksLeft::kNone) locks_left = false;
  }
  void Rollback() {
    auto r = range.End(txn, TxnStatus::kAborted);
    if (r.error) return;
    ASSERT_EQ(r.status == TxnStatus::kCommitted, committed.has_value());
    aborted |= r.status == TxnStatus::kAborted;
  }
  void Push(PushType type) {
    if (!locks_left) return;  // nobody pushes whom he does not meet
    auto r = range.Push(txn, type, 1, S(130));
    if (r.pushee.status == TxnStatus::kAborted) {
      ASSERT_FALSE(committed);
      aborted = true;
    }
    if (r.pushee.status == TxnStatus::kCommitted) {
      ASSERT_EQ(r.pushee.meta.write_ts, *committed);
    }
  }
  void Erase() {
    if (!range.record || range.record->status == TxnStatus::kPending) return;
    auto r = EraseRecord(*range.record);
    range.Take(r.change, r.mark, txn.meta);
    locks_left = false;
  }
  void MoveLease() {  // the next leaseholder knows only the summary
    TimestampCache next(S(range.now));
    next.RaiseLowWater(range.cache.Summarize());
    range.cache = std::move(next);
  }
  void Do(int step) {
    switch (step) {
      case kCommitSome: return Commit(LocksLeft::kSome);
      case kCommitNone: return Commit(LocksLeft::kNone);
      case kRollback: return Rollback();
      case kBeat: range.Heartbeat(txn); return;
      case kPushTs: return Push(PushType::kTimestamp);
      case kPushAbort: return Push(PushType::kAbort);
      case kQuery: return Push(PushType::kQuery);
      case kTime: range.now += 6; return;
      case kErase: return Erase();
      case kLease: return MoveLease();
    }
  }
};

// Every order of six steps: the record is a one-way machine (T13), what a commit answered stays true, a
// replayed commit gives the same answer, and an aborted transaction never commits afterwards (T16).
TEST(RecordTest, ExhaustiveSmallStateSpace) {
  constexpr int kDepth = 6;
  int64_t runs = 0, commits = 0, aborts = 0;
  std::vector<int> steps(kDepth, 0);
  for (int i = 0; i < kDepth;) {
    ++runs;
    History history;
    for (int step : steps) {
      history.Do(step);
      if (testing::Test::HasFatalFailure()) return;
    }
    commits += history.committed.has_value();
    aborts += history.aborted;
    i = 0;
    while (i < kDepth && ++steps[i] == kStepCount) steps[i++] = 0;
  }
  EXPECT_EQ(runs, 1'000'000);
  EXPECT_GT(commits, runs / 10);
  EXPECT_GT(aborts, runs / 10);
}

}  // namespace
}  // namespace orrery::kv
