// Three stores: ranges spread to all of them, survive the loss of any one, and their replicas agree.
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

bool AllOnThreeVoters(Cluster& cluster) {
  std::map<RangeId, size_t> voters;
  for (const NodeId id : cluster.nodes()) {
    if (!cluster.store(id)) continue;
    for (const auto& range : cluster.store(id)->ListRanges()) {
      if (!range.lease_valid_here) continue;
      size_t count = 0;
      for (const auto& r : range.descriptor.replicas) count += r.type == ReplicaType::kVoter;
      voters[range.descriptor.range] = count;
    }
  }
  for (const auto& [range, count] : voters) {
    if (count != 3) return false;
  }
  return voters.size() >= 2;
}

// Writes to keys of its own until stopped; checks at the end that nothing acknowledged is missing.
struct Writer {
  Cluster& cluster;
  std::string prefix;
  std::map<std::string, std::string> acknowledged;
  bool stop = false;

  Status Run(const Context& context) {
    for (int i = 0; !stop; ++i) {
      const std::string key = prefix + std::to_string(i % 40);
      const Status status = cluster.Put(context, key, std::to_string(i));
      if (status.ok()) {
        acknowledged[key] = std::to_string(i);
      } else if (status.code() == Code::kAmbiguous || status.code() == Code::kUnavailable) {
        acknowledged.erase(key);  // either value may stand now
      } else {
        return status;
      }
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 2ms));
    }
    return OkStatus();
  }
  Status Check(const Context& context) {
    CLUSTER_CHECK(!acknowledged.empty());
    for (const auto& [key, value] : acknowledged) {
      ASSIGN_OR_RETURN(const auto now, cluster.Get(context, key));
      if (now != value) return InternalError("key " + key + " lost its value " + value + ", has " + now.value_or("none"));
    }
    return OkStatus();
  }
};

// N10: a full disk of one node is not the cluster's end, whoever has it; full disks of two are told at once.
TEST(ThreeNodes, FullDisks) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    auto& scheduler = context.runtime().scheduler();
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", "1"));
    const NodeId first = cluster.LeaseholderOf("\x10" "a");
    cluster.FillDisk(first);
    CLUSTER_CHECK(cluster.Eventually(context, 5s, [&] {
      const NodeId now = cluster.LeaseholderOf("\x10" "a");
      return now && now != first;
    }));
    for (int i = 0; i < 100; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", std::to_string(i)));
    const NodeId second = cluster.LeaseholderOf("\x10" "a");

    cluster.FillDisk(NodeId(6 - first.value() - second.value()));  // the one that is neither
    RETURN_IF_ERROR(scheduler.SleepFor(context, 1s));
    const MonoTime begin = context.runtime().clock().MonoNow();
    const Status refused = cluster.Put(context, "\x10" "a", "no");
    CLUSTER_CHECK(refused.sqlstate() == "53100");
    CLUSTER_CHECK(refused.message().find("a majority of its replicas") != std::string_view::npos);
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < 100ms);
    ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10" "a"));
    CLUSTER_CHECK(value == "99");
    BatchRequest erase;  // reaches the full ones, too
    erase.requests.push_back(DeleteRequest{"\x10" "a"});
    CLUSTER_CHECK(!cluster.Send(context, erase).error);

    // Exhausted disks of a majority: no deletions either, whoever leads.
    RETURN_IF_ERROR(cluster.Put(context, "\x04" "a", "1"));
    for (const NodeId node : cluster.nodes()) {
      if (node != second) cluster.FillDisk(node, storage::SpaceLevel::kExhausted);
    }
    RETURN_IF_ERROR(scheduler.SleepFor(context, 1s));
    const auto kept = cluster.Send(context, erase);
    CLUSTER_CHECK(kept.error && ToStatus(*kept.error).message().find("not even for deletions") != std::string_view::npos);

    for (const NodeId node : cluster.nodes()) cluster.FreeDisk(node);
    RETURN_IF_ERROR(scheduler.SleepFor(context, 1s));
    RETURN_IF_ERROR(cluster.Put(context, "\x10" "a", "again"));
    RETURN_IF_ERROR(scheduler.SleepFor(context, 5s));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(ThreeNodes, UpReplicate) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 0; i < 20; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), "v"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    for (int i = 0; i < 20; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), "w"));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// A range with one voter keeps no entries in its log (alone_test.cc); what joins it begins with a RaftSnapshot and goes on by the log.
