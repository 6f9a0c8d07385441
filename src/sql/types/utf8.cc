#include "sql/types/utf8.h"

#include "orrery/sql/types/text_io.h"

namespace orrery::sql {

size_t Utf8Length(std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(Utf8CharBytes(text));
    ++count;
  }
  return count;
}

size_t Utf8Prefix(std::string_view text, size_t characters) {
  if (characters >= text.size()) return text.size();
  size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at += Utf8CharBytes(text.substr(at));
  return at;
}

uint32_t Utf8CodePoint(std::string_view c) {
  const auto byte = [&](size_t i) { return uint32_t(uint8_t(c[i])); };
  switch (c.size()) {
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    case 4:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
             (byte(3) & 0x3F);
    default:
      return byte(0);
  }
}

void AppendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out.push_back(char(c));
  } else if (c < 0x800) {
    out.push_back(char(0xC0 | c >> 6));
    out.push_back(char(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(char(0xE0 | c >> 12));
    out.push_back(char(0x80 | (c >> 6 & 0x3F)));
    out.push_back(char(0x80 | (c & 0x3F)));
  } else {
    out.push_back(char(0xF0 | c >> 18));
    out.push_back(char(0x80 | (c >> 12 & 0x3F)));
    out.push_back(char(0x80 | (c >> 6 & 0x3F)));
    out.push_back(char(0x80 | (c & 0x3F)));
  }
}

bool IsValidText(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto c = uint8_t(text[i]);
    if (c == 0) return false;
    if (c < 0x80) {
      ++i;
      continue;
    }
    const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || i + n > text.size()) return false;
    for (size_t k = 1; k < n; ++k) {
      if ((uint8_t(text[i + k]) & 0xC0) != 0x80) return false;
    }
    const uint32_t point = Utf8CodePoint(text.substr(i, n));
    if ((n == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) ||
        (n == 4 && (point < 0x10000 || point > 0x10FFFF))) {
      return false;
    }
    i += n;
  }
  return true;
}

}  // namespace orrery::sql
