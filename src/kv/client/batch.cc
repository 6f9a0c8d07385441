#include "orrery/kv/api/errors.h"
#include "orrery/kv/client/database.h"
#include "orrery/kv/client/run_alone.h"

namespace orrery::kv {
namespace {

constexpr int kAttemptsMax = 100;

}  // namespace

void Batch::Get(std::string_view key, LockStrength lock, LockDurability durability) {
  requests.emplace_back(GetRequest{.key = std::string(key), .lock = lock, .durability = durability});
}

void Batch::Scan(Span span, Direction direction, LockStrength lock, LockDurability durability) {
  requests.emplace_back(
      ScanRequest{.span = std::move(span), .direction = direction, .lock = lock, .durability = durability});
}

void Batch::Put(std::string_view key, std::string_view value) {
  requests.emplace_back(PutRequest{.key = std::string(key), .value = std::string(value)});
}

void Batch::Insert(std::string_view key, std::string_view value) { ConditionalPut(key, value, std::nullopt); }

void Batch::ConditionalPut(std::string_view key, std::string_view value, std::optional<std::string> expected) {
  requests.emplace_back(ConditionalPutRequest{
      .key = std::string(key), .value = std::string(value), .expected = std::move(expected)});
}

void Batch::Delete(std::string_view key) { requests.emplace_back(DeleteRequest{.key = std::string(key)}); }

void Batch::Clear() {
  wait = WaitPolicy::kBlock;
  max_keys = 0;
  max_bytes = 0;
  inserted_keys = InsertedKeys::kAnyones;
  requests.clear();
  responses.clear();
}

Status RunAlone(const runtime::Context& context, Database& db, std::string_view name, Batch& batch) {
  auto txn = db.Begin({.isolation = IsolationLevel::kSerializable, .name = name});
  for (int attempt = 0;; ++attempt) {
    Status status = txn->RunAndCommit(context, batch);
    if (status.ok()) return status;
    if (!GetError<TxnRetryError>(status) || attempt >= kAttemptsMax) {
      (void)txn->Rollback(context).ok();
      return status;
    }
    RETURN_IF_ERROR(context.Check());
    RETURN_IF_ERROR(txn->Restart(context, status));
  }
}

}  // namespace orrery::kv
