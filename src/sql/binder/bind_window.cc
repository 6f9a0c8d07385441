// Window functions: PostgreSQL documentation, sections 3.5, 4.2.8 and 9.22.
#include <algorithm>

#include "sql/binder/select_block.h"

namespace orrery::sql {

namespace {

struct Named {
  std::string_view name;
  WindowFunction kind;
  size_t arguments_min;
  size_t arguments_max;
};
constexpr Named kWindowFunctions[] = {
    {"row_number", WindowFunction::kRowNumber, 0, 0},     {"rank", WindowFunction::kRank, 0, 0},
    {"dense_rank", WindowFunction::kDenseRank, 0, 0},     {"percent_rank", WindowFunction::kPercentRank, 0, 0},
    {"cume_dist", WindowFunction::kCumeDist, 0, 0},       {"ntile", WindowFunction::kNtile, 1, 1},
    {"lag", WindowFunction::kLag, 1, 3},                  {"lead", WindowFunction::kLead, 1, 3},
    {"first_value", WindowFunction::kFirstValue, 1, 1},   {"last_value", WindowFunction::kLastValue, 1, 1},
    {"nth_value", WindowFunction::kNthValue, 2, 2},
};

bool SameWindow(const QueryState::Window& a, const QueryState::Window& b) {
  const auto same = [](const ExprPtr& x, const ExprPtr& y) { return SameExpr(*x, *y); };
  return std::equal(a.partition_by.begin(), a.partition_by.end(), b.partition_by.begin(), b.partition_by.end(), same) &&
         std::equal(a.order_by.begin(), a.order_by.end(), b.order_by.begin(), b.order_by.end(),
                    [](const SortKey& x, const SortKey& y) {
                      return SameExpr(*x.expr, *y.expr) && x.direction == y.direction && x.nulls == y.nulls;
                    });
}

}  // namespace

// Sets kind, arguments and type of the call.
Status StatementBinder::WindowFunctionOf(const P& expr, std::vector<ExprPtr>& args, WindowCall& call) {
  const std::string& name = expr.names.back();
  const auto* named = std::find_if(std::begin(kWindowFunctions), std::end(kWindowFunctions),
                                   [&](const Named& n) { return n.name == name; });
  if (named != std::end(kWindowFunctions) && args.size() >= named->arguments_min && args.size() <= named->arguments_max) {
    call.kind = named->kind;
    Type type{oid::kInt8};
    if (call.kind == WindowFunction::kPercentRank || call.kind == WindowFunction::kCumeDist) type = {oid::kFloat8};
    if (call.kind == WindowFunction::kNtile) type = {oid::kInt4};
    for (size_t i = 0; i < args.size(); ++i) {
      const bool value = call.kind != WindowFunction::kNtile && i != 1;
      if (!value) {
        ASSIGN_OR_RETURN(args[i], Coerce(args[i], {oid::kInt4}, CastContext::kImplicit));
      } else if (i == 0) {
        ASSIGN_OR_RETURN(args[0], KnownType(args[0]));
      } else {
        const std::vector<ExprPtr> both = {args[0], args[2]};
        ASSIGN_OR_RETURN(const Oid common, CommonTypeOf(both, name));
        ASSIGN_OR_RETURN(args[0], Coerce(args[0], {common}, CastContext::kImplicit));
        ASSIGN_OR_RETURN(args[2], Coerce(args[2], {common}, CastContext::kImplicit));
      }
      if (value) type = args[0]->type;
    }
    if (expr.filter)
      return Error("0A000", "FILTER is not implemented for non-aggregate window functions", expr.position);
    call.args = std::move(args);
    call.output = {.id = NewColumn(), .name = name, .type = type};
    return OkStatus();
  }
  std::vector<Oid> types;
  for (const ExprPtr& arg : args) types.push_back(arg->type.oid);
  auto resolved = ResolveFunction(options_.functions, name, types);
  if (!resolved.ok()) return At(resolved.status(), expr.position);
  call.function = resolved->function;
  if (call.function->kind != FunctionKind::kAggregate)
    return Error("42809", "OVER specified, but " + name + " is not a window function nor an aggregate function",
                 expr.position);
  if (!call.function->aggregate) return At(UnsupportedError("aggregate " + name), expr.position);
  for (size_t i = 0; i < args.size(); ++i) {
    ASSIGN_OR_RETURN(args[i], Coerce(args[i], {resolved->argument_types[i]}, CastContext::kImplicit));
  }
  call.args = std::move(args);
  call.output = {.id = NewColumn(), .name = name, .type = {resolved->result}};
  return OkStatus();
}

StatusOr<ExprPtr> StatementBinder::WindowExpr(const P& expr, const Scope& scope) {
  if (scope.in_aggregate)
    return Error("42803", "aggregate function calls cannot contain window function calls", expr.position);
  if (scope.in_window) return Error("42P20", "window function calls cannot be nested", expr.position);
  if (!scope.query || !scope.query->select)
    return Error("42P20", "window functions are not allowed in " +
                              std::string(scope.clause.empty() ? "this context" : scope.clause), expr.position);
  if (expr.distinct) return Error("0A000", "DISTINCT is not implemented for window functions", expr.position);
  if (!expr.order_by.empty())
    return Error("0A000", "aggregate ORDER BY is not implemented for window functions", expr.position);
  const ParsedWindow* window = expr.over.get();
  if (!window->name.empty()) {
    const auto& windows = scope.query->select->windows;
    const auto found = std::find_if(windows.begin(), windows.end(), [&](const ParsedWindow& w) { return w.name == window->name; });
    if (found == windows.end()) return Error("42704", "window \"" + window->name + "\" does not exist", window->position);
    window = &*found;
  }
  Scope inner = scope;
  inner.in_window = true;
  std::vector<ExprPtr> args;
  for (const ParsedExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(ExprPtr bound, Bind(*arg, inner));
    args.push_back(std::move(bound));
  }
  WindowCall call;
  RETURN_IF_ERROR(WindowFunctionOf(expr, args, call));
  if (expr.filter) {
    ASSIGN_OR_RETURN(const ExprPtr filter, Bind(*expr.filter, inner));
    ASSIGN_OR_RETURN(call.filter, CoerceBool(filter, "FILTER"));
  }
  QueryState::Window bound;
  for (const ParsedExprPtr& item : window->partition_by) {
    ASSIGN_OR_RETURN(const ExprPtr key, Bind(*item, inner));
    ASSIGN_OR_RETURN(ExprPtr known, KnownType(key));
    bound.partition_by.push_back(std::move(known));
  }
  for (const ParsedSortItem& item : window->order_by) {
    ASSIGN_OR_RETURN(const ExprPtr key, Bind(*item.expr, inner));
    ASSIGN_OR_RETURN(ExprPtr known, KnownType(key));
    bound.order_by.push_back({std::move(known), DirectionOf(item), NullsOf(item)});
  }
  call.frame.rows = window->mode == ParsedWindow::Mode::kRows;
  call.frame.start = window->start;
  call.frame.end = window->end;
  if (window->start_offset) {
    ASSIGN_OR_RETURN(call.frame.start_offset, LimitExpression(window->start_offset, "ROWS"));
  }
  if (window->end_offset) {
    ASSIGN_OR_RETURN(call.frame.end_offset, LimitExpression(window->end_offset, "ROWS"));
  }
  const ExprPtr out = MakeColumn(call.output.id, call.output.type, call.output.name);
  for (QueryState::Window& other : scope.query->windows) {
    if (!SameWindow(other, bound)) continue;
    other.calls.push_back(std::move(call));
    return out;
  }
  bound.calls.push_back(std::move(call));
  scope.query->windows.push_back(std::move(bound));
  return out;
}

// One node a window, over grouping and HAVING.
Status StatementBinder::AddWindows(Block& block) {
  for (QueryState::Window& window : block.query.windows) {
    auto node = std::make_shared<Relation>();
    node->kind = Relation::Kind::kWindow;
    node->columns = block.relation->columns;
    for (const WindowCall& call : window.calls) node->columns.push_back(call.output);
    node->exprs = std::move(window.partition_by);
    node->sort_keys = std::move(window.order_by);
    node->windows = std::move(window.calls);
    node->inputs = {std::move(block.relation)};
    block.relation = std::move(node);
  }
  return OkStatus();
}

}  // namespace orrery::sql
