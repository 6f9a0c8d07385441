// Rows of a table as keys and values: RowReader takes chosen columns out of a KV pair, RowWriter makes the
// pair of a full row. Built once for a plan node, immutable. Format: docs/formats/rows.md.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/kv/api/keys.h"
#include "orrery/sql/catalog/descriptor.h"
#include "orrery/sql/types/row_codec.h"

namespace orrery::sql {

class RowReader {
 public:
  // Slot i of a row is the table's column ordinals[i].
  RowReader(const Table& table, std::span<const uint32_t> ordinals);
  // All columns, by ordinal.
  static RowReader Full(const Table& table);
  // Of a full row only the wanted columns (by ordinal); the other slots are left alone.
  static RowReader Partial(const Table& table, const std::vector<bool>& wanted);

  // Strings borrow from `key` and `value`.
  Status Read(std::string_view key, std::string_view value, std::span<Datum> row) const;

 private:
  struct Wanted {
    uint32_t ordinal = 0;
    uint32_t slot = 0;
  };
  RowReader(const Table& table, const std::vector<Wanted>& wanted);
  struct KeySlot {
    Oid type = 0;
    ordered::Direction direction = ordered::Direction::kAscending;
    int slot = -1;  // −1: not wanted
  };
  size_t prefix_bytes_ = 0;
  std::vector<KeySlot> key_slots_;  // up to the last wanted key column
  std::optional<TupleReader> value_reader_;
  std::optional<TupleReader> inexact_reader_;  // key columns that may be in the value too
};

class RowWriter {
 public:
  explicit RowWriter(const Table& table);
  // Appends to `key` and `value`. `row` is a full row; key columns are not NULL.
  void AppendKey(std::span<const Datum> row, std::string& key) const;
  void AppendValue(std::span<const Datum> row, std::string& value) const;

 private:
  struct Column {
    TupleColumn tuple;
    uint32_t ordinal = 0;
    bool in_key = false;
  };
  const Table* table_;
  std::vector<Column> columns_;           // by id: value columns, and key columns whose key form may lose something
  std::vector<TupleColumn> value_columns_;
  bool may_be_inexact_ = false;
};

// Appends the key with these key-column values; false if one of them is NULL (no row has it).
bool AppendRowKey(const Table& table, std::span<const Datum> key_values, std::string& key);

// May the key form of this type differ from the value (KeyIsExact)?
bool KeyMayBeInexact(Oid type);

}  // namespace orrery::sql
