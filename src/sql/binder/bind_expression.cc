// Expressions: dispatch, literals, names, and the constructs that are not functions.
#include <algorithm>

#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/record.h"
#include "orrery/sql/types/text_io.h"
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

StatusOr<ExprPtr> StatementBinder::Bind(const P& expr, const Scope& scope) {
  auto bound = BindKind(expr, scope);
  if (!bound.ok() || (*bound)->position >= 0 || expr.position < 0) return bound;
  auto out = std::make_shared<Expr>(**bound);
  out->position = expr.position;
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::BindKind(const P& expr, const Scope& scope) {
  using Kind = P::Kind;
  switch (expr.kind) {
    case Kind::kNull:
    case Kind::kBoolean:
    case Kind::kInteger:
    case Kind::kDecimal:
    case Kind::kString: return Literal(expr);
    case Kind::kParameter: return Parameter(expr);
    case Kind::kColumn: return Column(expr, scope);
    case Kind::kOperator: return Operator(expr, scope);
    case Kind::kFunction: return Function(expr, scope);
    case Kind::kCast: return Cast(expr, scope);
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot: return Logical(expr, scope);
    case Kind::kIsNull:
    case Kind::kIsNotNull:
    case Kind::kBooleanTest: return Test(expr, scope);
    case Kind::kCase: return Case(expr, scope);
    case Kind::kCoalesce: return Common(expr, scope, Expr::Kind::kCoalesce, "COALESCE");
    case Kind::kGreatest: return Common(expr, scope, Expr::Kind::kGreatest, "GREATEST");
    case Kind::kLeast: return Common(expr, scope, Expr::Kind::kLeast, "LEAST");
    case Kind::kNullIf: return NullIf(expr, scope);
    case Kind::kIn: return In(expr, scope);
    case Kind::kBetween: return Between(expr, scope);
    case Kind::kDistinctFrom: return DistinctFrom(expr, scope);
    case Kind::kSubquery: return Subquery(expr, scope);
    case Kind::kAnyArray: return AnyArray(expr, scope);
    case Kind::kKeyword: return Keyword(expr);
    case Kind::kCollate: {
      const std::string& collation = expr.names.back();
      if (collation != "C" && collation != "POSIX" && collation != "default")
        return UnsupportedError("COLLATE \"" + collation + "\"");
      return Bind(*expr.args[0], scope);
    }
    case Kind::kRow: return RowExpr(expr, scope);
    case Kind::kArray: return ArrayExpr(expr, scope, {});
    case Kind::kSubscript: return SubscriptExpr(expr, scope);
    case Kind::kField: return Field(expr, scope);
    case Kind::kStar:
      for (const Scope* level = &scope; level && !expr.names.empty(); level = level->parent)
        for (const ScopeTable& table : level->tables)
          if (table.alias == expr.names.back()) return RowOf(table.alias, *level, WholeRow(), expr.position);
      return Error("42601", "row expansion via \"*\" is not supported here", expr.position);
    case Kind::kDefault: return Error("42601", "DEFAULT is not allowed in this context", expr.position);
  }
  return InternalError("unknown kind of expression");
}

StatusOr<ExprPtr> StatementBinder::Literal(const P& expr) {
  auto out = New(Expr::Kind::kConstant, {oid::kUnknown}, expr.position);
  switch (expr.kind) {
    case P::Kind::kBoolean:
      out->type = {oid::kBool};
      out->value = Datum::Bool(expr.integer != 0);
      break;
    case P::Kind::kInteger:
      out->type = {oid::kInt4};
      out->value = Datum::Int(expr.integer);
      break;
    case P::Kind::kDecimal: {
      // The grammar takes a minus sign into the number: -2147483648 comes this way, and is an integer.
      const bool digits = expr.text.find_first_not_of("0123456789", expr.text.starts_with('-') ? 1 : 0) == std::string::npos;
      if (digits && expr.text.size() < 21) {
        auto big = ParseText({oid::kInt8}, expr.text, options_.format);
        if (big.ok()) {
          const int64_t number = big->as_int();
          out->type = {number == int32_t(number) ? oid::kInt4 : oid::kInt8};
          out->value = std::move(*big);
          break;
        }
      }
      auto value = ParseText({oid::kNumeric}, expr.text, options_.format);
      if (!value.ok()) return At(value.status(), expr.position);
      out->type = {oid::kNumeric};
      out->value = std::move(*value);
      break;
    }
    case P::Kind::kString:
      if (Status valid = CheckText(expr.text); !valid.ok()) return At(valid, expr.position);
      out->value = Datum::Bytes(expr.text);
      break;
    default: break;  // NULL
  }
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Parameter(const P& expr) {
  const size_t index = size_t(expr.integer - 1);
  if (index >= parameters_.size())
    return Error("42P02", "there is no parameter $" + std::to_string(expr.integer), expr.position);
  auto out = New(Expr::Kind::kParameter, {parameters_[index]}, expr.position);
  out->index = uint32_t(index);
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Column(const P& expr, const Scope& scope) {
  const std::string& name = expr.names.back();
  const bool qualified = expr.names.size() > 1;
  const std::string table = qualified ? expr.names[expr.names.size() - 2] : "";
  const std::string schema = expr.names.size() > 2 ? expr.names[expr.names.size() - 3] : "";
  for (const Scope* level = &scope; level; level = level->parent) {
    const ScopeTable* found_table = nullptr;
    for (const ScopeTable& candidate : level->tables)
      if (candidate.alias == table && (schema.empty() || candidate.schema == schema)) found_table = &candidate;
    if (qualified && !found_table) continue;
    const ScopeColumn* found = nullptr;
    for (const ScopeColumn& column : level->columns) {
      if (column.name != name || (qualified ? column.table != table : column.merged)) continue;
      if (found && found->id != column.id)
        return Error("42702", "column reference \"" + name + "\" is ambiguous", expr.position);
      found = &column;
    }
    if (found) {
      const std::string full = found->table.empty() ? name : found->table + "." + name;
      auto out = std::make_shared<Expr>(*MakeColumn(found->id, found->type, full));
      out->position = expr.position;
      return ExprPtr(std::move(out));
    }
    if (!qualified) continue;
    if (name == "tableoid" && found_table->table) {
      auto out = New(Expr::Kind::kConstant, {oid::kOid}, expr.position);
      out->value = Datum::Int(int64_t(found_table->table->id().value()));
      return ExprPtr(std::move(out));
    }
    return Error("42703", "column " + table + "." + name + " does not exist", expr.position);
  }
  if (!qualified) {
    for (const Scope* level = &scope; level; level = level->parent)
      for (const ScopeTable& candidate : level->tables) {
        if (candidate.alias == name) return RowOf(name, *level, WholeRow(), expr.position);
        if (candidate.table && (name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax"))
          return At(UnsupportedError("system column " + name), expr.position);
      }
    return Error("42703", "column \"" + name + "\" does not exist", expr.position);
  }
  for (const Scope* level = &scope; level; level = level->parent)
    for (const ScopeTable& candidate : level->tables)
      if (candidate.table_name == table && candidate.alias != table)
        return Error("42P01", "invalid reference to FROM-clause entry for table \"" + table + "\"", expr.position)
            .WithHint("Perhaps you meant to reference the table alias \"" + candidate.alias + "\".");
  return Error("42P01", "missing FROM-clause entry for table \"" + table + "\"", expr.position);
}

// (t).a is t.a, unless a column t comes first. Other composite values do not exist here.
StatusOr<ExprPtr> StatementBinder::Field(const P& expr, const Scope& scope) {
  const P& of = *expr.args[0];
  if (of.kind == P::Kind::kColumn && of.names.size() == 1) {
    const std::string& name = of.names[0];
    for (const Scope* level = &scope; level; level = level->parent) {
      const auto is_column = [&](const ScopeColumn& column) { return !column.merged && column.name == name; };
      if (std::any_of(level->columns.begin(), level->columns.end(), is_column)) break;
      const auto is_table = [&](const ScopeTable& table) { return table.alias == name; };
      if (std::none_of(level->tables.begin(), level->tables.end(), is_table)) continue;
      P column(P::Kind::kColumn, expr.position);
      column.names = {name, expr.text};
      return Column(column, scope);
    }
  }
  return At(UnsupportedError("composite values"), expr.position);
}

StatusOr<ExprPtr> StatementBinder::Keyword(const P& expr) {
  struct Word {
    std::string_view word;
    std::string_view function;
    Oid type;
  };
  static constexpr Word kWords[] = {
      {"current_date", "now", oid::kDate},
      {"current_timestamp", "now", oid::kTimestamptz},
      {"localtimestamp", "now", oid::kTimestamp},
      {"localtime", "now", oid::kTime},
      {"current_role", "current_user", oid::kName},
      {"current_user", "current_user", oid::kName},
      {"user", "current_user", oid::kName},
      {"session_user", "session_user", oid::kName},
      {"current_catalog", "current_database", oid::kName},
      {"current_schema", "current_schema", oid::kName},
  };
  for (const Word& word : kWords) {
    if (word.word != expr.text) continue;
    ASSIGN_OR_RETURN(ExprPtr call, CallFunction(word.function, {}, expr.position));
    const bool timed = word.function == "now" && word.type != oid::kDate;
    return Coerce(call, {word.type, timed ? int32_t(expr.integer) : -1}, CastContext::kExplicit);
  }
  return At(UnsupportedError(expr.text), expr.position);
}

StatusOr<ExprPtr> StatementBinder::Cast(const P& expr, const Scope& scope) {
  ASSIGN_OR_RETURN(const Type type, ResolveType(expr.type));
  const bool array = expr.args[0]->kind == P::Kind::kArray && FindType(type.oid)->element != oid::kInvalid;
  ASSIGN_OR_RETURN(const ExprPtr arg, array ? ArrayExpr(*expr.args[0], scope, type) : Bind(*expr.args[0], scope));
  auto out = Coerce(arg, type, CastContext::kExplicit);
  if (!out.ok()) return At(out.status(), expr.position);
  return out;
}

StatusOr<ExprPtr> StatementBinder::Logical(const P& expr, const Scope& scope) {
  const bool is_not = expr.kind == P::Kind::kNot;
  const std::string_view word = is_not ? "NOT" : expr.kind == P::Kind::kAnd ? "AND" : "OR";
  std::vector<ExprPtr> args;
  for (const ParsedExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(const ExprPtr bound, Bind(*arg, scope));
    ASSIGN_OR_RETURN(ExprPtr condition, CoerceBool(bound, word));
    args.push_back(std::move(condition));
  }
  if (is_not) return Fold(MakeNot(std::move(args[0])));
  if (expr.kind == P::Kind::kAnd) return Fold(MakeAnd(std::move(args)));
  auto out = New(Expr::Kind::kOr, {oid::kBool}, expr.position);
  out->args = std::move(args);
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Test(const P& expr, const Scope& scope) {
  if (expr.kind != P::Kind::kBooleanTest && expr.args[0]->kind == P::Kind::kRow) {
    std::vector<ExprPtr> tests;  // a row IS [NOT] NULL: all its fields are
    for (const ParsedExprPtr& field : expr.args[0]->args) {
      ASSIGN_OR_RETURN(ExprPtr arg, Bind(*field, scope));
      auto test = New(Expr::Kind::kIsNull, {oid::kBool}, expr.position);
      test->negated = expr.kind == P::Kind::kIsNotNull;
      test->args.push_back(std::move(arg));
      tests.push_back(std::move(test));
    }
    return MakeAnd(std::move(tests));
  }
  ASSIGN_OR_RETURN(ExprPtr arg, Bind(*expr.args[0], scope));
  const bool boolean = expr.kind == P::Kind::kBooleanTest;
  if (!boolean && (arg->function == &WholeRow() || arg->function == &RecordConstructor())) {
    std::vector<ExprPtr> tests;
    for (const ExprPtr& field : arg->args) {
      auto test = New(Expr::Kind::kIsNull, {oid::kBool}, expr.position);
      test->negated = expr.kind == P::Kind::kIsNotNull;
      test->args.push_back(field);
      tests.push_back(std::move(test));
    }
    if (!tests.empty()) return MakeAnd(std::move(tests));
  }
  auto out = New(boolean ? Expr::Kind::kBooleanTest : Expr::Kind::kIsNull, {oid::kBool}, expr.position);
  out->negated = expr.kind == P::Kind::kIsNotNull;
  out->test = expr.test;
  if (boolean) {
    ASSIGN_OR_RETURN(arg, CoerceBool(arg, "IS TRUE"));
  } else {
    ASSIGN_OR_RETURN(arg, KnownType(arg));
  }
  out->args.push_back(std::move(arg));
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Case(const P& expr, const Scope& scope) {
  auto out = New(Expr::Kind::kCase, {oid::kUnknown}, expr.position);
  ExprPtr operand;
  if (expr.args[0]) {
    ASSIGN_OR_RETURN(operand, Bind(*expr.args[0], scope));
  }
  std::vector<ExprPtr> results;
  for (size_t i = 1; i + 1 < expr.args.size(); i += 2) {
    ASSIGN_OR_RETURN(ExprPtr when, Bind(*expr.args[i], scope));
    if (operand) {
      ASSIGN_OR_RETURN(when, ApplyOperator("=", operand, when, expr.args[i]->position));
    } else {
      ASSIGN_OR_RETURN(when, CoerceBool(when, "CASE/WHEN"));
    }
    ASSIGN_OR_RETURN(ExprPtr then, Bind(*expr.args[i + 1], scope));
    out->args.push_back(std::move(when));
    out->args.push_back(nullptr);
    results.push_back(std::move(then));
  }
  ExprPtr otherwise = MakeConstant({oid::kUnknown}, Datum());
  if (expr.args.back()) {
    ASSIGN_OR_RETURN(otherwise, Bind(*expr.args.back(), scope));
  }
  results.insert(results.begin(), std::move(otherwise));  // PostgreSQL lets ELSE speak first
  ASSIGN_OR_RETURN(const Oid common, CommonTypeOf(results, "CASE"));
  std::vector<Type> types;
  for (ExprPtr& result : results) {
    ASSIGN_OR_RETURN(result, Coerce(result, {common}, CastContext::kImplicit));
    types.push_back(result->type);
  }
  out->type = {common, CommonTypmod(types)};
  for (size_t i = 1; i < results.size(); ++i) out->args[2 * i - 1] = std::move(results[i]);
  out->args.push_back(std::move(results[0]));
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Common(const P& expr, const Scope& scope, Expr::Kind kind,
                                          std::string_view construct) {
  auto out = New(kind, {oid::kUnknown}, expr.position);
  for (const ParsedExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(ExprPtr bound, Bind(*arg, scope));
    out->args.push_back(std::move(bound));
  }
  ASSIGN_OR_RETURN(const Oid common, CommonTypeOf(out->args, construct));
  std::vector<Type> types;
  for (ExprPtr& arg : out->args) {
    ASSIGN_OR_RETURN(arg, Coerce(arg, {common}, CastContext::kImplicit));
    types.push_back(arg->type);
  }
  out->type = {common, CommonTypmod(types)};
  return Fold(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::NullIf(const P& expr, const Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr a, Bind(*expr.args[0], scope));
  ASSIGN_OR_RETURN(ExprPtr b, Bind(*expr.args[1], scope));
  ASSIGN_OR_RETURN(const ExprPtr equal, ApplyOperator("=", a, b, expr.position));
  if (equal->kind != Expr::Kind::kFunction) {  // folded: both are constants
    const bool same = !equal->value.is_null() && equal->value.as_bool();
    ASSIGN_OR_RETURN(a, KnownType(a));
    return same ? MakeConstant(a->type, Datum()) : a;
  }
  auto out = New(Expr::Kind::kNullIf, {}, expr.position);
  out->function = equal->function;
  if (a->type.oid == oid::kUnknown) a = equal->args[0];
  out->type = a->type;
  out->args = {equal->args[0], equal->args[1], a};
  return ExprPtr(std::move(out));
}

StatusOr<ExprPtr> StatementBinder::Between(const P& expr, const Scope& scope) {
  ASSIGN_OR_RETURN(const ExprPtr value, Bind(*expr.args[0], scope));
  ASSIGN_OR_RETURN(const ExprPtr low, Bind(*expr.args[1], scope));
  ASSIGN_OR_RETURN(const ExprPtr high, Bind(*expr.args[2], scope));
  const auto within = [&](const ExprPtr& from, const ExprPtr& to) -> ExprOr {
    ASSIGN_OR_RETURN(ExprPtr above, ApplyOperator(">=", value, from, expr.position));
    ASSIGN_OR_RETURN(ExprPtr below, ApplyOperator("<=", value, to, expr.position));
    return Fold(MakeAnd({std::move(above), std::move(below)}));
  };
  ASSIGN_OR_RETURN(ExprPtr inside, within(low, high));
  if (expr.symmetric) {
    ASSIGN_OR_RETURN(ExprPtr turned, within(high, low));
    auto either = New(Expr::Kind::kOr, {oid::kBool}, expr.position);
    either->args = {std::move(inside), std::move(turned)};
    inside = Fold(std::move(either));
  }
  return expr.negated ? Fold(MakeNot(std::move(inside))) : inside;
}

StatusOr<ExprPtr> StatementBinder::In(const P& expr, const Scope& scope) {
  const bool rows = expr.args[0]->kind == P::Kind::kRow;
  std::vector<ExprPtr> equals;
  ExprPtr value;
  std::vector<ExprPtr> elements;
  if (!rows) {
    ASSIGN_OR_RETURN(value, Bind(*expr.args[0], scope));
    for (size_t i = 1; i < expr.args.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr element, Bind(*expr.args[i], scope));
      elements.push_back(std::move(element));
    }
    // One type for all, if there is one: then it is a plain membership test.
    std::vector<Oid> types{value->type.oid};
    for (const ExprPtr& element : elements) types.push_back(element->type.oid);
    auto common = CommonType(options_.functions, types, "IN");
    const sql::Operator* equal = common.ok() ? options_.functions.ExactOperator("=", *common, *common) : nullptr;
    if (equal && elements.size() > 1) {
      auto out = New(Expr::Kind::kIn, {oid::kBool}, expr.position);
      out->negated = expr.negated;
      out->function = equal->function;
      out->op = equal;
      ASSIGN_OR_RETURN(ExprPtr left, Coerce(value, {*common}, CastContext::kImplicit));
      out->args.push_back(std::move(left));
      for (const ExprPtr& element : elements) {
        ASSIGN_OR_RETURN(ExprPtr right, Coerce(element, {*common}, CastContext::kImplicit));
        out->args.push_back(std::move(right));
      }
      return Fold(std::move(out));
    }
  }
  for (size_t i = 1; i < expr.args.size(); ++i) {
    ASSIGN_OR_RETURN(ExprPtr equal, rows ? CompareRows("=", *expr.args[0], *expr.args[i], scope, expr.position)
                                         : ApplyOperator("=", value, elements[i - 1], expr.position));
    equals.push_back(std::move(equal));
  }
  if (equals.size() == 1) return expr.negated ? Fold(MakeNot(equals[0])) : equals[0];
  auto out = New(Expr::Kind::kOr, {oid::kBool}, expr.position);
  out->args = std::move(equals);
  ExprPtr any = Fold(std::move(out));
  return expr.negated ? Fold(MakeNot(std::move(any))) : any;
}

StatusOr<ExprPtr> StatementBinder::DistinctFrom(const P& expr, const Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr a, Bind(*expr.args[0], scope));
  ASSIGN_OR_RETURN(ExprPtr b, Bind(*expr.args[1], scope));
  auto resolved = ResolveOperator(options_.functions, "=", a->type.oid, b->type.oid);
  if (!resolved.ok()) return At(resolved.status(), expr.position);
  auto out = New(Expr::Kind::kDistinct, {oid::kBool}, expr.position);
  out->negated = expr.negated;
  out->function = resolved->op->function;
  ASSIGN_OR_RETURN(a, Coerce(a, {resolved->left}, CastContext::kImplicit));
  ASSIGN_OR_RETURN(b, Coerce(b, {resolved->right}, CastContext::kImplicit));
  out->args = {std::move(a), std::move(b)};
  return Fold(std::move(out));
}

}  // namespace orrery::sql
