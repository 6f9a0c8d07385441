// Store: all replicas of one node's disk. It serves requests for the ranges whose lease it holds, drives their
// raft groups, moves RaftSnapshots, and runs the queues that split, replicate and clean up ranges.
//
// Thread safety: all methods, by many tasks at once, except Start and Stop (once each, in that order).
// Invariants: replicas of one store never overlap (I16, B22); nothing that promises durability leaves before
// the sync that covers it (B2); a command's effects and its applied index are one batch (A3, B6).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/base/time.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/kv/api/node_liveness.h"
#include "orrery/kv/api/planted_bug.h"
#include "orrery/kv/api/sender.h"
#include "orrery/kv/changes/command_sink.h"
#include "orrery/kv/store/placement_policy.h"
#include "orrery/raft/raw_node.h"
#include "orrery/runtime/context.h"
#include "orrery/storage/engine.h"
#include "orrery/storage/mvcc/stats.h"

namespace orrery::kv {

class HybridClock;

struct StoreOptions {
  NodeId node;
  StoreId store;
  Duration max_clock_offset = 500ms;

  // Raft. Failover takes an election timeout (drawn from one to two times this) and a round trip.
  Duration tick_interval = 100ms;
  Duration election_timeout = 1000ms;
  Duration heartbeat_interval = 200ms;
  Duration lease_duration = 800ms;
  uint64_t seed = 0;  // of election jitter
  // A range without requests for this long goes quiet: no ticks, no messages, and no lease until somebody asks.
  // Needs StoreDeps::liveness. 0: never.
  Duration quiesce_after = 2s;

  // Limits (named, so that every queue has one).
  uint64_t range_bytes_max = 256ull << 20;      // a larger range is split
  uint64_t raft_log_bytes_max = 16ull << 20;    // beyond it the log is truncated although a voter lags
  uint64_t raft_log_entries_min = 64;           // kept behind the applied index, if followers are caught up
  uint64_t command_bytes_max = 64ull << 20;     // one proposal
  uint64_t proposed_bytes_max = 16ull << 20;    // of one range, not committed yet: what is more waits
  uint64_t load_bytes_min = 1ull << 20;         // a load's command of this size is ingested (bulk_load.md); 0: never
  uint64_t scan_bytes_max = 16ull << 20;        // one batch's answer when the request sets no limit
  uint64_t snapshot_chunk_bytes = 512ull << 10;
  uint64_t snapshots_outgoing_max = 2;
  Duration proposal_timeout = 5s;               // then its outcome is ambiguous (R15)
  Duration push_delay = 50ms;                   // a waiter pushes a lock's holder after this
  Duration lend_after = 1s;                     // without writes, reads of a range are lent to other replicas (read_loans.md)

  // Queues.
  Duration queue_interval = 1s;                 // between looks at each range
  Duration gc_interval = 10min;                 // between collections of one range's old versions
  Duration gc_ttl = 4h;                         // versions older than this are garbage

  PlantedBug planted = PlantedBug::kNone;       // of tests of the tests; the client has to be told as well
};

struct StoreDeps {
  storage::Engine& engine;
  HybridClock& clock;
  Sender& sender;                        // for requests that replicas send themselves: push, resolve, meta
  PlacementPolicy* placement = nullptr;  // null: replicas stay where they are
  const NodeLiveness* liveness = nullptr;  // null: no range goes quiet, as nobody would tell of a leader's death
  CommandSink* changes = nullptr;        // null: nobody follows
  // Called, from any task, with each new descriptor of range 1 that this store knows: gossip spreads it.
  std::function<void(const RangeDescriptor&)> on_first_range;
  // Called when Engine::CheckSpace has told another level.
  std::function<void(const storage::DiskSpace&)> on_disk_space = {};
  // Called, from any task, when this store has heard that a node holds a range's lease. Must not block.
  std::function<void(const RangeDescriptor&, NodeId)> on_lease = {};
};

struct RangeStatus {
  RangeDescriptor descriptor;
  Lease lease;
  bool lease_valid_here = false;
  bool lease_rests_here = false;  // held here, and not valid only because the range is quiet: the next request renews it
  raft::GroupStatus raft;
  storage::MvccStats stats;
  uint64_t raft_log_bytes = 0;
  Timestamp gc_threshold;
};

struct StoreMetrics {
  uint64_t range_count = 0;
  uint64_t lease_count = 0;    // valid or resting
  uint64_t quiet_count = 0;    // replicas that cost nothing at present
  uint64_t times_quiet = 0;    // replicas have gone quiet
  uint64_t commands_applied = 0;
  uint64_t loads_ingested = 0;  // of those, whose rows went into the store as a file (bulk_load.md)
  uint64_t commits_together = 0;  // transactions over several ranges in one phase
  uint64_t raft_groups_synced = 0;     // synced batches
  uint64_t entries_synced = 0;         // entries in them: the ratio is the group commit's size
  uint64_t splits = 0;
  uint64_t locks_inherited = 0;        // from former leaseholders and left halves of splits (B44)
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_installed = 0;
  uint64_t ambiguous_results = 0;
  uint64_t lock_waits = 0;
  uint64_t loans_made = 0;             // of reads, by leaseholders here
  uint64_t loans_recalled = 0;         // before a write
  uint64_t loans_waited_out = 0;       // of those: whose borrower did not answer
};

struct RangeDigest {
  RaftIndex applied;
  uint64_t digest = 0;  // of all versions, locks and transaction records of the range
};

// The first ranges of a new cluster: range 1 = [kMinKey, kTableDataStart) with meta and cluster records, and
// range 2 = table data; each with these replicas (node and store; replica ids become 1, 2, … in order), and
// the counters of ids in use. Every store named must get the same call, with the same timestamp, before its
// Store starts. The store's identity (storage/store_records.h) is the caller's to write.
Status BootstrapStore(storage::Engine& engine, StoreId store, std::vector<ReplicaDescriptor> replicas, Timestamp ts);

enum class StopMode : uint8_t {
  kDrain,      // hand leases to others first, finish requests
  kImmediate,  // as in a crash, but tasks end in order
};

class Store : public Sender {
 public:
  // Collaborators outlive the store.
  static std::unique_ptr<Store> Create(const StoreOptions& options, StoreDeps deps);

  // Reads the replicas from the engine and starts the store's tasks, all under `context`.
  virtual Status Start(const runtime::Context& context) = 0;
  virtual void Stop(StopMode mode) = 0;

  // Sender for the ranges here: header.range says which. The calling task does the work.
  // NotLeaseholder, RangeNotFound, RangeKeyMismatch: not executed, route anew.
  BatchResponse Send(const runtime::Context& context, const BatchRequest& request) override = 0;

  // Handlers of runtime::Method::kRaftMessages (one-way) and kRaftSnapshot (call); the server registers them.
  virtual void HandleRaftMessages(const runtime::Context& context, NodeId from, std::string_view message) = 0;
  virtual StatusOr<std::string> HandleSnapshotChunk(const runtime::Context& context, NodeId from,
                                                    std::string_view request) = 0;

  // In order of range id.
  virtual std::vector<RangeStatus> ListRanges() const = 0;
  virtual StoreMetrics GetMetrics() const = 0;
  // Of the replica here, at its applied index (I4): equal indexes mean equal digests on all replicas.
  virtual StatusOr<RangeDigest> Digest(RangeId range) const = 0;
};

}  // namespace orrery::kv
