#include "sql/optimizer/normalize.h"

#include <algorithm>
#include <cmath>

#include "sql/optimizer/columns.h"
#include "sql/optimizer/keys.h"

namespace orrery::sql::optimizer {
namespace {

using Conjuncts = std::vector<ExprPtr>;

RelationPtr Copy(const Relation& r) { return std::make_shared<Relation>(r); }

RelationPtr WithFilter(RelationPtr input, Conjuncts conjuncts) {
  if (conjuncts.empty()) return input;
  auto filter = std::make_shared<Relation>();
  filter->kind = Relation::Kind::kFilter;
  filter->columns = input->columns;
  filter->inputs = {std::move(input)};
  filter->condition = MakeAnd(std::move(conjuncts));
  return filter;
}

// Takes those conjuncts out of `from` that satisfy `test`.
template <class Test>
Conjuncts Take(Conjuncts& from, Test&& test) {
  Conjuncts taken;
  std::erase_if(from, [&](const ExprPtr& e) {
    if (!test(e)) return false;
    taken.push_back(e);
    return true;
  });
  return taken;
}

bool Movable(const ExprPtr& e) { return VolatilityOf(*e) != Volatility::kVolatile; }

RelationPtr Push(const RelationPtr& r, Conjuncts conjuncts);

// Conjuncts above a projection, rewritten to what lies below it.
RelationPtr PushThroughProject(const Relation& r, Conjuncts conjuncts) {
  Substitution with;
  ColumnSet unmovable;
  for (size_t i = 0; i < r.columns.size(); ++i) {
    with[r.columns[i].id] = r.exprs[i];
    if (!CanSubstitute(r.exprs[i])) unmovable.insert(r.columns[i].id);
  }
  const Conjuncts movable = Take(conjuncts, [&](const ExprPtr& e) {
    if (!Movable(e) || Intersects(Reads(e), unmovable)) return false;
    // A subquery's columns are not substituted: it may only read what the projection passes through as it is.
    if (!HasSubquery(*e)) return true;
    return !Intersects(Reads(e), Outputs(r));
  });
  Conjuncts below;
  for (const auto& e : movable) below.push_back(Substitute(e, with));
  auto copy = Copy(r);
  copy->inputs[0] = Push(r.inputs[0], std::move(below));
  return WithFilter(std::move(copy), std::move(conjuncts));
}

RelationPtr PushThroughAggregate(const Relation& r, Conjuncts conjuncts) {
  Substitution with;
  ColumnSet groups;
  for (size_t i = 0; i < r.exprs.size(); ++i) {
    if (!CanSubstitute(r.exprs[i])) continue;
    with[r.columns[i].id] = r.exprs[i];
    groups.insert(r.columns[i].id);
  }
  const ColumnSet outputs = Outputs(r);
  // Only about groups: a group's rows all pass or all fail. Without groups there is one row even of nothing.
  const Conjuncts movable = Take(conjuncts, [&](const ExprPtr& e) {
    if (r.exprs.empty() || !Movable(e) || HasSubquery(*e)) return false;
    ColumnSet local;
    for (const ColumnId id : Reads(e)) {
      if (outputs.contains(id)) local.insert(id);
    }
    return !local.empty() && IsSubset(local, groups);
  });
  Conjuncts below;
  for (const auto& e : movable) below.push_back(Substitute(e, with));
  auto copy = Copy(r);
  copy->inputs[0] = Push(r.inputs[0], std::move(below));
  return WithFilter(std::move(copy), std::move(conjuncts));
}

bool IsEquality(const Expr& e) {
  return e.kind == Expr::Kind::kFunction && e.op && e.op->name == "=" && e.args.size() == 2;
}

// ---- semi joins --------------------------------------------------------------------------------------------

// `args = ANY (SELECT …)` that reads nothing outside itself, as a semi join of `left`.
RelationPtr SemiJoinOf(const RelationPtr& left, const Expr& in) {
  auto join = std::make_shared<Relation>();
  join->kind = Relation::Kind::kJoin;
  join->join = JoinType::kSemi;
  join->columns = left->columns;
  join->inputs = {left, Normalize(std::const_pointer_cast<Relation>(in.query))};
  Conjuncts equalities;
  for (size_t i = 0; i < in.args.size(); ++i) {
    auto equal = std::make_shared<Expr>();
    equal->kind = Expr::Kind::kFunction;
    equal->type = {oid::kBool, -1};
    equal->function = in.functions[i];
    equal->op = in.op;
    const auto& column = in.query->columns[i];
    equal->args = {in.args[i], MakeColumn(column.id, column.type, column.name)};
    equalities.push_back(std::move(equal));
  }
  join->condition = MakeAnd(std::move(equalities));
  return join;
}

bool CanBecomeSemiJoin(const Expr& e) {
  if (e.kind != Expr::Kind::kSubquery || e.subquery_kind != Expr::SubqueryKind::kAny || e.negated) return false;
  if (!e.query || e.args.size() != e.functions.size() || e.args.size() != e.query->columns.size()) return false;
  const bool equality = std::all_of(e.functions.begin(), e.functions.end(), [](const Function* f) {
    return f && f->name.ends_with("eq");
  });
  ColumnSet outer;
  AddOuterReads(*e.query, outer);
  return equality && outer.empty();
}

RelationPtr AttachSemiJoins(RelationPtr r, Conjuncts& conjuncts) {
  const Conjuncts semi = Take(conjuncts, [&](const ExprPtr& e) {
    return CanBecomeSemiJoin(*e) &&
           std::all_of(e->args.begin(), e->args.end(), [&](const ExprPtr& a) {
             return !HasSubquery(*a) && IsSubset(Reads(a), Outputs(*r));
           });
  });
  for (const auto& e : semi) r = SemiJoinOf(r, *e);
  return r;
}

// ---- joins -------------------------------------------------------------------------------------------------

RelationPtr MakeInnerJoin(RelationPtr left, RelationPtr right, Conjuncts conjuncts) {
  auto join = std::make_shared<Relation>();
  join->kind = Relation::Kind::kJoin;
  join->join = JoinType::kInner;
  join->columns = left->columns;
  join->columns.insert(join->columns.end(), right->columns.begin(), right->columns.end());
  join->inputs = {std::move(left), std::move(right)};
  join->condition = conjuncts.empty() ? nullptr : MakeAnd(std::move(conjuncts));
  return join;
}

// The inputs of a tree of inner joins, and all its conditions.
void Flatten(const RelationPtr& r, std::vector<RelationPtr>& inputs, Conjuncts& conjuncts) {
  if (r->kind == Relation::Kind::kJoin && r->join == JoinType::kInner && !r->lateral) {
    Flatten(r->inputs[0], inputs, conjuncts);
    Flatten(r->inputs[1], inputs, conjuncts);
    SplitConjuncts(r->condition, conjuncts);
  } else if (r->kind == Relation::Kind::kFilter && r->inputs[0]->kind == Relation::Kind::kJoin &&
             r->inputs[0]->join == JoinType::kInner && !r->inputs[0]->lateral) {
    Flatten(r->inputs[0], inputs, conjuncts);
    SplitConjuncts(r->condition, conjuncts);
  } else {
    inputs.push_back(r);
  }
}

// Greedy: begin with the smallest input; then always the one that a condition connects, smallest result first.
RelationPtr OrderJoins(std::vector<RelationPtr> inputs, Conjuncts conjuncts) {
  for (auto& input : inputs) {
    const ColumnSet columns = Outputs(*input);
    Conjuncts own = Take(conjuncts, [&](const ExprPtr& e) { return Movable(e) && IsSubset(Reads(e), columns); });
    input = Push(input, std::move(own));
  }
  // Equal sizes keep the order in which they were written.
  const auto smaller = [](const RelationPtr& a, const RelationPtr& b) { return EstimateRows(*a) < EstimateRows(*b); };
  const auto first = std::min_element(inputs.begin(), inputs.end(), smaller);
  RelationPtr joined = *first;
  inputs.erase(first);
  while (!inputs.empty()) {
    ColumnSet have = Outputs(*joined);
    size_t best = 0;
    double best_score = INFINITY;
    for (size_t i = 0; i < inputs.size(); ++i) {
      ColumnSet both = have;
      both.merge(Outputs(*inputs[i]));
      const bool connected = std::any_of(conjuncts.begin(), conjuncts.end(), [&](const ExprPtr& e) {
        const ColumnSet reads = Reads(e);
        return IsEquality(*e) && IsSubset(reads, both) && Intersects(reads, have) && !IsSubset(reads, have);
      });
      const double score = EstimateRows(*inputs[i]) * (connected ? 1 : 1e6);
      if (score < best_score) best = i, best_score = score;
    }
    ColumnSet both = have;
    both.merge(Outputs(*inputs[best]));
    Conjuncts on = Take(conjuncts, [&](const ExprPtr& e) { return IsSubset(Reads(e), both) && Movable(e); });
    joined = MakeInnerJoin(std::move(joined), inputs[best], std::move(on));
    inputs.erase(inputs.begin() + ptrdiff_t(best));
  }
  joined = AttachSemiJoins(std::move(joined), conjuncts);
  return WithFilter(std::move(joined), std::move(conjuncts));
}

RelationPtr PushIntoOuterJoin(const Relation& r, Conjuncts conjuncts) {
  auto copy = Copy(r);
  if (copy->join == JoinType::kRight && !copy->lateral) {
    copy->join = JoinType::kLeft;
    std::swap(copy->inputs[0], copy->inputs[1]);
  }
  const ColumnSet left = Outputs(*copy->inputs[0]);
  const ColumnSet right = Outputs(*copy->inputs[1]);
  Conjuncts on;
  SplitConjuncts(copy->condition, on);
  Conjuncts to_left;
  Conjuncts to_right;
  const bool keeps_left = copy->join != JoinType::kFull && copy->join != JoinType::kRight;
  if (keeps_left) {
    to_left = Take(conjuncts, [&](const ExprPtr& e) { return Movable(e) && !Intersects(Reads(e), right); });
    // A condition of the join about the right side alone decides which right rows there are to match.
    if (!copy->lateral) {
      to_right = Take(on, [&](const ExprPtr& e) { return Movable(e) && !Intersects(Reads(e), left) && IsSubset(Reads(e), right); });
    }
  }
  copy->condition = on.empty() ? nullptr : MakeAnd(std::move(on));
  copy->inputs[0] = Push(copy->inputs[0], std::move(to_left));
  copy->inputs[1] = Push(copy->inputs[1], std::move(to_right));
  return WithFilter(std::move(copy), std::move(conjuncts));
}

RelationPtr PushIntoJoin(const RelationPtr& r, Conjuncts conjuncts) {
  if (r->join == JoinType::kInner && !r->lateral) {
    std::vector<RelationPtr> inputs;
    Flatten(r, inputs, conjuncts);
    return OrderJoins(std::move(inputs), std::move(conjuncts));
  }
  return PushIntoOuterJoin(*r, std::move(conjuncts));
}

// Nodes that conjuncts do not pass: their inputs are rewritten by themselves.
RelationPtr StopAt(const Relation& r, Conjuncts conjuncts) {
  auto copy = Copy(r);
  for (auto& input : copy->inputs) input = Push(input, {});
  RelationPtr result = copy;
  result = AttachSemiJoins(std::move(result), conjuncts);
  return WithFilter(std::move(result), std::move(conjuncts));
}

RelationPtr Push(const RelationPtr& r, Conjuncts conjuncts) {
  switch (r->kind) {
    case Relation::Kind::kFilter:
      SplitConjuncts(r->condition, conjuncts);
      return Push(r->inputs[0], std::move(conjuncts));
    case Relation::Kind::kProject:
      return PushThroughProject(*r, std::move(conjuncts));
    case Relation::Kind::kAggregate:
      return PushThroughAggregate(*r, std::move(conjuncts));
    case Relation::Kind::kJoin:
      return PushIntoJoin(r, std::move(conjuncts));
    case Relation::Kind::kSort: {
      auto copy = Copy(*r);
      copy->inputs[0] = Push(r->inputs[0], std::move(conjuncts));
      return copy;
    }
    default:
      return StopAt(*r, std::move(conjuncts));
  }
}

double FilteredScanRows(const Relation& scan, const ExprPtr& condition) {
  Conjuncts conjuncts;
  SplitConjuncts(condition, conjuncts);
  double rows = scan.table->virtual_table ? 200 : 1000;
  const KeyMatch match = MatchKey(scan, conjuncts);
  if (match.full_key) return double(std::max<size_t>(1, match.keys.size()));
  rows *= std::pow(0.05, double(match.bounds.equal.size()));
  if (match.bounds.lower || match.bounds.upper) rows *= 0.2;
  rows *= std::pow(0.3, double(match.rest.size()));
  return std::max(rows, 1.0);
}

}  // namespace

double EstimateRows(const Relation& r) {
  switch (r.kind) {
    case Relation::Kind::kScan: return FilteredScanRows(r, nullptr);
    case Relation::Kind::kValues: return double(std::max<size_t>(1, r.rows.size()));
    case Relation::Kind::kFunction: return 1000;
    case Relation::Kind::kExternal: return 1000;
    case Relation::Kind::kFilter:
      if (r.inputs[0]->kind == Relation::Kind::kScan) return FilteredScanRows(*r.inputs[0], r.condition);
      return std::max(1.0, EstimateRows(*r.inputs[0]) * 0.3);
    case Relation::Kind::kAggregate:
      return r.exprs.empty() ? 1 : std::max(1.0, EstimateRows(*r.inputs[0]) * 0.1);
    case Relation::Kind::kDistinct: return std::max(1.0, EstimateRows(*r.inputs[0]) * 0.5);
    case Relation::Kind::kLimit: return std::min(100.0, EstimateRows(*r.inputs[0]));
    case Relation::Kind::kSetOp: return EstimateRows(*r.inputs[0]) + EstimateRows(*r.inputs[1]);
    case Relation::Kind::kJoin: {
      const double left = EstimateRows(*r.inputs[0]);
      const double right = EstimateRows(*r.inputs[1]);
      if (r.join == JoinType::kSemi || r.join == JoinType::kAnti) return std::max(1.0, left * 0.5);
      return r.condition ? std::max(left, right) : left * right;
    }
    default:
      return r.inputs.empty() ? 1 : EstimateRows(*r.inputs[0]);
  }
}

RelationPtr Normalize(const RelationPtr& root) { return Push(root, {}); }

}  // namespace orrery::sql::optimizer
