#include "orrery/raft/types.h"

#include "orrery/base/wire.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {
namespace {

std::string List(const std::vector<ReplicaId>& ids) {
  std::string out = "(";
  for (const ReplicaId id : ids) {
    if (out.size() > 1) out += ' ';
    out += ToString(id);
  }
  return out + ")";
}

std::string At(RaftTerm term, RaftIndex index) { return ToString(term) + "/" + ToString(index); }

}  // namespace

size_t EntryBytes(const Entry& entry) { return entry.payload.size() + 32; }

std::string_view MessageTypeName(MessageType type) {
  switch (type) {
    case MessageType::kApp: return "App";
    case MessageType::kAppResp: return "AppResp";
    case MessageType::kVote: return "Vote";
    case MessageType::kVoteResp: return "VoteResp";
    case MessageType::kPreVote: return "PreVote";
    case MessageType::kPreVoteResp: return "PreVoteResp";
    case MessageType::kHeartbeat: return "Heartbeat";
    case MessageType::kHeartbeatResp: return "HeartbeatResp";
    case MessageType::kSnap: return "Snap";
    case MessageType::kTimeoutNow: return "TimeoutNow";
  }
  return "Unknown";
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kFollower: return "follower";
    case Role::kPreCandidate: return "pre-candidate";
    case Role::kCandidate: return "candidate";
    case Role::kLeader: return "leader";
  }
  return "unknown";
}

std::string NotLeader::DebugString() const {
  return "not the leader in term " + ToString(term_) +
         (leader_ ? "; the leader is replica " + ToString(leader_) : "; no leader known");
}

std::string ToString(const Entry& entry) {
  std::string out = At(entry.term, entry.index);
  if (entry.kind == EntryKind::kConfChange) {
    ConfChange change;
    if (!wire::Decode(entry.payload, change).ok()) return out + " conf (malformed)";
    out += " conf";
    if (change.IsLeaveJoint()) out += " leave-joint";
    for (const ConfChangeStep& step : change.steps) {
      out += step.kind == ConfChangeKind::kAddVoter     ? " v"
             : step.kind == ConfChangeKind::kAddLearner ? " l"
                                                        : " r";
      out += ToString(step.replica);
    }
    return out;
  }
  return out + (entry.payload.empty() ? " no-op" : " \"" + entry.payload + "\"");
}

std::string ToString(const HardState& state) {
  return "term=" + ToString(state.term) + " vote=" + ToString(state.vote) +
         " commit=" + ToString(state.commit);
}

std::string ToString(const ConfState& conf) {
  std::string out = List(conf.voters);
  if (conf.IsJoint()) out += "&&" + List(conf.voters_outgoing);
  if (!conf.learners.empty()) out += " learners=" + List(conf.learners);
  if (!conf.learners_next.empty()) out += " learners_next=" + List(conf.learners_next);
  if (conf.auto_leave) out += " auto_leave";
  return out;
}

std::string ToString(const Message& m) {
  std::string out = ToString(m.from) + "->" + ToString(m.to) + " " +
                    std::string(MessageTypeName(m.type)) + " term=" + ToString(m.term);
  const bool vote_answer = m.type == MessageType::kVoteResp || m.type == MessageType::kPreVoteResp;
  if (m.type == MessageType::kAppResp) {
    out += " at=" + ToString(m.index);
  } else if (m.index) {
    out += " at=" + At(m.log_term, m.index);
  }
  if (m.commit) out += " commit=" + (vote_answer ? At(m.log_term, m.commit) : ToString(m.commit));
  if (m.reject)
    out += m.type == MessageType::kAppResp ? " reject hint=" + At(m.log_term, m.reject_hint)
                                           : " reject";
  if (m.leader_transfer) out += " transfer";
  if (m.read_round) out += " round=" + std::to_string(m.read_round);
  if (m.quiesce) out += " quiesce";
  if (m.bound_for_ns != 0) out += " bound_for=" + std::to_string(Duration(m.bound_for_ns) / 1ms) + "ms";
  if (!m.read_promise.IsZero()) out += " promise=" + std::to_string(m.read_promise.wall_ns);
  if (!m.reads_end.IsZero()) out += " reads_end=" + std::to_string(m.reads_end.wall_ns);
  if (m.snapshot) {
    out += " snapshot=" + At(m.snapshot->term, m.snapshot->index) +
           " conf=" + ToString(m.snapshot->conf);
  }
  for (size_t i = 0; i < m.entries.size(); ++i)
    out += (i ? ", " : " entries=[") + ToString(m.entries[i]);
  return out + (m.entries.empty() ? "" : "]");
}

}  // namespace orrery::raft
