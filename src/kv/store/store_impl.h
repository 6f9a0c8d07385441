// StoreImpl: the parts of a Store. store.cc serves, messages.cc speaks raft with other stores, snapshot.cc moves
// RaftSnapshots, admin.cc changes ranges, together.cc commits over several of them, queues.cc looks after them,
// quiet.cc knows which of them sleep, bootstrap.cc makes the first ones.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "kv/replica/local_keys.h"
#include "kv/replica/replica.h"
#include "orrery/kv/store/store.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

// One chunk of a RaftSnapshot on the wire (docs/formats/snapshot.md).
struct SnapshotChunk {
  RangeId range;
  ReplicaDescriptor to;
  uint64_t snapshot = 0;             // names the transfer
  uint64_t sequence = 0;             // of the chunk, from 0
  std::string bytes;                 // a serialised storage::WriteBatch of puts
  uint64_t checksum = 0;             // Hash64 of bytes
  RangeDescriptor descriptor;        // in the first chunk
  std::optional<RaftEnvelope> last;  // in the last chunk: the kSnap message
  template <class V> void Visit(V& v) {
    v(1, range); v(2, to); v(3, snapshot); v(4, sequence); v(5, bytes); v(6, checksum); v(7, descriptor); v(8, last);
  }
};

class StoreImpl final : public Store, public ReplicaHost {
 public:
  StoreImpl(const StoreOptions& options, StoreDeps deps);
  ~StoreImpl() override;

  // ---- Store
  Status Start(const runtime::Context& context) override;
  void Stop(StopMode mode) override;
  BatchResponse Send(const runtime::Context& context, const BatchRequest& request) override;
  BatchResponse CommitTogether(const runtime::Context& context, const BatchRequest& request) override;
  bool ReadLent(const BatchRequest& request, BatchResponse& response) override;
  void AcceptLoan(RangeId range, const ReadLoan& loan, MonoTime asked_at) override;
  void HandleRaftMessages(const runtime::Context& context, NodeId from, std::string_view message) override;
  StatusOr<std::string> HandleSnapshotChunk(const runtime::Context& context, NodeId from,
                                            std::string_view request) override;
  std::vector<RangeStatus> ListRanges() const override;
  StoreMetrics GetMetrics() const override;
  StatusOr<RangeDigest> Digest(RangeId range) const override;

  // ---- ReplicaHost
  NodeId node() const override { return options_.node; }
  StoreId store() const override { return options_.store; }
  storage::Engine& engine() override { return deps_.engine; }
  HybridClock& clock() override { return deps_.clock; }
  runtime::Clock& mono_clock() override { return runtime_->clock(); }
  RaftDriver& driver() override { return *driver_; }
  Sender& sender() override { return deps_.sender; }
  BatchResponse Call(const runtime::Context& context, NodeId node, const BatchRequest& request) override;
  CommandSink* changes() override { return deps_.changes; }
  const ReplicaLimits& limits() const override { return limits_; }
  ReplicaCounters& counters() override { return counters_; }
  storage::SpaceLevel disk_space() const override { return disk_space_.load(std::memory_order_relaxed); }
  NodeLife LifeOf(NodeId node) const override;
  void OnQuietChanged(Replica& replica, Quiet quiet) override;
  Timestamp initial_read_promise() const override { return initial_read_promise_; }
  void OnSplitApplied(const SplitTrigger& split, Timestamp read_promise, AfterSplit then, LockHandover locks,
                      CycleOutput& out) override;
  void StageRightHalf(const Command& command, const Lease& left_lease, const AppliedStateRecord& left_state,
                      storage::WriteBatch& effects) override;
  void OnDescriptorChanged(const RangeDescriptor& descriptor) override;
  void OnLeaseChanged(const RangeDescriptor& descriptor, NodeId holder) override {
    if (deps_.on_lease) deps_.on_lease(descriptor, holder);
  }
  void SendRaftSnapshot(std::shared_ptr<Replica> replica, RaftEnvelope envelope) override;
  Status InstallStagedSnapshot(Replica& replica, const raft::SnapshotMeta& meta) override;

 private:
  using ReplicaPtr = std::shared_ptr<Replica>;

