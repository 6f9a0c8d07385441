#include "orrery/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace orrery {

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}
uint32_t Checksum32(std::string_view bytes) { return uint32_t(Hash64(bytes)); }

std::string HexEncode(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out.push_back(kDigits[uint8_t(c) >> 4]);
    out.push_back(kDigits[uint8_t(c) & 15]);
  }
  return out;
}

std::string Printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (c >= 0x20 && c < 0x7F && c != '\\') {
      out.push_back(c);
    } else {
      out += "\\x";
      out += HexEncode(std::string_view(&c, 1));
    }
  }
  return out;
}

}  // namespace orrery
