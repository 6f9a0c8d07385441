// Binder: ParsedStatement → BoundStatement. Errors are PostgreSQL's: text, SQLSTATE, hint, position. Holds
// no state between calls; a Binder may be used by one task at a time.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/binder/bound_statement.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/parser/parsed_statement.h"
#include "orrery/sql/types/eval_context.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {

// Everything referenced must outlive the Binder.
struct BinderOptions {
  const FunctionCatalog& functions;
  CatalogReader& catalog;
  // For literals and constant folding: time zone, date order, regclass look-ups. Immutable functions are
  // folded; stable ones (now()) never are.
  const FormatContext& format;
};

class Binder {
 public:
  explicit Binder(const BinderOptions& options) : options_(options) {}

  // `parameter_types`: what the client declared, by $n − 1; kInvalid or missing: to be inferred. The
  // final types stand in the result. 42P18 if one cannot be determined.
  StatusOr<BoundStatement> Bind(const runtime::Context& context, const ParsedStatement& statement,
                                std::span<const Oid> parameter_types = {});
  // A lone expression without columns, assigned to `target`: EXECUTE arguments.
  StatusOr<ExprPtr> BindExpression(const runtime::Context& context, const ParsedExpr& expr, Type target);

 private:
  BinderOptions options_;
};

// True for a statement that must go to the session as it is (BEGIN, SET, PREPARE …).
bool IsUtility(const ParsedNode& node);

// Evaluates an expression without columns, parameters and subqueries: for LIMIT, EXECUTE's arguments and
// defaults. Volatile functions run once.
StatusOr<Datum> EvaluateConstant(EvalContext& context, const Expr& expr);

}  // namespace orrery::sql
