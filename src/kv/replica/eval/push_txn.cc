#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

// The caller adds the waiters' edges, and waits when e.push_must_wait is set.
StatusOr<Response> Evaluate(Evaluation& e, const PushTxnRequest& request) {
  ASSIGN_OR_RETURN(const auto record, ReadTxnRecord(e.reader, request.pushee.anchor_key, request.pushee.id));
  const auto result = PushTxn(record, e.view.record_mark(request.pushee.id), request, e.view.now);
  e.push_must_wait = result.must_wait;
  PushTxnResponse response;
  response.pushee = result.pushee;
  if (result.must_wait) return Response(std::move(response));
  StageRecordChange(e.overlay, request.pushee, result.change);
  LeaveMark(e, request.pushee, result.mark);
  if (result.change.kind != RecordChange::Kind::kNone || result.mark.kind != RecordMarkChange::Kind::kNone) {
    e.local.record = result.pushee;
  }
  return Response(std::move(response));
}

}  // namespace orrery::kv::eval
