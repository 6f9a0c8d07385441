// Replica: one range on one store. It serves batches while it holds the lease, and applies what its raft group decides.
//
// The way of a batch: lease → latches and locks (ConcurrencyManager) → descriptor check (R1) → evaluation →
//   read:  timestamp cache → latches released → lease checked again (T27) → answer
//   write: proposal → [driver: log, sync, commit, apply] → latches released → answer
//
// Thread safety: Send and the const accessors by many tasks; DrivenRange methods inside a cycle of the driver.
// State is in three parts: `mutex_` guards what requests share; raft state belongs to the driver's cycle;
// `inbox_mutex_` guards what waits for it. Mutex order: none is held while another is taken.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kv/replica/commit_part.h"
#include "kv/replica/host.h"
#include "kv/replica/inbox.h"
#include "kv/replica/leaving.h"
#include "kv/replica/proposal.h"
#include "kv/replica/raft_log.h"
#include "kv/replica/read_loans.h"
#include "kv/replica/rest.h"
#include "orrery/kv/concurrency/concurrency_manager.h"
#include "orrery/kv/concurrency/timestamp_cache.h"
#include "orrery/kv/concurrency/txn_wait_queue.h"
#include "orrery/raft/raw_node.h"

namespace orrery::kv {

class Replica final : public DrivenRange, public std::enable_shared_from_this<Replica> {
 public:
  Replica(ReplicaHost& host, RangeId range, ReplicaId id);
  ~Replica() override;

  // Reads the state from the engine. A replica without a descriptor is uninitialised: it votes and waits for a RaftSnapshot.
  Status Load(raft::StartMode mode, Timestamp read_promise, LoadAs as = LoadAs::kAwake);

  BatchResponse Send(const runtime::Context& context, const BatchRequest& batch);
  // The same for a part of a commit over several ranges, but for the proposal: on OK its latches are held, until it is
  // proposed or dropped. NotTogether if it would have to wait for more than latches.
  Status HoldPart(const runtime::Context& context, CommitPart& part);
  void DropPart(CommitPart& part);
  // replica_loans.cc, as Sender's: for requests of this node.
  bool ReadLent(const BatchRequest& batch, BatchResponse& response);
  void AcceptLoan(const ReadLoan& loan, MonoTime asked_at);
  // The replica's node through which nearly all requests came since the last call, if there were many. A hint.
  NodeId TakeMainGateway();

  RangeId range() const { return range_; }
  ReplicaId id() const { return id_; }
  bool initialised() const { return initialised_.load(std::memory_order_acquire); }  // once it is, it stays so
  std::shared_ptr<const RangeDescriptor> descriptor() const;                         // null before
  Lease lease() const;
  bool IsLeaseholder() const;  // the lease is ours and valid now
  bool OwnsLease() const;      // or lapsed only because the range is quiet: a request is served after a round to a quorum
  // Wakes the range if it is quiet. OK: the lease is valid; NotLeaseholder.
  Status EnsureLease(const runtime::Context& context);
  Rest rest() const;
  // Its range may have left it behind. Not while it sleeps, once the meta record named it: who removes it later wakes it.
  bool MembershipIsInDoubt() const;
  void NoteMembershipConfirmed();
  AppliedStateRecord applied_state() const;
  raft::GroupStatus raft_status() const;  // as of the end of the last cycle that touched the range
  uint64_t raft_log_bytes() const;
  MonoTime last_leader_contact() const;
  // ---- Work for the driver; the caller lets it drive.
  void PostMessage(RaftEnvelope envelope);
  std::vector<RaftEnvelope> TakeMessages();  // posted and not looked at yet
  void PostTick();
  void Post(std::function<void(Replica&, CycleOutput&)> action);  // runs in the next cycle, before messages and proposals
  void Submit(std::shared_ptr<Proposal> proposal);
  void PostWake(WakeReason reason);
  // Proposes and waits: OK once applied; NotLeaseholder: certainly not executed; Ambiguous.
  Status ProposeAndWait(const runtime::Context& context, const std::shared_ptr<Proposal>& proposal);
  void MaybeStall(const runtime::Context& context);

  // ---- DrivenRange
  bool MayProposeTogether(const Proposal& proposal) const override;
  void ProposeTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) override;
  void RefuseTogether(std::shared_ptr<Proposal> proposal, CycleOutput& out) override;
  void Collect(CycleOutput& out) override;
  bool ApplyAwaited(CycleOutput& out) override;
  void PublishApplied(CycleOutput& out) override;
  void ApplyAlone(CycleOutput& out) override;
  void Apply(CycleOutput& out) override;
  bool Finish(CycleOutput& out) override;
  void OnStoreFailure(const Status& status, CycleOutput& out) override;

