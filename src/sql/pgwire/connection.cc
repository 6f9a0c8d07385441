#include "orrery/sql/pgwire/connection.h"

#include "sql/pgwire/codec.h"
#include "sql/pgwire/message_sink.h"

namespace orrery::sql::pgwire {
namespace {

enum class Phase : uint8_t {
  kStartup,       // before the start-up packet: SSLRequest, GSSENCRequest, CancelRequest may come first
  kReady,         // messages are executed
  kSkipToSync,    // extended protocol after an error
  kCopyInSimple,  // COPY FROM STDIN within Query
  kCopyInExtended,
  kFinished,
};

constexpr size_t kKeptBytes = 16 << 10;  // of a buffer, while the client is silent
constexpr size_t kCopyBytes = 64 << 10;  // of CopyData messages, most of which are one line, for the session at once

Status ProtocolViolation(std::string_view message) { return {Code::kInvalidArgument, "08P01", message}; }

}  // namespace

class Connection::Impl {
 public:
  Impl(SessionFactory& sessions, ConnectionLimits limits, std::string peer)
      : sessions_(sessions), peer_(std::move(peer)), reader_(limits), sink_(output_, limits.output_bytes_max) {}

  Status Consume(const runtime::Context& context, std::string_view bytes, Flusher& flusher) {
    sink_.Attach(context, flusher);
    reader_.Append(bytes);
    while (phase_ == Phase::kStartup) {
      auto packet = reader_.NextStartup();
      if (!packet.ok()) {
        Fatal(packet.status());
        return OkStatus();
      }
      if (!*packet) return OkStatus();
      HandleStartup(context, **packet);
    }
    while (phase_ != Phase::kFinished) {
      auto message = reader_.Next();
      if (!message.ok()) {
        Fatal(message.status());
        break;
      }
      if (!*message) break;
      HandleMessage(context, **message);
      RETURN_IF_ERROR(sink_.flush_status());
    }
    return OkStatus();
  }

  std::string_view output() const { return output_; }
  void ClearOutput() {
    sink_.OnOutputTaken(output_.size());
    output_.clear();
  }
  void Shrink() {
    if (output_.capacity() > kKeptBytes) output_ = std::string();
    reader_.Shrink(kKeptBytes);
  }
  bool finished() const { return phase_ == Phase::kFinished; }

  Duration IdleTimeout() const {
    return session_ && phase_ == Phase::kReady ? session_->IdleTimeout() : Duration::zero();
  }
  void Fatal(const Status& status) {
    AppendError(output_, Severity::kFatal, status);
    phase_ = Phase::kFinished;
  }
  const ClientSession* session() const { return session_.get(); }

 private:
  void HandleStartup(const runtime::Context& context, std::string_view body);
  void OpenSession(const runtime::Context& context, StartupPacket packet);
  void HandleMessage(const runtime::Context& context, const MessageReader::Message& message);
  void HandleCopyMessage(const runtime::Context& context, const MessageReader::Message& message);
  Status PassCopyData(const runtime::Context& context);
  void HandleQuery(const runtime::Context& context, std::string_view body);
  Status HandleExtended(const runtime::Context& context, char type, std::string_view body);
  Status HandleParse(const runtime::Context& context, std::string_view body);
  Status HandleBind(const runtime::Context& context, std::string_view body);
  Status HandleDescribe(const runtime::Context& context, std::string_view body);
  void AppendColumns(const StatementDescription& description, const FormatCodes& formats);
  Status HandleExecute(const runtime::Context& context, std::string_view body);
  Status HandleClose(std::string_view body);
  void HandleSync(const runtime::Context& context);
  void RefuseTooLong(const runtime::Context& context, const MessageReader::Message& message);
  void FinishSimple(StatusOr<Progress> progress);
  void ReportError(const Status& status);
  void ReadyForQuery();

