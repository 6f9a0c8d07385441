// Direct plans: statements about single rows by their whole key, as one node without operator tree.
#pragma once

#include "orrery/sql/optimizer/physical_plan.h"
#include "sql/optimizer/builder.h"

namespace orrery::sql::optimizer {

// Each gives null if the statement is not of that shape. `plan` gets what the node needs (read_only).
StatusOr<PhysicalNodePtr> TryPointGet(Builder& builder, const Relation& root, PhysicalPlan& plan);
StatusOr<PhysicalNodePtr> TryPointInsert(Builder& builder, const BoundInsert& insert);
StatusOr<PhysicalNodePtr> TryPointUpdate(Builder& builder, const BoundUpdate& update);
StatusOr<PhysicalNodePtr> TryPointDelete(Builder& builder, const BoundDelete& del);

// Shared with the general plans.
StatusOr<std::vector<PhysicalCheck>> TranslateChecks(Builder& builder, const std::vector<BoundCheck>& checks,
                                                     const std::vector<ColumnId>& row);
StatusOr<std::vector<PhysicalAssignment>> TranslateAssignments(Builder& builder,
                                                               const std::vector<BoundAssignment>& set,
                                                               const std::vector<ColumnId>& row);
StatusOr<std::optional<PhysicalOnConflict>> TranslateOnConflict(Builder& builder, const Table& table,
                                                                const std::optional<BoundOnConflict>& on_conflict);
void SetResult(PhysicalNode& node, const std::vector<ResultColumn>& result);

}  // namespace orrery::sql::optimizer
