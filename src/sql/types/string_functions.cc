// Functions on text, char(n) and name: PostgreSQL documentation section 9.4.
#include <algorithm>
#include <string>

#include "orrery/sql/types/text_io.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"
#include "sql/types/string_helpers.h"
#include "sql/types/utf8.h"
#include "sql/types/value_order.h"

namespace orrery::sql {
namespace {

constexpr size_t kTextBytesMax = 0x3FFFFFFF;  // PostgreSQL's limit of one value, 1 GB

Status TooLong() { return Status(Code::kResourceExhausted, "54000", "requested length too large"); }

Status SetText(std::string_view text, Datum* out) {
  *out = Datum::Bytes(text);
  return OkStatus();
}
// A result that is a piece of an argument need not be copied when it is long.
Status SetPiece(const Datum& source, std::string_view piece, Datum* out) {
  *out = source.heap_bytes() == 0 && piece.size() > Datum::kInlineBytesMax && source.borrows()
             ? Datum::Borrowed(piece)
             : Datum::Bytes(piece);
  return OkStatus();
}

template <class F>
Status MapText(Args a, Datum* out, F&& map) {
  std::string text(a[0].as_bytes());
  map(text);
  return SetText(text, out);
}

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Status Initcap(EvalContext&, Args a, Datum* out) {
  return MapText(a, out, [](std::string& text) {
    bool inside = false;
    for (char& c : text) {
      c = inside ? AsciiLower(c) : AsciiUpper(c);
      inside = IsAlnum(c);
    }
  });
}

// substring(text from start for length); length < 0 was refused by the caller.
Status Substring(const Datum& source, int64_t start, int64_t end, Datum* out) {
  std::string_view text = source.as_bytes();
  const int64_t from = std::max<int64_t>(start, 1);
  if (end <= from) return SetText("", out);
  text.remove_prefix(Utf8Prefix(text, size_t(from - 1)));
  return SetPiece(source, text.substr(0, Utf8Prefix(text, size_t(end - from))), out);
}

Status SubstringFor(EvalContext&, Args a, Datum* out) {
  if (a[2].as_int() < 0) {
    return Status(Code::kInvalidArgument, "22011", "negative substring length not allowed");
  }
  return Substring(a[0], a[1].as_int(), a[1].as_int() + a[2].as_int(), out);
}

Status Position(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  const size_t at = text.find(a[1].as_bytes());
  *out = Datum::Int(at == std::string_view::npos ? 0 : int64_t(Utf8Length(text.substr(0, at))) + 1);
  return OkStatus();
}

bool Contains(std::string_view set, std::string_view character) {
  while (!set.empty()) {
    const size_t n = Utf8CharBytes(set);
    if (set.substr(0, n) == character) return true;
    set.remove_prefix(n);
  }
  return false;
}

std::string_view TrimLeft(std::string_view text, std::string_view set) {
  while (!text.empty() && Contains(set, text.substr(0, Utf8CharBytes(text)))) {
    text.remove_prefix(Utf8CharBytes(text));
  }
  return text;
}
std::string_view TrimRight(std::string_view text, std::string_view set) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (uint8_t(text[start]) & 0xC0) == 0x80) --start;
    if (!Contains(set, text.substr(start))) break;
    text = text.substr(0, start);
  }
  return text;
}
std::string_view TrimSet(Args a) { return a.size() > 1 ? a[1].as_bytes() : " "; }

Status TrimLeftOf(EvalContext&, Args a, Datum* out) {
  return SetPiece(a[0], TrimLeft(a[0].as_bytes(), TrimSet(a)), out);
}
Status TrimRightOf(EvalContext&, Args a, Datum* out) {
  return SetPiece(a[0], TrimRight(a[0].as_bytes(), TrimSet(a)), out);
}
Status TrimBoth(EvalContext&, Args a, Datum* out) {
  return SetPiece(a[0], TrimRight(TrimLeft(a[0].as_bytes(), TrimSet(a)), TrimSet(a)), out);
}

