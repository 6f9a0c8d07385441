// Types of expressions: implicit casts, literals of open type, parameter inference, constant folding.
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"
#include "sql/binder/statement_binder.h"

namespace orrery::sql {

namespace {

// 'now', 'today' and the like mean another value in another transaction.
bool MeansNow(Oid type, std::string_view text) {
  if (type != oid::kDate && type != oid::kTime && type != oid::kTimestamp && type != oid::kTimestamptz) return false;
  for (const char c : text)
    if (c == 'n' || c == 'N' || c == 't' || c == 'T' || c == 'y' || c == 'Y') return true;
  return false;
}

std::shared_ptr<Expr> CastExpr(ExprPtr arg, CastPath path) {
  auto out = std::make_shared<Expr>();
  out->kind = Expr::Kind::kCast;
  out->type = path.target;
  out->position = arg->position;
  out->cast = std::make_shared<const CastPath>(std::move(path));
  out->args.push_back(std::move(arg));
  return out;
}

}  // namespace

ExprPtr StatementBinder::Fold(ExprPtr expr) {
  if (expr->kind == Expr::Kind::kConstant || expr->args.empty()) return expr;
  for (const ExprPtr& arg : expr->args)
    if (!arg || !IsConstant(*arg)) return expr;
  if (VolatilityOf(*expr) != Volatility::kImmutable) return expr;
  EvalContext eval{.format = options_.format};
  auto value = EvaluateConstant(eval, *expr);
  if (!value.ok()) return expr;  // the error is raised if the expression is ever evaluated
  auto out = std::make_shared<Expr>();
  out->type = expr->type;
  out->position = expr->position;
  out->value = std::move(*value);
  return out;
}

StatusOr<ExprPtr> StatementBinder::CoerceUnknown(const ExprPtr& expr, Type target, CastContext context) {
  const Type plain{target.oid, -1};
  auto out = std::make_shared<Expr>(*expr);
  out->type = plain;
  if (expr->kind == Expr::Kind::kParameter) {
    Oid& type = parameters_[expr->index];
    if (type == oid::kUnknown) type = target.oid;
    out->type = {type, -1};
    if (type != target.oid) return Coerce(out, target, context);
  } else if (!expr->value.is_null()) {
    const std::string_view text = expr->value.as_bytes();
    const Oid element = ElementTypeOf(target.oid);
    const Oid scalar = element == oid::kInvalid ? target.oid : element;
    if (MeansNow(scalar, text) || (IsOidType(scalar) && scalar != oid::kOid)) cacheable_ = false;
    // The fields of an interval say what a number without a unit means: INTERVAL '1' DAY.
    const Type read_as = target.oid == oid::kInterval ? target : plain;
    auto value = target.oid == oid::kUnknown || target.oid == oid::kAny ? StatusOr<Datum>(expr->value)
                                                                      : ParseText(read_as, text, options_.format);
    if (!value.ok()) return At(value.status(), expr->position);
    out->value = value->Owned();
  }
  if (target.typmod < 0) return ExprPtr(out);
  return Coerce(out, target, context);
}

StatusOr<ExprPtr> StatementBinder::Coerce(const ExprPtr& expr, Type target, CastContext context) {
  if (expr->type.oid == target.oid && (target.typmod < 0 || target.typmod == expr->type.typmod)) return expr;
  if (target.oid == oid::kAny) return expr->type.oid == oid::kUnknown ? KnownType(expr) : ExprOr(expr);
  const bool open = expr->type.oid == oid::kUnknown &&
                    (expr->kind == Expr::Kind::kConstant || expr->kind == Expr::Kind::kParameter);
  if (open) return CoerceUnknown(expr, target, context);
  auto path = FindCast(options_.functions, expr->type.oid, target, context);
  if (!path.ok()) return At(path.status(), expr->position);
  return Fold(CastExpr(expr, std::move(*path)));
}

StatusOr<ExprPtr> StatementBinder::KnownType(const ExprPtr& expr) {
  if (expr->type.oid != oid::kUnknown) return expr;
  return Coerce(expr, {oid::kText}, CastContext::kImplicit);
}

StatusOr<ExprPtr> StatementBinder::CoerceBool(const ExprPtr& expr, std::string_view construct) {
  if (expr->type.oid == oid::kBool || expr->type.oid == oid::kUnknown)
    return Coerce(expr, {oid::kBool}, CastContext::kImplicit);
  return Error("42804", "argument of " + std::string(construct) + " must be type boolean, not type " +
                            std::string(TypeName(expr->type.oid)), expr->position);
}

StatusOr<ExprPtr> StatementBinder::Assign(const ExprPtr& expr, const ColumnDescriptor& column, int position) {
  if (expr->type.oid != oid::kUnknown && expr->type.oid != column.type &&
      !CanCast(options_.functions, expr->type.oid, column.type, CastContext::kAssignment))
    return Error("42804", "column \"" + column.name + "\" is of type " + FormatType({column.type, -1}) +
                              " but expression is of type " + std::string(TypeName(expr->type.oid)),
                 expr->position >= 0 ? expr->position : position)
        .WithHint("You will need to rewrite or cast the expression.");
  return Coerce(expr, column.full_type(), CastContext::kAssignment);
}

StatusOr<Oid> StatementBinder::CommonTypeOf(std::span<const ExprPtr> exprs, std::string_view construct) {
  std::vector<Oid> types;
  for (const ExprPtr& expr : exprs) types.push_back(expr->type.oid);
  auto common = CommonType(options_.functions, types, construct);
  if (common.ok()) return common;
  // PostgreSQL points at the first expression that does not fit.
  for (size_t i = 1; i <= types.size(); ++i)
    if (!CommonType(options_.functions, std::span(types).first(i), construct).ok())
      return At(common.status(), exprs[i - 1]->position);
  return common.status();
}

}  // namespace orrery::sql
