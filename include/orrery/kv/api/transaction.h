// The transaction as it travels with requests and as its record keeps it. TxnMeta, the part that intents
// carry, is storage's (storage/mvcc/txn_meta.h).
#pragma once

#include <cstdint>
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

struct Transaction {
  TxnMeta meta;
  TxnStatus status = TxnStatus::kPending;
  Timestamp read_ts;             // what reads see; meta.write_ts >= read_ts
  Timestamp uncertainty_limit;   // T11: start + max clock offset, fixed for the transaction
  std::vector<SequenceRange> ignored;
  NodeId gateway;                // where the coordinator runs
  friend bool operator==(const Transaction&, const Transaction&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, meta);
    v(2, status);
    v(3, read_ts);
    v(4, uncertainty_limit);
    v(5, ignored);
    v(6, gateway);
  }
};

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
