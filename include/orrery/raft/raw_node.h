// RawNode: consensus for one replica of one raft group, without any input or output of its own. The
// driver feeds it messages, time and disk completions, and carries out what Ready asks for.
//
// Thread safety: none; one owner at a time. No method blocks, reads a clock, or allocates without
// limit.
//
// Time. Every `now` is the node's monotonic clock, read after the event it comes with (for Step:
// after the message was received), and never goes back. All timeouts are durations, so a late Tick
// is harmless.
//
// Invariants (correctness.md): I1 to I5 hold under any loss, duplication, delay and reordering of
// messages and any crash, as long as the driver keeps Ready's order (B1, B2, B4). Peer bytes never
// reach an assertion.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/raft/log_storage.h"
#include "orrery/raft/types.h"

namespace orrery::raft {

class Raft;

enum class StartMode : uint8_t {
  // This replica may have promised something before (7b): it neither votes nor campaigns for one
  // election timeout, so that a lease it acknowledged before the crash has ended.
  kRestarted = 0,
  // The group or the replica is new: nothing was ever acknowledged under this replica id.
  kFresh = 1,
};

struct Config {
  ReplicaId id;
  // Everything up to here is in the state machine (durably) and is not applied again.
  RaftIndex applied;
  MonoTime start_time;  // now
  uint64_t seed = 0;    // of the election jitter; differs between replicas
  uint64_t group = 0;   // the same at all replicas: who campaigns first differs between groups
  StartMode start_mode = StartMode::kRestarted;

  Duration election_timeout = 1000ms;   // the least; each wait is in [1, 2) times this
  Duration heartbeat_interval = 200ms;  // at most election_timeout / 2
  // lease_duration * (1 + clock rate error) < election_timeout (B12).
  Duration lease_duration = 800ms;
  uint32_t clock_rate_error_ppm = 10'000;  // monotonic clocks run within 1 ± this of true time

  // The highest read promise that this replica may have acknowledged in an earlier life, see
  // LeaseStatus.
  Timestamp initial_read_promise;

  size_t max_message_bytes = 256 << 10;      // entries in one kApp (always at least one entry)
  // Committed entries handed out and not yet reported applied.
  size_t max_apply_bytes = 1 << 20;
  size_t max_inflight_messages = 128;        // unacknowledged kApp to one peer in replicate state
  size_t max_inflight_bytes = 4 << 20;
  size_t max_uncommitted_bytes = 16 << 20;   // the proposal quota of a leader
  // Persisted and applied entries kept in memory for slow peers.
  size_t max_cached_bytes = 128 << 10;
  size_t max_pending_reads = 4096;

  // The replica starts quiet (RawNode::Quiesce), as its group probably is. The driver sees to it that somebody wakes
  // the group when it is needed. `known_leader`: who led the stored term, if that is known and another replica.
  bool start_quiet = false;
  ReplicaId known_leader;

