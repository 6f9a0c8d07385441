// BatchRequest and BatchResponse: all that a client can ask of a range. A batch addresses one range; the
// sender (kv/client) splits what crosses borders. Requests of a batch run in order, atomically; the response
// has one entry a request, or an error and then no effect (except replicated locks and what `Ambiguous` says).
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "orrery/base/kv_block.h"
#include "orrery/kv/api/errors.h"
#include "orrery/kv/api/transaction.h"

namespace orrery::kv {

using storage::LockStrength;  // kNone, kShared, kExclusive, kIntent

enum class LockDurability : uint8_t {
  kUnreplicated = 0,  // leaseholder memory: handed over with the lease, lost in a crash (B44)
  kReplicated = 1,    // survives lease transfer and crash: FOR UPDATE/SHARE, constraint checks (T23)
};
enum class WaitPolicy : uint8_t {
  kBlock = 0,
  kError = 1,           // NOWAIT
  kSkip = 2,            // SKIP LOCKED
  kReadCommitted = 3,   // reads outside transactions: what is committed below locks, whatever becomes of these
};
enum class Direction : uint8_t { kForward = 0, kReverse = 1 };

struct GetRequest {
  std::string key;
  LockStrength lock = LockStrength::kNone;
  LockDurability durability = LockDurability::kUnreplicated;
  template <class V> void Visit(V& v) { v(1, key); v(2, lock); v(3, durability); }
};
struct ScanRequest {
  Span span;
  Direction direction = Direction::kForward;
  LockStrength lock = LockStrength::kNone;
  LockDurability durability = LockDurability::kUnreplicated;
  template <class V> void Visit(V& v) { v(1, span); v(2, direction); v(3, lock); v(4, durability); }
};
struct PutRequest {
  std::string key;
  std::string value;
  template <class V> void Visit(V& v) { v(1, key); v(2, value); }
};
// Writes only if the current value is `expected` (absent: if there is none). Else ConditionFailedError.
struct ConditionalPutRequest {
  std::string key;
  std::string value;
  std::optional<std::string> expected;
  uint8_t deletes = 0;  // 1: deletes the key; `value` is empty
  template <class V> void Visit(V& v) { v(1, key); v(2, value); v(3, expected); v(4, deletes); }
  std::optional<std::string_view> written() const {
    return deletes != 0 ? std::nullopt : std::optional<std::string_view>(value);
  }
};
struct DeleteRequest {
  std::string key;
  template <class V> void Visit(V& v) { v(1, key); }
};
// Many inserts as one: a conditional put of each pair, expecting no value (else ConditionFailedError names the
// key). It is isolated as a whole, from the first key to the last; locks in the way are those on its keys.
struct InsertManyRequest {
  Span span;     // [first key, what follows the last key)
  KvBlock rows;  // by key, strictly ascending
  template <class V> void Visit(V& v) { v(1, span); v(2, rows); }
};
// Erases a span without history: only for spans no reader can address any more (dropped or truncated tables).
struct ClearRangeRequest {
  Span span;
  template <class V> void Visit(V& v) { v(1, span); }
};
// What else happens when a transaction commits, applied with the commit itself (R2).
struct SplitTrigger {
  RangeDescriptor left;
  RangeDescriptor right;
  template <class V> void Visit(V& v) { v(1, left); v(2, right); }
};
struct ChangeReplicasTrigger {
  RangeDescriptor descriptor;
  template <class V> void Visit(V& v) { v(1, descriptor); }
};
struct EndTxnRequest {
  TxnStatus outcome = TxnStatus::kCommitted;  // kCommitted or kAborted
  std::vector<Span> lock_spans;               // all keys and spans the transaction locked or wrote
  Timestamp deadline = Timestamp::Max();      // T28: commit below this or fail with kDeadlineExceeded
  std::optional<SplitTrigger> split;
  std::optional<ChangeReplicasTrigger> change_replicas;
  template <class V> void Visit(V& v) {
    v(1, outcome); v(2, lock_spans); v(3, deadline); v(4, split); v(5, change_replicas);
  }
};
struct HeartbeatTxnRequest {
  template <class V> void Visit(V&) {}
};
enum class PushType : uint8_t {
  kTimestamp = 0,  // a reader: move the pushee's write timestamp above ours
  kAbort = 1,      // a writer: end it
  kQuery = 2,      // only look; aborts it if it is abandoned (T22)
};
// Addressed to the pushee's anchor key.
struct PushTxnRequest {
  TxnMeta pushee;
  std::optional<TxnMeta> pusher;  // none: a non-transactional request
  PushType type = PushType::kTimestamp;  // the zero value: what absent means on the wire
  Timestamp push_to;
  template <class V> void Visit(V& v) { v(1, pushee); v(2, pusher); v(3, type); v(4, push_to); }
};
// T17. A point or a span; only locks of `txn` with epoch <= its epoch are touched.
struct ResolveIntentRequest {
  Span span;
  TxnMeta txn;                    // write_ts = the record's commit timestamp
  TxnStatus status = TxnStatus::kPending;  // final, or kPending to move a pushed intent's timestamp
  std::vector<SequenceRange> ignored;
  template <class V> void Visit(V& v) { v(1, span); v(2, txn); v(3, status); v(4, ignored); }
};
// T12: fails with TxnRetryError if a foreign version or intent lies in (from, the batch's read timestamp].
struct RefreshRequest {
  Span span;
  Timestamp from;
  template <class V> void Visit(V& v) { v(1, span); v(2, from); }
};
struct GcRequest {
  struct GcKey {
    std::string key;
    Timestamp ts;  // this version and older ones go
    template <class V> void Visit(V& v) { v(1, key); v(2, ts); }
  };
  std::vector<GcKey> keys;
  Timestamp threshold;  // reads at or below are refused afterwards (T10, T25)
  template <class V> void Visit(V& v) { v(1, keys); v(2, threshold); }
};
// Administration: runs a transaction of its own on the leaseholder; not combined with other requests.
struct AdminSplitRequest {
  std::string split_key;  // OK without effect if a range starts there already
  template <class V> void Visit(V& v) { v(1, split_key); }
};
struct AdminTransferLeaseRequest {
  NodeId target;
  template <class V> void Visit(V& v) { v(1, target); }
};
struct AdminChangeReplicasRequest {
  std::optional<ReplicaDescriptor> add;     // node and store; becomes a voter
  std::optional<ReplicaDescriptor> remove;
  RangeGeneration expected_generation;      // R9: loser retries from scratch
  template <class V> void Visit(V& v) { v(1, add); v(2, remove); v(3, expected_generation); }
};

// To a node that was lent reads of the range (docs/design/read_loans.md): it answers none any more when it answers this.
struct RecallLoanRequest {
  template <class V> void Visit(V&) {}
};

using Request = std::variant<GetRequest, ScanRequest, PutRequest, ConditionalPutRequest, DeleteRequest,
                             ClearRangeRequest, EndTxnRequest, HeartbeatTxnRequest, PushTxnRequest,
                             ResolveIntentRequest, RefreshRequest, GcRequest, AdminSplitRequest,
                             AdminTransferLeaseRequest, AdminChangeReplicasRequest, InsertManyRequest, RecallLoanRequest>;

struct BatchHeader {
  RangeId range;                   // filled in by the sender
  RangeGeneration generation;      // R1: of the descriptor it was routed by
  Timestamp ts;                    // non-transactional: read/write timestamp; zero lets the leaseholder choose
  std::optional<Transaction> txn;
  WaitPolicy wait = WaitPolicy::kBlock;
  uint64_t max_keys = 0;           // 0: no limit. Over all scans of the batch; the rest is in resume spans
  uint64_t max_bytes = 0;          // 0: the server's own limit
  Timestamp now;                   // sender's HLC reading, to carry causality (T3)
  NodeId gateway;
  uint8_t can_forward_read = 0;    // 1: the transaction has read nothing yet, so the leaseholder may move its
                                   // read timestamp up and go on where it would answer TxnRetryError
  uint8_t may_borrow = 0;          // 1: the gateway has a replica of the range and would answer such reads itself
  template <class V> void Visit(V& v) {
    v(1, range); v(2, generation); v(3, ts); v(4, txn); v(5, wait); v(6, max_keys); v(7, max_bytes);
    v(8, now); v(9, gateway); v(10, can_forward_read); v(11, may_borrow);
  }
};
struct BatchRequest {
  BatchHeader header;
  std::vector<Request> requests;
  template <class V> void Visit(V& v) { v(1, header); v(2, requests); }
};

struct EmptyResponse {
  template <class V> void Visit(V&) {}
};
struct GetResponse {
  std::optional<std::string> value;
  template <class V> void Visit(V& v) { v(1, value); }
};
struct ScanResponse {
  KvBlock rows;
  std::optional<Span> resume;  // what was not scanned for a limit
  template <class V> void Visit(V& v) { v(1, rows); v(2, resume); }
};
struct EndTxnResponse {
  Timestamp commit_ts;
  uint8_t one_phase = 0;       // 1: committed without intents; nothing to resolve
  uint8_t all_resolved = 0;    // 1: every lock was on this range and went with the commit; nothing to resolve
  template <class V> void Visit(V& v) { v(1, commit_ts); v(2, one_phase); v(3, all_resolved); }
};
// One transaction that waits for another: what deadlock detection is made of (T21).
struct WaitEdge {
  TxnMeta waiter;
  std::string waits_for;       // transaction id
  friend bool operator==(const WaitEdge&, const WaitEdge&) = default;
  template <class V> void Visit(V& v) { v(1, waiter); v(2, waits_for); }
};
struct PushTxnResponse {
  TxnRecord pushee;            // as it is now
  std::vector<WaitEdge> waiters;  // who waits for the pushee, directly and as far as known
  template <class V> void Visit(V& v) { v(1, pushee); v(2, waiters); }
};
struct ResolveIntentResponse {
  std::optional<Span> resume;
  uint64_t resolved_count = 0;
  template <class V> void Visit(V& v) { v(1, resume); v(2, resolved_count); }
};
using Response = std::variant<EmptyResponse, GetResponse, ScanResponse, EndTxnResponse, PushTxnResponse,
                              ResolveIntentResponse>;

// What a replica may answer in the leaseholder's place: reads by key outside transactions, at timestamps up to `read_max`,
// once it has applied its range up to `applied`, for `duration` from when it asked; and until it is recalled.
struct ReadLoan {
  LeaseSequence lease;
  RaftIndex applied;
  Timestamp read_max;
  uint64_t duration_ns = 0;
  template <class V> void Visit(V& v) { v(1, lease); v(2, applied); v(3, read_max); v(4, duration_ns); }
};

struct BatchResponse {
  std::optional<KvError> error;
  std::vector<Response> responses;
  std::optional<Transaction> txn;  // updated: pushed write timestamp, new read timestamp after a refresh
  Timestamp ts;                    // at which a non-transactional batch read or wrote
  Timestamp now;                   // server's HLC reading (T3)
  std::vector<RangeDescriptor> descriptors;  // fresher than the request's generation, for the range cache
  std::optional<ReadLoan> loan;              // to the gateway that may borrow
  template <class V> void Visit(V& v) {
    v(1, error); v(2, responses); v(3, txn); v(4, ts); v(5, now); v(6, descriptors); v(7, loan);
  }
};

// Reads by key, without locks or transaction, now: what a leaseholder answers at once, and may lend.
bool IsPlainRead(const BatchRequest& request);
// The span a request touches: where it is routed and latched.
Span SpanOf(const Request& request, const BatchHeader& header);
// A request that changes replicated state and so needs a proposal.
bool IsWrite(const Request& request);
std::string DebugString(const BatchRequest& request);

}  // namespace orrery::kv
