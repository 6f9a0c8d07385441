// ExecutablePlan: a physical plan, and what its runs need ready-made. Immutable, shared by all sessions.
#pragma once

#include <optional>
#include <unordered_map>

#include "orrery/sql/exec/executor.h"
#include "sql/exec/table_rows.h"
#include "sql/exec/table_writer.h"

namespace orrery::sql {

class ExecutablePlan {
 public:
  explicit ExecutablePlan(PhysicalPlanPtr plan);

  const PhysicalPlanPtr plan;
  // Direct plans: the columns the expressions look at (PointGet), or all of them.
  std::optional<RowReader> reader;
  std::optional<TableWriter> writer;  // of those that write
  // Of a scan or key look-up of the plan.
  const RowReader& ReaderOf(const PhysicalNode& leaf) const;

 private:
  void CompilePoint(const PhysicalNode& root);
  void CompileLeaves(const PhysicalNode& node);
  std::unordered_map<const PhysicalNode*, RowReader> readers_;  // looked up only
};

}  // namespace orrery::sql
