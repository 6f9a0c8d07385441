// Administration of ranges: each change of a descriptor is a transaction on its meta record, whose commit,
// on the range itself, carries the trigger (R2). A conditional put of the meta record lets one of two rivals
// win (R9).
#include <algorithm>

#include "kv/store/store_impl.h"
#include "orrery/base/hash.h"
#include "orrery/kv/api/counter.h"

namespace orrery::kv {

using runtime::MutexLock;

namespace {

constexpr uint8_t kSnapshotIsolation = 1;  // kv::IsolationLevel::kRepeatableRead: conflicts are found by writes
constexpr int kCommitAttemptsMax = 40;
constexpr Duration kRetryPause = 100ms;
constexpr Duration kCatchUpTimeout = 120s;
// A store takes so many at a time, so that splits under way together do not queue up for the counter. Numbers left over
// when it stops are never used.
constexpr uint64_t kRangeIdsAtOnce = 16;

Status StatusOf(const BatchResponse& response) {
  return response.error ? ToStatus(*response.error) : OkStatus();
}

}  // namespace

// A short transaction of the store itself: all its locks are on meta records.
class StoreImpl::AdminTxn {
 public:
  AdminTxn(StoreImpl& store, const ReplicaPtr& replica, const RangeDescriptor& range)
      : store_(store), replica_(replica), range_(range) {
    txn_.meta.id = store.NewTxnId();
    txn_.meta.epoch = 1;
    txn_.meta.sequence = 1;
    txn_.meta.anchor_key = range.start.empty() ? MetaKey(range.end) : range.start;
    txn_.meta.isolation = kSnapshotIsolation;
    txn_.read_ts = store.deps_.clock.Now();
    txn_.meta.write_ts = txn_.meta.min_ts = txn_.read_ts;
    txn_.uncertainty_limit = store.deps_.clock.UncertaintyLimit(txn_.read_ts);
    txn_.gateway = store.options_.node;
  }

  // All of them, or the transaction is to be aborted.
  Status Put(const runtime::Context& context, std::vector<ConditionalPutRequest> puts) {
    BatchRequest batch = NewBatch();
    for (auto& put : puts) {
      locks_.push_back({put.key, ""});
      batch.requests.push_back(std::move(put));
    }
    const BatchResponse response = store_.deps_.sender.Send(context, batch);
    RETURN_IF_ERROR(StatusOf(response));
    if (response.txn) txn_.meta.write_ts.Forward(response.txn->meta.write_ts);
    ++txn_.meta.sequence;
    return OkStatus();
  }

  // Commits with the trigger that `end` carries, then tidies up. On an error nothing of it remains, unless the
  // outcome is ambiguous: then whoever meets the locks finds out.
  Status Commit(const runtime::Context& context, EndTxnRequest end) {
    end.lock_spans = locks_;
    BatchRequest batch = NewBatch();
    batch.header.range = range_.range;
    batch.header.generation = range_.generation;
    batch.requests.push_back(std::move(end));
    const BatchResponse response = replica_->Send(context, batch);
    const Status status = StatusOf(response);
    if (status.code() == Code::kAmbiguous) return status;
    if (!status.ok()) {
      Abort(context);
      return status;
    }
    if (response.txn) txn_.meta.write_ts = response.txn->meta.write_ts;
    // What cannot be tidied up now is left to whoever meets the locks, and to the queue: the record says what became of
    // the transaction. A record that is left would wake its range once more when it is long quiet.
    if (Resolve(context, TxnStatus::kCommitted).ok()) {
      (void)replica_->EraseTxnRecord(context, {.meta = txn_.meta, .status = TxnStatus::kCommitted}).ok();
    }
    return OkStatus();
  }

  void Abort(const runtime::Context& context) {
    EndTxnRequest end;
    end.outcome = TxnStatus::kAborted;
    end.lock_spans = locks_;
    BatchRequest batch = NewBatch();
    batch.header.range = range_.range;
    batch.header.generation = range_.generation;
    batch.requests.push_back(std::move(end));
    if (!replica_->Send(context, batch).error) (void)Resolve(context, TxnStatus::kAborted).ok();
  }

