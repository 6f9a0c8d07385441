#include "sql/types/scalar_io.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <type_traits>

#include "sql/types/errors.h"

namespace orrery::sql {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != b[i]) return false;
  }
  return true;
}

// `text` is a prefix of `word` of at least `least` characters.
bool Abbreviates(std::string_view text, std::string_view word, size_t least) {
  return text.size() >= least && text.size() <= word.size() &&
         EqualsIgnoringCase(text, word.substr(0, text.size()));
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

template <class F>
StatusOr<double> ParseFloatAs(std::string_view text, std::string_view type_name) {
  const std::string_view trimmed = TrimSpace(text);
  std::string_view body = trimmed;
  bool negative = false;
  if (!body.empty() && (body[0] == '+' || body[0] == '-')) {
    negative = body[0] == '-';
    body.remove_prefix(1);
  }
  if (EqualsIgnoringCase(trimmed, "nan")) return std::numeric_limits<F>::quiet_NaN();
  if (EqualsIgnoringCase(body, "infinity") || EqualsIgnoringCase(body, "inf")) {
    return negative ? -std::numeric_limits<F>::infinity() : std::numeric_limits<F>::infinity();
  }
  if (body.empty() || !(IsDigit(body[0]) || body[0] == '.')) return BadSyntax(type_name, text);
  auto format = std::chars_format::general;
  if (body.size() > 2 && body[0] == '0' && Lower(body[1]) == 'x') {
    body.remove_prefix(2);
    format = std::chars_format::hex;
  }
  F value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value, format);
  if (error == std::errc::result_out_of_range) {
    return Status(
        Code::kOutOfRange, "22003",
        "\"" + std::string(trimmed) + "\" is out of range for type " + std::string(type_name));
  }
  if (error != std::errc() || end != body.data() + body.size()) return BadSyntax(type_name, text);
  return double(negative ? -value : value);
}

// True if the digits lie exactly between `value` and a neighbour: they read back by the rule of ties
// only, which PostgreSQL does not rely on.
template <class F>
bool IsHalfway(std::string_view digits, F value) {
  using Wide = std::conditional_t<std::is_same_v<F, float>, double, long double>;
  constexpr F kWholeFrom = F(uint64_t{1} << std::numeric_limits<F>::digits);
  if (std::fabs(value) < kWholeFrom) return false;  // smaller ones have too many digits
  Wide read = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), read);
  const Wide exact = value;
  if (read == exact) return false;
  const F infinity = std::numeric_limits<F>::infinity();
  const F neighbour = std::nextafter(value, read > exact ? infinity : -infinity);
  return read == exact + (Wide(neighbour) - exact) / 2;
}

// Lays out shortest digits as PostgreSQL does: plain from 1e-4 up to `plain_digits` digits, else
// with an exponent.
template <class F>
void AppendShortest(F value, int plain_digits, std::string& out) {
  char buffer[64];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, size_t(result.ptr - buffer));
  while (IsHalfway(text, value)) {
    const size_t point = text.find('.');
    const size_t after = point == std::string_view::npos ? 0 : text.find('e') - point - 1;
    const int size = std::snprintf(buffer, sizeof buffer, "%.*e", int(after) + 1, double(value));
    text = {buffer, size_t(size)};
  }
  if (text[0] == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  int exponent = 0;
  const size_t sign = text[e + 1] == '+' ? 1 : 0;
  std::from_chars(text.data() + e + 1 + sign, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= plain_digits) {
    out += text;
    return;
  }
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  if (exponent < 0) {
    out += "0.";
    out.append(size_t(-exponent - 1), '0');
    out += digits;
    return;
  }
  const auto whole = size_t(exponent) + 1;
  if (digits.size() <= whole) {
    out += digits;
    out.append(whole - digits.size(), '0');
  } else {
    out += digits.substr(0, whole) + "." + digits.substr(whole);
  }
}

template <class F>
void AppendFloatAs(F value, int extra_digits, int decimal_digits, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
  } else if (extra_digits > 0) {
    AppendShortest(value, decimal_digits, out);
  } else {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.*g", std::max(1, decimal_digits + extra_digits),
                  double(value));
    out += buffer;
  }
}

}  // namespace

std::string_view TrimSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

StatusOr<bool> ParseBool(std::string_view text) {
  const std::string_view t = TrimSpace(text);
  if (Abbreviates(t, "true", 1) || Abbreviates(t, "yes", 1) || EqualsIgnoringCase(t, "on") ||
      t == "1") {
    return true;
  }
  if (Abbreviates(t, "false", 1) || Abbreviates(t, "no", 1) || Abbreviates(t, "off", 2) ||
      t == "0") {
    return false;
  }
  return BadSyntax("boolean", text);
}

