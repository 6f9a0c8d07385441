// LIKE, ILIKE, ~ and the regexp_ functions: PostgreSQL documentation, section 9.7.
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/patterns.h"
#include "sql/types/string_helpers.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

constexpr size_t kCachedPatternsMax = 64;

Status BadEscape() {
  return Status(Code::kInvalidArgument, "22025", "LIKE pattern must not end with escape character");
}

// Greedy matching with one point of return per '%': linear in practice, quadratic at worst.
template <char (*kFold)(char)>
StatusOr<bool> Like(std::string_view text, std::string_view pattern) {
  size_t t = 0;
  size_t p = 0;
  size_t retry_text = 0;
  size_t retry_pattern = std::string_view::npos;
  while (true) {
    if (p < pattern.size() && pattern[p] == '%') {
      retry_pattern = ++p;
      retry_text = t;
      continue;
    }
    bool matched = false;
    if (p >= pattern.size()) {
      if (t >= text.size()) return true;
    } else if (t < text.size() && pattern[p] == '_') {
      t += Utf8CharBytes(text.substr(t));
      ++p;
      matched = true;
    } else {
      size_t literal = p;
      if (t < text.size() && pattern[p] == '\\' && ++literal >= pattern.size()) {
        return BadEscape();
      }
      if (t < text.size() && kFold(text[t]) == kFold(pattern[literal])) {
        ++t;
        p = literal + 1;
        matched = true;
      }
    }
    if (matched) continue;
    if (retry_pattern == std::string_view::npos || retry_text >= text.size()) return false;
    retry_text += Utf8CharBytes(text.substr(retry_text));
    t = retry_text;
    p = retry_pattern;
  }
}

char Identity(char c) { return c; }

enum class Sense { kMatch, kNoMatch };
using LikeFunction = StatusOr<bool> (*)(std::string_view, std::string_view);
template <LikeFunction kLike, Sense kSense>
Status EvaluateLike(EvalContext&, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const bool matched, kLike(a[0].as_bytes(), a[1].as_bytes()));
  *out = Datum::Bool(matched == (kSense == Sense::kMatch));
  return OkStatus();
}

enum class Case { kSensitive, kInsensitive };
template <Case kCase, Sense kSense>
Status EvaluateRegex(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const auto pattern, CompilePattern(c, a[1].as_bytes(),
                                                      kCase == Case::kInsensitive ? "i" : ""));
  const std::string_view text = a[0].as_bytes();
  const bool matched = re2::RE2::PartialMatch({text.data(), text.size()}, *pattern);
  *out = Datum::Bool(matched == (kSense == Sense::kMatch));
  return OkStatus();
}

// What is wrong with a pattern, in PostgreSQL's words.
std::string_view PatternFault(const re2::RE2& pattern) {
  switch (pattern.error_code()) {
    case re2::RE2::ErrorMissingParen:
    case re2::RE2::ErrorUnexpectedParen:
      return "parentheses () not balanced";
    case re2::RE2::ErrorMissingBracket:
      return "brackets [] not balanced";
    case re2::RE2::ErrorRepeatArgument:
    case re2::RE2::ErrorRepeatOp:
      return "quantifier operand invalid";
    case re2::RE2::ErrorRepeatSize:
      return "invalid repetition count(s)";
    case re2::RE2::ErrorBadEscape:
    case re2::RE2::ErrorTrailingBackslash:
      return "invalid escape \\ sequence";
    case re2::RE2::ErrorBadCharRange:
      return "invalid character range";
    case re2::RE2::ErrorBadCharClass:
      return "invalid character class";
    default:
      return pattern.error();
  }
}

