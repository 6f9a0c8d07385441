// COPY's text and CSV formats (PostgreSQL documentation, COPY, "File Formats"): bytes in any pieces become
// rows of fields, rows become lines. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/sql/binder/bound_statement.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

// One field of a row; its text is void once the parser is given more bytes.
struct CopyField {
  std::string_view text;
  bool is_null = false;
};

class CopyParser {
 public:
  // A row longer than this is 54000: memory stays bounded.
  static constexpr size_t kLineBytesMax = size_t{64} << 20;

  CopyParser(CopyOptions options, std::vector<std::string> column_names);

  // Voids the fields of all rows given before.
  void Append(std::string_view bytes);
  // No more bytes will come: an unfinished last line counts as a line.
  void Finish() { finished_ = true; }
  // The next row's fields, one a column; false: more bytes are needed, or the end. Errors 22P04 and the like, with
  // PostgreSQL's text. The header line is consumed (and matched where asked).
  StatusOr<bool> NextRow(std::vector<CopyField>& fields);
  uint64_t line_number() const { return line_number_; }  // of the row NextRow gave last, from 1
  size_t buffered_bytes() const { return buffer_.size() - position_; }

 private:
  // End of the line that starts at position_, npos if it has not arrived; `next` is where the next begins.
  size_t FindLineEnd(size_t& next);
  StatusOr<bool> NextLine(std::string_view& line);
  // Fields whose text is not as it stands in the line are put right in its place: they only get shorter.
  void SplitText(char* line, size_t size, std::vector<CopyField>& fields) const;
  void SplitPlain(std::string_view line, std::vector<CopyField>& fields) const;  // no backslash
  Status SplitCsv(char* line, size_t size, std::vector<CopyField>& fields) const;
  Status Split(std::string_view line, std::vector<CopyField>& fields);
  Status CheckHeader(const std::vector<CopyField>& fields) const;

  const CopyOptions options_;
  const std::vector<std::string> columns_;
  std::string buffer_;
  size_t position_ = 0;
  size_t scanned_ = 0;       // no line end before this offset
  bool in_quotes_ = false;   // CSV, at scanned_
  bool escaped_ = false;     // text: the line that is being looked for has a backslash
  uint64_t line_number_ = 0;
  bool header_done_ = false;
  bool finished_ = false;
  bool ended_ = false;       // "\." was seen
};

// Appends one line.
class CopyFormatter {
 public:
  CopyFormatter(CopyOptions options, std::vector<std::string> column_names, std::vector<Type> column_types);
  void AppendHeader(std::string& out) const;
  void AppendRow(std::span<const Datum> row, const FormatContext& format, std::string& out) const;

 private:
  void AppendCsvValue(std::string_view text, bool force_quote, bool only_column, std::string& out) const;
  void AppendTextValue(std::string_view text, std::string& out) const;

  const CopyOptions options_;
  const std::vector<std::string> names_;
  const std::vector<Type> types_;
  std::vector<bool> force_quote_;
};

}  // namespace orrery::sql
