// Raft: the state machine behind RawNode, one file per concern:
//   raft.cc         time, terms, roles, the dispatch of messages
//   election.cc     campaigns and votes
//   replication.cc  the leader: proposals, flow to peers, commit
//   follower.cc     taking entries, heartbeats and snapshots
//   quiesce.cc      falling quiet and waking
//   lease.cc        leases, read promises, read index
//   membership.cc   membership changes and leadership transfer
//   ready.cc        what goes out, and the completion of writes
//
// Nothing is sent while an input is handled: handlers change state and mark what is due, and
// TakeReady turns the sum of it into messages, so that many proposals or many reads of one turn
// share one message to each peer.
#pragma once

#include <map>
#include <vector>

#include "orrery/base/fifo.h"
#include "orrery/raft/raw_node.h"
#include "raft/jitter.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft_log.h"

namespace orrery::raft {

enum class CampaignKind : uint8_t { kPreVote, kElection, kTransfer };

class Raft {
 public:
  Raft(const Config& config, const LogStorage& storage);
  Status Load(const LogStorage& storage);

  // The methods of RawNode, see there.
  void Tick(MonoTime now);
  MonoTime NextDeadline() const;
  Status Step(Message message, MonoTime now);
  Status MayPropose(size_t payload_bytes) const;
  StatusOr<EntryId> Propose(std::string payload, CommitNews news);
  StatusOr<EntryId> ProposeConfChange(const ConfChange& change);
  Status Campaign(MonoTime now);
  Status TransferLeadership(ReplicaId to, MonoTime now);
  void SetReadsEnd(Timestamp ts);
  Status ReadIndex(uint64_t context);
  bool HasReady() const;
  Ready TakeReady();
  void OnPersisted(PersistToken token, MonoTime now);
  StatusOr<std::vector<Entry>> TakeCommitted();
  void OnApplied(RaftIndex index);
  StatusOr<ConfState> ApplyConfChange(const Entry& entry);
  void ReportUnreachable(ReplicaId peer);
  void ReportSnapshot(ReplicaId peer, RawNode::SnapshotResult result);
  void SetReadPromise(Timestamp promise);
  Timestamp ReadPromise() const { return read_promise_; }
  Timestamp PriorReadPromise() const { return prior_read_promise_; }
  LeaseStatus LeaseAt(MonoTime now) const;
  bool Quiesce(const std::vector<ReplicaId>& absent, MonoTime now);
  bool IsQuiet() const { return rest_ == Rest::kQuiet; }
  void Wake(MonoTime now);
  GroupStatus GetStatus() const;

 private:
  // raft.cc
  // The commit index alone is not worth a write, but goes with entries: whoever holds a change of membership
  // must know after a restart that the one before it is committed (7b: HasUnappliedConfChange).
  bool VoteIsUnstaged() const { return term_ != staged_hard_state_.term || vote_ != staged_hard_state_.vote; }
  void Observe(MonoTime now) { now_ = std::max(now_, now); }
  void ResetElectionTimer();
  std::optional<uint64_t> RankAsSuccessor() const;
  void BecomeFollower(RaftTerm term, ReplicaId leader);
  void LeaveRole();
  void TickLeader();
  Status CheckMessage(const Message& m) const;
  bool BoundToLeader() const;
  // True if the message has been dealt with by its term alone.
  bool SettleTerm(const Message& m);
  void AnswerOldTerm(const Message& m);
  Status StepFromLeader(Message& m);
  void Send(Message m);
  Message MessageFromLeader(MessageType type, ReplicaId to) const;

  // election.cc
  bool IsPromotable() const;
  bool HasUnappliedConfChange() const;
  void CampaignBy(MonoTime time);
  void AskAgainSoon(const Message& m);
  void StartCampaign(CampaignKind kind, Timestamp reads_end = {});
  void RequestVotes();
  void RecordVote(ReplicaId from, bool granted);
  void BecomeLeader();
  void HandleVoteRequest(const Message& m);
  void HandleVoteResponse(const Message& m);
  void MaybeCampaignDeferred();
  Message VoteAnswer(const Message& m, bool reject) const;
  void LearnCommit(const Message& m);
  void HandleTimeoutNow(const Message& m);

  // replication.cc
  Status CheckProposal() const;
  EntryId AppendAsLeader(EntryKind kind, std::string payload, CommitNews news = CommitNews::kAtOnce);
  void FlushAppends();
  bool MayFill(const Progress& peer) const;
  bool WantsAppend(const Progress& peer) const;
  bool HasAppendsToSend() const;
  bool SendAppend(ReplicaId to, Progress& peer);
  bool SendSnapshot(ReplicaId to, Progress& peer);
  void BroadcastHeartbeat();
  Status HandleAppResponse(const Message& m);
  void HandleHeartbeatResponse(const Message& m);
  void NoteAnswer(Progress& peer, const Message& m);
  void AdvanceCommit();
  bool HasQuorumContact() const;
  bool CommittedInTerm() const { return log_.committed() >= term_start_; }

