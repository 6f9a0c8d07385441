// Column sets: which ColumnIds an expression or relation reads, and which a relation defines.
#pragma once

#include <set>
#include <unordered_map>

#include "orrery/sql/binder/relation.h"

namespace orrery::sql::optimizer {

using ColumnSet = std::set<ColumnId>;

// Adds every column that `expr` reads, those of outer queries included; columns that a subquery defines itself
// are left out.
void AddReads(const ExprPtr& expr, ColumnSet& out);
// Adds what the relation reads of columns it does not define.
void AddOuterReads(const Relation& relation, ColumnSet& out);
ColumnSet Reads(const ExprPtr& expr);
ColumnSet Outputs(const Relation& relation);
// Every column read anywhere below, whoever defines it: what has to be produced.
void AddAllReads(const Relation& relation, ColumnSet& out);
void AddAllReads(const ExprPtr& expr, ColumnSet& out);

bool IsSubset(const ColumnSet& a, const ColumnSet& b);
bool Intersects(const ColumnSet& a, const ColumnSet& b);

// The expression with columns replaced by expressions; columns not in the map stay. Subqueries are left alone:
// CanSubstitute tells whether that is right.
using Substitution = std::unordered_map<ColumnId, ExprPtr>;
ExprPtr Substitute(const ExprPtr& expr, const Substitution& with);
bool CanSubstitute(const ExprPtr& expr);

}  // namespace orrery::sql::optimizer