StatusOr<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max,
                               std::string_view type_name) {
  std::string_view t = TrimSpace(text);
  if (!t.empty() && t[0] == '+') {
    t.remove_prefix(1);
    if (t.empty() || !IsDigit(t[0])) return BadSyntax(type_name, text);
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), value);
  if (error == std::errc::invalid_argument) return BadSyntax(type_name, text);
  // PostgreSQL reads left to right: too many digits are noticed before a bad character.
  if (error == std::errc::result_out_of_range || value < min || value > max) {
    return ValueOutOfRange(type_name, text);
  }
  if (end != t.data() + t.size()) return BadSyntax(type_name, text);
  return value;
}

StatusOr<int64_t> ParseOid(std::string_view text) {
  auto parsed = ParseInteger(text, std::numeric_limits<int32_t>::min(),
                             std::numeric_limits<uint32_t>::max(), "oid");
  if (!parsed.ok()) return parsed;
  return int64_t(uint32_t(*parsed));
}

StatusOr<double> ParseFloat(std::string_view text, Oid type) {
  return type == oid::kFloat4 ? ParseFloatAs<float>(text, "real")
                              : ParseFloatAs<double>(text, "double precision");
}

StatusOr<std::string> DecodeHex(std::string_view digits) {
  std::string bytes;
  bytes.reserve(digits.size() / 2);
  size_t i = 0;
  while (i < digits.size()) {
    const char c = digits[i++];
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    const int high = HexDigit(c);
    if (high < 0)
      return InvalidParameter("invalid hexadecimal digit: \"" + std::string(1, c) + "\"");
    if (i >= digits.size()) {
      return InvalidParameter("invalid hexadecimal data: odd number of digits");
    }
    const int low = HexDigit(digits[i++]);
    if (low < 0) {
      return InvalidParameter("invalid hexadecimal digit: \"" + std::string(1, digits[i - 1]) +
                              "\"");
    }
    bytes.push_back(char(high << 4 | low));
  }
  return bytes;
}

StatusOr<std::string> ParseBytea(std::string_view text) {
  if (text.starts_with("\\x")) return DecodeHex(text.substr(2));
  const Status bad(Code::kInvalidArgument, "22P02", "invalid input syntax for type bytea");
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(text[i]);
    } else if (i + 1 < text.size() && text[i + 1] == '\\') {
      bytes.push_back('\\');
      ++i;
    } else {
      if (i + 3 >= text.size()) return bad;
      int value = 0;
      for (size_t k = 1; k <= 3; ++k) {
        const char c = text[i + k];
        if (c < '0' || c > (k == 1 ? '3' : '7')) return bad;
        value = value * 8 + (c - '0');
      }
      bytes.push_back(char(value));
      i += 3;
    }
  }
  return bytes;
}

StatusOr<std::string> ParseUuid(std::string_view text) {
  std::string_view t = text;
  const bool braces = !t.empty() && t[0] == '{';
  if (braces) t.remove_prefix(1);
  std::string bytes;
  for (int i = 0; i < 16; ++i) {
    if (t.size() < 2) return BadSyntax("uuid", text);
    const int high = HexDigit(t[0]);
    const int low = HexDigit(t[1]);
    if (high < 0 || low < 0) return BadSyntax("uuid", text);
    bytes.push_back(char(high << 4 | low));
    t.remove_prefix(2);
    if (!t.empty() && t[0] == '-' && i % 2 == 1 && i < 15) t.remove_prefix(1);
  }
  if (t != (braces ? "}" : "")) return BadSyntax("uuid", text);
  return bytes;
}

void AppendFloat8(double value, int extra_digits, std::string& out) {
  AppendFloatAs(value, extra_digits, std::numeric_limits<double>::digits10, out);
}
void AppendFloat4(float value, int extra_digits, std::string& out) {
  AppendFloatAs(value, extra_digits, std::numeric_limits<float>::digits10, out);
}

void AppendByteaHex(std::string_view bytes, std::string& out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    out.push_back(kDigits[uint8_t(c) >> 4]);
    out.push_back(kDigits[uint8_t(c) & 15]);
  }
}

void AppendByteaEscape(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    const auto b = uint8_t(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (b < 0x20 || b > 0x7E) {
      out.push_back('\\');
      out.push_back(char('0' + (b >> 6)));
      out.push_back(char('0' + (b >> 3 & 7)));
      out.push_back(char('0' + (b & 7)));
    } else {
      out.push_back(c);
    }
  }
}

void AppendUuid(std::string_view bytes, std::string& out) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    AppendByteaHex(bytes.substr(i, 1), out);
  }
}

}  // namespace orrery::sql