  // A range of the driver that stands for the store itself: what must not race with applying runs in it.
  class Agent;
  void RunInCycle(std::function<void(CycleOutput&)> action);

  ReplicaPtr Find(RangeId range) const;
  std::vector<ReplicaPtr> AllReplicas() const;    // in order of range id, as the two below
  std::vector<ReplicaPtr> AwakeReplicas() const;
  std::vector<ReplicaPtr> QuietReplicas() const;
  void Insert(ReplicaPtr replica);
  void NoteStart(RangeId range, const std::string& start);
  // The initialised replica whose range begins nearest below the key: the only one that may hold it.
  ReplicaPtr FindByStart(std::string_view key) const;
  void Forget(RangeId range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status LoadReplicas();
  // A peer speaks to another replica of the range than the one here.
  void NoteSuperseded(const ReplicaPtr& replica, ReplicaId younger);
  // Whether a tombstone bars the replica from this store (B21).
  StatusOr<bool> IsBuried(RangeId range, ReplicaId replica) const;
  // Inside a cycle: a replica without data, made because a peer speaks to it. Null if it may not be (B21).
  ReplicaPtr MakeUninitialised(const RaftEnvelope& envelope, CycleOutput& out);
  // Whether the span overlaps an initialised replica of another range (B22), which the store asks about if so.
  Status CheckNoOverlap(RangeId range, const RangeDescriptor& descriptor);
  void AddDescriptorOf(std::string_view key, std::vector<RangeDescriptor>& descriptors) const;
  bool CoverPromise(Timestamp promise, CycleOutput& out);
  void SendMessages(NodeId to, RaftMessageBatch batch);

  // snapshot.cc
  struct OutgoingSnapshot {
    ReplicaPtr replica;
    RaftEnvelope envelope;
  };
  Status SendSnapshot(const runtime::Context& context, OutgoingSnapshot& job);
  void RunSnapshotSender(const runtime::Context& context);
  Status FinishInstalls();

  // admin.cc
  class AdminTxn;
  bool IsAdmin(const BatchRequest& request) const;
  BatchResponse SendTo(Replica& replica, const runtime::Context& context, const BatchRequest& request);
  BatchResponse SendAdmin(const runtime::Context& context, ReplicaPtr replica, const BatchRequest& request);
  Status AdminSplit(const runtime::Context& context, const ReplicaPtr& replica, const std::string& key);
  Status AdminTransferLease(const runtime::Context& context, const ReplicaPtr& replica, NodeId target,
                            LeaseMove move);
  Status AdminChangeReplicas(const runtime::Context& context, const ReplicaPtr& replica,
                             const AdminChangeReplicasRequest& request);
  Status ChangeDescriptor(const runtime::Context& context, const ReplicaPtr& replica, const RangeDescriptor& from,
                          const RangeDescriptor& to);
  Status WaitForCaughtUp(const runtime::Context& context, const ReplicaPtr& replica, ReplicaId learner);
  StatusOr<RangeId> AllocateRangeId(const runtime::Context& context);
  std::string NewTxnId();
  bool BeginChange(RangeId range);
  void EndChange(RangeId range);

  // together.cc
  std::vector<CommitPart> CutByRange(const BatchRequest& request) const;
  BatchResponse ProposeTogether(const runtime::Context& context, const BatchRequest& request,
                                std::vector<CommitPart>& parts);

  // quiet.cc
  void WatchNodes();
  enum class Heard : uint8_t { kForTheFirstTime, kBefore };  // since this store started
  void OnNodeChanged(NodeId node, Heard heard, NodeLife before, NodeLife now);
  void WakeSome();
  std::vector<ReplicaPtr> NextToLookAfter();
  void HurryLooks();
  void HandOverLeases();

  // Whether a leader's peer takes part: the leader hears from it; or the range is quiet, and the peer's node lives.
  bool IsActive(const raft::PeerStatus& peer, const ReplicaDescriptor& replica, bool quiet) const;

  // queues.cc
  void LookAtDisk();
  void RunTicks(const runtime::Context& context);
  void RunQueues(const runtime::Context& context);
  void LookAfter(const runtime::Context& context, const ReplicaPtr& replica);
  void LookAfterFollower(const runtime::Context& context, const ReplicaPtr& replica);
  Status MaybeSplit(const runtime::Context& context, const ReplicaPtr& replica);
  Status MaybeReplicate(const runtime::Context& context, const ReplicaPtr& replica);
  Status MaybeCollectGarbage(const runtime::Context& context, const ReplicaPtr& replica);
  Status AskAndResolve(const runtime::Context& context, const TxnMeta& txn, std::optional<Span> lock);
  Status ResolveSpans(const runtime::Context& context, const TxnRecord& record, const std::vector<Span>& spans);
  // True if there was nothing at all to clean up, now or soon.
  StatusOr<bool> CleanUpTransactions(const runtime::Context& context, const ReplicaPtr& replica);
  Status MaybeRemoveReplica(const runtime::Context& context, const ReplicaPtr& replica);
  Status RemoveUnlessMember(const runtime::Context& context, const ReplicaPtr& replica);
  void RunRemovals(const runtime::Context& context);
  Status RemoveReplica(const ReplicaPtr& replica, ReplicaId next_replica);
  void Bury(const ReplicaPtr& replica, ReplicaId next_replica, CycleOutput& out);

  const StoreOptions options_;
  const StoreDeps deps_;
  ReplicaLimits limits_;
  ReplicaCounters counters_;
  runtime::Runtime* runtime_ = nullptr;
  std::unique_ptr<RaftDriver> driver_;
  std::shared_ptr<Agent> agent_;
  std::optional<runtime::Context> context_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
  std::unique_ptr<runtime::Channel<OutgoingSnapshot>> outgoing_;
  Timestamp initial_read_promise_;
  std::atomic<uint64_t> txn_seed_{0};
  std::atomic<storage::SpaceLevel> disk_space_{storage::SpaceLevel::kEnough};  // written by the task of the ticks

  mutable runtime::Mutex mutex_{"store"};
  absl::flat_hash_map<uint64_t, ReplicaPtr> replicas_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, ReplicaPtr, std::less<>> by_start_ ABSL_GUARDED_BY(mutex_);  // the initialised ones
  std::map<uint64_t, ReplicaPtr> awake_ ABSL_GUARDED_BY(mutex_);  // together all of replicas_
  std::map<uint64_t, ReplicaPtr> quiet_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeId, NodeLife> lives_ ABSL_GUARDED_BY(mutex_);      // of nodes that quiet ranges rest on, as last seen
  uint64_t next_quiet_look_ ABSL_GUARDED_BY(mutex_) = 0;          // the walk over quiet ranges goes on here
  size_t hurried_looks_ ABSL_GUARDED_BY(mutex_) = 0;              // of that walk: nodes have changed, or leases move
  uint64_t range_ids_next_ ABSL_GUARDED_BY(mutex_) = 0;          // allocated and not used yet: up to range_ids_end_
  uint64_t range_ids_end_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<uint64_t> changing_ ABSL_GUARDED_BY(mutex_);          // ranges with an administrative change (R9)
  std::map<uint64_t, MonoTime> collected_ ABSL_GUARDED_BY(mutex_);  // when garbage was last looked for
  struct Cleaned {
    MonoTime at;
    RaftIndex nothing_up_to;  // so far nothing was left behind
  };
  std::map<uint64_t, Cleaned> cleaned_ ABSL_GUARDED_BY(mutex_);    // and for abandoned transactions
  std::set<RangeId> in_the_way_ ABSL_GUARDED_BY(mutex_);  // in whose replica's place another is meant to be
  struct Incoming {
    uint64_t snapshot = 0;
    uint64_t next_sequence = 0;
    RangeDescriptor descriptor;
    MonoTime touched;
    bool complete = false;
    raft::SnapshotMeta meta;
  };
  std::map<uint64_t, Incoming> incoming_ ABSL_GUARDED_BY(mutex_);  // by range
  std::set<std::pair<uint64_t, uint64_t>> sending_ ABSL_GUARDED_BY(mutex_);  // (range, replica) of snapshots under way

  // Of the task of the ticks: quiet ranges to wake, a few at each tick.
  std::deque<std::pair<ReplicaPtr, WakeReason>> to_wake_;
  size_t wakes_per_tick_ = 0;

  Timestamp promise_bound_;  // on disk; belongs to the driver's cycle
};

}  // namespace orrery::kv
