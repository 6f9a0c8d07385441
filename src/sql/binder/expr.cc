#include "orrery/sql/binder/expr.h"

#include <algorithm>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/compare.h"

namespace orrery::sql {

namespace {
std::shared_ptr<Expr> New(Expr::Kind kind, Type type) {
  auto out = std::make_shared<Expr>();
  out->kind = kind;
  out->type = type;
  return out;
}
}  // namespace

ExprPtr MakeConstant(Type type, Datum value) {
  auto out = New(Expr::Kind::kConstant, type);
  out->value = std::move(value);
  return out;
}

ExprPtr MakeColumn(ColumnId column, Type type, std::string name) {
  auto out = New(Expr::Kind::kColumn, type);
  out->column = column;
  out->name = std::move(name);
  return out;
}

ExprPtr MakeSlot(uint32_t slot, Type type, std::string name) {
  auto out = New(Expr::Kind::kSlot, type);
  out->index = slot;
  out->name = std::move(name);
  return out;
}

void SplitConjuncts(const ExprPtr& expr, std::vector<ExprPtr>& out) {
  if (!expr) return;
  if (expr->kind != Expr::Kind::kAnd) {
    out.push_back(expr);
    return;
  }
  for (const ExprPtr& arg : expr->args) SplitConjuncts(arg, out);
}

ExprPtr MakeAnd(std::vector<ExprPtr> conjuncts) {
  std::vector<ExprPtr> flat;
  for (const ExprPtr& conjunct : conjuncts) SplitConjuncts(conjunct, flat);
  if (flat.empty()) return nullptr;
  if (flat.size() == 1) return flat[0];
  auto out = New(Expr::Kind::kAnd, {oid::kBool});
  out->args = std::move(flat);
  return out;
}

ExprPtr MakeNot(ExprPtr arg) {
  auto out = New(Expr::Kind::kNot, {oid::kBool});
  out->args.push_back(std::move(arg));
  return out;
}

namespace {
bool IsSettingDependent(Oid type) {
  switch (type) {
    case oid::kDate:
    case oid::kTime:
    case oid::kTimestamp:
    case oid::kTimestamptz:
    case oid::kInterval:
    case oid::kBytea: return true;
    default: return IsOidType(type) && type != oid::kOid;
  }
}

bool IsSettingDependentOrArray(Oid type) {
  const Oid element = ElementTypeOf(type);
  return IsSettingDependent(element == oid::kInvalid ? type : element);
}

Volatility CastVolatility(const CastPath& cast) {
  Volatility worst = Volatility::kImmutable;
  if (cast.function) worst = cast.function->volatility;
  if (cast.element) worst = std::max(worst, CastVolatility(*cast.element));
  if (cast.method == CastPath::Method::kText &&
      (IsSettingDependentOrArray(cast.source) || IsSettingDependentOrArray(cast.target.oid)))
    worst = std::max(worst, Volatility::kStable);
  return worst;
}

Volatility OwnVolatility(const Expr& expr) {
  Volatility worst = expr.function ? expr.function->volatility : Volatility::kImmutable;
  if (expr.cast) worst = std::max(worst, CastVolatility(*expr.cast));
  for (const Function* function : expr.functions) worst = std::max(worst, function->volatility);
  if (expr.kind == Expr::Kind::kSubquery || expr.kind == Expr::Kind::kRaise) worst = Volatility::kVolatile;
  return worst;
}
}  // namespace

Volatility VolatilityOf(const Expr& expr) {
  Volatility worst = OwnVolatility(expr);
  for (const ExprPtr& arg : expr.args)
    if (arg) worst = std::max(worst, VolatilityOf(*arg));
  return worst;
}

bool SameExpr(const Expr& a, const Expr& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.type != b.type || a.negated != b.negated || a.test != b.test || a.column != b.column ||
      a.index != b.index || a.function != b.function || a.args.size() != b.args.size())
    return false;
  if (a.kind == Expr::Kind::kSubquery || a.kind == Expr::Kind::kRaise) return false;
  if (bool(a.cast) != bool(b.cast)) return false;
  if (a.cast && (a.cast->target != b.cast->target || a.cast->context != b.cast->context)) return false;
  if (a.kind == Expr::Kind::kConstant) {
    if (a.value.is_null() != b.value.is_null()) return false;
    if (!a.value.is_null() && CompareDatums(a.type.oid, a.value, b.value) != std::strong_ordering::equal) return false;
  }
  for (size_t i = 0; i < a.args.size(); ++i) {
    if (!a.args[i] || !b.args[i]) {
      if (a.args[i] != b.args[i]) return false;
    } else if (!SameExpr(*a.args[i], *b.args[i])) {
      return false;
    }
  }
  return true;
}

bool IsConstant(const Expr& expr) { return expr.kind == Expr::Kind::kConstant; }

bool HasSubquery(const Expr& expr) {
  if (expr.kind == Expr::Kind::kSubquery) return true;
  return std::any_of(expr.args.begin(), expr.args.end(), [](const ExprPtr& arg) { return arg && HasSubquery(*arg); });
}

ExprPtr MapChildren(const ExprPtr& expr, const std::function<ExprPtr(const ExprPtr&)>& fn) {
  std::shared_ptr<Expr> copy;
  for (size_t i = 0; i < expr->args.size(); ++i) {
    if (!expr->args[i]) continue;
    ExprPtr mapped = fn(expr->args[i]);
    if (mapped == expr->args[i]) continue;
    if (!copy) copy = std::make_shared<Expr>(*expr);
    copy->args[i] = std::move(mapped);
  }
  return copy ? ExprPtr(std::move(copy)) : expr;
}

}  // namespace orrery::sql
