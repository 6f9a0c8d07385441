#include "cli/sim/audit.h"

#include <algorithm>

#include "orrery/base/hash.h"
#include "orrery/storage/mvcc.h"

namespace orrery::cli {

using runtime::Context;

namespace {

const std::string kLeaseRule = "I7 two replicas never hold a range's lease at one instant";
const std::string kOverlapRule = "I16 replicas of one store never overlap";
const std::string kReplicaIdRule = "I17 replica ids are not used again";
const std::string kDigestRule = "I4 replicas at the same applied index are equal";
const std::string kRoutingRule = "I15 every key is in one range, and the routing index is the ranges";
const std::string kLockRule = "I14 no locks are left when all is quiet";
const std::string kLivenessRule = "I24 after healing every range takes writes from every node";

const std::string kGrownRule = "R10 a cluster that has grown keeps three voters of every range on three nodes";

constexpr size_t kGrownVoters = 3;

kv::Span Everything() { return {std::string(kv::kMinKey), std::string(kv::kMaxKey)}; }

bool Eventually(const Context& context, Duration limit, const std::function<bool()>& condition) {
  const MonoTime end = context.runtime().clock().MonoNow() + limit;
  while (!condition()) {
    if (context.runtime().clock().MonoNow() > end) return false;
    if (!context.runtime().scheduler().SleepFor(context, 100ms).ok()) return false;
  }
  return true;
}

}  // namespace

// ---- Watcher

void Watcher::CheckStore(NodeId node, const std::vector<kv::RangeStatus>& ranges) {
  std::vector<const kv::RangeDescriptor*> sorted;
  for (const auto& range : ranges) {
    sorted.push_back(&range.descriptor);
    for (const auto& replica : range.descriptor.replicas) {
      const auto [it, fresh] = replica_stores_.try_emplace({range.descriptor.range, replica.replica}, replica.store);
      if (it->second == replica.store) continue;
      cluster_.report().Violate(kReplicaIdRule, "range " + ToString(range.descriptor.range) + ", replica " + ToString(replica.replica));
    }
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->start < b->start; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1]->end <= sorted[i]->start) continue;
    cluster_.report().Violate(kOverlapRule, "node " + ToString(node) + ": ranges " + ToString(sorted[i - 1]->range) + " and " +
                                                ToString(sorted[i]->range) + " both hold " + Printable(sorted[i]->start));
  }
}

std::vector<std::pair<RangeId, Watcher::Holder>> Watcher::Holders(NodeId node) {
  std::vector<std::pair<RangeId, Holder>> out;
  cluster_.Observe(node, [&](NodeLife& life) {
    for (const auto& range : life.store->ListRanges()) {
      if (range.lease_valid_here) out.push_back({range.descriptor.range, {node, range.lease}});
    }
  });
  return out;
}

bool Watcher::StillHolds(const Holder& holder, RangeId range) {
  for (const auto& [id, now] : Holders(holder.node)) {
    if (id == range && now.lease == holder.lease) return true;
  }
  return false;
}

// A look takes virtual time. What proves two holders at once: the first one holds the same lease before and
// after the second one was seen to hold its own.
void Watcher::LookOnce() {
  std::map<RangeId, Holder> first;
  for (const NodeId node : cluster_.nodes()) {
    cluster_.Observe(node, [&](NodeLife& life) { CheckStore(node, life.store->ListRanges()); });
    for (const auto& [range, holder] : Holders(node)) {
      const auto [it, fresh] = first.try_emplace(range, holder);
      if (fresh || !StillHolds(it->second, range)) continue;
      cluster_.report().Violate(kLeaseRule, "range " + ToString(range) + ": node " + ToString(it->second.node) + " (lease " +
                                                ToString(it->second.lease.sequence) + ") and node " + ToString(holder.node) +
                                                " (lease " + ToString(holder.lease.sequence) + ")");
    }
  }
  cluster_.report().Count("looks at leases");
}

// ---- Liveness

