// Evaluation of physical expressions (Expr at its physical stage), over one row or over a batch. Results may
// borrow from the row, the parameters or the expression's constants, never from temporaries.
#pragma once

#include <span>

#include "orrery/base/status.h"
#include "orrery/sql/binder/expr.h"
#include "orrery/sql/types/eval_context.h"
#include "sql/exec/row_batch.h"

namespace orrery::sql {

// Answers kSubquery expressions; implemented by the execution.
class SubplanRunner {
 public:
  virtual ~SubplanRunner() = default;
  virtual Status Evaluate(const Expr& subquery, std::span<const Datum> row, Datum* out) = 0;
};

struct ExprEnv {
  EvalContext& eval;
  std::span<const Datum> parameters;
  std::span<const Datum> variables;
  SubplanRunner* subplans = nullptr;  // null: there are none
};

Status Evaluate(const Expr& expr, ExprEnv& env, std::span<const Datum> row, Datum* out);

// A condition: only true passes.
StatusOr<bool> IsTrue(const Expr& condition, ExprEnv& env, std::span<const Datum> row);

// Keeps the rows of `batch` for which `condition` is true. Comparisons of integer slots with constants and
// parameters run over the batch without the general path.
Status FilterBatch(const Expr& condition, ExprEnv& env, RowBatch& batch);

// A bigint expression without slots: LIMIT and the like. NULL gives nullopt.
StatusOr<std::optional<int64_t>> EvaluateCount(const Expr& expr, ExprEnv& env);

}  // namespace orrery::sql
