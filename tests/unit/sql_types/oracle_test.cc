// Every answer in testdata/*.tsv was given by a PostgreSQL 15 server
// (tools/generate_sql_expectations.py): ours must be the same, errors with their SQLSTATE and text
// included.
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "orrery/sql/types/aggregates.h"
#include "orrery/sql/types/eval_cache.h"
#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

StatusOr<std::string> ReadZone(std::string_view name) {
  std::ifstream file("/usr/share/zoneinfo/" + std::string(name), std::ios::binary);
  if (!file) return NotFoundError(name);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file) return NotFoundError(name);
  return bytes.str();
}

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'p' ? '|' : c;
  }
  return out;
}

std::vector<std::string> Split(const std::string& text, char delimiter) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, delimiter);) parts.push_back(part);
  if (!text.empty() && text.back() == delimiter) parts.push_back("");
  return parts;
}

Type ParseType(const std::string& spelling) {
  const std::map<std::string, int32_t> fields = {
      {"year", 4},          {"month", 2},
      {"day", 8},           {"hour", 1024},
      {"minute", 2048},     {"second", 4096},
      {"year to month", 6}, {"day to second", 8 | 1024 | 2048 | 4096}};
  if (spelling == "\"char\"") return {oid::kChar, -1};
  if (spelling.starts_with("interval ")) {
    const int32_t mask = fields.at(spelling.substr(9));
    return {oid::kInterval, *MakeTypmod(oid::kInterval, {&mask, 1})};
  }
  std::string name = spelling.substr(0, spelling.find('('));
  if (name == "char") name = "bpchar";
  const TypeInfo* const info = FindTypeByName(name);
  EXPECT_NE(info, nullptr) << spelling;
  Type type{info->oid, -1};
  if (const size_t open = spelling.find('('); open != std::string::npos) {
    std::vector<int32_t> modifiers;
    for (const std::string& m : Split(spelling.substr(open + 1, spelling.size() - open - 2), ',')) {
      modifiers.push_back(std::stoi(m));
    }
    type.typmod = *MakeTypmod(type.oid, modifiers);
  }
  return type;
}

struct Value {
  Oid type = 0;
  Datum datum;
};

class OracleTest : public testing::TestWithParam<const char*> {
 protected:
  OracleTest() : catalog_(BuildFunctionCatalog()), zones_(ReadZone) {
    context_.cache = &cache_;
    context_.format.time_zones = &zones_;
    context_.format.time_zone = *zones_.Find("America/New_York");
  }

  StatusOr<Value> Cast(const Value& value, Type target, CastContext how) {
    ASSIGN_OR_RETURN(const CastPath path, FindCast(*catalog_, value.type, target, how));
    Value out{target.oid, {}};
    RETURN_IF_ERROR(EvaluateCast(context_, path, value.datum, &out.datum));
    return out;
  }

  StatusOr<Value> Literal(const std::string& text) {
    const size_t blank = text.starts_with("interval year to month") ? 22
                         : text.starts_with("timestamp with")       ? std::string::npos
                                                                    : text.find(' ');
    const Type type = ParseType(text.substr(0, blank));
    const std::string value = text.substr(blank + 1);
    if (value == "\\N") return Value{type.oid, Datum()};
    const Value literal{oid::kUnknown, Datum::Bytes(Unescape(value))};
    if (type.oid == oid::kUnknown) return literal;
    return Cast(literal, type, CastContext::kExplicit);
  }

  StatusOr<Value> Call(const Function& f, std::span<const Oid> types, std::vector<Value> args) {
    std::vector<Datum> datums;
    std::vector<Oid> actual;
    for (size_t i = 0; i < args.size(); ++i) {
      ASSIGN_OR_RETURN(const Value v, Cast(args[i], {types[i], -1}, CastContext::kImplicit));
      datums.push_back(v.datum);
      actual.push_back(v.type);
    }
    Value out{f.result, {}};
    if (f.strict) {
      for (const Datum& d : datums) {
        if (d.is_null()) return out;
      }
    }
    context_.argument_types = actual;
    RETURN_IF_ERROR(f.evaluate(context_, datums, &out.datum));
    out.datum = out.datum.Owned();
    return out;
  }

  StatusOr<Value> Aggregated(const std::string& name, const std::vector<Value>& rows) {
    std::vector<Oid> types = {rows[0].type};
    if (name == "string_agg") types.push_back(oid::kUnknown);
    ASSIGN_OR_RETURN(const ResolvedFunction r, ResolveFunction(*catalog_, name, types));
    const Aggregate& aggregate = *r.function->aggregate;
    // Two partial states, one of them saved and loaded, must give what one state would.
    std::vector<uint64_t> memory[3];
    for (auto& m : memory) m.resize(aggregate.state_bytes() / 8);
    aggregate.Init(memory[0].data());
    aggregate.Init(memory[1].data());
    Status status;
    for (size_t i = 0; i < rows.size() && status.ok(); ++i) {
      auto value = Cast(rows[i], {r.argument_types[0], -1}, CastContext::kImplicit);
      if (!value.ok()) return value;
      std::vector<Datum> args;  // not from an initialiser list: GCC 12 then warns of array bounds at -O2
      args.push_back(value->datum);
      if (name == "string_agg") args.push_back(Datum::Bytes(", "));
      status = aggregate.Update(context_, memory[i < rows.size() / 2 ? 0 : 1].data(), args);
    }
    std::string saved;
    aggregate.Save(memory[1].data(), saved);
    EXPECT_TRUE(aggregate.Load(saved, memory[2].data()).ok());
    if (status.ok()) status = aggregate.Merge(context_, memory[0].data(), memory[2].data());
    Value out{r.function->result, {}};
    if (status.ok()) status = aggregate.Final(context_, memory[0].data(), &out.datum);
    for (auto& m : memory) aggregate.Destroy(m.data());
    if (!status.ok()) return status;
    return out;
  }