TEST(ThreeNodes, GrowsUnderLoadAndCrashes) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      Writer writer{cluster, "\x10w", {}};
      runtime::TaskGroup group(context, "writers");
      group.Spawn({.name = "writer"}, [&](const Context& c) { return writer.Run(c); });
      for (uint64_t round = 0; round < 3; ++round) {
        (void)context.runtime().scheduler().SleepFor(context, 200ms * int64_t(seed + round)).ok();
        cluster.Crash(NodeId(1));
        cluster.Start(NodeId(1));
      }
      const bool grown = cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); });
      (void)context.runtime().scheduler().SleepFor(context, 1s).ok();
      writer.stop = true;
      RETURN_IF_ERROR(group.Join());
      CLUSTER_CHECK(grown);
      RETURN_IF_ERROR(writer.Check(context));
      return cluster.CheckReplicasAgree(context);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(ThreeNodes, LeaderCrashes) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Cluster cluster({.seed = seed, .nodes = 3, .replication = 3});
    const Status status = cluster.Run([&](const Context& context) -> Status {
      RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
      CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
      Writer writer{cluster, "\x10w", {}};
      runtime::TaskGroup group(context, "writers");
      group.Spawn({.name = "writer"}, [&](const Context& c) { return writer.Run(c); });
      Status failed;
      for (int round = 0; round < 4 && failed.ok(); ++round) {
        failed = context.runtime().scheduler().SleepFor(context, 500ms);
        const NodeId victim = cluster.LeaseholderOf("\x10w");
        if (!victim) continue;
        cluster.Crash(victim);
        // Failover well under three seconds.
        if (!cluster.Eventually(context, 3s, [&] { return bool(cluster.LeaseholderOf("\x10w")); })) {
          failed = InternalError("no new leaseholder within 3 s");
        }
        (void)context.runtime().scheduler().SleepFor(context, 300ms).ok();
        cluster.Start(victim);
        (void)context.runtime().scheduler().SleepFor(context, 2s).ok();
      }
      writer.stop = true;
      RETURN_IF_ERROR(group.Join());
      RETURN_IF_ERROR(failed);
      RETURN_IF_ERROR(writer.Check(context));
      return cluster.CheckReplicasAgree(context);
    });
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

TEST(ThreeNodes, SplitUnderLoad) {
  Cluster cluster({.nodes = 3, .range_bytes_max = 30000, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    Writer writer{cluster, "\x10w", {}};
    runtime::TaskGroup group(context, "writers");
    group.Spawn({.name = "writer"}, [&](const Context& c) { return writer.Run(c); });
    Status loaded;
    for (int i = 0; i < 300 && loaded.ok(); ++i) {
      loaded = cluster.Put(context, "\x10v" + std::to_string(1000 + i), std::string(300, 'x'));
    }
    const bool split = cluster.Eventually(context, 60s, [&] {
      Store* store = cluster.store(NodeId(1));
      return store && store->ListRanges().size() >= 4;
    });
    writer.stop = true;
    RETURN_IF_ERROR(group.Join());
    RETURN_IF_ERROR(loaded);
    CLUSTER_CHECK(split);
    RETURN_IF_ERROR(writer.Check(context));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Writes above a promise move the hybrid clock; a promise that counted from it would move on with every split.
TEST(ThreeNodes, ReadPromisesDoNotDriveTheClockAhead) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    for (int i = 0; i < 12; ++i) {
      const std::string key = "\x10s" + std::to_string(10 + i);
      BatchRequest split;
      split.requests.push_back(AdminSplitRequest{key});
      BatchResponse response;
      CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return !(response = cluster.Send(context, split)).error; }));
      RETURN_IF_ERROR(cluster.Put(context, key, "v"));
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, key));
      CLUSTER_CHECK(value == "v");
      BatchRequest get;
      get.requests.push_back(GetRequest{key});
      response = cluster.Send(context, get);
      CLUSTER_CHECK(!response.error);
      const Duration ahead(response.now.wall_ns - context.runtime().clock().WallNowNs());
      CLUSTER_CHECK(ahead < 500ms);  // the maximum clock offset: beyond it other nodes refuse (T2)
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(ThreeNodes, AReplicaThatFellBehindCatchesUpByRaftSnapshot) {
  Cluster cluster({.nodes = 3, .raft_log_entries_min = 8, .raft_log_bytes_max = 2000, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, "\x10k", "0"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    const NodeId holder = cluster.LeaseholderOf("\x10k");
    CLUSTER_CHECK(holder);
    const NodeId victim = holder == NodeId(3) ? NodeId(2) : NodeId(3);
    cluster.Crash(victim);
    for (int i = 0; i < 300; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), "v"));
    cluster.Start(victim);
    CLUSTER_CHECK(cluster.Eventually(context, 20s, [&] {
      return cluster.store(victim) && cluster.store(victim)->GetMetrics().snapshots_installed > 0;
    }));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(ThreeNodes, AWipedNodeIsReplaced) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    for (int i = 0; i < 20; ++i) RETURN_IF_ERROR(cluster.Put(context, "\x10k" + std::to_string(i), "v"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(cluster); }));
    cluster.Crash(NodeId(2));
    cluster.Wipe(NodeId(2), StoreId(7));
    cluster.Start(NodeId(2));
    CLUSTER_CHECK(cluster.Eventually(context, 120s, [&] {
      Store* store = cluster.store(NodeId(2));
      if (!store || store->ListRanges().size() < 2 || !AllOnThreeVoters(cluster)) return false;
      for (const auto& range : store->ListRanges()) {
        const auto* replica = range.descriptor.FindNode(NodeId(2));
        if (!replica || replica->store != StoreId(7) || replica->type != ReplicaType::kVoter) return false;
      }
      return true;
    }));
    for (int i = 0; i < 20; ++i) {
      ASSIGN_OR_RETURN(const auto value, cluster.Get(context, "\x10k" + std::to_string(i)));
      CLUSTER_CHECK(value == "v");
    }
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
