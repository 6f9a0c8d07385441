// Loads: many rows in one command, which replicas ingest (docs/design/bulk_load.md). Every simulated store ingests
// every load here; crashes keep a part of the unsynced writes and all that was ingested.
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

std::string RowKey(int block, int row) {
  return "\x10load" + std::to_string(1'000'000 + block) + "/" + std::to_string(100 + row);
}

// A block as the client sends it: a transaction that is this one insert.
BatchRequest LoadOf(Cluster& cluster, int block, int rows) {
  InsertManyRequest insert;
  for (int row = 0; row < rows; ++row) insert.rows.Append(RowKey(block, row), std::to_string(block));
  insert.span = {RowKey(block, 0), RowKey(block, rows - 1) + '\0'};
  EndTxnRequest end;
  end.lock_spans.push_back(insert.span);
  BatchRequest batch;
  batch.header.txn = cluster.NewTxn(RowKey(block, 0));
  batch.requests = {std::move(insert), std::move(end)};
  return batch;
}

constexpr int kRows = 20;

// Loads block after block. The fate of one that was not answered is unknown until it is looked at.
struct LoadWriter {
  Cluster& cluster;
  int first;
  std::vector<int> acknowledged;
  std::vector<int> refused;
  bool stop = false;

  Status Run(const Context& context) {
    for (int block = first; !stop; ++block) {
      const auto response = cluster.Send(context, LoadOf(cluster, block, kRows));
      if (!response.error) {
        acknowledged.push_back(block);
      } else if (GetError<TxnRetryError>(ToStatus(*response.error))) {
        refused.push_back(block);
      } else if (const Code code = ToStatus(*response.error).code();
                 code != Code::kAmbiguous && code != Code::kUnavailable) {
        return ToStatus(*response.error);
      }
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 20ms));
    }
    return OkStatus();
  }
  // All or nothing, and what was acknowledged is there.
  Status Check(const Context& context) {
    CLUSTER_CHECK(acknowledged.size() > 3);
    ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {RowKey(first, 0), RowKey(first + 100'000, 0)}));
    std::map<std::string, int> found;
    for (const auto& [key, value] : rows) ++found[value];
    for (const auto& [block, count] : found) CLUSTER_CHECK(count == kRows);
    for (const int block : acknowledged) CLUSTER_CHECK(found.contains(std::to_string(block)));
    for (const int block : refused) CLUSTER_CHECK(!found.contains(std::to_string(block)));
    return OkStatus();
  }
};

TEST(Load, OneCommandARowOneVersionAndNoLocks) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));  // there is a leaseholder
    const auto response = cluster.Send(context, LoadOf(cluster, 0, kRows));
    CLUSTER_CHECK(!response.error);
    CLUSTER_CHECK(std::get<EndTxnResponse>(response.responses[1]).one_phase == 1);
    ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {RowKey(0, 0), RowKey(1, 0)}));
    CLUSTER_CHECK(rows.size() == kRows && rows[7].first == RowKey(0, 7) && rows[7].second == "0");
    for (const auto& range : cluster.store(NodeId(1))->ListRanges()) CLUSTER_CHECK(range.stats.lock_count == 0);
    const auto again = cluster.Send(context, LoadOf(cluster, 0, kRows));
    CLUSTER_CHECK(again.error);
    const auto* failed = std::get_if<ConditionFailedError>(&again.error->detail);
    CLUSTER_CHECK(failed && failed->key == RowKey(0, 0));
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// The same transaction asked for again (T19) has no second effect, and says so.
TEST(Load, AReplayIsAnswered) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));  // there is a leaseholder
    const BatchRequest load = LoadOf(cluster, 0, kRows);
    CLUSTER_CHECK(!cluster.Send(context, load).error);
    const auto again = cluster.Send(context, load);
    CLUSTER_CHECK(!again.error && again.responses.size() == 2);
    CLUSTER_CHECK(std::get<EndTxnResponse>(again.responses[1]).one_phase == 1);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Found by COPY into three nodes with two blocks on their way, whose intents make commands of 10 MB of them: "too many bytes proposed and
// not committed" reached the client. What is more than raft takes waits, whatever its size, and nothing stays behind.
TEST(Load, MoreThanRaftTakesAtOnceWaits) {
  for (const uint64_t nodes : {uint64_t{1}, uint64_t{3}}) {
    for (const uint64_t bytes_max : {uint64_t{1}, uint64_t{3000}}) {
      Cluster cluster({.nodes = nodes, .proposed_bytes_max = bytes_max, .replication = nodes});
      const Status status = cluster.Run([&](const Context& context) -> Status {
        RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
        RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 10s));
        runtime::TaskGroup group(context, "loads");
        int refused = 0;
        for (int block = 0; block < 30; ++block) {
          group.Spawn({.name = "load"}, [&, block](const Context& c) {
            if (cluster.Send(c, LoadOf(cluster, block, 1 + block % kRows)).error) ++refused;
            return OkStatus();
          });
        }
        RETURN_IF_ERROR(group.Join());
        CLUSTER_CHECK(refused == 0);
        ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {RowKey(0, 0), RowKey(100, 0)}));
        size_t expected = 0;
        for (int block = 0; block < 30; ++block) expected += size_t(1 + block % kRows);
        CLUSTER_CHECK(rows.size() == expected);
        return cluster.CheckReplicasAgree(context);
      });
      EXPECT_TRUE(status.ok()) << nodes << " nodes, " << bytes_max << " bytes: " << status.ToString();
    }
  }
}

