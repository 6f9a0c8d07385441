// Conflicts of transactions as one store sees them: newer versions, uncertainty, queues of locks.
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

BatchRequest InTxn(const Transaction& txn, std::vector<Request> requests) {
  BatchRequest batch;
  batch.header.txn = txn;
  batch.requests = std::move(requests);
  return batch;
}

const TxnRetryError* RetryOf(const BatchResponse& response) {
  return response.error ? std::get_if<TxnRetryError>(&response.error->detail) : nullptr;
}

// Now, not when it began.
Status Commit(Cluster& cluster, const Context& context, Transaction txn, const std::vector<std::string>& keys) {
  txn.meta.write_ts.Forward({context.runtime().clock().WallNowNs(), 0});
  EndTxnRequest end;
  for (const std::string& key : keys) end.lock_spans.push_back({key, ""});
  txn.meta.sequence += 10;
  const BatchResponse response = cluster.Send(context, InTxn(txn, {end}));
  return response.error ? ToStatus(*response.error) : OkStatus();
}

// Not over the wire, where an answer takes its time and may be lost.
BatchResponse SendToStore(Cluster& cluster, const Context& context, BatchRequest batch) {
  for (const auto& range : cluster.store(NodeId(1))->ListRanges()) {
    if (!range.descriptor.ContainsKey("\x10k")) continue;
    batch.header.range = range.descriptor.range;
    batch.header.generation = range.descriptor.generation;
  }
  return cluster.store(NodeId(1))->Send(context, batch);
}

const GetRequest kLockK{"\x10k", LockStrength::kExclusive, LockDurability::kReplicated};

// B35: what another transaction commits on a node after a reader has read that node's clock is no uncertainty.
TEST(Conflicts, CommitsAfterTheNodesClockWasReadAreNotUncertain) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "old"));
    RETURN_IF_ERROR(cluster.Put(context, "\x10m", "old"));
    Transaction here = cluster.NewTxn("\x10k", uint8_t(IsolationLevel::kRepeatableRead));
    here.gateway = NodeId(1);
    here.started = here.read_ts;
    Transaction elsewhere = cluster.NewTxn("\x10k", uint8_t(IsolationLevel::kRepeatableRead));
    elsewhere.gateway = NodeId(7);
    Transaction late = elsewhere;
    auto response = cluster.Send(context, InTxn(elsewhere, {GetRequest{"\x10m"}}));
    CLUSTER_CHECK(!response.error && response.txn->observed.size() == 1);
    elsewhere = *response.txn;
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "new"));
    for (const Transaction& reader : {here, elsewhere}) {
      response = cluster.Send(context, InTxn(reader, {GetRequest{"\x10k"}, ScanRequest{Span{"\x10k", "\x10l"}}}));
      if (response.error) return ToStatus(*response.error);
      CLUSTER_CHECK(std::get<GetResponse>(response.responses[0]).value == "old");
      auto row = std::get<ScanResponse>(response.responses[1]).rows.Begin();
      CLUSTER_CHECK(row.Next() && row.value() == "old");
    }
    // Who comes to the node only now cannot know.
    response = cluster.Send(context, InTxn(late, {GetRequest{"\x10k"}}));
    CLUSTER_CHECK(RetryOf(response) && RetryOf(response)->reason == RetryReason::kUncertainty);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// B35, cockroach#36431: an intent below the reading, whose transaction commits above it, may have been
// acknowledged before the reader began.
TEST(Conflicts, AMovedIntentStaysUncertain) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "old"));
    Transaction writer = cluster.NewTxn("\x10k", 0);
    auto response = cluster.Send(context, InTxn(writer, {PutRequest{"\x10k", "new"}}));
    if (response.error) return ToStatus(*response.error);
    writer = *response.txn;
    Transaction reader = cluster.NewTxn("\x10k", uint8_t(IsolationLevel::kRepeatableRead));
    reader.gateway = NodeId(1);
    reader.started = reader.read_ts;
    writer.meta.write_ts.wall_ns = reader.read_ts.wall_ns + 100'000'000;  // by another range, with a clock ahead
    RETURN_IF_ERROR(Commit(cluster, context, writer, {"\x10k"}));
    response = cluster.Send(context, InTxn(reader, {GetRequest{"\x10k"}}));
    CLUSTER_CHECK(RetryOf(response) && RetryOf(response)->reason == RetryReason::kUncertainty);
    response = cluster.Send(context, InTxn(reader, {ScanRequest{Span{"\x10k", "\x10l"}}}));
    CLUSTER_CHECK(RetryOf(response) && RetryOf(response)->reason == RetryReason::kUncertainty);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// T11: what is pending when it is met was not committed when the reader began.
