#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

namespace {

// Rows come by ascending key (MvccInsertMany sees to that): the span, which is what was isolated, holds all of them.
Status CheckInSpan(const InsertManyRequest& request) {
  std::string_view last;
  auto row = request.rows.Begin();
  for (bool first = true; row.Next(); first = false) {
    if (first && row.key() < request.span.start) return InvalidArgumentError("rows to insert lie before their span");
    last = row.key();
  }
  if (!request.rows.empty() && last >= request.span.end) return InvalidArgumentError("rows to insert lie behind their span");
  return OkStatus();
}

Status PutAll(Evaluation& e, const InsertManyRequest& request) {
  for (auto row = request.rows.Begin(); row.Next();) {
    ASSIGN_OR_RETURN(const auto result, storage::MvccPut(e.overlay, row.key(), e.txn ? e.read_ts : e.write_ts, row.value(),
                                                         e.WriteOptions()));
    e.NoteWritten(result, std::string(row.key()));
  }
  return OkStatus();
}

}  // namespace

StatusOr<Response> Evaluate(Evaluation& e, const InsertManyRequest& request) {
  RETURN_IF_ERROR(CheckInSpan(request));
  if (e.view.planted == PlantedBug::kInsertsUnchecked) {
    RETURN_IF_ERROR(PutAll(e, request));
    return Response(EmptyResponse{});
  }
  std::string failed_key;
  const auto result = storage::MvccInsertMany(e.overlay, request.rows, e.txn ? e.read_ts : e.write_ts,
                                              e.WriteOptions(), failed_key);
  if (!result.ok()) {
    if (const auto* failed = result.status().payload<storage::ConditionFailedError>()) {
      return ToStatus(KvError{ConditionFailedError{failed_key, failed->actual}, std::nullopt});
    }
    return result.status();
  }
  if (result->all_new) e.new_rows += request.rows.count();
  e.write_ts.Forward(result->written_ts);
  if (!e.txn) return Response(EmptyResponse{});
  e.txn->write_ts.Forward(result->written_ts);
  if (e.one_phase) return Response(EmptyResponse{});
  for (auto row = request.rows.Begin(); row.Next();) {
    e.local.acquired.push_back({std::string(row.key()), LockStrength::kIntent, LockDurability::kReplicated});
  }
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
