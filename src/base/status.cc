#include "orrery/base/status.h"

#include "orrery/base/assert.h"

namespace orrery {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "OK";
    case Code::kCancelled: return "Cancelled";
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kDeadlineExceeded: return "DeadlineExceeded";
    case Code::kNotFound: return "NotFound";
    case Code::kAlreadyExists: return "AlreadyExists";
    case Code::kPermissionDenied: return "PermissionDenied";
    case Code::kResourceExhausted: return "ResourceExhausted";
    case Code::kFailedPrecondition: return "FailedPrecondition";
    case Code::kAborted: return "Aborted";
    case Code::kOutOfRange: return "OutOfRange";
    case Code::kUnimplemented: return "Unimplemented";
    case Code::kInternal: return "Internal";
    case Code::kUnavailable: return "Unavailable";
    case Code::kDataLoss: return "DataLoss";
    case Code::kAmbiguous: return "Ambiguous";
  }
  return "Unknown";
}

namespace {
// PostgreSQL's closest class for each code (Appendix A of its documentation).
std::string_view DefaultSqlState(Code code) {
  switch (code) {
    case Code::kOk: return "00000";
    case Code::kCancelled: return "57014";
    case Code::kInvalidArgument: return "22023";
    case Code::kDeadlineExceeded: return "57014";
    case Code::kNotFound: return "42704";
    case Code::kAlreadyExists: return "42710";
    case Code::kPermissionDenied: return "42501";
    case Code::kResourceExhausted: return "53000";
    case Code::kFailedPrecondition: return "55000";
    case Code::kAborted: return "40001";
    case Code::kOutOfRange: return "22003";
    case Code::kUnimplemented: return "0A000";
    case Code::kInternal: return "XX000";
    case Code::kUnavailable: return "08006";
    case Code::kDataLoss: return "XX001";
    case Code::kAmbiguous: return "40003";
  }
  return "XX000";
}
}  // namespace

Status::Status(Code code, std::string_view message) : Status(code, "", message) {}

Status::Status(Code code, std::string_view sqlstate, std::string_view message) {
  ORRERY_ASSERT(sqlstate.empty() || sqlstate.size() == 5, "Status: a SQLSTATE has five characters");
  if (code == Code::kOk) return;
  auto rep = std::make_shared<Rep>();
  rep->code = code;
  rep->sqlstate = sqlstate;
  rep->message = message;
  rep_ = std::move(rep);
}

std::string_view Status::sqlstate() const {
  if (rep_ && !rep_->sqlstate.empty()) return rep_->sqlstate;
  return DefaultSqlState(code());
}

const ErrorFields& Status::fields() const {
  static const ErrorFields kNone;
  return rep_ ? rep_->fields : kNone;
}

template <class F>
Status Status::Changed(F&& change) const {
  if (ok()) return *this;
  auto rep = std::make_shared<Rep>(*rep_);
  change(*rep);
  Status result;
  result.rep_ = std::move(rep);
  return result;
}

Status Status::WithPayload(std::shared_ptr<const ErrorPayload> payload) const {
  return Changed([&](Rep& r) { r.payload = std::move(payload); });
}
Status Status::WithFields(ErrorFields fields) const {
  return Changed([&](Rep& r) { r.fields = std::move(fields); });
}
Status Status::WithDetail(std::string_view detail) const {
  return Changed([&](Rep& r) { r.fields.detail = detail; });
}
Status Status::WithHint(std::string_view hint) const {
  return Changed([&](Rep& r) { r.fields.hint = hint; });
}
Status Status::WithPosition(int position) const {
  if (ok() || rep_->fields.position != 0 || position == 0) return *this;
  return Changed([&](Rep& r) { r.fields.position = position; });
}
Status Status::WithSqlState(std::string_view sqlstate) const {
  ORRERY_ASSERT(sqlstate.size() == 5, "Status: a SQLSTATE has five characters");
  return Changed([&](Rep& r) { r.sqlstate = sqlstate; });
}
Status Status::Annotate(std::string_view prefix) const {
  return Changed([&](Rep& r) { r.message = std::string(prefix) + ": " + r.message; });
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  std::string out(CodeName(rep_->code));
  out += " [";
  out += sqlstate();
  out += "]: ";
  out += rep_->message;
  if (rep_->payload) out += " {" + rep_->payload->DebugString() + "}";
  return out;
}

Status UnsupportedError(std::string_view construct) {
  return {Code::kUnimplemented, "0A000", std::string(construct) + " is not supported"};
}

}  // namespace orrery
