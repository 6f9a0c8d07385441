#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {
namespace {

// What one command, and the cycle that applies it, is held up by; each command costs a sync.
constexpr uint64_t kLocksPerRequestMax = 8000;

}  // namespace

StatusOr<Response> Evaluate(Evaluation& e, const ResolveIntentRequest& request) {
  storage::LockUpdate update{request.span.start, request.span.end,      request.txn.id, request.txn.epoch,
                             request.status,     request.txn.write_ts, request.ignored};
  ASSIGN_OR_RETURN(auto result, storage::MvccResolveLocks(e.overlay, update, kLocksPerRequestMax, &e.stats));
  ResolveIntentResponse response;
  response.resolved_count = result.resolved_count;
  Span done = request.span;
  if (result.resume) {
    response.resume = Span{result.resume->first, result.resume->second};
    done.end = result.resume->first;
  }
  e.local.resolved.push_back({request.txn, request.status, std::move(done)});
  return Response(std::move(response));
}

}  // namespace orrery::kv::eval
