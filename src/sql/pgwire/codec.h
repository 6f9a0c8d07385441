// The protocol's messages: taken off a byte buffer, and appended to one. Pure functions and one buffer
// class; malformed bytes are errors with SQLSTATE 08P01, never more. Formats: docs/formats/pgwire.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/pgwire/connection.h"
#include "orrery/sql/session/client_session.h"

namespace orrery::sql::pgwire {

inline constexpr uint32_t kProtocolVersion3 = 3u << 16;
inline constexpr uint32_t kCancelRequestCode = 80877102;
inline constexpr uint32_t kSslRequestCode = 80877103;
inline constexpr uint32_t kGssEncRequestCode = 80877104;

// Splits the client's bytes into messages. Keeps at most one limit's worth of bytes beyond what one read
// brought: a message over its limit is skipped as it arrives.
class MessageReader {
 public:
  explicit MessageReader(ConnectionLimits limits) : limits_(limits) {}

  void Append(std::string_view bytes);
  // The bytes after the length word of a start-up packet, valid until the next Append. Empty: wait for
  // more. 08P01: close.
  StatusOr<std::optional<std::string_view>> NextStartup();

  struct Message {
    char type = 0;
    std::string_view body;  // valid until the next Append
    bool too_long = false;  // skipped: body is empty, skipped_bytes says how long it was
    uint64_t skipped_bytes = 0;
  };
  // The next complete message. Error 08P01 (FATAL for the client): the stream cannot be understood any more.
  StatusOr<std::optional<Message>> Next();
  // Type of the message after the current one if its header has arrived whole, else 0.
  char PeekType() const;
  size_t buffered_bytes() const { return buffer_.size() - position_; }
  // Gives a used-up buffer back if it is larger than that.
  void Shrink(size_t kept_bytes) {
    if (buffered_bytes() > 0 || buffer_.capacity() <= kept_bytes) return;
    buffer_ = std::string();
    position_ = 0;
  }

 private:
  size_t LimitOf(char type) const;  // 0: no such message

  ConnectionLimits limits_;
  std::string buffer_;
  size_t position_ = 0;
  // While a message over its limit is skipped:
  uint64_t skip_left_ = 0;
  Message skipping_;
};

// Takes fields off a message body. After a failed read everything reads as zero and ok() is false.
class FieldReader {
 public:
  explicit FieldReader(std::string_view body) : rest_(body) {}
  uint8_t Byte();
  int16_t Int16();
  int32_t Int32();
  std::string_view String();             // up to its zero byte
  std::string_view Bytes(size_t count);
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }
  size_t rest_bytes() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct StartupPacket {
  uint32_t protocol = 0;
  std::vector<std::pair<std::string, std::string>> parameters;
};
StatusOr<StartupPacket> DecodeStartup(std::string_view body);
// "-c a=b --c-d=e": PostgreSQL's `options` parameter; backslash escapes a blank. 42601/22023 if malformed.
StatusOr<std::vector<std::pair<std::string, std::string>>> DecodeOptions(std::string_view options);

struct ParseMessage {
  std::string_view name;
  std::string_view text;
  std::vector<Oid> parameter_types;
};
StatusOr<ParseMessage> DecodeParse(std::string_view body);
struct BindMessage {
  std::string_view portal;
  std::string_view statement;
  BindParameters parameters;
  FormatCodes result_formats;
};
Status DecodeBind(std::string_view body, BindMessage& out);
struct ExecuteMessage {
  std::string_view portal;
  int32_t row_limit = 0;
};
StatusOr<ExecuteMessage> DecodeExecute(std::string_view body);
struct TargetMessage {  // Describe and Close
  char kind = 0;        // 'S' or 'P'
  std::string_view name;
};
StatusOr<TargetMessage> DecodeTarget(std::string_view body);

// Appending. A message is begun, filled and ended: the length word is written by EndMessage.
size_t BeginMessage(std::string& out, char type);
void EndMessage(std::string& out, size_t begin);
void AppendInt16(std::string& out, int16_t value);
void AppendInt32(std::string& out, int32_t value);
void AppendString(std::string& out, std::string_view value);  // with its zero byte

void AppendEmptyMessage(std::string& out, char type);
void AppendReadyForQuery(std::string& out, TransactionStatus status);
void AppendCommandComplete(std::string& out, std::string_view tag);
void AppendParameterStatus(std::string& out, std::string_view name, std::string_view value);
void AppendError(std::string& out, Severity severity, const Status& status);   // ErrorResponse
void AppendNotice(std::string& out, const ClientNotice& notice);                     // NoticeResponse
void AppendRowDescription(std::string& out, std::span<const ResultColumn> columns, const FormatCodes& formats);
void AppendParameterDescription(std::string& out, std::span<const Oid> types);

}  // namespace orrery::sql::pgwire