// Options that change what '.', '^' and '$' mean, and the letters that RE2 writes otherwise.
Status TranslatePattern(std::string_view pattern, std::string_view flags, std::string& out) {
  bool ignore_case = false;
  bool newline = false;
  for (const char f : flags) {
    switch (f) {
      case 'i':
        ignore_case = true;
        break;
      case 'c':
        ignore_case = false;
        break;
      case 'n':
      case 'm':
        newline = true;
        break;
      case 's':
        newline = false;
        break;
      case 'g':
        break;
      default:
        return InvalidParameter("invalid regular expression option: \"" + std::string(1, f) +
                                "\"");
    }
  }
  // PostgreSQL's '.' matches a newline unless 'n' is given.
  out = ignore_case ? "(?i" : "(?";
  out += newline ? "m)" : "s)";
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = pattern.substr(i);
    if (rest.starts_with("\\m") || rest.starts_with("\\M") || rest.starts_with("\\y")) {
      out += "\\b";  // word boundaries
      ++i;
    } else if (rest.starts_with("\\Y")) {
      out += "\\B";
      ++i;
    } else if (rest.starts_with("\\Z")) {
      out += "\\z";
      ++i;
    } else if (rest.size() > 1 && rest[0] == '\\') {
      if (rest[1] >= '1' && rest[1] <= '9') {
        return UnsupportedError("back-reference in a regular expression");
      }
      out += rest.substr(0, 2);
      ++i;
    } else if (rest.starts_with("(?=") || rest.starts_with("(?!") || rest.starts_with("(?<")) {
      return UnsupportedError("look-around in a regular expression");
    } else {
      out += rest[0];
    }
  }
  return OkStatus();
}

// Appends the replacement, with \1…\9 and \& standing for parts of the match.
void AppendReplacement(std::string_view replacement, const re2::StringPiece* groups, int count,
                       std::string& out) {
  for (size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '\\' || i + 1 >= replacement.size()) {
      out += replacement[i];
      continue;
    }
    const char c = replacement[++i];
    if (c == '&') {
      out.append(groups[0].data(), groups[0].size());
    } else if (c >= '1' && c <= '9') {
      if (c - '0' < count && groups[c - '0'].data() != nullptr) {
        out.append(groups[c - '0'].data(), groups[c - '0'].size());
      }
    } else if (c == '\\') {
      out += '\\';
    } else {
      out += '\\';
      out += c;
    }
  }
}

Status RegexpReplace(EvalContext& c, Args a, Datum* out) {
  const std::string_view flags = a.size() > 3 ? a[3].as_bytes() : "";
  if (!flags.empty() && flags[0] >= '0' && flags[0] <= '9') {
    return InvalidParameter("invalid regular expression option: \"" + std::string(1, flags[0]) +
                            "\"");
  }
  ASSIGN_OR_RETURN(const auto pattern, CompilePattern(c, a[1].as_bytes(), flags));
  const bool global = flags.find('g') != std::string_view::npos;
  const re2::StringPiece text(a[0].as_bytes().data(), a[0].as_bytes().size());
  re2::StringPiece groups[10];
  const int count = std::min(pattern->NumberOfCapturingGroups() + 1, 10);
  std::string result;
  size_t at = 0;
  size_t copied = 0;
  while (at <= text.size() &&
         pattern->Match(text, at, text.size(), re2::RE2::UNANCHORED, groups, count)) {
    const auto start = size_t(groups[0].data() - text.data());
    result.append(text.data() + copied, start - copied);
    AppendReplacement(a[2].as_bytes(), groups, count, result);
    copied = start + groups[0].size();
    if (!global) break;
    at = copied;
    if (groups[0].empty()) {  // step over a character so that an empty match ends
      if (at >= text.size()) break;
      const size_t n = Utf8CharBytes({text.data() + at, text.size() - at});
      result.append(text.data() + at, n);
      at += n;
      copied = at;
    }
  }
  result.append(text.data() + copied, text.size() - copied);
  *out = Datum::Bytes(result);
  return OkStatus();
}

// substring(text from pattern): the first group if there is one, else the match.
Status RegexpSubstring(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const auto pattern, CompilePattern(c, a[1].as_bytes(), ""));
  const re2::StringPiece text(a[0].as_bytes().data(), a[0].as_bytes().size());
  re2::StringPiece groups[2];
  const int count = pattern->NumberOfCapturingGroups() > 0 ? 2 : 1;
  *out = Datum();
  if (pattern->Match(text, 0, text.size(), re2::RE2::UNANCHORED, groups, count) &&
      groups[count - 1].data() != nullptr) {
    *out = Datum::Bytes({groups[count - 1].data(), groups[count - 1].size()});
  }
  return OkStatus();
}

