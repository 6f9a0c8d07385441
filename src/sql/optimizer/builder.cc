#include "sql/optimizer/builder.h"

#include <algorithm>
#include <cmath>

#include "sql/optimizer/keys.h"
#include "sql/optimizer/normalize.h"

namespace orrery::sql::optimizer {
namespace {

// PostgreSQL's cost units, so that EXPLAIN reads familiarly.
constexpr double kCpuTupleCost = 0.01;
constexpr double kCpuOperatorCost = 0.0025;
constexpr double kKeyAccessCost = 0.1;

double WidthOf(const std::vector<OutputColumn>& output) {
  double width = 0;
  for (const auto& column : output) {
    const TypeInfo* info = FindType(column.type.oid);
    width += info && info->length > 0 ? info->length : 32;
  }
  return width;
}

void AddOutput(PhysicalNode& node, const RelationColumn& column) { node.output.push_back({column.name, column.type}); }

// How a scan with these bounds can give the wished order: 1 forwards, -1 backwards, 0 not.
int ScanDirection(const Relation& scan, const KeyMatch& match, const std::vector<SortKey>& order) {
  if (order.empty()) return 0;
  size_t part = match.bounds.equal.size();
  int direction = 0;
  const auto& key = scan.table->key;
  for (const SortKey& wish : order) {
    if (wish.expr->kind != Expr::Kind::kColumn) return 0;
    const auto column = std::find_if(scan.columns.begin(), scan.columns.end(),
                                     [&](const auto& c) { return c.id == wish.expr->column; });
    if (column == scan.columns.end()) return 0;
    const uint32_t ordinal = scan.ordinals[size_t(column - scan.columns.begin())];
    const int position = scan.table->KeyPosition(ordinal);
    if (position >= 0 && size_t(position) < match.bounds.equal.size()) continue;  // one value only
    if (part >= key.size()) return direction == 0 ? 1 : direction;  // the key is unique: the rest says nothing
    if (key[part].ordinal != ordinal) return 0;
    const bool ascending = key[part].direction == ordered::Direction::kAscending;
    const int step = (wish.direction == SortDirection::kAscending) == ascending ? 1 : -1;
    if (direction != 0 && step != direction) return 0;
    direction = step;
    ++part;
  }
  return direction == 0 ? 1 : direction;
}

// Whether rows in order `have` are in the wished order too.
bool InOrder(const std::vector<SortKey>& wish, const std::vector<SortKey>& have) {
  if (wish.empty() || wish.size() > have.size()) return false;
  for (size_t i = 0; i < wish.size(); ++i) {
    if (!SameExpr(*wish[i].expr, *have[i].expr) || wish[i].direction != have[i].direction || wish[i].nulls != have[i].nulls) {
      return false;
    }
  }
  return true;
}

std::optional<uint64_t> ConstantCount(const ExprPtr& e) {
  if (!e) return std::nullopt;
  if (e->kind != Expr::Kind::kConstant || e->value.is_null() || e->value.as_int() < 0) return std::nullopt;
  return uint64_t(e->value.as_int());
}

}  // namespace

void SetEstimate(PhysicalNode& node, double rows) {
  double startup = 0;
  double total = 0;
  double input_rows = 0;
  for (const auto& input : node.inputs) {
    startup += input->estimate.startup_cost;
    total += input->estimate.total_cost;
    input_rows += input->estimate.rows;
  }
  switch (node.kind) {
    case PhysicalKind::kSort:
      total += 2 * kCpuOperatorCost * input_rows * std::log2(std::max(2.0, input_rows));
      startup = total;
      break;
    case PhysicalKind::kHashAggregate:
      total += kCpuOperatorCost * input_rows;
      startup = total;
      break;
    case PhysicalKind::kScan:
    case PhysicalKind::kKeyLookup:
      startup = kKeyAccessCost;
      total = kKeyAccessCost + rows * kCpuTupleCost;
      break;
    default:
      break;
  }
  node.estimate = {startup, total + rows * kCpuTupleCost, std::max(1.0, std::floor(rows)), WidthOf(node.output)};
}

StatusOr<Built> Builder::Build(const Relation& r, const Wish& wish) {
  switch (r.kind) {
    case Relation::Kind::kScan: return BuildScan(r, {}, wish);
    case Relation::Kind::kValues: return BuildValues(r);
    case Relation::Kind::kFunction: return BuildFunction(r);
    case Relation::Kind::kFilter: return BuildFilter(r, wish);
    case Relation::Kind::kProject: return BuildProject(r, wish);
    case Relation::Kind::kJoin: return BuildJoin(r);
    case Relation::Kind::kAggregate: return BuildAggregate(r);
    case Relation::Kind::kWindow: return BuildWindow(r);
    case Relation::Kind::kDistinct: return BuildDistinct(r);
    case Relation::Kind::kSort: return BuildSort(r, wish);
    case Relation::Kind::kLimit: return BuildLimit(r);
    case Relation::Kind::kSetOp: return BuildSetOperation(r);
    case Relation::Kind::kExternal: {
      auto node = std::make_unique<PhysicalExternal>();
      Built built;
      for (const auto& column : r.columns) {
        AddOutput(*node, column);
        built.slots.push_back(column.id);
      }
      SetEstimate(*node, EstimateRows(r));
      built.node = std::move(node);
      return built;
    }
  }
  return InternalError("optimizer: unknown relation");
}

// ---- leaves ------------------------------------------------------------------------------------------------

StatusOr<Built> Builder::BuildVirtualScan(const Relation& scan, const std::vector<ExprPtr>& conjuncts) {
  auto node = std::make_unique<PhysicalVirtualScan>();
  Built built;
  node->table = scan.table;
  node->alias = scan.alias;
  for (size_t i = 0; i < scan.columns.size(); ++i) {
    if (!needed_.contains(scan.columns[i].id)) continue;
    AddOutput(*node, scan.columns[i]);
    node->ordinals.push_back(scan.ordinals[i]);
    built.slots.push_back(scan.columns[i].id);
  }
  if (!conjuncts.empty()) {
    ASSIGN_OR_RETURN(node->filter, Translate(MakeAnd(conjuncts), built.slots));
  }
  SetEstimate(*node, EstimateRows(scan));
  built.node = std::move(node);
  return built;
}

StatusOr<Built> Builder::BuildScan(const Relation& scan, const std::vector<ExprPtr>& conjuncts, const Wish& wish) {
  if (scan.table->virtual_table) return BuildVirtualScan(scan, conjuncts);
  KeyMatch match = MatchKey(scan, conjuncts);
  const ExprPtr array = match.full_key || !match.bounds.unbounded() ? nullptr : TakeKeyArray(scan, match.rest);
  std::unique_ptr<PhysicalTableLeaf> leaf;
  const int direction = ScanDirection(scan, match, wish.order);
  const std::vector<ColumnId> no_slots;
  double rows = options_.default_table_rows;
  if (match.full_key) {
    auto lookup = std::make_unique<PhysicalKeyLookup>();
    for (const auto& key : match.keys) {
      ASSIGN_OR_RETURN(auto translated, TranslateAll(key, no_slots));
      lookup->keys.push_back(std::move(translated));
    }
    rows = double(match.keys.size());
    leaf = std::move(lookup);
  } else if (array) {
    auto lookup = std::make_unique<PhysicalKeyLookup>();
    ASSIGN_OR_RETURN(lookup->array, Translate(array, no_slots));
    rows = 10;  // PostgreSQL's guess for an array it does not know
    leaf = std::move(lookup);
  } else {
    auto range = std::make_unique<PhysicalScan>();
    ASSIGN_OR_RETURN(range->bounds.equal, TranslateAll(match.bounds.equal, no_slots));
    ASSIGN_OR_RETURN(range->bounds.lower, Translate(match.bounds.lower, no_slots));
    ASSIGN_OR_RETURN(range->bounds.upper, Translate(match.bounds.upper, no_slots));
    range->bounds.lower_inclusive = match.bounds.lower_inclusive;
    range->bounds.upper_inclusive = match.bounds.upper_inclusive;
    range->reverse = direction < 0;
    if (wish.order.empty() || direction != 0) range->row_hint = wish.row_count;
    rows *= std::pow(0.05, double(match.bounds.equal.size()));
    if (match.bounds.lower || match.bounds.upper) rows *= 0.2;
    leaf = std::move(range);
  }
  Built built;
  // One key at most has any order; several do not come sorted.
  built.ordered = !wish.order.empty() && !array && (match.full_key ? match.keys.size() == 1 : direction != 0);
  leaf->table = scan.table;
  leaf->alias = scan.alias;
  leaf->lock = scan.lock;
  for (size_t i = 0; i < scan.columns.size(); ++i) {
    if (!needed_.contains(scan.columns[i].id)) continue;
    AddOutput(*leaf, scan.columns[i]);
    leaf->ordinals.push_back(scan.ordinals[i]);
    built.slots.push_back(scan.columns[i].id);
  }
  if (!match.rest.empty()) {
    ASSIGN_OR_RETURN(leaf->filter, Translate(MakeAnd(match.rest), built.slots));
  }
  if (scan.lock.strength != RowLock::kNone) plan_.read_only = false;
  SetEstimate(*leaf, rows * std::pow(0.3, double(match.rest.size())));
  built.node = std::move(leaf);
  return built;
}

StatusOr<Built> Builder::BuildValues(const Relation& r) {
  auto node = std::make_unique<PhysicalValues>();
  Built built;
  for (const auto& column : r.columns) {
    AddOutput(*node, column);
    built.slots.push_back(column.id);
  }
  for (const auto& row : r.rows) {
    ASSIGN_OR_RETURN(auto translated, TranslateAll(row, {}));
    node->rows.push_back(std::move(translated));
  }
  // No columns and no rows written: the one empty row of a SELECT without FROM.
  if (r.columns.empty() && r.rows.empty()) node->rows.emplace_back();
  SetEstimate(*node, double(node->rows.size()));
  built.node = std::move(node);
  return built;
}

StatusOr<Built> Builder::BuildFunction(const Relation& r) {
  auto node = std::make_unique<PhysicalFunctionScan>();
  Built built;
  node->function_name = r.function_name;
  node->function = r.function;
  node->with_ordinality = r.with_ordinality;
  ASSIGN_OR_RETURN(node->args, TranslateAll(r.args, {}));
  for (const auto& column : r.columns) {
    AddOutput(*node, column);
    built.slots.push_back(column.id);
  }
  SetEstimate(*node, EstimateRows(r));
  built.node = std::move(node);
  return built;
}

// ---- inner nodes -------------------------------------------------------------------------------------------

Built Builder::Filtered(Built input, ExprPtr condition) {
  auto node = std::make_unique<PhysicalFilter>();
  node->condition = std::move(condition);
  node->output = input.node->output;
  const double rows = input.node->estimate.rows * 0.3;
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, rows);
  input.node = std::move(node);
  return input;
}

