// KvClient: a node's client of KV, put together: routing, the transactions' coordinators and what they leave
// to do in the background (heartbeats of long transactions, clean-up after commits and rollbacks).
// Thread-safe after Start; Start and Stop once each.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "orrery/kv/client/database.h"
#include "orrery/kv/client/dist_sender.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

// What becomes of Database::Split, which says where a new table begins.
enum class TableRanges : uint8_t {
  kOwn,     // each table begins a range of its own
  kShared,  // small tables share one until it grows beyond its limit, so that a transaction over several of them
            // commits in one consensus round (1PC)
};

struct KvClientOptions {
  DistSenderOptions routing;
  size_t span_bytes_max = 256 * 1024;     // per transaction, for each of: spans read, spans locked (T12)
  size_t cleanup_queue_max = 4096;        // finished transactions whose locks wait to be resolved
  size_t cleanup_tasks = 2;
  TableRanges table_ranges = TableRanges::kOwn;
  Duration heartbeat_interval = 1s;       // T22; only transactions older than this have a heartbeat
};

struct KvClientDeps {
  runtime::Runtime& runtime;
  HybridClock& clock;
  std::function<std::optional<RangeDescriptor>()> first_range;
  NodeSender* remote = nullptr;  // null: the runtime's transport
  std::function<Duration(NodeId)> silence = {};  // DistSender's
};

class KvClient {
 public:
  static std::unique_ptr<KvClient> Create(KvClientOptions options, KvClientDeps deps);
  virtual ~KvClient() = default;

  // Before Start: this node's store (its ranges are asked by a function call).
  virtual void SetLocal(Sender& local) = 0;
  // Starts the background tasks. Without it, clean-up is done by whoever ends a transaction, and nothing has
  // a heartbeat.
  virtual void Start(const runtime::Context& context) = 0;
  // Ends them. Every Txn is gone or finished by then; what is left to clean is left to others (T22).
  virtual void Stop() = 0;

  virtual Database& database() = 0;
  virtual DistSender& sender() = 0;  // also what a store's own requests go through
};

}  // namespace orrery::kv
