// TxnMeta: the part of a transaction that its intents and locks carry. Pure data; the only header of storage
// that kv/api (and so kv/client) may include.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/timestamp.h"

namespace orrery::storage {

enum class LockStrength : uint8_t {
  kNone = 0,
  kShared = 1,     // FOR SHARE: compatible with itself
  kExclusive = 2,  // FOR UPDATE: a promise to write; blocks writers and locking readers, not plain reads
  kIntent = 3,     // a provisional value: blocks reads at or above its timestamp too
};
// Whether locks of two different transactions on one key exclude each other (plain reads: by timestamp,
// decided by the read itself).
constexpr bool Conflicts(LockStrength a, LockStrength b) {
  if (a == LockStrength::kNone || b == LockStrength::kNone) return false;
  return !(a == LockStrength::kShared && b == LockStrength::kShared);
}

// T13: PENDING → (STAGING →) COMMITTED | ABORTED, one way. Staging belongs to parallel commit (stage 3).
enum class TxnStatus : uint8_t { kPending = 0, kStaging = 1, kCommitted = 2, kAborted = 3 };

// Sequences of a transaction, inclusive, that a savepoint rolled back (T30).
struct SequenceRange {
  uint32_t first = 0;
  uint32_t last = 0;
  friend constexpr auto operator<=>(const SequenceRange&, const SequenceRange&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, first);
    v(2, last);
  }
};
// Whether one of the ranges, in any order, holds `sequence`.
bool IsIgnored(uint32_t sequence, const std::vector<SequenceRange>& ignored);

inline constexpr size_t kTxnIdBytes = 16;

struct TxnMeta {
  std::string id;          // 16 random bytes
  std::string anchor_key;  // where the record lives: the first key written or locked; empty until then
  uint32_t epoch = 0;      // +1 with every restart under the same id
  uint32_t sequence = 0;   // of the operation (in requests) or of the latest write (in intents); from 1
  Timestamp write_ts;      // where it will commit unless pushed further
  Timestamp min_ts;        // when it began: no earlier activity, the record cannot be older
  int32_t priority = 0;
  uint8_t isolation = 0;   // kv::IsolationLevel
  friend bool operator==(const TxnMeta&, const TxnMeta&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, id);
    v(2, anchor_key);
    v(3, epoch);
    v(4, sequence);
    v(5, write_ts);
    v(6, min_ts);
    v(7, priority);
    v(8, isolation);
  }
};

// A lock of another transaction that a request met.
struct LockConflict {
  std::string key;
  TxnMeta txn;  // the holder; its write_ts is where an intent stands
  LockStrength strength = LockStrength::kNone;
  template <class V>
  void Visit(V& v) {
    v(1, key);
    v(2, txn);
    v(3, strength);
  }
};

}  // namespace orrery::storage
