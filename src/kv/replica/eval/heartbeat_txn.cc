#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const HeartbeatTxnRequest&) {
  if (!e.txn) return InvalidArgumentError("a heartbeat needs a transaction");
  ASSIGN_OR_RETURN(const auto record, ReadTxnRecord(e.reader, e.txn->anchor_key, e.txn->id));
  Transaction txn = *e.header.txn;
  txn.meta = *e.txn;
  const auto result = HeartbeatTxn(record, e.view.record_mark(e.txn->id), txn, e.view.now);
  if (result.error) return ToStatus(*result.error);
  StageRecordChange(e.overlay, *e.txn, result.change);
  txn.status = result.record.status;
  txn.meta.write_ts.Forward(result.record.meta.write_ts);
  e.txn_out = std::move(txn);
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
