#include "orrery/kv/client/database.h"

namespace orrery::kv {
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

void Batch::InsertMany(KvBlock rows) {
  InsertManyRequest request;
  for (auto row = rows.Begin(); row.Next();) {
    if (request.span.start.empty()) request.span.start = row.key();
    request.span.end = row.key();
  }
  if (request.span.start.empty()) return;
  request.span.end.push_back('\0');
  request.rows = std::move(rows);
  requests.emplace_back(std::move(request));
}

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

}  // namespace orrery::kv
