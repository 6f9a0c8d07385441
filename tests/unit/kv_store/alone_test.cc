// Ranges with one voter, whose commits take effect with the write that makes them durable (docs/design/replica.md, "One voter").
#include <gtest/gtest.h>

#include "kv/replica/local_keys.h"
#include "orrery/kv/changes/command_sink.h"
#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;
using storage::ColumnFamily;

const std::string kKey = "\x10" "k";

// How many entries the log of the range that holds kKey has on disk.
size_t EntriesOnDisk(Cluster& cluster, RangeId range) {
  const auto it = cluster.engine(NodeId(1)).NewIterator(ColumnFamily::kRaft,
                                                        {local_keys::LogPrefix(range), local_keys::HardState(range)});
  size_t count = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) ++count;
  return count;
}

RangeId RangeOfKey(Cluster& cluster) {
  for (const auto& range : cluster.store(NodeId(1))->ListRanges()) {
    if (range.descriptor.ContainsKey(kKey)) return range.descriptor.range;
  }
  return RangeId();
}

TEST(Alone, WritesLeaveNoEntries) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 0; i < 5; ++i) {
      RETURN_IF_ERROR(cluster.Put(context, kKey, std::to_string(i)));
      CLUSTER_CHECK(EntriesOnDisk(cluster, RangeOfKey(cluster)) == 0);
      cluster.Crash(NodeId(1));
      cluster.Start(NodeId(1));
      CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return cluster.LeaseholderOf(kKey) == NodeId(1); }));
      CLUSTER_CHECK(EntriesOnDisk(cluster, RangeOfKey(cluster)) > 0);  // the election, the lease
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kKey));
      CLUSTER_CHECK(value == std::to_string(i));
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(Alone, ManyAtOnceAllTakeEffect) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    // More than raft hands out for applying at once: such a cycle's rest is applied in the next ones.
    const std::string large(300 << 10, 'x');
    runtime::TaskGroup group(context, "writers");
    for (int i = 0; i < 12; ++i) {
      group.Spawn({.name = "writer"}, [&, i](const Context& c) -> Status {
        for (int round = 0; round < 3; ++round) {
          RETURN_IF_ERROR(cluster.Put(c, kKey + std::to_string(i), std::to_string(round) + large));
        }
        return OkStatus();
      });
    }
    RETURN_IF_ERROR(group.Join());
    cluster.Crash(NodeId(1));
    cluster.Start(NodeId(1));
    for (int i = 0; i < 12; ++i) {
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kKey + std::to_string(i)));
      CLUSTER_CHECK(value == "2" + large);
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Who taps the changes may have to read the log after a crash.
TEST(Alone, AChangeStreamKeepsTheLog) {
  struct Counter : CommandSink {
    int commands = 0;
    void OnApplied(const AppliedCommand&) override { ++commands; }
  } sink;
  Cluster cluster({.changes = &sink});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 0; i < 5; ++i) RETURN_IF_ERROR(cluster.Put(context, kKey, std::to_string(i)));
    CLUSTER_CHECK(sink.commands >= 5);
    CLUSTER_CHECK(EntriesOnDisk(cluster, RangeOfKey(cluster)) >= 5);
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// I25: a write that failed has no effect that anybody sees, and nobody is told that it has.
TEST(Alone, AFailedWriteIsAmbiguousAndUnseen) {
  Cluster cluster({});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "before"));
    cluster.engine(NodeId(1)).FailWritesWith(UnavailableError("the disk is gone"));
    CLUSTER_CHECK(cluster.Put(context, kKey, "after").code() == Code::kAmbiguous);
    CLUSTER_CHECK(!cluster.Get(context, kKey).ok());  // the store is lost
    cluster.Crash(NodeId(1));
    cluster.Start(NodeId(1));
    ASSIGN_OR_RETURN(const auto value, cluster.Get(context, kKey));
    CLUSTER_CHECK(value == "before");
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
