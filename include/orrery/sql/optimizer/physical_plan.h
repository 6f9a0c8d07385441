// PhysicalPlan: what sql/exec runs. Immutable, shared by every session that sends the same statement;
// execution state lives elsewhere. Rows between nodes are slots 0…n−1, one a column of `output`;
// expressions of a node are over its input row (kSlot), the parameters and the variables.
//
// Row order of DML over a table: a "full row" has one slot a column of Table::columns(), by ordinal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/sql/binder/bound_statement.h"

namespace orrery::sql {

enum class PhysicalKind : uint8_t {
  // The direct path: the root of a plan of one node, no input, a key known in full.
  kPointGet, kPointInsert, kPointUpdate, kPointDelete,
  // Leaves
  kScan, kKeyLookup, kVirtualScan, kFunctionScan, kValues, kExternal,
  // Inner nodes
  kFilter, kProject, kHashJoin, kLookupJoin, kNestedLoopJoin, kHashAggregate, kStreamAggregate, kDistinctOn,
  kWindow,
  kSort, kLimit, kSetOperation,
  // Data changes: roots
  kInsert, kUpdate, kDelete,
};

struct OutputColumn {
  std::string name;
  Type type;
};

// In units of PostgreSQL's cost model; for EXPLAIN and for choosing.
struct Estimate {
  double startup_cost = 0;
  double total_cost = 0;
  double rows = 1;
  double width = 0;
};

struct PhysicalNode {
  explicit PhysicalNode(PhysicalKind k) : kind(k) {}
  virtual ~PhysicalNode() = default;
  const PhysicalKind kind;
  std::vector<OutputColumn> output;
  std::vector<std::unique_ptr<PhysicalNode>> inputs;
  Estimate estimate;
  template <class T>
  const T& As() const { return static_cast<const T&>(*this); }
};
using PhysicalNodePtr = std::unique_ptr<PhysicalNode>;

// Bounds of a key range: equal values for the first columns of the key, then perhaps a range of the next.
// The expressions have the key columns' types and use no slots. A NULL among them: no rows.
struct KeyBounds {
  std::vector<ExprPtr> equal;
  ExprPtr lower, upper;  // on key column equal.size(); null: open
  bool lower_inclusive = true;
  bool upper_inclusive = true;
  bool unbounded() const { return equal.empty() && !lower && !upper; }
};

// The rows a leaf gives out are locked when `lock.strength` is not kNone: those that pass `filter`.
struct PhysicalTableLeaf : PhysicalNode {
  using PhysicalNode::PhysicalNode;
  TablePtr table;
  std::string alias;                // as EXPLAIN names it
  std::vector<uint32_t> ordinals;   // output slot i is this column
  ExprPtr filter;                   // over the output row; null: none
  LockClause lock;
};
struct PhysicalScan : PhysicalTableLeaf {
  PhysicalScan() : PhysicalTableLeaf(PhysicalKind::kScan) {}
  KeyBounds bounds;
  bool reverse = false;
  std::optional<uint64_t> row_hint;  // the plan needs no more rows than this (after the filter)
};
// Rows by full keys: each element of `keys` has one expression a key column. Duplicates count once; NULLs
// find nothing. Rows come in key order if `ordered`.
struct PhysicalKeyLookup : PhysicalTableLeaf {
  PhysicalKeyLookup() : PhysicalTableLeaf(PhysicalKind::kKeyLookup) {}
  std::vector<std::vector<ExprPtr>> keys;
  ExprPtr array;  // no `keys`: the key's only column is any element of this array; null: `keys` says all
};
struct PhysicalVirtualScan : PhysicalTableLeaf {
  PhysicalVirtualScan() : PhysicalTableLeaf(PhysicalKind::kVirtualScan) {}
};
// generate_series(args…) and the like: `function_name` decides; WITH ORDINALITY adds an int8 at the end.
// A scalar function gives one row.
struct PhysicalFunctionScan : PhysicalNode {
  PhysicalFunctionScan() : PhysicalNode(PhysicalKind::kFunctionScan) {}
  std::string function_name;
  const Function* function = nullptr;  // of generate_series: timestamp + interval; null for numbers
  std::vector<ExprPtr> args;
  bool with_ordinality = false;
};
// Rows of expressions without slots. One row of no columns: SELECT without FROM.
struct PhysicalValues : PhysicalNode {
  PhysicalValues() : PhysicalNode(PhysicalKind::kValues) {}
  std::vector<std::vector<ExprPtr>> rows;
};
// Rows from the client: COPY FROM.
struct PhysicalExternal : PhysicalNode {
  PhysicalExternal() : PhysicalNode(PhysicalKind::kExternal) {}
};

struct PhysicalFilter : PhysicalNode {
  PhysicalFilter() : PhysicalNode(PhysicalKind::kFilter) {}
  ExprPtr condition;
};
struct PhysicalProject : PhysicalNode {
  PhysicalProject() : PhysicalNode(PhysicalKind::kProject) {}
  std::vector<ExprPtr> exprs;
};

// inputs[0] is the left (probe, outer) side, inputs[1] the right (build, inner) one. Output: left slots, then
// right slots; kSemi and kAnti: left slots only.
struct PhysicalHashJoin : PhysicalNode {
  PhysicalHashJoin() : PhysicalNode(PhysicalKind::kHashJoin) {}
  JoinType join = JoinType::kInner;
  std::vector<ExprPtr> left_keys;   // over the left row; pairwise of one type, or of types that hash alike
  std::vector<ExprPtr> right_keys;  // over the right row
  std::vector<const Function*> equals;
  ExprPtr residual;                 // over left slots then right slots; null: none
};
// For each left row: the rows of `table` whose first key columns equal `keys` (over the left row). Output as
// above, right slots by `ordinals`. kInner, kLeft, kSemi, kAnti.
struct PhysicalLookupJoin : PhysicalNode {
  PhysicalLookupJoin() : PhysicalNode(PhysicalKind::kLookupJoin) {}
  JoinType join = JoinType::kInner;
  TablePtr table;
  std::string alias;
  std::vector<uint32_t> ordinals;
  std::vector<ExprPtr> keys;
  bool full_key = false;  // at most one row a left row
  ExprPtr residual;       // over left slots then right slots
  LockClause lock;        // of the rows looked up
};
// All pairs. `variables`: set from the left row before each run of the right side (LATERAL).
struct VariableBinding {
  uint32_t variable = 0;
  ExprPtr value;  // over the left row (joins) or the row the subquery is evaluated for
};
struct PhysicalNestedLoopJoin : PhysicalNode {
  PhysicalNestedLoopJoin() : PhysicalNode(PhysicalKind::kNestedLoopJoin) {}
  JoinType join = JoinType::kInner;
  ExprPtr condition;  // over left slots then right slots; null: true
  std::vector<VariableBinding> variables;
};

struct PhysicalAggregateCall {
  const Function* function = nullptr;
  std::vector<ExprPtr> args;
  bool distinct = false;
  ExprPtr filter;
  std::vector<SortKey> order_by;
};
// Output: groups, then aggregates. No groups: exactly one row, also for no input. kStreamAggregate: input
// rows of a group are adjacent. No aggregates: DISTINCT.
struct PhysicalAggregate : PhysicalNode {
  explicit PhysicalAggregate(PhysicalKind k) : PhysicalNode(k) {}
  std::vector<ExprPtr> groups;
  std::vector<PhysicalAggregateCall> aggregates;
};
// Rows of a partition come together, in its order; output: the input's slots, then one a call.
struct PhysicalWindow : PhysicalNode {
  PhysicalWindow() : PhysicalNode(PhysicalKind::kWindow) {}
  std::vector<ExprPtr> partition_by;
  std::vector<SortKey> order_by;
  std::vector<WindowCall> calls;
};
// DISTINCT ON over sorted input: the first row of each run of equal `on` slots.
struct PhysicalDistinctOn : PhysicalNode {
  PhysicalDistinctOn() : PhysicalNode(PhysicalKind::kDistinctOn) {}
  std::vector<uint32_t> on;
};
struct PhysicalSort : PhysicalNode {
  PhysicalSort() : PhysicalNode(PhysicalKind::kSort) {}
  std::vector<SortKey> keys;
  ExprPtr top;  // only the first so many rows are needed (int8, no slots); null: all
};
struct PhysicalLimit : PhysicalNode {
  PhysicalLimit() : PhysicalNode(PhysicalKind::kLimit) {}
  ExprPtr limit, offset;  // int8, no slots; NULL: none. Negative: 2201W, 2201X
};
// Rows equal in all slots are one (NotDistinct); `all` keeps counts as SQL says. UNION ALL is an append.
struct PhysicalSetOperation : PhysicalNode {
  PhysicalSetOperation() : PhysicalNode(PhysicalKind::kSetOperation) {}
  SetOperation operation = SetOperation::kUnion;
  bool all = false;
};

struct PhysicalCheck {
  ExprPtr expr;  // over the new full row; 23514 when false
  std::string name;
};
struct PhysicalAssignment {
  uint32_t ordinal = 0;
  ExprPtr expr;
};
struct PhysicalOnConflict {
  ParsedOnConflict::Action action = ParsedOnConflict::Action::kNothing;
  // Over the existing full row, then the excluded full row.
  std::vector<PhysicalAssignment> set;
  ExprPtr where;
  // DO UPDATE makes the excluded row of whatever exists: putting that one does the same, unseen.
  bool replaces_row = false;
};
// inputs[0] gives full rows. RETURNING is over the new full row. NOT NULL (23502) and the checks are the
// executor's to test before writing; `output` is RETURNING's, empty if none.
struct PhysicalInsert : PhysicalNode {
  PhysicalInsert() : PhysicalNode(PhysicalKind::kInsert) {}
  TablePtr table;
  std::vector<PhysicalCheck> checks;
  std::optional<PhysicalOnConflict> on_conflict;
  std::vector<ExprPtr> returning;
};
// inputs[0] gives the full old row in its first slots, by ordinal, then whatever else is needed.
// Assignments are over that row; checks over the new full row; RETURNING over the new full row, then the
// rest of the input row. A row met twice (UPDATE … FROM) is changed once.
struct PhysicalUpdate : PhysicalNode {
  PhysicalUpdate() : PhysicalNode(PhysicalKind::kUpdate) {}
  TablePtr table;
  std::vector<PhysicalAssignment> set;
  bool changes_key = false;
  std::vector<PhysicalCheck> checks;
  std::vector<ExprPtr> returning;
};
// inputs[0] as for UPDATE. RETURNING over the input row.
struct PhysicalDelete : PhysicalNode {
  PhysicalDelete() : PhysicalNode(PhysicalKind::kDelete) {}
  TablePtr table;
  std::vector<ExprPtr> returning;
};

// Direct path. One row by its full key; every expression over a row is over the full row.
struct PhysicalPoint : PhysicalNode {
  using PhysicalNode::PhysicalNode;
  TablePtr table;
  std::string alias;
  std::vector<ExprPtr> key;  // no slots; one a key column, of its type
  ExprPtr filter;
};
struct PhysicalPointGet : PhysicalPoint {
  PhysicalPointGet() : PhysicalPoint(PhysicalKind::kPointGet) {}
  std::vector<ExprPtr> exprs;  // the result
  LockClause lock;
};
// Key columns are not assigned to: that is PhysicalUpdate's.
struct PhysicalPointUpdate : PhysicalPoint {
  PhysicalPointUpdate() : PhysicalPoint(PhysicalKind::kPointUpdate) {}
  std::vector<PhysicalAssignment> set;
  std::vector<PhysicalCheck> checks;
  std::vector<ExprPtr> returning;  // over the new full row
};
struct PhysicalPointDelete : PhysicalPoint {
  PhysicalPointDelete() : PhysicalPoint(PhysicalKind::kPointDelete) {}
  std::vector<ExprPtr> returning;  // over the old full row
};
// INSERT … VALUES: full rows of expressions without slots.
struct PhysicalPointInsert : PhysicalNode {
  PhysicalPointInsert() : PhysicalNode(PhysicalKind::kPointInsert) {}
  TablePtr table;
  std::vector<std::vector<ExprPtr>> rows;
  std::vector<PhysicalCheck> checks;
  std::optional<PhysicalOnConflict> on_conflict;
  std::vector<ExprPtr> returning;  // over the new full row
};

// A subquery, evaluated for a row of whoever holds the kSubquery expression with this number. Without
// variables its answer is the same for the whole execution: compute it once, when first needed.
struct PhysicalSubplan {
  PhysicalNodePtr root;
  std::vector<VariableBinding> variables;
};

struct PhysicalPlan {
  PhysicalNodePtr root;
  std::vector<PhysicalSubplan> subplans;
  uint32_t variable_count = 0;
  std::vector<ResultColumn> result;      // empty: no rows go to the client
  std::vector<Type> parameter_types;
  std::vector<TableUse> uses;
  std::string_view command;              // command tag: "SELECT", "INSERT" …
  bool read_only = true;                 // changes and locks nothing
  bool cacheable = true;
  // The root is one kPointGet, kPointInsert, kPointUpdate or kPointDelete and there are no subplans.
  bool direct = false;
};
using PhysicalPlanPtr = std::shared_ptr<const PhysicalPlan>;

}  // namespace orrery::sql
