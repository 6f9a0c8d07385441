#include "orrery/storage/mvcc/errors.h"

#include "orrery/base/hash.h"

namespace orrery::storage {
namespace {

template <class Payload, class... Args>
Status WithPayload(Code code, std::string_view sqlstate, Args&&... args) {
  auto payload = std::make_shared<const Payload>(std::forward<Args>(args)...);
  return Status(code, sqlstate, payload->DebugString()).WithPayload(payload);
}

std::string Describe(const LockConflict& lock) {
  static constexpr const char* kNames[] = {"none", "shared", "exclusive", "intent"};
  return std::string(kNames[size_t(lock.strength) & 3]) + " lock of transaction " +
         HexEncode(std::string_view(lock.txn.id).substr(0, 4)) + " on " + Printable(lock.key) + " at " +
         lock.txn.write_ts.ToString();
}

constexpr std::string_view kSerializationFailure = "40001";

}  // namespace

std::string LockConflictError::DebugString() const {
  if (locks.empty()) return "conflict with no lock";
  std::string out = "conflict with " + Describe(locks.front());
  if (locks.size() > 1) out += " and " + std::to_string(locks.size() - 1) + " more";
  return out;
}
std::string WriteTooOldError::DebugString() const {
  return "write too old on " + Printable(key) + ": in order from " + actual_ts.ToString();
}
std::string UncertaintyError::DebugString() const {
  return "uncertain value of " + Printable(key) + " at " + value_ts.ToString();
}
std::string RefreshFailedError::DebugString() const {
  return "refresh failed on " + Printable(key) + (intent ? ": intent at " : ": version at ") + ts.ToString();
}
std::string ConditionFailedError::DebugString() const {
  return actual ? "condition failed: found " + Printable(*actual) : "condition failed: found no value";
}

Status LockConflictStatus(std::vector<LockConflict> locks) {
  return WithPayload<LockConflictError>(Code::kAborted, "55P03", std::move(locks));
}
Status WriteTooOldStatus(std::string_view key, Timestamp actual_ts) {
  return WithPayload<WriteTooOldError>(Code::kAborted, kSerializationFailure, std::string(key), actual_ts);
}
Status UncertaintyStatus(std::string_view key, Timestamp value_ts, std::optional<LockConflict> intent) {
  return WithPayload<UncertaintyError>(Code::kAborted, kSerializationFailure, std::string(key), value_ts,
                                       std::move(intent));
}
Status RefreshFailedStatus(std::string_view key, Timestamp ts, std::optional<LockConflict> intent) {
  return WithPayload<RefreshFailedError>(Code::kAborted, kSerializationFailure, std::string(key), ts,
                                         std::move(intent));
}
Status ConditionFailedStatus(std::optional<std::string> actual) {
  return WithPayload<ConditionFailedError>(Code::kFailedPrecondition, "23505", std::move(actual));
}

}  // namespace orrery::storage