enum class Side { kLeft, kRight };
template <Side kSide>
Status Pad(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  const auto length = size_t(std::max<int64_t>(a[1].as_int(), 0));
  const std::string_view fill = a.size() > 2 ? a[2].as_bytes() : " ";
  if (length > kTextBytesMax / 4) return TooLong();
  const size_t have = Utf8Length(text);
  if (have >= length || fill.empty()) {
    return SetPiece(a[0], text.substr(0, Utf8Prefix(text, length)), out);
  }
  std::string padding;
  std::string_view rest;
  for (size_t missing = length - have; missing > 0; --missing) {
    if (rest.empty()) rest = fill;
    const size_t n = Utf8CharBytes(rest);
    padding += rest.substr(0, n);
    rest.remove_prefix(n);
  }
  return SetText(kSide == Side::kLeft ? padding + std::string(text) : std::string(text) + padding,
                 out);
}

// left(s, n) and right(s, n); a negative n means all but |n| characters.
Status Left(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  int64_t n = a[1].as_int();
  if (n < 0) n = std::max<int64_t>(int64_t(Utf8Length(text)) + n, 0);
  return SetPiece(a[0], text.substr(0, Utf8Prefix(text, size_t(n))), out);
}
Status Right(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  const auto length = int64_t(Utf8Length(text));
  const int64_t n = a[1].as_int();
  const int64_t skip = n < 0 ? std::min(-n, length) : std::max<int64_t>(length - n, 0);
  return SetPiece(a[0], text.substr(Utf8Prefix(text, size_t(skip))), out);
}

Status Repeat(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  const auto count = size_t(std::max<int64_t>(a[1].as_int(), 0));
  if (!text.empty() && count > kTextBytesMax / text.size()) return TooLong();
  std::string result;
  result.reserve(text.size() * count);
  for (size_t i = 0; i < count && !text.empty(); ++i) result += text;
  return SetText(result, out);
}

Status Replace(EvalContext&, Args a, Datum* out) {
  std::string_view text = a[0].as_bytes();
  const std::string_view from = a[1].as_bytes();
  if (from.empty()) return SetText(text, out);
  std::string result;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    result += text.substr(0, at);
    result += a[2].as_bytes();
    text.remove_prefix(at + from.size());
  }
  result += text;
  if (result.size() > kTextBytesMax) return TooLong();
  return SetText(result, out);
}

Status Reverse(EvalContext&, Args a, Datum* out) {
  std::string_view text = a[0].as_bytes();
  std::string result;
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (uint8_t(text[start]) & 0xC0) == 0x80) --start;
    result += text.substr(start);
    text = text.substr(0, start);
  }
  return SetText(result, out);
}

Status SplitPart(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  const std::string_view delimiter = a[1].as_bytes();
  const int64_t field = a[2].as_int();
  if (field == 0) return InvalidParameter("field position must not be zero");
  std::vector<std::string_view> parts;
  std::string_view rest = text;
  while (!delimiter.empty() && !text.empty()) {
    const size_t at = rest.find(delimiter);
    if (at == std::string_view::npos) break;
    parts.push_back(rest.substr(0, at));
    rest.remove_prefix(at + delimiter.size());
  }
  parts.push_back(rest);
  const auto count = int64_t(parts.size());
  const int64_t index = field > 0 ? field - 1 : count + field;
  return SetText(index >= 0 && index < count ? parts[size_t(index)] : std::string_view(), out);
}

Status Ascii(EvalContext&, Args a, Datum* out) {
  const std::string_view text = a[0].as_bytes();
  *out = Datum::Int(text.empty() ? 0 : Utf8CodePoint(text.substr(0, Utf8CharBytes(text))));
  return OkStatus();
}

