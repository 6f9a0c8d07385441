// The transaction as it travels with requests and as its record keeps it. TxnMeta, the part that intents
// carry, is storage's (storage/mvcc/txn_meta.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/keys.h"
#include "orrery/storage/mvcc/txn_meta.h"

namespace orrery::kv {

using storage::TxnMeta;  // id, epoch, sequence, write timestamp, anchor key, isolation, priority
using storage::SequenceRange;
using storage::TxnStatus;

// PostgreSQL's three (READ UNCOMMITTED is READ COMMITTED). Kept as a number in TxnMeta::isolation.
enum class IsolationLevel : uint8_t { kReadCommitted = 0, kRepeatableRead = 1, kSerializable = 2 };

// A reading of a node's hybrid clock taken after the reader began (B35).
struct ObservedClock {
  NodeId node;
  Timestamp ts;
  friend bool operator==(const ObservedClock&, const ObservedClock&) = default;
  template <class V> void Visit(V& v) { v(1, node); v(2, ts); }
};

struct Transaction {
  TxnMeta meta;
  TxnStatus status = TxnStatus::kPending;
  Timestamp read_ts;             // what reads see; meta.write_ts >= read_ts
  Timestamp uncertainty_limit;   // T11: start + max clock offset, fixed for the transaction
  std::vector<SequenceRange> ignored;
  NodeId gateway;                // where the coordinator runs
  // B35. What was acknowledged before the reader began, on a range led by one of these nodes, was written at or
  // below that node's reading: what lies above is no uncertainty there.
  Timestamp started;             // the gateway's reading; zero: none
  std::vector<ObservedClock> observed;  // other nodes', each at first contact
  friend bool operator==(const Transaction&, const Transaction&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, meta);
    v(2, status);
    v(3, read_ts);
    v(4, uncertainty_limit);
    v(5, ignored);
    v(6, gateway);
    v(7, started);
    v(8, observed);
  }
};

// The transaction's reading of the node's clock; nothing if there is none.
inline std::optional<Timestamp> ObservedAt(const Transaction& txn, NodeId node) {
  if (node == txn.gateway && !txn.started.IsZero()) return txn.started;
  for (const ObservedClock& seen : txn.observed) {
    if (seen.node == node) return seen.ts;
  }
  return std::nullopt;
}
// Adds what `from`, an answer about the same transaction, has seen of other nodes. The first reading stays.
inline void AddObserved(Transaction& into, const Transaction& from) {
  for (const ObservedClock& seen : from.observed) {
    if (!ObservedAt(into, seen.node)) into.observed.push_back(seen);
  }
}

// The replicated record at the anchor key (correctness.md 7a).
struct TxnRecord {
  TxnMeta meta;
  TxnStatus status = TxnStatus::kPending;
  Timestamp last_heartbeat;      // by the record leaseholder's clock (T22)
  std::vector<Span> lock_spans;  // what to resolve; complete once final
  std::vector<SequenceRange> ignored;
  template <class V>
  void Visit(V& v) {
    v(1, meta);
    v(2, status);
    v(3, last_heartbeat);
    v(4, lock_spans);
    v(5, ignored);
  }
};

}  // namespace orrery::kv
