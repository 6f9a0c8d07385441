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

size_t CopyParser::FindLineEnd(size_t& next) {
  const bool csv = options_.format == CopyFormat::kCsv;
  if (scanned_ < position_) scanned_ = position_;
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

StatusOr<bool> CopyParser::NextRow(std::vector<std::optional<std::string>>& fields) {
  while (!ended_) {
    size_t next = 0;
    size_t end = FindLineEnd(next);
    if (end == std::string::npos) {
      if (buffered_bytes() > kLineBytesMax) {
        return Status(Code::kResourceExhausted, "54000", "COPY row is too long");
      }
      buffer_.erase(0, position_);
      scanned_ -= std::min(scanned_, position_);
      position_ = 0;
      return false;
    }
    std::string_view line = std::string_view(buffer_).substr(position_, end - position_);
    position_ = next;
    ++line_number_;
    if (line == "\\.") {
      ended_ = true;
      break;
    }
    fields.clear();
    bool csv = options_.format == CopyFormat::kCsv;
    if (!header_done_) {
      header_done_ = true;
      if (!options_.header_match) continue;
      RETURN_IF_ERROR(csv ? SplitCsv(line, fields) : SplitText(line, fields));
      RETURN_IF_ERROR(CheckHeader(fields));
      continue;
    }
    if (csv && in_quotes_) return BadFile("unterminated CSV quoted field");
    RETURN_IF_ERROR(csv ? SplitCsv(line, fields) : SplitText(line, fields));
    for (const std::optional<std::string>& field : fields) {
      if (field) RETURN_IF_ERROR(CheckText(*field));
    }
    if (fields.size() > columns_.size()) return BadFile("extra data after last expected column");
    if (fields.size() < columns_.size()) {
      return BadFile("missing data for column \"" + columns_[fields.size()] + "\"");
    }
    return true;
  }
  buffer_.clear();
  position_ = scanned_ = 0;
  return false;
}

Status CopyParser::SplitText(std::string_view line, std::vector<std::optional<std::string>>& fields) const {
  if (columns_.empty() && line.empty()) return OkStatus();
  size_t start = 0;
  std::string value;
  for (size_t i = 0;; ++i) {
    if (i < line.size() && line[i] != options_.delimiter) {
      if (line[i] == '\\' && i + 1 < line.size()) {
        ++i;
        value += Unescape(line, i);
      } else {
        value += line[i];
      }
      continue;
    }
    // NULL's mark is compared before backslashes are taken off.
    std::string_view raw = line.substr(start, std::min(i, line.size()) - start);
    if (raw == options_.null_text) {
      fields.emplace_back();
      value.clear();
    } else {
      fields.emplace_back(std::exchange(value, ""));
    }
    if (i >= line.size()) return OkStatus();
    start = i + 1;
  }
}

Status CopyParser::SplitCsv(std::string_view line, std::vector<std::optional<std::string>>& fields) const {
  if (columns_.empty() && line.empty()) return OkStatus();
  std::string value;
  bool quoted = false;      // some part of the field was
  bool in_quotes = false;
  for (size_t i = 0;; ++i) {
    if (i < line.size() && (in_quotes || line[i] != options_.delimiter)) {
      char c = line[i];
      if (in_quotes && c == options_.escape && i + 1 < line.size() &&
          (line[i + 1] == options_.quote || line[i + 1] == options_.escape)) {
        value += line[++i];
      } else if (c == options_.quote) {
        in_quotes = !in_quotes;
        quoted = true;
      } else {
        value += c;
      }
      continue;
    }
    if (in_quotes) return BadFile("unterminated CSV quoted field");
    size_t column = fields.size();
    bool is_null = value == options_.null_text &&
                   (quoted ? Contains(options_.force_null, column) : !Contains(options_.force_not_null, column));
    if (is_null) {
      fields.emplace_back();
      value.clear();
    } else {
      fields.emplace_back(std::exchange(value, ""));
    }
    quoted = false;
    if (i >= line.size()) return OkStatus();
  }
}

Status CopyParser::CheckHeader(const std::vector<std::optional<std::string>>& fields) const {
  if (fields.size() != columns_.size()) {
    return BadFile("wrong number of fields in header line: got " + std::to_string(fields.size()) + ", expected " +
                   std::to_string(columns_.size()));
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] == columns_[i]) continue;
    return BadFile("column name mismatch in header line field " + std::to_string(i + 1) + ": got " +
                   (fields[i] ? "\"" + *fields[i] + "\"" : "null value (\"" + options_.null_text + "\")") +
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
  for (char c : text) {
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
}

}  // namespace orrery::sql
