#include "orrery/raft/raw_node.h"

#include "raft/raft.h"

namespace orrery::raft {

Status Config::Validate() const {
  if (!id) return InvalidArgumentError("raft config: no replica id");
  if (heartbeat_interval <= Duration(0) || heartbeat_interval * 2 > election_timeout) {
    return InvalidArgumentError(
        "raft config: heartbeat_interval is over half the election_timeout");
  }
  if (clock_rate_error_ppm >= 500'000)
    return InvalidArgumentError("raft config: clock rate error too large");
  // lease * (1 + e) < election timeout, as on two clocks one of which is fast and one slow.
  const auto stretched = lease_duration + lease_duration / 1'000'000 * clock_rate_error_ppm;
  if (lease_duration <= Duration(0) || stretched >= election_timeout) {
    return InvalidArgumentError(
        "raft config: lease_duration does not fit in the election_timeout (B12)");
  }
  if (max_message_bytes == 0 || max_apply_bytes == 0 || max_inflight_messages == 0 ||
      max_inflight_bytes == 0 || max_uncommitted_bytes == 0 || max_pending_reads == 0) {
    return InvalidArgumentError("raft config: a limit is zero");
  }
  return OkStatus();
}

RawNode::RawNode(std::unique_ptr<Raft> raft) : raft_(std::move(raft)) {}
RawNode::~RawNode() = default;

StatusOr<std::unique_ptr<RawNode>> RawNode::Create(const Config& config,
                                                   const LogStorage& storage) {
  RETURN_IF_ERROR(config.Validate());
  auto raft = std::make_unique<Raft>(config, storage);
  RETURN_IF_ERROR(raft->Load(storage));
  return std::unique_ptr<RawNode>(new RawNode(std::move(raft)));
}

void RawNode::Tick(MonoTime now) { raft_->Tick(now); }
MonoTime RawNode::NextDeadline() const { return raft_->NextDeadline(); }
Status RawNode::Step(Message message, MonoTime now) { return raft_->Step(std::move(message), now); }
StatusOr<EntryId> RawNode::Propose(std::string payload, CommitNews news) {
  return raft_->Propose(std::move(payload), news);
}
Status RawNode::MayPropose(size_t payload_bytes) const { return raft_->MayPropose(payload_bytes); }
StatusOr<EntryId> RawNode::ProposeConfChange(const ConfChange& change) {
  return raft_->ProposeConfChange(change);
}
Status RawNode::Campaign(MonoTime now) { return raft_->Campaign(now); }
Status RawNode::TransferLeadership(ReplicaId to, MonoTime now) {
  return raft_->TransferLeadership(to, now);
}
void RawNode::SetReadsEnd(Timestamp ts) { raft_->SetReadsEnd(ts); }
Status RawNode::ReadIndex(uint64_t context) { return raft_->ReadIndex(context); }
bool RawNode::HasReady() const { return raft_->HasReady(); }
Ready RawNode::TakeReady() { return raft_->TakeReady(); }
void RawNode::OnPersisted(PersistToken token, MonoTime now) { raft_->OnPersisted(token, now); }
StatusOr<std::vector<Entry>> RawNode::TakeCommitted() { return raft_->TakeCommitted(); }
void RawNode::OnApplied(RaftIndex index) { raft_->OnApplied(index); }
StatusOr<ConfState> RawNode::ApplyConfChange(const Entry& entry) {
  return raft_->ApplyConfChange(entry);
}
void RawNode::ReportUnreachable(ReplicaId peer) { raft_->ReportUnreachable(peer); }
void RawNode::ReportSnapshot(ReplicaId peer, SnapshotResult result) {
  raft_->ReportSnapshot(peer, result);
}
void RawNode::SetReadPromise(Timestamp promise) { raft_->SetReadPromise(promise); }
Timestamp RawNode::ReadPromise() const { return raft_->ReadPromise(); }
Timestamp RawNode::PriorReadPromise() const { return raft_->PriorReadPromise(); }
LeaseStatus RawNode::LeaseAt(MonoTime now) const { return raft_->LeaseAt(now); }
bool RawNode::Quiesce(const std::vector<ReplicaId>& absent, MonoTime now) {
  return raft_->Quiesce(absent, now);
}
bool RawNode::IsQuiet() const { return raft_->IsQuiet(); }
void RawNode::Wake(MonoTime now) { raft_->Wake(now); }
GroupStatus RawNode::GetStatus() const { return raft_->GetStatus(); }

}  // namespace orrery::raft
