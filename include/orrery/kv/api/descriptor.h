// Range and node descriptors: who holds which keys, and where the nodes are. Plain data with wire form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/time.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/keys.h"

namespace orrery::kv {

enum class ReplicaType : uint8_t { kVoter = 0, kLearner = 1, kVoterIncoming = 2, kVoterOutgoing = 3 };

struct ReplicaDescriptor {
  NodeId node;
  StoreId store;
  ReplicaId replica;
  ReplicaType type = ReplicaType::kVoter;
  friend bool operator==(const ReplicaDescriptor&, const ReplicaDescriptor&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, node);
    v(2, store);
    v(3, replica);
    v(4, type);
  }
};

// Invariants: start < end; one replica a node (R11); replica ids below next_replica, never re-used (I17);
// generation grows by exactly one with every change (R2).
struct RangeDescriptor {
  RangeId range;
  std::string start;  // inclusive
  std::string end;    // exclusive
  std::vector<ReplicaDescriptor> replicas;
  ReplicaId next_replica;
  RangeGeneration generation;
  friend bool operator==(const RangeDescriptor&, const RangeDescriptor&) = default;

  bool ContainsKey(std::string_view key) const { return start <= key && key < end; }
  bool ContainsSpan(const Span& span) const {
    return ContainsKey(span.start) && (span.is_point() || std::string_view(span.end) <= end);
  }
  const ReplicaDescriptor* FindNode(NodeId node) const;
  const ReplicaDescriptor* FindReplica(ReplicaId replica) const;
  template <class V>
  void Visit(V& v) {
    v(1, range);
    v(2, start);
    v(3, end);
    v(4, replicas);
    v(5, next_replica);
    v(6, generation);
  }
};

// The right of one replica to serve its range (T4, T5). Leader lease: it holds while the replica is the Raft
// leader of `term` and a quorum supports it on the monotonic clock (raft::LeaseStatus).
struct Lease {
  LeaseSequence sequence;    // +1 with every new lease
  ReplicaDescriptor holder;
  RaftTerm term;             // the leadership the lease rests on
  Timestamp start;           // no timestamp below is served under it: the low-water of its timestamp cache
  friend bool operator==(const Lease&, const Lease&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, sequence);
    v(2, holder);
    v(3, term);
    v(4, start);
  }
};

// What the cluster knows of a node; spread by kv/cluster.
struct NodeDescriptor {
  NodeId node;
  StoreId store;
  std::string rpc_address;
  std::string sql_address;
  std::string http_address;
  std::string locality;       // "region=eu,az=a"
  std::string version;
  int64_t started_at_ns = 0;  // wall clock; the incarnation's number
  friend bool operator==(const NodeDescriptor&, const NodeDescriptor&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, node);
    v(2, store);
    v(3, rpc_address);
    v(4, sql_address);
    v(5, http_address);
    v(6, locality);
    v(7, version);
    v(8, started_at_ns);
  }
};

}  // namespace orrery::kv
