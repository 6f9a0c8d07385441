// The MVCC errors that drive control flow, as payloads of a Status. All are Code::kAborted except
// ConditionFailedError (kFailedPrecondition). kv/replica turns them into waits, pushes, retries and responses.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/base/timestamp.h"
#include "orrery/storage/mvcc/txn_meta.h"

namespace orrery::storage {

// Foreign locks stand in the way. A scan lists those it met, in key order, up to a limit.
struct LockConflictError final : ErrorPayload {
  explicit LockConflictError(std::vector<LockConflict> l) : locks(std::move(l)) {}
  std::string DebugString() const override;
  std::vector<LockConflict> locks;
};

// A committed version is newer than the request's timestamp (T10).
struct WriteTooOldError final : ErrorPayload {
  explicit WriteTooOldError(std::string k, Timestamp ts) : key(std::move(k)), actual_ts(ts) {}
  std::string DebugString() const override;
  std::string key;
  Timestamp actual_ts;  // the first timestamp at which the write would be in order
};

// A value or foreign intent lies between the read timestamp and its uncertainty limit (T11).
struct UncertaintyError final : ErrorPayload {
  UncertaintyError(std::string k, Timestamp ts, std::optional<LockConflict> i)
      : key(std::move(k)), value_ts(ts), intent(std::move(i)) {}
  std::string DebugString() const override;
  std::string key;
  Timestamp value_ts;  // reading at or above this sees the value
  std::optional<LockConflict> intent;  // set if it is an intent: perhaps it is not committed
};

// A refresh found a foreign version or intent in (from, to] (T12).
struct RefreshFailedError final : ErrorPayload {
  RefreshFailedError(std::string k, Timestamp ts, std::optional<LockConflict> i)
      : key(std::move(k)), ts(ts), intent(std::move(i)) {}
  std::string DebugString() const override;
  std::string key;
  Timestamp ts;
  std::optional<LockConflict> intent;  // set if an intent was met: pushing it may let a new try succeed
};

// A conditional put met another value than the expected one.
struct ConditionFailedError final : ErrorPayload {
  explicit ConditionFailedError(std::optional<std::string> a) : actual(std::move(a)) {}
  std::string DebugString() const override;
  std::optional<std::string> actual;  // nullopt: no value
};

Status LockConflictStatus(std::vector<LockConflict> locks);
Status WriteTooOldStatus(std::string_view key, Timestamp actual_ts);
Status UncertaintyStatus(std::string_view key, Timestamp value_ts, std::optional<LockConflict> intent = std::nullopt);
Status RefreshFailedStatus(std::string_view key, Timestamp ts, std::optional<LockConflict> intent);
Status ConditionFailedStatus(std::optional<std::string> actual);

}  // namespace orrery::storage
