#include "orrery/sql/exec/kv_errors.h"

#include "orrery/kv/api/errors.h"
#include "orrery/sql/types/row_codec.h"
#include "orrery/sql/types/text_io.h"
#include "sql/exec/table_rows.h"

namespace orrery::sql {
namespace {

constexpr std::string_view kCompletionUnknown = "statement completion unknown";

Status Retry(const Status& status, const kv::TxnRetryError& error) {
  Status converted;
  switch (error.reason) {
    case kv::RetryReason::kDeadlock:
      converted = Status(Code::kAborted, "40P01", "deadlock detected");
      break;
    case kv::RetryReason::kWriteTooOld:
      converted = Status(Code::kAborted, "40001", "could not serialize access due to concurrent update");
      break;
    case kv::RetryReason::kSerializable:
      converted = Status(Code::kAborted, "40001",
                         "could not serialize access due to read/write dependencies among transactions")
                      .WithHint("The transaction might succeed if retried.");
      break;
    default:
      converted = Status(Code::kAborted, "40001", "could not serialize access: restart transaction")
                      .WithHint("The transaction might succeed if retried.");
  }
  if (!error.detail.empty()) converted = converted.WithDetail(error.detail);
  const auto* payload = status.payload<kv::KvErrorPayload>();
  return converted.WithPayload(std::make_shared<kv::KvErrorPayload>(payload->error()));
}

}  // namespace

bool IsRetryable(const Status& status) { return kv::GetError<kv::TxnRetryError>(status) != nullptr; }

Status ToSqlError(const Status& status, const Table* table) {
  if (status.ok()) return status;
  if (const auto* retry = kv::GetError<kv::TxnRetryError>(status)) return Retry(status, *retry);
  if (kv::GetError<kv::LockConflictError>(status) != nullptr) {
    std::string where = table ? " in relation \"" + table->name() + "\"" : "";
    return Status(Code::kAborted, "55P03", "could not obtain lock on row" + where);
  }
  switch (status.code()) {
    case Code::kAmbiguous:
      if (status.message() == kCompletionUnknown) return status;  // one of ours: its detail tells why
      return Status(Code::kAmbiguous, "40003", kCompletionUnknown).WithDetail(status.message());
    default:
      return status;
  }
}

Status UniqueViolation(const Table& table, std::string_view key, const FormatContext& format) {
  std::string names;
  std::string values;
  std::string_view rest = key;
  if (rest.starts_with(table.key_prefix)) rest.remove_prefix(table.key_prefix.size());
  for (const Table::KeyPart& part : table.key) {
    const ColumnDescriptor& column = table.columns()[part.ordinal];
    Datum value;
    if (!ReadKeyColumn(rest, part.type, part.direction, value).ok()) break;
    if (!names.empty()) {
      names += ", ";
      values += ", ";
    }
    names += column.name;
    if (value.is_null()) {
      values += "null";
    } else {
      AppendText(part.type, value, format, values);
    }
  }
  const std::string& constraint = table.descriptor.primary_key_name;
  ErrorFields fields;
  fields.detail = "Key (" + names + ")=(" + values + ") already exists.";
  fields.schema = table.schema_name;
  fields.table = table.name();
  fields.constraint = constraint;
  return Status(Code::kAlreadyExists, "23505",
                "duplicate key value violates unique constraint \"" + constraint + "\"")
      .WithFields(std::move(fields));
}

}  // namespace orrery::sql
