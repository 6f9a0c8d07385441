#include "sql/types/utf8.h"

#include <cstring>
#include <string>

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

namespace {
// The offset of the first byte that is not of well-formed text; text.size() if there is none.
size_t FirstInvalid(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  size_t i = 0;
  while (i < text.size()) {
    uint64_t word = 0;
    if (i + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + i, sizeof word);
      // Eight characters of ASCII, none of them zero.
      if (((word | (word - kOnes)) & kHighs) == 0) {
        i += sizeof word;
        continue;
      }
    }
    const auto c = uint8_t(text[i]);
    if (c == 0) return i;
    if (c < 0x80) {
      ++i;
      continue;
    }
    const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || i + n > text.size()) return i;
    for (size_t k = 1; k < n; ++k) {
      if ((uint8_t(text[i + k]) & 0xC0) != 0x80) return i;
    }
    const uint32_t point = Utf8CodePoint(text.substr(i, n));
    if ((n == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) ||
        (n == 4 && (point < 0x10000 || point > 0x10FFFF))) {
      return i;
    }
    i += n;
  }
  return i;
}
}  // namespace

bool IsValidText(std::string_view text) { return FirstInvalid(text) == text.size(); }

Status CheckText(std::string_view text) {
  const size_t at = FirstInvalid(text);
  if (at == text.size()) return OkStatus();
  const auto first = uint8_t(text[at]);
  const size_t length = first >= 0xF8 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
  std::string message = "invalid byte sequence for encoding \"UTF8\":";
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text.substr(at, length)) {
    message += " 0x";
    message += kHex[uint8_t(c) >> 4];
    message += kHex[uint8_t(c) & 15];
  }
  return Status(Code::kInvalidArgument, "22021", message);
}

}  // namespace orrery::sql
