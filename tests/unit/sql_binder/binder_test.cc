// Statements bound and planned against a catalog over an in-memory KV.
#include "orrery/sql/binder/binder.h"

#include <gtest/gtest.h>

#include "orrery/runtime/threads_runtime.h"
#include "orrery/sql/optimizer/optimizer.h"
#include "orrery/sql/parser/parser.h"
#include "support/fake_kv.h"

namespace orrery::sql {
namespace {

class BinderTest : public testing::Test {
 protected:
  BinderTest() {
    catalog_ = NewCatalog(context_, *db_, {.node = NodeId(1)});
    EXPECT_TRUE(catalog_->Start(context_).ok());
    Ddl("CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL DEFAULT 'x', c numeric(8, 2) CHECK (c > 0))");
    Ddl("CREATE TABLE u (a bigint, t_a int, note varchar(5))");
  }
  ~BinderTest() override { catalog_->Stop(); }

  StatusOr<BoundStatement> Bind(CatalogTxn& txn, std::string_view sql, std::vector<Oid> types = {}) {
    ASSIGN_OR_RETURN(const std::vector<ParsedStatement> parsed, Parse(sql));
    Binder binder({*functions_, txn, format_});
    return binder.Bind(context_, parsed.at(0), types);
  }
  Status Run(std::string_view sql) {
    auto catalog_txn = catalog_->BeginTxn();
    auto txn = db_->Begin({});
    catalog_txn->SetTxn(txn.get());
    ASSIGN_OR_RETURN(const BoundStatement bound, Bind(*catalog_txn, sql));
    DdlResult result;
    RETURN_IF_ERROR(catalog_txn->RunDdl(context_, std::get<BoundDdl>(bound.node).command, result));
    RETURN_IF_ERROR(txn->Commit(context_));
    catalog_txn->OnCommitted(context_);
    return OkStatus();
  }
  void Ddl(std::string_view sql) {
    const Status status = Run(sql);
    EXPECT_TRUE(status.ok()) << sql << ": " << status.ToString();
  }
  // The error as "SQLSTATE position message", or the plan.
  std::string Plan(std::string_view sql, std::vector<Oid> types = {}) {
    auto txn = catalog_->BeginTxn();
    auto bound = Bind(*txn, sql, types);
    if (!bound.ok())
      return std::string(bound.status().sqlstate()) + " " + std::to_string(bound.status().fields().position) + " " +
             std::string(bound.status().message());
    auto plan = Optimize(*bound, {*functions_});
    if (!plan.ok()) return "plan: " + plan.status().ToString();
    std::string out;
    for (const std::string& line : ExplainPlan(**plan, {.costs = false})) out += line + "\n";
    return out;
  }
  std::string Types(std::string_view sql) {
    auto txn = catalog_->BeginTxn();
    auto bound = Bind(*txn, sql);
    if (!bound.ok()) return bound.status().ToString();
    std::string out;
    for (const ResultColumn& column : bound->result())
      out += (out.empty() ? "" : ", ") + column.name + " " + FormatType(column.type);
    return out;
  }

