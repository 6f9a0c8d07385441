// The regexp_ functions that count and find, and SIMILAR TO: PostgreSQL documentation, section 9.7.
#include <optional>

#include "orrery/sql/types/array.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/patterns.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

// Where the groups of a match are; data() is null for one that took no part.
struct Match {
  std::vector<re2::StringPiece> groups;
};

// What regexp_count, regexp_instr and regexp_substr share: a text, a compiled pattern, and where
// to start. Matches do not overlap; an empty one is followed by a search one character further.
class Search {
 public:
  // `start` counts characters from 1. The error texts name `function`.
  static StatusOr<Search> Make(const EvalContext& context, std::string_view function,
                               std::string_view text, std::string_view pattern, int64_t start,
                               std::string_view flags) {
    RETURN_IF_ERROR(CheckPositive("start", start));
    if (flags.find('g') != std::string_view::npos) {
      return InvalidParameter(std::string(function) + " does not support the \"global\" option");
    }
    Search search;
    ASSIGN_OR_RETURN(search.pattern_, CompilePattern(context, pattern, flags));
    search.text_ = text;
    search.at_ = size_t(start - 1) > Utf8Length(text) ? text.size() + 1
                                                      : Utf8Prefix(text, size_t(start - 1));
    return search;
  }
  static Status CheckPositive(std::string_view name, int64_t value) {
    if (value > 0) return OkStatus();
    return BadValue(name, value);
  }
  static Status BadValue(std::string_view name, int64_t value) {
    return InvalidParameter("invalid value for parameter \"" + std::string(name) +
                            "\": " + std::to_string(value));
  }

  int group_count() const { return pattern_->NumberOfCapturingGroups(); }

  bool Next(Match& match) {
    match.groups.assign(size_t(group_count()) + 1, {});
    if (at_ > text_.size()) return false;
    const re2::StringPiece text(text_.data(), text_.size());
    if (!pattern_->Match(text, at_, text_.size(), re2::RE2::UNANCHORED, match.groups.data(),
                         int(match.groups.size()))) {
      return false;
    }
    const re2::StringPiece& whole = match.groups[0];
    at_ = size_t(whole.data() - text_.data()) + whole.size();
    if (whole.empty()) at_ += at_ < text_.size() ? Utf8CharBytes(text_.substr(at_)) : 1;
    return true;
  }
  // The n-th match, counted from 1.
  bool Nth(int64_t n, Match& match) {
    for (int64_t i = 0; i < n; ++i) {
      if (!Next(match)) return false;
    }
    return true;
  }
  // 1-based position of a byte of the text in characters.
  int64_t PositionOf(const char* byte) const {
    return int64_t(Utf8Length(text_.substr(0, size_t(byte - text_.data())))) + 1;
  }

 private:
  Search() = default;
  std::shared_ptr<const re2::RE2> pattern_;
  std::string_view text_;
  size_t at_ = 0;
};

std::string_view TextOr(Args a, size_t i, std::string_view otherwise) {
  return i < a.size() ? a[i].as_bytes() : otherwise;
}
int64_t IntOr(Args a, size_t i, int64_t otherwise) {
  return i < a.size() ? a[i].as_int() : otherwise;
}

Status RegexpCount(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(Search search, Search::Make(c, "regexp_count()", a[0].as_bytes(),
                                               a[1].as_bytes(), IntOr(a, 2, 1), TextOr(a, 3, "")));
  int64_t count = 0;
  for (Match match; search.Next(match);) ++count;
  *out = Datum::Int(count);
  return OkStatus();
}

// regexp_match: the groups of the first match, or the whole of it where there are none.
Status RegexpMatch(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(Search search,
                   Search::Make(c, "regexp_match()", a[0].as_bytes(), a[1].as_bytes(), 1, TextOr(a, 2, "")));
  *out = Datum();
  Match match;
  if (!search.Next(match)) return OkStatus();
  std::vector<Datum> groups;
  for (size_t i = search.group_count() == 0 ? 0 : 1; i < match.groups.size(); ++i) {
    const re2::StringPiece& group = match.groups[i];
    groups.push_back(group.data() == nullptr ? Datum() : Datum::Bytes({group.data(), group.size()}));
  }
  *out = Array::OfList(oid::kText, std::move(groups)).Pack();
  return OkStatus();
}

