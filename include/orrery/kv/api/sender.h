// Sender: the one-method door to KV. Implemented by kv/store (local ranges), by kv/client (routing), and by
// tests that script it. Thread-safe.
#pragma once

#include "orrery/base/time.h"
#include "orrery/kv/api/batch.h"
#include "orrery/runtime/context.h"

namespace orrery::kv {

class Sender {
 public:
  virtual ~Sender() = default;
  // Never throws anything at the caller but the response: failures, also of transport, are in `error`
  // (Ambiguous if a write may have happened). May wait; honours the context.
  virtual BatchResponse Send(const runtime::Context& context, const BatchRequest& request) = 0;
  // A whole transaction (its writes, then its commit) whose keys several ranges hold, in one phase. RangeKeyMismatchError:
  // that is not possible here, and nothing was executed. Other errors as for a commit in one phase on one range.
  virtual BatchResponse CommitTogether(const runtime::Context&, const BatchRequest&) {
    BatchResponse response;
    response.error = KvError{RangeKeyMismatchError{}, std::nullopt};
    return response;
  }
  // A batch of reads that this node was lent (docs/design/read_loans.md). False: not answered, and nothing has happened.
  virtual bool ReadLent(const BatchRequest&, BatchResponse&) { return false; }
  // What a leaseholder has lent to this node, which asked for it then at the latest.
  virtual void AcceptLoan(RangeId, const ReadLoan&, MonoTime /*asked_at*/) {}
};

}  // namespace orrery::kv
