// Hashes for checks and tables. Stable over versions and machines where the comment says so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orrery {

// XXH3-64 of the bytes: stable, used as checksum in every disk and wire format (docs/formats).
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);
// The low half of Hash64: the 4-byte checksum of values and log entries.
uint32_t Checksum32(std::string_view bytes);
// Lower-case hexadecimal, two digits a byte.
std::string HexEncode(std::string_view bytes);
// Printable form of a binary string for logs and errors: ASCII as is, the rest as \xNN.
std::string Printable(std::string_view bytes);

// Transparent hash and equality, so that tables keyed by std::string are looked up by std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return Hash64(s); }
};
struct StringEq {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

}  // namespace orrery
