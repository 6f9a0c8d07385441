// Quiet ranges: they cost nothing, serve whoever asks, and notice when the node that leads them is gone.
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kKey = "\x10k";

class Quiescence {
 public:
  explicit Quiescence(ClusterOptions options) : cluster(Completed(options)) {}

  // Three replicas of each range, and nothing going on.
  Status FallQuiet(const Context& context) {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "0"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return AllOnThreeVoters(); }));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.AllQuiet(); }));
    return OkStatus();
  }
  // Of the range that holds the key, wherever the leader is.
  std::optional<RangeStatus> Leader() {
    std::optional<RangeStatus> leader;
    for (const NodeId id : cluster.nodes()) {
      if (!cluster.store(id)) continue;
      for (auto& range : cluster.store(id)->ListRanges()) {
        if (!range.descriptor.ContainsKey(kKey) || range.raft.role != raft::Role::kLeader) continue;
        if (!leader || leader->raft.term < range.raft.term) leader = std::move(range);
      }
    }
    return leader;
  }
  RaftTerm Term() { return Leader().value_or(RangeStatus()).raft.term; }

  Cluster cluster;

 private:
  static ClusterOptions Completed(ClusterOptions options) {
    if (options.nodes < 3) options.nodes = 3;
    options.replication = 3;
    if (options.quiesce_after == Duration(0)) options.quiesce_after = 500ms;
    return options;
  }
  bool AllOnThreeVoters() {
    size_t held = 0;
    for (const NodeId id : cluster.nodes()) {
      if (!cluster.store(id)) return false;
      for (const auto& range : cluster.store(id)->ListRanges()) {
        if (!range.lease_valid_here && !range.lease_rests_here) continue;
        ++held;
        if (range.descriptor.replicas.size() != 3) return false;
        for (const auto& r : range.descriptor.replicas) {
          if (r.type != ReplicaType::kVoter) return false;
        }
      }
    }
    return held >= 2;
  }
};

MonoTime Now(const Context& context) { return context.runtime().clock().MonoNow(); }

Status Sleep(const Context& context, Duration time) { return context.runtime().scheduler().SleepFor(context, time); }

void Expect(Quiescence& q, const std::function<Status(const Context&)>& body) {
  const Status status = q.cluster.Run(body);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(Quiescence, AQuietRangeKeepsItsLeaderAndServesAtOnce) {
  Quiescence q({});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    RETURN_IF_ERROR(Sleep(context, 30s));  // the queue has tidied up after the changes of replicas
    const RaftTerm term = q.Term();
    const StoreMetrics before = q.cluster.store(NodeId(1))->GetMetrics();
    RETURN_IF_ERROR(Sleep(context, 300s));
    CLUSTER_CHECK(q.cluster.AllQuiet());
    CLUSTER_CHECK(q.cluster.store(NodeId(1))->GetMetrics().times_quiet == before.times_quiet);  // and never woke
    CLUSTER_CHECK(q.Term() == term);
    CLUSTER_CHECK(!q.Leader()->lease_valid_here && q.Leader()->lease_rests_here);

    const MonoTime begin = Now(context);
    ASSIGN_OR_RETURN(const auto value, q.cluster.Get(context, kKey));
    CLUSTER_CHECK(value == "0");
    CLUSTER_CHECK(Now(context) - begin < 100ms);
    CLUSTER_CHECK(q.Leader()->lease_valid_here);
    RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
    CLUSTER_CHECK(q.Term() == term);
    CLUSTER_CHECK(q.cluster.Eventually(context, 10s, [&] { return q.cluster.AllQuiet(); }));
    return q.cluster.CheckReplicasAgree(context);
  });
}

// A writer that pauses as long as ranges need to fall quiet: every request meets another moment of it.
TEST(Quiescence, RequestsAtAnyMoment) {
  Quiescence q({});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    const RaftTerm term = q.Term();
    for (int i = 0; i < 150; ++i) {
      RETURN_IF_ERROR(Sleep(context, 400ms + i * 3ms));
      const MonoTime begin = Now(context);
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, std::to_string(i)));
      CLUSTER_CHECK(Now(context) - begin < 200ms);
    }
    CLUSTER_CHECK(q.Term() == term);
    return q.cluster.CheckReplicasAgree(context);
  });
}