  StatusOr<Value> Evaluate(const std::string& kind, std::string name,
                           const std::vector<Value>& args) {
    std::vector<Oid> types;
    for (const Value& v : args) types.push_back(v.type);
    if (kind == "cast") return Cast(args[0], ParseType(name), CastContext::kExplicit);
    if (kind == "agg") return Aggregated(name, args);
    if (kind == "op") {
      ASSIGN_OR_RETURN(const ResolvedOperator r,
                       ResolveOperator(*catalog_, name, args.size() == 1 ? oid::kInvalid : types[0],
                                       types.back()));
      std::vector<Oid> wanted;
      if (args.size() == 2) wanted.push_back(r.left);
      wanted.push_back(r.right);
      return Call(*r.op->function, wanted, args);
    }
    if (name.starts_with("pg_catalog.")) name = name.substr(11);
    ASSIGN_OR_RETURN(const ResolvedFunction r, ResolveFunction(*catalog_, name, types));
    return Call(*r.function, r.argument_types, args);
  }

  // "type<TAB>text" or "!SQLSTATE<TAB>message".
  std::string Answer(const std::vector<std::string>& fields) {
    std::vector<Value> args;
    Status failed;
    if (!fields[2].empty()) {
      for (const std::string& text : Split(fields[2], '|')) {
        auto literal = Literal(text);
        if (!literal.ok()) {
          failed = literal.status();
          break;
        }
        args.push_back(*literal);
      }
    }
    StatusOr<Value> value = failed.ok() ? Evaluate(fields[0], fields[1], args) : failed;
    if (value.ok() && value->datum.is_null()) {
      return std::string(TypeName(value->type)) + "\t\\N";
    }
    const Oid type = value.ok() ? value->type : 0;
    if (value.ok()) value = Cast(*value, {oid::kText, -1}, CastContext::kExplicit);
    if (!value.ok()) {
      return "!" + std::string(value.status().sqlstate()) + "\t" +
             std::string(value.status().message());
    }
    return std::string(TypeName(type)) + "\t" + std::string(value->datum.as_bytes());
  }

  EvalCache cache_;
  std::shared_ptr<const FunctionCatalog> catalog_;
  TimeZoneDatabase zones_;
  EvalContext context_;
};

// Differences go to the file named by ORRERY_DIFFERENCES, if any: what to look at, or to list as
// known.
std::ofstream* DifferenceLog() {
  static const char* const path = std::getenv("ORRERY_DIFFERENCES");
  static std::ofstream log(path == nullptr ? "" : path);
  return path == nullptr ? nullptr : &log;
}

TEST_P(OracleTest, AgreesWithPostgres) {
  std::ifstream file(std::string(ORRERY_TESTDATA) + "/" + GetParam());
  ASSERT_TRUE(file) << GetParam();
  std::ifstream known_file(std::string(ORRERY_TESTDATA) + "/known_differences.txt");
  std::set<std::string> known;
  for (std::string line; std::getline(known_file, line);) known.insert(line);
  int cases = 0;
  int wrong = 0;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = Split(line, '\t');
    ASSERT_EQ(fields.size(), 5u) << line;
    ++cases;
    const std::string expected =
        fields[3] + "\t" + (fields[4] == "\\N" ? fields[4] : Unescape(fields[4]));
    const std::string answer = Answer(fields);
    const std::string question = fields[0] + "\t" + fields[1] + "\t" + fields[2];
    if (known.contains(question)) {
      EXPECT_NE(answer, expected) << "no longer a difference: " << question;
      continue;
    }
    if (answer == expected) continue;
    ++wrong;
    if (std::ofstream* log = DifferenceLog()) *log << question << "\n";
    if (wrong <= 60) {
      ADD_FAILURE() << fields[0] << " " << fields[1] << " (" << fields[2]
                    << ")\n  PostgreSQL: " << expected << "\n  ours:       " << answer;
    }
  }
  EXPECT_GT(cases, 100);
  EXPECT_EQ(wrong, 0) << "of " << cases;
}

INSTANTIATE_TEST_SUITE_P(Tables, OracleTest,
                         testing::Values("numeric.tsv", "scalar.tsv", "string.tsv", "datetime.tsv",
                                         "aggregate.tsv", "formatting.tsv",
                                         "further.tsv"));

}  // namespace
}  // namespace orrery::sql
