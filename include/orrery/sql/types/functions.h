// The catalogue of functions, operators and casts, with PostgreSQL's OIDs, and overload resolution
// over it (PostgreSQL documentation, chapter 10). Built once by BuildFunctionCatalog, immutable
// afterwards: any thread may read it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

class Aggregate;  // aggregates.h

enum class Volatility : uint8_t { kImmutable, kStable, kVolatile };
enum class FunctionKind : uint8_t { kScalar, kAggregate };

// Computes *out from arguments of the declared types. A strict function is never called with a
// NULL. *out may borrow from the arguments: copy with Owned() to outlive them.
using Evaluator = Status (*)(EvalContext& context, std::span<const Datum> args, Datum* out);

struct Function {
  Oid oid = 0;            // pg_proc.oid
  std::string_view name;  // pg_proc.proname
  std::vector<Oid> arguments;
  Oid result = 0;
  FunctionKind kind = FunctionKind::kScalar;
  Volatility volatility = Volatility::kImmutable;
  bool strict = true;                 // NULL in, NULL out, without a call
  bool variadic_any = false;          // the last argument (of type any) repeats
  bool needs_argument_types = false;  // EvalContext::argument_types must be set for the call
  // Trailing arguments with a default: a call may leave them out; `evaluate` accepts fewer
  // arguments then.
  uint8_t defaults = 0;
  Evaluator evaluate = nullptr;  // null for aggregates
  const Aggregate* aggregate = nullptr;
};

struct Operator {
  Oid oid = 0;  // pg_operator.oid
  std::string_view name;
  Oid left = 0;  // 0 for a prefix operator
  Oid right = 0;
  Oid result = 0;
  const Function* function = nullptr;
  Oid commutator = 0;  // operator OIDs, 0 if none
  Oid negator = 0;
  bool hashes = false;  // usable for hash joins (oprcanhash)
  bool merges = false;
};

enum class CastContext : uint8_t { kImplicit, kAssignment, kExplicit };

// How a value of one type becomes a value of another, ready to be run by EvaluateCast.
struct CastPath {
  enum class Method : uint8_t {
    kRelabel,   // same representation: nothing to do but the modifier
    kFunction,  // `function` converts
    kText,      // through the text form: output of the source, input of the target
    kArray,     // `element` converts each element
  };
  Method method = Method::kRelabel;
  Oid source = 0;
  Type target;
  CastContext context =
      CastContext::kImplicit;  // how it was asked for: explicit casts cut strings silently
  const Function* function = nullptr;
  std::shared_ptr<const CastPath> element;
};

class FunctionCatalog {
 public:
  // By OID; null if there is none.
  const Function* FindFunction(Oid oid) const;
  const Operator* FindOperator(Oid oid) const;
  // All overloads of a name, by OID. Empty if there are none.
  std::span<const Function* const> Overloads(std::string_view name) const;
  std::span<const Operator* const> OperatorOverloads(std::string_view name) const;
  // The operator with exactly these operand types; null if there is none.
  const Operator* ExactOperator(std::string_view name, Oid left, Oid right) const;
  // Everything, by OID: for pg_proc, pg_operator and pg_cast.
  std::span<const Function* const> functions() const;
  std::span<const Operator* const> operators() const;
  struct CastRow {
    Oid source, target, function;  // function 0: binary coercible or through text
    char context;                  // pg_cast.castcontext: i, a, e
    char method;                   // pg_cast.castmethod: f, b, i
  };
  std::span<const CastRow> casts() const;
  const CastRow* FindCastRow(Oid source, Oid target) const;
  // True if pg_proc of PostgreSQL has the name but this server has no function of it.
  bool IsKnownButUnsupported(std::string_view name) const;

  ~FunctionCatalog();

 private:
  friend class FunctionCatalogBuilder;
  FunctionCatalog();
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// An evaluator that a higher layer brings for a function of pg_proc: one about its catalog, its
// session or its cluster, which this library knows nothing of.
struct ExtraFunction {
  std::string_view symbol;  // PostgreSQL's C function name (pg_proc.prosrc): pg_get_expr
  Evaluator evaluate = nullptr;
  bool needs_argument_types = false;  // as in Function
};

// Builds the whole catalogue; call once and share it. Invariant: each symbol of `extra` occurs in
// pg_proc over known types, and neither this library nor `extra` has it twice.
std::shared_ptr<const FunctionCatalog> BuildFunctionCatalog(
    std::span<const ExtraFunction> extra = {});

// A chosen overload and the types its arguments must be cast to (implicitly), one a call argument.
struct ResolvedFunction {
  const Function* function = nullptr;
  std::vector<Oid> argument_types;
  Oid result = oid::kInvalid;  // the function's, unless that is polymorphic
};
// Function call `name(args…)`; unknown literals are oid::kUnknown. 42883 if nothing fits, 42725 if
// several do, 0A000 if PostgreSQL has the function and this server has not.
StatusOr<ResolvedFunction> ResolveFunction(const FunctionCatalog& catalog, std::string_view name,
                                           std::span<const Oid> args);

struct ResolvedOperator {
  const Operator* op = nullptr;
  Oid left = 0;  // types the operands must be cast to; 0 for a prefix operator
  Oid right = 0;
  Oid result = 0;  // the operator's, unless that is polymorphic
};
// `left` is oid::kInvalid for a prefix operator. Names are PostgreSQL's: "~~" for LIKE, "<>" for
// !=.
StatusOr<ResolvedOperator> ResolveOperator(const FunctionCatalog& catalog, std::string_view name,
                                           Oid left, Oid right);

// The way from `source` to `target` allowed in `context`. NotFound (42846 `cannot cast type x to
// type y`) if there is none.
StatusOr<CastPath> FindCast(const FunctionCatalog& catalog, Oid source, Type target,
                            CastContext context);
// True if such a way exists.
bool CanCast(const FunctionCatalog& catalog, Oid source, Oid target, CastContext context);

// Converts one value (NULL stays NULL) and applies the target's modifier.
Status EvaluateCast(EvalContext& context, const CastPath& path, const Datum& value, Datum* out);

// The type that the branches of UNION, CASE, COALESCE, VALUES… share (documentation section 10.5).
// `construct` is named in the error, 42804 `CASE types text and integer cannot be matched`. All
// unknown: text.
StatusOr<Oid> CommonType(const FunctionCatalog& catalog, std::span<const Oid> types,
                         std::string_view construct);
// Modifier shared by all of the types if they agree in both OID and modifier, else −1.
int32_t CommonTypmod(std::span<const Type> types);

}  // namespace orrery::sql
