#include "sql/exec/table_writer.h"

#include "orrery/kv/api/errors.h"
#include "orrery/sql/exec/executor.h"
#include "orrery/sql/exec/kv_errors.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {

Status InsertError(const Status& status, const Table& table, const FormatContext& format) {
  if (const auto* failed = kv::GetError<kv::ConditionFailedError>(status)) {
    return UniqueViolation(table, failed->key, format);
  }
  return ToSqlError(status, &table);
}

std::string TableWriter::FailingRow(const ExecEnv& env, std::span<const Datum> row) const {
  std::string out = "Failing row contains (";
  bool first = true;
  for (size_t i = 0; i < row.size(); ++i) {
    const ColumnDescriptor& column = table_.columns()[i];
    if (column.hidden) continue;
    if (!first) out += ", ";
    first = false;
    if (row[i].is_null()) {
      out += "null";
      continue;
    }
    std::string text = FormatText(column.type, row[i], env.eval.format);
    // PostgreSQL shows at most 64 bytes of each value.
    constexpr size_t kValueBytesMax = 64;
    out += text.size() > kValueBytesMax ? text.substr(0, kValueBytesMax) + "..." : text;
  }
  return out + ").";
}

Status TableWriter::NotNullViolation(const ExecEnv& env, uint32_t ordinal, std::span<const Datum> row) const {
  const ColumnDescriptor& column = table_.columns()[ordinal];
  ErrorFields fields;
  fields.detail = FailingRow(env, row);
  fields.schema = table_.schema_name;
  fields.table = table_.name();
  fields.column = column.name;
  return Status(Code::kInvalidArgument, "23502",
                "null value in column \"" + column.name + "\" of relation \"" + table_.name() +
                    "\" violates not-null constraint")
      .WithFields(std::move(fields));
}

Status TableWriter::CheckViolation(const ExecEnv& env, const PhysicalCheck& check, std::span<const Datum> row) const {
  ErrorFields fields;
  fields.detail = FailingRow(env, row);
  fields.schema = table_.schema_name;
  fields.table = table_.name();
  fields.constraint = check.name;
  return Status(Code::kInvalidArgument, "23514",
                "new row for relation \"" + table_.name() + "\" violates check constraint \"" + check.name + "\"")
      .WithFields(std::move(fields));
}

Status TableWriter::Complete(ExecEnv& env, ExprEnv& expr, std::span<Datum> row) const {
  for (uint32_t i = 0; i < row.size(); ++i) {
    if (!row[i].is_null()) continue;
    const ColumnDescriptor& column = table_.columns()[i];
    if (column.hidden && column.name == kRowIdColumn) {
      row[i] = Datum::Int(env.next_row_id());
    } else if (column.not_null || table_.KeyPosition(i) >= 0) {
      return NotNullViolation(env, i, row);
    }
  }
  for (const PhysicalCheck& check : checks_) {
    Datum result;
    RETURN_IF_ERROR(Evaluate(*check.expr, expr, row, &result));
    if (!result.is_null() && !result.as_bool()) return CheckViolation(env, check, row);
  }
  return OkStatus();
}

std::string TableWriter::Key(std::span<const Datum> row) const {
  std::string key;
  rows_.AppendKey(row, key);
  return key;
}
std::string TableWriter::Value(std::span<const Datum> row) const {
  std::string value;
  rows_.AppendValue(row, value);
  return value;
}

Status TableWriter::ConvertError(const Status& status, const ExecEnv& env) const {
  return InsertError(status, table_, env.eval.format);
}

namespace {

Status AffectedTwice() {
  return Status(Code::kInvalidArgument, "21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")
      .WithHint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.");
}

}  // namespace

Status ConflictResolver::Resolve(ExecEnv& env, ExprEnv& expr, const std::vector<std::vector<Datum>>& rows,
                                 const Send& send, kv::Batch& batch, std::vector<std::vector<Datum>>& affected) {
  kv::Batch read;
  std::vector<std::string> keys;
  for (const std::vector<Datum>& row : rows) {
    keys.push_back(writer_.Key(row));
    read.Get(keys.back(), kv::LockStrength::kExclusive, kv::LockDurability::kUnreplicated);
  }
  RETURN_IF_ERROR(send(read));
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::optional<std::string>& existing = std::get<kv::GetResponse>(read.responses[i]).value;
    bool touched = touched_.contains(keys[i]);
    if (!existing && !touched) {
      batch.Insert(keys[i], writer_.Value(rows[i]));
      touched_.insert(keys[i]);
      affected.push_back(rows[i]);
      continue;
    }
    if (clause_.action == ParsedOnConflict::Action::kNothing) continue;
    if (touched) return AffectedTwice();
    touched_.insert(keys[i]);
    RETURN_IF_ERROR(Update(env, expr, keys[i], *existing, rows[i], batch, affected));
  }
  return OkStatus();
}

Status ConflictResolver::Update(ExecEnv& env, ExprEnv& expr, const std::string& key, const std::string& value,
                                std::span<const Datum> excluded, kv::Batch& batch,
                                std::vector<std::vector<Datum>>& affected) {
  size_t width = writer_.table().columns().size();
  std::vector<Datum> both(width * 2);
  RETURN_IF_ERROR(reader_.Read(key, value, std::span<Datum>(both.data(), width)));
  std::copy(excluded.begin(), excluded.end(), both.begin() + ptrdiff_t(width));
  if (clause_.where) {
    ASSIGN_OR_RETURN(bool wanted, IsTrue(*clause_.where, expr, both));
    if (!wanted) return OkStatus();
  }
  std::vector<Datum> row = {both.begin(), both.begin() + ptrdiff_t(width)};
  for (const PhysicalAssignment& assignment : clause_.set) {
    RETURN_IF_ERROR(Evaluate(*assignment.expr, expr, both, &row[assignment.ordinal]));
  }
  for (Datum& d : row) d = d.Owned();
  RETURN_IF_ERROR(writer_.Complete(env, expr, row));
  std::string new_key = writer_.Key(row);
  if (new_key == key) {
    batch.Put(key, writer_.Value(row));
  } else {
    batch.Delete(key);
    batch.Insert(new_key, writer_.Value(row));
  }
  affected.push_back(std::move(row));
  return OkStatus();
}

Status ReplaceRows(const TableWriter& writer, const std::vector<std::vector<Datum>>& rows, kv::Batch& batch) {
  std::set<std::string> touched;
  for (const std::vector<Datum>& row : rows) {
    const std::string key = writer.Key(row);
    if (rows.size() > 1 && !touched.insert(key).second) return AffectedTwice();
    batch.Put(key, writer.Value(row));
  }
  return OkStatus();
}

}  // namespace orrery::sql
