#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

StatusOr<Response> Evaluate(Evaluation& e, const ConditionalPutRequest& request) {
  std::optional<std::string_view> expected;
  if (request.expected) expected = *request.expected;
  auto result = storage::MvccConditionalPut(e.overlay, request.key, e.txn ? e.read_ts : e.write_ts, request.written(),
                                            expected, storage::IfMissing::kFail, e.WriteOptions());
  if (!result.ok()) {
    if (const auto* failed = result.status().payload<storage::ConditionFailedError>()) {
      return ToStatus(KvError{ConditionFailedError{request.key, failed->actual}, std::nullopt});
    }
    return result.status();
  }
  e.NoteWritten(*result, request.key);
  return Response(EmptyResponse{});
}

}  // namespace orrery::kv::eval