 private:
  BatchRequest NewBatch() {
    BatchRequest batch;
    batch.header.txn = txn_;
    batch.header.now = store_.deps_.clock.Peek();
    batch.header.gateway = store_.options_.node;
    return batch;
  }
  Status Resolve(const runtime::Context& context, TxnStatus status) {
    BatchRequest batch;
    batch.header.now = store_.deps_.clock.Peek();
    batch.header.gateway = store_.options_.node;
    for (const Span& span : locks_) batch.requests.push_back(ResolveIntentRequest{span, txn_.meta, status, {}});
    return StatusOf(store_.deps_.sender.Send(context, batch));
  }

  StoreImpl& store_;
  const ReplicaPtr replica_;
  const RangeDescriptor range_;
  Transaction txn_;
  std::vector<Span> locks_;
};

std::string StoreImpl::NewTxnId() {
  const uint64_t low = txn_seed_.fetch_add(1, std::memory_order_relaxed);
  const uint64_t parts[] = {runtime_->random().Next(), Hash64(std::to_string(low), options_.store.value())};
  return std::string(reinterpret_cast<const char*>(parts), sizeof(parts));
}

bool StoreImpl::BeginChange(RangeId range) {
  MutexLock lock(mutex_);
  return changing_.insert(range.value()).second;
}
void StoreImpl::EndChange(RangeId range) {
  MutexLock lock(mutex_);
  changing_.erase(range.value());
}

bool StoreImpl::IsAdmin(const BatchRequest& request) const {
  if (request.requests.size() != 1) return false;
  const Request& only = request.requests.front();
  return std::holds_alternative<AdminSplitRequest>(only) || std::holds_alternative<AdminTransferLeaseRequest>(only) ||
         std::holds_alternative<AdminChangeReplicasRequest>(only);
}

BatchResponse StoreImpl::SendAdmin(const runtime::Context& context, ReplicaPtr replica, const BatchRequest& request) {
  BatchResponse response;
  response.now = deps_.clock.Peek();
  if (!replica->EnsureLease(context).ok()) {
    NotLeaseholderError error{replica->range(), {}};
    const auto descriptor = replica->descriptor();
    const ReplicaId leader = replica->raft_status().leader;
    if (const auto* holder = descriptor && leader != replica->id() ? descriptor->FindReplica(leader) : nullptr) {
      error.lease_holder = *holder;
    }
    response.error = KvError{error, std::nullopt};
    return response;
  }
  if (!BeginChange(replica->range())) {
    response.error = FromStatus(AbortedError("another change of the range is under way"));
    return response;
  }
  const Request& only = request.requests.front();
  Status status;
  if (const auto* split = std::get_if<AdminSplitRequest>(&only)) {
    status = AdminSplit(context, replica, split->split_key);
  } else if (const auto* move = std::get_if<AdminTransferLeaseRequest>(&only)) {
    status = AdminTransferLease(context, replica, move->target, LeaseMove::kRequired);
  } else {
    status = AdminChangeReplicas(context, replica, std::get<AdminChangeReplicasRequest>(only));
  }
  EndChange(replica->range());
  if (status.ok()) {
    response.responses.push_back(EmptyResponse{});
  } else {
    response.error = FromStatus(status);
  }
  response.now = deps_.clock.Peek();
  return response;
}

StatusOr<RangeId> StoreImpl::AllocateRangeId(const runtime::Context& context) {
  const std::string key = ClusterKey(kNextRangeId);
  for (int i = 0; i < kCommitAttemptsMax; ++i) {
    {
      MutexLock lock(mutex_);
      if (range_ids_next_ < range_ids_end_) return RangeId(range_ids_next_++);
    }
    BatchRequest read;
    read.header.now = deps_.clock.Peek();
    read.requests.push_back(GetRequest{key});
    const BatchResponse value = deps_.sender.Send(context, read);
    RETURN_IF_ERROR(StatusOf(value));
    const auto* get = value.responses.empty() ? nullptr : std::get_if<GetResponse>(&value.responses[0]);
    if (!get) return InternalError("a Get was answered with something else");
    ASSIGN_OR_RETURN(const uint64_t last, DecodeCounter(get->value));
    BatchRequest write;
    write.header.now = deps_.clock.Peek();
    write.requests.push_back(ConditionalPutRequest{key, EncodeCounter(last + kRangeIdsAtOnce), get->value});
    const Status written = StatusOf(deps_.sender.Send(context, write));
    if (written.ok()) {
      MutexLock lock(mutex_);
      range_ids_next_ = last + 2;
      range_ids_end_ = last + kRangeIdsAtOnce + 1;
      return RangeId(last + 1);
    }
    if (!GetError<ConditionFailedError>(written)) return written;
  }
  return AbortedError("the counter of range ids is contended");
}

Status StoreImpl::AdminSplit(const runtime::Context& context, const ReplicaPtr& replica, const std::string& key) {
  const auto descriptor = replica->descriptor();
  if (descriptor->start == key) return OkStatus();
  if (!descriptor->ContainsKey(key)) return ToStatus(KvError{RangeKeyMismatchError{{*descriptor}}, std::nullopt});
  if (std::string_view(key) < kTableDataStart) return InvalidArgumentError("the first range is never split");
  for (const auto& r : descriptor->replicas) {
    if (r.type != ReplicaType::kVoter) return AbortedError("the range is changing its replicas");
  }
  ASSIGN_OR_RETURN(const RangeId id, AllocateRangeId(context));
  SplitTrigger split{*descriptor, *descriptor};
  split.left.end = key;
  split.left.generation = descriptor->generation.Next();
  split.right.range = id;
  split.right.start = key;
  split.right.generation = split.left.generation;
  AdminTxn txn(*this, replica, *descriptor);
  const Status status = txn.Put(context, {{MetaKey(descriptor->end), wire::Encode(split.right), wire::Encode(*descriptor)},
                                          {MetaKey(key), wire::Encode(split.left), std::nullopt}});
  if (!status.ok()) {
    txn.Abort(context);
    return status;
  }
  EndTxnRequest end;
  end.split = std::move(split);
  return txn.Commit(context, std::move(end));
}

Status StoreImpl::AdminTransferLease(const runtime::Context& context, const ReplicaPtr& replica, NodeId target,
                                     LeaseMove move) {
  if (target == options_.node) return OkStatus();
  struct Begun {
    Status status;
  };
  // Shared: if the store stops, this ends before the action, or there is none any more.
  const auto begun = std::make_shared<runtime::OneShot<Begun>>();
  replica->Post([begun, target, move](Replica& self, CycleOutput& out) {
    begun->Set({self.TransferLeadershipTo(target, move, out.now)});
  });
  driver_->Enqueue(replica);
  driver_->Nudge();
  ASSIGN_OR_RETURN(const Begun result, begun->Take(context));
  RETURN_IF_ERROR(result.status);
  // Nobody needs to know how it ends, and so many can be under way at once.
  if (move == LeaseMove::kPutOff) return OkStatus();
  const MonoTime limit = mono_clock().MonoNow() + 3 * options_.election_timeout;
  while (mono_clock().MonoNow() < limit) {
    const auto raft = replica->raft_status();
    if (raft.role != raft::Role::kLeader && raft.leader) return OkStatus();
    RETURN_IF_ERROR(runtime_->scheduler().SleepFor(context, 10ms));
  }
  return AbortedError("the lease could not be moved");
}

Status StoreImpl::ChangeDescriptor(const runtime::Context& context, const ReplicaPtr& replica,
                                   const RangeDescriptor& from, const RangeDescriptor& to) {
  Status status;
  for (int i = 0; i < kCommitAttemptsMax; ++i) {
    if (!replica->EnsureLease(context).ok()) return AbortedError("the lease has moved");
    AdminTxn txn(*this, replica, from);
    status = txn.Put(context, {{MetaKey(from.end), wire::Encode(to), wire::Encode(from)}});
    if (!status.ok()) {
      txn.Abort(context);
      if (GetError<ConditionFailedError>(status)) return AbortedError("the range was changed meanwhile");
    } else {
      EndTxnRequest end;
      end.change_replicas = ChangeReplicasTrigger{to};
      status = txn.Commit(context, std::move(end));
      if (status.ok() || status.code() == Code::kAmbiguous) return status;
    }
    // A change of membership has its times: the former one applied, the read promise handed on (B7, B29).
    RETURN_IF_ERROR(runtime_->scheduler().SleepFor(context, kRetryPause));
  }
  return status;
}

Status StoreImpl::WaitForCaughtUp(const runtime::Context& context, const ReplicaPtr& replica, ReplicaId learner) {
  const MonoTime limit = mono_clock().MonoNow() + kCatchUpTimeout;
  while (mono_clock().MonoNow() < limit) {
    if (!replica->EnsureLease(context).ok()) return AbortedError("the lease has moved");
    const auto status = replica->raft_status();
    for (const auto& peer : status.peers) {
      const bool close = peer.match.value() + 64 >= status.commit.value();
      if (peer.id == learner && peer.state == raft::ProgressState::kReplicate && close) return OkStatus();
    }
    RETURN_IF_ERROR(runtime_->scheduler().SleepFor(context, kRetryPause / 2));
  }
  return AbortedError("the new replica did not catch up in time");
}

namespace {

ReplicaDescriptor* FindMutable(RangeDescriptor& descriptor, ReplicaId id) {
  for (auto& replica : descriptor.replicas) {
    if (replica.replica == id) return &replica;
  }
  return nullptr;
}

RangeDescriptor Successor(const RangeDescriptor& descriptor) {
  RangeDescriptor next = descriptor;
  next.generation = descriptor.generation.Next();
  return next;
}

}  // namespace

// R10: learner, RaftSnapshot, promotion; a replacement swaps in one joint change; B9: demotion before removal.
Status StoreImpl::AdminChangeReplicas(const runtime::Context& context, const ReplicaPtr& replica,
                                      const AdminChangeReplicasRequest& request) {
  RangeDescriptor now = *replica->descriptor();
  if (request.expected_generation && request.expected_generation != now.generation) {
    return AbortedError("the range was changed meanwhile");
  }
  std::optional<ReplicaDescriptor> victim;
  if (request.remove) {
    const auto* found = now.FindNode(request.remove->node);
    if (!found) return InvalidArgumentError("the range has no replica on the node to remove");
    if (found->replica == replica->id()) return FailedPreconditionError("move the lease before the replica");
    victim = *found;
  }
  ReplicaId learner;
  if (request.add) {
    if (now.FindNode(request.add->node)) return InvalidArgumentError("R11: the node has a replica of the range");
    RangeDescriptor next = Successor(now);
    learner = next.next_replica;
    next.replicas.push_back({request.add->node, request.add->store, learner, ReplicaType::kLearner});
    next.next_replica = learner.Next();
    RETURN_IF_ERROR(ChangeDescriptor(context, replica, now, next));
    now = next;
    Status status = WaitForCaughtUp(context, replica, learner);
    if (status.ok()) {
      next = Successor(now);
      FindMutable(next, learner)->type = ReplicaType::kVoter;
      if (victim) FindMutable(next, victim->replica)->type = ReplicaType::kLearner;
      status = ChangeDescriptor(context, replica, now, next);
      if (status.ok()) now = next;
    }
    if (!status.ok()) return status;  // the queue removes a learner that is left over
  } else if (victim && victim->type == ReplicaType::kVoter) {
    RangeDescriptor next = Successor(now);
    FindMutable(next, victim->replica)->type = ReplicaType::kLearner;
    RETURN_IF_ERROR(ChangeDescriptor(context, replica, now, next));
    now = next;
  }
  if (!victim) return OkStatus();
  RangeDescriptor next = Successor(now);
  std::erase_if(next.replicas, [&](const auto& r) { return r.replica == victim->replica; });
  return ChangeDescriptor(context, replica, now, next);
}

}  // namespace orrery::kv