Status Chr(EvalContext&, Args a, Datum* out) {
  const int64_t c = a[0].as_int();
  const auto error = [](std::string_view message) {
    return Status(Code::kOutOfRange, "54000", message);
  };
  if (c < 0) return InvalidParameter("character number must be positive");
  if (c == 0) return error("null character not permitted");
  if (c > 0x10FFFF)
    return error("requested character too large for encoding: " + std::to_string(c));
  if (c >= 0xD800 && c < 0xE000) {
    return error("requested character not valid for encoding: " + std::to_string(c));
  }
  std::string text;
  AppendUtf8(text, uint32_t(c));
  return SetText(text, out);
}

Status Translate(EvalContext&, Args a, Datum* out) {
  std::string_view text = a[0].as_bytes();
  std::string result;
  while (!text.empty()) {
    const std::string_view c = text.substr(0, Utf8CharBytes(text));
    text.remove_prefix(c.size());
    std::string_view from = a[1].as_bytes();
    std::string_view to = a[2].as_bytes();
    bool found = false;
    while (!from.empty() && !found) {
      const std::string_view f = from.substr(0, Utf8CharBytes(from));
      const std::string_view t = to.empty() ? to : to.substr(0, Utf8CharBytes(to));
      found = f == c;
      if (found) result += t;
      from.remove_prefix(f.size());
      to.remove_prefix(t.size());
    }
    if (!found) result += c;
  }
  return SetText(result, out);
}

Status OverlayAt(Args a, int64_t length, Datum* out) {
  const int64_t start = a[2].as_int();
  if (start <= 0) {
    return Status(Code::kInvalidArgument, "22011", "negative substring length not allowed");
  }
  const std::string_view text = a[0].as_bytes();
  std::string result(text.substr(0, Utf8Prefix(text, size_t(start - 1))));
  result += a[1].as_bytes();
  if (start + length <= INT32_MAX) {
    result += text.substr(Utf8Prefix(text, size_t(std::max<int64_t>(start + length - 1, 0))));
  }
  return SetText(result, out);
}

void AddComparisonFunctions(EvaluatorTable& table) {
  table.Add("texteq", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() == a[1].as_bytes());
    return OkStatus();
  });
  table.Add("textne", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() != a[1].as_bytes());
    return OkStatus();
  });
  table.Add("text_lt", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() < a[1].as_bytes());
    return OkStatus();
  });
  table.Add("text_le", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() <= a[1].as_bytes());
    return OkStatus();
  });
  table.Add("text_gt", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() > a[1].as_bytes());
    return OkStatus();
  });
  table.Add("text_ge", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes() >= a[1].as_bytes());
    return OkStatus();
  });
  table.AddComparisons<&CompareAs<oid::kBpchar>>("bpchar");
  table.AddComparisons<&CompareAs<oid::kName>>("name");
  table.AddComparisons<&CompareAs<oid::kText>>("name", "text");
  table.AddComparisons<&CompareAs<oid::kText>>("text", "name");
  table.AddLargerSmaller<&CompareAs<oid::kText>>("text_");
  table.AddLargerSmaller<&CompareAs<oid::kBpchar>>("bpchar_");
  table.AddCmp<&CompareAs<oid::kBpchar>>("bpcharcmp");
}

void AddLengthFunctions(EvaluatorTable& table) {
  table.Add("textlen", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(int64_t(Utf8Length(a[0].as_bytes())));
    return OkStatus();
  });
  table.Add("bpcharlen", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(int64_t(Utf8Length(WithoutTrailingBlanks(a[0].as_bytes()))));
    return OkStatus();
  });
  for (const char* symbol : {"textoctetlen", "bpcharoctetlen", "byteaoctetlen"}) {
    table.Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      *out = Datum::Int(int64_t(a[0].as_bytes().size()));
      return OkStatus();
    });
  }
  for (const char* symbol : {"sql_bit_length_1810", "sql_bit_length_1811"}) {
    table.Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      *out = Datum::Int(int64_t(a[0].as_bytes().size()) * 8);
      return OkStatus();
    });
  }
  table.Add("ascii", &Ascii);
  table.Add("chr", &Chr);
}