  std::unique_ptr<runtime::ThreadsRuntime> runtime_ = runtime::ThreadsRuntime::Create();
  runtime::Context context_{*runtime_};
  std::unique_ptr<kv::Database> db_ = kv::MakeFakeDatabase();
  std::shared_ptr<const FunctionCatalog> functions_ = BuildFunctionCatalog();
  FormatContext format_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(BinderTest, NamesAndTypesOfResultColumns) {
  EXPECT_EQ(Types("SELECT a, b AS x, c + 1, count(*) FROM t GROUP BY a, b, c"),
            "a integer, x text, ?column? numeric, count bigint");
  EXPECT_EQ(Types("SELECT * FROM u"), "a bigint, t_a integer, note character varying(5)");
  EXPECT_EQ(Types("SELECT 1, 'x', NULL, 1.5, 5000000000, true, now(), current_date, 1::int8, sum(2)"),
            "?column? integer, ?column? text, ?column? text, ?column? numeric, ?column? bigint, ?column? boolean, "
            "now timestamp with time zone, current_date date, int8 bigint, sum bigint");
  EXPECT_EQ(Types("SELECT x.*, y.n FROM (VALUES (1, 'a'), (2, NULL)) AS x(i, s), generate_series(1, 3) AS y(n)"),
            "i integer, s text, n integer");
  EXPECT_EQ(Types("SELECT a FROM t UNION SELECT a FROM u"), "a bigint");
  EXPECT_EQ(Types("WITH q(n) AS (SELECT 1) SELECT q.n, p.n AS m FROM q, q AS p"), "n integer, m integer");
  EXPECT_EQ(Types("SELECT * FROM t JOIN u USING (a)"),
            "a bigint, b text, c numeric(8,2), t_a integer, note character varying(5)");
  EXPECT_EQ(Types("UPDATE t SET c = 2 WHERE a = 1 RETURNING *"), "a integer, b text, c numeric(8,2)");
  EXPECT_EQ(Types("SELECT a, b FROM t GROUP BY a"), "a integer, b text");  // b depends on the key
}

TEST_F(BinderTest, ErrorsArePostgresqls) {
  EXPECT_EQ(Plan("SELECT x FROM t"), "42703 8 column \"x\" does not exist");
  EXPECT_EQ(Plan("SELECT t.x FROM t"), "42703 8 column t.x does not exist");
  EXPECT_EQ(Plan("SELECT v.x FROM t"), "42P01 8 missing FROM-clause entry for table \"v\"");
  EXPECT_EQ(Plan("SELECT 1 FROM nope"), "42P01 15 relation \"nope\" does not exist");
  EXPECT_EQ(Plan("SELECT a FROM t, u"), "42702 8 column reference \"a\" is ambiguous");
  EXPECT_EQ(Plan("SELECT b, count(*) FROM t"),
            "42803 8 column \"t.b\" must appear in the GROUP BY clause or be used in an aggregate function");
  EXPECT_EQ(Plan("SELECT 1 WHERE 1"), "42804 16 argument of WHERE must be type boolean, not type integer");
  EXPECT_EQ(Plan("SELECT a FROM t WHERE sum(a) > 1"), "42803 23 aggregate functions are not allowed in WHERE");
  EXPECT_EQ(Plan("SELECT sum(sum(a)) FROM t"), "42803 12 aggregate function calls cannot be nested");
  EXPECT_EQ(Plan("SELECT a + b FROM t"), "42883 10 operator does not exist: integer + text");
  EXPECT_EQ(Plan("SELECT nope(1)"), "42883 8 function nope(integer) does not exist");
  EXPECT_EQ(Plan("SELECT a FROM t ORDER BY 2"), "42P10 26 ORDER BY position 2 is not in select list");
  EXPECT_EQ(Plan("SELECT 'x'::int"), "22P02 8 invalid input syntax for type integer: \"x\"");
  EXPECT_EQ(Plan("SELECT CASE WHEN true THEN 1 ELSE 'x' END"),
            "22P02 35 invalid input syntax for type integer: \"x\"");
  EXPECT_EQ(Plan("SELECT 1 UNION SELECT 1, 2").substr(0, 5), "42601");
  EXPECT_EQ(Plan("INSERT INTO t (a) VALUES (1, 2)"), "42601 30 INSERT has more expressions than target columns");
  EXPECT_EQ(Plan("INSERT INTO t (a, z) VALUES (1, 2)"), "42703 19 column \"z\" of relation \"t\" does not exist");
  EXPECT_EQ(Plan("INSERT INTO t (a) VALUES (true)"),
            "42804 27 column \"a\" is of type integer but expression is of type boolean");
  EXPECT_EQ(Plan("INSERT INTO t VALUES (1) ON CONFLICT (b) DO NOTHING"),
            "42P10 0 there is no unique or exclusion constraint matching the ON CONFLICT specification");
  EXPECT_EQ(Plan("SELECT 1 FROM t, t"), "42712 18 table name \"t\" specified more than once");
}

TEST_F(BinderTest, ParametersTakeTheirTypeFromTheirUse) {
  auto txn = catalog_->BeginTxn();
  const auto types = [&](std::string_view sql, std::vector<Oid> declared = {}) {
    auto bound = Bind(*txn, sql, declared);
    if (!bound.ok()) return std::string(bound.status().sqlstate());
    std::string out;
    for (const Type& type : bound->parameter_types) out += (out.empty() ? "" : ",") + FormatType(type);
    return out;
  };
  EXPECT_EQ(types("SELECT b FROM t WHERE a = $1 AND b = $2"), "integer,text");
  EXPECT_EQ(types("SELECT $1::int8 + $2"), "bigint,bigint");
  EXPECT_EQ(types("INSERT INTO t VALUES ($1, $2, $3)"), "integer,text,numeric");
  EXPECT_EQ(types("UPDATE t SET c = c + $1 WHERE a = $2"), "numeric,integer");
  EXPECT_EQ(types("SELECT $1"), "text");
  EXPECT_EQ(types("SELECT a FROM t LIMIT $1"), "bigint");
  EXPECT_EQ(types("SELECT $1", {oid::kDate}), "date");
  EXPECT_EQ(types("SELECT $2 + 1"), "42P18");  // nothing says what $1 is
}

// What pgbench sends is planned as a direct access by key.
TEST_F(BinderTest, AccessByKeyIsDirect) {
  auto txn = catalog_->BeginTxn();
  const auto direct = [&](std::string_view sql) {
    auto bound = Bind(*txn, sql);
    if (!bound.ok()) return std::string("error: ") + bound.status().ToString();
    auto plan = Optimize(*bound, {*functions_});
    if (!plan.ok()) return std::string("error: ") + plan.status().ToString();
    return std::string((*plan)->direct ? "direct" : "tree");
  };
  EXPECT_EQ(direct("SELECT b FROM t WHERE a = $1"), "direct");
  EXPECT_EQ(direct("UPDATE t SET c = c + $1 WHERE a = $2"), "direct");
  EXPECT_EQ(direct("DELETE FROM t WHERE a = 5"), "direct");
  EXPECT_EQ(direct("INSERT INTO u (a, note) VALUES ($1, 'y')"), "direct");
  EXPECT_EQ(direct("SELECT b FROM t WHERE b = 'x'"), "tree");
}

// Everything here must at least bind and plan.
TEST_F(BinderTest, WidelyUsedFormsArePlanned) {
  const char* const kStatements[] = {
      "SELECT 1",
      "SELECT DISTINCT b FROM t ORDER BY b DESC LIMIT 2 OFFSET 1",
      "SELECT DISTINCT ON (b) b, a FROM t ORDER BY b, a",
      "SELECT b, sum(c), count(DISTINCT a) FILTER (WHERE a > 1) FROM t GROUP BY b HAVING count(*) > 1 ORDER BY 2",
      "SELECT t.a, u.note FROM t LEFT JOIN u ON u.t_a = t.a WHERE t.b LIKE 'x%'",
      "SELECT * FROM t NATURAL JOIN u",
      "SELECT a, (SELECT max(note) FROM u WHERE u.t_a = t.a) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE t_a = t.a)",
      "SELECT a FROM t WHERE a IN (SELECT t_a FROM u) OR a = ANY (SELECT 1) OR a NOT IN (1, 2)",
      "SELECT a FROM t WHERE (a, b) = (1, 'x') OR (a, b) < (2, 'y') OR a BETWEEN SYMMETRIC 3 AND 1",
      "SELECT CASE a WHEN 1 THEN 'one' END, coalesce(b, 'z'), nullif(a, 1), greatest(a, 2), a IS DISTINCT FROM 1 FROM t",
      "SELECT * FROM t, LATERAL (SELECT note FROM u WHERE u.t_a = t.a) AS x",
      "SELECT a FROM t UNION ALL SELECT t_a FROM u EXCEPT SELECT 3 ORDER BY a",
      "SELECT generate_series(1, 3)",
      "VALUES (1, 'a'), (2, 'b') ORDER BY 1",
      "SELECT a FROM t FOR UPDATE NOWAIT",
      "INSERT INTO t DEFAULT VALUES",
      "INSERT INTO t (b, a) SELECT 'k', t_a FROM u",
      "INSERT INTO t VALUES (1, DEFAULT, 2) ON CONFLICT (a) DO UPDATE SET c = t.c + excluded.c WHERE t.b <> 'q' RETURNING a",
      "INSERT INTO t (a) VALUES (1), (2) ON CONFLICT DO NOTHING",
      "UPDATE t SET (b, c) = ('x', DEFAULT) FROM u WHERE u.t_a = t.a RETURNING t.a, u.note",
      "DELETE FROM t USING u WHERE u.t_a = t.a RETURNING t.*",
  };
  for (const char* sql : kStatements) {
    const std::string plan = Plan(sql);
    EXPECT_FALSE(plan.starts_with("plan:") || (plan.size() > 5 && isdigit(plan[0]))) << sql << "\n" << plan;
  }
}

TEST_F(BinderTest, ConstantsFold) {
  auto txn = catalog_->BeginTxn();
  auto bound = Bind(*txn, "SELECT 1 + 2 * 3, upper('a') || 'b', now()");
  ASSERT_TRUE(bound.ok()) << bound.status().ToString();
  const Relation& root = *std::get<BoundQuery>(bound->node).root;
  EXPECT_TRUE(IsConstant(*root.exprs[0]));
  EXPECT_EQ(ExprToSql(*root.exprs[0]), "7");
  EXPECT_EQ(ExprToSql(*root.exprs[1]), "'Ab'::text");
  EXPECT_FALSE(IsConstant(*root.exprs[2]));  // stable: never folded into a plan
}

TEST_F(BinderTest, SchemaChanges) {
  EXPECT_EQ(Run("CREATE TABLE t (a int)").sqlstate(), "42P07");
  Ddl("CREATE TABLE IF NOT EXISTS t (a int)");
  EXPECT_EQ(Run("CREATE TABLE x (a int, a int)").sqlstate(), "42701");
  EXPECT_EQ(Run("CREATE TABLE x (a int PRIMARY KEY, PRIMARY KEY (a))").sqlstate(), "42P16");
  EXPECT_EQ(Run("CREATE TABLE x (a serial)").sqlstate(), "0A000");
  EXPECT_EQ(Run("DROP TABLE nope").sqlstate(), "42P01");
  Ddl("DROP TABLE IF EXISTS nope");
  Ddl("ALTER TABLE u ADD PRIMARY KEY (a)");
  auto txn = catalog_->BeginTxn();
  auto use = txn->FindTable(context_, "", "u");
  ASSERT_TRUE(use.ok() && use->table);
  EXPECT_EQ(use->table->columns().size(), 3u);  // the row id has gone
  EXPECT_EQ(use->table->descriptor.primary_key_name, "u_pkey");
  auto check = txn->FindTable(context_, "", "t");
  ASSERT_TRUE(check.ok() && check->table);
  ASSERT_EQ(check->table->descriptor.checks.size(), 1u);
  EXPECT_EQ(check->table->descriptor.checks[0].name, "t_c_check");
}

TEST_F(BinderTest, RandomStatementsNeverCrash) {
  static constexpr const char* kTokens[] = {"a", "b", "t", "u", "c", "SELECT", "FROM", "WHERE", "(", ")", ",", "1",
                                            "'x'", "*", "=", "+", "sum", "count", "GROUP BY", "ORDER BY", "AND",
                                            "OR", "NOT", "IN", "EXISTS", "JOIN", "ON", "AS", "LIMIT", "NULL", "$1",
                                            "::int", "CASE WHEN", "THEN", "END", "UNION", "IS NULL", "t.a", "u.*"};
  uint64_t seed = 20261121;
  int bound = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string sql = "SELECT ";
    const int count = 1 + round % 5;
    for (int i = 0; i < count; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      sql += std::string(kTokens[(seed >> 33) % std::size(kTokens)]) + " ";
    }
    sql += round % 2 ? "FROM t" : "FROM t, u WHERE a = 1";
    auto parsed = Parse(sql);
    if (!parsed.ok()) continue;
    auto txn = catalog_->BeginTxn();
    bound += Bind(*txn, sql).ok();
  }
  EXPECT_GT(bound, 5);
}

}  // namespace
}  // namespace orrery::sql
