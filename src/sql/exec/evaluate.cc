#include "sql/exec/evaluate.h"

#include "absl/container/inlined_vector.h"
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/compare.h"

namespace orrery::sql {
namespace {

using Kind = Expr::Kind;
using Args = absl::InlinedVector<Datum, 3>;

// A leaf's value lives as long as the row, the parameters or the plan; anything else is a temporary.
bool IsLeaf(const Expr& e) {
  return e.kind == Kind::kConstant || e.kind == Kind::kParameter || e.kind == Kind::kSlot || e.kind == Kind::kVariable;
}

Status CallFunction(const Expr& e, const Function& function, ExprEnv& env, std::span<const Datum> args, Datum* out) {
  if (function.strict) {
    for (const Datum& arg : args) {
      if (arg.is_null()) {
        *out = Datum::Null();
        return OkStatus();
      }
    }
  }
  if (function.needs_argument_types) [[unlikely]] {
    absl::InlinedVector<Oid, 4> types;
    for (const ExprPtr& arg : e.args) types.push_back(arg->type.oid);
    env.eval.argument_types = std::span<const Oid>(types.data(), types.size());
    Status status = function.evaluate(env.eval, args, out);
    env.eval.argument_types = {};
    return status;
  }
  return function.evaluate(env.eval, args, out);
}

Status EvaluateFunction(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  Args args(e.args.size());
  bool temporaries = false;
  for (size_t i = 0; i < e.args.size(); ++i) {
    RETURN_IF_ERROR(Evaluate(*e.args[i], env, row, &args[i]));
    temporaries = temporaries || !IsLeaf(*e.args[i]);
  }
  RETURN_IF_ERROR(CallFunction(e, *e.function, env, std::span<const Datum>(args.data(), args.size()), out));
  if (temporaries && out->borrows()) *out = out->Owned();
  return OkStatus();
}

// Equality by `function` with SQL's NULL rule: nullopt for unknown.
StatusOr<std::optional<bool>> Equal(const Function& function, ExprEnv& env, const Datum& a, const Datum& b) {
  if (a.is_null() || b.is_null()) return std::optional<bool>();
  Datum args[2] = {a, b};
  Datum result;
  RETURN_IF_ERROR(function.evaluate(env.eval, std::span<const Datum>(args, 2), &result));
  if (result.is_null()) return std::optional<bool>();
  return std::optional<bool>(result.as_bool());
}

// AND and OR: `decisive` is the value that settles it. PostgreSQL stops at the first decisive argument.
Status EvaluateLogic(const Expr& e, ExprEnv& env, std::span<const Datum> row, bool decisive, Datum* out) {
  bool unknown = false;
  for (const ExprPtr& arg : e.args) {
    Datum value;
    RETURN_IF_ERROR(Evaluate(*arg, env, row, &value));
    if (value.is_null()) {
      unknown = true;
    } else if (value.as_bool() == decisive) {
      *out = Datum::Bool(decisive);
      return OkStatus();
    }
  }
  *out = unknown ? Datum::Null() : Datum::Bool(!decisive);
  return OkStatus();
}

Status EvaluateIn(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  Datum needle;
  RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, &needle));
  bool unknown = needle.is_null() && e.args.size() > 1;
  for (size_t i = 1; i < e.args.size() && !needle.is_null(); ++i) {
    Datum candidate;
    RETURN_IF_ERROR(Evaluate(*e.args[i], env, row, &candidate));
    ASSIGN_OR_RETURN(std::optional<bool> equal, Equal(*e.function, env, needle, candidate));
    if (equal.value_or(false)) {
      *out = Datum::Bool(!e.negated);
      return OkStatus();
    }
    unknown = unknown || !equal;
  }
  *out = unknown ? Datum::Null() : Datum::Bool(e.negated);
  return OkStatus();
}

// x op ANY (array) and, negated, x op ALL (array).
Status EvaluateAnyArray(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  Datum args[2], array;
  RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, &args[0]));
  RETURN_IF_ERROR(Evaluate(*e.args[1], env, row, &array));
  *out = Datum::Null();
  if (array.is_null()) return OkStatus();
  const Array elements = Array::Unpack(array);
  bool unknown = false;
  for (const Datum& element : elements.elements) {
    args[1] = element;
    Datum result;
    if (!e.function->strict || (!args[0].is_null() && !element.is_null())) {
      RETURN_IF_ERROR(e.function->evaluate(env.eval, std::span<const Datum>(args, 2), &result));
    }
    if (result.is_null()) {
      unknown = true;
    } else if (result.as_bool() != e.negated) {
      *out = Datum::Bool(!e.negated);
      return OkStatus();
    }
  }
  if (!unknown) *out = Datum::Bool(e.negated);
  return OkStatus();
}

Status EvaluateCase(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  for (size_t i = 0; i + 1 < e.args.size(); i += 2) {
    ASSIGN_OR_RETURN(bool taken, IsTrue(*e.args[i], env, row));
    if (taken) return Evaluate(*e.args[i + 1], env, row, out);
  }
  if (e.args.size() % 2 == 0) {
    *out = Datum::Null();
    return OkStatus();
  }
  return Evaluate(*e.args.back(), env, row, out);
}

