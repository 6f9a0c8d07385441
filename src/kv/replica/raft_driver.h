// RaftDriver: carries the raft groups of one store, by a task of its own (docs/design/replica.md, "The driver has a
// thread of its own"): it takes all ranges that have work, writes what they want persisted in one synced batch, sends
// their messages, applies what is committed, and wakes those who waited. Who comes meanwhile is in the next group.
//
// Thread safety: all public methods, by many tasks. Invariant: the task in Run() alone is inside Cycle(); it owns
// the raft state of every range. Nothing promising durability leaves before
// the sync that covers it (B2). Nobody waits for a sync that is not for him: what an earlier cycle's entries were
// acknowledged for is applied and told before the sync of new ones, what that sync commits right after it, or with
// it, where this store's is the only voter.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "kv/replica/proposal.h"
#include "orrery/base/time.h"
#include "orrery/raft/types.h"
#include "orrery/runtime/clock.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/sync.h"
#include "orrery/storage/engine.h"

namespace orrery::kv {

// One raft message with its addressees: the element of a kRaftMessages batch.
struct RaftEnvelope {
  RangeId range;
  ReplicaDescriptor from;
  ReplicaDescriptor to;
  raft::Message message;
  uint8_t disk_space = 0;  // storage::SpaceLevel of the sender's store
  template <class V> void Visit(V& v) { v(1, range); v(2, from); v(3, to); v(4, message); v(5, disk_space); }
};
struct RaftMessageBatch {
  std::vector<RaftEnvelope> messages;
  template <class V> void Visit(V& v) { v(1, messages); }
};

// What one cycle collects from its ranges.
struct CycleOutput {
  MonoTime now;
  storage::WriteBatch log;             // entries and hard states
  bool sync = false;
  Timestamp read_promise;              // highest promise that the messages speak of
  std::map<NodeId, RaftMessageBatch> messages;
  std::map<NodeId, RaftMessageBatch> messages_after_persist;
  // Loads among the committed commands, each to be ingested once what came before it has been written.
  struct Load {
    storage::WriteBatch before;
    storage::WriteBatch rows;
    std::unique_ptr<storage::PreparedLoad> prepared;
  };
  std::vector<Load> loads;
  storage::WriteBatch effects;         // of committed commands, behind the last load; written unsynced, or with `log` (ApplyAlone)
  std::vector<std::shared_ptr<Proposal>> finished;
  std::vector<std::function<void()>> after;  // run at the end of the cycle, still inside it
  uint64_t entry_count = 0;
};

// A raft group, as the driver sees it. All methods are called from inside a cycle, in this order.
class DrivenRange {
 public:
  virtual ~DrivenRange() = default;
  // Before Collect, of a proposal that must enter the logs of several ranges together: whether it surely enters this one in
  // this cycle, is committed by the cycle's sync and takes effect. The others then say which of the two follows.
  virtual bool MayProposeTogether(const Proposal&) const { return false; }
  virtual void ProposeTogether(std::shared_ptr<Proposal>, CycleOutput&) {}
  virtual void RefuseTogether(std::shared_ptr<Proposal>, CycleOutput&) {}
  // Takes in messages, proposals and ticks; stages what is to be written and sent.
  virtual void Collect(CycleOutput& out) = 0;
  // Before a sync: applies what was committed earlier into out.effects, if somebody waits for it here. True: it
  // did, and PublishApplied follows.
  virtual bool ApplyAwaited(CycleOutput&) { return false; }
  // Those effects are in the engine: whose proposals are decided goes to out.finished.
  virtual void PublishApplied(CycleOutput&) {}
  // Before a sync, too: applies what that sync commits by itself into out.effects, which are then written with it.
  virtual void ApplyAlone(CycleOutput&) {}
  // The log batch is durable: reports it, and applies committed entries into out.effects.
  virtual void Apply(CycleOutput& out) = 0;
  // The effects are in the engine. True if there is more to do at once.
  virtual bool Finish(CycleOutput& out) = 0;
  // The engine failed: the store is lost.
  virtual void OnStoreFailure(const Status& status, CycleOutput& out) = 0;

 private:
  friend class RaftDriver;
  bool enqueued_ = false;  // guarded by the driver's mutex
};

struct DriverMetrics {
  std::atomic<uint64_t> groups_synced{0};
  std::atomic<uint64_t> entries_synced{0};
};

class RaftDriver {
 public:
  struct Hooks {
    std::function<void(NodeId to, RaftMessageBatch)> send;
    // The bound that a promise needs on disk. If it is not covered yet: stages it, forces a sync and returns
    // true; then no message leaves before that sync (B29).
    std::function<bool(Timestamp promise, CycleOutput& out)> cover_promise;
    // Of what has to be durable before it is promised. A planted bug says otherwise.
    storage::SyncMode log_sync = storage::SyncMode::kSync;
    // By a planted bug: what takes effect with the sync that commits it (ApplyAlone) is written only afterwards.
    bool effects_later = false;
  };
  RaftDriver(storage::Engine& engine, runtime::Clock& clock, Hooks hooks)
      : engine_(engine), clock_(clock), hooks_(std::move(hooks)) {}

  // The range has work. A Nudge or a Wait must follow.
  void Enqueue(std::shared_ptr<DrivenRange> range);
  // Proposals that enter the logs of their ranges with one synced batch, or none of them does. As Enqueue.
  struct Part {
    std::shared_ptr<DrivenRange> range;
    std::shared_ptr<Proposal> proposal;
  };
  void SubmitTogether(std::vector<Part> parts);
  // Sees to it that what was enqueued is driven, and waits until the waiter is done. Cancelled / DeadlineExceeded.
  Status Wait(const runtime::Context& context, Waiter& waiter);
  // Sees to it that what was enqueued is driven. Never blocks.
  void Nudge();
  // Body of the task that drives, one a driver.
  void Run(const runtime::Context& context);
  // Ends the cycle in progress and lets no other begin; later waiters time out.
  void Stop();

  const DriverMetrics& metrics() const { return metrics_; }

 private:
  using Finished = std::vector<std::shared_ptr<Proposal>>;
  // Gives who is to be told, with Tell.
  using Together = std::vector<std::vector<Part>>;
  Finished Cycle(std::vector<std::shared_ptr<DrivenRange>> ranges, const Together& together);
  void EnqueueLocked(std::shared_ptr<DrivenRange> range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DriveOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status ApplyAwaited(const std::vector<std::shared_ptr<DrivenRange>>& ranges, CycleOutput& out);
  Status WriteEffects(CycleOutput& out);
  Status Persist(CycleOutput& out);
  Finished TakeFinished(CycleOutput& out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Not under the mutex, which they want at once.
  static void Tell(const Finished& finished);

  storage::Engine& engine_;
  runtime::Clock& clock_;
  const Hooks hooks_;
  DriverMetrics metrics_;

  runtime::Mutex mutex_{"raft_driver"};
  runtime::CondVar ready_cv_;  // of Run()
  bool driving_ ABSL_GUARDED_BY(mutex_) = false;  // a cycle is under way, after which the driver looks again
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<DrivenRange>> ready_ ABSL_GUARDED_BY(mutex_);
  Together together_ ABSL_GUARDED_BY(mutex_);  // their ranges are in ready_
};

}  // namespace orrery::kv
