// Rows as keys and values: key columns in their order (bytewise order of keys = SQL order of
// tuples), other columns as a tuple tagged with column ids. Every byte: docs/formats/rows.md. Pure
// functions; malformed bytes are DataLoss, never a crash.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/ordered_encoding.h"
#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

// Appends table id and index id: what every key of an index begins with. `out` already holds the
// key-space's own prefix, if there is one.
void AppendIndexPrefix(std::string& out, uint64_t table_id, uint64_t index_id);
// Takes both off the front of `in`.
Status ReadIndexPrefix(std::string_view& in, uint64_t& table_id, uint64_t& index_id);

// Can a column of this type be part of a key?
bool IsKeyType(Oid type);
// Appends one column, NULL included. Equal values (compare.h) give equal bytes. Precondition:
// IsKeyType.
void AppendKeyColumn(std::string& out, Oid type, const Datum& value,
                     ordered::Direction direction = ordered::Direction::kAscending);
// Takes one column off the front of `in`. The value equals the one that was appended, but may print
// differently unless KeyIsExact held for it.
Status ReadKeyColumn(std::string_view& in, Oid type, ordered::Direction direction, Datum& out);
Status SkipKeyColumn(std::string_view& in, Oid type, ordered::Direction direction);
// False if the key form loses something that equality ignores (numeric 1.50's scale, char(n)'s
// blanks, −0, interval '24:00' against '1 day'). Such a key column must be stored in the value
// tuple as well, and read from there.
bool KeyIsExact(Oid type, const Datum& value);

// One column of a value tuple.
struct TupleColumn {
  uint32_t id = 0;  // column id, >= 1, unique in the table, never reused
  Oid type = oid::kInvalid;
};

// Appends a tuple: `columns` by ascending id, `values` one a column. Every given column is stored,
// NULLs too, so that a reader tells NULL from "added later".
void AppendTuple(std::string& out, std::span<const TupleColumn> columns,
                 std::span<const Datum> values);
// An empty tuple (a row whose columns are all in the key) is the version byte alone.

// Reads chosen columns out of tuples. Immutable after construction; share it between threads.
class TupleReader {
 public:
  struct Column {
    uint32_t id = 0;
    Oid type = oid::kInvalid;
    uint32_t slot = 0;  // index into the output row
    Datum missing;  // value when the tuple has no such column: the default of a column added later,
                    // usually NULL
  };
  enum class Absent : uint8_t {
    kFill,  // write `missing` into the slot
    kKeep,  // leave the slot alone: for key columns that are in the tuple only when KeyIsExact did
            // not hold
  };

  // Columns in any order.
  explicit TupleReader(std::vector<Column> columns, Absent absent = Absent::kFill);
  // Fills the slots of `row` from a tuple. Strings and numerics borrow from `tuple`.
  Status Read(std::string_view tuple, std::span<Datum> row) const;

 private:
  std::vector<Column> columns_;  // by id
  Absent absent_;
};

// All columns of a tuple with their wire form, for tools and debugging.
StatusOr<std::string> DescribeTuple(std::string_view tuple);

}  // namespace orrery::sql