TEST(Quiescence, FollowersTakeOverFromALeaderWhoseNodeDies) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Quiescence q({.seed = seed});
    Expect(q, [&](const Context& context) -> Status {
      RETURN_IF_ERROR(q.FallQuiet(context));
      const NodeId first = q.cluster.LeaseholderOf(kKey);
      q.cluster.Crash(first);
      // Nobody asks anything.
      CLUSTER_CHECK(q.cluster.Eventually(context, 2s, [&] { return bool(q.cluster.LeaseholderOf(kKey)); }));
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
      CLUSTER_CHECK(q.cluster.Eventually(context, 10s, [&] { return q.cluster.AllQuiet(); }));  // without the dead one
      const RaftTerm term = q.Term();
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, "2"));
      CLUSTER_CHECK(q.cluster.Eventually(context, 10s, [&] { return q.cluster.AllQuiet(); }));
      q.cluster.Start(first);  // is brought up to date, and unseats nobody
      CLUSTER_CHECK(q.cluster.Eventually(context, 20s, [&] { return q.cluster.store(first) && q.cluster.AllQuiet(); }));
      CLUSTER_CHECK(q.Term() == term);
      return q.cluster.CheckReplicasAgree(context);
    });
  }
}

// The death is not yet known to anybody: whoever asks wakes the followers, and waits no longer than for a busy range.
TEST(Quiescence, ARequestFindsOutThatTheLeaderIsGone) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Quiescence q({.seed = seed, .nodes_are_blind = true});
    Expect(q, [&](const Context& context) -> Status {
      RETURN_IF_ERROR(q.FallQuiet(context));
      q.cluster.Crash(q.cluster.LeaseholderOf(kKey));
      RETURN_IF_ERROR(Sleep(context, 20s));
      CLUSTER_CHECK(!q.cluster.LeaseholderOf(kKey));  // nobody knows, and nobody has a timer
      const MonoTime begin = Now(context);
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
      CLUSTER_CHECK(Now(context) - begin < 3s);
      return OkStatus();
    });
  }
}

TEST(Quiescence, ARestartedLeaderIsReplaced) {
  Quiescence q({});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    const NodeId first = q.cluster.LeaseholderOf(kKey);
    const RaftTerm term = q.Term();
    q.cluster.Crash(first);
    q.cluster.Start(first);  // before anybody sees it down
    CLUSTER_CHECK(q.cluster.Eventually(context, 3s, [&] { return bool(q.cluster.LeaseholderOf(kKey)); }));
    CLUSTER_CHECK(q.Term() > term);
    RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
    CLUSTER_CHECK(q.cluster.Eventually(context, 10s, [&] { return q.cluster.AllQuiet(); }));
    return q.cluster.CheckReplicasAgree(context);
  });
}

TEST(Quiescence, ARestartedFollowerUnseatsNobody) {
  for (const bool blind : {false, true}) {
    Quiescence q({.nodes_are_blind = blind});
    Expect(q, [&](const Context& context) -> Status {
      RETURN_IF_ERROR(q.FallQuiet(context));
      const RaftTerm term = q.Term();
      const NodeId follower = NodeId(q.cluster.LeaseholderOf(kKey).value() % 3 + 1);
      q.cluster.Crash(follower);
      RETURN_IF_ERROR(Sleep(context, 5s));
      q.cluster.Start(follower);
      RETURN_IF_ERROR(Sleep(context, 10s));
      CLUSTER_CHECK(q.Term() == term);
      CLUSTER_CHECK(q.cluster.AllQuiet());
      return q.cluster.CheckReplicasAgree(context);
    });
  }
}

// What is quiet sleeps through the restart of a member that had agreed to it: nobody wakes, and nobody has to.
TEST(Quiescence, ARestartedMemberSleepsOn) {
  Quiescence q({});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    RETURN_IF_ERROR(Sleep(context, 30s));
    const NodeId leader = q.cluster.LeaseholderOf(kKey);
    const NodeId follower = NodeId(leader.value() % 3 + 1);
    const uint64_t before = q.cluster.store(leader)->GetMetrics().times_quiet;
    for (int i = 0; i < 3; ++i) {
      q.cluster.Crash(follower);
      RETURN_IF_ERROR(Sleep(context, i * 5s));
      q.cluster.Start(follower);
      RETURN_IF_ERROR(Sleep(context, 20s));
      CLUSTER_CHECK(q.cluster.AllQuiet());
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, std::to_string(i)));
      RETURN_IF_ERROR(Sleep(context, 20s));
      CLUSTER_CHECK(q.cluster.AllQuiet());
    }
    // Three requests, each of which woke the range once; range 1, and what only sleeps, did not wake more often.
    CLUSTER_CHECK(q.cluster.store(leader)->GetMetrics().times_quiet <= before + 12);
    return q.cluster.CheckReplicasAgree(context);
  });
}