Status EvaluateExtreme(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  *out = Datum::Null();
  for (const ExprPtr& arg : e.args) {
    Datum value;
    RETURN_IF_ERROR(Evaluate(*arg, env, row, &value));
    if (value.is_null()) continue;
    if (!out->is_null()) {
      auto order = CompareDatums(e.type.oid, value, *out);
      if (e.kind == Kind::kGreatest ? order <= 0 : order >= 0) continue;
    }
    *out = std::move(value);
  }
  return OkStatus();
}

bool FitsInteger(Oid type, int64_t value) {
  switch (type) {
    case oid::kInt2: return value >= INT16_MIN && value <= INT16_MAX;
    case oid::kInt4: return value >= INT32_MIN && value <= INT32_MAX;
    default: return true;
  }
}

bool Test(ParsedExpr::Test test, const Datum& value) {
  bool is_true = !value.is_null() && value.as_bool();
  bool is_false = !value.is_null() && !value.as_bool();
  switch (test) {
    case ParsedExpr::Test::kTrue: return is_true;
    case ParsedExpr::Test::kNotTrue: return !is_true;
    case ParsedExpr::Test::kFalse: return is_false;
    case ParsedExpr::Test::kNotFalse: return !is_false;
    case ParsedExpr::Test::kUnknown: return value.is_null();
    case ParsedExpr::Test::kNotUnknown: return !value.is_null();
  }
  return false;
}

Status EvaluateDistinct(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  Datum a, b;
  RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, &a));
  RETURN_IF_ERROR(Evaluate(*e.args[1], env, row, &b));
  bool distinct = a.is_null() != b.is_null();
  if (!a.is_null() && !b.is_null()) {
    ASSIGN_OR_RETURN(std::optional<bool> equal, Equal(*e.function, env, a, b));
    distinct = !equal.value_or(false);
  }
  *out = Datum::Bool(distinct != e.negated);
  return OkStatus();
}

// The rest of the special forms, apart from the short ones in Evaluate.
Status EvaluateForm(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  switch (e.kind) {
    case Kind::kCast: {
      Datum value;
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, &value));
      RETURN_IF_ERROR(EvaluateCast(env.eval, *e.cast, value, out));
      if (out->borrows() && !IsLeaf(*e.args[0])) *out = out->Owned();
      return OkStatus();
    }
    case Kind::kNarrow: {
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, out));
      if (!out->is_null() && !FitsInteger(e.type.oid, out->as_int())) *out = Datum::Null();
      return OkStatus();
    }
    case Kind::kCoalesce:
      for (const ExprPtr& arg : e.args) {
        RETURN_IF_ERROR(Evaluate(*arg, env, row, out));
        if (!out->is_null()) return OkStatus();
      }
      return OkStatus();
    case Kind::kNullIf: {
      Datum a, b;
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, &a));
      RETURN_IF_ERROR(Evaluate(*e.args[1], env, row, &b));
      ASSIGN_OR_RETURN(std::optional<bool> equal, Equal(*e.function, env, a, b));
      if (equal.value_or(false)) {
        *out = Datum::Null();
        return OkStatus();
      }
      return Evaluate(*e.args[2], env, row, out);
    }
    case Kind::kAnyArray:
      return EvaluateAnyArray(e, env, row, out);
    case Kind::kSubquery:
      ORRERY_ASSERT(env.subplans != nullptr, "a plan with subqueries runs with their subplans");
      return env.subplans->Evaluate(e, row, out);
    case Kind::kRaise:
      return e.error;
    default:
      return InternalError("expression kind has no physical form");
  }
}

}  // namespace

Status Evaluate(const Expr& e, ExprEnv& env, std::span<const Datum> row, Datum* out) {
  switch (e.kind) {
    case Kind::kConstant:
      *out = e.value;
      return OkStatus();
    case Kind::kParameter:
      ORRERY_ASSERT(e.index < env.parameters.size(), "parameters are bound before execution");
      *out = env.parameters[e.index];
      return OkStatus();
    case Kind::kSlot:
      ORRERY_ASSERT(e.index < row.size(), "a slot lies within the row");
      *out = row[e.index];
      return OkStatus();
    case Kind::kVariable:
      ORRERY_ASSERT(e.index < env.variables.size(), "a variable lies within the plan's count");
      *out = env.variables[e.index];
      return OkStatus();
    case Kind::kFunction:
      return EvaluateFunction(e, env, row, out);
    case Kind::kAnd:
      return EvaluateLogic(e, env, row, false, out);
    case Kind::kOr:
      return EvaluateLogic(e, env, row, true, out);
    case Kind::kNot:
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, out));
      if (!out->is_null()) *out = Datum::Bool(!out->as_bool());
      return OkStatus();
    case Kind::kIsNull:
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, out));
      *out = Datum::Bool(out->is_null() != e.negated);
      return OkStatus();
    case Kind::kBooleanTest:
      RETURN_IF_ERROR(Evaluate(*e.args[0], env, row, out));
      *out = Datum::Bool(Test(e.test, *out));
      return OkStatus();
    case Kind::kCase:
      return EvaluateCase(e, env, row, out);
    case Kind::kGreatest:
    case Kind::kLeast:
      return EvaluateExtreme(e, env, row, out);
    case Kind::kDistinct:
      return EvaluateDistinct(e, env, row, out);
    case Kind::kIn:
      return EvaluateIn(e, env, row, out);
    default:
      return EvaluateForm(e, env, row, out);
  }
}

