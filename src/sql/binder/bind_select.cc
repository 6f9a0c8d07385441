// SELECT: a block of FROM, WHERE, GROUP BY, target list, ORDER BY; set operations and VALUES are in
// bind_set.cc. Every expression that sorting or DISTINCT ON needs becomes a target, hidden where it is not
// asked for, so that grouping rewrites all of them alike.
#include <algorithm>

#include "sql/binder/select_block.h"

namespace orrery::sql {

namespace {

std::string NameOf(const ParsedExpr& expr, int& strength) {
  using Kind = ParsedExpr::Kind;
  strength = 2;
  switch (expr.kind) {
    case Kind::kColumn:
    case Kind::kFunction: return expr.names.back();
    case Kind::kField: return expr.text;
    case Kind::kNullIf: return "nullif";
    case Kind::kCoalesce: return "coalesce";
    case Kind::kGreatest: return "greatest";
    case Kind::kLeast: return "least";
    case Kind::kRow: return "row";
    case Kind::kArray: return "array";
    case Kind::kSubscript: return NameOf(*expr.args[0], strength);
    case Kind::kKeyword: return expr.text;
    case Kind::kCollate: return NameOf(*expr.args[0], strength);
    case Kind::kCast: {
      std::string name = NameOf(*expr.args[0], strength);
      if (strength > 1) return name;
      strength = 1;
      return expr.type.names.back();
    }
    case Kind::kCase: {
      if (expr.args.back()) {
        std::string name = NameOf(*expr.args.back(), strength);
        if (strength > 1) return name;
      }
      strength = 1;
      return "case";
    }
    case Kind::kSubquery:
      if (expr.subquery_kind == ParsedExpr::SubqueryKind::kExists) return "exists";
      if (expr.subquery_kind == ParsedExpr::SubqueryKind::kArray) return "array";
      if (expr.subquery_kind == ParsedExpr::SubqueryKind::kScalar && !expr.subquery->targets.empty()) {
        const ParsedTarget& target = expr.subquery->targets[0];
        return target.alias.empty() ? NameOf(*target.expr, strength) : target.alias;
      }
      [[fallthrough]];
    default: strength = 0; return "?column?";
  }
}

}  // namespace

std::string StatementBinder::TargetName(const P& expr) const {
  int strength = 0;
  return NameOf(expr, strength);
}

StatusOr<Output> StatementBinder::Select(const ParsedSelect& select, const Scope* parent, Unknowns unknowns) {
  const CteFrame* const saved = ctes_;
  std::vector<std::unique_ptr<CteFrame>> frames;
  for (const ParsedCte& cte : select.ctes) {
    for (const auto& frame : frames)
      if (frame->cte->name == cte.name)
        return Error("42712", "WITH query name \"" + cte.name + "\" specified more than once", cte.position);
    frames.push_back(std::make_unique<CteFrame>(CteFrame{&cte, ctes_}));
    ctes_ = frames.back().get();
  }
  auto output = SelectBody(select, parent, unknowns);
  ctes_ = saved;
  return output;
}

StatusOr<Output> StatementBinder::SelectBody(const ParsedSelect& select, const Scope* parent, Unknowns unknowns) {
  if (select.set_operation != SetOperation::kNone) return SetOperation(select, parent, unknowns);
  if (!select.values.empty()) return Values(select, parent, unknowns);
  return SelectBlock(select, parent, unknowns);
}

StatusOr<Output> StatementBinder::SelectBlock(const ParsedSelect& select, const Scope* parent, Unknowns unknowns) {
  Block block(select);
  block.unknowns = unknowns;
  block.scope.parent = parent;
  block.scope.clause = "FROM";
  ASSIGN_OR_RETURN(block.relation, From(select.from, block.scope));
  RETURN_IF_ERROR(Locking(select, block.relation, block.scope));
  if (select.where) {
    block.scope.clause = "WHERE";
    ASSIGN_OR_RETURN(const ExprPtr condition, Bind(*select.where, block.scope));
    auto filter = std::make_shared<Relation>();
    filter->kind = Relation::Kind::kFilter;
    ASSIGN_OR_RETURN(filter->condition, CoerceBool(condition, "WHERE"));
    filter->columns = block.relation->columns;
    filter->inputs = {std::move(block.relation)};
    block.relation = std::move(filter);
  }
  const Relation* const before_series = block.relation.get();
  block.query.relation = &block.relation;
  block.scope.query = &block.query;
  block.query.select = &select;
  RETURN_IF_ERROR(Targets(block, select.targets));
  block.visible = block.targets.size();
  block.query.relation = nullptr;
  block.query.select = nullptr;
  const bool has_series = block.relation.get() != before_series;
  if (select.having) {
    block.scope.clause = "HAVING";
    ASSIGN_OR_RETURN(const ExprPtr having, Bind(*select.having, block.scope));
    ASSIGN_OR_RETURN(block.having, CoerceBool(having, "HAVING"));
  }
  block.query.select = &select;
  RETURN_IF_ERROR(OrderBy(block));
  block.query.select = nullptr;
  RETURN_IF_ERROR(GroupBy(block));
  RETURN_IF_ERROR(DistinctOn(block));
  for (size_t i = 0; i < block.targets.size(); ++i) {
    if (unknowns == Unknowns::kKeep && i < block.visible) continue;
    ASSIGN_OR_RETURN(block.targets[i].expr, KnownType(block.targets[i].expr));
  }
  if (!block.groups.empty() || !block.query.aggregates.empty() || block.having) {
    if (has_series) return UnsupportedError("set-returning functions together with aggregation");
    if (!select.locking.empty()) return Error("0A000", "FOR UPDATE is not allowed with aggregate functions");
    RETURN_IF_ERROR(ApplyGroups(block));
  }
  if (!block.query.windows.empty()) {
    if (has_series) return UnsupportedError("set-returning functions together with window functions");
    if (!select.locking.empty()) return Error("0A000", "FOR UPDATE is not allowed with window functions");
    RETURN_IF_ERROR(AddWindows(block));
  }
  ASSIGN_OR_RETURN(Output output, Assemble(block));
  return output;
}

Status StatementBinder::ExpandStar(Block& block, const P& star) {
  const std::string table = star.names.empty() ? "" : star.names.back();
  const std::string schema = star.names.size() > 1 ? star.names[star.names.size() - 2] : "";
  bool found = table.empty();
  for (const ScopeTable& candidate : block.scope.tables)
    found = found || (candidate.alias == table && (schema.empty() || candidate.schema == schema));
  if (!found) return Error("42P01", "missing FROM-clause entry for table \"" + table + "\"", star.position);
  if (table.empty() && block.scope.tables.empty())
    return Error("42601", "SELECT * with no tables specified is not valid", star.position);
  for (const ScopeColumn& column : block.scope.columns) {
    if (table.empty() ? column.merged : column.table != table) continue;
    Target& target = block.targets.emplace_back();
    const std::string full = column.table.empty() ? column.name : column.table + "." + column.name;
    target.expr = MakeColumn(column.id, column.type, full);
    target.name = column.name;
    target.table_oid = column.table_oid;
    target.number = column.number;
  }
  return OkStatus();
}

Status StatementBinder::Targets(Block& block, const std::vector<ParsedTarget>& targets) {
  for (const ParsedTarget& parsed : targets) {
    if (parsed.expr->kind == P::Kind::kStar) {
      RETURN_IF_ERROR(ExpandStar(block, *parsed.expr));
      continue;
    }
    ASSIGN_OR_RETURN(ExprPtr expr, Bind(*parsed.expr, block.scope));
    Target& target = block.targets.emplace_back();
    target.name = parsed.alias.empty() ? TargetName(*parsed.expr) : parsed.alias;
    if (expr->kind == Expr::Kind::kColumn)
      for (const Scope* level = &block.scope; level; level = level->parent)
        for (const ScopeColumn& column : level->columns)
          if (column.id == expr->column) {
            target.table_oid = column.table_oid;
            target.number = column.number;
          }
    target.expr = std::move(expr);
  }
  return OkStatus();
}

// The target an item of ORDER BY, GROUP BY or DISTINCT ON means by number or by name; −1 if by neither.
StatusOr<int> StatementBinder::Block::Find(const StatementBinder& binder, const ParsedExpr& expr,
                                           std::string_view clause) const {
  if (expr.kind == ParsedExpr::Kind::kInteger) {
    if (expr.integer < 1 || size_t(expr.integer) > visible)
      return binder.Error("42P10", std::string(clause) + " position " + std::to_string(expr.integer) +
                                       " is not in select list", expr.position);
    return int(expr.integer) - 1;
  }
  if (expr.kind == ParsedExpr::Kind::kString || expr.kind == ParsedExpr::Kind::kDecimal ||
      expr.kind == ParsedExpr::Kind::kBoolean)
    return binder.Error("42601", "non-integer constant in " + std::string(clause), expr.position);
  if (expr.kind != ParsedExpr::Kind::kColumn || expr.names.size() != 1) return -1;
  int found = -1;
  for (size_t i = 0; i < visible; ++i) {
    if (targets[i].name != expr.names[0]) continue;
    if (found >= 0 && !SameExpr(*targets[size_t(found)].expr, *targets[i].expr))
      return binder.Error("42702", std::string(clause) + " \"" + expr.names[0] + "\" is ambiguous", expr.position);
    if (found < 0) found = int(i);
  }
  return found;
}

size_t StatementBinder::Block::AddHidden(ExprPtr expr) {
  for (size_t i = 0; i < targets.size(); ++i)
    if (SameExpr(*targets[i].expr, *expr)) return i;
  targets.push_back({.expr = std::move(expr), .name = "?column?"});
  return targets.size() - 1;
}

Status StatementBinder::OrderBy(Block& block) {
  for (const ParsedSortItem& item : block.select.order_by) {
    ASSIGN_OR_RETURN(int index, block.Find(*this, *item.expr, "ORDER BY"));
    if (index < 0) {
      ASSIGN_OR_RETURN(ExprPtr expr, Bind(*item.expr, block.scope));
      ASSIGN_OR_RETURN(expr, KnownType(expr));
      index = int(block.AddHidden(std::move(expr)));
    }
    if (block.select.distinct && block.select.distinct_on.empty() && size_t(index) >= block.visible)
      return Error("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                   item.expr->position);
    block.sort.push_back({size_t(index), DirectionOf(item), NullsOf(item)});
  }
  return OkStatus();
}

Status StatementBinder::GroupBy(Block& block) {
  for (const ParsedExprPtr& item : block.select.group_by) {
    ExprPtr expr;
    const bool plain = item->kind == P::Kind::kColumn && item->names.size() == 1;
    const bool input = plain && std::any_of(block.scope.columns.begin(), block.scope.columns.end(),
                                            [&](const ScopeColumn& c) { return !c.merged && c.name == item->names[0]; });
    if (!input) {
      ASSIGN_OR_RETURN(const int index, block.Find(*this, *item, "GROUP BY"));
      if (index >= 0) {
        expr = block.targets[size_t(index)].expr;
        std::vector<ColumnId> ids;
        CollectColumns(*expr, ids);
        for (const AggregateCall& call : block.query.aggregates)
          if (std::find(ids.begin(), ids.end(), call.output.id) != ids.end())
            return Error("42803", "aggregate functions are not allowed in GROUP BY", expr->position);
      }
    }
    if (!expr) {
      Scope scope = block.scope;
      scope.query = nullptr;
      scope.clause = "GROUP BY";
      ASSIGN_OR_RETURN(expr, Bind(*item, scope));
    }
    ASSIGN_OR_RETURN(expr, KnownType(expr));
    if (std::none_of(block.groups.begin(), block.groups.end(), [&](const ExprPtr& g) { return SameExpr(*g, *expr); }))
      block.groups.push_back(std::move(expr));
  }
  return OkStatus();
}

Status StatementBinder::DistinctOn(Block& block) {
  for (const ParsedExprPtr& item : block.select.distinct_on) {
    ASSIGN_OR_RETURN(int index, block.Find(*this, *item, "DISTINCT ON"));
    if (index < 0) {
      ASSIGN_OR_RETURN(ExprPtr expr, Bind(*item, block.scope));
      ASSIGN_OR_RETURN(expr, KnownType(expr));
      index = int(block.AddHidden(std::move(expr)));
    }
    block.distinct_on.push_back(size_t(index));
  }
  if (block.distinct_on.empty()) return OkStatus();
  const auto among = [&](size_t index) {
    return std::find(block.distinct_on.begin(), block.distinct_on.end(), index) != block.distinct_on.end();
  };
  // The sort must begin with the DISTINCT ON expressions, in any order; what is missing is appended to it.
  std::vector<size_t> sorted;
  for (const Block::Sort& key : block.sort) {
    if (sorted.size() == block.distinct_on.size()) break;
    if (!among(key.target))
      return Error("42P10", "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                   block.select.distinct_on[0]->position);
    if (std::find(sorted.begin(), sorted.end(), key.target) == sorted.end()) sorted.push_back(key.target);
  }
  for (const size_t index : block.distinct_on) {
    if (std::find(sorted.begin(), sorted.end(), index) != sorted.end()) continue;
    block.sort.push_back({index, SortDirection::kAscending, NullsOrder::kLast});
    sorted.push_back(index);
  }
  return OkStatus();
}

namespace {
RelationPtr Over(Relation::Kind kind, RelationPtr input) {
  auto out = std::make_shared<Relation>();
  out->kind = kind;
  out->columns = input->columns;
  out->inputs = {std::move(input)};
  return out;
}
}  // namespace

StatusOr<Output> StatementBinder::Assemble(Block& block) {
  RelationPtr project = Over(Relation::Kind::kProject, std::move(block.relation));
  project->columns.clear();
  std::vector<ColumnId> used;
  for (const Target& target : block.targets) {
    ColumnId id = target.expr->kind == Expr::Kind::kColumn ? target.expr->column : 0;
    if (id == 0 || std::find(used.begin(), used.end(), id) != used.end()) id = NewColumn();
    used.push_back(id);
    project->columns.push_back({id, target.name, target.expr->type});
    project->exprs.push_back(target.expr);
  }
  Output output;
  const std::vector<RelationColumn> columns = project->columns;
  for (size_t i = 0; i < block.visible; ++i)
    output.result.push_back({block.targets[i].name, columns[i].type, block.targets[i].table_oid,
                             block.targets[i].number});
  RelationPtr root = std::move(project);
  if (block.select.distinct && block.distinct_on.empty()) {
    root = Over(Relation::Kind::kDistinct, std::move(root));
    for (const RelationColumn& column : columns) root->on.push_back(column.id);
  }
  if (!block.sort.empty()) {
    root = Over(Relation::Kind::kSort, std::move(root));
    for (const Block::Sort& key : block.sort) {
      const RelationColumn& column = columns[key.target];
      root->sort_keys.push_back({MakeColumn(column.id, column.type, column.name), key.direction, key.nulls});
    }
  }
  if (!block.distinct_on.empty()) {
    root = Over(Relation::Kind::kDistinct, std::move(root));
    for (const size_t index : block.distinct_on) root->on.push_back(columns[index].id);
  }
  output.root = std::move(root);
  RETURN_IF_ERROR(Limit(block.select, output));
  if (block.visible < columns.size()) {
    RelationPtr visible = Over(Relation::Kind::kProject, std::move(output.root));
    visible->columns.resize(block.visible);
    for (const RelationColumn& column : visible->columns)
      visible->exprs.push_back(MakeColumn(column.id, column.type, column.name));
    output.root = std::move(visible);
  }
  return output;
}

StatusOr<ExprPtr> StatementBinder::LimitExpression(const ParsedExprPtr& expr, std::string_view name) {
  Scope nothing;
  nothing.clause = name;
  ASSIGN_OR_RETURN(const ExprPtr bound, Bind(*expr, nothing));
  if (bound->type.oid != oid::kUnknown &&
      !CanCast(options_.functions, bound->type.oid, oid::kInt8, CastContext::kAssignment))
    return Error("42804", "argument of " + std::string(name) + " must be type bigint, not type " +
                              std::string(TypeName(bound->type.oid)), expr->position);
  return Coerce(bound, {oid::kInt8}, CastContext::kAssignment);
}

Status StatementBinder::Limit(const ParsedSelect& select, Output& output) {
  if (!select.limit && !select.offset) return OkStatus();
  RelationPtr limit = Over(Relation::Kind::kLimit, std::move(output.root));
  if (select.limit) {
    ASSIGN_OR_RETURN(limit->limit, LimitExpression(select.limit, "LIMIT"));
  }
  if (select.offset) {
    ASSIGN_OR_RETURN(limit->offset, LimitExpression(select.offset, "OFFSET"));
  }
  output.root = std::move(limit);
  return OkStatus();
}

namespace {
void LockScans(const RelationPtr& relation, const std::vector<std::string>& aliases, const LockClause& lock) {
  if (relation->kind == Relation::Kind::kScan) {
    const bool meant = aliases.empty() || std::find(aliases.begin(), aliases.end(), relation->alias) != aliases.end();
    if (meant && !relation->table->virtual_table && relation->lock.strength <= lock.strength) relation->lock = lock;
    return;
  }
  for (const RelationPtr& input : relation->inputs) LockScans(input, aliases, lock);
}
}  // namespace

Status StatementBinder::Locking(const ParsedSelect& select, const RelationPtr& from, const Scope& scope) {
  static constexpr const char* kNames[] = {"", "FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE", "FOR UPDATE"};
  for (const ParsedLocking& locking : select.locking) {
    const std::string name = kNames[int(locking.strength)];
    const char* forbidden = select.distinct             ? "DISTINCT clause"
                            : !select.group_by.empty() ? "GROUP BY clause"
                            : select.having            ? "HAVING clause"
                                                       : nullptr;
    if (forbidden) return Error("0A000", name + " is not allowed with " + forbidden);
    std::vector<std::string> aliases;
    for (const ParsedTableName& table : locking.of) {
      const bool known = std::any_of(scope.tables.begin(), scope.tables.end(),
                                     [&](const ScopeTable& t) { return t.alias == table.name; });
      if (!known)
        return Error("42P01", "relation \"" + table.name + "\" in " + name + " clause not found in FROM clause",
                     table.position);
      aliases.push_back(table.name);
    }
    LockScans(from, aliases, {locking.strength, locking.wait});
  }
  return OkStatus();
}

}  // namespace orrery::sql
