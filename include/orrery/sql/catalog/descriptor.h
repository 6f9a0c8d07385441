// TableDescriptor: what the catalog stores of a table (docs/formats/catalog.md), and Table, the same made
// ready for planning and execution. Both are immutable once published and shared between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/ordered_encoding.h"
#include "orrery/base/timestamp.h"
#include "orrery/sql/types/row_codec.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

struct ColumnDescriptor {
  uint32_t id = 0;        // >= 1, never re-used in its table; also pg_attribute.attnum
  std::string name;
  uint32_t type = 0;      // Oid
  int32_t typmod = -1;
  bool not_null = false;
  bool hidden = false;    // not in SELECT *, not named by clients: the row id
  std::optional<std::string> default_sql;
  // Bytes of the value (a one-column tuple) that rows written before ADD COLUMN have; absent: NULL.
  std::optional<std::string> missing;
  Type full_type() const { return {type, typmod}; }
  template <class V> void Visit(V& v) {
    // One more than the modifier, so that its default is the wire's zero: timestamp(0) has the modifier 0.
    int32_t shifted = typmod + 1;
    v(1, id); v(2, name); v(3, type); v(4, shifted); v(5, not_null); v(6, hidden); v(7, default_sql);
    v(8, missing);
    if (shifted != typmod + 1) typmod = shifted - 1;
  }
};

struct KeyColumn {
  uint32_t column_id = 0;
  ordered::Direction direction = ordered::Direction::kAscending;
  template <class V> void Visit(V& v) { v(1, column_id); v(2, direction); }
};

struct CheckDescriptor {
  std::string name;
  std::string sql;  // the expression, over the table's columns
  template <class V> void Visit(V& v) { v(1, name); v(2, sql); }
};

enum class DescriptorState : uint8_t { kPublic = 0, kDropped = 1 };

// Invariants: column names are unique; the key columns exist and are NOT NULL; `storage` is never re-used.
struct TableDescriptor {
  DescriptorId id;           // also pg_class.oid
  DescriptorId schema;
  std::string name;
  uint64_t version = 1;      // +1 with every change
  DescriptorState state = DescriptorState::kPublic;
  std::vector<ColumnDescriptor> columns;
  uint32_t next_column_id = 1;
  std::string primary_key_name;        // empty: no PRIMARY KEY, the hidden row id is the key
  std::vector<KeyColumn> primary_key;  // in key order, never empty
  uint64_t primary_index = 1;          // index id in keys
  DescriptorId storage;                // table id in keys: changes with TRUNCATE and a new primary key
  std::vector<CheckDescriptor> checks;
  std::vector<std::string> options;    // "fillfactor=90": kept, without effect
  // Some rows were written beside the transaction that made the storage, at timestamps before its commit: an
  // older snapshot would see a part of them, and must not read this storage at all. Zero: none were.
  Timestamp rows_since;
  template <class V> void Visit(V& v) {
    v(1, id); v(2, schema); v(3, name); v(4, version); v(5, state); v(6, columns); v(7, next_column_id);
    v(8, primary_key_name); v(9, primary_key); v(10, primary_index); v(11, storage); v(12, checks);
    v(13, options); v(14, rows_since);
  }
};

// Rows of a virtual table are computed by the catalog: see virtual_table.h.
class VirtualTable;

// A table as the planner and executor use it. "Ordinal" is the index of a column in descriptor.columns,
// and the slot of that column in a full row.
struct Table {
  struct KeyPart {
    uint32_t ordinal = 0;
    uint32_t type = 0;
    ordered::Direction direction = ordered::Direction::kAscending;
  };

  TableDescriptor descriptor;
  std::string schema_name;
  std::string key_prefix;                   // table id and index id, encoded: every row key begins so
  std::vector<KeyPart> key;                 // the primary key, in key order
  std::vector<TupleColumn> value_columns;   // columns outside the key, by ascending id
  std::vector<uint32_t> value_ordinals;     // their ordinals, at the same positions
  std::shared_ptr<const VirtualTable> virtual_table;  // null: an ordinary table

  DescriptorId id() const { return descriptor.id; }
  const std::string& name() const { return descriptor.name; }
  const std::vector<ColumnDescriptor>& columns() const { return descriptor.columns; }
  bool has_primary_key() const { return !descriptor.primary_key_name.empty(); }
  // −1 if there is none. Hidden columns are not found by name.
  int FindColumn(std::string_view column) const;
  int OrdinalOfId(uint32_t column_id) const;
  // Position of a column in the key, −1 if it is none of the key.
  int KeyPosition(uint32_t ordinal) const;
};
using TablePtr = std::shared_ptr<const Table>;

TablePtr MakeTable(TableDescriptor descriptor, std::string schema_name);

// Fixed ids. System tables have ids < 100; objects that users make begin at kFirstUserDescriptorId, so
// that their OIDs look like PostgreSQL's.
inline constexpr DescriptorId kNamespaceTableId{2};
inline constexpr DescriptorId kDescriptorTableId{3};
inline constexpr DescriptorId kLeaseTableId{4};
inline constexpr DescriptorId kDatabaseId{5};              // database `postgres`
inline constexpr DescriptorId kPgCatalogSchemaId{11};      // PostgreSQL's own OID of it
inline constexpr DescriptorId kPublicSchemaId{2200};       // likewise
inline constexpr DescriptorId kInformationSchemaId{13000};
inline constexpr uint64_t kFirstUserDescriptorId = 16384;  // next_descriptor_id counts from here
inline constexpr uint32_t kRoleOid = 10;                   // role `postgres`
inline constexpr std::string_view kRowIdColumn = "rowid";

}  // namespace orrery::sql
