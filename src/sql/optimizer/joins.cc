// Joins: hash where sides are compared by equality, look-up where the right side's key is given by the left,
// nested loops for the rest.
#include <algorithm>

#include "sql/optimizer/builder.h"
#include "sql/optimizer/keys.h"
#include "sql/optimizer/normalize.h"

namespace orrery::sql::optimizer {
namespace {

// A look-up costs about as much as reading this many rows of a scan.
constexpr double kLookupInRows = 5;

struct EquiPair {
  ExprPtr left, right;
  const Function* equal;
};

// `a = b` with one side over `left` and the other over `right`.
std::optional<EquiPair> AsEquiPair(const ExprPtr& e, const ColumnSet& left, const ColumnSet& right) {
  if (e->kind != Expr::Kind::kFunction || !e->op || e->op->name != "=" || !e->op->hashes) return std::nullopt;
  const ColumnSet a = Reads(e->args[0]);
  const ColumnSet b = Reads(e->args[1]);
  if (a.empty() || b.empty() || HasSubquery(*e)) return std::nullopt;
  if (IsSubset(a, left) && IsSubset(b, right)) return EquiPair{e->args[0], e->args[1], e->function};
  // Mirrored: the function takes (left type, right type), which only fits if they are the same.
  if (IsSubset(a, right) && IsSubset(b, left)) return EquiPair{e->args[1], e->args[0], e->function};
  return std::nullopt;
}

void JoinOutput(PhysicalNode& node, const Built& left, const std::vector<OutputColumn>& right, JoinType type) {
  node.output = left.node->output;
  if (type != JoinType::kSemi && type != JoinType::kAnti) {
    node.output.insert(node.output.end(), right.begin(), right.end());
  }
}

std::vector<ColumnId> Joined(std::vector<ColumnId> left, const std::vector<ColumnId>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// The scan below the filters of a join's right side, and their conjuncts; null if it is something else.
const Relation* PlainScan(const Relation& r, std::vector<ExprPtr>& conjuncts) {
  if (r.kind == Relation::Kind::kScan) return r.table->virtual_table ? nullptr : &r;
  if (r.kind != Relation::Kind::kFilter || r.inputs[0]->kind != Relation::Kind::kScan) return nullptr;
  SplitConjuncts(r.condition, conjuncts);
  return r.inputs[0]->table->virtual_table ? nullptr : r.inputs[0].get();
}

}  // namespace

StatusOr<std::optional<Built>> Builder::TryLookupJoin(const Relation& r, Built& left,
                                                      const std::vector<ExprPtr>& conjuncts) {
  if (r.join == JoinType::kFull || r.join == JoinType::kRight) return std::optional<Built>();
  std::vector<ExprPtr> all = conjuncts;
  const Relation* scan = PlainScan(*r.inputs[1], all);
  if (!scan) return std::optional<Built>();
  const KeyMatch match = MatchKey(*scan, all);
  if (match.full_key && match.keys.size() != 1) return std::optional<Built>();
  const std::vector<ExprPtr>& keys = match.full_key ? match.keys[0] : match.bounds.equal;
  if (keys.empty() || (!match.full_key && (match.bounds.lower || match.bounds.upper))) return std::optional<Built>();
  const ColumnSet left_columns(left.slots.begin(), left.slots.end());
  const bool by_left = std::any_of(keys.begin(), keys.end(), [&](const ExprPtr& k) { return Intersects(Reads(k), left_columns); });
  const double per_row = match.full_key ? 1 : 10;
  if (!by_left || left.node->estimate.rows * kLookupInRows * per_row >= options_.default_table_rows) {
    return std::optional<Built>();
  }
  auto node = std::make_unique<PhysicalLookupJoin>();
  node->join = r.join;
  node->table = scan->table;
  node->alias = scan->alias;
  node->lock = scan->lock;
  if (scan->lock.strength != RowLock::kNone) plan_.read_only = false;
  node->full_key = match.full_key;
  std::vector<ColumnId> right;
  std::vector<OutputColumn> right_output;
  for (size_t i = 0; i < scan->columns.size(); ++i) {
    if (!needed_.contains(scan->columns[i].id)) continue;
    node->ordinals.push_back(scan->ordinals[i]);
    right.push_back(scan->columns[i].id);
    right_output.push_back({scan->columns[i].name, scan->columns[i].type});
  }
  ASSIGN_OR_RETURN(node->keys, TranslateAll(keys, left.slots));
  const std::vector<ColumnId> both = Joined(left.slots, right);
  if (!match.rest.empty()) {
    ASSIGN_OR_RETURN(node->residual, Translate(MakeAnd(match.rest), both));
  }
  JoinOutput(*node, left, right_output, r.join);
  Built built;
  built.slots = node->output.size() == both.size() ? both : left.slots;
  const double rows = left.node->estimate.rows * (match.full_key ? 1 : per_row);
  node->inputs.push_back(std::move(left.node));
  SetEstimate(*node, rows);
  built.node = std::move(node);
  return std::optional<Built>(std::move(built));
}

StatusOr<Built> Builder::BuildLateralJoin(const Relation& r) {
  ASSIGN_OR_RETURN(Built left, Build(*r.inputs[0]));
  scopes_.emplace_back();
  auto right = Build(*r.inputs[1]);
  if (!right.ok()) return right.status();
  auto node = std::make_unique<PhysicalNestedLoopJoin>();
  node->join = r.join;
  ASSIGN_OR_RETURN(node->variables, CloseScope(left.slots));
  const std::vector<ColumnId> both = Joined(left.slots, right->slots);
  ASSIGN_OR_RETURN(node->condition, Translate(r.condition, both));
  JoinOutput(*node, left, right->node->output, r.join);
  const double rows = left.node->estimate.rows * right->node->estimate.rows;
  Built built;
  built.slots = node->output.size() == both.size() ? both : left.slots;
  node->inputs.push_back(std::move(left.node));
  node->inputs.push_back(std::move(right->node));
  SetEstimate(*node, rows);
  built.node = std::move(node);
  return built;
}

StatusOr<Built> Builder::BuildJoin(const Relation& r) {
  if (r.lateral) return BuildLateralJoin(r);
  std::vector<ExprPtr> conjuncts;
  SplitConjuncts(r.condition, conjuncts);
  ASSIGN_OR_RETURN(Built left, Build(*r.inputs[0]));
  ASSIGN_OR_RETURN(auto lookup, TryLookupJoin(r, left, conjuncts));
  if (lookup) return std::move(*lookup);
  ASSIGN_OR_RETURN(Built right, Build(*r.inputs[1]));
  const ColumnSet left_columns = Outputs(*r.inputs[0]);
  const ColumnSet right_columns = Outputs(*r.inputs[1]);
  const std::vector<ColumnId> both = Joined(left.slots, right.slots);
  auto hash = std::make_unique<PhysicalHashJoin>();
  hash->join = r.join;
  std::vector<ExprPtr> rest;
  for (const auto& e : conjuncts) {
    const auto pair = AsEquiPair(e, left_columns, right_columns);
    if (!pair) {
      rest.push_back(e);
      continue;
    }
    ASSIGN_OR_RETURN(ExprPtr left_key, Translate(pair->left, left.slots));
    ASSIGN_OR_RETURN(ExprPtr right_key, Translate(pair->right, right.slots));
    hash->left_keys.push_back(std::move(left_key));
    hash->right_keys.push_back(std::move(right_key));
    hash->equals.push_back(pair->equal);
  }
  ASSIGN_OR_RETURN(ExprPtr residual, Translate(rest.empty() ? nullptr : MakeAnd(rest), both));
  PhysicalNodePtr node;
  if (!hash->left_keys.empty()) {
    hash->residual = std::move(residual);
    node = std::move(hash);
  } else if (r.join == JoinType::kFull && residual) {
    return Status(Code::kUnimplemented, "0A000",
                  "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions");
  } else {
    auto loop = std::make_unique<PhysicalNestedLoopJoin>();
    loop->join = r.join;
    loop->condition = std::move(residual);
    node = std::move(loop);
  }
  JoinOutput(*node, left, right.node->output, r.join);
  Built built;
  built.slots = node->output.size() == both.size() ? both : left.slots;
  node->inputs.push_back(std::move(left.node));
  node->inputs.push_back(std::move(right.node));
  SetEstimate(*node, EstimateRows(r));
  built.node = std::move(node);
  return built;
}

}  // namespace orrery::sql::optimizer
