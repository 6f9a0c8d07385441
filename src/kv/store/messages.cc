// Raft messages between stores: those of all ranges for one peer travel together.
#include "kv/store/store_impl.h"

namespace orrery::kv {

using runtime::MutexLock;
using storage::ColumnFamily;

void StoreImpl::SendMessages(NodeId to, RaftMessageBatch batch) {
  if (batch.messages.empty()) return;
  runtime_->transport().Send(to, runtime::Method::kRaftMessages, wire::Encode(batch));
}

BatchResponse StoreImpl::Call(const runtime::Context& context, NodeId node, const BatchRequest& request) {
  BatchResponse response;
  const auto bytes = runtime_->transport().Call(context, node, runtime::Method::kKvBatch, wire::Encode(request));
  const Status status = bytes.ok() ? wire::Decode(*bytes, response) : bytes.status();
  if (!status.ok()) {
    response = {};
    response.error = FromStatus(status);
  }
  return response;
}

void StoreImpl::HandleRaftMessages(const runtime::Context&, NodeId from, std::string_view message) {
  RaftMessageBatch batch;
  if (!driver_ || !wire::Decode(message, batch).ok()) return;  // as if it had been lost
  for (auto& envelope : batch.messages) {
    if (envelope.to.store != options_.store || envelope.from.node != from) continue;
    if (envelope.message.to != envelope.to.replica || envelope.message.from != envelope.from.replica) continue;
    if (envelope.message.type == raft::MessageType::kSnap) continue;  // comes with its data (snapshot.cc)
    const ReplicaPtr replica = Find(envelope.range);
    if (replica) {
      if (replica->id() != envelope.to.replica) {
        NoteSuperseded(replica, envelope.to.replica);
        continue;
      }
      replica->PostMessage(std::move(envelope));
      driver_->Enqueue(replica);
      continue;
    }
    RunInCycle([this, envelope = std::move(envelope)](CycleOutput& out) mutable {
      if (const auto made = MakeUninitialised(envelope, out)) {
        made->PostMessage(std::move(envelope));
        driver_->Enqueue(made);
      }
    });
  }
  driver_->Nudge();
}

// A store has one replica of a range (R11): who speaks to a younger one knows that this one is removed, and it keeps the
// younger one out as long as it is here. One with data asks the meta record before it goes (R12). One without has no
// descriptor to ask by, and nothing to lose; the next message finds its place empty.
void StoreImpl::NoteSuperseded(const ReplicaPtr& replica, ReplicaId younger) {
  if (younger < replica->id()) return;  // a late message
  if (replica->initialised()) {
    MutexLock lock(mutex_);
    in_the_way_.insert(replica->range());
    return;
  }
  RunInCycle([this, replica, younger](CycleOutput& out) {
    if (!replica->initialised()) Bury(replica, younger, out);
  });
}

StatusOr<bool> StoreImpl::IsBuried(RangeId range, ReplicaId replica) const {
  TombstoneRecord tombstone;
  ASSIGN_OR_RETURN(const bool found,
                   ReadRecord(deps_.engine, ColumnFamily::kState, local_keys::Tombstone(range), tombstone));
  return found && replica < tombstone.next_replica;
}

StoreImpl::ReplicaPtr StoreImpl::MakeUninitialised(const RaftEnvelope& envelope, CycleOutput& out) {
  if (const auto existing = Find(envelope.range)) {
    return existing->id() == envelope.to.replica ? existing : nullptr;
  }
  const auto buried = IsBuried(envelope.range, envelope.to.replica);
  if (!buried.ok() || *buried) return nullptr;
  auto replica = std::make_shared<Replica>(*this, envelope.range, envelope.to.replica);
  if (!replica->Load(raft::StartMode::kFresh, initial_read_promise_).ok()) return nullptr;
  // In the log of the same store before any vote of this replica: durable no later than that.
  PutRecord(out.log, ColumnFamily::kState, local_keys::LocalReplica(envelope.range),
            LocalReplicaRecord{envelope.to.replica});
  Insert(replica);
  return replica;
}

// What overlaps is the other half of a split that is yet to be applied here, or was left behind before it: then nobody
// speaks to it, and the range queue that would find it out may wait for a learner elsewhere that waits for this one.
Status StoreImpl::CheckNoOverlap(RangeId range, const RangeDescriptor& descriptor) {
  // As those here do not overlap each other, only the last one before the span can reach into it.
  MutexLock lock(mutex_);
  auto it = by_start_.upper_bound(descriptor.start);
  if (it != by_start_.begin()) --it;
  for (; it != by_start_.end() && it->first < descriptor.end; ++it) {
    if (it->second->range() == range) continue;
    const auto other = it->second->descriptor();
    if (!other || other->start >= descriptor.end || descriptor.start >= other->end) continue;
    in_the_way_.insert(other->range);
    return FailedPreconditionError("a replica of range " + ToString(other->range) + " overlaps");
  }
  return OkStatus();
}

}  // namespace orrery::kv
