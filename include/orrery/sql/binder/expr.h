// Expr: a typed expression, the same from binding to execution. Immutable and shared: rewriting makes new
// nodes only where something changes.
//
// Stages: the binder's kColumn names a ColumnId, unique in its statement; the optimizer turns it into
// kSlot, a position in the input row of the physical node the expression belongs to. Columns of an outer
// query become kVariable. Subqueries are relations while bound, numbers of subplans when physical.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/sql/parser/parsed_query.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

struct Relation;
struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;
using ColumnId = uint32_t;  // 1 and up; 0 is none

struct Expr {
  enum class Kind : uint8_t {
    kConstant,   // value
    kParameter,  // index: 0 is $1
    kColumn,     // column (bound and logical stage only)
    kSlot,       // index into the input row (physical stage)
    kVariable,   // index into the execution's variables: a value of an outer row (physical stage)
    kFunction,   // function(args…); `op` where it was written as an operator
    kCast,       // cast(args[0])
    kNarrow,     // args[0], an integer, as the smaller integer `type`; NULL if it does not fit
    kAnd,        // args, two or more; three-valued
    kOr,
    kNot,
    kIsNull,     // negated: IS NOT NULL
    kBooleanTest,
    kCase,       // args: when, then, when, then, …, else
    kCoalesce,
    kNullIf,     // args a, b after casts for `function` (equality); result is args[2], a before casts
    kGreatest,   // all args of type `type`; order of CompareDatums; NULLs ignored
    kLeast,
    kDistinct,   // args a, b; IS DISTINCT FROM by `function` (equality); negated: IS NOT DISTINCT FROM
    kIn,         // args[0] = any of args[1…] by `function` (equality, on equal types); negated: NOT IN
    kAnyArray,   // args[0] `function` any element of the array args[1]; negated: all elements
    kSubquery,   // test; see below
    kRaise,      // evaluating it fails with `error`
    kAggregateRef,  // inside the binder only
  };
  // kScalar: column 0 of the only row; NULL for no row; 21000 for more. kExists: any row. kAny, kAll:
  // args[i] functions[i] column i of each row, all of them true (ANDed, three-valued), for any or all rows. kArray:
  // column 0 of all rows, in an array.
  using SubqueryKind = ParsedExpr::SubqueryKind;

  Kind kind = Kind::kConstant;
  Type type;
  bool negated = false;
  ParsedExpr::Test test = ParsedExpr::Test::kTrue;
  SubqueryKind subquery_kind = SubqueryKind::kScalar;
  ColumnId column = 0;
  uint32_t index = 0;  // parameter, slot, variable; kSubquery: number of the subplan
  int position = -1;   // byte offset in the query string
  Datum value;
  const Function* function = nullptr;
  const Operator* op = nullptr;
  std::shared_ptr<const CastPath> cast;
  std::vector<ExprPtr> args;
  std::vector<const Function*> functions;
  std::shared_ptr<const Relation> query;  // kSubquery, before the physical stage
  std::string name;                       // of a column, for EXPLAIN
  Status error;
};

// Makers. `position` is optional.
ExprPtr MakeConstant(Type type, Datum value);
ExprPtr MakeColumn(ColumnId column, Type type, std::string name);
ExprPtr MakeSlot(uint32_t slot, Type type, std::string name = "");
ExprPtr MakeAnd(std::vector<ExprPtr> conjuncts);  // flattens; null for none
ExprPtr MakeNot(ExprPtr arg);

// Appends the conjuncts of `expr` (nothing for null).
void SplitConjuncts(const ExprPtr& expr, std::vector<ExprPtr>& out);
// The worst volatility of all functions below (stable for casts that read settings).
Volatility VolatilityOf(const Expr& expr);
// Same computation? Compares everything but positions and names.
bool SameExpr(const Expr& a, const Expr& b);
bool IsConstant(const Expr& expr);
// Contains a kSubquery?
bool HasSubquery(const Expr& expr);

// Copy with every child replaced by `fn(child)`; the same pointer if none changed.
ExprPtr MapChildren(const ExprPtr& expr, const std::function<ExprPtr(const ExprPtr&)>& fn);

// SQL text for EXPLAIN and pg_get_expr: "(abalance > 5)".
std::string ExprToSql(const Expr& expr);

}  // namespace orrery::sql
