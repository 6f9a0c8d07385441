// Arrays and rows: constructors, subscripts, op ANY/ALL (array), and the functions that return a set of elements.
#include <algorithm>
#include <array>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/record.h"
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
}  // namespace

// ARRAY[…]. `target`: the array type it is cast to, or none.
StatusOr<ExprPtr> StatementBinder::ArrayExpr(const P& expr, const Scope& scope, Type target) {
  const Oid wanted = ElementTypeOf(target.oid);
  if (expr.args.empty()) {
    if (wanted == oid::kInvalid)
      return Error("42P18", "cannot determine type of empty array", expr.position)
          .WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[].");
    return MakeConstant({target.oid}, Array::OfList(wanted, {}).Pack());
  }
  auto out = New(Expr::Kind::kFunction, target, expr.position);
  out->function = &ArrayConstructor();
  const bool nested = std::any_of(expr.args.begin(), expr.args.end(),
                                  [](const ParsedExprPtr& arg) { return arg->kind == P::Kind::kArray; });
  for (const ParsedExprPtr& arg : expr.args) {
    ExprPtr bound;
    if (arg->kind == P::Kind::kArray) {
      ASSIGN_OR_RETURN(bound, ArrayExpr(*arg, scope, target));
    } else {
      ASSIGN_OR_RETURN(bound, Bind(*arg, scope));
    }
    if (wanted != oid::kInvalid) {
      const bool is_array = nested || ElementTypeOf(bound->type.oid) != oid::kInvalid;
      ASSIGN_OR_RETURN(bound, Coerce(bound, is_array ? target : Type{wanted, target.typmod}, CastContext::kExplicit));
    }
    out->args.push_back(std::move(bound));
  }
  if (wanted == oid::kInvalid) {
    ASSIGN_OR_RETURN(const Oid common, CommonTypeOf(out->args, "ARRAY"));
    for (ExprPtr& arg : out->args) {
      ASSIGN_OR_RETURN(arg, Coerce(arg, {common}, CastContext::kImplicit));
    }
    out->type = {ElementTypeOf(common) != oid::kInvalid ? common : ArrayTypeOf(common)};
    if (out->type.oid == oid::kInvalid)
      return Error("42704", "could not find array type for data type " + std::string(TypeName(common)), expr.position);
  }
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::SubscriptExpr(const P& expr, const Scope& scope) {
  ASSIGN_OR_RETURN(const ExprPtr array, Bind(*expr.args[0], scope));
  const Oid element = ElementTypeOf(array->type.oid);
  if (element == oid::kInvalid)
    return Error("42804", "cannot subscript type " + std::string(TypeName(array->type.oid)) +
                              " because it does not support subscripting", expr.args[0]->position);
  const size_t given = (expr.args.size() - 1) / (expr.slice ? 2 : 1);
  if (given > Array::kDimensionsMax)
    return Error("54000", "number of array dimensions (" + std::to_string(given) + ") exceeds the maximum allowed (6)");
  auto out = New(Expr::Kind::kFunction, expr.slice ? array->type : Type{element, array->type.typmod}, expr.position);
  out->function = expr.slice ? &ArraySlice() : &ArraySubscript();
  out->args.push_back(array);
  for (size_t i = 1; i < expr.args.size(); ++i) {
    ExprPtr bound;
    if (expr.args[i]) {
      ASSIGN_OR_RETURN(bound, Bind(*expr.args[i], scope));
      if (bound->type.oid != oid::kUnknown &&
          !CanCast(options_.functions, bound->type.oid, oid::kInt4, CastContext::kAssignment))
        return Error("42804", "array subscript must have type integer", expr.args[i]->position);
      ASSIGN_OR_RETURN(bound, Coerce(bound, {oid::kInt4}, CastContext::kAssignment));
    } else {
      const ExprPtr dimension = MakeConstant({oid::kInt4}, Datum::Int(int64_t((i + 1) / 2)));
      ASSIGN_OR_RETURN(bound, CallFunction(i % 2 == 1 ? "array_lower" : "array_upper", {array, dimension}, expr.position));
      // An empty array has no bounds, and its slices are empty.
      auto known = New(Expr::Kind::kCoalesce, {oid::kInt4}, expr.position);
      known->args = {std::move(bound), MakeConstant({oid::kInt4}, Datum::Int(1))};
      bound = Fold(std::move(known));
    }
    out->args.push_back(std::move(bound));
  }
  return Fold(std::move(out));
}

// ROW(a, t.*), also where only parentheses stand.
StatusOr<ExprPtr> StatementBinder::RowExpr(const P& expr, const Scope& scope) {
  auto out = New(Expr::Kind::kFunction, {oid::kRecord}, expr.position);
  out->function = &RecordConstructor();
  for (const ParsedExprPtr& arg : expr.args) {
    if (arg->kind == P::Kind::kStar) {
      const std::string table = arg->names.empty() ? "" : arg->names.back();
      ASSIGN_OR_RETURN(const ExprPtr row, RowOf(table, scope, RecordConstructor(), arg->position));
      out->args.insert(out->args.end(), row->args.begin(), row->args.end());
      continue;
    }
    ASSIGN_OR_RETURN(const ExprPtr bound, Bind(*arg, scope));
    ASSIGN_OR_RETURN(ExprPtr known, KnownType(bound));
    out->args.push_back(std::move(known));
  }
  return Fold(std::move(out));
}

// All columns of a table of this level (of all tables for "").
StatusOr<ExprPtr> StatementBinder::RowOf(std::string_view table, const Scope& level, const sql::Function& constructor,
                                         int position) {
  auto out = New(Expr::Kind::kFunction, {oid::kRecord}, position);
  out->function = &constructor;
  for (const ScopeColumn& column : level.columns) {
    if (table.empty() ? column.merged : column.table != table) continue;
    out->args.push_back(MakeColumn(column.id, column.type, column.table.empty() ? column.name : column.table + "." + column.name));
  }
  return ExprPtr(std::move(out));
}

// x op ANY (array). A list that is written out, or a constant array, becomes IN or a chain of tests, which find keys.
StatusOr<ExprPtr> StatementBinder::AnyArray(const P& expr, const Scope& scope) {
  const bool all = expr.subquery_kind == P::SubqueryKind::kAll;
  const std::string& name = expr.names.back();
  ASSIGN_OR_RETURN(ExprPtr left, Bind(*expr.args[0], scope));
  ASSIGN_OR_RETURN(ExprPtr right, Bind(*expr.args[1], scope));
  Oid element = oid::kUnknown;
  if (right->type.oid != oid::kUnknown) element = ElementTypeOf(right->type.oid);
  if (element == oid::kInvalid)
    return Error("42809", "op ANY/ALL (array) requires array on right side", expr.position);
  auto resolved = ResolveOperator(options_.functions, name, left->type.oid, element);
  if (!resolved.ok()) return At(resolved.status(), expr.position);
  if (resolved->result != oid::kBool)
    return Error("42809", "op ANY/ALL (array) requires operator to yield boolean", expr.position);
  ASSIGN_OR_RETURN(left, Coerce(left, {resolved->left}, CastContext::kImplicit));
  if (ArrayTypeOf(resolved->right) == oid::kInvalid)
    return Error("42704", "could not find array type for data type " + std::string(TypeName(resolved->right)), expr.position);
  ASSIGN_OR_RETURN(right, Coerce(right, {ArrayTypeOf(resolved->right)}, CastContext::kImplicit));
  constexpr size_t kListMax = 1000;
  std::vector<ExprPtr> list;
  if (right->kind == Expr::Kind::kFunction && right->function == &ArrayConstructor()) {
    list = right->args;
  } else if (IsConstant(*right) && !right->value.is_null()) {
    for (const Datum& value : Array::Unpack(right->value).elements)
      list.push_back(MakeConstant({resolved->right}, value));
  }
  const bool in = resolved->left == resolved->right && (all ? name == "<>" : name == "=");
  const bool elements_only = std::all_of(list.begin(), list.end(),
                                         [&](const ExprPtr& e) { return e->type.oid == resolved->right; });
  if (in && !list.empty() && list.size() <= kListMax && elements_only) {
    auto out = New(Expr::Kind::kIn, {oid::kBool}, expr.position);
    out->negated = all;
    const sql::Operator* equal = options_.functions.ExactOperator("=", resolved->op->left, resolved->op->right);
    if (equal) {
      out->function = equal->function;
      out->args = {left};
      out->args.insert(out->args.end(), list.begin(), list.end());
      return Fold(std::move(out));
    }
  }
  auto out = New(Expr::Kind::kAnyArray, {oid::kBool}, expr.position);
  out->negated = all;
  out->op = resolved->op;
  out->function = resolved->op->function;
  out->args = {std::move(left), std::move(right)};
  return Fold(std::move(out));
}

bool StatementBinder::ReturnsSet(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"generate_series", "unnest", "generate_subscripts",
                                                             "string_to_table", "regexp_split_to_table"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// generate_series is SeriesFunction's; the others are made of arrays.
StatusOr<RelationPtr> StatementBinder::SetFunction(const P& expr, const Scope& scope, std::string_view column_name,
                                                   bool with_ordinality) {
  const std::string& name = expr.names.back();
  if (name == "generate_series") return SeriesFunction(expr, scope, column_name, with_ordinality);
  std::vector<ExprPtr> args;
  for (const ParsedExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(ExprPtr bound, Bind(*arg, scope));
    args.push_back(std::move(bound));
  }
  auto out = std::make_shared<Relation>();
  out->kind = Relation::Kind::kFunction;
  out->with_ordinality = with_ordinality;
  Type type{oid::kInt4};
  if (name == "generate_subscripts") {
    if (args.size() == 3) return At(UnsupportedError("generate_subscripts in reverse"), expr.position);
    out->function_name = "generate_series";
    for (const char* bound : {"array_lower", "array_upper"}) {
      ASSIGN_OR_RETURN(ExprPtr end, CallFunction(bound, args, expr.position));
      out->args.push_back(std::move(end));
    }
  } else {
    if (name == "unnest" && args.size() > 1) return At(UnsupportedError("unnest of several arrays"), expr.position);
    ExprPtr array;
    if (name == "unnest" && args.size() == 1) {
      array = args[0];
    } else {
      const std::string_view maker = name == "string_to_table"         ? "string_to_array"
                                     : name == "regexp_split_to_table" ? "regexp_split_to_array"
                                                                       : "unnest";
      ASSIGN_OR_RETURN(array, CallFunction(maker, std::move(args), expr.position));
    }
    if (array->type.oid == oid::kUnknown)
      return Error("42725", "function unnest(unknown) is not unique", expr.position)
          .WithHint("Could not choose a best candidate function. You might need to add explicit type casts.");
    type = {ElementTypeOf(array->type.oid), array->type.typmod};
    if (type.oid == oid::kInvalid)
      return Error("42883", "function unnest(" + std::string(TypeName(array->type.oid)) + ") does not exist", expr.position)
          .WithHint("No function matches the given name and argument types. You might need to add explicit type casts.");
    out->function_name = "unnest";
    out->args = {std::move(array)};
  }
  out->columns.push_back({NewColumn(), std::string(column_name), type});
  if (with_ordinality) out->columns.push_back({NewColumn(), "ordinality", {oid::kInt8}});
  return out;
}

}  // namespace orrery::sql
