#include "sql/optimizer/direct.h"

#include <algorithm>

#include "sql/optimizer/keys.h"
#include "sql/optimizer/normalize.h"

namespace orrery::sql::optimizer {
namespace {

// A scan of a real table for one full key.
struct PointAccess {
  const Relation* scan = nullptr;
  std::vector<ExprPtr> key;
  std::vector<ExprPtr> filter;
  std::vector<ColumnId> row;  // the scan's columns by ordinal; 0 where it has none
};

bool AnySubquery(const std::vector<ExprPtr>& exprs) {
  return std::any_of(exprs.begin(), exprs.end(), [](const ExprPtr& e) { return e && HasSubquery(*e); });
}

std::optional<PointAccess> AsPointAccess(const Relation& r) {
  std::vector<ExprPtr> conjuncts;
  const Relation* scan = &r;
  while (scan->kind == Relation::Kind::kFilter) {
    SplitConjuncts(scan->condition, conjuncts);
    scan = scan->inputs[0].get();
  }
  if (scan->kind != Relation::Kind::kScan || scan->table->virtual_table) return std::nullopt;
  KeyMatch match = MatchKey(*scan, conjuncts);
  if (!match.full_key || match.keys.size() != 1 || AnySubquery(match.rest)) return std::nullopt;
  PointAccess access{.scan = scan, .key = std::move(match.keys[0]), .filter = std::move(match.rest)};
  access.row.assign(scan->table->columns().size(), 0);
  for (size_t i = 0; i < scan->columns.size(); ++i) access.row[scan->ordinals[i]] = scan->columns[i].id;
  return access;
}

Status FillPoint(Builder& builder, const PointAccess& access, PhysicalPoint& node) {
  node.table = access.scan->table;
  node.alias = access.scan->alias;
  ASSIGN_OR_RETURN(node.key, builder.TranslateAll(access.key, {}));
  if (!access.filter.empty()) {
    ASSIGN_OR_RETURN(node.filter, builder.Translate(MakeAnd(access.filter), access.row));
  }
  return OkStatus();
}

bool AssignsKey(const Table& table, const std::vector<BoundAssignment>& set) {
  return std::any_of(set.begin(), set.end(), [&](const auto& a) { return table.KeyPosition(a.ordinal) >= 0; });
}

// The rows of an INSERT … VALUES as expressions without columns; empty if the input is something else.
std::optional<std::vector<std::vector<ExprPtr>>> PlainRows(const Relation& input) {
  const Relation* values = input.kind == Relation::Kind::kProject ? input.inputs[0].get() : &input;
  if (values->kind != Relation::Kind::kValues) return std::nullopt;
  std::vector<std::vector<ExprPtr>> rows = values->rows;
  if (values->columns.empty() && rows.empty()) rows.emplace_back();
  if (values != &input) {
    for (auto& row : rows) {
      Substitution with;
      for (size_t i = 0; i < values->columns.size(); ++i) {
        if (!CanSubstitute(row[i])) return std::nullopt;
        with[values->columns[i].id] = row[i];
      }
      std::vector<ExprPtr> full;
      for (const auto& e : input.exprs) full.push_back(Substitute(e, with));
      row = std::move(full);
    }
  }
  for (const auto& row : rows) {
    if (AnySubquery(row)) return std::nullopt;
  }
  return rows;
}

}  // namespace

void SetResult(PhysicalNode& node, const std::vector<ResultColumn>& result) {
  node.output.clear();
  for (const auto& column : result) node.output.push_back({column.name, column.type});
}

StatusOr<std::vector<PhysicalCheck>> TranslateChecks(Builder& builder, const std::vector<BoundCheck>& checks,
                                                     const std::vector<ColumnId>& row) {
  std::vector<PhysicalCheck> out;
  for (const auto& check : checks) {
    ASSIGN_OR_RETURN(ExprPtr expr, builder.Translate(check.expr, row));
    out.push_back({std::move(expr), check.name});
  }
  return out;
}

StatusOr<std::vector<PhysicalAssignment>> TranslateAssignments(Builder& builder,
                                                               const std::vector<BoundAssignment>& set,
                                                               const std::vector<ColumnId>& row) {
  std::vector<PhysicalAssignment> out;
  for (const auto& assignment : set) {
    ASSIGN_OR_RETURN(ExprPtr expr, builder.Translate(assignment.expr, row));
    out.push_back({assignment.ordinal, std::move(expr)});
  }
  return out;
}

// Equal keys of these types are the same values. Not so 1.0 and 1.00, or 0 and -0: there the existing row's stays.
bool IsEqualOnlyToItself(Oid type) {
  constexpr Oid kTypes[] = {oid::kInt2, oid::kInt4, oid::kInt8, oid::kText, oid::kVarchar, oid::kUuid, oid::kDate};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

// Nothing of the existing row is looked at or stays.
bool ReplacesRow(const Table& table, const PhysicalOnConflict& clause) {
  if (clause.action != ParsedOnConflict::Action::kUpdate || clause.where) return false;
  const size_t width = table.columns().size();
  std::vector<bool> replaced(width);
  for (uint32_t i = 0; i < width; ++i) {
    replaced[i] = table.KeyPosition(i) >= 0 && IsEqualOnlyToItself(table.columns()[i].type);
  }
  for (const PhysicalAssignment& a : clause.set) {
    if (a.expr->kind != Expr::Kind::kSlot || a.expr->index != width + a.ordinal) return false;
    replaced[a.ordinal] = true;
  }
  return std::find(replaced.begin(), replaced.end(), false) == replaced.end();
}

StatusOr<std::optional<PhysicalOnConflict>> TranslateOnConflict(Builder& builder, const Table& table,
                                                                const std::optional<BoundOnConflict>& on_conflict) {
  if (!on_conflict) return std::optional<PhysicalOnConflict>();
  PhysicalOnConflict out{.action = on_conflict->action};
  std::vector<ColumnId> rows = on_conflict->existing;
  rows.insert(rows.end(), on_conflict->excluded.begin(), on_conflict->excluded.end());
  ASSIGN_OR_RETURN(out.set, TranslateAssignments(builder, on_conflict->set, rows));
  ASSIGN_OR_RETURN(out.where, builder.Translate(on_conflict->where, rows));
  out.replaces_row = ReplacesRow(table, out);
  return std::optional<PhysicalOnConflict>(std::move(out));
}

StatusOr<PhysicalNodePtr> TryPointGet(Builder& builder, const Relation& root, PhysicalPlan& plan) {
  const bool project = root.kind == Relation::Kind::kProject;
  const auto access = AsPointAccess(project ? *root.inputs[0] : root);
  if (!access || (project && AnySubquery(root.exprs))) return PhysicalNodePtr();
  auto node = std::make_unique<PhysicalPointGet>();
  RETURN_IF_ERROR(FillPoint(builder, *access, *node));
  node->lock = access->scan->lock;
  if (node->lock.strength != RowLock::kNone) plan.read_only = false;
  for (size_t i = 0; i < root.columns.size(); ++i) {
    const ExprPtr expr = project ? root.exprs[i] : MakeColumn(root.columns[i].id, root.columns[i].type, root.columns[i].name);
    ASSIGN_OR_RETURN(ExprPtr translated, builder.Translate(expr, access->row));
    node->exprs.push_back(std::move(translated));
    node->output.push_back({root.columns[i].name, root.columns[i].type});
  }
  SetEstimate(*node, 1);
  return PhysicalNodePtr(std::move(node));
}

StatusOr<PhysicalNodePtr> TryPointInsert(Builder& builder, const BoundInsert& insert) {
  const auto rows = PlainRows(*insert.input);
  if (!rows || AnySubquery(insert.returning)) return PhysicalNodePtr();
  if (insert.on_conflict) {
    if (insert.on_conflict->where && HasSubquery(*insert.on_conflict->where)) return PhysicalNodePtr();
    for (const auto& a : insert.on_conflict->set) {
      if (HasSubquery(*a.expr)) return PhysicalNodePtr();
    }
  }
  auto node = std::make_unique<PhysicalPointInsert>();
  node->table = insert.table;
  for (const auto& row : *rows) {
    ASSIGN_OR_RETURN(auto translated, builder.TranslateAll(row, {}));
    node->rows.push_back(std::move(translated));
  }
  ASSIGN_OR_RETURN(node->checks, TranslateChecks(builder, insert.checks, insert.new_row));
  ASSIGN_OR_RETURN(node->on_conflict, TranslateOnConflict(builder, *insert.table, insert.on_conflict));
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(insert.returning, insert.new_row));
  SetResult(*node, insert.result);
  SetEstimate(*node, double(rows->size()));
  return PhysicalNodePtr(std::move(node));
}

StatusOr<PhysicalNodePtr> TryPointUpdate(Builder& builder, const BoundUpdate& update) {
  const auto access = AsPointAccess(*update.input);
  if (!access || AssignsKey(*update.table, update.set) || AnySubquery(update.returning)) return PhysicalNodePtr();
  for (const auto& a : update.set) {
    if (HasSubquery(*a.expr)) return PhysicalNodePtr();
  }
  // RETURNING reads the new row; of other columns (UPDATE … FROM) there are none here.
  const ColumnSet new_row(update.new_row.begin(), update.new_row.end());
  for (const auto& e : update.returning) {
    if (!IsSubset(Reads(e), new_row)) return PhysicalNodePtr();
  }
  auto node = std::make_unique<PhysicalPointUpdate>();
  RETURN_IF_ERROR(FillPoint(builder, *access, *node));
  ASSIGN_OR_RETURN(node->set, TranslateAssignments(builder, update.set, access->row));
  ASSIGN_OR_RETURN(node->checks, TranslateChecks(builder, update.checks, update.new_row));
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(update.returning, update.new_row));
  SetResult(*node, update.result);
  SetEstimate(*node, 1);
  return PhysicalNodePtr(std::move(node));
}

StatusOr<PhysicalNodePtr> TryPointDelete(Builder& builder, const BoundDelete& del) {
  const auto access = AsPointAccess(*del.input);
  if (!access || AnySubquery(del.returning)) return PhysicalNodePtr();
  auto node = std::make_unique<PhysicalPointDelete>();
  RETURN_IF_ERROR(FillPoint(builder, *access, *node));
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(del.returning, access->row));
  SetResult(*node, del.result);
  SetEstimate(*node, 1);
  return PhysicalNodePtr(std::move(node));
}

}  // namespace orrery::sql::optimizer
