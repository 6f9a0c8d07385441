// MessageSink: a session's answers as messages in the connection's output buffer. It sends the buffer on
// when it is over its bound, and can take back what has not been sent (B40).
#pragma once

#include <string>

#include "orrery/sql/pgwire/connection.h"
#include "orrery/sql/session/client_session.h"

namespace orrery::sql::pgwire {

class MessageSink final : public ResultSink {
 public:
  MessageSink(std::string& out, size_t output_bytes_max) : out_(out), output_bytes_max_(output_bytes_max) {}

  // For the calls to come; both outlive them. `describe_rows`: the simple protocol's RowDescription is the
  // session's to ask for, so nothing else is needed here.
  void Attach(const runtime::Context& context, Flusher& flusher) {
    context_ = &context;
    flusher_ = &flusher;
  }
  // The caller has sent and cleared the buffer.
  void OnOutputTaken(size_t bytes) { sent_bytes_ += bytes; }

  Status Row(std::span<const Datum> values) override;
  Status CopyOut(std::string_view bytes) override;
  void Describe(std::span<const ResultColumn> columns, const FormatCodes& formats) override;
  void StartRows(std::span<const ResultColumn> columns, const FormatCodes& formats,
                 const FormatContext& format) override;
  void CommandComplete(std::string_view tag) override;
  void EmptyQuery() override;
  void SendNotice(const ClientNotice& notice) override;
  void StartCopyIn(size_t column_count) override;
  void StartCopyOut(size_t column_count) override;
  void FinishCopyOut() override;
  uint64_t Mark() const override { return sent_bytes_ + out_.size(); }
  bool Rewind(uint64_t mark) override;

  // The flusher's error, if it failed: the client has gone.
  const Status& flush_status() const { return flush_status_; }

 private:
  Status FlushIfFull();
  void AppendCopyResponse(char type, size_t column_count);

  std::string& out_;
  const size_t output_bytes_max_;
  const runtime::Context* context_ = nullptr;
  Flusher* flusher_ = nullptr;
  Status flush_status_;
  uint64_t sent_bytes_ = 0;

  std::span<const ResultColumn> columns_;
  const FormatCodes* formats_ = nullptr;
  const FormatContext* format_ = nullptr;
};

}  // namespace orrery::sql::pgwire
