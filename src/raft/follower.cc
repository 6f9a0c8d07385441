// The follower's side of replication (§5.3, §7).
#include "raft/raft.h"

namespace orrery::raft {

Message Raft::AnswerTo(const Message& m, MessageType type) const {
  return {.type = type, .to = m.from, .sent_at = m.sent_at, .read_promise = read_promise_};
}

Status Raft::HandleApp(Message& m) {
  Message answer = AnswerTo(m, MessageType::kAppResp);
  if (m.index < log_.committed()) {  // late: what is committed matches any leader's log
    answer.index = log_.committed();
    Send(std::move(answer));
    return OkStatus();
  }
  const RaftIndex last_new(m.index.value() + m.entries.size());
  ASSIGN_OR_RETURN(const bool matched, log_.TryAppend({m.log_term, m.index}, std::move(m.entries)));
  if (matched) {
    log_.CommitTo(std::min(m.commit, last_new));
    answer.index = last_new;
  } else {
    const EntryId hint = log_.LatestAtOrBelow(m.index, m.log_term);
    answer.reject = true;
    answer.index = m.index;
    answer.reject_hint = hint.index;
    answer.log_term = hint.term;
  }
  Send(std::move(answer));
  return OkStatus();
}

Status Raft::HandleHeartbeat(const Message& m) {
  if (m.commit > log_.last_index()) {
    // The leader clamps it to what this replica acknowledged, which was durable (7b, lost synced
    // data).
    return DataLossError("raft: acknowledged entries up to " + ToString(m.commit) +
                         " are lost; the log ends at " + ToString(log_.last_index()));
  }
  log_.CommitTo(m.commit);
  Message answer = AnswerTo(m, MessageType::kHeartbeatResp);
  answer.read_round = m.read_round;
  answer.quiesce = AgreesToQuiesce(m);
  if (answer.quiesce) FallQuiet();
  Send(std::move(answer));
  return OkStatus();
}

Status Raft::HandleSnap(const Message& m) {
  const SnapshotMeta& meta = *m.snapshot;
  Message answer = AnswerTo(m, MessageType::kAppResp);
  if (meta.index > log_.committed()) {
    if (log_.Matches({meta.term, meta.index})) {
      log_.CommitTo(meta.index);  // the log already holds it all
    } else {
      log_.Restore(meta);
      conf_ = meta.conf;
    }
  }
  answer.index = log_.committed();
  Send(std::move(answer));
  return OkStatus();
}

}  // namespace orrery::raft
