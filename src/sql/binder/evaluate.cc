// Evaluates expressions without columns, one at a time: constant folding, EXECUTE's arguments, defaults.
#include "orrery/sql/binder/binder.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/compare.h"

namespace orrery::sql {

namespace {

StatusOr<Datum> Call(EvalContext& context, const Expr& expr, const Function& function,
                     const std::vector<ExprPtr>& args) {
  std::vector<Datum> values;
  std::vector<Oid> types;
  for (const ExprPtr& arg : args) {
    ASSIGN_OR_RETURN(Datum value, EvaluateConstant(context, *arg));
    if (function.strict && value.is_null()) return Datum();
    values.push_back(std::move(value));
    types.push_back(arg->type.oid);
  }
  if (!function.evaluate) return InternalError("aggregate outside of a query: " + ExprToSql(expr));
  context.argument_types = types;
  Datum out;
  const Status status = function.evaluate(context, values, &out);
  context.argument_types = {};
  RETURN_IF_ERROR(status);
  return out.Owned();
}

StatusOr<Datum> Logical(EvalContext& context, const Expr& expr) {
  const bool decisive = expr.kind == Expr::Kind::kOr;
  bool unknown = false;
  for (const ExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(const Datum value, EvaluateConstant(context, *arg));
    if (value.is_null()) unknown = true;
    else if (value.as_bool() == decisive) return Datum::Bool(decisive);
  }
  return unknown ? Datum() : Datum::Bool(!decisive);
}

StatusOr<Datum> Case(EvalContext& context, const Expr& expr) {
  for (size_t i = 0; i + 1 < expr.args.size(); i += 2) {
    ASSIGN_OR_RETURN(const Datum when, EvaluateConstant(context, *expr.args[i]));
    if (!when.is_null() && when.as_bool()) return EvaluateConstant(context, *expr.args[i + 1]);
  }
  return EvaluateConstant(context, *expr.args.back());
}

StatusOr<Datum> Extreme(EvalContext& context, const Expr& expr) {
  Datum best;
  for (const ExprPtr& arg : expr.args) {
    ASSIGN_OR_RETURN(Datum value, EvaluateConstant(context, *arg));
    if (value.is_null()) continue;
    if (!best.is_null()) {
      const auto order = CompareDatums(expr.type.oid, value, best);
      if (expr.kind == Expr::Kind::kGreatest ? order <= 0 : order >= 0) continue;
    }
    best = std::move(value);
  }
  return best;
}

StatusOr<Datum> In(EvalContext& context, const Expr& expr) {
  bool unknown = false;
  for (size_t i = 1; i < expr.args.size(); ++i) {
    ASSIGN_OR_RETURN(const Datum equal, Call(context, expr, *expr.function, {expr.args[0], expr.args[i]}));
    if (equal.is_null()) unknown = true;
    else if (equal.as_bool()) return Datum::Bool(!expr.negated);
  }
  return unknown ? Datum() : Datum::Bool(expr.negated);
}

StatusOr<Datum> AnyElement(EvalContext& context, const Expr& expr) {
  ASSIGN_OR_RETURN(const Datum array, EvaluateConstant(context, *expr.args[1]));
  if (array.is_null()) return Datum();
  bool unknown = false;
  const Oid element_type = ElementTypeOf(expr.args[1]->type.oid);
  for (const Datum& element : Array::Unpack(array).elements) {
    const ExprPtr right = MakeConstant({element_type}, element);
    ASSIGN_OR_RETURN(const Datum result, Call(context, expr, *expr.function, {expr.args[0], right}));
    if (result.is_null()) unknown = true;
    else if (result.as_bool() != expr.negated) return Datum::Bool(!expr.negated);
  }
  return unknown ? Datum() : Datum::Bool(expr.negated);
}

bool Passes(ParsedExpr::Test test, const Datum& value) {
  using Test = ParsedExpr::Test;
  switch (test) {
    case Test::kTrue: return !value.is_null() && value.as_bool();
    case Test::kNotTrue: return value.is_null() || !value.as_bool();
    case Test::kFalse: return !value.is_null() && !value.as_bool();
    case Test::kNotFalse: return value.is_null() || value.as_bool();
    case Test::kUnknown: return value.is_null();
    case Test::kNotUnknown: return !value.is_null();
  }
  return false;
}

}  // namespace

StatusOr<Datum> EvaluateConstant(EvalContext& context, const Expr& expr) {
  using Kind = Expr::Kind;
  switch (expr.kind) {
    case Kind::kConstant: return expr.value;
    case Kind::kFunction: return Call(context, expr, *expr.function, expr.args);
    case Kind::kCast: {
      ASSIGN_OR_RETURN(const Datum value, EvaluateConstant(context, *expr.args[0]));
      Datum out;
      RETURN_IF_ERROR(EvaluateCast(context, *expr.cast, value, &out));
      return out.Owned();
    }
    case Kind::kAnd:
    case Kind::kOr: return Logical(context, expr);
    case Kind::kNot: {
      ASSIGN_OR_RETURN(const Datum value, EvaluateConstant(context, *expr.args[0]));
      return value.is_null() ? Datum() : Datum::Bool(!value.as_bool());
    }
    case Kind::kIsNull: {
      ASSIGN_OR_RETURN(const Datum value, EvaluateConstant(context, *expr.args[0]));
      return Datum::Bool(value.is_null() != expr.negated);
    }
    case Kind::kBooleanTest: {
      ASSIGN_OR_RETURN(const Datum value, EvaluateConstant(context, *expr.args[0]));
      return Datum::Bool(Passes(expr.test, value));
    }
    case Kind::kCase: return Case(context, expr);
    case Kind::kCoalesce:
      for (const ExprPtr& arg : expr.args) {
        ASSIGN_OR_RETURN(Datum value, EvaluateConstant(context, *arg));
        if (!value.is_null()) return value;
      }
      return Datum();
    case Kind::kNullIf: {
      ASSIGN_OR_RETURN(const Datum equal, Call(context, expr, *expr.function, {expr.args[0], expr.args[1]}));
      if (!equal.is_null() && equal.as_bool()) return Datum();
      return EvaluateConstant(context, *expr.args[2]);
    }
    case Kind::kGreatest:
    case Kind::kLeast: return Extreme(context, expr);
    case Kind::kDistinct: {
      ASSIGN_OR_RETURN(const Datum a, EvaluateConstant(context, *expr.args[0]));
      ASSIGN_OR_RETURN(const Datum b, EvaluateConstant(context, *expr.args[1]));
      if (a.is_null() || b.is_null()) return Datum::Bool((a.is_null() != b.is_null()) != expr.negated);
      ASSIGN_OR_RETURN(const Datum equal, Call(context, expr, *expr.function, {expr.args[0], expr.args[1]}));
      return Datum::Bool((equal.is_null() || !equal.as_bool()) != expr.negated);
    }
    case Kind::kIn: return In(context, expr);
    case Kind::kAnyArray: return AnyElement(context, expr);
    case Kind::kRaise: return expr.error;
    default: return InternalError("not a constant expression: " + ExprToSql(expr));
  }
}

}  // namespace orrery::sql