StatusOr<Built> Builder::BuildFilter(const Relation& r, const Wish& wish) {
  const Relation& input = *r.inputs[0];
  std::vector<ExprPtr> conjuncts;
  SplitConjuncts(r.condition, conjuncts);
  if (input.kind == Relation::Kind::kScan) return BuildScan(input, conjuncts, wish);
  ASSIGN_OR_RETURN(Built built, Build(input, {.order = wish.order}));
  ASSIGN_OR_RETURN(ExprPtr condition, Translate(r.condition, built.slots));
  return Filtered(std::move(built), std::move(condition));
}

StatusOr<Built> Builder::BuildProject(const Relation& r, const Wish& wish) {
  Wish below{.row_count = wish.row_count};
  Substitution with;
  for (size_t i = 0; i < r.columns.size(); ++i) with[r.columns[i].id] = r.exprs[i];
  for (const SortKey& key : wish.order) {
    below.order.push_back(key);
    below.order.back().expr = Substitute(key.expr, with);
  }
  ASSIGN_OR_RETURN(Built input, Build(*r.inputs[0], below));
  auto node = std::make_unique<PhysicalProject>();
  Built built;
  built.ordered = input.ordered;
  bool identity = true;
  for (size_t i = 0; i < r.columns.size(); ++i) {
    if (!needed_.contains(r.columns[i].id) && VolatilityOf(*r.exprs[i]) != Volatility::kVolatile) continue;
    ASSIGN_OR_RETURN(ExprPtr expr, Translate(r.exprs[i], input.slots));
    identity &= expr->kind == Expr::Kind::kSlot && expr->index == node->exprs.size();
    AddOutput(*node, r.columns[i]);
    node->exprs.push_back(std::move(expr));
    built.slots.push_back(r.columns[i].id);
  }
  if (identity && node->exprs.size() == input.slots.size()) {
    for (size_t i = 0; i < node->output.size(); ++i) input.node->output[i].name = node->output[i].name;
    built.node = std::move(input.node);
    return built;
  }
  const double rows = input.node->estimate.rows;
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, rows);
  built.node = std::move(node);
  return built;
}

