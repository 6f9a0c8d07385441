// Locks go with the lease (B44): what is buffered under one is still protected when the range is led by another
// node, or by another range. docs/design/transactions.md tells the protocol.
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kKey = "\x10k";
const std::string kOther = "\x10p";
const std::string kSplitKey = "\x10m";

BatchRequest InTxn(const Transaction& txn, std::vector<Request> requests) {
  BatchRequest batch;
  batch.header.txn = txn;
  batch.requests = std::move(requests);
  return batch;
}

GetRequest Lock(const std::string& key) { return {key, LockStrength::kExclusive, LockDurability::kUnreplicated}; }

const TxnRetryError* RetryOf(const BatchResponse& response) {
  return response.error ? std::get_if<TxnRetryError>(&response.error->detail) : nullptr;
}

// A transaction whose write of the key waits for the commit, under a lock in memory.
struct Buffered {
  Transaction txn;
  std::string key;
  std::string seen;

  static StatusOr<Buffered> Begin(Cluster& cluster, const Context& context, const std::string& key) {
    Buffered out;
    out.key = key;
    BatchResponse response;
    auto begins_anew = [&] {  // what the coordinator does, before anything is locked
      const auto* retry = RetryOf(response);
      return retry && (retry->reason == RetryReason::kAbortedRecordGone || retry->reason == RetryReason::kWriteTooOld);
    };
    do {
      out.txn = cluster.NewTxn(key, uint8_t(IsolationLevel::kReadCommitted));
      BatchRequest batch = InTxn(out.txn, {Lock(key)});
      batch.header.can_forward_read = 1;
      response = cluster.Send(context, batch);
    } while (begins_anew());
    if (response.error) return ToStatus(*response.error).Annotate("locking " + key);
    out.txn = *response.txn;
    out.seen = std::get<GetResponse>(response.responses[0]).value.value_or("");
    return out;
  }
  Status Commit(Cluster& cluster, const Context& context, const std::string& value) {
    txn.meta.sequence += 5;
    EndTxnRequest end;
    end.lock_spans.push_back({key, ""});
    const BatchResponse response = cluster.Send(context, InTxn(txn, {ConditionalPutRequest{key, value, seen}, end}));
    if (!response.error) return OkStatus();
    const auto* retry = RetryOf(response);
    return ToStatus(*response.error).Annotate("committing " + value + (retry ? ": " + retry->detail : ""));
  }
};

Status MoveLease(Cluster& cluster, const Context& context, const std::string& key, NodeId target) {
  BatchRequest move;
  RangeId range;
  for (const auto& status : cluster.store(cluster.LeaseholderOf(key))->ListRanges()) {
    if (status.descriptor.ContainsKey(key)) range = status.descriptor.range;
  }
  move.header.range = range;
  move.requests.push_back(AdminTransferLeaseRequest{target});
  Status moved;  // Aborted: the change that brought the third voter is still ending
  CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] {
    const BatchResponse response = cluster.store(cluster.LeaseholderOf(key))->Send(context, move);
    moved = response.error ? ToStatus(*response.error) : OkStatus();
    return moved.code() != Code::kAborted;
  }));
  RETURN_IF_ERROR(moved);
  CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return cluster.LeaseholderOf(key) == target; }));
  return OkStatus();
}

Status Split(Cluster& cluster, const Context& context, const std::string& at) {
  const NodeId node = cluster.LeaseholderOf(at);
  BatchRequest split;
  for (const auto& status : cluster.store(node)->ListRanges()) {
    if (status.descriptor.ContainsKey(at)) split.header.range = status.descriptor.range;
  }
  split.requests.push_back(AdminSplitRequest{at});
  const BatchResponse response = cluster.store(node)->Send(context, split);
  return response.error ? ToStatus(*response.error) : OkStatus();
}

NodeId Another(NodeId node) { return NodeId(node.value() % 3 + 1); }

uint64_t LocksInherited(Cluster& cluster) {
  uint64_t sum = 0;
  for (const NodeId id : cluster.nodes()) {
    if (cluster.store(id)) sum += cluster.store(id)->GetMetrics().locks_inherited;
  }
  return sum;
}