// Nobody leads when all come back. Whoever asks first need not wait for an election's timeout; and without anybody
// asking, the walk over quiet ranges finds them a leader.
TEST(Quiescence, AllNodesRestart) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Quiescence q({.seed = seed});
    Expect(q, [&](const Context& context) -> Status {
      RETURN_IF_ERROR(q.FallQuiet(context));
      for (const NodeId node : q.cluster.nodes()) q.cluster.Crash(node);
      for (const NodeId node : q.cluster.nodes()) q.cluster.Start(node);
      const MonoTime begin = Now(context);
      if (seed % 2 == 0) {
        RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
        CLUSTER_CHECK(Now(context) - begin < 3s);
      }
      CLUSTER_CHECK(q.cluster.Eventually(context, 20s, [&] { return bool(q.cluster.LeaseholderOf(kKey)); }));
      CLUSTER_CHECK(q.cluster.Eventually(context, 20s, [&] { return q.cluster.AllQuiet(); }));
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, "2"));
      return q.cluster.CheckReplicasAgree(context);
    });
  }
}

// The leader does not come back, and the others have slept through its end: they were restarted themselves.
TEST(Quiescence, OnlyTheFollowersRestart) {
  for (const bool blind : {false, true}) {
    Quiescence q({.nodes_are_blind = blind});
    Expect(q, [&](const Context& context) -> Status {
      RETURN_IF_ERROR(q.FallQuiet(context));
      const NodeId leader = q.cluster.LeaseholderOf(kKey);
      for (const NodeId node : q.cluster.nodes()) q.cluster.Crash(node);
      for (const NodeId node : q.cluster.nodes()) {
        if (node != leader) q.cluster.Start(node);
      }
      const MonoTime begin = Now(context);
      RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
      CLUSTER_CHECK(Now(context) - begin < 4s);
      return OkStatus();
    });
  }
}

TEST(Quiescence, ADrainHandsOverQuietRanges) {
  Quiescence q({});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    const NodeId first = q.cluster.LeaseholderOf(kKey);
    q.cluster.store(first)->Stop(StopMode::kDrain);
    const NodeId second = q.Leader()->raft.role == raft::Role::kLeader ? q.cluster.LeaseholderOf(kKey) : NodeId();
    CLUSTER_CHECK(second && second != first);
    q.cluster.Crash(first);
    const MonoTime begin = Now(context);
    RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
    CLUSTER_CHECK(Now(context) - begin < 500ms);
    return OkStatus();
  });
}

TEST(Quiescence, QuietRangesAreAdministered) {
  Quiescence q({.nodes = 4});
  Expect(q, [&](const Context& context) -> Status {
    RETURN_IF_ERROR(q.FallQuiet(context));
    const auto admin = [&](Request request) -> Status {
      BatchRequest batch;
      batch.header.range = q.Leader()->descriptor.range;
      batch.requests.push_back(std::move(request));
      ASSIGN_OR_RETURN(const std::string bytes,
                       context.runtime().transport().Call(context.WithTimeout(30s), q.cluster.LeaseholderOf(kKey),
                                                          runtime::Method::kKvBatch, wire::Encode(batch)));
      BatchResponse response;
      RETURN_IF_ERROR(wire::Decode(bytes, response));
      return response.error ? ToStatus(*response.error) : OkStatus();
    };
    const auto quiet = [&] { return q.cluster.Eventually(context, 20s, [&] { return q.cluster.AllQuiet(); }); };
    const RangeDescriptor range = q.Leader()->descriptor;
    const NodeId first = q.cluster.LeaseholderOf(kKey);
    const auto other = std::find_if(range.replicas.begin(), range.replicas.end(), [&](const auto& r) { return r.node != first; });
    RETURN_IF_ERROR(admin(AdminTransferLeaseRequest{other->node}));
    CLUSTER_CHECK(q.cluster.LeaseholderOf(kKey) == other->node);
    CLUSTER_CHECK(quiet());
    RETURN_IF_ERROR(admin(AdminSplitRequest{kKey}));
    CLUSTER_CHECK(quiet());
    NodeId fourth;
    for (const NodeId node : q.cluster.nodes()) {
      if (!range.FindNode(node)) fourth = node;
    }
    AdminChangeReplicasRequest change;
    change.expected_generation = q.Leader()->descriptor.generation;
    change.add = ReplicaDescriptor{fourth, q.cluster.StoreOf(fourth), {}, {}};
    change.remove = *range.FindNode(first);
    RETURN_IF_ERROR(admin(change));
    CLUSTER_CHECK(q.Leader()->descriptor.FindNode(fourth) && !q.Leader()->descriptor.FindNode(first));
    // The former replica is awake, alone, until it has asked and gone.
    CLUSTER_CHECK(q.cluster.Eventually(context, 60s, [&] { return q.cluster.AllQuiet(); }));
    RETURN_IF_ERROR(q.cluster.Put(context, kKey, "1"));
    return q.cluster.CheckReplicasAgree(context);
  });
}

}  // namespace
}  // namespace orrery::kv
