// ReplicaHost: what a replica needs of the store around it. Implemented by kv/store; tests script it.
#pragma once

#include <functional>
#include <memory>

#include "kv/replica/raft_driver.h"
#include "orrery/kv/api/node_liveness.h"
#include "orrery/kv/api/planted_bug.h"
#include "orrery/kv/api/sender.h"
#include "orrery/kv/changes/command_sink.h"
#include "orrery/kv/hlc/hybrid_clock.h"

namespace orrery::kv {

class Replica;

struct ReplicaLimits {
  Duration election_timeout;
  Duration heartbeat_interval;
  Duration lease_duration;
  Duration proposal_timeout;
  Duration push_delay;
  Duration quiesce_after;  // 0: never
  Duration lend_after;
  uint64_t seed = 0;
  uint64_t command_bytes_max = 0;
  uint64_t proposed_bytes_max = 0;
  uint64_t scan_bytes_max = 0;
  uint64_t load_bytes_min = 0;     // smaller loads are written like everything else; 0: all are
  bool IsLargeLoad(size_t bytes) const { return load_bytes_min > 0 && bytes >= load_bytes_min; }
  uint64_t raft_log_bytes_max = 0;
  uint64_t raft_log_entries_min = 0;
  PlantedBug planted = PlantedBug::kNone;
};

struct ReplicaCounters {
  std::atomic<uint64_t> commands_applied{0};
  std::atomic<uint64_t> loads_ingested{0};
  std::atomic<uint64_t> commits_together{0};
  std::atomic<uint64_t> ambiguous_results{0};
  std::atomic<uint64_t> lock_waits{0};
  std::atomic<uint64_t> loans_made{0};
  std::atomic<uint64_t> loans_recalled{0};
  std::atomic<uint64_t> loans_waited_out{0};
  std::atomic<uint64_t> locks_inherited{0};
  std::atomic<uint64_t> splits{0};
  std::atomic<uint64_t> snapshots_sent{0};
  std::atomic<uint64_t> snapshots_installed{0};
  std::atomic<uint64_t> times_quiet{0};
  std::atomic<int64_t> leases{0};  // owned now, whether valid at this instant or resting
};

// Thread-safe unless a method says that it is called inside a driver cycle.
class ReplicaHost {
 public:
  virtual ~ReplicaHost() = default;
  virtual NodeId node() const = 0;
  virtual StoreId store() const = 0;
  virtual storage::Engine& engine() = 0;
  virtual HybridClock& clock() = 0;
  virtual runtime::Clock& mono_clock() = 0;
  virtual RaftDriver& driver() = 0;
  virtual Sender& sender() = 0;
  // To another node's store, not routed. Errors of the way are OtherErrors.
  virtual BatchResponse Call(const runtime::Context& context, NodeId node, const BatchRequest& request) = 0;
  virtual CommandSink* changes() = 0;
  virtual const ReplicaLimits& limits() const = 0;
  virtual ReplicaCounters& counters() = 0;
  // Of this store, as of the last tick.
  virtual storage::SpaceLevel disk_space() const = 0;
  // How the node is doing, as far as this one knows.
  virtual NodeLife LifeOf(NodeId node) const = 0;
  // Inside a cycle: the range has gone quiet, and needs no ticks; or it has woken.
  enum class Quiet : uint8_t { kYes, kNo };
  virtual void OnQuietChanged(Replica& replica, Quiet quiet) = 0;
  // What an earlier life of this store may have promised (B29).
  virtual Timestamp initial_read_promise() const = 0;

  // Inside a cycle: the right half of a split is in out.effects; the store makes its replica once they are
  // written, with what the left half promised to its readers (R3). kCampaign: this store held its lease.
  enum class AfterSplit { kWait, kCampaign };
  // `locks`: what it held of the right half (B44).
  virtual void OnSplitApplied(const SplitTrigger& split, Timestamp read_promise, AfterSplit then, LockHandover locks,
                              CycleOutput& out) = 0;
  // Stages the initial state of a split's right half, or its removal if it is known to be gone here.
  virtual void StageRightHalf(const Command& command, const Lease& left_lease, const AppliedStateRecord& left_state,
                              storage::WriteBatch& effects) = 0;
  virtual void OnDescriptorChanged(const RangeDescriptor& descriptor) = 0;
  // At the end of a cycle in which a new lease was applied: if it is this replica's, it serves.
  virtual void OnLeaseChanged(const RangeDescriptor& descriptor, NodeId holder) = 0;
  // Inside a cycle: a RaftSnapshot must be sent to this peer.
  virtual void SendRaftSnapshot(std::shared_ptr<Replica> replica, RaftEnvelope envelope) = 0;
  // Inside a cycle: the staged RaftSnapshot for this replica is wanted by its raft group; writes it to the
  // engine. Not OK: nothing usable was staged.
  virtual Status InstallStagedSnapshot(Replica& replica, const raft::SnapshotMeta& meta) = 0;
};

}  // namespace orrery::kv
