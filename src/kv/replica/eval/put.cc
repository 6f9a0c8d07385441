#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const PutRequest& request) {
  ASSIGN_OR_RETURN(const auto result, storage::MvccPut(e.overlay, request.key, e.txn ? e.read_ts : e.write_ts,
                                                       request.value, e.WriteOptions()));
  e.NoteWritten(result, request.key);
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
