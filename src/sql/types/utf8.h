// UTF-8 by characters. Works on any bytes: a byte that starts no well-formed character counts as
// one character.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::sql {

// Bytes of the character that starts at text[0]; at least 1. Precondition: text is not empty.
inline size_t Utf8CharBytes(std::string_view text) {
  const auto c = uint8_t(text[0]);
  if (c < 0x80) [[likely]]
    return 1;
  const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
  return n <= text.size() ? n : text.size();
}
// Number of characters.
size_t Utf8Length(std::string_view text);
// Bytes of the first `characters` characters; text.size() if there are fewer.
size_t Utf8Prefix(std::string_view text, size_t characters);
// The code point of a well-formed character.
uint32_t Utf8CodePoint(std::string_view character);
void AppendUtf8(std::string& out, uint32_t code_point);

}  // namespace orrery::sql
