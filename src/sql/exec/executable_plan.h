// ExecutablePlan: a physical plan, and for the direct path what one run needs ready-made.
#pragma once

#include <optional>

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

 private:
  void CompilePoint(const PhysicalNode& root);
};

}  // namespace orrery::sql
