// PendingRequest and Proposal: a batch on its way through a replica, and the command that a write became.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kv/replica/eval/eval.h"
#include "kv/replica/records.h"
#include "orrery/kv/concurrency/concurrency_manager.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {

// What may still be proposed, and whose disks forbid the rest: our own, or those of a majority.
struct ProposalSpace {
  storage::SpaceLevel level = storage::SpaceLevel::kEnough;
  bool own_disk = false;
};

// What an Admission's views point into. A write may outlive its caller (the outcome of its proposal is decided
// later than the caller waits), so it keeps copies of its keys.
struct RequestStorage {
  explicit RequestStorage(const BatchRequest& batch);
  RequestStorage(const RequestStorage&) = delete;
  RequestStorage& operator=(const RequestStorage&) = delete;
  // A view that lives as long as this; copies if the batch writes.
  std::string_view Keep(std::string_view bytes);
  SpanRef Keep(const Span& span) { return span.is_point() ? SpanRef(Keep(span.start)) : SpanRef(Keep(span.start), Keep(span.end)); }

  // A copy of both, one behind the other, that lives as long as this.
  std::string_view Copy(std::string_view bytes, std::string_view more = {});

  bool copies;
  std::optional<TxnMeta> txn;  // a copy, if the batch writes in a transaction
  std::vector<std::unique_ptr<char[]>> blocks;  // of copies
  size_t block_left = 0;                        // at the end of the last block
  char* block_at = nullptr;
};

// How the keys that an EndTxn resolves are isolated.
enum class EndTxnLatches : uint8_t {
  kOwn,        // by latches of their own
  kAsWritten,  // by those of the batch's writes: it is the whole transaction (eval::IsOnePhase)
};

// Guarded by the replica's mutex, but for construction and the storage.
class PendingRequest final : public RequestStorage, public Admission, public std::enable_shared_from_this<PendingRequest> {
 public:
  // As NewPendingRequest, which makes them: others hold it by shared pointers.
  PendingRequest(const BatchRequest& batch, Timestamp ts, const RangeDescriptor& descriptor, EndTxnLatches end_latches);
  ~PendingRequest() = default;

  bool woken = false;
  runtime::CondVar cv;
  bool waits_for_latches_only = false;  // a CommitPart: others wait for the latches that it holds elsewhere
  // Of the request's own task, learned from pushes: transactions that were pending after this request began,
  // and the latest commit that was met in the way.
  std::vector<std::string> seen_pending;
  Timestamp committed_in_the_way;
};

// Requests that may go on. They are told when this ends, which is when the replica's mutex has been let go of: it is what
// they want first, and their notifier may be preempted by the very task it wakes.
class ToWake {
 public:
  ToWake() = default;
  ToWake(const ToWake&) = delete;
  ToWake& operator=(const ToWake&) = delete;
  ~ToWake() {
    for (const auto& request : requests_) request->cv.NotifyOne();
  }
  // Under the replica's mutex.
  void Add(const Woken& woken) {
    for (Admission* admission : woken) {
      auto* request = static_cast<PendingRequest*>(admission);
      request->woken = true;
      requests_.push_back(request->shared_from_this());
    }
  }

 private:
  absl::InlinedVector<std::shared_ptr<PendingRequest>, 4> requests_;
};

// The spans that the batch isolates and locks. `ts`: the timestamp chosen for a batch without transaction. The batch
// outlives what does not write: that points into it.
std::shared_ptr<PendingRequest> NewPendingRequest(const BatchRequest& batch, Timestamp ts,
                                                  const RangeDescriptor& descriptor,
                                                  EndTxnLatches end_latches = EndTxnLatches::kOwn);

// Wakes its waiter when the outcome is known. Guarded by the RaftDriver's mutex.
struct Waiter {
  bool done = false;
  runtime::CondVar cv;
};

// Filled in by the proposer; from Submit on it belongs to the driver until the waiter is done.
struct Proposal {
  Command command;  // its effects are moved away as it is applied
  raft::EntryId entry;  // set when it is proposed
  std::shared_ptr<PendingRequest> request;  // null: of the replica itself
  TxnMeta txn;                              // the evaluating transaction; id empty: none
  eval::LocalEffects local;
  std::unique_ptr<storage::PreparedLoad> load;  // of the command's rows, if they are to be ingested here
  Status status;                            // set before `waiter.done`
  Waiter waiter;
};

}  // namespace orrery::kv
