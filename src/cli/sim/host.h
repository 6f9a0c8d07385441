// NodeHost: how a node is put together for one life in a simulation: as the whole server::Node, or from the
// parts below SQL, which start faster.
#pragma once

#include <functional>

#include "orrery/kv/client/database.h"
#include "orrery/kv/store/store.h"
#include "orrery/runtime/context.h"
#include "orrery/storage/engine.h"

namespace orrery::cli {

enum class NodeStack : uint8_t { kServer, kKv };

struct HostOptions {
  NodeId node;
  uint64_t nodes = 3;  // it is told of the nodes 1 to this
  NodeStack stack = NodeStack::kServer;
  kv::StoreOptions store;  // limits
};
struct HostHooks {
  std::function<void(kv::Database&, kv::Store&)> on_ready;
  // Before its parts are taken apart (ready or not): nobody may use them after this returns.
  std::function<void()> on_stop;
  // A line of its log, warnings and worse.
  std::function<void(std::string_view)> log;
};

// The identity of the store and its first ranges, before its first life: `nodes` make the cluster.
Status PrepareStore(storage::Engine& engine, NodeId node, uint64_t nodes, Timestamp ts);
// One life: until the context is cancelled (OK), or the node cannot go on (why).
Status HostNode(const runtime::Context& context, storage::Engine& engine, const HostOptions& options, const HostHooks& hooks);

}  // namespace orrery::cli
