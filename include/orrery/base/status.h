// Status: how every fallible function below and above reports failure. No exceptions cross our borders.
//
// A Status is OK (a null pointer: free to return and test) or carries a Code (what kind of failure, for
// machines inside the server), a SQLSTATE (for PostgreSQL clients), a message, PostgreSQL's optional error
// fields, and an optional typed payload for the errors that drive control flow (kv/api/errors.h).
// Thread safety: a const Status may be read by many threads; copies share one immutable representation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace orrery {

// Kinds of failure. The names follow the canonical gRPC codes, so a transport maps them one to one.
enum class Code : uint8_t {
  kOk = 0,
  kCancelled,          // the caller's Context was cancelled
  kInvalidArgument,    // the request itself is wrong, whatever the state of the system
  kDeadlineExceeded,   // the Context's deadline passed before the effect was known
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kResourceExhausted,  // a named limit (memory, queue, disk) was reached
  kFailedPrecondition, // the system is not in the state the request needs
  kAborted,            // lost to a concurrent transaction or request; a retry may succeed
  kOutOfRange,
  kUnimplemented,
  kInternal,           // a bug of ours, reported instead of crashing where input could reach it
  kUnavailable,        // the peer or quorum cannot be reached now; retry elsewhere or later
  kDataLoss,           // bytes from disk or peer that fail their checks
  kAmbiguous,          // the effect may or may not have happened (SQLSTATE 40003)
};

std::string_view CodeName(Code code);

// Typed error detail: subclass per error that callers branch on. Immutable once attached.
class ErrorPayload {
 public:
  virtual ~ErrorPayload() = default;
  virtual std::string DebugString() const = 0;
};

// PostgreSQL's optional ErrorResponse fields (protocol documentation, "Error and Notice Message Fields").
struct ErrorFields {
  std::string detail;
  std::string hint;
  std::string where;
  std::string schema;
  std::string table;
  std::string column;
  std::string data_type;
  std::string constraint;
  int position = 0;  // 1-based character offset into the statement text; 0 = unknown
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string_view message);
  // `sqlstate` must have five characters.
  Status(Code code, std::string_view sqlstate, std::string_view message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  // Five characters; derived from the code when none was given ("00000" for OK).
  std::string_view sqlstate() const;
  std::string_view message() const { return rep_ ? std::string_view(rep_->message) : ""; }
  // Never null: an empty ErrorFields when none was set.
  const ErrorFields& fields() const;
  // The payload if there is one of type T, else null. Lives as long as any copy of this Status.
  template <class T>
  const T* payload() const {
    return rep_ ? dynamic_cast<const T*>(rep_->payload.get()) : nullptr;
  }
  bool has_payload() const { return rep_ && rep_->payload; }

  // Copies with one thing changed. No-ops on OK.
  Status WithPayload(std::shared_ptr<const ErrorPayload> payload) const;
  Status WithFields(ErrorFields fields) const;
  Status WithDetail(std::string_view detail) const;
  Status WithHint(std::string_view hint) const;
  Status WithPosition(int position) const;  // keeps a position that is already set
  Status WithSqlState(std::string_view sqlstate) const;
  // Prefixes the message: "reading descriptor of table 52: <old message>".
  Status Annotate(std::string_view prefix) const;

  std::string ToString() const;

 private:
  struct Rep {
    Code code = Code::kInternal;
    std::string sqlstate;  // empty: derived from code
    std::string message;
    ErrorFields fields;
    std::shared_ptr<const ErrorPayload> payload;
  };
  template <class F>
  Status Changed(F&& change) const;

  std::shared_ptr<const Rep> rep_;
};

inline Status OkStatus() { return {}; }
inline Status CancelledError(std::string_view m) { return {Code::kCancelled, m}; }
inline Status InvalidArgumentError(std::string_view m) { return {Code::kInvalidArgument, m}; }
inline Status DeadlineExceededError(std::string_view m) { return {Code::kDeadlineExceeded, m}; }
inline Status NotFoundError(std::string_view m) { return {Code::kNotFound, m}; }
inline Status AlreadyExistsError(std::string_view m) { return {Code::kAlreadyExists, m}; }
inline Status ResourceExhaustedError(std::string_view m) { return {Code::kResourceExhausted, m}; }
inline Status FailedPreconditionError(std::string_view m) { return {Code::kFailedPrecondition, m}; }
inline Status AbortedError(std::string_view m) { return {Code::kAborted, m}; }
inline Status OutOfRangeError(std::string_view m) { return {Code::kOutOfRange, m}; }
inline Status InternalError(std::string_view m) { return {Code::kInternal, m}; }
inline Status UnavailableError(std::string_view m) { return {Code::kUnavailable, m}; }
inline Status DataLossError(std::string_view m) { return {Code::kDataLoss, m}; }
inline Status AmbiguousError(std::string_view m) { return {Code::kAmbiguous, m}; }
// "<construct> is not supported": SQLSTATE 0A000, always with the construct's name.
Status UnsupportedError(std::string_view construct);

}  // namespace orrery

#define RETURN_IF_ERROR(expr)                                  \
  do {                                                         \
    if (::orrery::Status status_macro_ = (expr); !status_macro_.ok()) return status_macro_; \
  } while (0)