namespace {

// Writes to every range through one node; empty if all went well.
std::string WriteEverywhere(SimCluster& cluster, NodeId node, Duration limit) {
  std::string trouble;
  const Status ran = cluster.RunOn(node, "liveness", [&](ClientEnv& env) -> Status {
    const Context context = env.context.WithTimeout(limit);
    auto ranges = env.database.ListRanges(context, Everything());
    if (!ranges.ok()) return ranges.status().Annotate("reading the routing index");
    for (const auto& range : *ranges) {
      const std::string key = range.start < kv::kTableDataStart ? kv::ClusterKey("sim probe") : range.start + '\x01' + "sim probe";
      const Status put = env.database.RunTxn(context, "probe", [&](kv::Txn& txn) {
        kv::Batch batch;
        batch.Put(key, "here");
        return txn.Run(context, batch);
      });
      if (!put.ok()) trouble += "range " + ToString(range.range) + " through node " + ToString(node) + ": " + put.ToString() + "; ";
    }
    return OkStatus();
  });
  return ran.ok() ? trouble : trouble + "node " + ToString(node) + ": " + ran.ToString();
}

// How the replicas stand, for who has to find out why nothing moves.
std::string Standing(SimCluster& cluster) {
  std::string out;
  for (const NodeId node : cluster.nodes()) {
    cluster.Observe(node, [&](NodeLife& life) {
      for (const auto& range : life.store->ListRanges()) {
        const auto& raft = range.raft;
        out += "\n      node " + ToString(node) + " range " + ToString(range.descriptor.range) + " term " + ToString(raft.term) +
               " leader " + ToString(raft.leader) + (raft.quiet ? " quiet" : "") + " log " + ToString(raft.last_index) + " commit " +
               ToString(raft.commit) + " applied " + ToString(raft.applied) + " lease " + ToString(range.lease.sequence) + " of " +
               ToString(range.lease.holder.node) + " term " + ToString(range.lease.term) + " from " + range.lease.start.ToString() +
               (range.lease_valid_here ? " valid" : "");
        for (const auto& peer : raft.peers) {
          constexpr const char* kStates[] = {" probed to ", " replicated to ", " sent a RaftSnapshot, at "};
          out += "; replica " + ToString(peer.id) + (peer.learner ? " (learner)" : "") + kStates[size_t(peer.state)] + ToString(peer.match);
        }
      }
    });
  }
  return out;
}

std::string LocksLeft(SimCluster& cluster) {
  std::string left;
  for (const NodeId node : cluster.nodes()) {
    cluster.Observe(node, [&](NodeLife& life) {
      auto locks = storage::MvccScanLocks(*life.engine, kv::kMinKey, kv::kMaxKey, 3);
      if (!locks.ok()) left += locks.status().ToString();
      for (size_t i = 0; locks.ok() && i < locks->size(); ++i) {
        left += "node " + ToString(node) + ": " + Printable((*locks)[i].key) + " by " + HexEncode((*locks)[i].txn.id) + "; ";
      }
    });
  }
  return left;
}

}  // namespace

void CheckLiveness(const Context& context, SimCluster& cluster, Duration limit) {
  const MonoTime end = context.runtime().clock().MonoNow() + limit;
  for (const NodeId node : cluster.nodes()) {
    const auto serves = [&] {
      cluster.RestartStopped();
      return cluster.Life(node) != nullptr;
    };
    if (!Eventually(context, limit, serves)) {
      return cluster.report().Violate(kLivenessRule, "node " + ToString(node) + " does not come up");
    }
    const std::string trouble = WriteEverywhere(cluster, node, std::max(Duration(1s), end - context.runtime().clock().MonoNow()));
    if (!trouble.empty()) cluster.report().Violate(kLivenessRule, trouble + Standing(cluster));
  }
  std::string left;
  if (!Eventually(context, std::max(Duration(1s), end - context.runtime().clock().MonoNow()), [&] {
        left = LocksLeft(cluster);
        return left.empty();
      })) {
    cluster.report().Violate(kLockRule, left);
  }
}

// ---- Audit

namespace {

// Empty once every range has three voters on three nodes and nothing else.
std::string NotGrown(SimCluster& cluster) {
  std::string trouble;
  const Status read = cluster.RunOn(cluster.nodes().front(), "growth", [&](ClientEnv& env) -> Status {
    ASSIGN_OR_RETURN(const auto index, env.database.ListRanges(env.context.WithTimeout(10s), Everything()));
    for (const auto& range : index) {
      std::set<NodeId> voters;
      for (const auto& replica : range.replicas) {
        if (replica.type == kv::ReplicaType::kVoter) voters.insert(replica.node);
      }
      if (voters.size() == kGrownVoters && range.replicas.size() == kGrownVoters) continue;
      trouble += "range " + ToString(range.range) + " has " + std::to_string(voters.size()) + " voters among " +
                 std::to_string(range.replicas.size()) + " replicas; ";
    }
    return OkStatus();
  });
  return read.ok() ? trouble : read.ToString();
}

}  // namespace

