// Expressions as SQL text, in the manner of PostgreSQL's ruleutils.c: what EXPLAIN shows and descriptors keep.
#include "orrery/sql/binder/expr.h"
#include "orrery/sql/parser/parser.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {

namespace {

std::string QuoteLiteral(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out.push_back('\'');
    out.push_back(c);
  }
  return out + "'";
}

std::string ConstantSql(const Expr& expr) {
  const Oid type = expr.type.oid;
  if (expr.value.is_null()) return "NULL::" + FormatType(expr.type);
  const std::string text = FormatText(type, expr.value, FormatContext());
  if (type == oid::kBool) return expr.value.as_bool() ? "true" : "false";
  const bool digits = text.find_first_not_of("0123456789.") == std::string::npos;
  if (type == oid::kInt4 && digits) return text;
  if (type == oid::kNumeric && digits && text.find('.') != std::string::npos) return text;
  return QuoteLiteral(text) + "::" + FormatType(expr.type);
}

std::string List(const std::vector<ExprPtr>& args, size_t from = 0) {
  std::string out;
  for (size_t i = from; i < args.size(); ++i) out += (i > from ? ", " : "") + ExprToSql(*args[i]);
  return out;
}

std::string Joined(const std::vector<ExprPtr>& args, std::string_view word) {
  std::string out = "(";
  for (size_t i = 0; i < args.size(); ++i) {
    if (i > 0) out.append(" ").append(word).append(" ");
    out += ExprToSql(*args[i]);
  }
  return out + ")";
}

std::string BracketSql(const Expr& expr) {
  const bool slice = expr.function == &ArraySlice();
  std::string out = "(" + ExprToSql(*expr.args[0]) + ")";
  for (size_t i = 1; i < expr.args.size(); i += slice ? 2 : 1) {
    out += "[" + ExprToSql(*expr.args[i]) + (slice ? ":" + ExprToSql(*expr.args[i + 1]) : "") + "]";
  }
  return out;
}

std::string FunctionSql(const Expr& expr) {
  if (expr.op && expr.args.size() == 1)
    return "(" + std::string(expr.op->name) + " " + ExprToSql(*expr.args[0]) + ")";
  if (expr.op)
    return "(" + ExprToSql(*expr.args[0]) + " " + std::string(expr.op->name) + " " + ExprToSql(*expr.args[1]) + ")";
  if (expr.function == &ArrayConstructor()) return "ARRAY[" + List(expr.args) + "]";
  if (expr.function == &ArraySubscript() || expr.function == &ArraySlice()) return BracketSql(expr);
  return QuoteIdentifier(expr.function->name) + "(" + List(expr.args) + ")";
}

std::string CaseSql(const Expr& expr) {
  std::string out = "CASE";
  for (size_t i = 0; i + 1 < expr.args.size(); i += 2)
    out += " WHEN " + ExprToSql(*expr.args[i]) + " THEN " + ExprToSql(*expr.args[i + 1]);
  return out + " ELSE " + ExprToSql(*expr.args.back()) + " END";
}

std::string TestSql(const Expr& expr) {
  static constexpr const char* kTests[] = {" IS TRUE)", " IS NOT TRUE)", " IS FALSE)",
                                           " IS NOT FALSE)", " IS UNKNOWN)", " IS NOT UNKNOWN)"};
  return "(" + ExprToSql(*expr.args[0]) + kTests[int(expr.test)];
}

}  // namespace

std::string ExprToSql(const Expr& expr) {
  using Kind = Expr::Kind;
  switch (expr.kind) {
    case Kind::kConstant: return ConstantSql(expr);
    case Kind::kParameter:
    case Kind::kVariable: return "$" + std::to_string(expr.index + (expr.kind == Kind::kParameter));
    case Kind::kColumn:
    case Kind::kSlot: {
      if (expr.name.empty()) return "?column?";
      const size_t dot = expr.name.find('.');
      if (dot == std::string::npos) return QuoteIdentifier(expr.name);
      return QuoteIdentifier(expr.name.substr(0, dot)) + "." + QuoteIdentifier(expr.name.substr(dot + 1));
    }
    case Kind::kFunction: return FunctionSql(expr);
    case Kind::kCast:
      if (expr.cast->context == CastContext::kImplicit && expr.cast->target.typmod < 0 &&
          expr.cast->method == CastPath::Method::kFunction)
        return ExprToSql(*expr.args[0]);
      return "(" + ExprToSql(*expr.args[0]) + ")::" + FormatType(expr.type);
    case Kind::kNarrow: return ExprToSql(*expr.args[0]);
    case Kind::kAnd: return Joined(expr.args, "AND");
    case Kind::kOr: return Joined(expr.args, "OR");
    case Kind::kNot: return "(NOT " + ExprToSql(*expr.args[0]) + ")";
    case Kind::kIsNull: return "(" + ExprToSql(*expr.args[0]) + (expr.negated ? " IS NOT NULL)" : " IS NULL)");
    case Kind::kBooleanTest: return TestSql(expr);
    case Kind::kCase: return CaseSql(expr);
    case Kind::kCoalesce: return "COALESCE(" + List(expr.args) + ")";
    case Kind::kNullIf: return "NULLIF(" + ExprToSql(*expr.args[0]) + ", " + ExprToSql(*expr.args[1]) + ")";
    case Kind::kGreatest: return "GREATEST(" + List(expr.args) + ")";
    case Kind::kLeast: return "LEAST(" + List(expr.args) + ")";
    case Kind::kDistinct:
      return "(" + ExprToSql(*expr.args[0]) + (expr.negated ? " IS NOT DISTINCT FROM " : " IS DISTINCT FROM ") +
             ExprToSql(*expr.args[1]) + ")";
    case Kind::kIn:
      return "(" + ExprToSql(*expr.args[0]) + (expr.negated ? " <> ALL (ARRAY[" : " = ANY (ARRAY[") +
             List(expr.args, 1) + "]))";
    case Kind::kAnyArray:
      return "(" + ExprToSql(*expr.args[0]) + " " + std::string(expr.op->name) + (expr.negated ? " ALL (" : " ANY (") +
             ExprToSql(*expr.args[1]) + "))";
    case Kind::kSubquery: return "(SubPlan " + std::to_string(expr.index + 1) + ")";
    case Kind::kRaise: return "(unsupported)";
    case Kind::kAggregateRef: return "?";
  }
  return "?";
}

}  // namespace orrery::sql
