#include "orrery/sql/exec/copy_format.h"

#include <algorithm>

#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

Status BadFile(std::string_view message) { return {Code::kInvalidArgument, "22P04", message}; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The character a backslash sequence at text[i] (behind the backslash) denotes; moves i to its last byte.
char Unescape(std::string_view text, size_t& i) {
  char c = text[i];
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    default: break;
  }
  if (c >= '0' && c <= '7') {
    int value = c - '0';
    for (int digits = 1; digits < 3 && i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '7'; ++digits) {
      value = value * 8 + (text[++i] - '0');
    }
    return char(value);
  }
  if (c == 'x' && i + 1 < text.size() && HexValue(text[i + 1]) >= 0) {
    int value = HexValue(text[++i]);
    if (i + 1 < text.size() && HexValue(text[i + 1]) >= 0) value = value * 16 + HexValue(text[++i]);
    return char(value);
  }
  return c;
}

bool Contains(const std::vector<uint32_t>& positions, size_t i) {
  return std::find(positions.begin(), positions.end(), uint32_t(i)) != positions.end();
}

}  // namespace

CopyParser::CopyParser(CopyOptions options, std::vector<std::string> column_names)
    : options_(std::move(options)), columns_(std::move(column_names)),
      header_done_(!options_.header && !options_.header_match) {}

void CopyParser::Append(std::string_view bytes) {
  if (position_ > 0) {
    buffer_.erase(0, position_);
    scanned_ -= std::min(scanned_, position_);
    position_ = 0;
  }
  if (!ended_) buffer_.append(bytes);
}

size_t CopyParser::FindLineEnd(size_t& next) {
  const bool csv = options_.format == CopyFormat::kCsv;
  if (scanned_ <= position_) {
    scanned_ = position_;
    escaped_ = false;
  }
  for (; scanned_ < buffer_.size(); ++scanned_) {
    char c = buffer_[scanned_];
    if (csv) {
      // With quote = escape a doubled quote switches twice. A distinct escape protects the byte behind it.
      if (in_quotes_ && c == options_.escape && options_.escape != options_.quote) {
        if (scanned_ + 1 >= buffer_.size() && !finished_) return std::string::npos;
        ++scanned_;
        continue;
      }
      if (c == options_.quote) in_quotes_ = !in_quotes_;
      if (in_quotes_) continue;
    } else if (c == '\\') {
      if (scanned_ + 1 >= buffer_.size() && !finished_) return std::string::npos;
      escaped_ = true;
      ++scanned_;  // an escaped newline belongs to the value
      continue;
    }
    if (c != '\n' && c != '\r') continue;
    if (c == '\r' && scanned_ + 1 >= buffer_.size() && !finished_) return std::string::npos;
    size_t end = scanned_;
    next = c == '\r' && end + 1 < buffer_.size() && buffer_[end + 1] == '\n' ? end + 2 : end + 1;
    scanned_ = next;
    return end;
  }
  if (finished_ && position_ < buffer_.size()) {
    next = buffer_.size();
    scanned_ = next;
    return next;
  }
  return std::string::npos;
}

// The next line of data or of the header; false: more bytes are needed, or the end.
StatusOr<bool> CopyParser::NextLine(std::string_view& line) {
  if (ended_) return false;
  size_t next = 0;
  size_t end = FindLineEnd(next);
  if (end == std::string::npos) {
    if (buffered_bytes() > kLineBytesMax) {
      return Status(Code::kResourceExhausted, "54000", "COPY row is too long");
    }
    return false;
  }
  line = std::string_view(buffer_).substr(position_, end - position_);
  position_ = next;
  ++line_number_;
  ended_ = line == "\\.";
  return !ended_;
}

Status CopyParser::Split(std::string_view line, std::vector<CopyField>& fields) {
  fields.clear();
  if (columns_.empty() && line.empty()) return OkStatus();
  char* const in_place = buffer_.data() + (line.data() - buffer_.data());
  if (options_.format == CopyFormat::kCsv) return SplitCsv(in_place, line.size(), fields);
  if (escaped_) {
    SplitText(in_place, line.size(), fields);
  } else {
    SplitPlain(line, fields);
  }
  return OkStatus();
}

StatusOr<bool> CopyParser::NextRow(std::vector<CopyField>& fields) {
  std::string_view line;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, NextLine(line));
    if (!found) return false;
    const bool csv = options_.format == CopyFormat::kCsv;
    if (!header_done_) {
      header_done_ = true;
      if (!options_.header_match) continue;
      RETURN_IF_ERROR(Split(line, fields));
      RETURN_IF_ERROR(CheckHeader(fields));
      continue;
    }
    if (csv && in_quotes_) return BadFile("unterminated CSV quoted field");
    RETURN_IF_ERROR(CheckText(line));
    RETURN_IF_ERROR(Split(line, fields));
    if (escaped_) {  // a sequence may have made any bytes
      for (const CopyField& field : fields) RETURN_IF_ERROR(CheckText(field.text));
    }
    if (fields.size() > columns_.size()) return BadFile("extra data after last expected column");
    if (fields.size() < columns_.size()) {
      return BadFile("missing data for column \"" + columns_[fields.size()] + "\"");
    }
    return true;
  }
}

void CopyParser::SplitPlain(std::string_view line, std::vector<CopyField>& fields) const {
  while (true) {
    const size_t end = line.find(options_.delimiter);
    const std::string_view text = line.substr(0, end);
    const bool is_null = text == options_.null_text;
    fields.push_back({is_null ? std::string_view() : text, is_null});
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + 1);
  }
}

