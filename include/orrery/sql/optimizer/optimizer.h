// Optimize: BoundStatement → PhysicalPlan by rules and simple costs; Explain: a plan as text, close to
// PostgreSQL's. Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/optimizer/physical_plan.h"

namespace orrery::sql {

struct OptimizerOptions {
  const FunctionCatalog& functions;
  // A table without statistics is taken to have this many rows.
  double default_table_rows = 1000;
};

// Precondition: the statement is a query or a data change (BoundQuery, BoundInsert, BoundUpdate,
// BoundDelete). The bound statement is not changed and not needed afterwards.
StatusOr<PhysicalPlanPtr> Optimize(const BoundStatement& statement, const OptimizerOptions& options);

// Lines of EXPLAIN (FORMAT TEXT), or the one document of FORMAT JSON.
std::vector<std::string> ExplainPlan(const PhysicalPlan& plan, const ExplainOptions& options);
// Name of a node as EXPLAIN has it: "Index Scan using t_pkey on t".
std::string ExplainNodeName(const PhysicalNode& node);

// What a plan is cached by, in a session or on a node: everything a plan depends on but the catalog, whose
// part is checked by CatalogTxn::Use(plan.uses). Equal keys give interchangeable plans.
struct PlanKey {
  std::string text;
  std::vector<Oid> parameter_types;  // as declared by the client
  std::string settings;              // search_path, TimeZone, DateStyle: what binding reads
  friend bool operator==(const PlanKey&, const PlanKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const PlanKey& key) {
    return H::combine(std::move(h), key.text, key.parameter_types, key.settings);
  }
};

}  // namespace orrery::sql
