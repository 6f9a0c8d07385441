#include "kv/client/routing.h"

#include <algorithm>

namespace orrery::kv {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

int Rank(const KvError& error) {
  if (const auto* other = std::get_if<OtherError>(&error.detail)) {
    return Code(other->code) == Code::kAmbiguous ? 6 : 5;
  }
  if (const auto* retry = std::get_if<TxnRetryError>(&error.detail)) return retry->aborted() ? 4 : 1;
  if (std::holds_alternative<ConditionFailedError>(error.detail)) return 3;
  if (std::holds_alternative<LockConflictError>(error.detail)) return 2;
  return 5;
}

}  // namespace

bool IsRetrySafe(const BatchRequest& request) {
  const bool in_txn = request.header.txn.has_value();
  return std::all_of(request.requests.begin(), request.requests.end(), [&](const Request& r) {
    return std::visit(
        Overloaded{
            [&](const PutRequest&) { return in_txn; },
            [&](const ConditionalPutRequest&) { return in_txn; },
            [&](const DeleteRequest&) { return in_txn; },
            [&](const InsertManyRequest&) { return in_txn; },
            [](const EndTxnRequest& e) { return e.outcome == TxnStatus::kAborted; },
            [](const AdminChangeReplicasRequest&) { return false; },
            [](const auto&) { return true; },
        },
        r);
  });
}

bool HasConditionalPut(const BatchRequest& request) {
  return std::any_of(request.requests.begin(), request.requests.end(), [](const Request& r) {
    return std::holds_alternative<ConditionalPutRequest>(r) || std::holds_alternative<InsertManyRequest>(r);
  });
}

bool IsReadOnly(const BatchRequest& request) {
  return std::none_of(request.requests.begin(), request.requests.end(), [](const Request& r) { return IsWrite(r); });
}

Request WithSpan(const Request& request, Span span) {
  if (const auto* many = std::get_if<InsertManyRequest>(&request)) {
    InsertManyRequest part;
    for (auto row = many->rows.Begin(); row.Next();) {
      if (span.Contains(row.key())) part.rows.Append(row.key(), row.value());
    }
    part.span = std::move(span);
    return part;
  }
  Request out = request;
  std::visit(
      [&](auto& r) {
        if constexpr (requires { r.span; }) r.span = std::move(span);
      },
      out);
  return out;
}

const KvError& WorseOf(const KvError& a, const KvError& b) {
  if (Rank(a) != Rank(b)) return Rank(a) > Rank(b) ? a : b;
  const auto* ra = std::get_if<TxnRetryError>(&a.detail);
  const auto* rb = std::get_if<TxnRetryError>(&b.detail);
  return ra && rb && rb->retry_ts > ra->retry_ts ? b : a;
}

BatchResponse ErrorResponse(const Status& status) {
  BatchResponse response;
  response.error = FromStatus(status);
  return response;
}

}  // namespace orrery::kv