// Runs `change` while a transaction's write waits for its commit and another transaction waits for its lock: the
// first one commits under its own id, the other one waits until then and writes after it.
void HoldsAcross(std::function<Status(Cluster&, const Context&)> change) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      auto& scheduler = context.runtime().scheduler();
      RETURN_IF_ERROR(cluster.Put(context, kOther, "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kOther); }));
      RETURN_IF_ERROR(scheduler.SleepFor(context, 1s));
      ASSIGN_OR_RETURN(Buffered holder, Buffered::Begin(cluster, context, kOther));
      std::string order;
      runtime::TaskGroup group(context, "competitors");
      for (int i = 0; i < 3; ++i) {  // before the change, and after it
        group.Spawn({.name = "competitor"}, [&, i](const Context& c) -> Status {
          RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 10ms + 400ms * i));
          ASSIGN_OR_RETURN(Buffered competitor, Buffered::Begin(cluster, c, kOther));
          order += "locked ";
          return competitor.Commit(cluster, c, competitor.seen + "c");
        });
      }
      RETURN_IF_ERROR(scheduler.SleepFor(context, 100ms));
      Status held = change(cluster, context);
      RETURN_IF_ERROR(scheduler.SleepFor(context, 1500ms));
      order += "holder ";
      if (held.ok()) held = holder.Commit(cluster, context, "1");
      const Status joined = group.Join();
      RETURN_IF_ERROR(held);
      RETURN_IF_ERROR(joined);
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kOther));
      if (order != "holder locked locked locked " || value != "1ccc") return InternalError(order + value.value_or("-"));
      CLUSTER_CHECK(LocksInherited(cluster) > 0);
      return cluster.CheckReplicasAgree(context);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(Handover, LocksGoWithTheLease) {
  HoldsAcross([](Cluster& cluster, const Context& context) {
    return MoveLease(cluster, context, kOther, Another(cluster.LeaseholderOf(kOther)));
  });
}

TEST(Handover, LocksGoOnAndComeBack) {
  HoldsAcross([](Cluster& cluster, const Context& context) -> Status {
    const NodeId first = cluster.LeaseholderOf(kOther);
    RETURN_IF_ERROR(MoveLease(cluster, context, kOther, Another(first)));
    RETURN_IF_ERROR(MoveLease(cluster, context, kOther, Another(Another(first))));
    return MoveLease(cluster, context, kOther, first);
  });
}

TEST(Handover, LocksGoWithTheRightHalf) {
  HoldsAcross([](Cluster& cluster, const Context& context) { return Split(cluster, context, kSplitKey); });
}

TEST(Handover, LocksGoWithTheRightHalfAndItsLease) {
  HoldsAcross([](Cluster& cluster, const Context& context) -> Status {
    RETURN_IF_ERROR(Split(cluster, context, kSplitKey));
    CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return bool(cluster.LeaseholderOf(kOther)); }));
    return MoveLease(cluster, context, kOther, Another(cluster.LeaseholderOf(kOther)));
  });
}

// A transfer that its target does not answer is given up; the old leader has ended its own lease, and takes its
// locks over like anybody else.
TEST(Handover, AnAbandonedTransferKeepsTheLocks) {
  HoldsAcross([](Cluster& cluster, const Context& context) -> Status {
    const NodeId first = cluster.LeaseholderOf(kOther);
    const NodeId target = Another(first);
    cluster.Crash(target);
    BatchRequest move;
    for (const auto& status : cluster.store(first)->ListRanges()) {
      if (status.descriptor.ContainsKey(kOther)) move.header.range = status.descriptor.range;
    }
    move.requests.push_back(AdminTransferLeaseRequest{target});
    CLUSTER_CHECK(cluster.store(first)->Send(context, move).error);
    CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return bool(cluster.LeaseholderOf(kOther)); }));
    cluster.Start(target);
    return OkStatus();
  });
}

