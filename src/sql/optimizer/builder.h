// Builder: a normalized relation to physical nodes. One Builder makes one plan.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/optimizer/optimizer.h"
#include "orrery/sql/optimizer/physical_plan.h"
#include "sql/optimizer/columns.h"

namespace orrery::sql::optimizer {

// A physical node and which column stands in each of its output slots.
struct Built {
  PhysicalNodePtr node;
  std::vector<ColumnId> slots;
  bool ordered = false;  // in the order that was asked for
};

// What the node above would like; a node that cannot, ignores it.
struct Wish {
  std::vector<SortKey> order;         // over columns of the node asked
  std::optional<uint64_t> row_count;  // no more rows are needed, if they come in that order
};

class Builder {
 public:
  Builder(const OptimizerOptions& options, PhysicalPlan& plan) : options_(options), plan_(plan) {}

  // Columns that somebody reads: scans give no others.
  void Need(const ColumnSet& columns) { needed_.insert(columns.begin(), columns.end()); }
  void Need(const std::vector<ColumnId>& columns) { needed_.insert(columns.begin(), columns.end()); }

  StatusOr<Built> Build(const Relation& relation, const Wish& wish = {});
  // `built` with its columns in exactly this order (a projection where they are not).
  Built Arrange(Built built, const std::vector<ColumnId>& columns, const std::vector<RelationColumn>& types);
  // An expression over the slots of a row. Columns the row does not have are variables of the enclosing scope.
  StatusOr<ExprPtr> Translate(const ExprPtr& expr, const std::vector<ColumnId>& slots);
  StatusOr<std::vector<ExprPtr>> TranslateAll(const std::vector<ExprPtr>& exprs, const std::vector<ColumnId>& slots);

 private:
  // The inside of a subquery or of a lateral join's right side.
  struct Scope {
    std::map<ColumnId, uint32_t> variables;
    std::unordered_map<ColumnId, ExprPtr> exprs;  // the column as it was met, for its type
  };

  StatusOr<Built> BuildScan(const Relation& scan, const std::vector<ExprPtr>& conjuncts, const Wish& wish);
  StatusOr<Built> BuildVirtualScan(const Relation& scan, const std::vector<ExprPtr>& conjuncts);
  StatusOr<Built> BuildValues(const Relation& r);
  StatusOr<Built> BuildFunction(const Relation& r);
  StatusOr<Built> BuildFilter(const Relation& r, const Wish& wish);
  StatusOr<Built> BuildProject(const Relation& r, const Wish& wish);
  StatusOr<Built> BuildJoin(const Relation& r);
  StatusOr<Built> BuildLateralJoin(const Relation& r);
  StatusOr<std::optional<Built>> TryLookupJoin(const Relation& r, Built& left, const std::vector<ExprPtr>& conjuncts);
  StatusOr<Built> BuildAggregate(const Relation& r);
  StatusOr<Built> BuildWindow(const Relation& r);
  StatusOr<Built> BuildDistinct(const Relation& r);
  StatusOr<Built> BuildSort(const Relation& r, const Wish& wish);
  StatusOr<Built> BuildLimit(const Relation& r);
  StatusOr<Built> BuildSetOperation(const Relation& r);
  StatusOr<ExprPtr> TranslateSubquery(const ExprPtr& expr, const std::vector<ColumnId>& slots);
  StatusOr<std::vector<VariableBinding>> CloseScope(const std::vector<ColumnId>& slots);
  Built Filtered(Built input, ExprPtr condition);

  const OptimizerOptions& options_;
  PhysicalPlan& plan_;
  ColumnSet needed_;
  std::vector<Scope> scopes_;
};

// Sets `estimate` of a node from its inputs' and `rows`.
void SetEstimate(PhysicalNode& node, double rows);

}  // namespace orrery::sql::optimizer
