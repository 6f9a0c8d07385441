// WriteBuffer: values and deletions a transaction has decided on but not sent. A key may be buffered once its exclusive lock
// is held and its value under the lock is known; until COMMIT nobody but the transaction itself can ask for what
// it wrote, so writes wait here and leave with the commit in one batch: one consensus round, and no intents if
// one range holds them all.
//
// The lock lives in the leaseholder's memory and may be lost with it (B44). So a buffered value leaves as a
// conditional put on the value that was read under the lock: if somebody else came between, the put fails and the
// transaction retries, and no update is lost (I13).
//
// Entries carry the sequence numbers of their writes, so that a savepoint can be rolled back to (T30), also after
// they were sent. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "orrery/kv/api/batch.h"

namespace orrery::kv {

class WriteBuffer {
 public:
  struct Limits {
    size_t keys_max = 128;
    size_t bytes_max = size_t{256} << 10;
  };
  explicit WriteBuffer(Limits limits) : limits_(limits) {}
  WriteBuffer() : WriteBuffer(Limits{}) {}

  void Clear();
  // Notes the value under an exclusive lock. Ignored when the limits are reached or the key is known already.
  void NoteHeld(std::string_view key, const std::optional<std::string>& value);
  // Whether a write of the key may be buffered.
  bool Holds(std::string_view key) const { return Find(key) != nullptr; }
  bool HasRoom(size_t keys, size_t bytes) const {
    return entries_.size() + keys <= limits_.keys_max && bytes_ + bytes <= limits_.bytes_max;
  }
  // No value: the key is deleted. Precondition: Holds(key).
  void Put(std::string_view key, std::optional<std::string_view> value, uint32_t sequence);
  // The transaction's own unsent value, or deletion; null: none, and the ranges know best.
  const std::optional<std::string>* Unsent(std::string_view key) const;
  // What the transaction sees at a held key: its own value or the one under the lock.
  std::optional<std::string> Seen(std::string_view key) const;
  bool has_unsent() const { return unsent_ > 0; }
  bool OverlapsUnsent(const Span& span) const;

  // The unsent values as requests, in key order.
  void AppendRequests(std::vector<Request>& out) const;
  // They were sent, numbered up to `last_sequence`.
  void MarkSent(uint32_t last_sequence);
  // Later writes are void; earlier ones that were sent later are unsent again, since the ranges ignore them now.
  void RollbackTo(uint32_t savepoint);

 private:
  struct Value {
    uint32_t sequence;
    std::optional<std::string> bytes;
  };
  struct Entry {
    std::string key;
    std::optional<std::string> held;  // the value under the lock
    absl::InlinedVector<Value, 1> values;  // oldest first; mostly one
    uint32_t sent_sequence = 0;       // 0: unsent
    bool has_intent = false;          // was sent once: an intent keeps others out
    bool unsent() const { return !values.empty() && sent_sequence == 0; }
  };
  const Entry* Find(std::string_view key) const;

  Limits limits_;
  std::vector<Entry> entries_;  // few: searched in turn
  size_t bytes_ = 0;
  size_t unsent_ = 0;
};

}  // namespace orrery::kv
