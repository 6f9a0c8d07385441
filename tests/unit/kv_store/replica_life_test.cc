// A store that loses its replica of a range and gets another one: the younger finds its place free.
#include <gtest/gtest.h>

#include "kv/replica/raft_driver.h"
#include "orrery/base/wire.h"
#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kKey = "\x10k";

// Has the range that holds the key changed.
Status Change(const Context& context, Cluster& cluster, Request change, const std::string& key = kKey) {
  BatchRequest batch;
  NodeId holder;
  CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return bool(holder = cluster.LeaseholderOf(key)); }));
  for (const auto& range : cluster.store(holder)->ListRanges()) {
    if (range.descriptor.ContainsKey(key)) batch.header.range = range.descriptor.range;
  }
  batch.requests.push_back(std::move(change));
  ASSIGN_OR_RETURN(const std::string bytes,
                   context.runtime().transport().Call(context.WithTimeout(60s), holder, runtime::Method::kKvBatch,
                                                      wire::Encode(batch)));
  BatchResponse response;
  RETURN_IF_ERROR(wire::Decode(bytes, response));
  return response.error ? ToStatus(*response.error) : OkStatus();
}

ReplicaDescriptor On(NodeId node, Cluster& cluster) { return {node, cluster.StoreOf(node), {}, {}}; }
ReplicaDescriptor OnSecond(Cluster& cluster) { return On(NodeId(2), cluster); }

std::optional<ReplicaDescriptor> ReplicaOnSecond(Cluster& cluster) {
  for (const auto& range : cluster.store(NodeId(2))->ListRanges()) {
    const auto* replica = range.descriptor.ContainsKey(kKey) ? range.descriptor.FindNode(NodeId(2)) : nullptr;
    if (replica) return *replica;
  }
  return std::nullopt;
}

// B21: the tombstone of the older bars the older, and not the younger that the meta record names by then. The store
// asks it seconds after it was spoken to last.
TEST(ReplicaLife, ATombstoneDoesNotBarTheYoungerReplica) {
  Cluster cluster({.nodes = 2});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "1"));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = OnSecond(cluster)}));
    CLUSTER_CHECK(ReplicaOnSecond(cluster)->replica == ReplicaId(2));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.remove = OnSecond(cluster)}));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = OnSecond(cluster)}));
    CLUSTER_CHECK(cluster.Eventually(context, 1s, [&] {
      const auto replica = ReplicaOnSecond(cluster);
      return replica && replica->replica == ReplicaId(3) && replica->type == ReplicaType::kVoter;
    }));
    RETURN_IF_ERROR(cluster.Put(context, kKey, "2"));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// R11: a replica that was spoken to before its RaftSnapshot came, and is removed by now, has no descriptor to ask the
// meta record by; a message to the younger one tells it.
TEST(ReplicaLife, OneWithoutDataMakesRoomForTheYounger) {
  Cluster cluster({.nodes = 2});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "1"));
    RaftEnvelope heartbeat;
    heartbeat.from = {NodeId(1), cluster.StoreOf(NodeId(1)), ReplicaId(1), {}};
    heartbeat.to = {NodeId(2), cluster.StoreOf(NodeId(2)), ReplicaId(1), {}};
    heartbeat.message.type = raft::MessageType::kHeartbeat;
    heartbeat.message.from = heartbeat.message.to = ReplicaId(1);
    heartbeat.message.term = RaftTerm(1);
    for (const RangeId range : {RangeId(1), RangeId(2)}) {
      heartbeat.range = range;
      cluster.store(NodeId(2))->HandleRaftMessages(context, NodeId(1), wire::Encode(RaftMessageBatch{{heartbeat}}));
    }
    CLUSTER_CHECK(cluster.Eventually(context, 1s, [&] { return cluster.store(NodeId(2))->GetMetrics().range_count == 2; }));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = OnSecond(cluster)}));
    CLUSTER_CHECK(ReplicaOnSecond(cluster)->replica == ReplicaId(2));
    cluster.Crash(NodeId(2));
    cluster.Start(NodeId(2));
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 5s));
    RETURN_IF_ERROR(cluster.Put(context, kKey, "2"));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// B22, and seed 1200983 of `--workload=load --duration=4 --nemesis=all` at commit 0c1c4d1: a replica that was left behind before a
// split bars the right half. Nobody speaks to it, and the range queue asks the meta record only after a silence, or
// much later if it waits for a learner meanwhile. The refused RaftSnapshot has the store ask at once.
TEST(ReplicaLife, OneLeftBehindBeforeASplitMakesRoomForTheRightHalf) {
  const std::string left_key = "\x10" "a";
  Cluster cluster({.nodes = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "1"));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = OnSecond(cluster)}));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = On(NodeId(3), cluster)}));
    cluster.Crash(NodeId(2));
    RETURN_IF_ERROR(Change(context, cluster, AdminSplitRequest{kKey}));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.remove = OnSecond(cluster)}));
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.remove = OnSecond(cluster)}, left_key));
    cluster.Start(NodeId(2));
    CLUSTER_CHECK(cluster.Eventually(context, 1s, [&] { return cluster.store(NodeId(2)) != nullptr; }));
    CLUSTER_CHECK(ReplicaOnSecond(cluster)->replica == ReplicaId(2));
    const MonoTime before = context.runtime().clock().MonoNow();
    RETURN_IF_ERROR(Change(context, cluster, AdminChangeReplicasRequest{.add = OnSecond(cluster)}));
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - before < 3s);
    RETURN_IF_ERROR(cluster.Put(context, kKey, "2"));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
