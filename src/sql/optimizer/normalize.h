// Normalize: the logical rewriting of a bound relation. It changes no result, only where work is done:
//   * filters sink to the lowest node that has their columns,
//   * `x IN (SELECT …)` and EXISTS over equalities become semi joins,
//   * inner joins are put in an order that starts from what the keys narrow most,
//   * right joins become left joins.
#pragma once

#include "orrery/sql/binder/relation.h"

namespace orrery::sql::optimizer {

// The input tree is not changed; unchanged parts are shared with the result.
RelationPtr Normalize(const RelationPtr& root);

// How many rows a relation gives, roughly; there are no statistics, so keys and shapes decide.
double EstimateRows(const Relation& relation);

}  // namespace orrery::sql::optimizer