Built Builder::Arrange(Built built, const std::vector<ColumnId>& columns, const std::vector<RelationColumn>& types) {
  if (built.slots == columns) return built;
  auto node = std::make_unique<PhysicalProject>();
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto slot = std::find(built.slots.begin(), built.slots.end(), columns[i]);
    ORRERY_ASSERT(slot != built.slots.end(), "optimizer: a needed column is produced below");
    node->exprs.push_back(MakeSlot(uint32_t(slot - built.slots.begin()), types[i].type, types[i].name));
    AddOutput(*node, types[i]);
  }
  const double rows = built.node->estimate.rows;
  node->inputs.push_back(std::move(built.node));
  SetEstimate(*node, rows);
  return {.node = std::move(node), .slots = columns, .ordered = built.ordered};
}

StatusOr<Built> Builder::BuildAggregate(const Relation& r) {
  ASSIGN_OR_RETURN(Built input, Build(*r.inputs[0]));
  auto node = std::make_unique<PhysicalAggregate>(r.exprs.empty() ? PhysicalKind::kStreamAggregate
                                                                  : PhysicalKind::kHashAggregate);
  Built built;
  ASSIGN_OR_RETURN(node->groups, TranslateAll(r.exprs, input.slots));
  for (const AggregateCall& call : r.aggregates) {
    PhysicalAggregateCall physical{.function = call.function, .distinct = call.distinct};
    ASSIGN_OR_RETURN(physical.args, TranslateAll(call.args, input.slots));
    ASSIGN_OR_RETURN(physical.filter, Translate(call.filter, input.slots));
    for (const SortKey& key : call.order_by) {
      physical.order_by.push_back(key);
      ASSIGN_OR_RETURN(physical.order_by.back().expr, Translate(key.expr, input.slots));
    }
    node->aggregates.push_back(std::move(physical));
  }
  for (const auto& column : r.columns) {
    AddOutput(*node, column);
    built.slots.push_back(column.id);
  }
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, EstimateRows(r));
  built.node = std::move(node);
  return built;
}

