#include "kv/replica/eval/eval.h"
#include "orrery/base/hash.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const RefreshRequest& request) {
  const Status status = storage::MvccRefresh(e.reader, request.span.start, request.span.end, request.from,
                                             e.read_ts, e.txn);
  if (const auto* failed = status.payload<storage::RefreshFailedError>()) {
    return ToStatus(KvError{TxnRetryError{RetryReason::kSerializable, e.txn ? e.txn->id : "", failed->ts,
                                          "key " + Printable(failed->key) + " was changed meanwhile"},
                            std::nullopt});
  }
  if (!status.ok()) return status;
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