  // Inside a cycle, to InheritFromLeftHalf.
  raft::RawNode* raft() { return raft_.get(); }
  RaftLog& log() { return log_; }
  // The replica is gone from the engine; everything that waits is turned away (A6).
  void Retire(CycleOutput& out);
  // After a RaftSnapshot was written: reads descriptor, lease and applied state anew.
  Status ReloadAfterInstall();
  // The raft group's leadership, and so the lease, goes to that node, its locks first. OK: begun.
  Status TransferLeadershipTo(NodeId target, LeaseMove move, MonoTime now);
  bool IsLeaving() const { return closed_.load(std::memory_order_acquire); }  // such a move is under way: requests wait
  // Of the right half of a split, before it is driven: the locks that the left half's leaseholder held on it.
  void InheritFromLeftHalf(LockHandover locks);
  // Erases a record nobody needs any more, with its mark left behind.
  Status EraseTxnRecord(const runtime::Context& context, const TxnRecord& record);

 private:
  static constexpr size_t kGatewaysMax = 16;
  struct Attempt;  // one evaluation of a batch (replica.cc)

  // replica.cc: the request path. replica_read.cc: its short cut.
  BatchResponse Fail(const Status& status, const BatchRequest& batch) const;
  bool Planted(PlantedBug bug) const { return host_.limits().planted == bug; }
  bool HasLeaseAt(MonoTime now) const { return now.ns < serving_until_ns_.load(std::memory_order_acquire); }
  bool IsPromised(int64_t wall_ns) const;
  Status CheckLease(MonoTime now) const;
  Status NotLeaseholder() const;
  Status WaitForPromise(const runtime::Context& context, Timestamp ts);
  bool MayServeAt(Timestamp ts);
  bool ReadAtOnce(const BatchRequest& batch, BatchResponse& response);
  bool GetAll(const BatchRequest& batch, Timestamp ts, Timestamp local_limit, BatchResponse& response) const;
  Status Execute(const runtime::Context& context, const BatchRequest& batch, BatchResponse& response);
  Status CheckMayLock(const BatchRequest& batch) const;
  Status AskAboutIntent(const runtime::Context& context, Attempt& attempt);
  Status ExecuteOnce(const runtime::Context& context, const BatchRequest& batch, Attempt& attempt, BatchResponse& out);
  Status CheckRouting(const BatchRequest& batch) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ChooseTimestamps(const BatchRequest& batch, Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberReads(const BatchRequest& batch, const Attempt& attempt, const std::vector<Response>& responses)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status FinishRead(const BatchRequest& batch, Attempt& attempt, eval::Evaluation& e, BatchResponse& response);
  Status FinishWrite(const runtime::Context& context, const BatchRequest& batch, Attempt& attempt,
                     eval::Evaluation& e, BatchResponse& response);
  Status CheckSpaceFor(const BatchRequest& batch) const;
  void FillResponse(const BatchRequest& batch, const Attempt& attempt, eval::Evaluation& e, BatchResponse& response);
  void ApplyLocalEffects(Proposal& proposal, ToWake& to_wake) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyLocalEffects(const eval::LocalEffects& effects, const TxnMeta& txn, PendingRequest* request,
                         ToWake& to_wake) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // replica_wait.cc: waiting for latches, locks and other transactions.
  Status Admit(const runtime::Context& context, PendingRequest& request,
               const std::vector<storage::LockConflict>* conflicts);
  Status WaitWoken(const runtime::Context& context, PendingRequest& request, MonoTime until);
  bool IsOutdated(const PendingRequest& request, const LockWait& target) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status PushHolder(const runtime::Context& context, PendingRequest& request, const LockWait& target);
  Status NotePushed(PendingRequest& request, const LockWait& target, const BatchResponse& response);
  Status ResolveLocks(const runtime::Context& context, std::vector<ResolveIntentRequest> requests);
  Status WaitForPushee(const runtime::Context& context, const PushTxnRequest& push, PendingRequest& request,
                       MonoTime until);
  struct WaitingPush;
  Status AskPusher(const runtime::Context& context, WaitingPush& waiter);
  void Abandon(PendingRequest& request);
  void Wake(const Woken& woken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakePushers(const std::vector<PushWaiter*>& waiters) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // replica_loans.cc
  std::optional<ReadLoan> Lend(NodeId node, MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MustRecall(MonoTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status RecallLoans(const runtime::Context& context);
  StatusOr<Timestamp> RecallFrom(const runtime::Context& context, NodeId node, MonoTime until, Timestamp read_max);
  BatchResponse GiveBackLoan();
  bool MayReadLent(const BatchRequest& batch, Timestamp ts, MonoTime now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  class ActiveRequest;  // active_request.h; replica_quiet.cc
  void WakeForRequest();
  Status AwaitLease(const runtime::Context& context);
  // Inside a cycle.
  bool AdmitWhileQuiet(RaftEnvelope& envelope, CycleOutput& out);
  void MaybeQuiesce(MonoTime now);
  bool NoteQuiet(CycleOutput& out);
  bool LivesAreUnchanged() const;
  bool LeaderLives() const;
  bool MayStartQuiet() const;
  void ResumeLead(MonoTime now);
  bool IsFirstToCampaign() const;
  void CampaignAsFollower(MonoTime now);

  // replica_raft.cc, replica_together.cc: inside a cycle.
  bool IsOnlyVoter() const;
  bool MayCommitAlone(const raft::Ready& ready) const;
  void ProposeAll(std::vector<std::shared_ptr<Proposal>> proposals, CycleOutput& out);
  bool WaitingMayGoOn() const;
  bool IsLeased(const Command& command) const;
  Status ProposeOne(Proposal& proposal);
  bool NotePeerSpace(const RaftEnvelope& envelope);
  void UpdateSpace(CycleOutput& out);
  bool LeaseIsDue(MonoTime now) const;
  void MaybeProposeLease(CycleOutput& out);
  void MaybeTruncate();
  void RaisePromise();
  Duration PromiseAhead() const;
  void TakeReady(CycleOutput& out);
  void Route(std::vector<raft::Message> messages, std::map<NodeId, RaftMessageBatch>& out);
  std::optional<ReplicaDescriptor> PeerOf(ReplicaId peer) const;
  void UpdateServing(MonoTime now);
  void NoteOwnership(bool owns);
  void StopServing();

  // replica_handover.cc: the lease goes on with its locks. Inside a cycle, but for the last two.
  Status BeginHandOver(ReplicaId target, LeaseMove move, MonoTime now);
  void ContinueHandOver(MonoTime now);
  Status TransferNow(ReplicaId target, MonoTime now);
  LockTable::Exported ExportLocks(std::string_view start, size_t bytes_max) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  enum class Holder : uint8_t { kThisReplica, kAnother };
  void TakeOver(const Lease& lease, Holder holder);
  void OpenAdmission();
  void MaybeOpenAdmission(MonoTime now);
  Status WaitForAdmission(const runtime::Context& context);
  void NudgeHandOver();
  void Complete(const std::shared_ptr<Proposal>& proposal, Status status, CycleOutput& out);
  void FailInFlight(const std::function<bool(const Proposal&)>& which, const Status& status, CycleOutput& out);
  void Quarantine(const Status& status, CycleOutput& out);

  // replica_apply.cc: inside a cycle.
  void ApplyCommitted(CycleOutput& out);
  void ApplyEntry(const raft::Entry& entry, CycleOutput& out);
  bool ApplyCommand(Command& command, const raft::Entry& entry, Proposal* own, CycleOutput& out);
  void ApplyLease(const Lease& lease, CycleOutput& out);
  void ApplySplit(const Command& command, CycleOutput& out);
  void ApplyChangeReplicas(const ChangeReplicasTrigger& change, CycleOutput& out);
  void StageAppliedState(storage::WriteBatch& batch);
  void PublishState() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StageLoad(const Command& command, storage::WriteBatch& effects, Proposal* own, CycleOutput& out);

  ReplicaHost& host_;
  const RangeId range_;
  const ReplicaId id_;

  // Read on every request without a mutex; written inside cycles.
  std::atomic<int64_t> serving_until_ns_{0};   // monotonic; 0: no lease
  std::atomic<int64_t> promised_wall_ns_{0};   // reads up to here may be served
  std::atomic<bool> initialised_{false};       // written with descriptor_
  std::atomic<int64_t> requests_since_tick_{0};
  std::atomic<uint32_t> requests_by_gateway_[kGatewaysMax] = {};  // by node id, modulo; since TakeMainGateway
  std::atomic<int64_t> lease_start_wall_ns_{0};  // of our latest lease
  std::atomic<bool> closed_{false};            // the lease is leaving: nothing is admitted; written under mutex_
  // Quiescence: the order of writing and reading these two between requests and the cycle counts (ActiveRequest).
  std::atomic<int32_t> requests_active_{0};
  std::atomic<bool> quiet_{false};
  std::atomic<bool> owns_lease_{false};        // leader, under its own lease; what is valid, serving_until_ns_ says
  std::atomic<bool> renewing_{false};          // owned, and a quorum is being asked after a time of quiet
  std::atomic<ProposalSpace> space_{ProposalSpace{}};
  std::atomic<int64_t> borrowed_until_ns_{0};  // monotonic: without a look at borrowed_, whether there is any use in it
  std::atomic<bool> lends_{true};              // the lease is not about to leave; false is written under mutex_

  mutable runtime::Mutex mutex_{"replica"};
  std::shared_ptr<const RangeDescriptor> descriptor_ ABSL_GUARDED_BY(mutex_);
  Lease lease_ ABSL_GUARDED_BY(mutex_);
  AppliedStateRecord applied_ ABSL_GUARDED_BY(mutex_);
  ConcurrencyManager concurrency_ ABSL_GUARDED_BY(mutex_);
  TimestampCache reads_ ABSL_GUARDED_BY(mutex_);
  TxnWaitQueue pushes_ ABSL_GUARDED_BY(mutex_);
  Loans loans_ ABSL_GUARDED_BY(mutex_);
  runtime::CondVar promise_cv_;
  MonoTime closed_until_ ABSL_GUARDED_BY(mutex_);  // at most
  runtime::CondVar closed_cv_;
  raft::GroupStatus raft_status_ ABSL_GUARDED_BY(mutex_);
  MonoTime leader_contact_ ABSL_GUARDED_BY(mutex_);
  uint64_t log_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool retired_ ABSL_GUARDED_BY(mutex_) = false;
  Rest rest_ ABSL_GUARDED_BY(mutex_);  // what raft_status_ does not say of it

  mutable runtime::Mutex inbox_mutex_{"replica.inbox"};
  Inbox inbox_ ABSL_GUARDED_BY(inbox_mutex_);

  // Owned by the driver's cycle. Copies of guarded state that applying works on; published by PublishApplied.
  std::unique_ptr<raft::RawNode> raft_;
  RaftLog log_;
  raft::ConfState membership_;
  AppliedStateRecord state_;
  Lease current_lease_;
  std::shared_ptr<const RangeDescriptor> current_descriptor_;
  std::deque<std::shared_ptr<Proposal>> waiting_;  // to be proposed
  std::map<raft::EntryId, std::shared_ptr<Proposal>> in_flight_;
  std::vector<std::pair<std::shared_ptr<Proposal>, Status>> completed_;  // told after the effects are written
  std::map<ReplicaId, ReplicaDescriptor> peers_heard_;  // addresses of senders, for the uninitialised
  std::map<ReplicaId, storage::SpaceLevel> full_peers_;  // below kEnough, as their last messages say
  bool majority_has_space_ = true;                      // of the voters that the leader hears from
  raft::PersistToken persist_token_;
  std::vector<raft::Entry> committed_;
  std::vector<raft::Entry> alone_;  // of this cycle: what ApplyAlone is to apply
  bool applied_alone_ = false;      // it did
  raft::SoftState soft_state_;
  uint64_t max_lease_applied_index_ = 0;
  bool lease_proposed_ = false;      // for this term
  std::optional<Leaving> leaving_;
  std::optional<LeaseSequence> ended_lease_;  // of ours, by such a command: valid in raft's eyes, and yet over
  std::optional<Inherited> inherited_;  // for the lease that follows; in memory only, so a restart loses it
  bool truncation_proposed_ = false;
  MonoTime last_work_;               // of a leader: when it last had a reason to be awake
  bool was_quiet_ = false;         // as the store knows
  bool led_before_start_ = false;  // and nobody has since: this replica takes up the lead when it is woken
  std::vector<std::pair<NodeId, NodeLife>> lives_;  // as they were when it fell quiet: of the leader; for it, of all members
  bool quarantined_ = false;
  bool dead_ = false;                // retired, as the cycle sees it
};

}  // namespace orrery::kv