StatusOr<Built> Builder::BuildWindow(const Relation& r) {
  ASSIGN_OR_RETURN(Built built, Build(*r.inputs[0]));
  auto node = std::make_unique<PhysicalWindow>();
  ASSIGN_OR_RETURN(node->partition_by, TranslateAll(r.exprs, built.slots));
  for (const SortKey& key : r.sort_keys) {
    node->order_by.push_back(key);
    ASSIGN_OR_RETURN(node->order_by.back().expr, Translate(key.expr, built.slots));
  }
  node->output = built.node->output;
  for (const WindowCall& call : r.windows) {
    node->calls.push_back(call);
    ASSIGN_OR_RETURN(node->calls.back().args, TranslateAll(call.args, built.slots));
    ASSIGN_OR_RETURN(node->calls.back().filter, Translate(call.filter, built.slots));
    AddOutput(*node, call.output);
  }
  // Two windows' columns: an input's own come first.
  for (const WindowCall& call : r.windows) built.slots.push_back(call.output.id);
  const double rows = built.node->estimate.rows;
  node->inputs.push_back(std::move(built.node));
  SetEstimate(*node, rows);
  return Built{.node = std::move(node), .slots = std::move(built.slots)};
}

StatusOr<Built> Builder::BuildDistinct(const Relation& r) {
  const bool whole_rows = r.on.size() >= r.columns.size();
  Wish wish;
  if (!whole_rows) {
    for (const ColumnId id : r.on) {
      const auto column = std::find_if(r.columns.begin(), r.columns.end(), [&](const auto& c) { return c.id == id; });
      if (column != r.columns.end()) wish.order.push_back({.expr = MakeColumn(id, column->type, column->name)});
    }
  }
  ASSIGN_OR_RETURN(Built input, Build(*r.inputs[0], wish));
  std::vector<ColumnId> columns;
  for (const auto& column : r.columns) columns.push_back(column.id);
  input = Arrange(std::move(input), columns, r.columns);
  if (whole_rows) {
    auto node = std::make_unique<PhysicalAggregate>(PhysicalKind::kHashAggregate);
    for (size_t i = 0; i < columns.size(); ++i) node->groups.push_back(MakeSlot(uint32_t(i), r.columns[i].type, r.columns[i].name));
    node->output = input.node->output;
    node->inputs.push_back(std::move(input.node));
    SetEstimate(*node, EstimateRows(r));
    return Built{.node = std::move(node), .slots = columns};
  }
  if (r.inputs[0]->kind != Relation::Kind::kSort && !input.ordered) {
    auto sort = std::make_unique<PhysicalSort>();
    for (const SortKey& key : wish.order) {
      sort->keys.push_back(key);
      ASSIGN_OR_RETURN(sort->keys.back().expr, Translate(key.expr, input.slots));
    }
    sort->output = input.node->output;
    const double rows = input.node->estimate.rows;
    sort->inputs.push_back(std::move(input.node));
    SetEstimate(*sort, rows);
    input.node = std::move(sort);
  }
  auto node = std::make_unique<PhysicalDistinctOn>();
  for (const ColumnId id : r.on) {
    node->on.push_back(uint32_t(std::find(columns.begin(), columns.end(), id) - columns.begin()));
  }
  node->output = input.node->output;
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, EstimateRows(r));
  return Built{.node = std::move(node), .slots = columns};
}

