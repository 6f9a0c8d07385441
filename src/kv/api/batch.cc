#include "orrery/kv/api/batch.h"

#include "orrery/base/hash.h"

namespace orrery::kv {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string_view AnchorOf(const BatchHeader& header) {
  return header.txn ? std::string_view(header.txn->meta.anchor_key) : std::string_view();
}

constexpr std::string_view kRequestNames[] = {
    "Get", "Scan", "Put", "ConditionalPut", "Delete", "ClearRange", "EndTxn", "HeartbeatTxn", "PushTxn",
    "ResolveIntent", "Refresh", "Gc", "AdminSplit", "AdminTransferLease", "AdminChangeReplicas",
    "InsertMany"};
static_assert(std::size(kRequestNames) == std::variant_size_v<Request>);

}  // namespace

Span SpanOf(const Request& request, const BatchHeader& header) {
  return std::visit(
      Overloaded{
          [](const GetRequest& r) { return Span{r.key, ""}; },
          [](const ScanRequest& r) { return r.span; },
          [](const PutRequest& r) { return Span{r.key, ""}; },
          [](const ConditionalPutRequest& r) { return Span{r.key, ""}; },
          [](const DeleteRequest& r) { return Span{r.key, ""}; },
          [](const ClearRangeRequest& r) { return r.span; },
          [&](const EndTxnRequest&) { return Span{std::string(AnchorOf(header)), ""}; },
          [&](const HeartbeatTxnRequest&) { return Span{std::string(AnchorOf(header)), ""}; },
          [](const PushTxnRequest& r) { return Span{r.pushee.anchor_key, ""}; },
          [](const ResolveIntentRequest& r) { return r.span; },
          [](const RefreshRequest& r) { return r.span; },
          [](const GcRequest& r) {
            return r.keys.empty() ? Span{} : Span{r.keys.front().key, ""};
          },
          [](const AdminSplitRequest& r) { return Span{r.split_key, ""}; },
          [](const AdminTransferLeaseRequest&) { return Span{}; },
          [](const AdminChangeReplicasRequest&) { return Span{}; },
          [](const InsertManyRequest& r) { return r.span; },
      },
      request);
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