// Without a hand-over the locks are gone. What was buffered under one is refused if somebody else has written, and
// a transaction that never had a record is over (T16).
TEST(Handover, ACrashLosesTheLocksAndNoUpdate) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, kKey, "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kKey); }));
      ASSIGN_OR_RETURN(Buffered holder, Buffered::Begin(cluster, context, kKey));
      const NodeId first = cluster.LeaseholderOf(kKey);
      cluster.Crash(first);
      CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return bool(cluster.LeaseholderOf(kKey)); }));
      ASSIGN_OR_RETURN(Buffered next, Buffered::Begin(cluster, context, kKey));
      RETURN_IF_ERROR(next.Commit(cluster, context, "next"));
      CLUSTER_CHECK(LocksInherited(cluster) == 0);
      const Status lost = holder.Commit(cluster, context, "holder");
      CLUSTER_CHECK(GetError<TxnRetryError>(lost) || GetError<ConditionFailedError>(lost));
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kKey));
      CLUSTER_CHECK(value == "next");
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// The lease after the next one knows nothing of what became of locks that were handed to the next: a transaction that
// was aborted under that one must not find its record possible again, nor its lock held.
TEST(Handover, OnlyTheNextLeaseTakesOver) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      auto& scheduler = context.runtime().scheduler();
      RETURN_IF_ERROR(cluster.Put(context, kKey, "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kKey); }));
      ASSIGN_OR_RETURN(Buffered holder, Buffered::Begin(cluster, context, kKey));
      const NodeId second = Another(cluster.LeaseholderOf(kKey));
      RETURN_IF_ERROR(MoveLease(cluster, context, kKey, second));
      CLUSTER_CHECK(LocksInherited(cluster) == 1);
      EndTxnRequest abort{.outcome = TxnStatus::kAborted, .lock_spans = {{kKey, ""}}};
      CLUSTER_CHECK(!cluster.Send(context, InTxn(holder.txn, {abort})).error);
      cluster.Crash(second);
      CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return bool(cluster.LeaseholderOf(kKey)); }));
      CLUSTER_CHECK(LocksInherited(cluster) == 0);
      // A belated message of the aborted transaction.
      BatchRequest beat = InTxn(holder.txn, {HeartbeatTxnRequest{}});
      CLUSTER_CHECK(RetryOf(cluster.Send(context, beat)));
      const MonoTime begin = context.runtime().clock().MonoNow();
      ASSIGN_OR_RETURN(Buffered next, Buffered::Begin(cluster, context, kKey));
      CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < 45ms);  // no push, no lock
      RETURN_IF_ERROR(next.Commit(cluster, context, "next"));
      return scheduler.SleepFor(context, 1ms);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// T16. Who comes to a new leaseholder with his first lock, and began before its lease, hears at once that he needs
// another name, not when others have taken his lock for a dead one's.
TEST(Handover, AFirstLockFromBeforeTheLeaseIsRefused) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "0"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kKey); }));
    const Transaction early = cluster.NewTxn(kKey, uint8_t(IsolationLevel::kReadCommitted));
    RETURN_IF_ERROR(MoveLease(cluster, context, kKey, Another(cluster.LeaseholderOf(kKey))));
    const BatchResponse refused = cluster.Send(context, InTxn(early, {Lock(kKey)}));
    CLUSTER_CHECK(RetryOf(refused) && RetryOf(refused)->reason == RetryReason::kAbortedRecordGone);
    return Buffered::Begin(cluster, context, kKey).status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Many clients add to one row while its lease goes round: nobody is told of a lost lock.
TEST(Handover, NobodyFailsWhileTheLeaseGoesRound) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      auto& scheduler = context.runtime().scheduler();
      RETURN_IF_ERROR(cluster.Put(context, kKey, ""));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kKey); }));
      int committed = 0;
      bool stop = false;
      runtime::TaskGroup group(context, "clients");
      for (int i = 0; i < 8; ++i) {
        group.Spawn({.name = "client"}, [&](const Context& c) -> Status {
          while (!stop) {
            ASSIGN_OR_RETURN(Buffered txn, Buffered::Begin(cluster, c, kKey));
            RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 3ms));
            RETURN_IF_ERROR(txn.Commit(cluster, c, std::to_string(++committed)));
          }
          return OkStatus();
        });
      }
      Status moved;
      for (int i = 0; i < 12 && moved.ok(); ++i) {
        RETURN_IF_ERROR(scheduler.SleepFor(context, 150ms));
        moved = MoveLease(cluster, context, kKey, Another(cluster.LeaseholderOf(kKey)));
      }
      stop = true;
      RETURN_IF_ERROR(group.Join());
      RETURN_IF_ERROR(moved);
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kKey));
      CLUSTER_CHECK(value == std::to_string(committed) && committed > 20);
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// ---- Where the next lease starts (R6). One that started where the promise to readers ends, up to 300 ms ahead of every
// clock, made all nodes write and read there; whoever had heard less of the others then committed below snapshots that
// were taken before (seen as isolation.sqltest, on three nodes, right after a split).

Timestamp LeaseStartOf(Cluster& cluster, const std::string& key) {
  const NodeId node = cluster.LeaseholderOf(key);
  for (const auto& status : cluster.store(node)->ListRanges()) {
    if (status.descriptor.ContainsKey(key)) return status.lease.start;
  }
  return Timestamp::Max();
}

BatchRequest WithRange(Cluster& cluster, NodeId node, const std::string& key, BatchRequest batch) {
  for (const auto& status : cluster.store(node)->ListRanges()) {
    if (status.descriptor.ContainsKey(key)) batch.header.range = status.descriptor.range;
  }
  return batch;
}