StatusOr<bool> IsTrue(const Expr& condition, ExprEnv& env, std::span<const Datum> row) {
  Datum value;
  RETURN_IF_ERROR(Evaluate(condition, env, row, &value));
  return !value.is_null() && value.as_bool();
}

namespace {

// Comparison of an integer slot with something constant over the batch.
enum class IntComparison : uint8_t { kNone, kEq, kNe, kLt, kLe, kGt, kGe };

IntComparison IntComparisonOf(const Expr& e) {
  if (e.kind != Kind::kFunction || e.op == nullptr || e.args.size() != 2) return IntComparison::kNone;
  auto integral = [](Oid t) { return t == oid::kInt2 || t == oid::kInt4 || t == oid::kInt8; };
  if (!integral(e.op->left) || !integral(e.op->right)) return IntComparison::kNone;
  if (e.args[0]->kind != Kind::kSlot) return IntComparison::kNone;
  Kind right = e.args[1]->kind;
  if (right != Kind::kConstant && right != Kind::kParameter && right != Kind::kVariable) return IntComparison::kNone;
  std::string_view name = e.op->name;
  if (name == "=") return IntComparison::kEq;
  if (name == "<>") return IntComparison::kNe;
  if (name == "<") return IntComparison::kLt;
  if (name == "<=") return IntComparison::kLe;
  if (name == ">") return IntComparison::kGt;
  if (name == ">=") return IntComparison::kGe;
  return IntComparison::kNone;
}

template <class Keep>
void KeepRows(RowBatch& batch, uint32_t slot, Keep keep) {
  size_t kept = 0;
  for (size_t i = 0; i < batch.count(); ++i) {
    const Datum& value = batch.row(i)[slot];
    if (value.is_null() || !keep(value.as_int())) continue;
    batch.MoveRow(i, kept++);
  }
  batch.Truncate(kept);
}

Status FilterByInteger(const Expr& e, IntComparison comparison, ExprEnv& env, RowBatch& batch) {
  Datum right;
  RETURN_IF_ERROR(Evaluate(*e.args[1], env, {}, &right));
  if (right.is_null()) {
    batch.Truncate(0);
    return OkStatus();
  }
  int64_t r = right.as_int();
  uint32_t slot = e.args[0]->index;
  switch (comparison) {
    case IntComparison::kEq: KeepRows(batch, slot, [r](int64_t v) { return v == r; }); break;
    case IntComparison::kNe: KeepRows(batch, slot, [r](int64_t v) { return v != r; }); break;
    case IntComparison::kLt: KeepRows(batch, slot, [r](int64_t v) { return v < r; }); break;
    case IntComparison::kLe: KeepRows(batch, slot, [r](int64_t v) { return v <= r; }); break;
    case IntComparison::kGt: KeepRows(batch, slot, [r](int64_t v) { return v > r; }); break;
    case IntComparison::kGe: KeepRows(batch, slot, [r](int64_t v) { return v >= r; }); break;
    case IntComparison::kNone: break;
  }
  return OkStatus();
}

}  // namespace

Status FilterBatch(const Expr& condition, ExprEnv& env, RowBatch& batch) {
  if (batch.empty()) return OkStatus();
  if (condition.kind == Kind::kAnd) {
    // One conjunct after another over what is left: the rows a later one sees are those PostgreSQL's would.
    for (const ExprPtr& conjunct : condition.args) RETURN_IF_ERROR(FilterBatch(*conjunct, env, batch));
    return OkStatus();
  }
  IntComparison comparison = IntComparisonOf(condition);
  if (comparison != IntComparison::kNone) return FilterByInteger(condition, comparison, env, batch);
  size_t kept = 0;
  for (size_t i = 0; i < batch.count(); ++i) {
    ASSIGN_OR_RETURN(bool keep, IsTrue(condition, env, batch.row(i)));
    if (keep) batch.MoveRow(i, kept++);
  }
  batch.Truncate(kept);
  return OkStatus();
}

StatusOr<std::optional<int64_t>> EvaluateCount(const Expr& expr, ExprEnv& env) {
  Datum value;
  RETURN_IF_ERROR(Evaluate(expr, env, {}, &value));
  if (value.is_null()) return std::optional<int64_t>();
  return std::optional<int64_t>(value.as_int());
}

}  // namespace orrery::sql
