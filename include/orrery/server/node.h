// Node: one dbserver, put together. It opens nothing of its own: runtime, engine and log are given, so that the
// same node runs in production and in a simulation. docs/design/server.md tells the order of starting and
// stopping. Run is called once; RequestStop and the accessors by any task.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/kv/client/kv_client.h"
#include "orrery/kv/store/store.h"
#include "orrery/observability/log.h"
#include "orrery/runtime/runtime.h"
#include "orrery/storage/engine.h"

namespace orrery::server {

struct NodeOptions {
  std::string store_folder;             // beside the engine's files: peers, bootstrap plan
  std::string sql_address = "127.0.0.1:15432";
  std::string rpc_address = "127.0.0.1:15532";
  std::string http_address = "127.0.0.1:15632";  // empty: none
  std::vector<std::string> join;        // rpc addresses of other nodes
  std::string locality;
  std::string version;
  bool init_alone = false;              // a store without identity becomes a cluster of one
  kv::StoreOptions store;               // node and store ids are filled in
  size_t sql_connections_max = 10'000;
  kv::TableRanges table_ranges = kv::TableRanges::kShared;
};

// What operators are told once the node serves.
struct NodeReadyInfo {
  NodeId node;
  std::string cluster_id;
  bool new_cluster = false;
  std::string sql_address, rpc_address, http_address;  // as bound
};

struct NodeHooks {
  std::function<void()> on_waiting;                       // no identity yet: waits for `dbctl init` or a cluster
  std::function<void(const NodeReadyInfo&)> on_ready;
};

class Node {
 public:
  static std::unique_ptr<Node> Create(runtime::Runtime& runtime, storage::Engine& engine, observability::Logger& log,
                                      NodeOptions options, NodeHooks hooks);
  virtual ~Node() = default;

  // Starts, serves, and returns when stopped (OK) or when the node cannot go on (why). Cancelling the context
  // stops it as a crash would; RequestStop drains first.
  virtual Status Run(const runtime::Context& context) = 0;
  virtual void RequestStop() = 0;
  // Null until ready.
  virtual kv::Database* database() = 0;
  virtual kv::Store* store() = 0;
};

}  // namespace orrery::server