// regexp_split_to_array: empty matches at the ends of the text or right behind a match do not split.
Status RegexpSplit(EvalContext& c, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  ASSIGN_OR_RETURN(Search search,
                   Search::Make(c, "regexp_split_to_array()", text, a[1].as_bytes(), 1, TextOr(a, 2, "")));
  std::vector<Datum> parts;
  size_t begin = 0;
  for (Match match; search.Next(match);) {
    const size_t at = size_t(match.groups[0].data() - text.data());
    const size_t end = at + match.groups[0].size();
    if (end == at && (at == begin || at == text.size())) continue;
    parts.push_back(Datum::Bytes(text.substr(begin, at - begin)));
    begin = end;
  }
  parts.push_back(Datum::Bytes(text.substr(begin)));
  *out = Array::OfList(oid::kText, std::move(parts)).Pack();
  return OkStatus();
}

// The group that a call asks for, null if there is no such match. Group 1 of a pattern without
// groups is the whole match.
StatusOr<const char*> FindGroup(Search& search, int64_t n, int64_t group, re2::StringPiece& found) {
  Match match;
  if (group > std::max(search.group_count(), 1) || !search.Nth(n, match)) return nullptr;
  found = match.groups[search.group_count() == 0 ? 0 : size_t(group)];
  return found.data();
}

Status RegexpInstr(EvalContext& c, Args a, Datum* out) {
  const int64_t start = IntOr(a, 2, 1);
  const int64_t n = IntOr(a, 3, 1);
  const int64_t end_option = IntOr(a, 4, 0);
  const int64_t group = IntOr(a, 6, 0);
  RETURN_IF_ERROR(Search::CheckPositive("start", start));
  RETURN_IF_ERROR(Search::CheckPositive("n", n));
  if (end_option != 0 && end_option != 1) return Search::BadValue("endoption", end_option);
  if (group < 0) return Search::BadValue("subexpr", group);
  ASSIGN_OR_RETURN(Search search, Search::Make(c, "regexp_instr()", a[0].as_bytes(),
                                               a[1].as_bytes(), start, TextOr(a, 5, "")));
  re2::StringPiece found;
  ASSIGN_OR_RETURN(const char* const begin, FindGroup(search, n, group, found));
  *out = Datum::Int(
      begin == nullptr ? 0 : search.PositionOf(end_option == 1 ? begin + found.size() : begin));
  return OkStatus();
}

Status RegexpSubstr(EvalContext& c, Args a, Datum* out) {
  const int64_t start = IntOr(a, 2, 1);
  const int64_t n = IntOr(a, 3, 1);
  const int64_t group = IntOr(a, 5, 0);
  RETURN_IF_ERROR(Search::CheckPositive("start", start));
  RETURN_IF_ERROR(Search::CheckPositive("n", n));
  if (group < 0) return Search::BadValue("subexpr", group);
  ASSIGN_OR_RETURN(Search search, Search::Make(c, "regexp_substr()", a[0].as_bytes(),
                                               a[1].as_bytes(), start, TextOr(a, 4, "")));
  re2::StringPiece found;
  ASSIGN_OR_RETURN(const char* const begin, FindGroup(search, n, group, found));
  *out = begin == nullptr ? Datum() : Datum::Bytes({found.data(), found.size()});
  return OkStatus();
}

// A pattern of SIMILAR TO as a regular expression. Up to two escaped double quotes part it in
// three, of which the middle becomes the group that substring() returns.
class SimilarTranslator {
 public:
  // No escape: no character escapes.
  explicit SimilarTranslator(std::string_view escape) : escape_(escape) {}

  StatusOr<std::string> Translate(std::string_view pattern) {
    out_ = "^(?:";
    while (!pattern.empty()) {
      const std::string_view c = pattern.substr(0, Utf8CharBytes(pattern));
      pattern.remove_prefix(c.size());
      RETURN_IF_ERROR(Character(c));
    }
    out_ += ")$";
    return std::move(out_);
  }

