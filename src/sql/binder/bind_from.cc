// FROM: tables, subqueries, functions, CTEs and joins become relations; their columns enter the scope.
#include <algorithm>

#include "sql/binder/statement_binder.h"

namespace orrery::sql {

namespace {
RelationPtr MakeJoin(JoinType type, RelationPtr left, RelationPtr right) {
  auto join = std::make_shared<Relation>();
  join->kind = Relation::Kind::kJoin;
  join->join = type;
  join->columns = left->columns;
  join->columns.insert(join->columns.end(), right->columns.begin(), right->columns.end());
  join->inputs = {std::move(left), std::move(right)};
  return join;
}
}  // namespace

Status StatementBinder::AddTable(Scope& scope, ScopeTable table, int position) {
  for (const ScopeTable& other : scope.tables) {
    const bool both_plain = other.table && table.table && other.alias == other.table_name &&
                            table.alias == table.table_name && other.schema != table.schema;
    if (other.alias == table.alias && !other.alias.empty() && !both_plain)
      return Error("42712", "table name \"" + table.alias + "\" specified more than once", position);
  }
  scope.tables.push_back(std::move(table));
  return OkStatus();
}

StatusOr<RelationPtr> StatementBinder::From(const std::vector<ParsedFromPtr>& items, Scope& scope) {
  RelationPtr out;
  for (const ParsedFromPtr& item : items) {
    ASSIGN_OR_RETURN(RelationPtr relation, FromItem(*item, scope));
    if (!out) {
      out = std::move(relation);
      continue;
    }
    const bool lateral = item->lateral || item->kind == ParsedFrom::Kind::kFunction;
    out = MakeJoin(JoinType::kInner, std::move(out), std::move(relation));
    out->lateral = lateral;
  }
  if (out) return out;
  auto one_row = std::make_shared<Relation>();
  one_row->kind = Relation::Kind::kValues;
  one_row->rows.emplace_back();
  return one_row;
}

// `scope` holds what stands to the left: LATERAL may use it; the item's own columns are added.
StatusOr<RelationPtr> StatementBinder::FromItem(const ParsedFrom& item, Scope& scope) {
  switch (item.kind) {
    case ParsedFrom::Kind::kTable: return FromTable(item, scope);
    case ParsedFrom::Kind::kSubquery: return FromSubquery(item, scope);
    case ParsedFrom::Kind::kFunction: return FromFunction(item, scope);
    case ParsedFrom::Kind::kJoin: return Join(item, scope);
  }
  return InternalError("unknown kind of FROM item");
}

RelationPtr StatementBinder::ScanOf(const TablePtr& table, const std::string& alias, Scope& scope) {
  auto scan = std::make_shared<Relation>();
  scan->kind = Relation::Kind::kScan;
  scan->table = table;
  scan->alias = alias;
  for (uint32_t i = 0; i < table->columns().size(); ++i) {
    const ColumnDescriptor& column = table->columns()[i];
    const ColumnId id = NewColumn();
    scan->columns.push_back({id, column.name, column.full_type()});
    scan->ordinals.push_back(i);
    if (column.hidden) continue;
    scope.columns.push_back({.table = alias,
                             .name = column.name,
                             .id = id,
                             .type = column.full_type(),
                             .table_oid = uint32_t(table->id().value()),
                             .number = uint16_t(column.id)});
  }
  return scan;
}

StatusOr<RelationPtr> StatementBinder::FromTable(const ParsedFrom& item, Scope& scope) {
  if (item.table.schema.empty())
    for (const CteFrame* frame = ctes_; frame; frame = frame->outer)
      if (frame->cte->name == item.table.name) return FromCte(*frame, item, scope);
  ASSIGN_OR_RETURN(const TablePtr table, FindTable(item.table));
  const std::string alias = item.alias.name.empty() ? table->name() : item.alias.name;
  RETURN_IF_ERROR(AddTable(scope, {alias, table->schema_name, table->name(), table}, item.position));
  const size_t first = scope.columns.size();
  RelationPtr scan = ScanOf(table, alias, scope);
  if (item.alias.columns.size() > scope.columns.size() - first)
    return Error("42P10", "table \"" + alias + "\" has " + std::to_string(scope.columns.size() - first) +
                              " columns available but " + std::to_string(item.alias.columns.size()) +
                              " columns specified", item.position);
  for (size_t i = 0; i < item.alias.columns.size(); ++i) scope.columns[first + i].name = item.alias.columns[i];
  return scan;
}

Status StatementBinder::AddOutput(const Output& output, const ParsedAlias& alias, std::string_view fallback,
                                  int position, Scope& scope) {
  const std::string name = alias.name.empty() ? std::string(fallback) : alias.name;
  RETURN_IF_ERROR(AddTable(scope, {name, "", "", nullptr}, position));
  if (alias.columns.size() > output.result.size())
    return Error("42P10", "table \"" + name + "\" has " + std::to_string(output.result.size()) +
                              " columns available but " + std::to_string(alias.columns.size()) + " columns specified",
                 position);
  for (size_t i = 0; i < output.result.size(); ++i)
    scope.columns.push_back({.table = name,
                             .name = i < alias.columns.size() ? alias.columns[i] : output.result[i].name,
                             .id = output.root->columns[i].id,
                             .type = output.result[i].type,
                             .table_oid = output.result[i].table_oid,
                             .number = output.result[i].column_number});
  return OkStatus();
}

StatusOr<RelationPtr> StatementBinder::FromSubquery(const ParsedFrom& item, Scope& scope) {
  if (item.alias.name.empty())
    return Error("42601", std::string(item.subquery->values.empty() ? "subquery" : "VALUES") +
                              " in FROM must have an alias", item.position)
        .WithHint(item.subquery->values.empty() ? "For example, FROM (SELECT ...) [AS] foo."
                                                : "For example, FROM (VALUES ...) [AS] foo.");
  ASSIGN_OR_RETURN(Output output, Select(*item.subquery, item.lateral ? &scope : scope.parent, Unknowns::kToText));
  RETURN_IF_ERROR(AddOutput(output, item.alias, "", item.position, scope));
  return output.root;
}

StatusOr<RelationPtr> StatementBinder::FromCte(const CteFrame& frame, const ParsedFrom& item, Scope& scope) {
  const CteFrame* const saved = ctes_;
  ctes_ = frame.outer;  // a CTE sees those before it
  auto output = Select(*frame.cte->query, nullptr, Unknowns::kToText);
  ctes_ = saved;
  if (!output.ok()) return output.status();
  ParsedAlias alias = item.alias;
  std::vector<std::string> names = frame.cte->columns;
  if (names.size() > output->result.size())
    return Error("42P10", "WITH query \"" + frame.cte->name + "\" has " + std::to_string(output->result.size()) +
                              " columns available but " + std::to_string(names.size()) + " columns specified",
                 frame.cte->position);
  for (size_t i = 0; i < names.size(); ++i) output->result[i].name = names[i];
  RETURN_IF_ERROR(AddOutput(*output, alias, frame.cte->name, item.position, scope));
  return output->root;
}

StatusOr<RelationPtr> StatementBinder::FromFunction(const ParsedFrom& item, Scope& scope) {
  const P& call = *item.function;
  Scope args = scope;
  args.query = nullptr;
  args.clause = "functions in FROM";
  args.parent = scope.parent;
  const std::string function = call.kind == P::Kind::kFunction ? call.names.back() : call.text;
  const std::string alias = item.alias.name.empty() ? function : item.alias.name;
  RelationPtr relation;
  if (call.kind == P::Kind::kFunction && ReturnsSet(function)) {
    ASSIGN_OR_RETURN(relation, SetFunction(call, args, alias, item.with_ordinality));
  } else {
    ASSIGN_OR_RETURN(ExprPtr value, Bind(call, args));
    ASSIGN_OR_RETURN(value, KnownType(value));
    relation = std::make_shared<Relation>();
    relation->kind = Relation::Kind::kValues;
    relation->columns.push_back({NewColumn(), alias, value->type});
    relation->rows.push_back({value});
    if (item.with_ordinality) {
      relation->columns.push_back({NewColumn(), "ordinality", {oid::kInt8}});
      relation->rows[0].push_back(MakeConstant({oid::kInt8}, Datum::Int(1)));
    }
  }
  Output output{relation, {}};
  for (const RelationColumn& column : relation->columns) output.result.push_back({column.name, column.type, 0, 0});
  RETURN_IF_ERROR(AddOutput(output, item.alias, function, item.position, scope));
  return relation;
}

StatusOr<RelationPtr> StatementBinder::Join(const ParsedFrom& item, Scope& scope) {
  // The left side may use what stands left of the whole join; names are checked per side, then together.
  Scope left = scope;
  const size_t first_column = scope.columns.size();
  ASSIGN_OR_RETURN(RelationPtr left_relation, FromItem(*item.left, left));
  Scope both = left;
  ASSIGN_OR_RETURN(RelationPtr right_relation, FromItem(*item.right, both));
  const bool lateral = item.right->lateral || item.right->kind == ParsedFrom::Kind::kFunction;
  if (lateral && (item.join == JoinType::kRight || item.join == JoinType::kFull) && item.right->lateral)
    return Error("42P10", "the combining JOIN type must be INNER or LEFT for a LATERAL reference", item.position);
  RelationPtr join = MakeJoin(item.join, std::move(left_relation), std::move(right_relation));
  join->lateral = lateral;
  const size_t middle = left.columns.size();
  Scope right_only = both;
  right_only.columns.assign(both.columns.begin() + ptrdiff_t(middle), both.columns.end());
  Scope left_only = both;
  left_only.columns.assign(both.columns.begin() + ptrdiff_t(first_column), both.columns.begin() + ptrdiff_t(middle));
  if (item.natural || !item.using_columns.empty()) {
    Scope merged = scope;
    merged.tables = both.tables;
    ASSIGN_OR_RETURN(join, JoinUsing(item, std::move(join), left_only, right_only, merged));
    scope = std::move(merged);
    return join;
  }
  if (item.on) {
    Scope on = both;
    on.columns.erase(on.columns.begin(), on.columns.begin() + ptrdiff_t(first_column));
    on.query = nullptr;
    on.clause = "JOIN conditions";
    ASSIGN_OR_RETURN(const ExprPtr condition, Bind(*item.on, on));
    ASSIGN_OR_RETURN(join->condition, CoerceBool(condition, "JOIN/ON"));
  }
  both.query = scope.query;
  scope = std::move(both);
  return join;
}

StatusOr<RelationPtr> StatementBinder::JoinUsing(const ParsedFrom& item, RelationPtr join, Scope& left, Scope& right,
                                                 Scope& scope) {
  std::vector<std::string> names = item.using_columns;
  const auto visible = [](Scope& side, const std::string& name) {
    std::vector<ScopeColumn*> found;
    for (ScopeColumn& column : side.columns)
      if (!column.merged && column.name == name) found.push_back(&column);
    return found;
  };
  if (item.natural)
    for (const ScopeColumn& column : left.columns)
      if (!column.merged && !visible(right, column.name).empty()) names.push_back(column.name);
  std::vector<ExprPtr> conditions;
  std::vector<ScopeColumn> merged;
  auto project = std::make_shared<Relation>();
  for (const std::string& name : names) {
    const auto a = visible(left, name);
    const auto b = visible(right, name);
    for (const auto& [found, side] : {std::pair(a, "left"), std::pair(b, "right")}) {
      if (found.empty())
        return Error("42703", "column \"" + name + "\" specified in USING clause does not exist in " + side + " table",
                     item.position);
      if (found.size() > 1)
        return Error("42702", "common column name \"" + name + "\" appears more than once in " + side + " table",
                     item.position);
    }
    const ExprPtr l = MakeColumn(a[0]->id, a[0]->type, a[0]->table + "." + name);
    const ExprPtr r = MakeColumn(b[0]->id, b[0]->type, b[0]->table + "." + name);
    ASSIGN_OR_RETURN(ExprPtr equal, ApplyOperator("=", l, r, item.position));
    conditions.push_back(std::move(equal));
    ScopeColumn column = item.join == JoinType::kRight ? *b[0] : *a[0];
    if (item.join == JoinType::kFull || a[0]->type.oid != b[0]->type.oid) {
      const ExprPtr pair[] = {l, r};
      ASSIGN_OR_RETURN(const Oid common, CommonTypeOf(pair, "JOIN/USING"));
      ASSIGN_OR_RETURN(ExprPtr cl, Coerce(l, {common}, CastContext::kImplicit));
      ASSIGN_OR_RETURN(ExprPtr cr, Coerce(r, {common}, CastContext::kImplicit));
      auto coalesce = std::make_shared<Expr>();
      coalesce->kind = Expr::Kind::kCoalesce;
      coalesce->type = {common};
      coalesce->args = {std::move(cl), std::move(cr)};
      column = {.table = "", .name = name, .id = NewColumn(), .type = {common}};
      project->exprs.push_back(std::move(coalesce));
      project->columns.push_back({column.id, name, column.type});
    }
    column.table.clear();
    merged.push_back(std::move(column));
    a[0]->merged = b[0]->merged = true;
  }
  join->condition = MakeAnd(std::move(conditions));
  for (ScopeColumn& column : merged) scope.columns.push_back(std::move(column));
  for (const Scope* side : {&left, &right})
    scope.columns.insert(scope.columns.end(), side->columns.begin(), side->columns.end());
  if (project->exprs.empty()) return join;
  project->kind = Relation::Kind::kProject;
  for (const RelationColumn& column : join->columns) {
    project->columns.push_back(column);
    project->exprs.push_back(MakeColumn(column.id, column.type, column.name));
  }
  project->inputs = {std::move(join)};
  return project;
}

}  // namespace orrery::sql