  SessionFactory& sessions_;
  const std::string peer_;
  MessageReader reader_;
  std::string output_;
  MessageSink sink_;
  std::unique_ptr<ClientSession> session_;
  Phase phase_ = Phase::kStartup;
  std::string copy_data_;  // not yet given to the session
  BindMessage bind_;  // kept for its vectors' memory
};

void Connection::Impl::HandleStartup(const runtime::Context& context, std::string_view body) {
  FieldReader in(body);
  uint32_t code = uint32_t(in.Int32());
  if (code == kSslRequestCode || code == kGssEncRequestCode) {
    output_ += 'N';
    return;
  }
  if (code == kCancelRequestCode) {
    int32_t pid = in.Int32();
    int32_t secret = in.Int32();
    if (in.ok()) sessions_.Cancel(context, pid, secret);
    phase_ = Phase::kFinished;  // no answer, by the protocol
    return;
  }
  auto packet = DecodeStartup(body);
  if (packet.ok() && packet->protocol >> 16 != 3) {
    packet = Status(Code::kUnimplemented, "0A000",
                    "unsupported frontend protocol " + std::to_string(packet->protocol >> 16) + "." +
                        std::to_string(packet->protocol & 0xffff) + ": server supports 3.0 to 3.0");
  }
  if (!packet.ok()) return Fatal(packet.status());
  OpenSession(context, std::move(*packet));
}

void Connection::Impl::OpenSession(const runtime::Context& context, StartupPacket packet) {
  SessionStart start;
  start.peer = peer_;
  std::vector<std::string> unknown_options;
  for (auto& [name, value] : packet.parameters) {
    if (name == "user") {
      start.user = value;
    } else if (name == "database") {
      start.database = value;
    } else if (name == "options") {
      auto settings = DecodeOptions(value);
      if (!settings.ok()) return Fatal(settings.status());
      for (auto& setting : *settings) start.parameters.push_back(std::move(setting));
    } else if (name == "replication") {
      if (value != "false" && value != "off" && value != "0" && value != "no") {
        return Fatal(UnsupportedError("replication connection"));
      }
    } else if (name.starts_with("_pq_.")) {
      unknown_options.push_back(name);
    } else {
      start.parameters.emplace_back(std::move(name), std::move(value));
    }
  }
  if (start.user.empty()) {
    return Fatal({Code::kInvalidArgument, "28000", "no PostgreSQL user name specified in startup packet"});
  }
  if (start.database.empty()) start.database = start.user;
  if ((packet.protocol & 0xffff) != 0 || !unknown_options.empty()) {
    size_t m = BeginMessage(output_, 'v');  // NegotiateProtocolVersion
    AppendInt32(output_, int32_t(kProtocolVersion3));
    AppendInt32(output_, int32_t(unknown_options.size()));
    for (const std::string& option : unknown_options) AppendString(output_, option);
    EndMessage(output_, m);
  }
  auto session = sessions_.Open(context, start);
  if (!session.ok()) return Fatal(session.status());
  session_ = std::move(*session);
  size_t ok = BeginMessage(output_, 'R');  // AuthenticationOk
  AppendInt32(output_, 0);
  EndMessage(output_, ok);
  for (const auto& [name, value] : session_->TakeReportedParameters()) AppendParameterStatus(output_, name, value);
  size_t key = BeginMessage(output_, 'K');
  AppendInt32(output_, session_->backend_pid());
  AppendInt32(output_, session_->cancel_secret());
  EndMessage(output_, key);
  phase_ = Phase::kReady;
  ReadyForQuery();
}

void Connection::Impl::HandleMessage(const runtime::Context& context, const MessageReader::Message& message) {
  if (message.type == 'X') {
    phase_ = Phase::kFinished;
    return;
  }
  if (phase_ == Phase::kCopyInSimple || phase_ == Phase::kCopyInExtended) {
    return HandleCopyMessage(context, message);
  }
  if (phase_ == Phase::kSkipToSync && message.type != 'S') return;
  if (message.too_long) return RefuseTooLong(context, message);
  switch (message.type) {
    case 'Q':
      return HandleQuery(context, message.body);
    case 'S':
      return HandleSync(context);
    case 'd':
    case 'c':
    case 'f':
      return;  // what a client still sends after a failed COPY: ignored, as PostgreSQL does
    case 'F':
      session_->FailTransaction(context);
      ReportError(UnsupportedError("function call protocol message"));
      return ReadyForQuery();
    case 'p':
      return Fatal(ProtocolViolation("unexpected password message"));
    default: {
      Status status = HandleExtended(context, message.type, message.body);
      if (!status.ok()) {
        ReportError(status);
        phase_ = Phase::kSkipToSync;
      }
    }
  }
}

void Connection::Impl::RefuseTooLong(const runtime::Context& context, const MessageReader::Message& message) {
  session_->FailTransaction(context);
  ReportError(Status(Code::kResourceExhausted, "54000",
                     "message of " + std::to_string(message.skipped_bytes) + " bytes exceeds the server's limit")
                  .WithHint("Send large data with COPY, or in several statements."));
  if (message.type == 'Q' || message.type == 'F') return ReadyForQuery();
  phase_ = Phase::kSkipToSync;
}

void Connection::Impl::ReportError(const Status& status) { AppendError(output_, Severity::kError, status); }

void Connection::Impl::ReadyForQuery() {
  for (const auto& [name, value] : session_->TakeReportedParameters()) AppendParameterStatus(output_, name, value);
  AppendReadyForQuery(output_, session_->transaction_status());
}

void Connection::Impl::FinishSimple(StatusOr<Progress> progress) {
  if (progress.ok() && *progress == Progress::kCopyIn) {
    phase_ = Phase::kCopyInSimple;
    return;
  }
  if (!progress.ok()) ReportError(progress.status());
  phase_ = Phase::kReady;
  ReadyForQuery();
}

void Connection::Impl::HandleQuery(const runtime::Context& context, std::string_view body) {
  FieldReader in(body);
  std::string_view text = in.String();
  if (!in.AtEnd()) {
    session_->FailTransaction(context);
    return FinishSimple(ProtocolViolation("invalid message format"));
  }
  FinishSimple(session_->Query(context, text, sink_));
}

void Connection::Impl::HandleSync(const runtime::Context& context) {
  Status status = session_->Sync(context);
  if (!status.ok()) ReportError(status);
  phase_ = Phase::kReady;
  ReadyForQuery();
}

Status Connection::Impl::PassCopyData(const runtime::Context& context) {
  const Status status = copy_data_.empty() ? OkStatus() : session_->CopyData(context, copy_data_);
  copy_data_.clear();
  return status;
}

void Connection::Impl::HandleCopyMessage(const runtime::Context& context, const MessageReader::Message& message) {
  const bool simple = phase_ == Phase::kCopyInSimple;
  Status error;
  switch (message.type) {
    case 'd':
      if (message.too_long) {
        copy_data_.clear();
        error = session_->CopyFail(context, "CopyData message exceeds the server's limit")
                    .WithSqlState("54000");
      } else {
        copy_data_.append(message.body);
        if (copy_data_.size() >= kCopyBytes) error = PassCopyData(context);
      }
      if (error.ok()) return;
      break;
    case 'c': {
      error = PassCopyData(context);
      if (!error.ok()) break;
      copy_data_ = std::string();
      auto progress = session_->CopyDone(context, sink_);
      if (simple) return FinishSimple(std::move(progress));
      if (progress.ok()) {
        phase_ = Phase::kReady;
        return;
      }
      error = progress.status();
      break;
    }
    case 'f': {
      copy_data_.clear();
      FieldReader in(message.body);
      error = session_->CopyFail(context, in.String());
      break;
    }
    case 'H':
    case 'S':
      return;  // allowed while copying and without meaning there (PostgreSQL: CopyGetData)
    default:
      copy_data_.clear();
      (void)session_->CopyFail(context, "");
      error = ProtocolViolation("unexpected message type 0x" + std::string(1, "0123456789ABCDEF"[uint8_t(message.type) >> 4]) +
                                std::string(1, "0123456789ABCDEF"[uint8_t(message.type) & 15]) +
                                " during COPY from stdin");
  }
  if (simple) return FinishSimple(std::move(error));
  ReportError(error);
  phase_ = Phase::kSkipToSync;
}

Status Connection::Impl::HandleExtended(const runtime::Context& context, char type, std::string_view body) {
  switch (type) {
    case 'P': return HandleParse(context, body);
    case 'B': return HandleBind(context, body);
    case 'D': return HandleDescribe(context, body);
    case 'E': return HandleExecute(context, body);
    case 'C': return HandleClose(body);
    case 'H': return OkStatus();  // Flush: everything is sent when the input is used up
    default: return ProtocolViolation("unexpected message type");
  }
}

Status Connection::Impl::HandleParse(const runtime::Context& context, std::string_view body) {
  auto message = DecodeParse(body);
  if (!message.ok()) {
    session_->FailTransaction(context);
    return message.status();
  }
  RETURN_IF_ERROR(session_->Parse(context, message->name, message->text, message->parameter_types, sink_));
  AppendEmptyMessage(output_, '1');
  return OkStatus();
}

Status Connection::Impl::HandleBind(const runtime::Context& context, std::string_view body) {
  Status status = DecodeBind(body, bind_);
  if (!status.ok()) {
    session_->FailTransaction(context);
    return status;
  }
  RETURN_IF_ERROR(session_->Bind(context, bind_.portal, bind_.statement, bind_.parameters,
                                 bind_.result_formats, sink_));
  AppendEmptyMessage(output_, '2');
  return OkStatus();
}

Status Connection::Impl::HandleDescribe(const runtime::Context& context, std::string_view body) {
  auto message = DecodeTarget(body);
  if (message.ok() && message->kind != 'S' && message->kind != 'P') {
    message = ProtocolViolation("invalid DESCRIBE message subtype " + std::to_string(uint8_t(message->kind)));
  }
  if (!message.ok()) {
    session_->FailTransaction(context);
    return message.status();
  }
  FormatCodes formats;
  if (message->kind == 'S') {
    ASSIGN_OR_RETURN(const StatementDescription statement, session_->DescribeStatement(context, message->name));
    AppendParameterDescription(output_, statement.parameters);
    AppendColumns(statement, formats);
  } else {
    ASSIGN_OR_RETURN(const StatementDescription portal, session_->DescribePortal(context, message->name, formats));
    AppendColumns(portal, formats);
  }
  return OkStatus();
}

void Connection::Impl::AppendColumns(const StatementDescription& description, const FormatCodes& formats) {
  if (description.returns_rows) {
    AppendRowDescription(output_, description.columns, formats);
  } else {
    AppendEmptyMessage(output_, 'n');
  }
}

Status Connection::Impl::HandleExecute(const runtime::Context& context, std::string_view body) {
  auto message = DecodeExecute(body);
  if (!message.ok()) {
    session_->FailTransaction(context);
    return message.status();
  }
  AfterExecute after = reader_.PeekType() == 'S' ? AfterExecute::kSync : AfterExecute::kUnknown;
  uint64_t row_limit = message->row_limit > 0 ? uint64_t(message->row_limit) : 0;
  auto progress = session_->Execute(context, message->portal, row_limit, after, sink_);
  if (!progress.ok()) return progress.status();
  if (*progress == Progress::kSuspended) AppendEmptyMessage(output_, 's');
  if (*progress == Progress::kCopyIn) phase_ = Phase::kCopyInExtended;
  return OkStatus();
}

Status Connection::Impl::HandleClose(std::string_view body) {
  auto message = DecodeTarget(body);
  if (!message.ok()) return message.status();
  if (message->kind == 'S') {
    RETURN_IF_ERROR(session_->CloseStatement(message->name));
  } else if (message->kind == 'P') {
    RETURN_IF_ERROR(session_->ClosePortal(message->name));
  } else {
    return ProtocolViolation("invalid CLOSE message subtype " + std::to_string(uint8_t(message->kind)));
  }
  AppendEmptyMessage(output_, '3');
  return OkStatus();
}

Connection::Connection(SessionFactory& sessions, ConnectionLimits limits, std::string peer)
    : impl_(std::make_unique<Impl>(sessions, limits, std::move(peer))) {}
Connection::~Connection() = default;

Status Connection::Consume(const runtime::Context& context, std::string_view bytes, Flusher& flusher) {
  return impl_->Consume(context, bytes, flusher);
}
std::string_view Connection::output() const { return impl_->output(); }
void Connection::ClearOutput() { impl_->ClearOutput(); }
void Connection::Shrink() { impl_->Shrink(); }
bool Connection::finished() const { return impl_->finished(); }
Duration Connection::IdleTimeout() const { return impl_->IdleTimeout(); }
void Connection::OnIdleTimeout() {
  if (impl_->session()) impl_->Fatal(impl_->session()->IdleTimeoutError());
}
void Connection::Shutdown(const Status& error) { impl_->Fatal(error); }

}  // namespace orrery::sql::pgwire
