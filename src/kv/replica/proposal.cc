#include "kv/replica/proposal.h"

#include <algorithm>

namespace orrery::kv {
namespace {

// A read at this timestamp passes every write latch but one without a timestamp: a split's, over the whole
// range. Requests on records take it, so that none runs while records change sides.
constexpr Timestamp kIsolatedFromSplitsOnly{0, 1};

// Latch keys of transaction records are this and the transaction's id: below all user keys, which begin with at least 0x02.
constexpr std::string_view kRecordLatches = "\x01";

// A load's batch takes one latch from its first key to its last, which costs others a wait where they are among them,
// and spares it thousands of entries to make, compare and take out.
constexpr size_t kKeysOfOneLatchMin = 1024;
enum class KeyLatches : uint8_t { kEach, kOne };

class SpecBuilder {
 public:
  SpecBuilder(AdmissionSpec& spec, RequestStorage& storage, const BatchRequest& batch, Timestamp ts,
              const RangeDescriptor& descriptor, EndTxnLatches end_latches)
      : spec_(spec), storage_(storage), header_(batch.header), descriptor_(descriptor), end_latches_(end_latches),
        key_latches_(batch.requests.size() >= kKeysOfOneLatchMin ? KeyLatches::kOne : KeyLatches::kEach) {
    if (key_latches_ == KeyLatches::kEach) spec_.latches.reserve(batch.requests.size() + 1);
    spec_.locks.reserve(batch.requests.size());
    spec_.wait = header_.wait;
    if (const auto& txn = header_.txn) {
      spec_.txn = storage_.txn ? &*storage_.txn : &txn->meta;
      spec_.read_ts = txn->read_ts;
      visible_limit_ = txn->read_ts;
      visible_limit_.Forward(txn->uncertainty_limit);
      write_ts_ = txn->meta.write_ts;
      min_ts_ = txn->meta.min_ts;
    } else {
      spec_.read_ts = visible_limit_ = ts;
      write_ts_ = ts;
    }
  }

  void Add(const GetRequest& r) { AddRead(storage_.Keep(r.key), r.lock); }
  void Add(const ScanRequest& r) { AddRead(storage_.Keep(r.span), r.lock); }
  void Add(const PutRequest& r) { AddWrite(storage_.Keep(r.key)); }
  void Add(const ConditionalPutRequest& r) { AddWrite(storage_.Keep(r.key)); }
  void Add(const DeleteRequest& r) { AddWrite(storage_.Keep(r.key)); }
  void Add(const InsertManyRequest& r) {
    for (auto row = r.rows.Begin(); row.Next();) {
      spec_.locks.push_back({storage_.Keep(row.key()), LockStrength::kIntent});
    }
    Latch(storage_.Keep(r.span), Access::kWrite, write_ts_);
  }
  void Add(const ClearRangeRequest& r) { Latch(storage_.Keep(r.span), Access::kWrite, {}); }
  void Add(const EndTxnRequest& r) {
    if (!spec_.txn) return;
    if (end_latches_ == EndTxnLatches::kAsWritten) return AddRecord(*spec_.txn, Isolated::kByOthers);
    AddRecord(*spec_.txn);
    for (const Span& span : r.lock_spans) {
      // Intents stand at or above the beginning of their transaction: readers below are not disturbed.
      if (const auto here = eval::Clip(span, descriptor_)) Latch(storage_.Keep(*here), Access::kWrite, min_ts_);
    }
    if (r.split) Latch(WholeRange(), Access::kWrite, {});
  }
  void Add(const HeartbeatTxnRequest&) {
    if (spec_.txn) AddRecord(*spec_.txn);
  }
  void Add(const PushTxnRequest& r) { AddRecord(r.pushee); }
  void Add(const ResolveIntentRequest& r) { Latch(storage_.Keep(r.span), Access::kWrite, r.txn.min_ts); }
  void Add(const RefreshRequest& r) { Latch(storage_.Keep(r.span), Access::kRead, visible_limit_); }
  void Add(const GcRequest& r) {
    for (const auto& key : r.keys) Latch(storage_.Keep(key.key), Access::kWrite, {});
  }
  template <class Admin>
  void Add(const Admin&) {}

  void Finish() {
    if (last_.empty()) return;
    const std::string_view end = storage_.Copy(last_, std::string_view("\0", 1));
    Latch(SpanRef(first_, end), Access::kWrite, write_ts_);
  }

