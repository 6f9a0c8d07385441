#include "kv/replica/eval/eval.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const ClearRangeRequest& request) {
  ASSIGN_OR_RETURN(const auto gone, storage::MvccComputeStats(e.reader, request.span.start, request.span.end));
  const auto bounds = storage::BoundsOf(request.span.start, request.span.end);
  e.overlay.DeleteRange(storage::ColumnFamily::kMvcc, bounds.lower, bounds.upper);
  e.overlay.DeleteRange(storage::ColumnFamily::kLock, bounds.lower, bounds.upper);
  e.stats -= gone;
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
