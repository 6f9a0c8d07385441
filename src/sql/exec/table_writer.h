// TableWriter: checks new rows and turns them into KV writes; what the operators that change data and the
// direct path share. Immutable after construction.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "orrery/kv/client/database.h"
#include "orrery/sql/optimizer/physical_plan.h"
#include "sql/exec/evaluate.h"
#include "sql/exec/table_rows.h"

namespace orrery::sql {

struct ExecEnv;

class TableWriter {
 public:
  TableWriter(const Table& table, const std::vector<PhysicalCheck>& checks)
      : table_(table), checks_(checks), rows_(table) {}

  const Table& table() const { return table_; }
  // Fills in the hidden row id and tests NOT NULL (23502) and CHECK (23514).
  Status Complete(ExecEnv& env, ExprEnv& expr, std::span<Datum> row) const;
  // The key is a hidden row id: each row inserted has a new one.
  bool has_fresh_keys() const { return table_.descriptor.primary_key_name.empty(); }
  void AppendKey(std::span<const Datum> row, std::string& key) const { rows_.AppendKey(row, key); }
  void AppendValue(std::span<const Datum> row, std::string& value) const { rows_.AppendValue(row, value); }
  std::string Key(std::span<const Datum> row) const;
  std::string Value(std::span<const Datum> row) const;
  // 23505 in place of ConditionFailedError; anything else as ToSqlError has it.
  Status ConvertError(const Status& status, const ExecEnv& env) const;

 private:
  Status NotNullViolation(const ExecEnv& env, uint32_t ordinal, std::span<const Datum> row) const;
  Status CheckViolation(const ExecEnv& env, const PhysicalCheck& check, std::span<const Datum> row) const;
  std::string FailingRow(const ExecEnv& env, std::span<const Datum> row) const;

  const Table& table_;
  const std::vector<PhysicalCheck>& checks_;
  const RowWriter rows_;
};

// INSERT with ON CONFLICT: reads the rows that exist already, under locks, and decides row by row.
class ConflictResolver {
 public:
  ConflictResolver(const TableWriter& writer, const PhysicalOnConflict& clause)
      : writer_(writer), clause_(clause), reader_(RowReader::Full(writer.table())) {}

  // Adds the writes for `rows` (full, completed) to `batch`. `affected` gets each row as stored, in order;
  // rows that were skipped are absent. `send` runs a KV batch in the transaction.
  using Send = std::function<Status(kv::Batch&)>;
  Status Resolve(ExecEnv& env, ExprEnv& expr, const std::vector<std::vector<Datum>>& rows, const Send& send,
                 kv::Batch& batch, std::vector<std::vector<Datum>>& affected);

 private:
  Status Update(ExecEnv& env, ExprEnv& expr, const std::string& key, const std::string& value,
                std::span<const Datum> excluded, kv::Batch& batch, std::vector<std::vector<Datum>>& affected);

  const TableWriter& writer_;
  const PhysicalOnConflict& clause_;
  const RowReader reader_;
  std::set<std::string> touched_;  // keys this statement has written
};

// The same for a clause that replaces rows (PhysicalOnConflict::replaces_row), without a look: each row is stored as it is.
Status ReplaceRows(const TableWriter& writer, const std::vector<std::vector<Datum>>& rows, kv::Batch& batch);

}  // namespace orrery::sql
