// Batches of one transaction that are on their way side by side: a load's blocks, of which each takes a consensus round.
//
// What is sent beside others neither moves the read timestamp nor is sent again: all that are on their way have read at the
// same timestamp, and their answers only add to what the coordinator knows. Whatever needs more than that (the first write,
// which makes the record; a batch that could be buffered; a retry, which may refresh what was read) waits until nobody is on
// his way, and is done as if there were no others. Blocks whose keys may be the same keep the order of their sequence numbers
// (T19, T30): the later one waits for the earlier.
#include <iterator>
#include <utility>

#include "kv/client/txn_coordinator.h"

namespace orrery::kv {

using runtime::MutexLock;

struct TxnCoordinator::Beside {
  BatchRequest request;
  uint32_t first_sequence = 0;  // 0: to be sent alone
  bool is_sent() const { return first_sequence != 0; }
};

bool TxnCoordinator::MayGoBeside(const Batch& batch) const {
  return left_locks_ && !buffer_.has_unsent() && batch.requests.size() == 1 &&
         std::holds_alternative<InsertManyRequest>(batch.requests[0]);
}

bool TxnCoordinator::IsClearOfOthers(const Batch& batch) const {
  if (Planted(PlantedBug::kMixesBlocks)) return true;
  const Span& span = std::get<InsertManyRequest>(batch.requests[0]).span;
  const auto behind = beside_.lower_bound(span.end);
  return behind == beside_.begin() || std::prev(behind)->second <= span.start;
}

// Leaves `beside` as it is if the batch has to go alone: its turn for that is noted, and taken by BeginAlone.
Status TxnCoordinator::BeginBeside(const runtime::Context& context, Batch& batch, Beside& beside) {
  MutexLock lock(beside_mutex_);
  RETURN_IF_ERROR(WaitUntil(context, beside_mutex_, beside_changed_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(beside_mutex_) {
    return !alone_ && wait_to_send_ + wait_to_resend_ == 0 && (!MayGoBeside(batch) || IsClearOfOthers(batch));
  }));
  if (!MayGoBeside(batch)) {
    ++wait_to_send_;
    return OkStatus();
  }
  RETURN_IF_ERROR(CheckUsable());
  batch.responses.clear();
  TrackLocks(batch);
  beside.first_sequence = last_sequence_ + 1;
  ++last_sequence_;
  beside.request.header = request_.header;
  beside.request.header.txn->meta.sequence = beside.first_sequence;
  beside.request.header.can_forward_read = 0;
  beside.request.header.wait = batch.wait;
  beside.request.header.max_keys = 0;
  beside.request.header.max_bytes = 0;
  const Span& span = std::get<InsertManyRequest>(batch.requests[0]).span;
  beside_.emplace(span.start, span.end);
  beside.request.requests.swap(batch.requests);
  return OkStatus();
}

// An error of the batch is still to be dealt with: nobody may overtake it, or what comes behind it under later numbers might
// meet its keys first.
Status TxnCoordinator::EndBeside(Batch& batch, Beside& beside, BatchResponse& response) {
  MutexLock lock(beside_mutex_);
  beside.request.requests.swap(batch.requests);
  beside_.erase(std::get<InsertManyRequest>(batch.requests[0]).span.start);
  beside_changed_.NotifyAll();
  TakeTxn(response);
  if (response.error) {
    ++wait_to_resend_;
    return ToStatus(*response.error);
  }
  NoteReads(batch.requests, response.responses);
  batch.responses = std::move(response.responses);
  return OkStatus();
}

// A batch that has been sent waits however its context stands: what has become of it must be looked at, by nobody else
// meanwhile, and the others end as theirs do.
Status TxnCoordinator::BeginAlone(const runtime::Context& context, const Beside& beside) {
  const bool sent = beside.is_sent();
  MutexLock lock(beside_mutex_);
  const Status waited = WaitUntil(sent ? context.Detached() : context, beside_mutex_, beside_changed_,
                                  [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(beside_mutex_) {
                                    return !alone_ && beside_.empty() && (sent || wait_to_resend_ == 0);
                                  });
  --(sent ? wait_to_resend_ : wait_to_send_);
  alone_ = alone_ || waited.ok();
  if (!waited.ok()) beside_changed_.NotifyAll();
  return waited;
}

void TxnCoordinator::EndAlone() {
  MutexLock lock(beside_mutex_);
  alone_ = false;
  beside_changed_.NotifyAll();
}

// The same batch, under the numbers that it has.
Status TxnCoordinator::Resend(const runtime::Context& context, Batch& batch, uint32_t first_sequence, const Status& error) {
  if (const Status usable = CheckUsable(); !usable.ok()) return state_ == State::kFailed ? error : usable;
  BatchResponse response;
  Status status = Recover(context, error);
  if (status.ok()) {
    request_.requests.swap(batch.requests);
    request_.header.wait = batch.wait;
    request_.header.max_keys = 0;
    request_.header.max_bytes = 0;
    txn().meta.sequence = first_sequence;
    status = SendAndRecover(context, DistSender::Pieces::kMany, response);
    request_.requests.swap(batch.requests);
  }
  return FinishSend(context, batch, first_sequence, std::move(status), response);
}

Status TxnCoordinator::RunBeside(const runtime::Context& context, Batch& batch) {
  Beside beside;
  RETURN_IF_ERROR(BeginBeside(context, batch, beside));
  Status status;
  if (beside.is_sent()) {
    BatchResponse response = env_.sender.Route(context, beside.request, DistSender::Pieces::kMany);
    status = EndBeside(batch, beside, response);
    if (status.ok()) return status;
  }
  RETURN_IF_ERROR(BeginAlone(context, beside));
  status = beside.is_sent() ? Resend(context, batch, beside.first_sequence, status) : Run(context, batch);
  EndAlone();
  return status;
}

}  // namespace orrery::kv
