// Keys: which part of a filter the primary key of a table answers.
#pragma once

#include <vector>

#include "orrery/sql/binder/relation.h"
#include "orrery/sql/optimizer/physical_plan.h"

namespace orrery::sql::optimizer {

struct KeyMatch {
  KeyBounds bounds;                         // for a scan
  bool full_key = false;                    // every key column is fixed: `keys` has the rows' keys
  std::vector<std::vector<ExprPtr>> keys;
  std::vector<ExprPtr> rest;                // conjuncts that the key does not answer
};

// Matches the conjuncts over a kScan's columns against its table's key. Values are expressions that read none
// of the scan's own columns (constants, parameters, columns of outer queries) and have the key columns' types.
KeyMatch MatchKey(const Relation& scan, const std::vector<ExprPtr>& conjuncts);
// The array of `key = ANY (array)` for a key of one column, whose conjunct is taken out of `rest`. Null if there is none.
ExprPtr TakeKeyArray(const Relation& scan, std::vector<ExprPtr>& rest);

// `value`, known to be compared with a column of type `column` by an equality, as a value of exactly that type:
// itself, relabelled, or narrowed from a wider integer. Null if there is no exact way.
ExprPtr KeyValueFor(Oid column, const ExprPtr& value);
// The column a comparison is about, looking through casts that change nothing. Null if it is none.
const Expr* PlainColumn(const ExprPtr& expr);

}  // namespace orrery::sql::optimizer
