// Messages of administration between nodes, and between dbctl and a node (docs/formats/admin_messages.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/runtime/transport.h"

namespace orrery::server {

// Method::kBootstrap. dbctl init sends it to one node with `step` kInit; that node asks the others.
enum class BootstrapStep : uint8_t {
  kInit = 0,     // make a cluster of you and the nodes you were told to join
  kPropose = 1,  // are you without a cluster, and at which addresses?
  kAdopt = 2,    // be this node of this cluster, with these first replicas
};
struct BootstrapRequest {
  BootstrapStep step = BootstrapStep::kInit;
  std::string cluster_id;
  NodeId node;
  StoreId store;
  std::vector<kv::ReplicaDescriptor> replicas;
  Timestamp ts;
  std::vector<kv::NodeDescriptor> nodes;  // kAdopt: everyone's addresses
  template <class V> void Visit(V& v) {
    v(1, step); v(2, cluster_id); v(3, node); v(4, store); v(5, replicas); v(6, ts); v(7, nodes);
  }
};
struct BootstrapResponse {
  std::string cluster_id;             // of the cluster made, or of the one the node is already in
  uint64_t incarnation = 0;           // kPropose: tells a node from itself when it meets its own address
  kv::NodeDescriptor self;            // kPropose: addresses; node id 0 if it has no cluster yet
  std::vector<kv::NodeDescriptor> nodes;  // kInit: who is in
  template <class V> void Visit(V& v) { v(1, cluster_id); v(2, incarnation); v(3, self); v(4, nodes); }
};

// Method::kJoin: a node without identity asks a member for one.
struct JoinRequest {
  kv::NodeDescriptor self;  // addresses and locality; ids are 0
  template <class V> void Visit(V& v) { v(1, self); }
};
struct JoinResponse {
  std::string cluster_id;
  NodeId node;
  StoreId store;
  std::vector<kv::NodeDescriptor> nodes;
  template <class V> void Visit(V& v) { v(1, cluster_id); v(2, node); v(3, store); v(4, nodes); }
};

// Method::kStoreStatus: what one node knows; dbctl asks it, and a node asks the others to answer for all.
enum class StatusScope : uint8_t { kCluster = 0, kNode = 1 };  // 0 is not written on the wire, so it is the default
struct StatusRequest {
  StatusScope scope = StatusScope::kCluster;
  uint8_t with_ranges = 0;
  template <class V> void Visit(V& v) { v(1, scope); v(2, with_ranges); }
};
struct RangeReport {
  kv::RangeDescriptor descriptor;
  kv::Lease lease;
  uint8_t lease_here = 0;
  RaftTerm term;
  ReplicaId leader;
  RaftIndex commit;
  RaftIndex applied;
  int64_t live_bytes = 0;
  int64_t live_count = 0;
  uint64_t raft_log_bytes = 0;
  template <class V> void Visit(V& v) {
    v(1, descriptor); v(2, lease); v(3, lease_here); v(4, term); v(5, leader); v(6, commit); v(7, applied);
    v(8, live_bytes); v(9, live_count); v(10, raft_log_bytes);
  }
};
struct NodeReport {
  kv::NodeDescriptor node;
  uint8_t live = 0;
  uint8_t ready = 0;
  uint8_t draining = 0;
  uint64_t range_count = 0;
  uint64_t lease_count = 0;
  uint64_t sql_connections = 0;
  int64_t uptime_ns = 0;
  std::string error;  // why the rest is missing: the node could not be asked
  std::vector<RangeReport> ranges;
  template <class V> void Visit(V& v) {
    v(1, node); v(2, live); v(3, ready); v(4, draining); v(5, range_count); v(6, lease_count);
    v(7, sql_connections); v(8, uptime_ns); v(9, error); v(10, ranges);
  }
};
struct StatusResponse {
  std::string cluster_id;
  std::vector<NodeReport> nodes;
  template <class V> void Visit(V& v) { v(1, cluster_id); v(2, nodes); }
};

// Numbers of methods from 32 on are the server's own.
inline constexpr auto kRangeSplitMethod = runtime::Method(32);

// kRangeSplitMethod, a call by address: ranges are to begin at these keys. An empty answer.
struct RangeSplitRequest {
  std::vector<std::string> keys;
  template <class V> void Visit(V& v) { v(1, keys); }
};

// Method::kSqlCancel.
struct CancelMessage {
  int32_t pid = 0;
  int32_t secret = 0;
  template <class V> void Visit(V& v) { v(1, pid); v(2, secret); }
};

}  // namespace orrery::server
