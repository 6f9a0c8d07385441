#include "sql/pgwire/codec.h"

#include <cstring>

namespace orrery::sql::pgwire {
namespace {

constexpr size_t kHeaderBytes = 5;              // type and length word
constexpr uint32_t kLargeMessageMax = 0x3fffffff;  // PostgreSQL's PQ_LARGE_MESSAGE_LIMIT

Status ProtocolError(std::string_view message) { return {Code::kInvalidArgument, "08P01", message}; }

uint32_t LoadUint32(const char* p) {
  auto byte = [p](int i) { return uint32_t(uint8_t(p[i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}
void StoreUint32(char* p, uint32_t v) {
  p[0] = char(v >> 24);
  p[1] = char(v >> 16);
  p[2] = char(v >> 8);
  p[3] = char(v);
}

}  // namespace

void MessageReader::Append(std::string_view bytes) {
  if (skip_left_ > 0) {
    size_t skipped = size_t(std::min<uint64_t>(skip_left_, bytes.size()));
    skip_left_ -= skipped;
    bytes.remove_prefix(skipped);
  }
  if (position_ == buffer_.size()) {
    buffer_.clear();
    position_ = 0;
  } else if (position_ > 4096 && position_ > buffer_.size() / 2) {
    buffer_.erase(0, position_);
    position_ = 0;
  }
  buffer_.append(bytes);
}

StatusOr<std::optional<std::string_view>> MessageReader::NextStartup() {
  if (buffered_bytes() < 4) return std::optional<std::string_view>();
  uint32_t length = LoadUint32(buffer_.data() + position_);
  if (length < 8 || length > limits_.startup_bytes_max) {
    return ProtocolError("invalid length of startup packet");
  }
  if (buffered_bytes() < length) return std::optional<std::string_view>();
  std::string_view body(buffer_.data() + position_ + 4, length - 4);
  position_ += length;
  return std::optional<std::string_view>(body);
}

size_t MessageReader::LimitOf(char type) const {
  switch (type) {
    case 'Q': case 'P': case 'B': case 'F': case 'd':
      return kLargeMessageMax;
    case 'E': case 'D': case 'C': case 'S': case 'H': case 'X': case 'c': case 'f': case 'p':
      return limits_.small_message_bytes_max;
    default:
      return 0;
  }
}

StatusOr<std::optional<MessageReader::Message>> MessageReader::Next() {
  if (skipping_.too_long) {
    if (skip_left_ > 0) return std::optional<Message>();
    return std::optional<Message>(std::exchange(skipping_, Message()));
  }
  if (buffered_bytes() == 0) return std::optional<Message>();
  char type = buffer_[position_];
  const size_t hard_limit = LimitOf(type);
  if (hard_limit == 0) return ProtocolError("invalid frontend message type " + std::to_string(uint8_t(type)));
  if (buffered_bytes() < kHeaderBytes) return std::optional<Message>();
  uint32_t length = LoadUint32(buffer_.data() + position_ + 1);
  if (length < 4 || length > hard_limit) return ProtocolError("invalid message length");
  size_t whole = size_t{length} + 1;
  if (whole > limits_.message_bytes_max) {
    size_t here = std::min(buffered_bytes(), whole);
    position_ += here;
    skip_left_ = whole - here;
    skipping_ = {.type = type, .body = {}, .too_long = true, .skipped_bytes = length};
    return Next();
  }
  if (buffered_bytes() < whole) {
    if (buffer_.capacity() - position_ < whole) {
      // One growth for a long message instead of many.
      buffer_.erase(0, position_);
      position_ = 0;
      if (whole <= (size_t{1} << 20)) buffer_.reserve(whole);
    }
    return std::optional<Message>();
  }
  Message message{.type = type,
                  .body = std::string_view(buffer_).substr(position_ + kHeaderBytes, length - 4)};
  position_ += whole;
  return std::optional<Message>(message);
}

char MessageReader::PeekType() const { return buffered_bytes() >= kHeaderBytes ? buffer_[position_] : '\0'; }

uint8_t FieldReader::Byte() {
  std::string_view b = Bytes(1);
  return ok_ ? uint8_t(b[0]) : 0;
}
int16_t FieldReader::Int16() {
  std::string_view b = Bytes(2);
  return ok_ ? int16_t(uint16_t(uint8_t(b[0])) << 8 | uint8_t(b[1])) : int16_t{0};
}
int32_t FieldReader::Int32() {
  std::string_view b = Bytes(4);
  return ok_ ? int32_t(LoadUint32(b.data())) : 0;
}
std::string_view FieldReader::String() {
  size_t end = rest_.find('\0');
  if (!ok_ || end == std::string_view::npos) {
    ok_ = false;
    return {};
  }
  std::string_view value = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return value;
}
std::string_view FieldReader::Bytes(size_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    return {};
  }
  std::string_view value = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return value;
}

StatusOr<StartupPacket> DecodeStartup(std::string_view body) {
  FieldReader in(body);
  StartupPacket packet;
  packet.protocol = uint32_t(in.Int32());
  while (in.ok() && !in.AtEnd()) {
    std::string_view name = in.String();
    if (name.empty()) break;
    std::string_view value = in.String();
    packet.parameters.emplace_back(name, value);
  }
  if (!in.AtEnd()) return ProtocolError("invalid startup packet layout: expected terminator as last byte");
  return packet;
}

StatusOr<std::vector<std::pair<std::string, std::string>>> DecodeOptions(std::string_view options) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  for (size_t i = 0; i < options.size(); ++i) {
    char c = options[i];
    bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
    if (blank) {
      if (in_word) words.push_back(std::exchange(word, ""));
      in_word = false;
      continue;
    }
    if (c == '\\' && i + 1 < options.size()) c = options[++i];
    word += c;
    in_word = true;
  }
  if (in_word) words.push_back(word);

  std::vector<std::pair<std::string, std::string>> settings;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view assignment = words[i];
    if (assignment == "-c" && i + 1 < words.size()) {
      assignment = words[++i];
    } else if (assignment.starts_with("--") || assignment.starts_with("-c")) {
      assignment.remove_prefix(2);
    } else {
      return Status(Code::kInvalidArgument, "42601",
                    "invalid command-line argument for server process: " + std::string(assignment));
    }
    size_t equals = assignment.find('=');
    if (equals == std::string_view::npos) {
      return Status(Code::kInvalidArgument, "42601", "-c " + std::string(assignment) + " requires a value");
    }
    std::string name(assignment.substr(0, equals));
    for (char& c : name) c = c == '-' ? '_' : c;
    settings.emplace_back(std::move(name), assignment.substr(equals + 1));
  }
  return settings;
}

StatusOr<ParseMessage> DecodeParse(std::string_view body) {
  FieldReader in(body);
  ParseMessage m;
  m.name = in.String();
  m.text = in.String();
  int count = uint16_t(in.Int16());
  for (int i = 0; i < count && in.ok(); ++i) m.parameter_types.push_back(Oid(in.Int32()));
  if (!in.AtEnd()) return ProtocolError("invalid message format");
  return m;
}

Status DecodeBind(std::string_view body, BindMessage& m) {
  FieldReader in(body);
  m.portal = in.String();
  m.statement = in.String();
  size_t format_count = uint16_t(in.Int16());
  m.parameters.formats.clear();
  for (size_t i = 0; i < format_count && in.ok(); ++i) m.parameters.formats.push_back(in.Int16());
  size_t value_count = uint16_t(in.Int16());
  m.parameters.values.clear();
  for (size_t i = 0; i < value_count && in.ok(); ++i) {
    int32_t length = in.Int32();
    if (length == -1) {
      m.parameters.values.emplace_back();
    } else {
      if (length < -1) return ProtocolError("invalid message format");
      m.parameters.values.emplace_back(in.Bytes(size_t(length)));
    }
  }
  size_t result_count = uint16_t(in.Int16());
  m.result_formats.clear();
  for (size_t i = 0; i < result_count && in.ok(); ++i) m.result_formats.push_back(in.Int16());
  if (!in.AtEnd()) return ProtocolError("invalid message format");
  if (format_count > 1 && format_count != value_count) {
    return ProtocolError("bind message has " + std::to_string(format_count) + " parameter formats but " +
                         std::to_string(value_count) + " parameters");
  }
  auto valid = [](int16_t code) { return code == 0 || code == 1; };
  for (int16_t code : m.parameters.formats) {
    if (!valid(code)) {
      return Status(Code::kInvalidArgument, "22023", "unsupported format code: " + std::to_string(code));
    }
  }
  for (int16_t code : m.result_formats) {
    if (!valid(code)) {
      return Status(Code::kInvalidArgument, "22023", "unsupported format code: " + std::to_string(code));
    }
  }
  return OkStatus();
}

StatusOr<ExecuteMessage> DecodeExecute(std::string_view body) {
  FieldReader in(body);
  ExecuteMessage m;
  m.portal = in.String();
  m.row_limit = in.Int32();
  if (!in.AtEnd()) return ProtocolError("invalid message format");
  return m;
}

StatusOr<TargetMessage> DecodeTarget(std::string_view body) {
  FieldReader in(body);
  TargetMessage m;
  m.kind = char(in.Byte());
  m.name = in.String();
  if (!in.AtEnd()) return ProtocolError("invalid message format");
  return m;
}

size_t BeginMessage(std::string& out, char type) {
  const size_t begin = out.size();
  const char header[5] = {type};  // its length follows
  out.append(header, sizeof header);
  return begin;
}
void EndMessage(std::string& out, size_t begin) {
  StoreUint32(out.data() + begin + 1, uint32_t(out.size() - begin - 1));
}
void AppendInt16(std::string& out, int16_t value) {
  char bytes[2] = {char(uint16_t(value) >> 8), char(value)};
  out.append(bytes, 2);
}
void AppendInt32(std::string& out, int32_t value) {
  char bytes[4];
  StoreUint32(bytes, uint32_t(value));
  out.append(bytes, 4);
}
void AppendString(std::string& out, std::string_view value) {
  // A zero byte inside would end the field early and garble the message.
  out.append(value.substr(0, value.find('\0')));
  out += '\0';
}

void AppendEmptyMessage(std::string& out, char type) { EndMessage(out, BeginMessage(out, type)); }

void AppendReadyForQuery(std::string& out, TransactionStatus status) {
  size_t m = BeginMessage(out, 'Z');
  out += char(status);
  EndMessage(out, m);
}
void AppendCommandComplete(std::string& out, std::string_view tag) {
  size_t m = BeginMessage(out, 'C');
  AppendString(out, tag);
  EndMessage(out, m);
}
void AppendParameterStatus(std::string& out, std::string_view name, std::string_view value) {
  size_t m = BeginMessage(out, 'S');
  AppendString(out, name);
  AppendString(out, value);
  EndMessage(out, m);
}

namespace {

std::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kDebug: return "DEBUG";
    case Severity::kLog: return "LOG";
    case Severity::kInfo: return "INFO";
    case Severity::kNotice: return "NOTICE";
    case Severity::kWarning: return "WARNING";
    case Severity::kError: return "ERROR";
    case Severity::kFatal: return "FATAL";
  }
  return "ERROR";
}

void AppendField(std::string& out, char field, std::string_view value) {
  if (value.empty()) return;
  out += field;
  AppendString(out, value);
}

void AppendReport(std::string& out, char type, Severity severity, const Status& status) {
  size_t m = BeginMessage(out, type);
  AppendField(out, 'S', SeverityName(severity));
  AppendField(out, 'V', SeverityName(severity));
  AppendField(out, 'C', status.sqlstate());
  out += 'M';
  AppendString(out, status.message());
  const ErrorFields& fields = status.fields();
  AppendField(out, 'D', fields.detail);
  AppendField(out, 'H', fields.hint);
  if (fields.position > 0) AppendField(out, 'P', std::to_string(fields.position));
  AppendField(out, 'W', fields.where);
  AppendField(out, 's', fields.schema);
  AppendField(out, 't', fields.table);
  AppendField(out, 'c', fields.column);
  AppendField(out, 'd', fields.data_type);
  AppendField(out, 'n', fields.constraint);
  out += '\0';
  EndMessage(out, m);
}

}  // namespace

