#include "orrery/sql/optimizer/optimizer.h"

#include <algorithm>

#include "sql/optimizer/builder.h"
#include "sql/optimizer/direct.h"
#include "sql/optimizer/normalize.h"

namespace orrery::sql {
namespace {

using optimizer::Builder;
using optimizer::Built;
using optimizer::ColumnSet;

void NeedAll(Builder& builder, const std::vector<ExprPtr>& exprs) {
  ColumnSet reads;
  for (const auto& e : exprs) optimizer::AddAllReads(e, reads);
  builder.Need(reads);
}

// Normalizes the input of a statement and tells the builder what of it is read.
RelationPtr Prepare(Builder& builder, const RelationPtr& input) {
  RelationPtr normalized = optimizer::Normalize(input);
  ColumnSet reads;
  optimizer::AddAllReads(*normalized, reads);
  builder.Need(reads);
  return normalized;
}

const RelationColumn* ColumnOf(const Relation& r, ColumnId id) {
  const auto it = std::find_if(r.columns.begin(), r.columns.end(), [&](const auto& c) { return c.id == id; });
  return it == r.columns.end() ? nullptr : &*it;
}

Status PlanQuery(const BoundQuery& query, Builder& builder, PhysicalPlan& plan) {
  const RelationPtr root = Prepare(builder, query.root);
  std::vector<ColumnId> columns;
  for (const auto& column : root->columns) columns.push_back(column.id);
  builder.Need(columns);
  plan.result = query.result;
  ASSIGN_OR_RETURN(plan.root, optimizer::TryPointGet(builder, *root, plan));
  plan.direct = plan.root != nullptr;
  if (plan.direct) return OkStatus();
  ASSIGN_OR_RETURN(Built built, builder.Build(*root));
  plan.root = builder.Arrange(std::move(built), columns, root->columns).node;
  return OkStatus();
}

Status PlanInsert(const BoundInsert& insert, Builder& builder, PhysicalPlan& plan) {
  plan.result = insert.result;
  plan.read_only = false;
  const RelationPtr input = Prepare(builder, insert.input);
  ASSIGN_OR_RETURN(plan.root, optimizer::TryPointInsert(builder, insert));
  plan.direct = plan.root != nullptr;
  if (plan.direct) return OkStatus();
  std::vector<ColumnId> columns;
  for (const auto& column : input->columns) columns.push_back(column.id);
  builder.Need(columns);
  ASSIGN_OR_RETURN(Built built, builder.Build(*input));
  auto node = std::make_unique<PhysicalInsert>();
  node->inputs.push_back(builder.Arrange(std::move(built), columns, input->columns).node);
  node->table = insert.table;
  ASSIGN_OR_RETURN(node->checks, optimizer::TranslateChecks(builder, insert.checks, insert.new_row));
  ASSIGN_OR_RETURN(node->on_conflict, optimizer::TranslateOnConflict(builder, *insert.table, insert.on_conflict));
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(insert.returning, insert.new_row));
  optimizer::SetResult(*node, insert.result);
  optimizer::SetEstimate(*node, node->inputs[0]->estimate.rows);
  plan.root = std::move(node);
  return OkStatus();
}

// The rows to change: the old row first, by ordinal, then every other column that is needed.
StatusOr<Built> BuildTarget(Builder& builder, const Relation& input, const std::vector<ColumnId>& old_row) {
  builder.Need(old_row);
  ASSIGN_OR_RETURN(Built built, builder.Build(input));
  std::vector<ColumnId> columns = old_row;
  for (const ColumnId id : built.slots) {
    if (std::find(old_row.begin(), old_row.end(), id) == old_row.end()) columns.push_back(id);
  }
  std::vector<RelationColumn> types;
  for (const ColumnId id : columns) {
    const RelationColumn* column = ColumnOf(input, id);
    if (!column) return InternalError("optimizer: column " + std::to_string(id) + " of the target is missing");
    types.push_back(*column);
  }
  return builder.Arrange(std::move(built), columns, types);
}

Status PlanUpdate(const BoundUpdate& update, Builder& builder, PhysicalPlan& plan) {
  plan.result = update.result;
  plan.read_only = false;
  const RelationPtr input = Prepare(builder, update.input);
  BoundUpdate normalized = update;
  normalized.input = input;
  ASSIGN_OR_RETURN(plan.root, optimizer::TryPointUpdate(builder, normalized));
  plan.direct = plan.root != nullptr;
  if (plan.direct) return OkStatus();
  for (const auto& a : update.set) NeedAll(builder, {a.expr});
  NeedAll(builder, update.returning);
  ASSIGN_OR_RETURN(Built built, BuildTarget(builder, *input, update.old_row));
  auto node = std::make_unique<PhysicalUpdate>();
  node->table = update.table;
  ASSIGN_OR_RETURN(node->set, optimizer::TranslateAssignments(builder, update.set, built.slots));
  node->changes_key = std::any_of(update.set.begin(), update.set.end(),
                                  [&](const auto& a) { return update.table->KeyPosition(a.ordinal) >= 0; });
  ASSIGN_OR_RETURN(node->checks, optimizer::TranslateChecks(builder, update.checks, update.new_row));
  std::vector<ColumnId> returned = update.new_row;
  returned.insert(returned.end(), built.slots.begin() + ptrdiff_t(update.old_row.size()), built.slots.end());
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(update.returning, returned));
  optimizer::SetResult(*node, update.result);
  const double rows = built.node->estimate.rows;
  node->inputs.push_back(std::move(built.node));
  optimizer::SetEstimate(*node, rows);
  plan.root = std::move(node);
  return OkStatus();
}

