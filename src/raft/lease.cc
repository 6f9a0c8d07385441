// Leases, read promises, and reads confirmed by a quorum round (§8; dissertation §6.4; B12, B29).
//
// A lease rests on two promises of each voter that acknowledges a leader's message. "No vote for
// another within one election timeout of receiving it": so until its send time + lease_duration no
// other leader exists. "I tell every candidate the highest read promise I know": so a later
// leader's writes go above every read served.
#include "raft/raft.h"

namespace orrery::raft {

void Raft::SetReadPromise(Timestamp promise) {
  if (IsLeader()) read_promise_.Forward(promise);
}

// The highest promise that a quorum of the present membership reports to any candidate.
Timestamp Raft::QuorumPromise() const {
  return JointValue<Timestamp>(conf_, [&](ReplicaId id) {
    if (id == config_.id) return read_promise_;
    const auto it = progress_.find(id);
    return it == progress_.end() ? Timestamp() : it->second.acked_promise;
  }).value_or(Timestamp());
}

LeaseStatus Raft::LeaseAt(MonoTime now) const {
  const bool may_hold = IsLeader() && !transfer_target_ && IsVoter(conf_, config_.id) &&
                        log_.applied() >= term_start_;  // B7, B11, B13
  if (!may_hold) return {};
  const auto acked = JointValue<MonoTime>(conf_, [&](ReplicaId id) {
    if (id == config_.id) return now;
    const auto it = progress_.find(id);
    return it == progress_.end() ? kNever : it->second.acked_sent_at;
  });
  const int64_t ns = config_.lease_duration.count();
  const int64_t margin = ns / 1'000'000 * config_.clock_rate_error_ppm +
                         ns % 1'000'000 * config_.clock_rate_error_ppm / 1'000'000 + 1;
  return {.held = true, .valid_until = acked.value_or(kNever) + Duration(ns - margin),
          .promised_read_ts = QuorumPromise()};
}

Status Raft::ReadIndex(uint64_t context) {
  if (!IsLeader()) return NotLeaderError();
  if (unstarted_reads_.size() + pending_reads_.size() >= config_.max_pending_reads) {
    return ResourceExhaustedError("raft: too many reads wait for a quorum round");
  }
  NeedsAwake();
  unstarted_reads_.push_back(context);
  return OkStatus();
}

// All reads of one turn share a round that begins after each of them arrived. Before an entry of
// this term is committed the leader does not know what is committed, so reads wait (§8, B7).
void Raft::StartReadRound() {
  if (unstarted_reads_.empty() || !CommittedInTerm()) return;
  ++read_round_;
  for (const uint64_t context : unstarted_reads_) {
    pending_reads_.push_back({context, log_.committed(), read_round_});
  }
  unstarted_reads_.clear();
  BroadcastHeartbeat();
  ConfirmReads();  // a single voter is its own quorum
}

void Raft::ConfirmReads() {
  if (pending_reads_.empty()) return;
  const auto confirmed = JointValue<uint64_t>(conf_, [&](ReplicaId id) {
    if (id == config_.id) return read_round_;
    const auto it = progress_.find(id);
    return it == progress_.end() ? 0 : it->second.acked_read_round;
  });
  while (!pending_reads_.empty() && pending_reads_.front().round <= confirmed.value_or(0)) {
    read_states_.push_back({pending_reads_.front().context, pending_reads_.front().index});
    pending_reads_.pop_front();
  }
}

}  // namespace orrery::raft
