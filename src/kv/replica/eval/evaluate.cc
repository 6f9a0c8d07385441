#include <algorithm>

#include "kv/replica/eval/eval.h"
#include "kv/replica/local_keys.h"
#include "orrery/base/hash.h"

namespace orrery::kv::eval {

using storage::ColumnFamily;

storage::MvccReadOptions Evaluation::ReadOptions() const {
  storage::MvccReadOptions options;
  options.txn = txn;
  options.seen_pending = seen_pending;
  if (header.txn) options.ignored = &header.txn->ignored;
  options.uncertainty_limit = header.txn ? header.txn->uncertainty_limit : uncertainty_limit;
  options.local_limit = local_limit;
  options.ignore_origins = view.planted == PlantedBug::kIgnoresOrigins;
  options.lock_policy =
      header.wait == WaitPolicy::kSkip ? storage::LockPolicy::kSkipLocked : storage::LockPolicy::kFail;
  if (header.wait == WaitPolicy::kReadCommitted && !header.txn) options.lock_policy = storage::LockPolicy::kInconsistent;
  return options;
}

storage::MvccWriteOptions Evaluation::WriteOptions() {
  storage::MvccWriteOptions options;
  options.txn = txn;
  if (header.txn) options.ignored = &header.txn->ignored;
  options.mode = one_phase ? storage::WriteMode::kOnePhase : storage::WriteMode::kIntent;
  // A blind write above a newer version is in order only if a refresh will vouch for what was read before.
  options.too_old = txn && txn->isolation == kSerializableLevel && !one_phase
                        ? storage::WriteTooOldPolicy::kForward
                        : storage::WriteTooOldPolicy::kError;
  options.stats = &stats;
  return options;
}

void Evaluation::NoteWritten(const storage::MvccWriteResult& result, std::string_view key) {
  write_ts.Forward(result.written_ts);
  if (!txn) return;
  txn->write_ts.Forward(result.written_ts);
  if (!one_phase) local.acquired.push_back({std::string(key), LockStrength::kIntent, LockDurability::kReplicated});
}

Status EvaluateBatch(Evaluation& e, const BatchRequest& batch, size_t& failed_index) {
  e.keys_limited = e.header.max_keys != 0;
  e.keys_left = e.header.max_keys;
  e.bytes_left = e.header.max_bytes == 0 ? e.view.scan_bytes_max : std::min(e.header.max_bytes, e.view.scan_bytes_max);
  e.responses.reserve(batch.requests.size());
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    failed_index = i;
    // T19: each request is a step of its own, so that a replay finds its own traces.
    auto response = std::visit(
        [&](const auto& request) -> StatusOr<Response> {
          if constexpr (requires { Evaluate(e, request); }) {
            return Evaluate(e, request);
          } else {
            return InvalidArgumentError("an administrative request stands alone in its batch");
          }
        },
        batch.requests[i]);
    if (!response.ok()) return response.status();
    e.responses.push_back(std::move(*response));
    if (e.txn && i + 1 < batch.requests.size()) ++e.txn->sequence;
  }
  return OkStatus();
}

bool IsOnePhase(const BatchRequest& batch) {
  if (!batch.header.txn || batch.requests.size() < 2) return false;
  const auto* end = std::get_if<EndTxnRequest>(&batch.requests.back());
  if (!end || end->outcome != TxnStatus::kCommitted || end->split || end->change_replicas) return false;
  std::vector<std::string_view> written;
  written.reserve(batch.requests.size());
  const InsertManyRequest* many = nullptr;
  for (size_t i = 0; i + 1 < batch.requests.size(); ++i) {
    const Request& request = batch.requests[i];
    if (const auto* insert = std::get_if<InsertManyRequest>(&request)) {
      if (many) return false;
      many = insert;
    } else if (const auto* put = std::get_if<PutRequest>(&request)) {
      written.push_back(put->key);
    } else if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) {
      written.push_back(cput->key);
    } else if (const auto* del = std::get_if<DeleteRequest>(&request)) {
      written.push_back(del->key);
    } else if (IsWrite(request)) {
      return false;
    }
  }
  if (many) {  // by itself: its span is all that was written
    return written.empty() && std::all_of(end->lock_spans.begin(), end->lock_spans.end(),
                                          [&](const Span& span) { return span == many->span; });
  }
  if (written.empty()) return false;
  if (!std::is_sorted(written.begin(), written.end())) std::sort(written.begin(), written.end());
  // The same key twice needs the history that an intent keeps.
  if (std::adjacent_find(written.begin(), written.end()) != written.end()) return false;
  return std::all_of(end->lock_spans.begin(), end->lock_spans.end(), [&](const Span& span) {
    return span.is_point() && std::binary_search(written.begin(), written.end(), std::string_view(span.start));
  });
}

