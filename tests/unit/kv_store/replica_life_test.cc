// A store that loses its replica of a range and gets another one: the younger finds its place free.
#include <gtest/gtest.h>

#include "kv/replica/raft_driver.h"
#include "orrery/base/wire.h"
#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kKey = "\x10k";

// Changes the replicas of the range that holds kKey.
Status Change(const Context& context, Cluster& cluster, AdminChangeReplicasRequest change) {
  BatchRequest batch;
  const NodeId holder = cluster.LeaseholderOf(kKey);
  for (const auto& range : cluster.store(holder)->ListRanges()) {
    if (range.descriptor.ContainsKey(kKey)) batch.header.range = range.descriptor.range;
  }
  batch.requests.push_back(std::move(change));
  ASSIGN_OR_RETURN(const std::string bytes,
                   context.runtime().transport().Call(context.WithTimeout(60s), holder, runtime::Method::kKvBatch,
                                                      wire::Encode(batch)));
  BatchResponse response;
  RETURN_IF_ERROR(wire::Decode(bytes, response));
  return response.error ? ToStatus(*response.error) : OkStatus();
}

ReplicaDescriptor OnSecond(Cluster& cluster) { return {NodeId(2), cluster.StoreOf(NodeId(2)), {}, {}}; }

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
    RETURN_IF_ERROR(Change(context, cluster, {.add = OnSecond(cluster)}));
    CLUSTER_CHECK(ReplicaOnSecond(cluster)->replica == ReplicaId(2));
    RETURN_IF_ERROR(Change(context, cluster, {.remove = OnSecond(cluster)}));
    RETURN_IF_ERROR(Change(context, cluster, {.add = OnSecond(cluster)}));
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
    RETURN_IF_ERROR(Change(context, cluster, {.add = OnSecond(cluster)}));
    CLUSTER_CHECK(ReplicaOnSecond(cluster)->replica == ReplicaId(2));
    cluster.Crash(NodeId(2));
    cluster.Start(NodeId(2));
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 5s));
    RETURN_IF_ERROR(cluster.Put(context, kKey, "2"));
    return cluster.CheckReplicasAgree(context);
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
