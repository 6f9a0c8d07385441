// Small pieces that string functions share: ASCII case (the C locale knows no other) and SQL
// quoting.
#pragma once

#include <string>
#include <string_view>

namespace orrery::sql {

inline char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }
inline char AsciiUpper(char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; }

// An identifier in double quotes unless it needs none (quote_ident).
std::string QuoteIdent(std::string_view name);
// A literal in single quotes; with backslashes it becomes an E'' literal (quote_literal).
std::string QuoteLiteral(std::string_view text);

}  // namespace orrery::sql