 private:
  Status Character(std::string_view c) {
    if (escaped_) {
      escaped_ = false;
      if (c == "\"" && !in_class_) return Quote();
      out_ += c.size() == 1 ? "\\" : "";
      out_ += c;
    } else if (!escape_.empty() && c == escape_) {
      escaped_ = true;
    } else if (in_class_) {
      if (c == "\\") out_ += '\\';
      out_ += c;
      if (c == "]") in_class_ = false;
    } else {
      Plain(c);
    }
    return OkStatus();
  }

  void Plain(std::string_view c) {
    if (c == "%") {
      out_ += ".*";
    } else if (c == "_") {
      out_ += '.';
    } else if (c == "(") {
      out_ += "(?:";
    } else {
      if (c == "\\" || c == "." || c == "^" || c == "$") out_ += '\\';
      in_class_ = c == "[";
      out_ += c;
    }
  }

  Status Quote() {
    if (quotes_ == 2) {
      return Status(Code::kInvalidArgument, "2200C",
                    "SQL regular expression may not contain more than two escape-double-quote "
                    "separators");
    }
    // {1,1}? makes the parts before and between shy, as the standard wants them.
    out_ += quotes_++ == 0 ? "){1,1}?(" : "){1,1}(?:";
    return OkStatus();
  }

  std::string_view escape_;
  std::string out_;
  bool escaped_ = false;
  bool in_class_ = false;
  int quotes_ = 0;
};

StatusOr<std::string> TranslateSimilar(std::string_view pattern, std::string_view escape) {
  if (Utf8Length(escape) > 1) {
    return Status(Code::kInvalidArgument, "22025", "invalid escape string")
        .WithHint("Escape string must be empty or one character.");
  }
  return SimilarTranslator(escape).Translate(pattern);
}

// similar_to_escape, and similar_escape of older queries, which takes NULL as the usual escape.
Status SimilarToEscape(EvalContext&, Args a, Datum* out) {
  *out = Datum();
  if (a[0].is_null()) return OkStatus();
  const bool has_escape = a.size() > 1 && !a[1].is_null();
  ASSIGN_OR_RETURN(const std::string pattern,
                   TranslateSimilar(a[0].as_bytes(), has_escape ? a[1].as_bytes() : "\\"));
  *out = Datum::Bytes(pattern);
  return OkStatus();
}

// substring(text from pattern for escape).
Status SubstringSimilar(EvalContext& c, Args a, Datum* out) {
  ASSIGN_OR_RETURN(const std::string similar, TranslateSimilar(a[1].as_bytes(), a[2].as_bytes()));
  ASSIGN_OR_RETURN(Search search, Search::Make(c, "substring()", a[0].as_bytes(), similar, 1, ""));
  Match match;
  *out = Datum();
  if (!search.Next(match)) return OkStatus();
  const re2::StringPiece& part = match.groups[match.groups.size() > 1 ? 1 : 0];
  if (part.data() != nullptr) *out = Datum::Bytes({part.data(), part.size()});
  return OkStatus();
}

}  // namespace

void RegisterRegexpFunctions(EvaluatorTable& table) {
  for (const char* suffix : {"", "_no_start", "_no_flags"}) {
    table.Add("regexp_count" + std::string(suffix), &RegexpCount);
  }
  for (const char* suffix :
       {"", "_no_start", "_no_n", "_no_endoption", "_no_flags", "_no_subexpr"}) {
    table.Add("regexp_instr" + std::string(suffix), &RegexpInstr);
  }
  for (const char* suffix : {"", "_no_start", "_no_n", "_no_flags", "_no_subexpr"}) {
    table.Add("regexp_substr" + std::string(suffix), &RegexpSubstr);
  }
  for (const auto suffix : {"", "_no_flags"}) {
    table.Add("regexp_match" + std::string(suffix), &RegexpMatch);
    table.Add("regexp_split_to_array" + std::string(suffix), &RegexpSplit);
  }
  table.Add("similar_to_escape_1", &SimilarToEscape);
  table.Add("similar_to_escape_2", &SimilarToEscape);
  table.Add("similar_escape", &SimilarToEscape);
  table.Add("sql_substring_2074", &SubstringSimilar);
}

}  // namespace orrery::sql
