#include "kv/client/write_buffer.h"

#include <algorithm>

#include "orrery/base/assert.h"

namespace orrery::kv {

constexpr size_t kKeysMostly = 4;  // of a transaction that writes

void WriteBuffer::Clear() {
  entries_.clear();
  bytes_ = 0;
  unsent_ = 0;
}

const WriteBuffer::Entry* WriteBuffer::Find(std::string_view key) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  return it == entries_.end() ? nullptr : &*it;
}

void WriteBuffer::NoteHeld(std::string_view key, const std::optional<std::string>& value) {
  const size_t bytes = key.size() + (value ? value->size() : 0);
  if (!HasRoom(1, bytes) || Holds(key)) return;
  if (entries_.empty()) entries_.reserve(kKeysMostly);
  bytes_ += bytes;
  entries_.push_back({.key = std::string(key), .held = value});
}

void WriteBuffer::Put(std::string_view key, std::optional<std::string_view> value, uint32_t sequence) {
  auto* entry = const_cast<Entry*>(Find(key));
  ORRERY_ASSERT(entry != nullptr, "WriteBuffer: only held keys are buffered");
  if (!entry->unsent()) ++unsent_;
  entry->sent_sequence = 0;
  entry->values.push_back({sequence, std::nullopt});
  if (!value) return;
  entry->values.back().bytes.emplace(*value);
  bytes_ += value->size();
}

const std::optional<std::string>* WriteBuffer::Unsent(std::string_view key) const {
  if (unsent_ == 0) return nullptr;
  const Entry* entry = Find(key);
  return entry && entry->unsent() ? &entry->values.back().bytes : nullptr;
}

std::optional<std::string> WriteBuffer::Seen(std::string_view key) const {
  const Entry* entry = Find(key);
  ORRERY_ASSERT(entry != nullptr, "WriteBuffer: only held keys are looked at");
  if (entry->values.empty()) return entry->held;
  return entry->values.back().bytes;
}

bool WriteBuffer::OverlapsUnsent(const Span& span) const {
  if (unsent_ == 0) return false;
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) {
    if (!e.unsent()) return false;
    return span.is_point() ? e.key == span.start : e.key >= span.start && e.key < span.end;
  });
}

void WriteBuffer::AppendRequests(std::vector<Request>& out) const {
  std::vector<const Entry*> sorted;
  sorted.reserve(unsent_);
  for (const Entry& entry : entries_) {
    if (entry.unsent()) sorted.push_back(&entry);
  }
  std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
  out.reserve(out.size() + sorted.size() + 1);  // the caller's EndTxn
  for (const Entry* entry : sorted) {
    const std::optional<std::string>& value = entry->values.back().bytes;
    if (!entry->has_intent) {
      out.emplace_back(ConditionalPutRequest{entry->key, value.value_or(""), entry->held, uint8_t(value ? 0 : 1)});
    } else if (value) {
      out.emplace_back(PutRequest{entry->key, *value});
    } else {
      out.emplace_back(DeleteRequest{entry->key});
    }
  }
}

void WriteBuffer::MarkSent(uint32_t last_sequence) {
  for (Entry& entry : entries_) {
    if (!entry.unsent()) continue;
    entry.sent_sequence = last_sequence;
    entry.has_intent = true;
  }
  unsent_ = 0;
}

void WriteBuffer::RollbackTo(uint32_t savepoint) {
  for (Entry& entry : entries_) {
    while (!entry.values.empty() && entry.values.back().sequence > savepoint) {
      if (entry.values.back().bytes) bytes_ -= entry.values.back().bytes->size();
      entry.values.pop_back();
    }
    if (entry.sent_sequence > savepoint) entry.sent_sequence = 0;
  }
  unsent_ = size_t(std::count_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.unsent(); }));
}

}  // namespace orrery::kv
