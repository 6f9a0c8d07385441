// concat, format, quoting and the || operator with other types: functions whose arguments may be of
// any type.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "orrery/sql/types/text_io.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/string_helpers.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

// Key words that PostgreSQL quotes when they are used as names (all but the unreserved), sorted.
constexpr std::string_view kQuotedWords[] = {
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
};

Status SetText(std::string_view text, Datum* out) {
  *out = Datum::Bytes(text);
  return OkStatus();
}

// The value by its type's output function.
void AppendAny(const EvalContext& context, Args a, size_t i, std::string& out) {
  if (a[i].is_null()) return;
  AppendText(context.argument_types[i], a[i], context.format, out);
}
// As a cast to text has it: booleans are spelt out.
void AppendCast(const EvalContext& context, Args a, size_t i, std::string& out) {
  if (context.argument_types[i] == oid::kBool) {
    out += a[i].as_bool() ? "true" : "false";
  } else {
    AppendAny(context, a, i, out);
  }
}

Status AnyCat(EvalContext& context, Args a, Datum* out) {
  std::string text;
  AppendCast(context, a, 0, text);
  AppendCast(context, a, 1, text);
  return SetText(text, out);
}

Status Concat(EvalContext& context, Args a, Datum* out) {
  std::string text;
  for (size_t i = 0; i < a.size(); ++i) AppendAny(context, a, i, text);
  return SetText(text, out);
}

Status ConcatWithSeparator(EvalContext& context, Args a, Datum* out) {
  if (a[0].is_null()) {
    *out = Datum();
    return OkStatus();
  }
  std::string text;
  bool first = true;
  for (size_t i = 1; i < a.size(); ++i) {
    if (a[i].is_null()) continue;
    if (!first) text += a[0].as_bytes();
    first = false;
    AppendAny(context, a, i, text);
  }
  return SetText(text, out);
}

// One %-specifier of format(): %[position$][-][width]type, width a number, * or *n$.
struct FormatSpec {
  int position = 0;  // 0: the next argument
  bool left = false;
  int width = 0;
  int width_position = -1;  // −1: a number; 0: the next argument; else that argument
  char type = 0;
};

Status FormatTruncated() {
  return InvalidParameter("unterminated format() type specifier")
      .WithHint("For a single \"%\" use \"%%\".");
}

bool TakeNumber(std::string_view& in, int& number) {
  const auto [end, error] = std::from_chars(in.data(), in.data() + in.size(), number);
  if (end == in.data() || error != std::errc() || in[0] == '-') return false;
  in.remove_prefix(size_t(end - in.data()));
  return true;
}

Status ReadSpec(std::string_view& in, FormatSpec& spec) {
  int number = 0;
  if (TakeNumber(in, number)) {
    if (in.empty()) return FormatTruncated();
    if (in[0] == '$') {
      if (number == 0) {
        return InvalidParameter("format specifies argument 0, but arguments are numbered from 1");
      }
      spec.position = number;
      in.remove_prefix(1);
    } else {
      spec.width = number;
      if (in.empty()) return FormatTruncated();
      spec.type = in[0];
      in.remove_prefix(1);
      return OkStatus();
    }
  }
  while (!in.empty() && in[0] == '-') {
    spec.left = true;
    in.remove_prefix(1);
  }
  if (!in.empty() && in[0] == '*') {
    in.remove_prefix(1);
    spec.width_position = 0;
    if (TakeNumber(in, number)) {
      if (in.empty()) return FormatTruncated();
      if (in[0] != '$') {
        return InvalidParameter("width argument position must be ended by \"$\"");
      }
      if (number == 0) {
        return InvalidParameter("format specifies argument 0, but arguments are numbered from 1");
      }
      in.remove_prefix(1);
      spec.width_position = number;
    }
  } else if (TakeNumber(in, number)) {
    spec.width = number;
  }
  if (in.empty()) return FormatTruncated();
  spec.type = in[0];
  in.remove_prefix(1);
  return OkStatus();
}

void AppendPadded(std::string_view text, const FormatSpec& spec, std::string& out) {
  const size_t length = Utf8Length(text);
  const auto width = size_t(spec.width);
  if (!spec.left && length < width) out.append(width - length, ' ');
  out += text;
  if (spec.left && length < width) out.append(width - length, ' ');
}

