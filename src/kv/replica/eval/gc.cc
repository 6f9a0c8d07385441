#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const GcRequest& request) {
  std::vector<storage::GcKey> keys;
  keys.reserve(request.keys.size());
  for (const auto& key : request.keys) keys.push_back({key.key, key.ts});
  RETURN_IF_ERROR(storage::MvccGarbageCollect(e.overlay, keys, &e.stats));
  e.gc_threshold.Forward(request.threshold);
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
