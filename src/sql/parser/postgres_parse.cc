// Calls libpg_query. Its state is thread-local and its longjmp stays inside: between enter and exit no C++
// object with a destructor is in a frame of the library.
#include "sql/parser/postgres_tree.h"

extern "C" {
#include "pg_query.h"
// From libpg_query's pg_query_internal.h, which cannot be included from C++.
typedef struct {
  ::List* tree;
  char* stderr_buffer;
  PgQueryError* error;
} PgQueryInternalParsetreeAndError;
PgQueryInternalParsetreeAndError pg_query_raw_parse(const char* input);
MemoryContext pg_query_enter_memory_context(void);
void pg_query_exit_memory_context(MemoryContext context);
void pg_query_free_error(PgQueryError* error);
}

namespace orrery::sql {

namespace {

// The library's state for one parse.
class RawTree {
 public:
  explicit RawTree(const char* query) : context_(pg_query_enter_memory_context()), result_(pg_query_raw_parse(query)) {}
  ~RawTree() {
    if (result_.error) pg_query_free_error(result_.error);
    free(result_.stderr_buffer);
    pg_query_exit_memory_context(context_);
  }
  RawTree(const RawTree&) = delete;
  RawTree& operator=(const RawTree&) = delete;

  const PgQueryError* error() const { return result_.error; }
  const ::List* statements() const { return result_.tree; }

 private:
  MemoryContext context_;
  PgQueryInternalParsetreeAndError result_;
};

// PostgreSQL 15 since its minor release 15.5 quotes the whole word after a number, not its first letter only.
std::string WithWholeWord(std::string message, std::string_view query, int position) {
  constexpr std::string_view kStart = "trailing junk after ";
  if (!message.starts_with(kStart) || !message.ends_with('"') || position <= 0) return message;
  size_t at = 0;
  for (int character = 1; character < position && at < query.size(); ++character) {
    do ++at;
    while (at < query.size() && (query[at] & 0xC0) == 0x80);
  }
  const auto in_word = [&](size_t i) {
    const unsigned char c = static_cast<unsigned char>(query[i]);
    return c >= 0x80 || c == '_' || c == '$' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  };
  const size_t quote = message.find('"');
  size_t end = at + (message.size() - quote - 2);
  while (end < query.size() && in_word(end)) ++end;
  return message.substr(0, quote + 1) + std::string(query.substr(at, end - at)) + '"';
}

Status ToStatus(const PgQueryError& error, std::string_view query) {
  const std::string message = WithWholeWord(Text(error.message), query, error.cursorpos);
  if (message.find("memory exhausted") != std::string::npos || message.find("stack depth") != std::string::npos)
    return Status(Code::kResourceExhausted, "54001", "stack depth limit exceeded")
        .WithHint("Nest expressions and subqueries less deeply.");
  if (message.find("out of memory") != std::string::npos)
    return Status(Code::kResourceExhausted, "53200", message);
  std::string_view state = "42601";
  if (message.find("encoding") != std::string::npos || message.find("invalid byte") != std::string::npos)
    state = "22021";
  if (message.find("escape") != std::string::npos && message.find("Unicode") != std::string::npos) state = "22025";
  return Status(Code::kInvalidArgument, state, message).WithPosition(error.cursorpos > 0 ? error.cursorpos : 0);
}

Status CheckQuery(std::string_view query, const ParserLimits& limits) {
  if (query.size() > limits.query_bytes_max)
    return Status(Code::kResourceExhausted, "54000",
                  "query of " + std::to_string(query.size()) + " bytes exceeds the limit of " +
                      std::to_string(limits.query_bytes_max) + " bytes");
  if (query.find('\0') != std::string_view::npos)
    return Status(Code::kInvalidArgument, "22021", "invalid byte sequence for encoding \"UTF8\": 0x00");
  return OkStatus();
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void SetSpan(const ::RawStmt* raw, ParsedStatement& out) {
  const std::string& text = *out.source;
  size_t begin = raw->stmt_location > 0 ? size_t(raw->stmt_location) : 0;
  if (begin > text.size()) begin = text.size();
  size_t end = raw->stmt_len > 0 ? begin + size_t(raw->stmt_len) : text.size();
  if (end > text.size()) end = text.size();
  while (begin < end && IsBlank(text[begin])) ++begin;
  while (end > begin && (IsBlank(text[end - 1]) || text[end - 1] == ';')) --end;
  out.begin = begin;
  out.size = end - begin;
}

// Nested statements speak of the same source.
void ShareSource(ParsedStatement& statement) {
  const auto share = [&](const ParsedStatement& nested) {
    auto& target = const_cast<ParsedStatement&>(nested);  // not yet published
    target.source = statement.source;
    target.begin = statement.begin;
    target.size = statement.size;
    ShareSource(target);
  };
  if (auto* explain = std::get_if<ParsedExplain>(&statement.node)) share(*explain->statement);
  if (auto* prepare = std::get_if<ParsedPrepare>(&statement.node)) share(*prepare->statement);
  if (auto* cursor = std::get_if<ParsedDeclareCursor>(&statement.node)) share(*cursor->query);
}

}  // namespace

StatusOr<std::vector<ParsedStatement>> Parse(std::string_view query, const ParserLimits& limits) {
  RETURN_IF_ERROR(CheckQuery(query, limits));
  auto source = std::make_shared<const std::string>(query);
  RawTree raw(source->c_str());
  if (raw.error()) return ToStatus(*raw.error(), *source);
  std::vector<ParsedStatement> out;
  for (int i = 0; i < list_length(raw.statements()); ++i) {
    const auto* statement = static_cast<const ::RawStmt*>(list_nth(raw.statements(), i));
    PostgresTree tree(*source, limits);
    ParsedStatement& parsed = out.emplace_back();
    parsed.source = source;
    SetSpan(statement, parsed);
    parsed.node = tree.Statement(statement->stmt);
    parsed.parameter_count = tree.parameter_count();
    ShareSource(parsed);
    // Errors of the text itself end the whole query string; what we do not support, only its statement.
    if (!tree.status().ok() && tree.status().code() != Code::kUnimplemented) return tree.status();
  }
  return out;
}

StatusOr<ParsedExprPtr> ParseExpression(std::string_view text, const ParserLimits& limits) {
  const std::string query = "SELECT " + std::string(text);
  ASSIGN_OR_RETURN(std::vector<ParsedStatement> statements, Parse(query, limits));
  auto* select = statements.size() == 1 ? std::get_if<ParsedSelectPtr>(&statements[0].node) : nullptr;
  if (!select || (*select)->targets.size() != 1 || !(*select)->from.empty())
    return Status(Code::kInvalidArgument, "42601", "not an expression: " + std::string(text));
  return std::move((*select)->targets[0].expr);
}

}  // namespace orrery::sql
