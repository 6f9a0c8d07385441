// Grouping: expressions over input columns become expressions over groups and aggregates.
#include <algorithm>

#include "sql/binder/select_block.h"

namespace orrery::sql {

void CollectColumns(const Expr& expr, std::vector<ColumnId>& out) {
  if (expr.kind == Expr::Kind::kColumn) out.push_back(expr.column);
  for (const ExprPtr& arg : expr.args)
    if (arg) CollectColumns(*arg, out);
  if (expr.query) CollectColumns(*expr.query, out);
}

void CollectColumns(const Relation& relation, std::vector<ColumnId>& out) {
  const auto add = [&](const ExprPtr& expr) {
    if (expr) CollectColumns(*expr, out);
  };
  for (const auto& row : relation.rows)
    for (const ExprPtr& expr : row) add(expr);
  for (const ExprPtr& expr : relation.args) add(expr);
  for (const ExprPtr& expr : relation.exprs) add(expr);
  for (const SortKey& key : relation.sort_keys) add(key.expr);
  for (const AggregateCall& call : relation.aggregates) {
    for (const ExprPtr& expr : call.args) add(expr);
    add(call.filter);
  }
  for (const WindowCall& call : relation.windows) {
    for (const ExprPtr& expr : call.args) add(expr);
    add(call.filter);
  }
  add(relation.condition);
  add(relation.limit);
  add(relation.offset);
  for (const RelationPtr& input : relation.inputs) CollectColumns(*input, out);
}

namespace {

class GroupRewriter {
 public:
  GroupRewriter(const Scope& scope, std::vector<ExprPtr>& groups, std::vector<RelationColumn>& outputs)
      : scope_(scope), groups_(groups), outputs_(outputs) {
    for (const ScopeTable& table : scope.tables) AddDependent(table);
  }

  ExprPtr Rewrite(const ExprPtr& expr) {
    for (size_t i = 0; i < groups_.size(); ++i)
      if (SameExpr(*groups_[i], *expr)) return MakeColumn(outputs_[i].id, outputs_[i].type, outputs_[i].name);
    if (expr->kind == Expr::Kind::kColumn) return Column(expr);
    if (expr->query) {
      std::vector<ColumnId> inside;
      CollectColumns(*expr->query, inside);
      for (const ColumnId id : inside)
        if (!Allowed(id)) Fail(id, expr->position, true);
    }
    return MapChildren(expr, [this](const ExprPtr& child) { return Rewrite(child); });
  }

  ColumnId failed() const { return failed_; }
  int position() const { return position_; }
  bool in_subquery() const { return in_subquery_; }

 private:
  // A table whose whole primary key is grouped by: its other columns depend on it (SQL's T301).
  void AddDependent(const ScopeTable& table) {
    if (!table.table || !table.table->has_primary_key()) return;
    for (const Table::KeyPart& part : table.table->key) {
      const uint32_t number = table.table->columns()[part.ordinal].id;
      const bool grouped = std::any_of(scope_.columns.begin(), scope_.columns.end(), [&](const ScopeColumn& column) {
        return column.table == table.alias && column.number == number && IsGroup(column.id);
      });
      if (!grouped) return;
    }
    for (const ScopeColumn& column : scope_.columns)
      if (column.table == table.alias) dependent_.push_back(column.id);
  }
  bool IsGroup(ColumnId id) const {
    return std::any_of(groups_.begin(), groups_.end(),
                       [&](const ExprPtr& g) { return g->kind == Expr::Kind::kColumn && g->column == id; });
  }
  bool IsInput(ColumnId id) const {
    return std::any_of(scope_.columns.begin(), scope_.columns.end(),
                       [&](const ScopeColumn& column) { return column.id == id; });
  }
  // Outer columns, aggregates and groups may stand as they are; dependent columns become groups.
  bool Allowed(ColumnId id) {
    if (!IsInput(id) || IsGroup(id)) return true;
    if (std::find(dependent_.begin(), dependent_.end(), id) == dependent_.end()) return false;
    for (const ScopeColumn& column : scope_.columns) {
      if (column.id != id) continue;
      groups_.push_back(MakeColumn(id, column.type, column.name));
      outputs_.push_back({id, column.name, column.type});
      break;
    }
    return true;
  }
  ExprPtr Column(const ExprPtr& expr) {
    if (!Allowed(expr->column)) Fail(expr->column, expr->position, false);
    return expr;
  }
  void Fail(ColumnId id, int position, bool in_subquery) {
    if (failed_ != 0) return;
    failed_ = id;
    position_ = position;
    in_subquery_ = in_subquery;
  }

  const Scope& scope_;
  std::vector<ExprPtr>& groups_;
  std::vector<RelationColumn>& outputs_;
  std::vector<ColumnId> dependent_;
  ColumnId failed_ = 0;
  int position_ = -1;
  bool in_subquery_ = false;
};

}  // namespace

Status StatementBinder::ApplyGroups(Block& block) {
  std::vector<RelationColumn> outputs;
  for (const ExprPtr& group : block.groups) {
    // A plain column keeps its id, so that subqueries that mention it stay right.
    const bool plain = group->kind == Expr::Kind::kColumn;
    outputs.push_back({plain ? group->column : NewColumn(), plain ? group->name : "?column?", group->type});
  }
  GroupRewriter rewriter(block.scope, block.groups, outputs);
  for (Target& target : block.targets) target.expr = rewriter.Rewrite(target.expr);
  if (block.having) block.having = rewriter.Rewrite(block.having);
  for (QueryState::Window& window : block.query.windows) {
    for (ExprPtr& expr : window.partition_by) expr = rewriter.Rewrite(expr);
    for (SortKey& key : window.order_by) key.expr = rewriter.Rewrite(key.expr);
    for (WindowCall& call : window.calls) {
      for (ExprPtr& arg : call.args) arg = rewriter.Rewrite(arg);
      if (call.filter) call.filter = rewriter.Rewrite(call.filter);
    }
  }
  if (rewriter.failed() != 0) {
    std::string name;
    for (const ScopeColumn& column : block.scope.columns)
      if (column.id == rewriter.failed()) name = (column.table.empty() ? "" : column.table + ".") + column.name;
    if (rewriter.in_subquery())
      return Error("42803", "subquery uses ungrouped column \"" + name + "\" from outer query", rewriter.position());
    return Error("42803",
                 "column \"" + name + "\" must appear in the GROUP BY clause or be used in an aggregate function",
                 rewriter.position());
  }
  auto aggregate = std::make_shared<Relation>();
  aggregate->kind = Relation::Kind::kAggregate;
  aggregate->columns = std::move(outputs);
  aggregate->exprs = block.groups;
  for (const AggregateCall& call : block.query.aggregates) aggregate->columns.push_back(call.output);
  aggregate->aggregates = std::move(block.query.aggregates);
  aggregate->inputs = {std::move(block.relation)};
  block.relation = std::move(aggregate);
  if (!block.having) return OkStatus();
  auto filter = std::make_shared<Relation>();
  filter->kind = Relation::Kind::kFilter;
  filter->columns = block.relation->columns;
  filter->condition = block.having;
  filter->inputs = {std::move(block.relation)};
  block.relation = std::move(filter);
  return OkStatus();
}

}  // namespace orrery::sql