void CheckGrown(const Context& context, SimCluster& cluster, Duration limit) {
  std::string trouble;
  if (!Eventually(context, limit, [&] { return (trouble = NotGrown(cluster)).empty(); })) {
    cluster.report().Violate(kGrownRule, trouble + Standing(cluster));
  }
}

namespace {

// Empty once all replicas of every range stand at one index with one digest.
std::string ReplicasDiffer(SimCluster& cluster) {
  std::map<RangeId, std::map<NodeId, kv::RangeDigest>> digests;
  std::string trouble;
  for (const NodeId node : cluster.nodes()) {
    cluster.Observe(node, [&](NodeLife& life) {
      for (const auto& range : life.store->ListRanges()) {
        if (!range.descriptor.FindNode(life.identity)) continue;  // removed, about to go
        auto digest = life.store->Digest(range.descriptor.range);
        if (digest.ok()) digests[range.descriptor.range][node] = *digest;
        else trouble += digest.status().ToString() + "; ";
      }
    });
  }
  for (const auto& [range, all] : digests) {
    const auto& [first_node, first] = *all.begin();
    for (const auto& [node, digest] : all) {
      if (digest.applied == first.applied && digest.digest == first.digest) continue;
      trouble += "range " + ToString(range) + ": node " + ToString(first_node) + " at " + ToString(first.applied) + " has " +
                 std::to_string(first.digest) + ", node " + ToString(node) + " at " + ToString(digest.applied) + " has " +
                 std::to_string(digest.digest) + "; ";
    }
  }
  return trouble;
}

// Empty if the routing index covers the key space and each range in it is what its replicas say they are.
std::string RoutingDiffers(SimCluster& cluster) {
  std::vector<kv::RangeDescriptor> index;
  const NodeId any = cluster.nodes().front();
  const Status read = cluster.RunOn(any, "audit", [&](ClientEnv& env) -> Status {
    ASSIGN_OR_RETURN(index, env.database.ListRanges(env.context.WithTimeout(10s), Everything()));
    return OkStatus();
  });
  if (!read.ok()) return read.ToString();
  std::string trouble;
  std::string end(kv::kMinKey);
  for (const auto& range : index) {
    if (range.start != end) trouble += "hole or overlap before " + Printable(range.start) + "; ";
    end = range.end;
    for (const auto& replica : range.replicas) {
      bool found = false;
      for (const NodeId node : cluster.nodes()) {
        cluster.Observe(node, [&](NodeLife& life) {
          if (life.identity != replica.node) return;
          for (const auto& status : life.store->ListRanges()) found |= status.descriptor == range;
        });
      }
      if (!found) trouble += "range " + ToString(range.range) + " is not the one on node " + ToString(replica.node) + "; ";
    }
  }
  if (end != kv::kMaxKey) trouble += "nothing holds the keys from " + Printable(end);
  return trouble;
}

void LoadModel(SimCluster& cluster, VersionModel& model) {
  std::set<RangeId> loaded;
  for (const NodeId node : cluster.nodes()) {
    cluster.Observe(node, [&](NodeLife& life) {
      for (const auto& range : life.store->ListRanges()) {
        const auto& descriptor = range.descriptor;
        if (!descriptor.FindNode(life.identity) || !loaded.insert(descriptor.range).second) continue;
        const std::string& end = descriptor.end;
        const Status status = model.Load(*life.engine, {descriptor.start, end});
        if (!status.ok()) cluster.report().Violate("stored versions pass their checks", status.ToString());
      }
    });
  }
  cluster.report().Count("versions", model.version_count());
  cluster.report().Count("ranges at the end", loaded.size());
}

}  // namespace

void Audit(const Context& context, SimCluster& cluster, VersionModel& model) {
  std::string trouble;
  if (!Eventually(context, 30s, [&] { return (trouble = RoutingDiffers(cluster)).empty(); })) {
    cluster.report().Violate(kRoutingRule, trouble + Standing(cluster));
  }
  if (!Eventually(context, 30s, [&] { return (trouble = ReplicasDiffer(cluster)).empty(); })) {
    cluster.report().Violate(kDigestRule, trouble + Standing(cluster));
  }
  LoadModel(cluster, model);
}

}  // namespace orrery::cli