// The change makes a new lease for kOther, of a range that is read all the time.
void StartsAtThePresent(std::function<Status(Cluster&, const Context&)> change) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, kOther, "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kOther); }));
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 1s));
      const Timestamp before = LeaseStartOf(cluster, kOther);
      bool done = false;
      runtime::TaskGroup group(context, "reader");
      group.Spawn({.name = "reader"}, [&](const Context& c) -> Status {
        while (!done) {
          (void)cluster.Get(c, kOther).ok();
          RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 5ms));
        }
        return OkStatus();
      });
      const Status slept = context.runtime().scheduler().SleepFor(context, 500ms);
      Status changed = change(cluster, context);
      CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return bool(cluster.LeaseholderOf(kOther)); }));
      done = true;
      RETURN_IF_ERROR(group.Join());
      RETURN_IF_ERROR(slept);
      RETURN_IF_ERROR(changed);
      const Timestamp start = LeaseStartOf(cluster, kOther);
      CLUSTER_CHECK(start > before);
      const int64_t now_ns = context.runtime().clock().WallNowNs();
      if (start.wall_ns > now_ns) return InternalError(std::to_string((start.wall_ns - now_ns) / 1'000'000) + " ms ahead");
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(Handover, ALeaseThatMovesStartsAtThePresent) {
  StartsAtThePresent([](Cluster& cluster, const Context& context) {
    return MoveLease(cluster, context, kOther, Another(cluster.LeaseholderOf(kOther)));
  });
}

TEST(Handover, TheRightHalfStartsAtThePresent) {
  StartsAtThePresent([](Cluster& cluster, const Context& context) { return Split(cluster, context, kSplitKey); });
}

// The clocks of the others may be behind the leaseholder's: the next lease starts above what was read all the same (T8).
TEST(Handover, WhatWasReadBeforeTheMoveIsNotWrittenUnder) {
  for (const bool split : {false, true}) {
    Cluster cluster({.seed = 1, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, kOther, "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kOther); }));
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 1s));
      const NodeId first = cluster.LeaseholderOf(kOther);
      Transaction writer = cluster.NewTxn(kOther, uint8_t(IsolationLevel::kSerializable));
      writer.read_ts.wall_ns += 50'000'000;
      writer.meta.write_ts = writer.meta.min_ts = writer.read_ts;
      cluster.sim().SetWallClock(first, 100ms, 0);
      BatchRequest read;  // at the leaseholder's time
      read.requests.push_back(GetRequest{kOther});
      const BatchResponse answer = cluster.store(first)->Send(context, WithRange(cluster, first, kOther, read));
      CLUSTER_CHECK(!answer.error);
      CLUSTER_CHECK(answer.ts > writer.meta.write_ts);
      if (split) {
        RETURN_IF_ERROR(Split(cluster, context, kSplitKey));
        // B25: already in the state that the right half begins with, whoever wins its first lease.
        for (const auto& range : cluster.store(first)->ListRanges()) {
          if (range.descriptor.ContainsKey(kOther)) CLUSTER_CHECK(range.lease.start >= answer.ts);
        }
      }
      CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return bool(cluster.LeaseholderOf(kOther)); }));
      RETURN_IF_ERROR(MoveLease(cluster, context, kOther, Another(first)));
      CLUSTER_CHECK(LeaseStartOf(cluster, kOther) >= answer.ts);
      EndTxnRequest end;
      end.lock_spans.push_back({kOther, ""});
      const BatchResponse committed = cluster.Send(context, InTxn(writer, {PutRequest{kOther, "1"}, end}));
      if (!committed.error) return InternalError("written at " + committed.txn->meta.write_ts.ToString());
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
}

// Of clocks that disagree: what commits on a leaseholder below SERIALIZABLE lies above every snapshot that has read there.
TEST(Handover, ALaterCommitLiesAboveASnapshotThatHasReadHere) {
  Cluster cluster({.seed = 1, .nodes = 1});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "0"));
    for (const IsolationLevel isolation : {IsolationLevel::kReadCommitted, IsolationLevel::kRepeatableRead}) {
      Transaction writer = cluster.NewTxn(kOther, uint8_t(isolation));
      Transaction reader = cluster.NewTxn(kKey, uint8_t(IsolationLevel::kRepeatableRead));
      reader.read_ts.wall_ns += 100'000'000;  // its node's clock is ahead
      reader.meta.write_ts = reader.meta.min_ts = reader.read_ts;
      CLUSTER_CHECK(!cluster.Send(context, InTxn(reader, {GetRequest{kKey}})).error);
      EndTxnRequest end;
      end.lock_spans.push_back({kOther, ""});
      const BatchResponse committed = cluster.Send(context, InTxn(writer, {PutRequest{kOther, "1"}, end}));
      CLUSTER_CHECK(!committed.error);
      CLUSTER_CHECK(committed.txn->meta.write_ts > reader.read_ts);
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