void CopyParser::SplitText(char* line, size_t size, std::vector<CopyField>& fields) const {
  const std::string_view all(line, size);
  size_t start = 0;
  size_t out = 0;  // end of the field's text in its place
  // NULL's mark is compared before backslashes are taken off.
  bool begins_null = all.starts_with(options_.null_text);
  for (size_t i = 0;; ++i) {
    if (i < size && line[i] != options_.delimiter) {
      if (line[i] == '\\' && i + 1 < size) {
        ++i;
        line[out++] = Unescape(all, i);
      } else {
        line[out++] = line[i];
      }
      continue;
    }
    const bool is_null = begins_null && i - start == options_.null_text.size();
    fields.push_back({is_null ? std::string_view() : all.substr(start, out - start), is_null});
    if (i >= size) return;
    start = out = i + 1;
    begins_null = all.substr(start).starts_with(options_.null_text);
  }
}

Status CopyParser::SplitCsv(char* line, size_t size, std::vector<CopyField>& fields) const {
  const std::string_view all(line, size);
  size_t start = 0;
  size_t out = 0;
  bool quoted = false;  // some part of the field was
  bool in_quotes = false;
  for (size_t i = 0;; ++i) {
    if (i < size && (in_quotes || line[i] != options_.delimiter)) {
      char c = line[i];
      if (in_quotes && c == options_.escape && i + 1 < size &&
          (line[i + 1] == options_.quote || line[i + 1] == options_.escape)) {
        line[out++] = line[++i];
      } else if (c == options_.quote) {
        in_quotes = !in_quotes;
        quoted = true;
      } else {
        line[out++] = c;
      }
      continue;
    }
    if (in_quotes) return BadFile("unterminated CSV quoted field");
    const size_t column = fields.size();
    const std::string_view text = all.substr(start, out - start);
    const bool is_null = text == options_.null_text &&
                         (quoted ? Contains(options_.force_null, column) : !Contains(options_.force_not_null, column));
    fields.push_back({is_null ? std::string_view() : text, is_null});
    quoted = false;
    if (i >= size) return OkStatus();
    start = out = i + 1;
  }
}

Status CopyParser::CheckHeader(const std::vector<CopyField>& fields) const {
  if (fields.size() != columns_.size()) {
    return BadFile("wrong number of fields in header line: got " + std::to_string(fields.size()) + ", expected " +
                   std::to_string(columns_.size()));
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i].is_null && fields[i].text == columns_[i]) continue;
    const std::string got = fields[i].is_null ? "null value (\"" + options_.null_text + "\")"
                                              : "\"" + std::string(fields[i].text) + "\"";
    return BadFile("column name mismatch in header line field " + std::to_string(i + 1) + ": got " + got +
                   ", expected \"" + columns_[i] + "\"");
  }
  return OkStatus();
}

CopyFormatter::CopyFormatter(CopyOptions options, std::vector<std::string> column_names,
                             std::vector<Type> column_types)
    : options_(std::move(options)), names_(std::move(column_names)), types_(std::move(column_types)) {
  for (size_t i = 0; i < types_.size(); ++i) {
    force_quote_.push_back(options_.force_quote_all || Contains(options_.force_quote, i));
  }
}

void CopyFormatter::AppendHeader(std::string& out) const {
  if (!options_.header) return;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (i > 0) out += options_.delimiter;
    if (options_.format == CopyFormat::kCsv) {
      AppendCsvValue(names_[i], false, names_.size() == 1, out);
    } else {
      AppendTextValue(names_[i], out);
    }
  }
  out += '\n';
}

void CopyFormatter::AppendRow(std::span<const Datum> row, const FormatContext& format, std::string& out) const {
  std::string text;
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out += options_.delimiter;
    if (row[i].is_null()) {
      out += options_.null_text;
      continue;
    }
    if (options_.format != CopyFormat::kCsv && IsStringType(types_[i].oid) && row[i].kind() == Datum::Kind::kBytes) {
      AppendTextValue(row[i].as_bytes(), out);
      continue;
    }
    text.clear();
    AppendText(types_[i].oid, row[i], format, text);
    if (options_.format == CopyFormat::kCsv) {
      AppendCsvValue(text, force_quote_[i], row.size() == 1, out);
    } else {
      AppendTextValue(text, out);
    }
  }
  out += '\n';
}

void CopyFormatter::AppendCsvValue(std::string_view text, bool force_quote, bool only_column,
                                   std::string& out) const {
  bool quote = force_quote || text == options_.null_text || (only_column && text == "\\.");
  for (char c : text) quote = quote || c == options_.delimiter || c == options_.quote || c == '\n' || c == '\r';
  if (!quote) {
    out += text;
    return;
  }
  out += options_.quote;
  for (char c : text) {
    if (c == options_.quote || c == options_.escape) out += options_.escape;
    out += c;
  }
  out += options_.quote;
}

void CopyFormatter::AppendTextValue(std::string_view text, std::string& out) const {
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (uint8_t(c) >= 0x20 && c != '\\' && c != options_.delimiter) continue;  // nearly all
    out.append(text.substr(copied, i - copied));
    copied = i + 1;
    switch (c) {
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      case '\\': out += "\\\\"; break;
      default:
        if (c == options_.delimiter) out += '\\';
        out += c;
    }
  }
  out.append(text.substr(copied));
}

}  // namespace orrery::sql