  // follower.cc
  Status HandleApp(Message& m);
  Status HandleHeartbeat(const Message& m);
  Status HandleSnap(const Message& m);
  Message AnswerTo(const Message& m, MessageType type) const;

  // quiesce.cc
  bool MayQuiesce() const;
  void FallQuietIfAllAgree();
  void FallQuiet();
  bool AgreesToQuiesce(const Message& m) const;
  void NoteQuiesceAnswer(Progress& peer, const Message& m);
  bool Rouses(const Message& m) const;
  void Rouse();
  void NeedsAwake();

  // lease.cc
  Timestamp QuorumPromise() const;
  void StartReadRound();
  void ConfirmReads();

  // membership.cc
  bool MayChangeConf() const;
  void MaybeLeaveJoint();
  void AdoptConf(ConfState conf);
  void StepDownRemoved();
  bool TimeoutNowDue() const;
  void MaybeSendTimeoutNow();
  void AbandonTransfer();

  Status NotLeaderError() const;
  bool IsLeader() const { return role_ == Role::kLeader; }

  const Config config_;
  RaftLog log_;
  const LogStorage& storage_;
  Jitter jitter_;
  MonoTime now_;

  // Durable, by way of Ready::hard_state.
  RaftTerm term_;
  ReplicaId vote_;
  HardState staged_hard_state_;  // last handed out
  RaftTerm persisted_term_;      // last known durable

  Role role_ = Role::kFollower;
  ReplicaId leader_;
  ConfState conf_;
  CampaignKind campaign_ = CampaignKind::kPreVote;  // the present one, or the last
  Votes votes_;                  // of the present campaign
  MonoTime ask_again_at_;        // voters that have not answered
  bool self_vote_unstaged_ = false;
  MonoTime election_deadline_;
  // A TimeoutNow for this log end waits for applies; of this term.
  struct DeferredCampaign {
    EntryId last;
    Timestamp reads_end;
  };
  std::optional<DeferredCampaign> deferred_campaign_;
  // Until then this replica keeps its promise to a leader: no vote for another, no campaign (B12,
  // 7b).
  MonoTime bound_until_ = kNever;

  // Leader.
  std::map<ReplicaId, Progress> progress_;
  RaftIndex term_start_;         // of the no-op that opened the term
  MonoTime heartbeat_deadline_;
  MonoTime leader_since_;
  bool appends_due_ = false;
  struct Uncommitted {
    RaftIndex index;
    size_t bytes;
    CommitNews news;
  };
  Fifo<Uncommitted> uncommitted_;
  size_t uncommitted_bytes_ = 0;
  RaftIndex news_;               // committed, and to be told at once
  RaftIndex pending_conf_;       // no membership change is proposed before this is applied
  ReplicaId transfer_target_;
  MonoTime transfer_deadline_;
  bool timeout_now_sent_ = false;
  Timestamp reads_end_;          // for the TimeoutNow (SetReadsEnd)

  // Quiescence. kAsking: a leader whose heartbeats ask the members to go quiet.
  enum class Rest : uint8_t { kAwake, kAsking, kQuiet };
  Rest rest_ = Rest::kAwake;
  MonoTime asked_at_;              // answers to earlier messages do not count
  std::vector<ReplicaId> absent_;  // not asked

  // Reads.
  struct PendingRead {
    uint64_t context;
    RaftIndex index;
    uint64_t round;
  };
  std::vector<uint64_t> unstarted_reads_;
  Fifo<PendingRead> pending_reads_;
  uint64_t read_round_ = 0;
  Timestamp read_promise_;        // highest known here
  Timestamp campaign_promise_;    // highest in the votes of this campaign
  Timestamp campaign_reads_end_;  // the predecessor's word that less than that was used; zero: none
  Timestamp prior_read_promise_;
  // Highest that earlier memberships of this term may have let the leader use.
  Timestamp promise_floor_;

  // Output.
  struct Persisting {
    PersistToken token;
    RaftTerm term;
    bool self_vote;
  };
  Fifo<Persisting> persisting_;
  uint64_t last_token_ = 0;
  SoftState staged_soft_state_;
  std::vector<Message> messages_;
  std::vector<Message> messages_after_persist_;
  std::vector<ReadState> read_states_;
  Status storage_error_;
};

}  // namespace orrery::raft
