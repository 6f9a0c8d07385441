#include "unit/kv_client/mini_server.h"

namespace orrery::kv {
namespace {

constexpr const char* kNames[] = {"Get", "Scan", "Put", "CPut", "Delete", "ClearRange", "EndTxn", "Heartbeat",
                                  "Push", "Resolve", "Refresh", "Gc", "Split", "TransferLease", "ChangeReplicas",
                                  "InsertMany"};

bool Ignored(uint32_t sequence, const std::vector<SequenceRange>& ranges) {
  for (const auto& r : ranges) {
    if (r.first <= sequence && sequence <= r.last) return true;
  }
  return false;
}

}  // namespace

struct MiniCluster::Evaluation {
  const BatchRequest& batch;
  Transaction txn;  // of a transactional batch
  bool transactional = false;
  Timestamp read_ts;
  uint64_t keys_left = UINT64_MAX;
  KvError Retry(RetryReason reason, Timestamp ts) const {
    return KvError{TxnRetryError{reason, txn.meta.id, ts, ""}, std::nullopt};
  }
};

MiniCluster::MiniCluster(HybridClock& clock) : clock_(clock) {
  RangeDescriptor first{.range = RangeId(1), .start = "", .end = std::string(kTableDataStart)};
  RangeDescriptor second{.range = RangeId(2), .start = first.end, .end = std::string(kMaxKey)};
  for (auto* r : {&first, &second}) {
    for (uint64_t n = 1; n <= 3; ++n) r->replicas.push_back({NodeId(n), StoreId(n), ReplicaId(n)});
    r->generation = RangeGeneration(1);
    leaseholders_[r->range] = NodeId(1);
    ranges_.push_back(*r);
    PutMeta(*r);
  }
}

void MiniCluster::PutMeta(const RangeDescriptor& range) { data_[MetaKey(range.end)][clock_.Now()] = wire::Encode(range); }

void MiniCluster::Split(const std::string& key, NodeId leaseholder) {
  for (size_t i = 0; i < ranges_.size(); ++i) {
    if (!ranges_[i].ContainsKey(key) || ranges_[i].start == key) continue;
    RangeDescriptor right = ranges_[i];
    ranges_[i].end = key;
    right.start = key;
    right.range = RangeId(ranges_.size() + 1);
    ranges_[i].generation = right.generation = ranges_[i].generation.Next();
    leaseholders_[right.range] = leaseholder;
    PutMeta(ranges_[i]);
    PutMeta(right);
    ranges_.push_back(right);
    return;
  }
}

void MiniCluster::MoveLease(const std::string& key, NodeId node) {
  for (const auto& r : ranges_) {
    if (r.ContainsKey(key)) leaseholders_[r.range] = node;
  }
}

std::optional<std::string> MiniCluster::Committed(const std::string& key) const {
  auto it = data_.find(key);
  return it == data_.end() || it->second.empty() ? std::nullopt : it->second.begin()->second;
}

BatchResponse MiniCluster::SendTo(const runtime::Context&, NodeId node, const BatchRequest& request) {
  BatchResponse lost;
  lost.error = KvError{OtherError{uint8_t(Code::kAmbiguous), "", "connection broken"}, std::nullopt};
  const Fate what = fate ? fate(request) : Fate::kDeliver;
  if (what == Fate::kLoseRequest) return lost;
  BatchResponse response;
  for (const RangeDescriptor& range : ranges_) {
    if (range.range != request.header.range) continue;
    if (leaseholders_[range.range] != node) {
      response.error = KvError{NotLeaseholderError{range.range, *range.FindNode(leaseholders_[range.range])}, std::nullopt};
      return response;
    }
    for (const Request& r : request.requests) {
      const Span span = SpanOf(r, request.header);
      if (range.ContainsSpan(span)) continue;
      response.error = KvError{RangeKeyMismatchError{ranges_}, std::nullopt};
      return response;
    }
    std::string line = "n" + ToString(node) + " r" + ToString(range.range);
    for (const Request& r : request.requests) line += std::string(" ") + kNames[r.index()];
    log.push_back(line);
    response = Execute(range, request);
    return what == Fate::kLoseAnswer ? lost : response;
  }
  response.error = KvError{RangeNotFoundError{request.header.range}, std::nullopt};
  return response;
}

BatchResponse MiniCluster::Execute(const RangeDescriptor&, const BatchRequest& request) {
  BatchResponse response;
  Evaluation e{.batch = request};
  if (request.header.txn) {
    e.txn = *request.header.txn;
    e.transactional = true;
    e.read_ts = e.txn.read_ts;
  } else {
    e.read_ts = request.header.ts.IsZero() ? clock_.Now() : request.header.ts;
  }
  if (request.header.max_keys > 0) e.keys_left = request.header.max_keys;
  const auto data = data_;
  const auto intents = intents_;
  for (size_t i = 0; i < request.requests.size(); ++i) {
    Response out = EmptyResponse{};
    auto error = std::visit([&](const auto& r) { return Do(e, r, out); }, request.requests[i]);
    if (error) {  // a batch has all of its effect or none
      data_ = data;
      intents_ = intents;
      response.responses.clear();
      error->request_index = uint32_t(i);
      response.error = std::move(error);
      break;
    }
    response.responses.push_back(std::move(out));
    ++e.txn.meta.sequence;
  }
  if (e.transactional) response.txn = e.txn;
  response.ts = e.read_ts;
  return response;
}

std::optional<KvError> MiniCluster::Read(Evaluation& e, const std::string& key, std::optional<std::string>& value) {
  reads_.AddRead(key, e.read_ts, e.txn.meta.id);
  if (auto it = intents_.find(key); it != intents_.end()) {
    const Intent& intent = it->second;
    if (e.transactional && intent.txn.id == e.txn.meta.id) {
      if (intent.txn.epoch == e.txn.meta.epoch) {
        for (auto h = intent.history.rbegin(); h != intent.history.rend(); ++h) {
          if (h->first > e.txn.meta.sequence || Ignored(h->first, e.txn.ignored)) continue;
          value = h->second;
          return std::nullopt;
        }
      }
    } else if (intent.txn.write_ts <= e.read_ts) {
      return KvError{LockConflictError{{{key, intent.txn}}}, std::nullopt};
    }
  }
  auto it = data_.find(key);
  if (it == data_.end()) return std::nullopt;
  auto version = it->second.lower_bound(e.read_ts);
  if (version != it->second.end()) value = version->second;
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Write(Evaluation& e, const std::string& key, std::optional<std::string> value) {
  Intent& intent = intents_[key];
  if (!intent.txn.id.empty() && intent.txn.id != e.txn.meta.id) {
    return KvError{LockConflictError{{{key, intent.txn}}}, std::nullopt};
  }
  if (intent.txn.epoch != e.txn.meta.epoch) intent.history.clear();
  if (!intent.history.empty() && intent.history.back().first >= e.txn.meta.sequence) return std::nullopt;  // replay
  const auto& versions = data_[key];
  if (!versions.empty() && versions.begin()->first > e.txn.read_ts) {
    const Timestamp newest = versions.begin()->first;
    return e.Retry(RetryReason::kWriteTooOld, newest.Next());
  }
  e.txn.meta.write_ts = reads_.WritableAt(key, e.txn.meta.write_ts, e.txn.meta.id);
  intent.txn = e.txn.meta;
  intent.history.emplace_back(e.txn.meta.sequence, std::move(value));
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const GetRequest& r, Response& out) {
  GetResponse get;
  auto error = Read(e, r.key, get.value);
  out = std::move(get);
  return error;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const ScanRequest& r, Response& out) {
  ScanResponse scan;
  std::map<std::string, int> keys;
  for (const auto& [key, versions] : data_) keys[key];
  for (const auto& [key, intent] : intents_) keys[key];
  std::vector<std::string> order;
  for (const auto& [key, unused] : keys) {
    if (r.span.Contains(key)) order.push_back(key);
  }
  if (r.direction == Direction::kReverse) order = {order.rbegin(), order.rend()};
  reads_.AddRead(r.span, e.read_ts, e.txn.meta.id);
  for (const std::string& key : order) {
    std::optional<std::string> value;
    if (auto error = Read(e, key, value)) return error;
    if (!value) continue;
    if (e.keys_left == 0) {
      scan.resume = r.direction == Direction::kForward ? Span{key, r.span.end} : Span{r.span.start, key + '\0'};
      break;
    }
    --e.keys_left;
    scan.rows.Append(key, *value);
  }
  out = std::move(scan);
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const PutRequest& r, Response&) { return Write(e, r.key, r.value); }
std::optional<KvError> MiniCluster::Do(Evaluation& e, const DeleteRequest& r, Response&) { return Write(e, r.key, {}); }

std::optional<KvError> MiniCluster::Do(Evaluation& e, const ConditionalPutRequest& r, Response&) {
  if (auto it = intents_.find(r.key); it != intents_.end() && it->second.txn.id == e.txn.meta.id &&
                                      !it->second.history.empty() && it->second.history.back().first >= e.txn.meta.sequence) {
    return std::nullopt;  // replay
  }
  std::optional<std::string> actual;
  if (auto error = Read(e, r.key, actual)) return error;
  if (actual != r.expected) return KvError{ConditionFailedError{r.key, actual}, std::nullopt};
  if (r.deletes != 0) return Write(e, r.key, std::nullopt);
  return Write(e, r.key, r.value);
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const InsertManyRequest& r, Response& out) {
  for (auto row = r.rows.Begin(); row.Next();) {
    const ConditionalPutRequest one{std::string(row.key()), std::string(row.value()), std::nullopt};
    if (auto error = Do(e, one, out)) return error;
  }
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const RefreshRequest& r, Response&) {
  reads_.AddRead(r.span, e.txn.read_ts, e.txn.meta.id);
  for (const auto& [key, versions] : data_) {
    if (!r.span.Contains(key)) continue;
    for (const auto& [ts, value] : versions) {
      if (ts > r.from && ts <= e.txn.read_ts) return e.Retry(RetryReason::kSerializable, ts);
    }
  }
  for (const auto& [key, intent] : intents_) {
    if (r.span.Contains(key) && intent.txn.id != e.txn.meta.id && intent.txn.write_ts <= e.txn.read_ts) {
      return e.Retry(RetryReason::kSerializable, intent.txn.write_ts);
    }
  }
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const EndTxnRequest& r, Response& out) {
  auto it = records_.find(e.txn.meta.id);
  const auto record = it == records_.end() ? std::nullopt : std::optional<TxnRecord>(it->second);
  // A single batch that wrote all of it: nothing stays behind.
  const bool one_phase = e.batch.requests.size() > 1 && r.outcome == TxnStatus::kCommitted;
  auto result = EndTxn(record, reads_.GetRecordMark(e.txn.meta.id), e.txn, r, one_phase ? LocksLeft::kNone : LocksLeft::kSome);
  if (result.error) return result.error;
  if (result.change.kind == RecordChange::Kind::kWrite) records_[e.txn.meta.id] = result.change.record;
  if (result.change.kind == RecordChange::Kind::kErase) records_.erase(e.txn.meta.id);
  if (result.mark.kind == RecordMarkChange::Kind::kFinished) {
    reads_.MarkFinished(e.txn.meta.id, result.mark.outcome, result.mark.ts, e.txn.meta.min_ts);
  }
  if (one_phase) {
    TxnMeta meta = e.txn.meta;
    meta.write_ts = result.commit_ts;
    for (const Span& span : r.lock_spans) Resolve(meta, TxnStatus::kCommitted, span, e.txn.ignored);
  }
  out = EndTxnResponse{result.commit_ts, uint8_t(one_phase)};
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation&, const PushTxnRequest& r, Response& out) {
  auto it = records_.find(r.pushee.id);
  const auto record = it == records_.end() ? std::nullopt : std::optional<TxnRecord>(it->second);
  out = PushTxnResponse{PushTxn(record, reads_.GetRecordMark(r.pushee.id), r, clock_.Now()).pushee, {}};
  return std::nullopt;
}

std::optional<KvError> MiniCluster::Do(Evaluation& e, const HeartbeatTxnRequest&, Response&) {
  auto it = records_.find(e.txn.meta.id);
  const auto record = it == records_.end() ? std::nullopt : std::optional<TxnRecord>(it->second);
  auto result = HeartbeatTxn(record, reads_.GetRecordMark(e.txn.meta.id), e.txn, clock_.Now());
  if (result.change.kind == RecordChange::Kind::kWrite) records_[e.txn.meta.id] = result.change.record;
  return result.error;
}

std::optional<KvError> MiniCluster::Do(Evaluation&, const ResolveIntentRequest& r, Response& out) {
  const auto stopped = Resolve(r.txn, r.status, r.span, r.ignored, resolved_max);
  ResolveIntentResponse response;
  if (stopped) response.resume = Span{*stopped, r.span.end};
  out = response;
  return std::nullopt;
}

std::optional<std::string> MiniCluster::Resolve(const TxnMeta& txn, TxnStatus status, const Span& span,
                                                const std::vector<SequenceRange>& ignored, size_t locks_max) {
  for (auto it = intents_.begin(); it != intents_.end();) {
    if (!span.Contains(it->first) || it->second.txn.id != txn.id) {
      ++it;
      continue;
    }
    if (locks_max-- == 0) return it->first;
    auto& history = it->second.history;
    while (!history.empty() && Ignored(history.back().first, ignored)) history.pop_back();
    if (status == TxnStatus::kCommitted && !history.empty() && it->second.txn.epoch == txn.epoch) {
      data_[it->first][txn.write_ts] = history.back().second;
    }
    it = intents_.erase(it);
  }
  return std::nullopt;
}

}  // namespace orrery::kv
