#include "orrery/sql/parser/parser.h"

#include <random>

#include <gtest/gtest.h>

namespace orrery::sql {
namespace {

std::vector<ParsedStatement> MustParse(std::string_view text) {
  auto parsed = Parse(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.status().ToString();
  return parsed.ok() ? std::move(*parsed) : std::vector<ParsedStatement>();
}

// One statement of each kind, with its command tag: a package update that changes node layouts shows here.
TEST(ParserTest, OneStatementOfEachKind) {
  const std::pair<const char*, const char*> kCases[] = {
      {"SELECT DISTINCT ON (a) a, t.b AS x, t.* FROM s.t AS t(a, b) WHERE a = 1 AND b IS NOT NULL ORDER BY a DESC "
       "NULLS LAST LIMIT 3 OFFSET 1 FOR UPDATE OF t SKIP LOCKED", "SELECT"},
      {"WITH c(x) AS (SELECT 1) SELECT count(*) FILTER (WHERE x > 0), sum(DISTINCT x) FROM c GROUP BY x HAVING true",
       "SELECT"},
      {"SELECT 1 UNION ALL (SELECT 2 EXCEPT SELECT 3) ORDER BY 1", "SELECT"},
      {"VALUES (1, 'a'), (2, DEFAULT)", "SELECT"},
      {"SELECT * FROM a JOIN b USING (x) LEFT JOIN c ON a.y = c.y CROSS JOIN d NATURAL JOIN e, LATERAL (SELECT 1) f, "
       "generate_series(1, 3) WITH ORDINALITY AS g(i, n)", "SELECT"},
      {"SELECT CASE a WHEN 1 THEN 2 ELSE 3 END, CASE WHEN b THEN 1 END, coalesce(a, 1), nullif(a, b), greatest(a, b), "
       "a IN (1, 2), a NOT BETWEEN 1 AND 2, a LIKE 'x%' ESCAPE '!', a IS DISTINCT FROM b, b IS NOT TRUE, "
       "EXISTS (SELECT 1), a = ANY (SELECT 1), a <> ALL (SELECT 1), (a, b) = (1, 2), ARRAY[1, 2], a::int4, "
       "CAST(a AS numeric(10, 2)), current_date, localtimestamp(3), a COLLATE \"C\", $1, -a, 'x', 1.5, NULL, TRUE",
       "SELECT"},
      {"INSERT INTO t (a, b) VALUES ($1, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b > 1 "
       "RETURNING *", "INSERT"},
      {"INSERT INTO t DEFAULT VALUES", "INSERT"},
      {"UPDATE t AS x SET a = 1, (b, c) = (2, 3) FROM u WHERE x.i = u.i RETURNING x.a", "UPDATE"},
      {"DELETE FROM t USING u WHERE t.i = u.i", "DELETE"},
      {"CREATE TABLE IF NOT EXISTS s.t (a int PRIMARY KEY, b varchar(10) NOT NULL DEFAULT 'x' CHECK (b <> ''), "
       "CONSTRAINT k CHECK (a > 0)) WITH (fillfactor = 90)", "CREATE TABLE"},
      {"DROP TABLE IF EXISTS a, s.b CASCADE", "DROP TABLE"},
      {"TRUNCATE a, b", "TRUNCATE TABLE"},
      {"ALTER TABLE t ADD PRIMARY KEY (a), ADD COLUMN x int DEFAULT 1, DROP COLUMN IF EXISTS y, "
       "ALTER COLUMN z SET NOT NULL", "ALTER TABLE"},
      {"ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE"},
      {"COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER)", "COPY"},
      {"COPY (SELECT 1) TO STDOUT", "COPY"},
      {"EXPLAIN (ANALYZE, COSTS off) SELECT 1", "EXPLAIN"},
      {"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN"},
      {"START TRANSACTION READ ONLY", "START TRANSACTION"},
      {"END", "COMMIT"},
      {"ABORT", "ROLLBACK"},
      {"SAVEPOINT a", "SAVEPOINT"},
      {"RELEASE a", "RELEASE"},
      {"ROLLBACK TO a", "ROLLBACK"},
      {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET"},
      {"SET LOCAL work_mem = '4MB'", "SET"},
      {"RESET ALL", "RESET"},
      {"SHOW TIME ZONE", "SHOW"},
      {"PREPARE p (int) AS SELECT $1", "PREPARE"},
      {"EXECUTE p (1)", "EXECUTE"},
      {"DEALLOCATE ALL", "DEALLOCATE ALL"},
      {"DECLARE c CURSOR FOR SELECT 1", "DECLARE CURSOR"},
      {"FETCH FORWARD 5 FROM c", "FETCH"},
      {"CLOSE c", "CLOSE CURSOR"},
      {"VACUUM ANALYZE t", "VACUUM"},
      {"ANALYZE", "ANALYZE"},
      {"DISCARD ALL", "DISCARD ALL"},
      {"CHECKPOINT", "CHECKPOINT"},
  };
  for (const auto& [text, command] : kCases) {
    const auto parsed = MustParse(text);
    ASSERT_EQ(parsed.size(), 1u) << text;
    const auto* unsupported = std::get_if<ParsedUnsupported>(&parsed[0].node);
    EXPECT_EQ(CommandName(parsed[0].node), command)
        << text << (unsupported ? unsupported->status.ToString() : "");
    EXPECT_EQ(parsed[0].text(), text);
  }
}

TEST(ParserTest, UnsupportedConstructsAreNamed) {
  const std::pair<const char*, const char*> kCases[] = {
      {"CREATE INDEX i ON t (a)", "CREATE INDEX"},
      {"CREATE TABLE t (a int UNIQUE)", "UNIQUE"},
      {"CREATE TABLE t (a int REFERENCES u)", "FOREIGN KEY"},
      {"SELECT sum(a) OVER (ORDER BY a GROUPS 1 PRECEDING) FROM t", "GROUPS"},
      {"WITH RECURSIVE c AS (SELECT 1) SELECT * FROM c", "WITH RECURSIVE"},
      {"LISTEN x", "LISTEN"},
      {"SELECT 1 ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES", "WITH TIES"},
  };
  for (const auto& [text, construct] : kCases) {
    const auto parsed = MustParse(text);
    ASSERT_EQ(parsed.size(), 1u);
    const auto* unsupported = std::get_if<ParsedUnsupported>(&parsed[0].node);
    ASSERT_NE(unsupported, nullptr) << text;
    EXPECT_EQ(unsupported->status.sqlstate(), "0A000");
    EXPECT_NE(unsupported->status.message().find(construct), std::string_view::npos)
        << unsupported->status.ToString();
  }
}

TEST(ParserTest, SplitsStatementsAndKeepsTheirText) {
  const auto parsed = MustParse("  select 1 ;; begin;\n insert into t values ('a;b') ; ");
  ASSERT_EQ(parsed.size(), 3u);
  EXPECT_EQ(parsed[0].text(), "select 1");
  EXPECT_EQ(parsed[1].text(), "begin");
  EXPECT_EQ(parsed[2].text(), "insert into t values ('a;b')");
  EXPECT_TRUE(MustParse("").empty());
  EXPECT_TRUE(MustParse(" -- nothing\n;").empty());
}

TEST(ParserTest, CountsParameters) {
  EXPECT_EQ(MustParse("SELECT $1 + $3")[0].parameter_count, 3);
  EXPECT_EQ(MustParse("SELECT 1")[0].parameter_count, 0);
  EXPECT_EQ(Parse("SELECT $0").status().sqlstate(), "42P02");
}

// The positions psql's caret needs count characters, not bytes.
TEST(ParserTest, SyntaxErrorsHaveMessageAndPosition) {
  const auto plain = Parse("SELEC 1");
  EXPECT_EQ(plain.status().sqlstate(), "42601");
  EXPECT_EQ(plain.status().message(), "syntax error at or near \"SELEC\"");
  EXPECT_EQ(plain.status().fields().position, 1);
  EXPECT_EQ(Parse("SELECT 'é' FORM t x").status().fields().position, 17);
  EXPECT_EQ(Parse("SELECT (1").status().message(), "syntax error at end of input");
}

TEST(ParserTest, LimitsLengthAndNesting) {
  EXPECT_EQ(Parse("SELECT 1", {.query_bytes_max = 4}).status().sqlstate(), "54000");
  const std::string parentheses = "SELECT " + std::string(100'000, '(') + "1" + std::string(100'000, ')');
  EXPECT_EQ(Parse(parentheses).status().sqlstate(), "54001");
  std::string chain = "SELECT 1";
  for (int i = 0; i < 100'000; ++i) chain += "+1";
  EXPECT_EQ(Parse(chain).status().sqlstate(), "54001");
  std::string flat = "SELECT true";
  for (int i = 0; i < 10'000; ++i) flat += " AND true";
  EXPECT_TRUE(Parse(flat).ok());  // one AND of many arguments is not deep
  std::string unions = "SELECT 1";
  for (int i = 0; i < 20'000; ++i) unions += " UNION SELECT 1";
  EXPECT_EQ(Parse(unions).status().sqlstate(), "54001");
  std::string explains;
  for (int i = 0; i < 500; ++i) explains += "SELECT (";
  EXPECT_FALSE(Parse(explains).ok());
  EXPECT_EQ(Parse(std::string_view("SELECT \0 1", 10)).status().sqlstate(), "22021");
}

TEST(ParserTest, RandomTokensNeverCrash) {
  static constexpr const char* kTokens[] = {
      "SELECT", "FROM", "WHERE", "(", ")", ",", "1", "'x'", "t", "a.b", "*", "=", "+", "CASE", "WHEN", "THEN", "END",
      "INSERT", "INTO", "VALUES", "UPDATE", "SET", "DELETE", "CREATE", "TABLE", "int", "PRIMARY", "KEY", "NOT", "NULL",
      "JOIN", "ON", "LEFT", "GROUP", "BY", "ORDER", "LIMIT", "$1", "::", "[", "]", ";", "WITH", "AS", "UNION", "IN",
      "EXISTS", "ANY", "DISTINCT", "COPY", "STDIN", "BEGIN", "ALTER", "ADD", "COLUMN", "DEFAULT", "ROW", "ARRAY"};
  std::mt19937_64 random(20261121);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = random() % 2 ? "SELECT " : "";
    const int count = 1 + int(random() % 12);
    for (int i = 0; i < count; ++i) text += std::string(kTokens[random() % std::size(kTokens)]) + " ";
    const auto parsed = Parse(text);
    accepted += parsed.ok();
    EXPECT_EQ(parsed.status().sqlstate().size(), 5u);
  }
  EXPECT_GT(accepted, 100);
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = char(random());
    (void)Parse(bytes).ok();
  }
}

TEST(ParserTest, QuotesIdentifiersThatNeedIt) {
  EXPECT_EQ(QuoteIdentifier("abc_1"), "abc_1");
  EXPECT_EQ(QuoteIdentifier("Abc"), "\"Abc\"");
  EXPECT_EQ(QuoteIdentifier("select"), "\"select\"");
  EXPECT_EQ(QuoteIdentifier("a\"b"), "\"a\"\"b\"");
}

TEST(ParserTest, ParsesLoneExpressions) {
  const auto expr = ParseExpression("a > 0 AND b <> ''");
  ASSERT_TRUE(expr.ok());
  EXPECT_EQ((*expr)->kind, ParsedExpr::Kind::kAnd);
  EXPECT_FALSE(ParseExpression("a, b").ok());
  EXPECT_FALSE(ParseExpression("1 FROM t").ok());
}

}  // namespace
}  // namespace orrery::sql
