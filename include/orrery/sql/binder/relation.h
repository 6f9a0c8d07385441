// Relation: the relational tree the binder makes and the optimizer rewrites (Bound → Logical). Every output
// column has a ColumnId unique in its statement, so that moving a node never changes an expression.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/sql/binder/expr.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/types/compare.h"

namespace orrery::sql {

struct RelationColumn {
  ColumnId id = 0;
  std::string name;
  Type type;
};

struct SortKey {
  ExprPtr expr;
  SortDirection direction = SortDirection::kAscending;
  NullsOrder nulls = NullsOrder::kLast;
};

struct AggregateCall {
  const Function* function = nullptr;  // its `aggregate` does the work
  std::vector<ExprPtr> args;           // cast to the function's argument types; empty for count(*)
  bool distinct = false;
  ExprPtr filter;                      // null: none
  std::vector<SortKey> order_by;
  RelationColumn output;
};

// What a window function computes for each row of its partition. kAggregate: `function` over the frame.
enum class WindowFunction : uint8_t {
  kAggregate, kRowNumber, kRank, kDenseRank, kPercentRank, kCumeDist, kNtile, kLag, kLead, kFirstValue, kLastValue,
  kNthValue,
};
struct WindowFrame {
  using Bound = ParsedWindow::Bound;
  bool rows = false;  // ROWS; else RANGE, whose bounds are peers or unbounded
  Bound start = Bound::kUnboundedPreceding;
  Bound end = Bound::kCurrentRow;
  ExprPtr start_offset, end_offset;  // int8, over nothing
};
struct WindowCall {
  WindowFunction kind = WindowFunction::kAggregate;
  const Function* function = nullptr;
  std::vector<ExprPtr> args;
  ExprPtr filter;
  WindowFrame frame;
  RelationColumn output;
};

struct LockClause {
  RowLock strength = RowLock::kNone;
  RowWait wait = RowWait::kBlock;
};

struct Relation {
  enum class Kind : uint8_t {
    kScan,       // table; columns[i] is the table's column ordinals[i]
    kValues,     // rows of expressions over nothing; no columns and one row: SELECT without FROM
    kFunction,   // a set-returning function: function, args (over outer columns when lateral)
    kFilter,     // inputs[0], condition
    kProject,    // inputs[0], exprs: columns[i] = exprs[i]
    kJoin,       // inputs[0], inputs[1], join, condition (may be null); lateral: right sees left's columns
    kAggregate,  // inputs[0]; groups (columns first), then aggregates
    kWindow,     // inputs[0]; partitions by exprs, in them order by sort_keys; its columns, then windows' outputs
    kDistinct,   // inputs[0]; on: ColumnIds that make rows equal; the first row of each stays
    kSort,       // inputs[0], sort_keys
    kLimit,      // inputs[0], limit, offset (either may be null), both int8
    kSetOp,      // inputs[0], inputs[1] with equally typed columns; set_operation, set_all
    kExternal,   // rows given by the executor: COPY FROM
  };
  Kind kind = Kind::kValues;
  std::vector<RelationColumn> columns;
  std::vector<std::shared_ptr<Relation>> inputs;
  // kScan
  TablePtr table;
  std::vector<uint32_t> ordinals;
  std::string alias;
  LockClause lock;
  // kValues
  std::vector<std::vector<ExprPtr>> rows;
  // kFunction
  const Function* function = nullptr;
  std::string function_name;
  std::vector<ExprPtr> args;
  bool with_ordinality = false;
  // kFilter, kJoin
  ExprPtr condition;
  JoinType join = JoinType::kInner;
  bool lateral = false;
  // kProject, kAggregate (the groups)
  std::vector<ExprPtr> exprs;
  std::vector<AggregateCall> aggregates;
  // kWindow
  std::vector<WindowCall> windows;
  // kDistinct
  std::vector<ColumnId> on;
  // kSort, kLimit
  std::vector<SortKey> sort_keys;
  ExprPtr limit;
  ExprPtr offset;
  // kSetOp
  SetOperation set_operation = SetOperation::kUnion;
  bool set_all = false;
};
using RelationPtr = std::shared_ptr<Relation>;

}  // namespace orrery::sql
