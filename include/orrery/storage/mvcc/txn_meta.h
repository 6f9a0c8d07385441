// TxnMeta: the part of a transaction that its intents and locks carry. Pure data; the only header of storage
// that kv/api (and so kv/client) may include.
#pragma once

#include <cstdint>
#include <string>

#include "orrery/base/timestamp.h"

namespace orrery::storage {

enum class LockStrength : uint8_t {
  kNone = 0,
  kShared = 1,     // FOR SHARE: compatible with itself
  kExclusive = 2,  // FOR UPDATE: a promise to write; blocks writers and locking readers, not plain reads
  kIntent = 3,     // a provisional value: blocks reads at or above its timestamp too
};

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

}  // namespace orrery::storage
