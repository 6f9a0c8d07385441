#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {

// A locking Get locks the key whether or not it has a value: constraint checks rely on that (T23).
StatusOr<Response> Evaluate(Evaluation& e, const GetRequest& request) {
  auto options = e.ReadOptions();
  options.strength = e.txn ? request.lock : LockStrength::kNone;
  const bool locks = options.strength != LockStrength::kNone;
  if (e.header.wait == WaitPolicy::kSkip && locks && e.view.is_locked(request.key, request.lock)) {
    return Response(GetResponse{});
  }
  ASSIGN_OR_RETURN(auto value, storage::MvccGet(e.reader, request.key, e.read_ts, options));
  if (locks) {
    if (request.durability == LockDurability::kReplicated) {
      RETURN_IF_ERROR(storage::MvccAcquireLock(e.overlay, request.key, request.lock, *e.txn, &e.stats));
    }
    e.local.acquired.push_back({request.key, request.lock, request.durability});
  }
  GetResponse response;
  if (value) response.value = std::move(value->value);
  return Response(std::move(response));
}

}  // namespace orrery::kv::eval