// A3, I4: leaders and followers crash with loads between their writes; other writes go on in the same ranges.
TEST(Load, CrashesLoseNothingAcknowledged) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .raft_log_entries_min = seed % 2 == 0 ? 64u : 4u, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 10s));
      LoadWriter one{cluster, 0, {}, {}};
      LoadWriter two{cluster, 500'000, {}, {}};
      runtime::TaskGroup group(context, "writers");
      group.Spawn({.name = "one"}, [&](const Context& c) { return one.Run(c); });
      group.Spawn({.name = "two"}, [&](const Context& c) { return two.Run(c); });
      group.Spawn({.name = "others"}, [&](const Context& c) -> Status {
        for (int i = 0; !one.stop; ++i) {
          (void)cluster.Put(c, "\x10loae" + std::to_string(i % 7), std::to_string(i)).ok();
          RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, 3ms));
        }
        return OkStatus();
      });
      for (uint64_t round = 0; round < 4; ++round) {
        (void)context.runtime().scheduler().SleepFor(context, 400ms).ok();
        const NodeId holder = cluster.LeaseholderOf("\x10k");
        const NodeId victim = round % 2 == 0 && holder ? holder : NodeId(1 + (seed + round) % 3);
        cluster.Crash(victim);
        (void)context.runtime().scheduler().SleepFor(context, 1500ms).ok();
        cluster.Start(victim);
        (void)context.runtime().scheduler().SleepFor(context, 2s).ok();
      }
      one.stop = two.stop = true;
      RETURN_IF_ERROR(group.Join());
      RETURN_IF_ERROR(one.Check(context));
      RETURN_IF_ERROR(two.Check(context));
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 5s));
      return cluster.CheckReplicasAgree(context);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// What was cleared stays cleared, though the load before it may be applied again after a crash, and what was loaded
// after a clearing stays, though the clearing may be applied again behind it.
TEST(Load, ReplayedCommandsKeepTheirOrder) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Cluster cluster({.seed = seed});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));  // there is a leaseholder
      for (int round = 0; round < 6; ++round) {
        CLUSTER_CHECK(!cluster.Send(context, LoadOf(cluster, 1, kRows)).error);
        BatchRequest clear;
        clear.requests.push_back(ClearRangeRequest{{RowKey(1, 0), RowKey(2, 0)}});
        CLUSTER_CHECK(!cluster.Send(context, clear).error);
        const bool loaded = (seed + uint64_t(round)) % 2 == 0;
        if (loaded) CLUSTER_CHECK(!cluster.Send(context, LoadOf(cluster, 1, kRows)).error);
        cluster.Crash(NodeId(1));
        cluster.Start(NodeId(1));
        CLUSTER_CHECK(cluster.Eventually(context, 20s, [&] { return bool(cluster.LeaseholderOf(RowKey(1, 0))); }));
        ASSIGN_OR_RETURN(const auto rows, cluster.Scan(context, {RowKey(1, 0), RowKey(2, 0)}));
        CLUSTER_CHECK(rows.size() == (loaded ? size_t(kRows) : 0));
        CLUSTER_CHECK(!cluster.Send(context, clear).error);
        for (const auto& range : cluster.store(NodeId(1))->ListRanges()) {
          if (range.descriptor.ContainsKey(RowKey(1, 0))) CLUSTER_CHECK(range.stats.key_count == 1);  // k
        }
      }
      return OkStatus();
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

// Borders move between the blocks: who sends learns of it, and no row is lost or doubled.
TEST(Load, SplitsBetweenBlocks) {
  Cluster cluster({.nodes = 3, .range_bytes_max = 6000, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));  // there is a leaseholder
    LoadWriter writer{cluster, 0, {}, {}};
    runtime::TaskGroup group(context, "writers");
    group.Spawn({.name = "writer"}, [&](const Context& c) { return writer.Run(c); });
    (void)context.runtime().scheduler().SleepFor(context, 6s).ok();
    writer.stop = true;
    RETURN_IF_ERROR(group.Join());
    for (const int block : writer.acknowledged) {
      ASSIGN_OR_RETURN(const auto row, cluster.Get(context, RowKey(block, kRows / 2)));
      CLUSTER_CHECK(row == std::to_string(block));
    }
    CLUSTER_CHECK(cluster.store(NodeId(1))->GetMetrics().range_count > 3);
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 5s));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
