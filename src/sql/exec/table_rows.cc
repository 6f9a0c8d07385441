#include "sql/exec/table_rows.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

namespace orrery::sql {
namespace {

// The value rows written before ADD COLUMN have.
Datum MissingValue(const ColumnDescriptor& column) {
  if (!column.missing) return Datum::Null();
  TupleReader reader({{.id = column.id, .type = column.type, .slot = 0}});
  Datum value;
  if (!reader.Read(*column.missing, std::span<Datum>(&value, 1)).ok()) return Datum::Null();
  return value.Owned();
}

}  // namespace

bool KeyMayBeInexact(Oid type) {
  switch (type) {
    case oid::kNumeric:
    case oid::kBpchar:
    case oid::kFloat4:
    case oid::kFloat8:
    case oid::kInterval:
      return true;
    default:
      return false;
  }
}

RowReader RowReader::Full(const Table& table) {
  return Partial(table, std::vector<bool>(table.columns().size(), true));
}
RowReader RowReader::Partial(const Table& table, const std::vector<bool>& wanted) {
  std::vector<Wanted> columns;
  for (uint32_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) columns.push_back({i, i});
  }
  return RowReader(table, columns);
}
RowReader::RowReader(const Table& table, std::span<const uint32_t> ordinals)
    : RowReader(table, [&] {
        std::vector<Wanted> columns;
        for (uint32_t i = 0; i < ordinals.size(); ++i) columns.push_back({ordinals[i], i});
        return columns;
      }()) {}

RowReader::RowReader(const Table& table, const std::vector<Wanted>& wanted)
    : prefix_bytes_(table.key_prefix.size()) {
  std::vector<TupleReader::Column> values;
  std::vector<TupleReader::Column> inexact;
  for (const Table::KeyPart& part : table.key) {
    key_slots_.push_back({.type = part.type, .direction = part.direction});
  }
  for (auto [ordinal, slot] : wanted) {
    const ColumnDescriptor& column = table.columns()[ordinal];
    TupleReader::Column tuple{.id = column.id, .type = column.type, .slot = slot};
    int position = table.KeyPosition(ordinal);
    if (position < 0) {
      tuple.missing = MissingValue(column);
      values.push_back(std::move(tuple));
    } else {
      key_slots_[size_t(position)].slot = int(slot);
      if (KeyMayBeInexact(column.type)) inexact.push_back(std::move(tuple));
    }
  }
  while (!key_slots_.empty() && key_slots_.back().slot < 0) key_slots_.pop_back();
  if (!values.empty()) value_reader_.emplace(std::move(values));
  if (!inexact.empty()) inexact_reader_.emplace(std::move(inexact), TupleReader::Absent::kKeep);
}

Status RowReader::Read(std::string_view key, std::string_view value, std::span<Datum> row) const {
  if (!key_slots_.empty()) {
    if (key.size() < prefix_bytes_) return DataLossError("row key is shorter than its table's prefix");
    key.remove_prefix(prefix_bytes_);
    for (const KeySlot& slot : key_slots_) {
      if (slot.slot < 0) {
        RETURN_IF_ERROR(SkipKeyColumn(key, slot.type, slot.direction));
      } else {
        RETURN_IF_ERROR(ReadKeyColumn(key, slot.type, slot.direction, row[size_t(slot.slot)]));
      }
    }
  }
  if (inexact_reader_) RETURN_IF_ERROR(inexact_reader_->Read(value, row));
  if (value_reader_) RETURN_IF_ERROR(value_reader_->Read(value, row));
  return OkStatus();
}

RowWriter::RowWriter(const Table& table) : table_(&table) {
  for (size_t i = 0; i < table.value_columns.size(); ++i) {
    columns_.push_back({.tuple = table.value_columns[i], .ordinal = table.value_ordinals[i]});
    value_columns_.push_back(table.value_columns[i]);
  }
  for (const Table::KeyPart& part : table.key) {
    if (!KeyMayBeInexact(part.type)) continue;
    may_be_inexact_ = true;
    columns_.push_back({.tuple = {table.columns()[part.ordinal].id, part.type}, .ordinal = part.ordinal, .in_key = true});
  }
  std::sort(columns_.begin(), columns_.end(), [](const Column& a, const Column& b) { return a.tuple.id < b.tuple.id; });
}

void RowWriter::AppendKey(std::span<const Datum> row, std::string& key) const {
  key += table_->key_prefix;
  for (const Table::KeyPart& part : table_->key) AppendKeyColumn(key, part.type, row[part.ordinal], part.direction);
}

void RowWriter::AppendValue(std::span<const Datum> row, std::string& value) const {
  absl::InlinedVector<Datum, 16> values;
  if (!may_be_inexact_) {
    for (uint32_t ordinal : table_->value_ordinals) values.push_back(row[ordinal]);
    AppendTuple(value, value_columns_, std::span<const Datum>(values.data(), values.size()));
    return;
  }
  absl::InlinedVector<TupleColumn, 16> columns;
  for (const Column& column : columns_) {
    const Datum& datum = row[column.ordinal];
    if (column.in_key && KeyIsExact(column.tuple.type, datum)) continue;
    columns.push_back(column.tuple);
    values.push_back(datum);
  }
  AppendTuple(value, std::span<const TupleColumn>(columns.data(), columns.size()),
              std::span<const Datum>(values.data(), values.size()));
}

bool AppendRowKey(const Table& table, std::span<const Datum> key_values, std::string& key) {
  key += table.key_prefix;
  for (size_t i = 0; i < table.key.size(); ++i) {
    if (key_values[i].is_null()) return false;
    AppendKeyColumn(key, table.key[i].type, key_values[i], table.key[i].direction);
  }
  return true;
}

}  // namespace orrery::sql
