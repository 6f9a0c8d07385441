// The catalogue's extension point: evaluators that higher layers bring.
#include <gtest/gtest.h>

#include "orrery/sql/types/functions.h"

namespace orrery::sql {
namespace {

Status IsAnswer(EvalContext &, std::span<const Datum> args, Datum *out) {
  *out = Datum::Bool(args[0].as_int() == 42);
  return OkStatus();
}

TEST(FunctionCatalogTest, ExtraFunctionsFillTheRowsOfPgProc) {
  const Oid types[] = {oid::kOid};
  const auto plain = BuildFunctionCatalog();
  EXPECT_TRUE(plain->IsKnownButUnsupported("pg_get_functiondef"));
  EXPECT_EQ(ResolveFunction(*plain, "pg_get_functiondef", types).status().sqlstate(), "0A000");

  const ExtraFunction extra[] = {{"pg_get_functiondef", &IsAnswer}};
  const auto catalog = BuildFunctionCatalog(extra);
  EXPECT_FALSE(catalog->IsKnownButUnsupported("pg_get_functiondef"));
  const auto resolved = ResolveFunction(*catalog, "pg_get_functiondef", types);
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->function->oid, 2098u);
  EXPECT_EQ(resolved->function->volatility, Volatility::kStable);
  EvalContext context;
  Datum out;
  const std::vector<Datum> args = {Datum::Int(42)};
  ASSERT_TRUE(resolved->function->evaluate(context, args, &out).ok());
  EXPECT_TRUE(out.as_bool());
}

TEST(FunctionCatalogDeathTest, ExtraFunctionsMustBeOfPgProcAndNew) {
  const ExtraFunction unknown[] = {{"no_such_symbol", &IsAnswer}};
  EXPECT_DEATH(BuildFunctionCatalog(unknown), "a function of pg_proc");
  const ExtraFunction known[] = {{"int4pl", &IsAnswer}};
  EXPECT_DEATH(BuildFunctionCatalog(known), "one evaluator a symbol");
}

}  // namespace
}  // namespace orrery::sql
