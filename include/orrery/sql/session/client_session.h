// ClientSession: what the wire protocol asks of a session, and ResultSink: what a session answers through.
// One client's requests come one at a time; a method returns when its effect is done or it needs more bytes.
//
// Errors: a method that returns an error has already done what the error means for the transaction (block
// failed, implicit transaction rolled back); the caller reports it. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "orrery/base/status_or.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/exec/result.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

// ReadyForQuery's indicator.
enum class TransactionStatus : char { kIdle = 'I', kInBlock = 'T', kFailed = 'E' };

enum class Severity : uint8_t { kDebug, kLog, kInfo, kNotice, kWarning, kError, kFatal };

// A message beside the results. `status` carries SQLSTATE, text and fields; its code says nothing.
struct ClientNotice {
  Severity severity = Severity::kNotice;
  Status status;
};

// Format codes as Bind has them: none (all text), one (for all columns), or one a column.
using FormatCodes = absl::InlinedVector<int16_t, 8>;
inline int16_t FormatOf(const FormatCodes& codes, size_t column) {
  return codes.empty() ? int16_t{0} : codes.size() == 1 ? codes[0] : codes[column];
}

// Implemented by the protocol: turns a session's answers into messages.
class ResultSink : public RowSink {
 public:
  // RowDescription.
  virtual void Describe(std::span<const ResultColumn> columns, const FormatCodes& formats) = 0;
  // How the rows to come are encoded. The arguments live until the statement ends.
  virtual void StartRows(std::span<const ResultColumn> columns, const FormatCodes& formats,
                         const FormatContext& format) = 0;
  virtual void CommandComplete(std::string_view tag) = 0;
  virtual void EmptyQuery() = 0;
  virtual void SendNotice(const ClientNotice& notice) = 0;
  virtual void StartCopyIn(size_t column_count) = 0;
  virtual void StartCopyOut(size_t column_count) = 0;
  virtual void FinishCopyOut() = 0;
  // B40: all that was answered after a mark can be taken back as long as none of it has left the server.
  virtual uint64_t Mark() const = 0;
  // False, and nothing changes, if some of it has left.
  virtual bool Rewind(uint64_t mark) = 0;
};

// Parameters of a portal as they stand in a Bind message.
struct BindParameters {
  FormatCodes formats;
  std::vector<std::optional<std::string_view>> values;
};

// What Execute's caller can see in its input buffer: when nothing else can come before the Sync, the
// implicit transaction may commit with the statement.
enum class AfterExecute : uint8_t { kUnknown, kSync };

enum class Progress : uint8_t {
  kDone,       // all of it is answered
  kSuspended,  // Execute: the row limit was reached; the portal can go on
  kCopyIn,     // the statement wants the client's data: CopyData…, then CopyDone or CopyFail
};

struct StatementDescription {
  std::vector<Oid> parameters;
  std::span<const ResultColumn> columns;  // valid until the session is used again
  bool returns_rows = false;
};

class ClientSession {
 public:
  virtual ~ClientSession() = default;

  // Simple protocol: all statements of `text`. After kCopyIn the rest follows within CopyDone.
  virtual StatusOr<Progress> Query(const runtime::Context& context, std::string_view text, ResultSink& sink) = 0;

  // Extended protocol. Empty names are the unnamed statement and portal.
  virtual Status Parse(const runtime::Context& context, std::string_view name, std::string_view text,
                       std::span<const Oid> parameter_types, ResultSink& sink) = 0;
  virtual Status Bind(const runtime::Context& context, std::string_view portal, std::string_view statement,
                      const BindParameters& parameters, FormatCodes result_formats, ResultSink& sink) = 0;
  virtual StatusOr<StatementDescription> DescribeStatement(const runtime::Context& context,
                                                           std::string_view name) = 0;
  // Answers with RowDescription or NoData's absence: `returns_rows` and the formats of the portal.
  virtual StatusOr<StatementDescription> DescribePortal(const runtime::Context& context, std::string_view name,
                                                        FormatCodes& formats) = 0;
  virtual StatusOr<Progress> Execute(const runtime::Context& context, std::string_view portal, uint64_t row_limit,
                                     AfterExecute after, ResultSink& sink) = 0;
  virtual Status CloseStatement(std::string_view name) = 0;
  virtual Status ClosePortal(std::string_view name) = 0;
  // Ends the implicit transaction of a pipeline.
  virtual Status Sync(const runtime::Context& context) = 0;

  // COPY FROM STDIN, after kCopyIn. An error ends the copy.
  virtual Status CopyData(const runtime::Context& context, std::string_view bytes) = 0;
  virtual StatusOr<Progress> CopyDone(const runtime::Context& context, ResultSink& sink) = 0;
  virtual Status CopyFail(const runtime::Context& context, std::string_view reason) = 0;

  // A request that never reached a method above was refused (malformed message): fails the block.
  virtual void FailTransaction(const runtime::Context& context) = 0;
  virtual TransactionStatus transaction_status() const = 0;
  // Parameters to report whose value changed since the last call (all of them, the first time).
  virtual std::vector<std::pair<std::string, std::string>> TakeReportedParameters() = 0;
  // How long the client may be silent now, and the error that ends it then (25P03). Zero: for ever.
  virtual Duration IdleTimeout() const = 0;
  virtual Status IdleTimeoutError() const = 0;
  // BackendKeyData.
  virtual int32_t backend_pid() const = 0;
  virtual int32_t cancel_secret() const = 0;
};

// The start-up packet.
struct SessionStart {
  std::string user;
  std::string database;  // defaults to the user's name
  std::vector<std::pair<std::string, std::string>> parameters;  // all others, "options" already taken apart
  std::string peer;
};

// Opens sessions. Thread-safe.
class SessionFactory {
 public:
  virtual ~SessionFactory() = default;
  // 3D000, 28000, 53300, 57P03, or an invalid parameter: the client gets it as FATAL.
  virtual StatusOr<std::unique_ptr<ClientSession>> Open(const runtime::Context& context,
                                                        const SessionStart& start) = 0;
  // CancelRequest: by pid and secret, on this node or another. Never says whether it found anything.
  virtual void Cancel(const runtime::Context& context, int32_t pid, int32_t secret) = 0;
};

}  // namespace orrery::sql
