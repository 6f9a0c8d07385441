#include "orrery/kv/api/errors.h"

#include "orrery/base/hash.h"

namespace orrery::kv {
namespace {

std::string_view ReasonText(RetryReason reason) {
  switch (reason) {
    case RetryReason::kUnknown: return "restart transaction";
    case RetryReason::kWriteTooOld: return "could not serialize access due to concurrent update";
    case RetryReason::kUncertainty: return "could not serialize access: a read met a value of uncertain order";
    case RetryReason::kSerializable:
      return "could not serialize access due to read/write dependencies among transactions";
    case RetryReason::kAbortedByPusher: return "transaction was aborted by a conflicting transaction";
    case RetryReason::kAbortedRecordGone: return "transaction was aborted: its record is gone";
    case RetryReason::kDeadlineExceeded: return "transaction ran past the end of its table definitions' leases";
    case RetryReason::kDeadlock: return "deadlock detected";
  }
  return "restart transaction";
}

struct Describe {
  Status operator()(const OtherError& e) const {
    const auto code = e.code == 0 || e.code > uint8_t(Code::kAmbiguous) ? Code::kInternal : Code(e.code);
    const Status s = e.sqlstate.size() == 5 ? Status(code, e.sqlstate, e.message) : Status(code, e.message);
    if (e.sqlstate != "53100") return s;
    return s.WithHint("Check free disk space. Reads and DROP TABLE go on, deletions as long as a little is left; writes do "
                      "by themselves once there is room.");
  }
  Status operator()(const NotLeaseholderError& e) const {
    return UnavailableError("this replica does not hold the lease of range " + ToString(e.range));
  }
  Status operator()(const RangeKeyMismatchError&) const {
    return UnavailableError("the request was routed by an outdated range descriptor");
  }
  Status operator()(const RangeNotFoundError& e) const {
    return UnavailableError("no replica of range " + ToString(e.range) + " on this node");
  }
  Status operator()(const LockConflictError& e) const {
    Status s(Code::kAborted, "55P03", "could not obtain lock on row");
    if (e.locks.empty()) return s;
    return s.WithDetail("Key " + Printable(e.locks.front().key) + " is locked by transaction " +
                        HexEncode(e.locks.front().txn.id) + ".");
  }
  Status operator()(const TxnRetryError& e) const {
    Status s(Code::kAborted, e.reason == RetryReason::kDeadlock ? "40P01" : "40001", ReasonText(e.reason));
    s = s.WithHint("The transaction might succeed if retried.");
    return e.detail.empty() ? s : s.WithDetail(e.detail);
  }
  Status operator()(const ConditionFailedError& e) const {
    return Status(Code::kAlreadyExists, "23505", "unexpected value at key " + Printable(e.key));
  }
};

}  // namespace

std::string KvErrorPayload::DebugString() const {
  return "kv error " + std::to_string(error_.detail.index());
}

Status ToStatus(const KvError& error) {
  return std::visit(Describe{}, error.detail).WithPayload(std::make_shared<KvErrorPayload>(error));
}

KvError FromStatus(const Status& status) {
  if (const auto* payload = status.payload<KvErrorPayload>()) return payload->error();
  KvError error;
  error.detail = OtherError{uint8_t(status.code()), std::string(status.sqlstate()), std::string(status.message())};
  return error;
}

}  // namespace orrery::kv