TEST(Conflicts, APendingIntentIsNoUncertainty) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "old"));
    Transaction reader = cluster.NewTxn("\x10k", uint8_t(IsolationLevel::kRepeatableRead));
    reader.gateway = NodeId(7);  // has read no clock of this node
    Transaction writer = cluster.NewTxn("\x10k", 0);
    auto response = cluster.Send(context, InTxn(writer, {PutRequest{"\x10k", "new"}}));
    if (response.error) return ToStatus(*response.error);
    writer = *response.txn;
    response = cluster.Send(context, InTxn(reader, {GetRequest{"\x10k"}, ScanRequest{Span{"\x10k", "\x10l"}}}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(std::get<GetResponse>(response.responses[0]).value == "old");
    RETURN_IF_ERROR(Commit(cluster, context, writer, {"\x10k"}));
    response = cluster.Send(context, InTxn(reader, {GetRequest{"\x10k"}}));
    CLUSTER_CHECK(RetryOf(response) && RetryOf(response)->reason == RetryReason::kUncertainty);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// A statement that has read nothing yet reads later instead of coming back, and keeps its place in the queue.
TEST(Conflicts, AWaiterReadsLaterAndInTurn) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
    Transaction holder = cluster.NewTxn("\x10k", 0);
    auto locked = cluster.Send(context, InTxn(holder, {kLockK, PutRequest{"\x10k", "holder"}}));
    if (locked.error) return ToStatus(*locked.error);
    std::string order;
    runtime::TaskGroup group(context, "waiters");
    for (int i = 0; i < 5; ++i) {
      group.Spawn({.name = "waiter"}, [&, i](const Context& c) -> Status {
        Transaction txn = cluster.NewTxn("\x10k", 0);
        RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 20ms * (i + 1)));
        BatchRequest batch = InTxn(txn, {kLockK});
        batch.header.can_forward_read = 1;
        auto response = cluster.Send(c, batch);
        if (response.error) return ToStatus(*response.error);
        CLUSTER_CHECK(response.txn->read_ts > txn.read_ts);
        txn = *response.txn;
        order += std::get<GetResponse>(response.responses[0]).value.value_or("-") + " ";
        txn.meta.sequence += 5;
        response = cluster.Send(c, InTxn(txn, {PutRequest{"\x10k", std::to_string(i)}}));
        if (response.error) return ToStatus(*response.error);
        return Commit(cluster, c, *response.txn, {"\x10k"});
      });
    }
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 700ms));
    const MonoTime begin = context.runtime().clock().MonoNow();
    RETURN_IF_ERROR(Commit(cluster, context, *locked.txn, {"\x10k"}));
    RETURN_IF_ERROR(group.Join());
    CLUSTER_CHECK(order == "holder 0 1 2 3 ");
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < 500ms);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// C claims k while it waits for j; A pushes C. When C comes back for k (its statement starts anew), it waits for A:
// no deadlock, as A waits for nobody any more.
TEST(Conflicts, AClaimThatEndedIsNoDeadlock) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Cluster cluster({.seed = seed});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      const GetRequest lock_j{"\x10j", LockStrength::kExclusive, LockDurability::kReplicated};
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
      Transaction on_k = cluster.NewTxn("\x10k", 0);
      Transaction on_j = cluster.NewTxn("\x10j", 0);
      auto k = cluster.Send(context, InTxn(on_k, {kLockK, PutRequest{"\x10k", "1"}}));
      auto j = cluster.Send(context, InTxn(on_j, {lock_j}));
      CLUSTER_CHECK(!k.error && !j.error);
      runtime::TaskGroup group(context, "waiters");
      const MonoTime begin = context.runtime().clock().MonoNow();
      group.Spawn({.name = "C"}, [&](const Context& c) -> Status {
        Transaction txn = cluster.NewTxn("\x10y", 0);
        auto response = cluster.Send(c, InTxn(txn, {kLockK, lock_j}));
        CLUSTER_CHECK(RetryOf(response) && RetryOf(response)->reason == RetryReason::kWriteTooOld);
        txn.read_ts.Forward(RetryOf(response)->retry_ts);
        txn.read_ts.wall_ns += 100'000'000;
        txn.meta.write_ts.Forward(txn.read_ts);
        txn.meta.sequence = 20;
        response = cluster.Send(c, InTxn(txn, {kLockK}));
        if (response.error) return ToStatus(*response.error);
        return Commit(cluster, c, *response.txn, {"\x10k"});
      });
      group.Spawn({.name = "A"}, [&](const Context& c) -> Status {
        RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 20ms));
        Transaction txn = cluster.NewTxn("\x10z", 0);
        BatchRequest batch = InTxn(txn, {kLockK});
        batch.header.can_forward_read = 1;
        const auto response = cluster.Send(c, batch);
        if (response.error) return ToStatus(*response.error);
        return Commit(cluster, c, *response.txn, {"\x10k"});
      });
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 60ms));
      RETURN_IF_ERROR(Commit(cluster, context, *k.txn, {"\x10k"}));
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 150ms));
      RETURN_IF_ERROR(Commit(cluster, context, *j.txn, {"\x10j"}));
      RETURN_IF_ERROR(group.Join());
      CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < 600ms);
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// Out of time while it waits for a lock: the request has certainly done nothing, whatever became of its push, so SQL may
// say 55P03 and not "unknown".
TEST(Conflicts, TimeThatRunsOutInAQueueIsNoAmbiguity) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster({.seed = seed});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
      auto locked = cluster.Send(context, InTxn(cluster.NewTxn("\x10k", 0), {kLockK, PutRequest{"\x10k", "1"}}));
      if (locked.error) return ToStatus(*locked.error);
      for (const Duration patience : {1ms, 49ms, 51ms, 60ms, 300ms}) {
        const auto late =
            SendToStore(cluster, context.WithTimeout(patience), InTxn(cluster.NewTxn("\x10k", 0), {kLockK}));
        if (!late.error) return InternalError("got the lock");
        const Status said = ToStatus(*late.error);
        if (said.code() != Code::kDeadlineExceeded) return said.Annotate("after " + std::to_string(patience.count()));
      }
      return Commit(cluster, context, *locked.txn, {"\x10k"});
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// T11, G1: outside transactions the leaseholder chooses the timestamp. A transaction that has committed elsewhere, by a
// clock ahead of this one, was acknowledged before the reader began: its intent here may be resolved, to above the
// timestamp chosen, between the choice and the look.
TEST(Conflicts, ReadsOutsideTransactionsMissNoCommitOfAClockAhead) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Cluster cluster({.seed = seed});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "old"));
      Transaction writer = cluster.NewTxn("\x10k", 0);
      const auto written = cluster.Send(context, InTxn(writer, {PutRequest{"\x10k", "new"}}));
      if (written.error) return ToStatus(*written.error);
      BatchRequest resolve;
      ResolveIntentRequest committed{.span = {"\x10k", ""}, .txn = written.txn->meta, .status = TxnStatus::kCommitted};
      committed.txn.write_ts.wall_ns += 200'000'000;
      resolve.header.now = committed.txn.write_ts;
      resolve.requests = {committed};
      BatchRequest read;
      read.requests = {GetRequest{"\x10k"}};
      if (seed % 2 == 0) read.requests.push_back(ScanRequest{Span{"\x10k", "\x10l"}});  // no short cut
      runtime::TaskGroup group(context, "acknowledged");
      const auto spawn = [&](const BatchRequest& batch, bool reads) {
        const Duration after(int64_t(context.runtime().random().Next() % 20'000));
        group.Spawn({.name = "request"}, [&cluster, batch, reads, after](const Context& c) -> Status {
          RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, after));
          const auto response = SendToStore(cluster, c, batch);
          if (response.error) return ToStatus(*response.error);
          if (reads) CLUSTER_CHECK(std::get<GetResponse>(response.responses[0]).value == "new");
          return OkStatus();
        });
      };
      spawn(resolve, false);
      for (int i = 0; i < 6; ++i) spawn(read, true);
      return group.Join();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// A batch that meets one lock of a finished transaction meets its others next: they are resolved together, and nobody
