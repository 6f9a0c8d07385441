#include "kv/replica/eval/eval.h"

namespace orrery::kv::eval {
namespace {

// Locks each row found. Under SKIP LOCKED rows that others hold in memory are left out.
Status LockRows(Evaluation& e, const ScanRequest& request, KvBlock& rows) {
  KvBlock kept;
  const bool skip = e.header.wait == WaitPolicy::kSkip;
  for (auto row = rows.Begin(); row.Next();) {
    if (skip && e.view.is_locked(row.key(), request.lock)) continue;
    if (request.durability == LockDurability::kReplicated) {
      RETURN_IF_ERROR(storage::MvccAcquireLock(e.overlay, row.key(), request.lock, *e.txn, &e.stats));
    }
    e.local.acquired.push_back({std::string(row.key()), request.lock, request.durability});
    if (skip) kept.Append(row.key(), row.value());
  }
  if (skip) rows = std::move(kept);
  return OkStatus();
}

}  // namespace

StatusOr<Response> Evaluate(Evaluation& e, const ScanRequest& request) {
  ScanResponse response;
  if (e.limit_reached()) {
    response.resume = request.span;
    return Response(std::move(response));
  }
  storage::MvccScanOptions options;
  static_cast<storage::MvccReadOptions&>(options) = e.ReadOptions();
  options.strength = e.txn ? request.lock : LockStrength::kNone;
  options.rows_max = e.keys_limited ? e.keys_left : 0;
  options.bytes_max = e.bytes_left;
  options.direction = request.direction == Direction::kForward ? storage::ScanDirection::kForward
                                                               : storage::ScanDirection::kReverse;
  ASSIGN_OR_RETURN(auto result,
                   storage::MvccScan(e.reader, request.span.start, request.span.end, e.read_ts, options));
  if (e.keys_limited) e.keys_left -= std::min(e.keys_left, result.rows.count());
  e.bytes_left -= std::min<uint64_t>(e.bytes_left, result.rows.bytes());
  if (options.strength != LockStrength::kNone) RETURN_IF_ERROR(LockRows(e, request, result.rows));
  response.rows = std::move(result.rows);
  if (result.resume) response.resume = Span{std::move(result.resume->first), std::move(result.resume->second)};
  return Response(std::move(response));
}

}  // namespace orrery::kv::eval
