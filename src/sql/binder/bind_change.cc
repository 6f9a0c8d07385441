// INSERT, UPDATE and DELETE.
#include <algorithm>

#include "sql/binder/select_block.h"

namespace orrery::sql {

Scope StatementBinder::RowScope(const TablePtr& table, const std::string& alias, std::span<const ColumnId> row) {
  Scope scope;
  scope.tables.push_back({alias, table->schema_name, table->name(), table});
  for (size_t i = 0; i < row.size(); ++i) {
    const ColumnDescriptor& column = table->columns()[i];
    if (column.hidden) continue;
    scope.columns.push_back({.table = alias,
                             .name = column.name,
                             .id = row[i],
                             .type = column.full_type(),
                             .table_oid = uint32_t(table->id().value()),
                             .number = uint16_t(column.id)});
  }
  return scope;
}

StatusOr<ExprPtr> StatementBinder::Default(const Table& table, uint32_t ordinal) {
  const ColumnDescriptor& column = table.columns()[ordinal];
  if (!column.default_sql) return MakeConstant(column.full_type(), Datum());
  ASSIGN_OR_RETURN(const ParsedExprPtr parsed, ParseExpression(*column.default_sql));
  Scope nothing;
  nothing.clause = "DEFAULT expressions";
  ASSIGN_OR_RETURN(const ExprPtr expr, Bind(*parsed, nothing));
  return Assign(expr, column, -1);
}

StatusOr<std::vector<BoundCheck>> StatementBinder::Checks(const Table& table, std::span<const ColumnId> row) {
  std::vector<BoundCheck> out;
  Scope scope;
  for (size_t i = 0; i < row.size(); ++i)
    scope.columns.push_back({.table = "", .name = table.columns()[i].name, .id = row[i],
                             .type = table.columns()[i].full_type()});
  scope.clause = "check constraints";
  for (const CheckDescriptor& check : table.descriptor.checks) {
    ASSIGN_OR_RETURN(const ParsedExprPtr parsed, ParseExpression(check.sql));
    ASSIGN_OR_RETURN(const ExprPtr expr, Bind(*parsed, scope));
    ASSIGN_OR_RETURN(ExprPtr condition, CoerceBool(expr, "CHECK"));
    out.push_back({std::move(condition), check.name});
  }
  return out;
}

Status StatementBinder::Returning(const std::vector<ParsedTarget>& targets, Scope& scope, std::vector<ExprPtr>& exprs,
                                  std::vector<ResultColumn>& result) {
  if (targets.empty()) return OkStatus();
  const ParsedSelect none;
  Block block(none);
  block.scope = scope;
  block.scope.query = nullptr;
  block.scope.clause = "RETURNING";
  RETURN_IF_ERROR(Targets(block, targets));
  for (const Target& target : block.targets) {
    ASSIGN_OR_RETURN(ExprPtr expr, KnownType(target.expr));
    result.push_back({target.name, expr->type, target.table_oid, target.number});
    exprs.push_back(std::move(expr));
  }
  return OkStatus();
}

StatusOr<std::vector<uint32_t>> StatementBinder::InsertColumns(const ParsedInsert& insert, const Table& table) {
  std::vector<uint32_t> out;
  if (insert.columns.empty()) {
    for (uint32_t i = 0; i < table.columns().size(); ++i)
      if (!table.columns()[i].hidden) out.push_back(i);
    return out;
  }
  for (const ParsedInsert::Column& column : insert.columns) {
    const int ordinal = table.FindColumn(column.name);
    if (ordinal < 0)
      return Error("42703", "column \"" + column.name + "\" of relation \"" + table.name() + "\" does not exist",
                   column.position);
    if (std::find(out.begin(), out.end(), uint32_t(ordinal)) != out.end())
      return Error("42701", "column \"" + column.name + "\" specified more than once", column.position);
    out.push_back(uint32_t(ordinal));
  }
  return out;
}

// VALUES are bound cell by cell against the column they go to: DEFAULT has a meaning here, and literals take
// the column's type.
StatusOr<RelationPtr> StatementBinder::InsertValues(const ParsedInsert& insert, const Table& table,
                                                    std::span<const uint32_t> columns) {
  auto values = std::make_shared<Relation>();
  values->kind = Relation::Kind::kValues;
  for (const ColumnDescriptor& column : table.columns())
    values->columns.push_back({NewColumn(), column.name, column.full_type()});
  std::vector<ExprPtr> defaults(table.columns().size());
  for (uint32_t i = 0; i < defaults.size(); ++i) {
    ASSIGN_OR_RETURN(defaults[i], Default(table, i));
  }
  if (!insert.source) {
    values->rows.push_back(std::move(defaults));
    return values;
  }
  Scope scope;
  scope.clause = "VALUES";
  const auto& rows = insert.source->values;
  for (const auto& parsed_row : rows) {
    if (parsed_row.size() != rows[0].size())
      return Error("42601", "VALUES lists must all be the same length",
                   parsed_row.empty() ? -1 : parsed_row[0]->position);
    if (parsed_row.size() > columns.size())
      return Error("42601", "INSERT has more expressions than target columns", parsed_row[columns.size()]->position);
    if (parsed_row.size() < columns.size() && !insert.columns.empty())
      return Error("42601", "INSERT has more target columns than expressions",
                   insert.columns[parsed_row.size()].position);
    std::vector<ExprPtr>& row = values->rows.emplace_back(defaults);
    for (size_t i = 0; i < parsed_row.size(); ++i) {
      if (parsed_row[i]->kind == P::Kind::kDefault) continue;
      ASSIGN_OR_RETURN(const ExprPtr expr, Bind(*parsed_row[i], scope));
      ASSIGN_OR_RETURN(row[columns[i]], Assign(expr, table.columns()[columns[i]], parsed_row[i]->position));
    }
  }
  return values;
}

RelationPtr StatementBinder::FullRow(const Table& table, RelationPtr input, std::vector<ExprPtr> exprs) {
  auto project = std::make_shared<Relation>();
  project->kind = Relation::Kind::kProject;
  for (const ColumnDescriptor& column : table.columns())
    project->columns.push_back({NewColumn(), column.name, column.full_type()});
  project->exprs = std::move(exprs);
  project->inputs = {std::move(input)};
  return project;
}

StatusOr<RelationPtr> StatementBinder::InsertSelect(const ParsedInsert& insert, const Table& table,
                                                    std::span<const uint32_t> columns) {
  ASSIGN_OR_RETURN(Output output, Select(*insert.source, nullptr, Unknowns::kKeep));
  if (output.result.size() > columns.size())
    return Error("42601", "INSERT has more expressions than target columns");
  if (output.result.size() < columns.size() && !insert.columns.empty())
    return Error("42601", "INSERT has more target columns than expressions",
                 insert.columns[output.result.size()].position);
  // Literals of open type take the column's type where they stand.
  std::vector<Type> types;
  for (size_t i = 0; i < output.result.size(); ++i)
    types.push_back(output.result[i].type.oid == oid::kUnknown ? Type{table.columns()[columns[i]].type}
                                                               : output.result[i].type);
  RETURN_IF_ERROR(CoerceOutput(output, types, CastContext::kAssignment, "INSERT"));
  std::vector<ExprPtr> exprs(table.columns().size());
  for (uint32_t i = 0; i < exprs.size(); ++i) {
    ASSIGN_OR_RETURN(exprs[i], Default(table, i));
  }
  for (size_t i = 0; i < output.result.size(); ++i) {
    const RelationColumn& column = output.root->columns[i];
    ASSIGN_OR_RETURN(exprs[columns[i]],
                     Assign(MakeColumn(column.id, column.type, column.name), table.columns()[columns[i]], -1));
  }
  return FullRow(table, std::move(output.root), std::move(exprs));
}

StatusOr<BoundNode> StatementBinder::Insert(const ParsedInsert& insert) {
  // WITH in front of INSERT: its names are used by the source query.
  std::vector<std::unique_ptr<CteFrame>> frames;
  for (const ParsedCte& cte : insert.ctes) {
    frames.push_back(std::make_unique<CteFrame>(CteFrame{&cte, ctes_}));
    ctes_ = frames.back().get();
  }
  ASSIGN_OR_RETURN(const TablePtr table, FindTableForWrite(insert.table, "insert into"));
  const std::string alias = insert.alias.empty() ? table->name() : insert.alias;
  ASSIGN_OR_RETURN(const std::vector<uint32_t> columns, InsertColumns(insert, *table));
  BoundInsert out;
  out.table = table;
  const bool values = !insert.source || (!insert.source->values.empty() && insert.source->order_by.empty() &&
                                         !insert.source->limit && !insert.source->offset);
  ASSIGN_OR_RETURN(out.input, values ? InsertValues(insert, *table, columns) : InsertSelect(insert, *table, columns));
  for (size_t i = 0; i < table->columns().size(); ++i) out.new_row.push_back(NewColumn());
  ASSIGN_OR_RETURN(out.checks, Checks(*table, out.new_row));
  if (insert.on_conflict) {
    ASSIGN_OR_RETURN(out.on_conflict, OnConflict(*insert.on_conflict, table, alias));
  }
  Scope scope = RowScope(table, alias, out.new_row);
  RETURN_IF_ERROR(Returning(insert.returning, scope, out.returning, out.result));
  return BoundNode(std::move(out));
}

StatusOr<BoundOnConflict> StatementBinder::OnConflict(const ParsedOnConflict& conflict, const TablePtr& table,
                                                      const std::string& alias) {
  BoundOnConflict out;
  out.action = conflict.action;
  const bool update = conflict.action == ParsedOnConflict::Action::kUpdate;
  if (update && !conflict.has_target)
    return Error("42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                 conflict.position)
        .WithHint("For example, ON CONFLICT (column_name).");
  if (!conflict.constraint.empty() && conflict.constraint != table->descriptor.primary_key_name)
    return Error("42704", "constraint \"" + conflict.constraint + "\" for table \"" + table->name() +
                              "\" does not exist", conflict.position);
  if (conflict.has_target && conflict.constraint.empty()) {
    std::vector<uint32_t> target;
    for (const std::string& name : conflict.columns) {
      const int ordinal = table->FindColumn(name);
      if (ordinal < 0) return Error("42703", "column \"" + name + "\" does not exist", conflict.position);
      if (std::find(target.begin(), target.end(), uint32_t(ordinal)) == target.end()) target.push_back(uint32_t(ordinal));
    }
    bool match = !conflict.has_complex_target && table->has_primary_key() && target.size() == table->key.size();
    for (const uint32_t ordinal : target) match = match && table->KeyPosition(ordinal) >= 0;
    if (!match)
      return Error("42P10",
                   "there is no unique or exclusion constraint matching the ON CONFLICT specification");
  }
  for (size_t i = 0; i < table->columns().size(); ++i) out.existing.push_back(NewColumn());
  for (size_t i = 0; i < table->columns().size(); ++i) out.excluded.push_back(NewColumn());
  if (!update) return out;
  Scope scope = RowScope(table, alias, out.existing);
  Scope excluded = RowScope(table, "excluded", out.excluded);
  scope.tables.push_back(excluded.tables[0]);
  // A bare name means the existing row: PostgreSQL finds `excluded` columns only by their full name.
  for (ScopeColumn& column : excluded.columns) {
    column.merged = true;
    scope.columns.push_back(column);
  }
  ASSIGN_OR_RETURN(out.set, Assignments(conflict.set, *table, scope));
  if (conflict.where) {
    scope.clause = "WHERE";
    ASSIGN_OR_RETURN(const ExprPtr where, Bind(*conflict.where, scope));
    ASSIGN_OR_RETURN(out.where, CoerceBool(where, "WHERE"));
  }
  return out;
}

StatusOr<std::vector<BoundAssignment>> StatementBinder::Assignments(const std::vector<ParsedAssignment>& set,
                                                                    const Table& table, const Scope& scope) {
  std::vector<BoundAssignment> out;
  Scope inner = scope;
  inner.query = nullptr;
  inner.clause = "UPDATE";
  for (const ParsedAssignment& assignment : set) {
    const int ordinal = table.FindColumn(assignment.column);
    if (ordinal < 0)
      return Error("42703", "column \"" + assignment.column + "\" of relation \"" + table.name() + "\" does not exist",
                   assignment.position);
    for (const BoundAssignment& other : out)
      if (other.ordinal == uint32_t(ordinal))
        return Error("42601", "multiple assignments to same column \"" + assignment.column + "\"");
    BoundAssignment& bound = out.emplace_back();
    bound.ordinal = uint32_t(ordinal);
    if (assignment.expr->kind == P::Kind::kDefault) {
      ASSIGN_OR_RETURN(bound.expr, Default(table, bound.ordinal));
      continue;
    }
    ASSIGN_OR_RETURN(const ExprPtr expr, Bind(*assignment.expr, inner));
    ASSIGN_OR_RETURN(bound.expr, Assign(expr, table.columns()[bound.ordinal], assignment.expr->position));
  }
  return out;
}

namespace {
// target × FROM, filtered.
RelationPtr Joined(RelationPtr scan, RelationPtr others) {
  auto join = std::make_shared<Relation>();
  join->kind = Relation::Kind::kJoin;
  join->columns = scan->columns;
  join->columns.insert(join->columns.end(), others->columns.begin(), others->columns.end());
  join->inputs = {std::move(scan), std::move(others)};
  return join;
}
RelationPtr Filtered(RelationPtr input, ExprPtr condition) {
  auto filter = std::make_shared<Relation>();
  filter->kind = Relation::Kind::kFilter;
  filter->columns = input->columns;
  filter->condition = std::move(condition);
  filter->inputs = {std::move(input)};
  return filter;
}
std::vector<ColumnId> IdsOf(const Relation& relation) {
  std::vector<ColumnId> out;
  for (const RelationColumn& column : relation.columns) out.push_back(column.id);
  return out;
}
}  // namespace

StatusOr<BoundNode> StatementBinder::Update(const ParsedUpdate& update) {
  std::vector<std::unique_ptr<CteFrame>> frames;
  for (const ParsedCte& cte : update.ctes) {
    frames.push_back(std::make_unique<CteFrame>(CteFrame{&cte, ctes_}));
    ctes_ = frames.back().get();
  }
  ASSIGN_OR_RETURN(const TablePtr table, FindTableForWrite(update.table, "update"));
  const std::string alias = update.alias.empty() ? table->name() : update.alias;
  BoundUpdate out;
  out.table = table;
  Scope scope;
  RETURN_IF_ERROR(AddTable(scope, {alias, table->schema_name, table->name(), table}, update.table.position));
  RelationPtr scan = ScanOf(table, alias, scope);
  scan->lock = {RowLock::kNoKeyUpdate, RowWait::kBlock};
  out.old_row = IdsOf(*scan);
  RelationPtr input = std::move(scan);
  const size_t own_columns = scope.columns.size();
  if (!update.from.empty()) {
    // FROM items do not see the target.
    Scope others;
    others.tables = scope.tables;
    ASSIGN_OR_RETURN(RelationPtr relation, From(update.from, others));
    scope.tables = others.tables;
    scope.columns.insert(scope.columns.end(), others.columns.begin(), others.columns.end());
    input = Joined(std::move(input), std::move(relation));
  }
  if (update.where) {
    scope.clause = "WHERE";
    ASSIGN_OR_RETURN(const ExprPtr where, Bind(*update.where, scope));
    ASSIGN_OR_RETURN(ExprPtr condition, CoerceBool(where, "WHERE"));
    input = Filtered(std::move(input), std::move(condition));
  }
  ASSIGN_OR_RETURN(out.set, Assignments(update.set, *table, scope));
  out.input = std::move(input);
  for (size_t i = 0; i < table->columns().size(); ++i) out.new_row.push_back(NewColumn());
  ASSIGN_OR_RETURN(out.checks, Checks(*table, out.new_row));
  Scope after = RowScope(table, alias, out.new_row);
  after.tables = scope.tables;
  after.columns.insert(after.columns.end(), scope.columns.begin() + ptrdiff_t(own_columns), scope.columns.end());
  RETURN_IF_ERROR(Returning(update.returning, after, out.returning, out.result));
  return BoundNode(std::move(out));
}

StatusOr<BoundNode> StatementBinder::Delete(const ParsedDelete& statement) {
  std::vector<std::unique_ptr<CteFrame>> frames;
  for (const ParsedCte& cte : statement.ctes) {
    frames.push_back(std::make_unique<CteFrame>(CteFrame{&cte, ctes_}));
    ctes_ = frames.back().get();
  }
  ASSIGN_OR_RETURN(const TablePtr table, FindTableForWrite(statement.table, "delete from"));
  const std::string alias = statement.alias.empty() ? table->name() : statement.alias;
  BoundDelete out;
  out.table = table;
  Scope scope;
  RETURN_IF_ERROR(AddTable(scope, {alias, table->schema_name, table->name(), table}, statement.table.position));
  RelationPtr scan = ScanOf(table, alias, scope);
  scan->lock = {RowLock::kUpdate, RowWait::kBlock};
  out.old_row = IdsOf(*scan);
  RelationPtr input = std::move(scan);
  if (!statement.from.empty()) {
    Scope others;
    others.tables = scope.tables;
    ASSIGN_OR_RETURN(RelationPtr relation, From(statement.from, others));
    scope.tables = others.tables;
    scope.columns.insert(scope.columns.end(), others.columns.begin(), others.columns.end());
    input = Joined(std::move(input), std::move(relation));
  }
  if (statement.where) {
    scope.clause = "WHERE";
    ASSIGN_OR_RETURN(const ExprPtr where, Bind(*statement.where, scope));
    ASSIGN_OR_RETURN(ExprPtr condition, CoerceBool(where, "WHERE"));
    input = Filtered(std::move(input), std::move(condition));
  }
  out.input = std::move(input);
  RETURN_IF_ERROR(Returning(statement.returning, scope, out.returning, out.result));
  return BoundNode(std::move(out));
}

}  // namespace orrery::sql
