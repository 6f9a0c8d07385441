#include "sql/optimizer/columns.h"

#include <algorithm>

namespace orrery::sql::optimizer {
namespace {

// Calls `fn` for every expression that the relation itself holds (not those of its inputs).
template <class F>
void ForEachExpr(const Relation& r, F&& fn) {
  const auto call = [&](const ExprPtr& e) {
    if (e) fn(e);
  };
  for (const auto& row : r.rows) {
    for (const auto& e : row) call(e);
  }
  for (const auto& e : r.args) call(e);
  call(r.condition);
  for (const auto& e : r.exprs) call(e);
  for (const auto& aggregate : r.aggregates) {
    for (const auto& e : aggregate.args) call(e);
    call(aggregate.filter);
    for (const auto& key : aggregate.order_by) call(key.expr);
  }
  for (const auto& window : r.windows) {
    for (const auto& e : window.args) call(e);
    call(window.filter);
  }
  for (const auto& key : r.sort_keys) call(key.expr);
  call(r.limit);
  call(r.offset);
}

void AddDefined(const Relation& r, ColumnSet& out) {
  for (const auto& column : r.columns) out.insert(column.id);
  for (const auto& input : r.inputs) AddDefined(*input, out);
}

}  // namespace

void AddAllReads(const ExprPtr& expr, ColumnSet& out) {
  if (!expr) return;
  if (expr->kind == Expr::Kind::kColumn) out.insert(expr->column);
  for (const auto& arg : expr->args) AddAllReads(arg, out);
  if (expr->query) {
    AddAllReads(*expr->query, out);
    for (const auto& column : expr->query->columns) out.insert(column.id);  // its result
  }
}

void AddAllReads(const Relation& relation, ColumnSet& out) {
  ForEachExpr(relation, [&](const ExprPtr& e) { AddAllReads(e, out); });
  for (const ColumnId id : relation.on) out.insert(id);
  for (const auto& input : relation.inputs) {
    AddAllReads(*input, out);
    // Set operations match columns by position, and count rows by all of them.
    if (relation.kind == Relation::Kind::kSetOp) {
      for (const auto& column : input->columns) out.insert(column.id);
    }
  }
}

void AddOuterReads(const Relation& relation, ColumnSet& out) {
  ColumnSet reads;
  ForEachExpr(relation, [&](const ExprPtr& e) { AddReads(e, reads); });
  for (const auto& input : relation.inputs) AddOuterReads(*input, reads);
  ColumnSet defined;
  AddDefined(relation, defined);
  std::set_difference(reads.begin(), reads.end(), defined.begin(), defined.end(), std::inserter(out, out.end()));
}

void AddReads(const ExprPtr& expr, ColumnSet& out) {
  if (!expr) return;
  if (expr->kind == Expr::Kind::kColumn) out.insert(expr->column);
  for (const auto& arg : expr->args) AddReads(arg, out);
  if (expr->query) AddOuterReads(*expr->query, out);
}

ColumnSet Reads(const ExprPtr& expr) {
  ColumnSet out;
  AddReads(expr, out);
  return out;
}

ColumnSet Outputs(const Relation& relation) {
  ColumnSet out;
  for (const auto& column : relation.columns) out.insert(column.id);
  return out;
}

bool IsSubset(const ColumnSet& a, const ColumnSet& b) { return std::includes(b.begin(), b.end(), a.begin(), a.end()); }

bool Intersects(const ColumnSet& a, const ColumnSet& b) {
  return std::any_of(a.begin(), a.end(), [&](ColumnId id) { return b.contains(id); });
}

ExprPtr Substitute(const ExprPtr& expr, const Substitution& with) {
  if (!expr) return expr;
  if (expr->kind == Expr::Kind::kColumn) {
    const auto it = with.find(expr->column);
    return it == with.end() ? expr : it->second;
  }
  return MapChildren(expr, [&](const ExprPtr& child) { return Substitute(child, with); });
}

bool CanSubstitute(const ExprPtr& expr) { return !HasSubquery(*expr) && VolatilityOf(*expr) != Volatility::kVolatile; }

}  // namespace orrery::sql::optimizer
