#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const DeleteRequest& request) {
  ASSIGN_OR_RETURN(const auto result, storage::MvccDelete(e.overlay, request.key, e.txn ? e.read_ts : e.write_ts,
                                                          e.WriteOptions()));
  e.NoteWritten(result, request.key);
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