void AppendError(std::string& out, Severity severity, const Status& status) {
  AppendReport(out, 'E', severity, status);
}
void AppendNotice(std::string& out, const ClientNotice& notice) {
  AppendReport(out, 'N', notice.severity, notice.status);
}

void AppendRowDescription(std::string& out, std::span<const ResultColumn> columns, const FormatCodes& formats) {
  size_t m = BeginMessage(out, 'T');
  AppendInt16(out, int16_t(columns.size()));
  for (size_t i = 0; i < columns.size(); ++i) {
    const ResultColumn& column = columns[i];
    const TypeInfo* info = FindType(column.type.oid);
    AppendString(out, column.name);
    AppendInt32(out, int32_t(column.table_oid));
    AppendInt16(out, int16_t(column.column_number));
    AppendInt32(out, int32_t(column.type.oid));
    AppendInt16(out, info ? info->length : int16_t{-1});
    AppendInt32(out, column.type.typmod);
    AppendInt16(out, FormatOf(formats, i));
  }
  EndMessage(out, m);
}

void AppendParameterDescription(std::string& out, std::span<const Oid> types) {
  size_t m = BeginMessage(out, 't');
  AppendInt16(out, int16_t(types.size()));
  for (Oid type : types) AppendInt32(out, int32_t(type));
  EndMessage(out, m);
}

}  // namespace orrery::sql::pgwire
