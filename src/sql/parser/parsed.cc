#include "orrery/sql/parser/parser.h"

namespace orrery::sql {

ParsedExpr::ParsedExpr() = default;
ParsedExpr::ParsedExpr(Kind k, int at) : kind(k), position(at) {}
ParsedExpr::~ParsedExpr() = default;

int CharacterPosition(std::string_view query, int byte_offset) {
  if (byte_offset < 0 || size_t(byte_offset) > query.size()) return 0;
  int characters = 1;
  for (int i = 0; i < byte_offset; ++i) characters += (uint8_t(query[size_t(i)]) & 0xC0) != 0x80;
  return characters;
}

namespace {
struct Namer {
  std::string_view operator()(const ParsedSelectPtr&) const { return "SELECT"; }
  std::string_view operator()(const ParsedInsert&) const { return "INSERT"; }
  std::string_view operator()(const ParsedUpdate&) const { return "UPDATE"; }
  std::string_view operator()(const ParsedDelete&) const { return "DELETE"; }
  std::string_view operator()(const ParsedCreateTable& c) const {
    return c.as_query ? "SELECT" : "CREATE TABLE";  // PostgreSQL counts the rows of CREATE TABLE AS
  }
  std::string_view operator()(const ParsedDropTable&) const { return "DROP TABLE"; }
  std::string_view operator()(const ParsedTruncate&) const { return "TRUNCATE TABLE"; }
  std::string_view operator()(const ParsedAlterTable&) const { return "ALTER TABLE"; }
  std::string_view operator()(const ParsedRename&) const { return "ALTER TABLE"; }
  std::string_view operator()(const ParsedCopy&) const { return "COPY"; }
  std::string_view operator()(const ParsedExplain&) const { return "EXPLAIN"; }
  std::string_view operator()(const ParsedTransaction& t) const {
    switch (t.kind) {
      case ParsedTransaction::Kind::kBegin: return t.start_transaction ? "START TRANSACTION" : "BEGIN";
      case ParsedTransaction::Kind::kCommit: return "COMMIT";
      case ParsedTransaction::Kind::kSavepoint: return "SAVEPOINT";
      case ParsedTransaction::Kind::kRelease: return "RELEASE";
      default: return "ROLLBACK";
    }
  }
  std::string_view operator()(const ParsedSet& s) const {
    return s.kind == ParsedSet::Kind::kReset || s.kind == ParsedSet::Kind::kResetAll ? "RESET" : "SET";
  }
  std::string_view operator()(const ParsedShow&) const { return "SHOW"; }
  std::string_view operator()(const ParsedPrepare&) const { return "PREPARE"; }
  std::string_view operator()(const ParsedExecute&) const { return "EXECUTE"; }
  std::string_view operator()(const ParsedDeallocate& d) const {
    return d.name.empty() ? "DEALLOCATE ALL" : "DEALLOCATE";
  }
  std::string_view operator()(const ParsedDeclareCursor&) const { return "DECLARE CURSOR"; }
  std::string_view operator()(const ParsedFetch& f) const { return f.move ? "MOVE" : "FETCH"; }
  std::string_view operator()(const ParsedClose& c) const {
    return c.cursor.empty() ? "CLOSE CURSOR ALL" : "CLOSE CURSOR";
  }
  std::string_view operator()(const ParsedVacuum& v) const { return v.is_vacuum ? "VACUUM" : "ANALYZE"; }
  std::string_view operator()(const ParsedDiscard& d) const {
    switch (d.kind) {
      case ParsedDiscard::Kind::kAll: return "DISCARD ALL";
      case ParsedDiscard::Kind::kPlans: return "DISCARD PLANS";
      case ParsedDiscard::Kind::kSequences: return "DISCARD SEQUENCES";
      case ParsedDiscard::Kind::kTemp: return "DISCARD TEMP";
    }
    return "DISCARD";
  }
  std::string_view operator()(const ParsedCheckpoint&) const { return "CHECKPOINT"; }
  std::string_view operator()(const ParsedUnsupported&) const { return ""; }
};
}  // namespace

std::string_view CommandName(const ParsedNode& node) { return std::visit(Namer(), node); }

std::string QuoteIdentifier(std::string_view name) {
  // Words that PostgreSQL's grammar reserves (kwlist.h: RESERVED_KEYWORD, TYPE_FUNC_NAME_KEYWORD).
  static constexpr std::string_view kReserved[] = {
      "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary",
      "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create",
      "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
      "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end",
      "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike",
      "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left",
      "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only",
      "or", "order", "outer", "overlaps", "placing", "primary", "references", "returning", "right", "select",
      "session_user", "similar", "some", "symmetric", "table", "tablesample", "then", "to", "trailing", "true",
      "union", "unique", "user", "using", "variadic", "verbose", "when", "where", "window", "with"};
  bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9') && name[0] != '$';
  for (const char c : name) plain = plain && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$');
  for (const std::string_view word : kReserved) plain = plain && name != word;
  if (plain) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

}  // namespace orrery::sql