// Finds the width if an argument gives it; `next` is the argument taken last.
Status ResolveWidth(const EvalContext& context, Args a, FormatSpec& spec, size_t& next) {
  if (spec.width_position < 0) return OkStatus();
  next = spec.width_position == 0 ? next + 1 : size_t(spec.width_position);
  if (next >= a.size()) return InvalidParameter("too few arguments for format()");
  if (!a[next].is_null()) {
    std::string text;
    AppendAny(context, a, next, text);
    ASSIGN_OR_RETURN(const Datum width, ParseText({oid::kInt4, -1}, text, context.format));
    spec.width = int(width.as_int());
  }
  if (spec.width < 0) {
    spec.left = true;
    spec.width = -spec.width;
  }
  return OkStatus();
}

Status Format(EvalContext& context, Args a, Datum* out) {
  if (a[0].is_null()) {
    *out = Datum();
    return OkStatus();
  }
  std::string_view in = a[0].as_bytes();
  std::string text;
  size_t next = 0;
  while (!in.empty()) {
    const char c = in[0];
    in.remove_prefix(1);
    if (c != '%') {
      text.push_back(c);
      continue;
    }
    if (in.empty()) return FormatTruncated();
    if (in[0] == '%') {
      text.push_back('%');
      in.remove_prefix(1);
      continue;
    }
    FormatSpec spec;
    RETURN_IF_ERROR(ReadSpec(in, spec));
    if (spec.type != 's' && spec.type != 'I' && spec.type != 'L') {
      return InvalidParameter("unrecognized format() type specifier \"" +
                              std::string(1, spec.type) + "\"")
          .WithHint("For a single \"%\" use \"%%\".");
    }
    RETURN_IF_ERROR(ResolveWidth(context, a, spec, next));
    next = spec.position > 0 ? size_t(spec.position) : next + 1;
    if (next >= a.size()) return InvalidParameter("too few arguments for format()");
    std::string value;
    if (a[next].is_null()) {
      if (spec.type == 'I') {
        return Status(Code::kInvalidArgument, "22004",
                      "null values cannot be formatted as an SQL identifier");
      }
      value = spec.type == 'L' ? "NULL" : "";
    } else {
      AppendAny(context, a, next, value);
      if (spec.type == 'I') value = QuoteIdent(value);
      if (spec.type == 'L') value = QuoteLiteral(value);
    }
    AppendPadded(value, spec, text);
  }
  return SetText(text, out);
}

template <class U>
Status ToHex(EvalContext&, Args a, Datum* out) {
  char buffer[2 * sizeof(U)];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, U(a[0].as_int()), 16).ptr;
  return SetText({buffer, size_t(end - buffer)}, out);
}

}  // namespace

std::string QuoteIdent(std::string_view name) {
  bool safe = !name.empty() && ((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_');
  std::string quoted = "\"";
  for (const char c : name) {
    safe = safe && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
    if (c == '"') quoted += '"';
    quoted += c;
  }
  if (safe && !std::ranges::binary_search(kQuotedWords, name)) return std::string(name);
  return quoted + '"';
}

std::string QuoteLiteral(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

void RegisterStringFormatFunctions(EvaluatorTable& table) {
  table.AddTyped("sql_textanycat_2003", &AnyCat);
  table.AddTyped("sql_anytextcat_2004", &AnyCat);
  table.AddTyped("text_concat", &Concat);
  table.AddTyped("text_concat_ws", &ConcatWithSeparator);
  table.AddTyped("text_format", &Format);
  table.AddTyped("text_format_nv", &Format);
  table.Add("quote_ident", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetText(QuoteIdent(a[0].as_bytes()), out);
  });
  table.Add("quote_literal", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetText(QuoteLiteral(a[0].as_bytes()), out);
  });
  table.Add("quote_nullable", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetText(a[0].is_null() ? "NULL" : QuoteLiteral(a[0].as_bytes()), out);
  });
  table.Add("to_hex32", &ToHex<uint32_t>);
  table.Add("to_hex64", &ToHex<uint64_t>);
}

}  // namespace orrery::sql