StatusOr<Built> Builder::BuildSort(const Relation& r, const Wish& wish) {
  ASSIGN_OR_RETURN(Built input, Build(*r.inputs[0], {.order = r.sort_keys, .row_count = wish.row_count}));
  const bool sorted_already = input.ordered;
  input.ordered = InOrder(wish.order, r.sort_keys);
  if (sorted_already) return input;
  auto node = std::make_unique<PhysicalSort>();
  for (const SortKey& key : r.sort_keys) {
    node->keys.push_back(key);
    ASSIGN_OR_RETURN(node->keys.back().expr, Translate(key.expr, input.slots));
  }
  node->output = input.node->output;
  const double rows = input.node->estimate.rows;
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, rows);
  input.node = std::move(node);
  return input;
}

StatusOr<Built> Builder::BuildLimit(const Relation& r) {
  const auto limit = ConstantCount(r.limit);
  const auto offset = r.offset ? ConstantCount(r.offset) : std::optional<uint64_t>(0);
  Wish wish;
  if (limit && offset && *limit < (uint64_t{1} << 40) && *offset < (uint64_t{1} << 40)) wish.row_count = *limit + *offset;
  ASSIGN_OR_RETURN(Built input, Build(*r.inputs[0], wish));
  if (input.node->kind == PhysicalKind::kSort) {
    auto& sort = static_cast<PhysicalSort&>(*input.node);
    if (wish.row_count) {
      sort.top = MakeConstant({oid::kInt8, -1}, Datum::Int(int64_t(*wish.row_count)));
    } else if (r.limit && !r.offset && !HasSubquery(*r.limit)) {
      ASSIGN_OR_RETURN(sort.top, Translate(r.limit, {}));
    }
  }
  auto node = std::make_unique<PhysicalLimit>();
  ASSIGN_OR_RETURN(node->limit, Translate(r.limit, {}));
  ASSIGN_OR_RETURN(node->offset, Translate(r.offset, {}));
  node->output = input.node->output;
  const double rows = std::min(input.node->estimate.rows, limit ? double(*limit) : 100.0);
  node->inputs.push_back(std::move(input.node));
  SetEstimate(*node, rows);
  input.node = std::move(node);
  input.ordered = false;  // which rows stay is the order's below; that is not the order asked for here
  return input;
}