// else's.
TEST(Conflicts, LocksOfAFinishedTransactionAreResolvedOverTheWholeRequest) {
  Cluster cluster({});
  const auto key = [](int i) { return "\x10k" + std::to_string(100 + i); };
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, key(0), "old"));
    std::vector<Request> puts, reads;
    for (int i = 0; i < 60; ++i) {
      puts.push_back(PutRequest{key(i), "new"});
      if (i >= 5 && i < 50) reads.push_back(GetRequest{key(i)});
    }
    auto written = SendToStore(cluster, context, InTxn(cluster.NewTxn(key(0), 0), std::move(puts)));
    if (written.error) return ToStatus(*written.error);
    const auto other = SendToStore(cluster, context, InTxn(cluster.NewTxn("\x10k120x", 0), {PutRequest{"\x10k120x", "1"}}));
    if (other.error) return ToStatus(*other.error);
    written.txn->meta.sequence += 100;
    RETURN_IF_ERROR(Commit(cluster, context, *written.txn, {key(0), "\x10z"}));  // resolves the first, leaves a record
    const auto commands = [&] { return cluster.store(NodeId(1))->GetMetrics().commands_applied; };

    const uint64_t before = commands();
    Transaction reader = cluster.NewTxn(key(0), 0);
    reader.read_ts.wall_ns += 400'000'000;
    reader.meta.write_ts = reader.read_ts;
    const auto read = SendToStore(cluster, context, InTxn(reader, std::move(reads)));
    if (read.error) return ToStatus(*read.error);
    for (const Response& response : read.responses) CLUSTER_CHECK(std::get<GetResponse>(response).value == "new");
    CLUSTER_CHECK(commands() - before < 5);  // not one a key

    // What lies beyond the request's keys waits for whoever comes there.
    const uint64_t then = commands();
    for (const int i : {4, 50}) {
      const auto single = SendToStore(cluster, context, InTxn(reader, {GetRequest{key(i)}}));
      CLUSTER_CHECK(!single.error && std::get<GetResponse>(single.responses[0]).value == "new");
    }
    CLUSTER_CHECK(commands() - then >= 2);
    return Commit(cluster, context, *other.txn, {"\x10k120x"});  // its intent still stands
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
