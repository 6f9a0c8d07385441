// One store, one replica a range: reads, writes, transactions, restart.
#include <gtest/gtest.h>

#include "orrery/kv/api/counter.h"
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

EndTxnRequest CommitOf(std::vector<std::string> keys) {
  EndTxnRequest end;
  for (auto& key : keys) end.lock_spans.push_back({std::move(key), ""});
  return end;
}

// Absent on the wire is the default of the structure: so a default must be the zero value. A push that moved an
// intent (kPending) once arrived as its abort.
TEST(BatchOnTheWire, ZeroValuesStayWhatTheyAre) {
  BatchRequest batch;
  batch.requests.push_back(PushTxnRequest{{}, std::nullopt, PushType::kTimestamp, {}});
  batch.requests.push_back(ResolveIntentRequest{{"k", ""}, {}, TxnStatus::kPending, {}});
  BatchRequest back;
  ASSERT_TRUE(wire::Decode(wire::Encode(batch), back).ok());
  EXPECT_EQ(std::get<PushTxnRequest>(back.requests[0]).type, PushType::kTimestamp);
  EXPECT_EQ(std::get<ResolveIntentRequest>(back.requests[1]).status, TxnStatus::kPending);
}

TEST(SingleNode, BootstrapWritesMetaAndCounters) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    ASSIGN_OR_RETURN(const auto meta, cluster.Scan(context, {std::string(kMetaPrefix), std::string(kClusterPrefix)}));
    CLUSTER_CHECK(meta.size() == 2);
    RangeDescriptor second;
    RETURN_IF_ERROR(wire::Decode(meta[1].second, second));
    CLUSTER_CHECK(second.range == RangeId(2) && second.end == kMaxKey);
    ASSIGN_OR_RETURN(const auto counter, cluster.Get(context, ClusterKey(kNextRangeId)));
    ASSIGN_OR_RETURN(const uint64_t last, DecodeCounter(counter));
    CLUSTER_CHECK(last == 2);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, PutGetScanDelete) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 0; i < 50; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(100 + i), std::to_string(i)));
    ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10k107"));
    CLUSTER_CHECK(value == "7");
    ASSIGN_OR_RETURN(const auto none, cluster.Get(context, "\x10nothing"));
    CLUSTER_CHECK(!none);
    ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {"\x10k110", "\x10k120"}));
    CLUSTER_CHECK(rows.size() == 10 && rows[3].second == "13");
    BatchRequest del;
    del.requests.push_back(DeleteRequest{"\x10k107"});
    CLUSTER_CHECK(!cluster.Send(context, del).error);
    ASSIGN_OR_RETURN(const auto gone, cluster.Get(context, "\x10k107"));
    CLUSTER_CHECK(!gone);
    BatchRequest cput;
    cput.requests.push_back(ConditionalPutRequest{"\x10k108", "x", "wrong"});
    const auto failed = cluster.Send(context, cput);
    CLUSTER_CHECK(failed.error && std::get_if<ConditionFailedError>(&failed.error->detail));
    CLUSTER_CHECK(std::get<ConditionFailedError>(failed.error->detail).actual == "8");
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, OnePhaseCommitLeavesNoLocks) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10z", "up"));
    const Transaction txn = cluster.NewTxn("\x10" "a");
    const auto response = cluster.Send(
        context, InTxn(txn, {PutRequest{"\x10" "a", "1"}, PutRequest{"\x10" "b", "2"}, CommitOf({"\x10" "a", "\x10" "b"})}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(std::get<EndTxnResponse>(response.responses[2]).one_phase == 1);
    ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {"\x10" "a", "\x10" "z"}));
    CLUSTER_CHECK(rows.size() == 2);  // "z" is beyond the span
    for (const auto& range : cluster.store(NodeId(1))->ListRanges()) CLUSTER_CHECK(range.stats.lock_count == 0);
    // T19: the same batch again is the same commit.
    const auto replay = cluster.Send(
        context, InTxn(txn, {PutRequest{"\x10" "a", "1"}, PutRequest{"\x10" "b", "2"}, CommitOf({"\x10" "a", "\x10" "b"})}));
    if (replay.error) return ToStatus(*replay.error);
    CLUSTER_CHECK(std::get<EndTxnResponse>(replay.responses[2]).commit_ts ==
                  std::get<EndTxnResponse>(response.responses[2]).commit_ts);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, IntentsAreInvisibleUntilCommit) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", "old"));
    Transaction txn = cluster.NewTxn("\x10" "a", 0);
    auto response = cluster.Send(context, InTxn(txn, {PutRequest{"\x10" "a", "new"}}));
    if (response.error) return ToStatus(*response.error);
    txn = *response.txn;
    txn.meta.sequence = 3;
    // Its own reads see it.
    response = cluster.Send(context, InTxn(txn, {GetRequest{"\x10" "a"}}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(std::get<GetResponse>(response.responses[0]).value == "new");
    // A foreign reader waits, pushes it and reads below.
    ASSIGN_OR_RETURN(const auto before, cluster.Get(context, "\x10" "a"));
    CLUSTER_CHECK(before == "old");
    // Pushed, and below SERIALIZABLE none the worse for it: it commits above the reader.
    response = cluster.Send(context, InTxn(txn, {CommitOf({"\x10" "a"})}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(std::get<EndTxnResponse>(response.responses[0]).commit_ts > txn.meta.write_ts);
    ASSIGN_OR_RETURN(const auto after, cluster.Get(context, "\x10" "a"));
    CLUSTER_CHECK(after == "new");
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// N10: new data is refused before it is proposed, so that everybody knows that it was not written; what is under
// way ends, rows are read and deleted, and all goes on when there is room.
TEST(SingleNode, AFullDiskRefusesNewDataOnly) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", "1"));
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "d", "4"));
    const Transaction txn = cluster.NewTxn("\x10" "b");
    auto response = cluster.Send(context, InTxn(txn, {PutRequest{"\x10" "b", "2"}}));
    if (response.error) return ToStatus(*response.error);

    cluster.FillDisk(NodeId(1));
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 300ms));
    const Status refused = cluster.Put(context, "\x10" "a", "3");
    CLUSTER_CHECK(refused.sqlstate() == "53100" && refused.code() == Code::kResourceExhausted);
    CLUSTER_CHECK(refused.message().find("No space left on the disk of node 1") != std::string_view::npos);
    CLUSTER_CHECK(!refused.fields().hint.empty());
    const Transaction other = cluster.NewTxn("\x10" "c");
    const auto one_phase = cluster.Send(context, InTxn(other, {PutRequest{"\x10" "c", "3"}, CommitOf({"\x10" "c"})}));
    CLUSTER_CHECK(one_phase.error && ToStatus(*one_phase.error).sqlstate() == "53100");

    Transaction commit = *response.txn;
    commit.meta.sequence = 3;
    response = cluster.Send(context, InTxn(commit, {CommitOf({"\x10" "b"})}));
    if (response.error) return ToStatus(*response.error);
    ASSIGN_OR_RETURN(const auto b, cluster.Get(context, "\x10" "b"));
    CLUSTER_CHECK(b == "2");
    BatchRequest erase;
    erase.requests.push_back(DeleteRequest{"\x10" "a"});
    // A deletion that was buffered for its commit is one, too (cluster test full_disk).
    erase.requests.push_back(ConditionalPutRequest{.key = "\x10" "d", .value = "", .expected = "4", .deletes = 1});
    CLUSTER_CHECK(!cluster.Send(context, erase).error);
    RETURN_IF_ERROR(cluster.Put(context, "\x04" "counter", "1"));  // the system's own
    ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {"\x10", "\x11"}));
    CLUSTER_CHECK(rows.size() == 1);

    // Deletions would otherwise take the last of it, and the store could not even end what is under way.
    cluster.FillDisk(NodeId(1), storage::SpaceLevel::kExhausted);
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 300ms));
    erase.requests = {DeleteRequest{"\x10" "b"}};
    const auto kept = cluster.Send(context, erase);
    CLUSTER_CHECK(kept.error && ToStatus(*kept.error).sqlstate() == "53100");
    CLUSTER_CHECK(ToStatus(*kept.error).message().find("not even for deletions") != std::string_view::npos);
    RETURN_IF_ERROR(cluster.Put(context, "\x04" "counter", "2"));
    ASSIGN_OR_RETURN(const auto still_there, cluster.Get(context, "\x10" "b"));
    CLUSTER_CHECK(still_there == "2");

    cluster.FreeDisk(NodeId(1));
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 300ms));
    return cluster.Put(context, "\x10" "a", "4");
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Look-ups of ranges must not ask for the fate of a lock: that needs a look-up itself.
TEST(SingleNode, AReadOfWhatIsCommittedPassesLocks) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", "old"));
    Transaction txn = cluster.NewTxn("\x10" "a");
    auto response = cluster.Send(context, InTxn(txn, {PutRequest{"\x10" "a", "new"}, PutRequest{"\x10" "b", "new"}}));
    if (response.error) return ToStatus(*response.error);
    txn = *response.txn;
    txn.meta.sequence = 3;
    BatchRequest read;
    read.header.wait = WaitPolicy::kReadCommitted;
    read.requests.push_back(ScanRequest{Span{"\x10" "a", "\x10" "c"}});
    read.requests.push_back(GetRequest{"\x10" "a"});
    const MonoTime before = context.runtime().clock().MonoNow();
    response = cluster.Send(context, read);
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - before < 50ms);
    auto row = std::get<ScanResponse>(response.responses[0]).rows.Begin();
    CLUSTER_CHECK(row.Next() && row.key() == "\x10" "a" && row.value() == "old" && !row.Next());
    CLUSTER_CHECK(std::get<GetResponse>(response.responses[1]).value == "old");
    // It has not pushed the transaction either.
    response = cluster.Send(context, InTxn(txn, {CommitOf({"\x10" "a", "\x10" "b"})}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(std::get<EndTxnResponse>(response.responses[0]).commit_ts == txn.meta.write_ts);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, AWriterWaitsForAWriterAndFollowsIt) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10z", "up"));
    Transaction txn = cluster.NewTxn("\x10" "a");
    auto response = cluster.Send(context, InTxn(txn, {PutRequest{"\x10" "a", "first"}}));
    if (response.error) return ToStatus(*response.error);
    txn = *response.txn;
    runtime::TaskGroup group(context, "writers");
    bool second_done = false;
    group.Spawn({.name = "second"}, [&](const Context& c) -> Status {
      RETURN_IF_ERROR(cluster.Put(c, "\x10" "a", "second"));
      second_done = true;
      return OkStatus();
    });
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 300ms));
    CLUSTER_CHECK(!second_done);
    txn.meta.sequence = 3;
    response = cluster.Send(context, InTxn(txn, {CommitOf({"\x10" "a"})}));
    if (response.error) return ToStatus(*response.error);
    RETURN_IF_ERROR(group.Join());
    ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10" "a"));
    CLUSTER_CHECK(value == "second");
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, ADeadlockHasOneVictim) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10z", "up"));
    int victims = 0;
    int commits = 0;
    runtime::TaskGroup group(context, "writers");
    for (int i = 0; i < 2; ++i) {
      group.Spawn({.name = "writer"}, [&, i](const Context& c) -> Status {
        const std::string mine = i == 0 ? "\x10" "a" : "\x10" "b";
        const std::string other = i == 0 ? "\x10" "b" : "\x10" "a";
        Transaction txn = cluster.NewTxn(mine, 0);
        auto response = cluster.Send(c, InTxn(txn, {PutRequest{mine, "x"}}));
        if (response.error) return ToStatus(*response.error);
        RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 100ms));
        txn = *response.txn;
        txn.meta.sequence = 3;
        response = cluster.Send(c, InTxn(txn, {PutRequest{other, "y"}}));
        EndTxnRequest end = CommitOf({mine, other});
        if (response.error) {
          const auto* retry = std::get_if<TxnRetryError>(&response.error->detail);
          if (!retry || retry->reason == RetryReason::kSerializable) return ToStatus(*response.error);
          if (retry->reason == RetryReason::kDeadlock) ++victims;
          end.outcome = TxnStatus::kAborted;
        } else {
          txn = *response.txn;
          ++commits;
        }
        txn.meta.sequence = 5;
        response = cluster.Send(c, InTxn(txn, {end}));
        return response.error ? ToStatus(*response.error) : OkStatus();
      });
    }
    RETURN_IF_ERROR(group.Join());
    CLUSTER_CHECK(victims == 1);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(SingleNode, AcknowledgedWritesSurviveCrashes) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Cluster cluster({.seed = seed});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 20; ++i) {
          RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), std::to_string(round)));
        }
        cluster.Crash(NodeId(1));
        cluster.Start(NodeId(1));
        for (int i = 0; i < 20; ++i) {
          ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10k" + std::to_string(i)));
          CLUSTER_CHECK(value == std::to_string(round));
        }
      }
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(SingleNode, SplitsOnRequestAndBySize) {
  Cluster cluster({.range_bytes_max = 20000});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 100; i < 300; ++i) {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), std::string(200, 'x')));
    }
    CLUSTER_CHECK(cluster.Eventually(context, 30s, [&] { return cluster.store(NodeId(1))->ListRanges().size() >= 4; }));
    BatchRequest split;
    split.requests.push_back(AdminSplitRequest{"\x10k150"});
    const auto response = cluster.Send(context, split);
    if (response.error) return ToStatus(*response.error);
    uint64_t count = 0;
    bool border = false;
    std::string previous_end;
    for (const auto& range : cluster.store(NodeId(1))->ListRanges()) {
      border = border || range.descriptor.start == "\x10k150";
      count += range.descriptor.range == RangeId(1) ? 0 : range.stats.live_count;
    }
    CLUSTER_CHECK(border);
    CLUSTER_CHECK(count == 200);
    for (int i = 100; i < 300; ++i) {
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10k" + std::to_string(i)));
      CLUSTER_CHECK(value);
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// A row that everybody wants: who waited for its lock reads what the holder committed, in its place in the queue,
// and each lock costs one request. (Sent back to its client it would come again at the end of the queue, behind
// those that wait for it already: deadlocks without a cycle.)
TEST(SingleNode, WaitersOfAHotKeyReadOnInTheirPlaceInTheQueue) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    constexpr int kTasks = 8, kRounds = 20;
    const std::string key = "\x10" "hot";
    RETURN_IF_ERROR(cluster.Put(context, key, "0"));
    runtime::TaskGroup group(context, "incrementers");
    for (int i = 0; i < kTasks; ++i) {
      group.Spawn({.name = "incrementer"}, [&](const Context& c) -> Status {
        for (int round = 0; round < kRounds; ++round) {
          const Transaction txn = cluster.NewTxn(key, 0);
          BatchRequest read = InTxn(txn, {GetRequest{key, LockStrength::kExclusive, LockDurability::kUnreplicated}});
          read.header.can_forward_read = 1;
          const auto locked = cluster.Send(c, read);
          if (locked.error) return ToStatus(*locked.error);
          Transaction now = *locked.txn;
          CLUSTER_CHECK(now.read_ts >= txn.read_ts && now.meta.write_ts >= now.read_ts);
          now.meta.sequence = 2;
          const std::string old = *std::get<GetResponse>(locked.responses[0]).value;
          const auto done = cluster.Send(
              c, InTxn(now, {ConditionalPutRequest{key, std::to_string(std::stoi(old) + 1), old}, CommitOf({key})}));
          if (done.error) return ToStatus(*done.error);
        }
        return OkStatus();
      });
    }
    RETURN_IF_ERROR(group.Join());
    ASSIGN_OR_RETURN(const auto sum, cluster.Get(context, key));
    CLUSTER_CHECK(sum == std::to_string(kTasks * kRounds));
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