StatusOr<Built> Builder::BuildSetOperation(const Relation& r) {
  auto node = std::make_unique<PhysicalSetOperation>();
  node->operation = r.set_operation;
  node->all = r.set_all;
  for (const auto& side : r.inputs) {
    ASSIGN_OR_RETURN(Built built, Build(*side));
    std::vector<ColumnId> columns;
    for (const auto& column : side->columns) columns.push_back(column.id);
    node->inputs.push_back(Arrange(std::move(built), columns, side->columns).node);
  }
  Built built;
  for (const auto& column : r.columns) {
    AddOutput(*node, column);
    built.slots.push_back(column.id);
  }
  SetEstimate(*node, EstimateRows(r));
  built.node = std::move(node);
  return built;
}

// ---- expressions -------------------------------------------------------------------------------------------

StatusOr<std::vector<ExprPtr>> Builder::TranslateAll(const std::vector<ExprPtr>& exprs,
                                                     const std::vector<ColumnId>& slots) {
  std::vector<ExprPtr> out;
  out.reserve(exprs.size());
  for (const auto& e : exprs) {
    ASSIGN_OR_RETURN(ExprPtr translated, Translate(e, slots));
    out.push_back(std::move(translated));
  }
  return out;
}

StatusOr<ExprPtr> Builder::Translate(const ExprPtr& expr, const std::vector<ColumnId>& slots) {
  if (!expr) return ExprPtr();
  if (expr->kind == Expr::Kind::kColumn) {
    const auto slot = std::find(slots.begin(), slots.end(), expr->column);
    if (slot != slots.end()) return MakeSlot(uint32_t(slot - slots.begin()), expr->type, expr->name);
    if (scopes_.empty()) return InternalError("optimizer: column " + expr->name + " is not in its row");
    Scope& scope = scopes_.back();
    const auto [it, added] = scope.variables.try_emplace(expr->column, plan_.variable_count);
    if (added) {
      ++plan_.variable_count;
      scope.exprs[expr->column] = expr;
    }
    auto variable = std::make_shared<Expr>(*expr);
    variable->kind = Expr::Kind::kVariable;
    variable->index = it->second;
    return ExprPtr(variable);
  }
  if (expr->kind == Expr::Kind::kSubquery && expr->query) return TranslateSubquery(expr, slots);
  Status failed;
  ExprPtr mapped = MapChildren(expr, [&](const ExprPtr& child) -> ExprPtr {
    auto translated = Translate(child, slots);
    if (translated.ok()) return *translated;
    failed = translated.status();
    return child;
  });
  if (!failed.ok()) return failed;
  return mapped;
}

StatusOr<ExprPtr> Builder::TranslateSubquery(const ExprPtr& expr, const std::vector<ColumnId>& slots) {
  scopes_.emplace_back();
  const RelationPtr query = Normalize(std::const_pointer_cast<Relation>(expr->query));
  auto built = Build(*query);
  if (!built.ok()) return built.status();
  std::vector<ColumnId> columns;
  for (const auto& column : query->columns) columns.push_back(column.id);
  PhysicalSubplan subplan;
  subplan.root = Arrange(std::move(*built), columns, query->columns).node;
  ASSIGN_OR_RETURN(subplan.variables, CloseScope(slots));
  auto copy = std::make_shared<Expr>(*expr);
  copy->query = nullptr;
  copy->index = uint32_t(plan_.subplans.size());
  plan_.subplans.push_back(std::move(subplan));
  ASSIGN_OR_RETURN(copy->args, TranslateAll(expr->args, slots));
  return ExprPtr(copy);
}

// Ends the innermost scope: its variables, with their values as seen from the row around it.
StatusOr<std::vector<VariableBinding>> Builder::CloseScope(const std::vector<ColumnId>& slots) {
  const Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  std::vector<VariableBinding> bindings;
  for (const auto& [column, variable] : scope.variables) {
    VariableBinding binding{.variable = variable};
    ASSIGN_OR_RETURN(binding.value, Translate(scope.exprs.at(column), slots));
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

}  // namespace orrery::sql::optimizer
