// A transaction whose keys several ranges of this store hold, committed in one phase: all its parts are evaluated at one
// timestamp under the latches of all their ranges, and their commands enter the logs in one synced batch.
#include <algorithm>

#include "kv/replica/commit_part.h"
#include "kv/store/store_impl.h"

namespace orrery::kv {

namespace {

// Evaluations at ever later timestamps: each repeats only because somebody has read one of the keys since.
constexpr int kAttemptsMax = 4;

std::string_view KeyOfWrite(const Request& request) {
  if (const auto* put = std::get_if<PutRequest>(&request)) return put->key;
  if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) return cput->key;
  if (const auto* del = std::get_if<DeleteRequest>(&request)) return del->key;
  return {};
}

BatchResponse Refused(const Status& status) {
  BatchResponse response;
  response.error = FromStatus(status);
  return response;
}

void Drop(std::vector<CommitPart>& parts) {
  for (CommitPart& part : parts) {
    if (part.replica) part.replica->DropPart(part);
  }
}

// The parts' answers as that to the whole.
BatchResponse Merge(const BatchRequest& request, std::vector<CommitPart>& parts) {
  BatchResponse response;
  response.responses.assign(request.requests.size(), EmptyResponse{});
  for (CommitPart& part : parts) {
    for (size_t i = 0; i < part.from.size(); ++i) response.responses[part.from[i]] = std::move(part.response.responses[i]);
    response.now.Forward(part.response.now);
    if (part.record == CommitPart::Record::kHere) response.txn = std::move(part.response.txn);
  }
  return response;
}

}  // namespace

// Nothing if the batch is not such a transaction, or not all of it is led from here by only voters. In the order of keys,
// in which everybody takes the latches of several ranges, so that nobody waits in a circle.
std::vector<CommitPart> StoreImpl::CutByRange(const BatchRequest& request) const {
  std::vector<CommitPart> parts;
  if (!eval::IsOnePhase(request)) return {};
  const auto part_of = [&](std::string_view key) -> CommitPart* {
    for (CommitPart& part : parts) {
      if (part.descriptor->ContainsKey(key)) return &part;
    }
    ReplicaPtr replica = key.empty() ? nullptr : FindByStart(key);
    auto descriptor = replica ? replica->descriptor() : nullptr;
    if (!descriptor || !descriptor->ContainsKey(key)) return nullptr;
    if (descriptor->replicas.size() != 1 || !replica->OwnsLease()) return nullptr;
    CommitPart part;
    part.batch.header = request.header;
    part.batch.header.range = descriptor->range;
    part.batch.header.generation = descriptor->generation;
    part.batch.header.can_forward_read = 0;  // for all parts or for none
    part.replica = std::move(replica);
    part.descriptor = std::move(descriptor);
    return &parts.emplace_back(std::move(part));
  };
  for (size_t i = 0; i + 1 < request.requests.size(); ++i) {
    CommitPart* part = part_of(KeyOfWrite(request.requests[i]));
    if (!part) return {};
    part->batch.requests.push_back(request.requests[i]);
    part->from.push_back(i);
  }
  const auto anchor = std::find_if(parts.begin(), parts.end(), [&](const CommitPart& part) {
    return part.descriptor->ContainsKey(request.header.txn->meta.anchor_key);
  });
  if (anchor == parts.end() || parts.size() < 2) return {};
  EndTxnRequest end = std::get<EndTxnRequest>(request.requests.back());
  for (const Span& span : std::exchange(end.lock_spans, {})) {  // each is of a key that is written
    const auto part = std::find_if(parts.begin(), parts.end(), [&](const CommitPart& p) {
      return p.descriptor->ContainsKey(span.start);
    });
    (part == anchor ? end.lock_spans : part->lock_spans).push_back(span);
  }
  anchor->record = CommitPart::Record::kHere;
  anchor->batch.requests.emplace_back(std::move(end));
  anchor->from.push_back(request.requests.size() - 1);
  std::sort(parts.begin(), parts.end(),
            [](const CommitPart& a, const CommitPart& b) { return a.descriptor->start < b.descriptor->start; });
  return parts;
}

BatchResponse StoreImpl::CommitTogether(const runtime::Context& context, const BatchRequest& request) {
  std::vector<CommitPart> parts = CutByRange(request);
  if (parts.empty()) return Refused(NotTogether());
  const TxnMeta& txn = request.header.txn->meta;
  Timestamp write_ts = txn.write_ts;
  if (IsolationLevel(txn.isolation) != IsolationLevel::kSerializable) write_ts.Forward(deps_.clock.Now());
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Timestamp reached = write_ts;
    Status status;
    for (CommitPart& part : parts) {
      part.batch.header.txn->meta.write_ts = write_ts;
      status = part.replica->HoldPart(context, part);
      if (!status.ok()) {
        KvError error = FromStatus(status);
        if (error.request_index && *error.request_index < part.from.size()) {
          error.request_index = uint32_t(part.from[*error.request_index]);
        }
        status = ToStatus(error);
        break;
      }
      reached.Forward(part.write_ts);
    }
    const bool at_one_ts = status.ok() && std::all_of(parts.begin(), parts.end(), [&](const CommitPart& part) {
      return part.write_ts == reached;
    });
    if (at_one_ts) return ProposeTogether(context, request, parts);
    Drop(parts);
    if (!status.ok()) return Refused(status);
    write_ts = reached;
  }
  return Refused(NotTogether());
}

BatchResponse StoreImpl::ProposeTogether(const runtime::Context& context, const BatchRequest& request,
                                         std::vector<CommitPart>& parts) {
  if (options_.planted == PlantedBug::kCommitsApart) {
    for (CommitPart& part : parts) {
      const Status status = part.replica->ProposeAndWait(context, part.proposal);
      if (!status.ok()) return Refused(AmbiguousError(std::string(status.message())));
      (void)runtime_->scheduler().SleepFor(context, 100ms).ok();  // a crash has time to come between
    }
    counters_.commits_together.fetch_add(1, std::memory_order_relaxed);
    return Merge(request, parts);
  }
  parts.front().replica->MaybeStall(context);
  std::vector<RaftDriver::Part> together;
  for (const CommitPart& part : parts) together.push_back({part.replica, part.proposal});
  driver_->SubmitTogether(std::move(together));
  const runtime::Context limited = context.WithTimeout(limits_.proposal_timeout);
  size_t done = 0;
  size_t refused = 0;
  Status failure;
  for (CommitPart& part : parts) {
    Status status = driver_->Wait(limited, part.proposal->waiter);
    // T18: it may still be decided; the driver ends its latches then.
    if (!status.ok()) status = AmbiguousError("the outcome of a commit is not known: " + std::string(status.message()));
    if (status.ok()) status = part.proposal->status;
    if (status.ok()) ++done;
    if (GetError<RangeKeyMismatchError>(status) || GetError<NotLeaseholderError>(status)) ++refused;
    if (!status.ok()) failure = status;
  }
  ORRERY_ASSERT(done == 0 || refused == 0, "T4: the parts of a commit take effect together");
  if (refused == parts.size()) return Refused(NotTogether());
  if (done < parts.size()) {
    counters_.ambiguous_results.fetch_add(1, std::memory_order_relaxed);
    return Refused(failure.code() == Code::kAmbiguous ? failure : AmbiguousError(std::string(failure.message())));
  }
  counters_.commits_together.fetch_add(1, std::memory_order_relaxed);
  return Merge(request, parts);
}

}  // namespace orrery::kv
