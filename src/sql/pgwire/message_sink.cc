#include "sql/pgwire/message_sink.h"

#include <charconv>

#include "orrery/base/assert.h"
#include "orrery/sql/types/text_io.h"
#include "sql/pgwire/codec.h"

namespace orrery::sql::pgwire {
namespace {

// Integers and strings are most of what clients read: they skip the general path.
void AppendValueText(Oid type, const Datum& value, const FormatContext& format, std::string& out) {
  switch (type) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: {
      char digits[24];
      auto end = std::to_chars(digits, digits + sizeof digits, value.as_int()).ptr;
      out.append(digits, size_t(end - digits));
      return;
    }
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
      out.append(value.as_bytes());
      return;
    default:
      AppendText(type, value, format, out);
  }
}

}  // namespace

Status MessageSink::Row(std::span<const Datum> values) {
  ORRERY_ASSERT(values.size() == columns_.size(), "MessageSink: a row has the described columns");
  size_t message = BeginMessage(out_, 'D');
  AppendInt16(out_, int16_t(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].is_null()) {
      AppendInt32(out_, -1);
      continue;
    }
    size_t length_at = out_.size();
    out_.append(4, '\0');
    Oid type = columns_[i].type.oid;
    if (FormatOf(*formats_, i) == 0) {
      AppendValueText(type, values[i], *format_, out_);
    } else {
      AppendBinary(type, values[i], out_);
    }
    uint32_t length = uint32_t(out_.size() - length_at - 4);
    out_[length_at] = char(length >> 24);
    out_[length_at + 1] = char(length >> 16);
    out_[length_at + 2] = char(length >> 8);
    out_[length_at + 3] = char(length);
  }
  EndMessage(out_, message);
  return out_.size() > output_bytes_max_ ? FlushIfFull() : OkStatus();
}

Status MessageSink::CopyOut(std::string_view bytes) {
  size_t message = BeginMessage(out_, 'd');
  out_.append(bytes);
  EndMessage(out_, message);
  return out_.size() > output_bytes_max_ ? FlushIfFull() : OkStatus();
}

Status MessageSink::FlushIfFull() {
  if (!flush_status_.ok()) return flush_status_;
  flush_status_ = flusher_->Flush(*context_, out_);
  if (!flush_status_.ok()) return flush_status_;
  sent_bytes_ += out_.size();
  out_.clear();
  return OkStatus();
}

bool MessageSink::Rewind(uint64_t mark) {
  if (mark < sent_bytes_) return false;
  ORRERY_ASSERT(mark <= Mark(), "MessageSink: a mark lies before the end");
  out_.resize(size_t(mark - sent_bytes_));
  return true;
}

void MessageSink::Describe(std::span<const ResultColumn> columns, const FormatCodes& formats) {
  AppendRowDescription(out_, columns, formats);
}
void MessageSink::StartRows(std::span<const ResultColumn> columns, const FormatCodes& formats,
                            const FormatContext& format) {
  columns_ = columns;
  formats_ = &formats;
  format_ = &format;
}
void MessageSink::CommandComplete(std::string_view tag) { AppendCommandComplete(out_, tag); }
void MessageSink::EmptyQuery() { AppendEmptyMessage(out_, 'I'); }
void MessageSink::SendNotice(const ClientNotice& notice) { AppendNotice(out_, notice); }

void MessageSink::AppendCopyResponse(char type, size_t column_count) {
  size_t message = BeginMessage(out_, type);
  out_ += '\0';  // text, CSV included
  AppendInt16(out_, int16_t(column_count));
  for (size_t i = 0; i < column_count; ++i) AppendInt16(out_, 0);
  EndMessage(out_, message);
}
void MessageSink::StartCopyIn(size_t column_count) { AppendCopyResponse('G', column_count); }
void MessageSink::StartCopyOut(size_t column_count) { AppendCopyResponse('H', column_count); }
void MessageSink::FinishCopyOut() { AppendEmptyMessage(out_, 'c'); }

}  // namespace orrery::sql::pgwire