bool AnswerReplay(Evaluation& e, const BatchRequest& batch) {
  const RecordMark mark = e.view.record_mark(e.txn->id);
  if (mark.outcome != TxnStatus::kCommitted) return false;
  for (size_t i = 0; i + 1 < batch.requests.size(); ++i) {
    if (!IsWrite(batch.requests[i])) return false;  // what it read then is not known any more
  }
  e.responses.assign(batch.requests.size() - 1, EmptyResponse{});
  e.responses.push_back(EndTxnResponse{mark.commit_ts, 1});
  e.txn_out = *e.header.txn;
  e.txn_out->status = TxnStatus::kCommitted;
  e.txn_out->meta.write_ts = mark.commit_ts;
  return true;
}

namespace {

// The points of a batch, as far as a walk along them is concerned.
struct KeyWalk {
  std::string_view first;
  std::string_view last;
  std::string_view at;
  size_t count = 0;
  size_t backward_count = 0;  // steps against the order

  void Visit(std::string_view key) {
    if (count == 0 || key < first) first = key;
    if (count == 0 || key > last) last = key;
    if (count > 0 && key < at) ++backward_count;
    at = key;
    ++count;
  }
};

}  // namespace

std::unique_ptr<storage::SortedReader> ReaderInKeyOrder(const storage::Reader& base, const BatchRequest& batch) {
  constexpr size_t kKeysMin = 16;           // fewer are looked up one by one, with the help of filters
  constexpr size_t kStepsPerBackwardMin = 8;
  const EndTxnRequest* end =
      batch.requests.empty() ? nullptr : std::get_if<EndTxnRequest>(&batch.requests.back());
  const auto* first = batch.requests.empty() ? nullptr : std::get_if<InsertManyRequest>(&batch.requests.front());
  const size_t inserted = first ? first->rows.count() : 0;
  if (batch.requests.size() + (end ? end->lock_spans.size() : 0) + inserted < kKeysMin) return nullptr;
  KeyWalk walk;
  for (const Request& request : batch.requests) {
    if (const auto* put = std::get_if<PutRequest>(&request)) walk.Visit(put->key);
    else if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) walk.Visit(cput->key);
    else if (const auto* del = std::get_if<DeleteRequest>(&request)) walk.Visit(del->key);
    else if (const auto* resolve = std::get_if<ResolveIntentRequest>(&request)) {
      if (resolve->span.is_point()) walk.Visit(resolve->span.start);
    }
    else if (const auto* many = std::get_if<InsertManyRequest>(&request)) {
      for (auto row = many->rows.Begin(); row.Next();) walk.Visit(row.key());
    }
  }
  if (end) {
    for (const Span& span : end->lock_spans) {
      if (span.is_point()) walk.Visit(span.start);
    }
  }
  if (walk.count < kKeysMin || walk.backward_count * kStepsPerBackwardMin > walk.count) return nullptr;
  return std::make_unique<storage::SortedReader>(base, walk.first, walk.last);
}

StatusOr<std::optional<TxnRecord>> ReadTxnRecord(const storage::Reader& reader, std::string_view anchor,
                                                 std::string_view txn_id) {
  TxnRecord record;
  ASSIGN_OR_RETURN(const bool found, ReadRecord(reader, ColumnFamily::kState,
                                                local_keys::TxnRecordKey(anchor, txn_id), record));
  if (!found) return std::optional<TxnRecord>();
  return std::optional<TxnRecord>(std::move(record));
}

void StageRecordChange(storage::OverlayBatch& batch, const TxnMeta& txn, const RecordChange& change) {
  if (change.kind == RecordChange::Kind::kNone) return;  // nearly always
  const std::string key = local_keys::TxnRecordKey(txn.anchor_key, txn.id);
  switch (change.kind) {
    case RecordChange::Kind::kNone: break;
    case RecordChange::Kind::kWrite:
      batch.Put(ColumnFamily::kState, key, SealRecord(key, wire::Encode(change.record)));
      break;
    case RecordChange::Kind::kErase: batch.Delete(ColumnFamily::kState, key); break;
  }
}

void LeaveMark(Evaluation& e, const TxnMeta& txn, const RecordMarkChange& change) {
  if (change.kind == RecordMarkChange::Kind::kNone) return;
  e.local.marks.push_back({txn.id, txn.min_ts, change});
}

std::optional<Span> Clip(const Span& span, const RangeDescriptor& descriptor) {
  if (span.is_point()) {
    if (!descriptor.ContainsKey(span.start)) return std::nullopt;
    return span;
  }
  Span out{std::max(span.start, descriptor.start), std::min(span.end, descriptor.end)};
  if (out.start >= out.end) return std::nullopt;
  return out;
}

}  // namespace orrery::kv::eval