  // InvalidArgument if a limit or a duration contradicts another.
  Status Validate() const;
};

enum class Role : uint8_t { kFollower = 0, kPreCandidate = 1, kCandidate = 2, kLeader = 3 };
std::string_view RoleName(Role role);

struct SoftState {
  Role role = Role::kFollower;
  ReplicaId leader;  // none: unknown
  RaftTerm term;
  friend bool operator==(const SoftState&, const SoftState&) = default;
};

// The answer to a ReadIndex: once `index` is applied, a read that began at the call sees every
// write acknowledged before it.
struct ReadState {
  uint64_t context = 0;
  RaftIndex index;
  friend bool operator==(const ReadState&, const ReadState&) = default;
};

// Names a Ready for OnPersisted. Tokens grow by one with each Ready that has one.
struct PersistToken {
  uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
};

// What the driver has to do. The order that safety needs:
//  1. `messages` may be sent at once, even before anything of this Ready is written.
//  2. Write `snapshot` (install it: A7), then `entries`, then `hard_state`, in one batch (A2);
//     Readys are written in the order they were taken. Sync if must_sync. Then, in token order:
//  3. send `messages_after_persist` and call OnPersisted(token). Several Readys may be between 2
//     and 3; OnPersisted(t) stands for every token up to t.
//  4. `committed_entries` are to be applied, in order, at any time after the Ready is taken: each
//     is already durable here (never above what OnPersisted acknowledged), so the applied state
//     cannot overtake the log. Call ApplyConfChange for each kConfChange entry in its place, and
//     OnApplied when done.
//  5. A Ready with a snapshot has no committed_entries; OnPersisted of it implies applied =
//     snapshot's index.
struct Ready {
  // Changed since the last Ready; pending reads died with a leader role.
  std::optional<SoftState> soft_state;
  std::optional<HardState> hard_state;  // to write
  // To append; whatever is stored from the first one's index on is dropped.
  std::vector<Entry> entries;
  std::optional<SnapshotMeta> snapshot; // replaces the whole log; its data is already on this node
  std::vector<Message> messages;
  // Votes and acknowledgements: they promise durability (B2).
  std::vector<Message> messages_after_persist;
  std::vector<Entry> committed_entries;
  std::vector<ReadState> read_states;
  bool must_sync = false;  // entries, snapshot, term or vote changed
  // None if there is nothing to write and nothing in messages_after_persist.
  PersistToken token;
  // Not OK: LogStorage failed. The driver must stop this replica.
  Status storage_error;
};

// The leader's right to serve reads without asking anyone (B12). A copy kept by the driver dies
// with the next soft_state or ApplyConfChange: drop it before sending anything of that Ready, as
// this replica may have just voted for another.
struct LeaseStatus {
  // False: not leader, no entry of its term applied yet (B7, B13), not a voter, or transferring
  // away (B11).
  bool held = false;
  // The leader may serve while its clock is below this: quorum-acknowledged send time +
  // lease_duration * (1 - e). Voters that acknowledged refuse other candidates until after it.
  MonoTime valid_until;
  // It may serve reads at timestamps up to this: a quorum reports a promise at least as high to any
  // candidate.
  Timestamp promised_read_ts;

  bool ValidAt(MonoTime now) const { return held && now < valid_until; }
};

enum class ProgressState : uint8_t {
  kProbe = 0,      // one message at a time until the match is known
  kReplicate = 1,  // optimistic, pipelined
  kSnapshot = 2,   // waiting for a RaftSnapshot to arrive
};

struct PeerStatus {
  ReplicaId id;
  ProgressState state = ProgressState::kProbe;
  RaftIndex match;
  RaftIndex next;
  RaftIndex pending_snapshot;
  size_t inflight_messages = 0;
  bool learner = false;
  bool recently_active = false;  // heard from within one election timeout
};

struct GroupStatus {
  ReplicaId id;
  Role role = Role::kFollower;
  ReplicaId leader;
  ReplicaId vote;
  RaftTerm term;
  RaftIndex commit;
  RaftIndex applied;
  RaftIndex last_index;
  RaftIndex durable_index;        // up to here the log is known to be on this replica's disk
  ReplicaId transfer_target;      // none: no transfer under way
  bool quiet = false;             // `peers` are as they were when it went quiet
  ConfState conf;
  std::vector<PeerStatus> peers;  // leader only, itself included
};

// How followers hear that an entry of the leader is committed.
enum class CommitNews : uint8_t {
  kAtOnce,    // by a message of its own, if nothing else is to be sent
  kWithNext,  // with whatever is sent next, a heartbeat at the latest: halves the messages of a busy group.
              // For entries that nobody waits for at followers
};

class RawNode {
 public:
  // `storage` must outlive the node. InvalidArgument for a bad Config, DataLoss for a storage that
  // contradicts itself (commit beyond the log, applied beyond commit).
  static StatusOr<std::unique_ptr<RawNode>> Create(const Config& config, const LogStorage& storage);
  ~RawNode();

  // Fires what is due: elections, heartbeats, the check of quorum contact. Call every
  // heartbeat_interval / 2 or so, or at NextDeadline().
  void Tick(MonoTime now);
  MonoTime NextDeadline() const;

  // Takes in a peer's message. Stale ones are ignored (OK). InvalidArgument: malformed. DataLoss:
  // it proves that this replica or the peer lost acknowledged entries; the driver must quarantine
  // the replica.
  [[nodiscard]] Status Step(Message message, MonoTime now);

  // Appends to the leader's log; the entry is decided when it comes out of committed_entries with
  // this very term and index, and lost when another term shows up at the index. FailedPrecondition
  // with NotLeader payload; Unavailable while transferring; ResourceExhausted beyond
  // max_uncommitted_bytes.
  StatusOr<EntryId> Propose(std::string payload, CommitNews news = CommitNews::kAtOnce);
  // Whether Propose would take a payload of this size now.
  Status MayPropose(size_t payload_bytes) const;
  // As Propose. FailedPrecondition also if a change is unapplied (R9), no entry of this term is
  // committed (B7), the change does not fit the membership, or the read promise is not yet
  // acknowledged by a quorum of the present membership (so that each membership hands the promise
  // on to the next: B29).
  StatusOr<EntryId> ProposeConfChange(const ConfChange& change);

