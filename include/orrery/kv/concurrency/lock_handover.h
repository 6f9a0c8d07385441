// LockHandover: what a leaseholder knows of living transactions that stands on no disk, for the next one: the
// unreplicated locks they hold (B44), and that their records may still come into being (T16). It travels in a
// command of the range, bytes in docs/formats/raft_log.md; docs/design/transactions.md tells the protocol.
//
// Pure data. Invariant of its users: it is exact when its lease ends, and is used by the very next lease or never.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orrery/base/timestamp.h"
#include "orrery/kv/api/transaction.h"

namespace orrery::kv {

struct HeldLock {
  std::string key;
  storage::LockStrength strength = storage::LockStrength::kNone;
  friend bool operator==(const HeldLock&, const HeldLock&) = default;
  template <class V> void Visit(V& v) { v(1, key); v(2, strength); }
};

// Of a transaction anchored on the range and not known to be finished there: the marks a record would have to honour.
struct UnwrittenRecord {
  Timestamp low_water;  // a record of a transaction that began at or below cannot be created
  Timestamp pushed_to;  // it commits at or above
  friend bool operator==(const UnwrittenRecord&, const UnwrittenRecord&) = default;
  template <class V> void Visit(V& v) { v(1, low_water); v(2, pushed_to); }
};

struct TxnLocks {
  TxnMeta txn;
  std::vector<HeldLock> locks;  // in order of keys
  std::optional<UnwrittenRecord> record;
  friend bool operator==(const TxnLocks&, const TxnLocks&) = default;
  template <class V> void Visit(V& v) { v(1, txn); v(2, locks); v(3, record); }
};

struct LockHandover {
  std::vector<TxnLocks> txns;  // in order of their first keys
  friend bool operator==(const LockHandover&, const LockHandover&) = default;
  template <class V> void Visit(V& v) { v(1, txns); }
};

}  // namespace orrery::kv
