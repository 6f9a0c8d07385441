// Operators, function calls, aggregates and subqueries in expressions.
#include <algorithm>
#include <array>
#include <optional>

#include "sql/binder/statement_binder.h"

namespace orrery::sql {

namespace {
std::shared_ptr<Expr> New(Expr::Kind kind, Type type, int position) {
  auto out = std::make_shared<Expr>();
  out->kind = kind;
  out->type = type;
  out->position = position;
  return out;
}

// Functions whose arguments have names in PostgreSQL's catalog, or defaults (all of them zero).
struct NamedArguments {
  std::string_view function;
  std::array<std::string_view, 7> names;
  bool optional = false;
};
constexpr NamedArguments kNamedArguments[] = {
    {"make_date", {"year", "month", "day"}},
    {"make_time", {"hour", "min", "sec"}},
    {"make_timestamp", {"year", "month", "mday", "hour", "min", "sec"}},
    {"make_interval", {"years", "months", "weeks", "days", "hours", "mins", "secs"}, true},
};

// The arguments of a call by position; null: the default. nullopt: no such function.
std::optional<std::vector<const ParsedExpr*>> ByPosition(const ParsedExpr& call) {
  std::vector<const ParsedExpr*> out;
  const auto* named = std::find_if(std::begin(kNamedArguments), std::end(kNamedArguments),
                                   [&](const NamedArguments& n) { return n.function == call.names.back(); });
  if (named == std::end(kNamedArguments)) {
    if (!call.arg_names.empty()) return std::nullopt;
    for (const ParsedExprPtr& arg : call.args) out.push_back(arg.get());
    return out;
  }
  for (size_t i = 0; i < call.args.size(); ++i) {
    const std::string_view name = i < call.arg_names.size() ? std::string_view(call.arg_names[i]) : "";
    size_t position = i;
    if (!name.empty()) position = size_t(std::find(named->names.begin(), named->names.end(), name) - named->names.begin());
    if (position >= named->names.size()) return std::nullopt;
    if (position >= out.size()) out.resize(position + 1);
    if (out[position]) return std::nullopt;
    out[position] = call.args[i].get();
  }
  const bool complete = std::find(out.begin(), out.end(), nullptr) == out.end();
  if (named->optional) out.resize(named->names.size());
  return named->optional || complete ? std::optional(std::move(out)) : std::nullopt;
}
}  // namespace

StatusOr<ExprPtr> StatementBinder::ApplyOperator(std::string_view name, ExprPtr left, ExprPtr right, int position) {
  auto resolved = ResolveOperator(options_.functions, name, left ? left->type.oid : oid::kInvalid, right->type.oid);
  if (!resolved.ok()) return At(resolved.status(), position);
  auto out = New(Expr::Kind::kFunction, {resolved->result}, position);
  out->op = resolved->op;
  out->function = resolved->op->function;
  if (left) {
    ASSIGN_OR_RETURN(left, Coerce(left, {resolved->left}, CastContext::kImplicit));
    out->args.push_back(std::move(left));
  }
  ASSIGN_OR_RETURN(right, Coerce(right, {resolved->right}, CastContext::kImplicit));
  out->args.push_back(std::move(right));
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Operator(const P& expr, const Scope& scope) {
  const std::string& name = expr.names.back();
  if (expr.names.size() > 1 && expr.names.front() != "pg_catalog")
    return Error("3F000", "schema \"" + expr.names.front() + "\" does not exist", expr.position);
  if (expr.args.size() == 1) {
    ASSIGN_OR_RETURN(ExprPtr arg, Bind(*expr.args[0], scope));
    return ApplyOperator(name, nullptr, std::move(arg), expr.position);
  }
  if (expr.args[0]->kind == P::Kind::kRow && expr.args[1]->kind == P::Kind::kRow)
    return CompareRows(name, *expr.args[0], *expr.args[1], scope, expr.position);
  ASSIGN_OR_RETURN(ExprPtr left, Bind(*expr.args[0], scope));
  ASSIGN_OR_RETURN(ExprPtr right, Bind(*expr.args[1], scope));
  return ApplyOperator(name, std::move(left), std::move(right), expr.position);
}

StatusOr<ExprPtr> StatementBinder::CompareRows(std::string_view name, const P& left, const P& right,
                                               const Scope& scope, int position) {
  if (left.kind != P::Kind::kRow || right.kind != P::Kind::kRow)
    return At(UnsupportedError("comparison of a row with a single value"), position);
  if (left.args.size() != right.args.size())
    return Error("42601", "unequal number of entries in row expressions", position);
  std::vector<ExprPtr> a, b;
  for (const auto& [from, to] : {std::pair(&left, &a), std::pair(&right, &b)})
    for (const ParsedExprPtr& field : from->args) {
      ASSIGN_OR_RETURN(ExprPtr bound, Bind(*field, scope));
      to->push_back(std::move(bound));
    }
  return CompareRow(name, a, b, position);
}

// SQL's row comparison: equality of all, difference of any, or order by the first that differs.
StatusOr<ExprPtr> StatementBinder::CompareRow(std::string_view name, std::span<const ExprPtr> left,
                                              std::span<const ExprPtr> right, int position) {
  const bool ordering = name == "<" || name == "<=" || name == ">" || name == ">=";
  if (!ordering && name != "=" && name != "<>")
    return At(UnsupportedError("operator " + std::string(name) + " on rows"), position);
  if (left.size() == 1) return ApplyOperator(name, left[0], right[0], position);
  if (!ordering) {
    auto out = New(name == "=" ? Expr::Kind::kAnd : Expr::Kind::kOr, {oid::kBool}, position);
    for (size_t i = 0; i < left.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr test, ApplyOperator(name, left[i], right[i], position));
      out->args.push_back(std::move(test));
    }
    return Fold(std::move(out));
  }
  const std::string_view strict = name.substr(0, 1);
  ASSIGN_OR_RETURN(ExprPtr first, ApplyOperator(strict, left[0], right[0], position));
  ASSIGN_OR_RETURN(ExprPtr same, ApplyOperator("=", left[0], right[0], position));
  ASSIGN_OR_RETURN(ExprPtr rest, CompareRow(name, left.subspan(1), right.subspan(1), position));
  auto out = New(Expr::Kind::kOr, {oid::kBool}, position);
  out->args = {std::move(first), MakeAnd({std::move(same), std::move(rest)})};
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::CallFunction(std::string_view name, std::vector<ExprPtr> args, int position) {
  std::vector<Oid> types;
  for (const ExprPtr& arg : args) types.push_back(arg->type.oid);
  auto resolved = ResolveFunction(options_.functions, name, types);
  if (!resolved.ok()) return At(resolved.status(), position);
  auto out = New(Expr::Kind::kFunction, {resolved->result}, position);
  out->function = resolved->function;
  for (size_t i = 0; i < args.size(); ++i) {
    ASSIGN_OR_RETURN(ExprPtr arg, Coerce(args[i], {resolved->argument_types[i]}, CastContext::kImplicit));
    out->args.push_back(std::move(arg));
  }
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Function(const P& expr, const Scope& scope) {
  const std::string& name = expr.names.back();
  if (expr.names.size() > 1 && expr.names[0] != "pg_catalog")
    return Error("3F000", "schema \"" + expr.names[0] + "\" does not exist", expr.position);
  if (expr.over) return WindowExpr(expr, scope);
  if (ReturnsSet(name)) return SetReturning(expr, scope);
  if (name == "unique_rowid" && expr.args.empty()) {
    auto out = New(Expr::Kind::kFunction, {oid::kInt8}, expr.position);
    out->function = &UniqueRowIdFunction();
    return ExprPtr(std::move(out));
  }
  bool aggregate = false;
  for (const sql::Function* overload : options_.functions.Overloads(name))
    aggregate = aggregate || overload->kind == FunctionKind::kAggregate;
  Scope inner = scope;
  inner.in_aggregate = aggregate || scope.in_aggregate;
  std::vector<ExprPtr> args;
  std::vector<Oid> types;
  const auto by_position = ByPosition(expr);
  if (!by_position) return Error("42883", "function " + name + " does not exist with these named arguments", expr.position);
  for (const P* arg : *by_position) {
    ExprPtr bound = MakeConstant({oid::kInt4}, Datum::Int(0));
    if (arg) {
      ASSIGN_OR_RETURN(bound, Bind(*arg, aggregate ? inner : scope));
    }
    types.push_back(bound->type.oid);
    args.push_back(std::move(bound));
  }
  auto resolved = ResolveFunction(options_.functions, name, types);
  if (!resolved.ok()) {
    // type(x) is a cast where no function of that name fits.
    const TypeInfo* type = args.size() == 1 ? FindTypeByName(name) : nullptr;
    if (type && CanCast(options_.functions, types[0], type->oid, CastContext::kExplicit))
      return Coerce(args[0], {type->oid}, CastContext::kExplicit);
    return At(resolved.status(), expr.position);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    ASSIGN_OR_RETURN(args[i], Coerce(args[i], {resolved->argument_types[i]}, CastContext::kImplicit));
  }
  if (resolved->function->kind == FunctionKind::kAggregate)
    return Aggregate(expr, *resolved, std::move(args), scope);
  const std::string_view misplaced = expr.distinct       ? "DISTINCT"
                                     : expr.star         ? "*"
                                     : expr.filter       ? "FILTER"
                                     : !expr.order_by.empty() ? "ORDER BY"
                                                              : "";
  if (!misplaced.empty())
    return Error("42809", std::string(misplaced) + " specified, but " + name + " is not an aggregate function",
                 expr.position);
  auto out = New(Expr::Kind::kFunction, {resolved->result}, expr.position);
  out->function = resolved->function;
  out->args = std::move(args);
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Aggregate(const P& expr, const ResolvedFunction& resolved,
                                             std::vector<ExprPtr> args, const Scope& scope) {
  const sql::Function& function = *resolved.function;
  if (scope.in_aggregate) return Error("42803", "aggregate function calls cannot be nested", expr.position);
  if (!scope.query)
    return Error("42803", "aggregate functions are not allowed in " + std::string(scope.clause), expr.position);
  if (!function.aggregate) return At(UnsupportedError("aggregate " + std::string(function.name)), expr.position);
  AggregateCall call;
  call.function = &function;
  call.args = std::move(args);
  call.distinct = expr.distinct;
  Scope inner = scope;
  inner.in_aggregate = true;
  if (expr.filter) {
    ASSIGN_OR_RETURN(const ExprPtr filter, Bind(*expr.filter, inner));
    ASSIGN_OR_RETURN(call.filter, CoerceBool(filter, "FILTER"));
  }
  for (const ParsedSortItem& item : expr.order_by) {
    ASSIGN_OR_RETURN(const ExprPtr key, Bind(*item.expr, inner));
    ASSIGN_OR_RETURN(ExprPtr known, KnownType(key));
    const bool down = item.direction == ParsedDirection::kDescending;
    const bool first = item.nulls == ParsedNulls::kDefault ? down : item.nulls == ParsedNulls::kFirst;
    call.order_by.push_back({std::move(known), down ? SortDirection::kDescending : SortDirection::kAscending,
                             first ? NullsOrder::kFirst : NullsOrder::kLast});
  }
  if (call.distinct && call.args.empty())
    return Error("42809", "DISTINCT specified, but " + std::string(function.name) + " has no arguments", expr.position);
  const auto same_args = [&](const AggregateCall& other) {
    for (size_t i = 0; i < call.args.size(); ++i)
      if (!SameExpr(*call.args[i], *other.args[i])) return false;
    return true;
  };
  for (const AggregateCall& other : scope.query->aggregates)
    if (other.function == call.function && other.distinct == call.distinct && !other.filter && !call.filter &&
        other.order_by.empty() && call.order_by.empty() && other.args.size() == call.args.size() && same_args(other))
      return MakeColumn(other.output.id, other.output.type, other.output.name);
  call.output = {.id = NewColumn(), .name = std::string(function.name), .type = {resolved.result}};
  scope.query->aggregates.push_back(call);
  return MakeColumn(call.output.id, call.output.type, call.output.name);
}

StatusOr<RelationPtr> StatementBinder::SeriesFunction(const P& expr, const Scope& scope, std::string_view column_name,
                                                      bool with_ordinality) {
  if (expr.args.size() != 2 && expr.args.size() != 3)
    return Error("42883", "function generate_series does not exist with these arguments", expr.position);
  std::vector<ExprPtr> args;
  for (const ParsedExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(ExprPtr bound, Bind(*arg, scope));
    args.push_back(std::move(bound));
  }
  ASSIGN_OR_RETURN(Oid type, CommonTypeOf(std::span(args).first(2), "generate_series"));
  if (type == oid::kInt2 || type == oid::kText) type = oid::kInt4;
  Oid step = type;
  if (type == oid::kDate) type = oid::kTimestamptz;
  if (type == oid::kTimestamp || type == oid::kTimestamptz) {
    step = oid::kInterval;
    if (args.size() == 2)
      return Error("42883", "function generate_series(" + std::string(TypeName(type)) + ", " +
                                std::string(TypeName(type)) + ") does not exist", expr.position);
  } else {
    if (args.size() == 3) {
      ASSIGN_OR_RETURN(type, CommonTypeOf(args, "generate_series"));
      step = type;
    }
    if (type != oid::kInt4 && type != oid::kInt8 && type != oid::kNumeric)
      return Error("42883", "function generate_series(" + std::string(TypeName(type)) + ", " +
                                std::string(TypeName(type)) + ") does not exist", expr.position);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    ASSIGN_OR_RETURN(args[i], Coerce(args[i], {i == 2 ? step : type}, CastContext::kImplicit));
  }
  auto out = std::make_shared<Relation>();
  out->kind = Relation::Kind::kFunction;
  out->function_name = "generate_series";
  if (step == oid::kInterval) {
    const sql::Operator* plus = options_.functions.ExactOperator("+", type, oid::kInterval);
    if (!plus) return At(UnsupportedError("generate_series of " + std::string(TypeName(type))), expr.position);
    out->function = plus->function;
  }
  out->args = std::move(args);
  out->with_ordinality = with_ordinality;
  out->columns.push_back({NewColumn(), std::string(column_name), {type}});
  if (with_ordinality) out->columns.push_back({NewColumn(), "ordinality", {oid::kInt8}});
  return out;
}

// A set-returning function in a target list: joined to the rows it is evaluated for.
StatusOr<ExprPtr> StatementBinder::SetReturning(const P& expr, const Scope& scope) {
  if (!scope.query || !scope.query->relation)
    return Error("0A000", "set-returning functions are not allowed in " +
                              std::string(scope.clause.empty() ? "this context" : scope.clause), expr.position);
  if (scope.in_aggregate)
    return Error("0A000", "aggregate function calls cannot contain set-returning function calls", expr.position);
  ASSIGN_OR_RETURN(RelationPtr series, SetFunction(expr, scope, expr.names.back(), false));
  const RelationColumn column = series->columns[0];
  auto join = std::make_shared<Relation>();
  join->kind = Relation::Kind::kJoin;
  join->lateral = true;
  join->columns = (*scope.query->relation)->columns;
  join->columns.push_back(column);
  join->inputs = {*scope.query->relation, std::move(series)};
  *scope.query->relation = std::move(join);
  return MakeColumn(column.id, column.type, column.name);
}

StatusOr<ExprPtr> StatementBinder::Subquery(const P& expr, const Scope& scope) {
  using Kind = P::SubqueryKind;
  const bool quantified = expr.subquery_kind == Kind::kAny || expr.subquery_kind == Kind::kAll;
  ASSIGN_OR_RETURN(Output output, Select(*expr.subquery, &scope, quantified ? Unknowns::kKeep : Unknowns::kToText));
  if (quantified) return QuantifiedSubquery(expr, scope, std::move(output));
  auto out = New(Expr::Kind::kSubquery, {oid::kBool}, expr.position);
  out->subquery_kind = expr.subquery_kind;
  if (expr.subquery_kind == Kind::kScalar) {
    if (output.result.size() != 1) return Error("42601", "subquery must return only one column", expr.position);
    out->type = output.result[0].type;
    out->name = output.result[0].name;
  }
  if (expr.subquery_kind == Kind::kArray) {
    if (output.result.size() != 1) return Error("42601", "subquery must return only one column", expr.position);
    const Oid element = output.result[0].type.oid;
    const TypeInfo* info = FindType(element);
    out->type = {info ? info->array_oid : oid::kInvalid, output.result[0].type.typmod};
    if (info && info->element != oid::kInvalid) return At(UnsupportedError("ARRAY(subquery) of arrays"), expr.position);
    if (out->type.oid == oid::kInvalid)
      return Error("42704", "could not find array type for data type " + std::string(TypeName(element)), expr.position);
  }
  out->query = std::move(output.root);
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::QuantifiedSubquery(const P& expr, const Scope& scope, Output output) {
  std::vector<ExprPtr> left;
  const P& test = *expr.args[0];
  if (test.kind == P::Kind::kRow) {
    for (const ParsedExprPtr& field : test.args) {
      ASSIGN_OR_RETURN(ExprPtr bound, Bind(*field, scope));
      left.push_back(std::move(bound));
    }
  } else {
    ASSIGN_OR_RETURN(ExprPtr bound, Bind(test, scope));
    left.push_back(std::move(bound));
  }
  if (left.size() != output.result.size())
    return Error("42601", left.size() < output.result.size() ? "subquery has too many columns"
                                                             : "subquery has too few columns", expr.position);
  const std::string& name = expr.names.back();
  if (left.size() > 1 && name != "=" && name != "<>")
    return At(UnsupportedError("operator " + name + " between rows and a subquery"), expr.position);
  auto out = New(Expr::Kind::kSubquery, {oid::kBool}, expr.position);
  out->subquery_kind = expr.subquery_kind;
  // (a, b) <> ALL (…) is NOT ((a, b) = ANY (…)).
  const bool turned = left.size() > 1 && name == "<>";
  if (turned && expr.subquery_kind == P::SubqueryKind::kAny)
    return At(UnsupportedError("rows <> ANY (subquery)"), expr.position);
  if (turned) out->subquery_kind = P::SubqueryKind::kAny;
  std::vector<Type> types;
  for (size_t i = 0; i < left.size(); ++i) {
    auto resolved = ResolveOperator(options_.functions, turned ? "=" : name, left[i]->type.oid,
                                    output.result[i].type.oid);
    if (!resolved.ok()) return At(resolved.status(), expr.position);
    if (resolved->op->result != oid::kBool)
      return Error("42804", "operator must return type boolean", expr.position);
    ASSIGN_OR_RETURN(ExprPtr arg, Coerce(left[i], {resolved->left}, CastContext::kImplicit));
    out->args.push_back(std::move(arg));
    out->functions.push_back(resolved->op->function);
    types.push_back({resolved->right});
  }
  RETURN_IF_ERROR(CoerceOutput(output, types, CastContext::kImplicit, "IN"));
  out->query = std::move(output.root);
  return turned ? MakeNot(std::move(out)) : ExprPtr(std::move(out));
}

}  // namespace orrery::sql