Status RegexpLike(EvalContext& c, Args a, Datum* out) {
  const std::string_view flags = a.size() > 2 ? a[2].as_bytes() : "";
  if (flags.find('g') != std::string_view::npos) {
    return InvalidParameter("regexp_like() does not support the \"global\" option");
  }
  ASSIGN_OR_RETURN(const auto pattern, CompilePattern(c, a[1].as_bytes(), flags));
  const std::string_view text = a[0].as_bytes();
  *out = Datum::Bool(re2::RE2::PartialMatch({text.data(), text.size()}, *pattern));
  return OkStatus();
}

// like_escape: the pattern rewritten to use '\' instead of another escape character.
Status LikeEscape(EvalContext&, Args a, Datum* out) {
  const std::string_view pattern = a[0].as_bytes();
  const std::string_view escape = a[1].as_bytes();
  if (Utf8Length(escape) > 1) {
    return Status(Code::kInvalidArgument, "22025", "invalid escape string")
        .WithHint("Escape string must be empty or one character.");
  }
  std::string result;
  for (size_t i = 0; i < pattern.size();) {
    if (!escape.empty() && pattern.substr(i).starts_with(escape)) {
      result += '\\';
      i += escape.size();
      if (i < pattern.size()) result += pattern[i++];
    } else {
      if (pattern[i] == '\\') result += '\\';
      result += pattern[i++];
    }
  }
  *out = Datum::Bytes(result);
  return OkStatus();
}

}  // namespace

StatusOr<bool> MatchLike(std::string_view text, std::string_view pattern) {
  return Like<Identity>(text, pattern);
}
StatusOr<bool> MatchLikeIgnoringCase(std::string_view text, std::string_view pattern) {
  return Like<AsciiLower>(text, pattern);
}

StatusOr<std::shared_ptr<const re2::RE2>> CompilePattern(const EvalContext& context,
                                                         std::string_view pattern,
                                                         std::string_view flags) {
  std::string translated;
  RETURN_IF_ERROR(TranslatePattern(pattern, flags, translated));
  if (context.cache != nullptr) {
    const auto& known = context.cache->rep().patterns;
    if (const auto it = known.find(translated); it != known.end()) return it->second;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(translated, options);
  if (!compiled->ok()) {
    return Status(Code::kInvalidArgument, "2201B",
                  "invalid regular expression: " + std::string(PatternFault(*compiled)));
  }
  if (context.cache != nullptr) {
    auto& known = context.cache->rep().patterns;
    if (known.size() >= kCachedPatternsMax) known.clear();
    known.emplace(translated, compiled);
  }
  return compiled;
}

void RegisterPatternFunctions(EvaluatorTable& table) {
  for (const char* prefix : {"text", "bpchar", "name", "bytea"}) {
    const std::string p(prefix);
    table.Add(p + "like", &EvaluateLike<&MatchLike, Sense::kMatch>);
    table.Add(p + "nlike", &EvaluateLike<&MatchLike, Sense::kNoMatch>);
    if (p == "bytea") continue;
    table.Add(p + "iclike", &EvaluateLike<&MatchLikeIgnoringCase, Sense::kMatch>);
    table.Add(p + "icnlike", &EvaluateLike<&MatchLikeIgnoringCase, Sense::kNoMatch>);
    table.Add(p + "regexeq", &EvaluateRegex<Case::kSensitive, Sense::kMatch>);
    table.Add(p + "regexne", &EvaluateRegex<Case::kSensitive, Sense::kNoMatch>);
    table.Add(p + "icregexeq", &EvaluateRegex<Case::kInsensitive, Sense::kMatch>);
    table.Add(p + "icregexne", &EvaluateRegex<Case::kInsensitive, Sense::kNoMatch>);
  }
  table.Add("like_escape", &LikeEscape);
  table.Add("textregexreplace", &RegexpReplace);
  table.Add("textregexreplace_noopt", &RegexpReplace);
  table.Add("textregexsubstr", &RegexpSubstring);
  table.Add("regexp_like", &RegexpLike);
  table.Add("regexp_like_no_flags", &RegexpLike);
}

}  // namespace orrery::sql
