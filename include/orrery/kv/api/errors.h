// The errors that drive control flow between client and server. They travel inside BatchResponse (as KvError)
// and go up the stack as payloads of a Status (ToStatus / FromStatus). docs/formats/kv_messages.md.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/kv/api/transaction.h"

namespace orrery::kv {

// This replica does not hold the lease; ask `lease_holder` if known. Never executed.
struct NotLeaseholderError {
  RangeId range;
  ReplicaDescriptor lease_holder;  // node 0: unknown
  template <class V> void Visit(V& v) { v(1, range); v(2, lease_holder); }
};
// R1: the request was routed by an outdated descriptor; here are the true ones. Never executed.
struct RangeKeyMismatchError {
  std::vector<RangeDescriptor> descriptors;
  template <class V> void Visit(V& v) { v(1, descriptors); }
};
// No replica of this range here (removed, or not yet created). Never executed.
struct RangeNotFoundError {
  RangeId range;
  template <class V> void Visit(V& v) { v(1, range); }
};
// Locks of other transactions in the way, and the request does not wait (NOWAIT), or timed out waiting.
struct LockConflict {
  std::string key;
  TxnMeta txn;
  template <class V> void Visit(V& v) { v(1, key); v(2, txn); }
};
struct LockConflictError {
  std::vector<LockConflict> locks;
  template <class V> void Visit(V& v) { v(1, locks); }
};
// Why a transaction must restart (at a later timestamp, next epoch) or, under READ COMMITTED, its statement.
enum class RetryReason : uint8_t {
  kUnknown = 0,
  kWriteTooOld = 1,        // a newer committed version exists: lost update otherwise
  kUncertainty = 2,        // a value that may have been committed before we started (T11)
  kSerializable = 3,       // commit above the read timestamp and the refresh failed (T12)
  kAbortedByPusher = 4,    // another transaction aborted us: new transaction id needed
  kAbortedRecordGone = 5,  // record can no longer be created (T16): new id needed
  kDeadlineExceeded = 6,   // T28: descriptor lease ended before the commit timestamp
  kDeadlock = 7,           // 40P01, chosen as victim (T21): new id needed
};
struct TxnRetryError {
  RetryReason reason = RetryReason::kUnknown;
  std::string txn_id;
  Timestamp retry_ts;      // read at or above this next time
  std::string detail;      // who conflicted, on which key: shown to the user
  template <class V> void Visit(V& v) { v(1, reason); v(2, txn_id); v(3, retry_ts); v(4, detail); }
  // The old transaction is finished; only a new one (new id) can retry.
  bool aborted() const {
    return reason == RetryReason::kAbortedByPusher || reason == RetryReason::kAbortedRecordGone ||
           reason == RetryReason::kDeadlock;
  }
};
// ConditionalPut / insert: the key holds another value (absent: no value, though one was expected).
struct ConditionFailedError {
  std::string key;
  std::optional<std::string> actual;
  template <class V> void Visit(V& v) { v(1, key); v(2, actual); }
};
// Anything else, flattened: code, SQLSTATE, message.
struct OtherError {
  uint8_t code = 0;
  std::string sqlstate;
  std::string message;
  template <class V> void Visit(V& v) { v(1, code); v(2, sqlstate); v(3, message); }
};

struct KvError {
  std::variant<OtherError, NotLeaseholderError, RangeKeyMismatchError, RangeNotFoundError, LockConflictError,
               TxnRetryError, ConditionFailedError>
      detail;
  std::optional<uint32_t> request_index;  // which request of the batch
  template <class V> void Visit(V& v) { v(1, detail); v(2, request_index); }
};

// KvError as a Status payload. Copy the error out of it or branch with Get<T>().
class KvErrorPayload : public ErrorPayload {
 public:
  explicit KvErrorPayload(KvError error) : error_(std::move(error)) {}
  std::string DebugString() const override;
  const KvError& error() const { return error_; }

 private:
  KvError error_;
};

// The Status with code, SQLSTATE (40001, 40P01, 55P03, …) and message for people; the KvError is its payload.
Status ToStatus(const KvError& error);
// The KvError in the payload, or the Status flattened to OtherError. Precondition: !status.ok().
KvError FromStatus(const Status& status);
// The typed error inside a Status, or null.
template <class T>
const T* GetError(const Status& status) {
  const auto* payload = status.payload<KvErrorPayload>();
  return payload ? std::get_if<T>(&payload->error().detail) : nullptr;
}

}  // namespace orrery::kv
