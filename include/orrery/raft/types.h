// The values of the consensus core: log entries, durable state, membership, and the messages of one
// raft group. Everything here is plain data; docs/formats/raft_messages.md documents the bytes that
// Visit gives them.
//
// Sources: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended
// version, 2014); Ongaro's dissertation (2014); etcd-io/raft as the model of the message set.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/status.h"
#include "orrery/base/time.h"
#include "orrery/base/timestamp.h"

namespace orrery::raft {

enum class EntryKind : uint8_t {
  // Payload is the driver's command; empty = the leader's no-op at the start of a term.
  kNormal = 0,
  kConfChange = 1,  // payload is an encoded ConfChange
};

struct Entry {
  RaftTerm term;
  RaftIndex index;
  EntryKind kind = EntryKind::kNormal;
  std::string payload;

  friend bool operator==(const Entry&, const Entry&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, term);
    v(2, index);
    v(3, kind);
    v(4, payload);
  }
};

// Bytes an entry counts for in every limit of Config: its payload plus a fixed overhead, so that a
// flood of empty entries is limited too.
size_t EntryBytes(const Entry& entry);

// Names an entry and, by Log Matching, the whole log up to it.
struct EntryId {
  RaftTerm term;
  RaftIndex index;
  friend constexpr auto operator<=>(const EntryId&, const EntryId&) = default;
};

// One record, written in one batch (B1). `commit` alone changing needs no sync.
struct HardState {
  RaftTerm term;
  ReplicaId vote;  // none: no vote in `term` yet
  RaftIndex commit;

  friend bool operator==(const HardState&, const HardState&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, term);
    v(2, vote);
    v(3, commit);
  }
};

// Membership. Outside a joint configuration only `voters` and `learners` are filled. Lists are
// sorted, without repetition. A replica in `learners_next` is a voter of the outgoing half that
// becomes a learner when the joint configuration is left.
struct ConfState {
  std::vector<ReplicaId> voters;
  std::vector<ReplicaId> voters_outgoing;  // non-empty exactly in a joint configuration
  std::vector<ReplicaId> learners;
  std::vector<ReplicaId> learners_next;
  bool auto_leave = false;  // the leader proposes leaving the joint configuration by itself

  bool IsJoint() const { return !voters_outgoing.empty(); }
  friend bool operator==(const ConfState&, const ConfState&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, voters);
    v(2, voters_outgoing);
    v(3, learners);
    v(4, learners_next);
    v(5, auto_leave);
  }
};

enum class ConfChangeKind : uint8_t {
  kAddVoter = 1,       // a new replica, or the promotion of a learner
  kAddLearner = 2,     // a new replica, or the demotion of a voter
  kRemoveLearner = 3,  // refused for a voter: demote it first (B9)
};

struct ConfChangeStep {
  ConfChangeKind kind = ConfChangeKind::kAddVoter;
  ReplicaId replica;
  friend bool operator==(const ConfChangeStep&, const ConfChangeStep&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, kind);
    v(2, replica);
  }
};

enum class ConfTransition : uint8_t {
  kAuto = 0,           // one voter changed: at once; more: joint, left automatically
  kJointAutoLeave = 1, // always joint; the leader leaves it as soon as it may
  kJointExplicit = 2,  // always joint; left by a ConfChange without steps, proposed by the driver
};

// A change of membership. Without steps: leave the joint configuration. `context` is the driver's
// own (for instance the command that updates the range descriptor), carried and never looked into.
struct ConfChange {
  ConfTransition transition = ConfTransition::kAuto;
  std::vector<ConfChangeStep> steps;
  std::string context;

  bool IsLeaveJoint() const { return steps.empty(); }
  friend bool operator==(const ConfChange&, const ConfChange&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, transition);
    v(2, steps);
    v(3, context);
  }
};

// What a RaftSnapshot stands for: the state after applying `index`, and the membership at that
// point.
struct SnapshotMeta {
  RaftIndex index;
  RaftTerm term;
  ConfState conf;

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, index);
    v(2, term);
    v(3, conf);
  }
};

enum class MessageType : uint8_t {
  kApp = 1,
  kAppResp = 2,
  kVote = 3,
  kVoteResp = 4,
  kPreVote = 5,
  kPreVoteResp = 6,
  kHeartbeat = 7,
  kHeartbeatResp = 8,
  kSnap = 9,
  kTimeoutNow = 10,
};
std::string_view MessageTypeName(MessageType type);

// One message between two replicas of a group. May be lost, duplicated, reordered and delayed at
// will.
struct Message {
  MessageType type = MessageType::kApp;
  ReplicaId from;
  ReplicaId to;
  // Of the sender; kPreVote: the term it would campaign in; a granted kPreVoteResp repeats it.
  RaftTerm term;

  // kApp: the entry before `entries`. kVote, kPreVote, kTimeoutNow: the sender's last entry.
  // kAppResp: index = the match (or, rejecting, the index that did not match); log_term,
  // reject_hint = the latest place where the logs may still agree. kVoteResp, kPreVoteResp:
  // log_term = the term of entry `commit`.
  RaftTerm log_term;
  RaftIndex index;
  std::vector<Entry> entries;
  RaftIndex commit;  // kApp, kHeartbeat (clamped to the receiver's match), kVoteResp, kPreVoteResp
  bool reject = false;
  RaftIndex reject_hint;

  std::optional<SnapshotMeta> snapshot;  // kSnap: the driver moves the data
  // KVote: sent on a leader's TimeoutNow, goes past leader stickiness.
  bool leader_transfer = false;

  uint64_t read_round = 0;  // kHeartbeat, echoed: the latest round of read-index confirmation
  // KApp, kHeartbeat, kSnap: the leader's clock, echoed (B12); meaningless to others.
  MonoTime sent_at;
  // From the leader: it may serve reads up to here. In responses: the highest promise the sender
  // knows (B29).
  Timestamp read_promise;
  // KHeartbeat: go quiet if your log ends at `commit` and nothing is under way. KHeartbeatResp: done.
  bool quiesce = false;
  // A refusing kPreVoteResp: for so long the voter is bound to a leader; asked again then, it may agree. 0: it has
  // another reason.
  int64_t bound_for_ns = 0;
  // KTimeoutNow: nobody has been served a read above this by the sender or any leader before it. Zero: it does not know.
  Timestamp reads_end;

  friend bool operator==(const Message&, const Message&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, type);
    v(2, from);
    v(3, to);
    v(4, term);
    v(5, log_term);
    v(6, index);
    v(7, entries);
    v(8, commit);
    v(9, reject);
    v(10, reject_hint);
    v(11, snapshot);
    v(12, leader_transfer);
    v(13, read_round);
    v(14, sent_at);
    v(15, read_promise);
    v(16, quiesce);
    v(17, bound_for_ns);
    v(18, reads_end);
  }
};

// The typed detail of "this replica is not the leader" (code FailedPrecondition).
class NotLeader : public ErrorPayload {
 public:
  NotLeader(ReplicaId leader, RaftTerm term) : leader_(leader), term_(term) {}
  ReplicaId leader() const { return leader_; }  // none: unknown
  RaftTerm term() const { return term_; }
  std::string DebugString() const override;

 private:
  ReplicaId leader_;
  RaftTerm term_;
};

// One line each, for transcripts and logs.
std::string ToString(const Entry& entry);
std::string ToString(const HardState& state);
std::string ToString(const ConfState& conf);  // "(1 2 3)&&(1 2) learners=(4) learners_next=(5)"
std::string ToString(const Message& message);

}  // namespace orrery::raft