Status CutToName(EvalContext& context, Args a, Datum* out) {
  ASSIGN_OR_RETURN(
      *out, ParseText({oid::kName, -1}, WithoutTrailingBlanks(a[0].as_bytes()), context.format));
  return OkStatus();
}

void AddCasts(EvaluatorTable& table) {
  table.Add("text_name", [](EvalContext& context, Args a, Datum* out) -> Status {
    ASSIGN_OR_RETURN(*out, ParseText({oid::kName, -1}, a[0].as_bytes(), context.format));
    return OkStatus();
  });
  table.Add("bpchar_name", &CutToName);
  for (const char* symbol : {"name_text", "name_bpchar"}) {
    table.Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      *out = a[0];
      return OkStatus();
    });
  }
  table.Add("booltext", [](EvalContext&, Args a, Datum* out) -> Status {
    return SetText(a[0].as_bool() ? "true" : "false", out);
  });
  for (const char* symbol : {"char_text", "char_bpchar"}) {
    table.Add(symbol, [](EvalContext&, Args a, Datum* out) -> Status {
      const char c = char(a[0].as_int());
      return SetText(std::string_view(&c, c == 0 ? 0 : 1), out);
    });
  }
  table.Add("text_char", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(a[0].as_bytes().empty() ? 0 : uint8_t(a[0].as_bytes()[0]));
    return OkStatus();
  });
}

}  // namespace

void RegisterStringFunctions(EvaluatorTable& table) {
  AddComparisonFunctions(table);
  AddLengthFunctions(table);
  AddCasts(table);
  table.Add("textcat", [](EvalContext&, Args a, Datum* out) -> Status {
    std::string text;
    text.reserve(a[0].as_bytes().size() + a[1].as_bytes().size());
    text += a[0].as_bytes();
    text += a[1].as_bytes();
    return SetText(text, out);
  });
  table.Add("lower", [](EvalContext&, Args a, Datum* out) -> Status {
    return MapText(a, out,
                   [](std::string& t) { std::ranges::transform(t, t.begin(), AsciiLower); });
  });
  table.Add("upper", [](EvalContext&, Args a, Datum* out) -> Status {
    return MapText(a, out,
                   [](std::string& t) { std::ranges::transform(t, t.begin(), AsciiUpper); });
  });
  table.Add("initcap", &Initcap);
  table.Add("text_substr", &SubstringFor);
  table.Add("text_substr_no_len", [](EvalContext&, Args a, Datum* out) -> Status {
    return Substring(a[0], a[1].as_int(), INT64_MAX, out);
  });
  table.Add("textpos", &Position);
  for (const char* symbol : {"btrim", "btrim1"}) table.Add(symbol, &TrimBoth);
  for (const char* symbol : {"ltrim", "ltrim1"}) table.Add(symbol, &TrimLeftOf);
  for (const char* symbol : {"rtrim", "rtrim1"}) table.Add(symbol, &TrimRightOf);
  for (const char* symbol : {"lpad", "sql_lpad_879"}) table.Add(symbol, &Pad<Side::kLeft>);
  for (const char* symbol : {"rpad", "sql_rpad_880"}) table.Add(symbol, &Pad<Side::kRight>);
  table.Add("text_left", &Left);
  table.Add("text_right", &Right);
  table.Add("repeat", &Repeat);
  table.Add("replace_text", &Replace);
  table.Add("text_reverse", &Reverse);
  table.Add("split_part", &SplitPart);
  table.Add("translate", &Translate);
  table.Add("textoverlay", [](EvalContext&, Args a, Datum* out) -> Status {
    return OverlayAt(a, a[3].as_int(), out);
  });
  table.Add("textoverlay_no_len", [](EvalContext&, Args a, Datum* out) -> Status {
    return OverlayAt(a, int64_t(Utf8Length(a[1].as_bytes())), out);
  });
  table.Add("text_starts_with", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_bytes().starts_with(a[1].as_bytes()));
    return OkStatus();
  });
}

}  // namespace orrery::sql