  // Starts an election, PreVote first. FailedPrecondition if this replica is no voter, has
  // committed but unapplied membership changes, or is bound by its promise to a leader it heard
  // lately: then the election begins as soon as the promise has run out, unless a leader speaks before.
  [[nodiscard]] Status Campaign(MonoTime now);
  // Hands leadership to a voter. The lease ends at once; proposals are refused until it is done or
  // one election timeout has passed. A transfer given up after the target was told to campaign
  // costs a new election of this replica (term + 1), so that no late TimeoutNow can elect someone
  // inside a later lease (B11).
  [[nodiscard]] Status TransferLeadership(ReplicaId to, MonoTime now);
  // Leader, its transfer begun: neither it nor any leader before it has served a read above `ts`, and it serves none any
  // more. The successor's PriorReadPromise is this, not all that was promised and never used (R6). Before TakeReady,
  // which may send the word; without a transfer, nothing.
  void SetReadsEnd(Timestamp ts);
  // Asks for a ReadState with this context. FailedPrecondition (NotLeader), ResourceExhausted.
  [[nodiscard]] Status ReadIndex(uint64_t context);

  bool HasReady() const;
  Ready TakeReady();
  void OnPersisted(PersistToken token, MonoTime now);
  // What has been committed since TakeReady, without the rest: so that what a write to the disk has committed is
  // applied at once, not after the next one. To be applied after the committed_entries of the last Ready.
  StatusOr<std::vector<Entry>> TakeCommitted();
  // Everything up to `index` is applied. Precondition: index was handed out in committed_entries.
  void OnApplied(RaftIndex index);
  // Adopts the change of a committed kConfChange entry, and returns the membership to store with
  // the applied state. DataLoss if the payload does not decode; a change that no longer fits leaves
  // the membership as it is.
  StatusOr<ConfState> ApplyConfChange(const Entry& entry);

  // The transport could not deliver to this peer: go back to probing it.
  void ReportUnreachable(ReplicaId peer);
  // The data of the RaftSnapshot announced by kSnap arrived or failed to. Due once for every kSnap:
  // until then nothing else is sent to the peer. On failure it is tried again.
  enum class SnapshotResult : uint8_t { kDelivered, kFailed };
  void ReportSnapshot(ReplicaId peer, SnapshotResult result);

  // Leader: announces that it wants to serve reads up to `promise` (never lowered). Carried by the
  // next messages. Every replica: before messages go out, ReadPromise() must be covered by the
  // bound that the driver will give as initial_read_promise after a crash.
  void SetReadPromise(Timestamp promise);
  // The highest promise known here.
  Timestamp ReadPromise() const;
  // Leader: no earlier leader has served reads above this: the highest promise in the votes, or what the predecessor
  // that handed leadership over said with SetReadsEnd. Set when the election was won.
  // Its writes go above this (B29, R7).
  Timestamp PriorReadPromise() const;
  LeaseStatus LeaseAt(MonoTime now) const;

  // Quiescence (docs/design/raft.md): a quiet replica has no timers and says nothing. The group loses
  // nothing but time: the leader's lease and read promise lapse, as after a silence.
  //
  // Leader: asks all members to go quiet, and goes quiet itself once all have. `absent` are not asked:
  // their nodes are known to be down, and whoever knows of their return must Wake this replica.
  // True if it begins to ask. False if it may not (something is under way or unacknowledged, a
  // member is behind), or is asking. Given up when a member refuses, or does not agree within one
  // election timeout.
  bool Quiesce(const std::vector<ReplicaId>& absent, MonoTime now);
  // Ticks do nothing. Step ends it, but for messages that belong to falling quiet; so do Campaign
  // and TransferLeadership. Propose, ProposeConfChange and ReadIndex need Wake first.
  bool IsQuiet() const;
  // Ends quiescence, or the attempt at it: timers start anew; a leader speaks to all at once, a
  // follower tells all that it is awake, which wakes them. Nothing for who is awake.
  void Wake(MonoTime now);

  GroupStatus GetStatus() const;

 private:
  explicit RawNode(std::unique_ptr<Raft> raft);
  std::unique_ptr<Raft> raft_;
};

}  // namespace orrery::raft
