// A SELECT block while it is bound. Private to the binder.
#pragma once

#include "sql/binder/statement_binder.h"

namespace orrery::sql {

struct StatementBinder::Target {
  ExprPtr expr;
  std::string name;
  uint32_t table_oid = 0;
  uint16_t number = 0;
};

struct StatementBinder::Block {
  explicit Block(const ParsedSelect& s) : select(s) {}
  struct Sort {
    size_t target = 0;
    SortDirection direction = SortDirection::kAscending;
    NullsOrder nulls = NullsOrder::kLast;
  };

  const ParsedSelect& select;
  Unknowns unknowns = Unknowns::kToText;
  Scope scope;
  QueryState query;
  RelationPtr relation;  // so far
  std::vector<Target> targets;
  size_t visible = 0;    // targets beyond are for sorting only
  std::vector<ExprPtr> groups;
  ExprPtr having;
  std::vector<Sort> sort;
  std::vector<size_t> distinct_on;

  StatusOr<int> Find(const StatementBinder& binder, const ParsedExpr& expr, std::string_view clause) const;
  size_t AddHidden(ExprPtr expr);
};

inline SortDirection DirectionOf(const ParsedSortItem& item) {
  return item.direction == ParsedDirection::kDescending ? SortDirection::kDescending : SortDirection::kAscending;
}
// NULLs sort as if above everything, unless asked otherwise.
inline NullsOrder NullsOf(const ParsedSortItem& item) {
  if (item.nulls != ParsedNulls::kDefault)
    return item.nulls == ParsedNulls::kFirst ? NullsOrder::kFirst : NullsOrder::kLast;
  return item.direction == ParsedDirection::kDescending ? NullsOrder::kFirst : NullsOrder::kLast;
}

// Ids of all columns an expression mentions, subqueries included.
void CollectColumns(const Expr& expr, std::vector<ColumnId>& out);
void CollectColumns(const Relation& relation, std::vector<ColumnId>& out);

}  // namespace orrery::sql