Status PlanDelete(const BoundDelete& del, Builder& builder, PhysicalPlan& plan) {
  plan.result = del.result;
  plan.read_only = false;
  const RelationPtr input = Prepare(builder, del.input);
  BoundDelete normalized = del;
  normalized.input = input;
  ASSIGN_OR_RETURN(plan.root, optimizer::TryPointDelete(builder, normalized));
  plan.direct = plan.root != nullptr;
  if (plan.direct) return OkStatus();
  NeedAll(builder, del.returning);
  ASSIGN_OR_RETURN(Built built, BuildTarget(builder, *input, del.old_row));
  auto node = std::make_unique<PhysicalDelete>();
  node->table = del.table;
  ASSIGN_OR_RETURN(node->returning, builder.TranslateAll(del.returning, built.slots));
  optimizer::SetResult(*node, del.result);
  const double rows = built.node->estimate.rows;
  node->inputs.push_back(std::move(built.node));
  optimizer::SetEstimate(*node, rows);
  plan.root = std::move(node);
  return OkStatus();
}

}  // namespace

StatusOr<PhysicalPlanPtr> Optimize(const BoundStatement& statement, const OptimizerOptions& options) {
  auto plan = std::make_shared<PhysicalPlan>();
  plan->parameter_types = statement.parameter_types;
  plan->uses = statement.uses;
  plan->command = statement.command;
  plan->cacheable = statement.cacheable;
  Builder builder(options, *plan);
  if (const auto* query = std::get_if<BoundQuery>(&statement.node)) {
    RETURN_IF_ERROR(PlanQuery(*query, builder, *plan));
  } else if (const auto* insert = std::get_if<BoundInsert>(&statement.node)) {
    RETURN_IF_ERROR(PlanInsert(*insert, builder, *plan));
  } else if (const auto* update = std::get_if<BoundUpdate>(&statement.node)) {
    RETURN_IF_ERROR(PlanUpdate(*update, builder, *plan));
  } else if (const auto* del = std::get_if<BoundDelete>(&statement.node)) {
    RETURN_IF_ERROR(PlanDelete(*del, builder, *plan));
  } else {
    return InternalError("optimizer: the statement has no plan");
  }
  // A direct node has no place for subplans: a subquery in CHECK or RETURNING would have made one.
  ORRERY_ASSERT(!plan->direct || plan->subplans.empty(), "optimizer: a direct plan has no subplans");
  return PhysicalPlanPtr(plan);
}

}  // namespace orrery::sql
