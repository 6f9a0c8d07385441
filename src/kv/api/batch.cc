#include "orrery/kv/api/batch.h"

#include <algorithm>

#include "orrery/base/hash.h"
#include "orrery/kv/api/key_span.h"

namespace orrery::kv {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

KeySpan ViewOf(const Span& span) { return {span.start, span.end}; }

constexpr std::string_view kRequestNames[] = {
    "Get", "Scan", "Put", "ConditionalPut", "Delete", "ClearRange", "EndTxn", "HeartbeatTxn", "PushTxn",
    "ResolveIntent", "Refresh", "Gc", "AdminSplit", "AdminTransferLease", "AdminChangeReplicas",
    "InsertMany", "RecallLoan"};
static_assert(std::size(kRequestNames) == std::variant_size_v<Request>);

}  // namespace

KeySpan KeySpanOf(const Request& request, const BatchHeader& header) {
  const std::string_view anchor = header.txn ? std::string_view(header.txn->meta.anchor_key) : std::string_view();
  return std::visit(
      Overloaded{
          [](const GetRequest& r) { return KeySpan{r.key, ""}; },
          [](const ScanRequest& r) { return ViewOf(r.span); },
          [](const PutRequest& r) { return KeySpan{r.key, ""}; },
          [](const ConditionalPutRequest& r) { return KeySpan{r.key, ""}; },
          [](const DeleteRequest& r) { return KeySpan{r.key, ""}; },
          [](const ClearRangeRequest& r) { return ViewOf(r.span); },
          [&](const EndTxnRequest&) { return KeySpan{anchor, ""}; },
          [&](const HeartbeatTxnRequest&) { return KeySpan{anchor, ""}; },
          [](const PushTxnRequest& r) { return KeySpan{r.pushee.anchor_key, ""}; },
          [](const ResolveIntentRequest& r) { return ViewOf(r.span); },
          [](const RefreshRequest& r) { return ViewOf(r.span); },
          [](const GcRequest& r) { return r.keys.empty() ? KeySpan{} : KeySpan{r.keys.front().key, ""}; },
          [](const AdminSplitRequest& r) { return KeySpan{r.split_key, ""}; },
          [](const AdminTransferLeaseRequest&) { return KeySpan{}; },
          [](const AdminChangeReplicasRequest&) { return KeySpan{}; },
          [](const InsertManyRequest& r) { return ViewOf(r.span); },
          [](const RecallLoanRequest&) { return KeySpan{}; },
      },
      request);
}

Span SpanOf(const Request& request, const BatchHeader& header) {
  const KeySpan span = KeySpanOf(request, header);
  return {std::string(span.start), std::string(span.end)};
}

bool Contains(const RangeDescriptor& descriptor, const KeySpan& span) {
  return descriptor.ContainsKey(span.start) && (span.is_point() || span.end <= std::string_view(descriptor.end));
}

bool IsPlainRead(const BatchRequest& request) {
  const BatchHeader& header = request.header;
  if (header.txn || !header.ts.IsZero() || header.wait != WaitPolicy::kBlock) return false;
  return std::all_of(request.requests.begin(), request.requests.end(), [](const Request& r) {
    const auto* get = std::get_if<GetRequest>(&r);
    return get && get->lock == LockStrength::kNone;
  });
}

bool IsWrite(const Request& request) {
  return std::visit(
      Overloaded{
          [](const GetRequest& r) {
            return r.lock != LockStrength::kNone && r.durability == LockDurability::kReplicated;
          },
          [](const ScanRequest& r) {
            return r.lock != LockStrength::kNone && r.durability == LockDurability::kReplicated;
          },
          [](const RefreshRequest&) { return false; },
          [](const RecallLoanRequest&) { return false; },
          [](const auto&) { return true; },
      },
      request);
}

std::string DebugString(const BatchRequest& request) {
  std::string out = "r" + ToString(request.header.range) + "[";
  for (size_t i = 0; i < request.requests.size(); ++i) {
    if (i > 0) out += ", ";
    out += kRequestNames[request.requests[i].index()];
    const Span span = SpanOf(request.requests[i], request.header);
    out += " " + Printable(span.start);
    if (!span.is_point()) out += "–" + Printable(span.end);
  }
  return out + "]";
}

}  // namespace orrery::kv