 private:
  void Latch(SpanRef span, Access access, Timestamp ts) { spec_.latches.push_back({span, access, ts}); }
  void AddRead(SpanRef span, LockStrength strength) {
    const bool locks = strength != LockStrength::kNone && spec_.txn != nullptr;
    if (locks) {
      Latch(span, Access::kWrite, {});
    } else {
      Latch(span, Access::kRead, visible_limit_);
    }
    if (header_.wait == WaitPolicy::kReadCommitted && !spec_.txn) return;
    spec_.locks.push_back({span, locks ? strength : LockStrength::kNone});
  }
  void AddWrite(SpanRef key) {
    spec_.locks.push_back({key, LockStrength::kIntent});
    if (key_latches_ == KeyLatches::kEach) return Latch(key, Access::kWrite, write_ts_);
    if (first_.empty() || key.start < first_) first_ = key.start;
    if (key.start > last_) last_ = key.start;
  }
  // Against splits. kByOthers: the batch has latches on keys of this range, each of which is in a split's way as well.
  enum class Isolated : uint8_t { kByItself, kByOthers };
  void AddRecord(const TxnMeta& txn, Isolated isolated = Isolated::kByItself) {
    Latch(SpanRef(storage_.Copy(kRecordLatches, txn.id)), Access::kWrite, {});
    if (isolated == Isolated::kByOthers && (spec_.latches.size() > 1 || !first_.empty())) return;
    Latch(storage_.Keep(txn.anchor_key), Access::kRead, kIsolatedFromSplitsOnly);
  }
  SpanRef WholeRange() {
    const std::string_view start = storage_.Copy(descriptor_.start);
    return SpanRef(start, storage_.Copy(descriptor_.end));
  }

  AdmissionSpec& spec_;
  RequestStorage& storage_;
  const BatchHeader& header_;
  const RangeDescriptor& descriptor_;
  const EndTxnLatches end_latches_;
  const KeyLatches key_latches_;
  std::string_view first_;  // of the keys written, under KeyLatches::kOne
  std::string_view last_;
  Timestamp write_ts_;
  Timestamp min_ts_;
  Timestamp visible_limit_;  // reads take notice of writes up to here: their uncertainty limit
};

AdmissionSpec SpecOf(RequestStorage& storage, const BatchRequest& batch, Timestamp ts,
                     const RangeDescriptor& descriptor, EndTxnLatches end_latches) {
  AdmissionSpec spec;
  SpecBuilder builder(spec, storage, batch, ts, descriptor, end_latches);
  for (const auto& request : batch.requests) {
    std::visit([&](const auto& r) { builder.Add(r); }, request);
  }
  builder.Finish();
  return spec;
}

}  // namespace

RequestStorage::RequestStorage(const BatchRequest& batch)
    : copies(std::any_of(batch.requests.begin(), batch.requests.end(), IsWrite)) {
  if (copies && batch.header.txn) txn = batch.header.txn->meta;
}

std::string_view RequestStorage::Keep(std::string_view bytes) {
  return copies ? Copy(bytes) : bytes;
}

std::string_view RequestStorage::Copy(std::string_view bytes, std::string_view more) {
  const size_t total = bytes.size() + more.size();
  if (total > block_left) {
    // Most batches fit into the first block; many keys share later ones.
    const size_t size = std::max<size_t>(total, blocks.empty() ? 256 : 16 * 1024);
    blocks.push_back(std::make_unique_for_overwrite<char[]>(size));
    block_at = blocks.back().get();
    block_left = size;
  }
  const std::string_view copy(block_at, total);
  block_at = std::copy(more.begin(), more.end(), std::copy(bytes.begin(), bytes.end(), block_at));
  block_left -= total;
  return copy;
}

PendingRequest::PendingRequest(const BatchRequest& batch, Timestamp ts, const RangeDescriptor& descriptor,
                               EndTxnLatches end_latches)
    : RequestStorage(batch), Admission(SpecOf(*this, batch, ts, descriptor, end_latches)) {}

std::shared_ptr<PendingRequest> NewPendingRequest(const BatchRequest& batch, Timestamp ts,
                                                  const RangeDescriptor& descriptor, EndTxnLatches end_latches) {
  return std::make_shared<PendingRequest>(batch, ts, descriptor, end_latches);
}

}  // namespace orrery::kv
