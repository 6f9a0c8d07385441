// The packed form of numerics (docs/formats/rows.md), read without unpacking: comparison and
// hashing of rows' values. All but IsValidPacked require a valid form.
//
//   head   2 bytes  bits 15–14: 0 positive or zero, 1 negative, 2 special; bits 13–0: display
//   scale, or which special weight 2 bytes  signed, only if there are digits digits 2 bytes each,
//   0…9999, first and last not 0
// All little-endian, as in memory on the machines we run on.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace orrery::sql {

static_assert(std::endian::native == std::endian::little, "packed numerics are little-endian");

inline constexpr uint16_t kPackedNegative = 1 << 14;
inline constexpr uint16_t kPackedSpecial = 2 << 14;
inline constexpr uint16_t kPackedSignMask = 3 << 14;
inline constexpr uint16_t kPackedScaleMask = 0x3FFF;
inline constexpr uint16_t kPackedNan = kPackedSpecial | 0;
inline constexpr uint16_t kPackedPositiveInfinity = kPackedSpecial | 1;
inline constexpr uint16_t kPackedNegativeInfinity = kPackedSpecial | 2;

inline uint16_t PackedWord(std::string_view packed, size_t index) {
  uint16_t word;
  std::memcpy(&word, packed.data() + 2 * index, 2);
  return word;
}
inline uint16_t PackedHead(std::string_view packed) { return PackedWord(packed, 0); }
inline int PackedWeight(std::string_view packed) {
  return packed.size() > 2 ? int16_t(PackedWord(packed, 1)) : 0;
}
inline size_t PackedDigitCount(std::string_view packed) {
  return packed.size() > 4 ? packed.size() / 2 - 2 : 0;
}
inline int PackedDigit(std::string_view packed, size_t index) {
  return PackedWord(packed, index + 2);
}

std::strong_ordering ComparePacked(std::string_view a, std::string_view b);
// False if the value is not an integer of 64 bits.
bool PackedToInt64(std::string_view packed, int64_t& value);
// The form with display scale 0: equal values give equal bytes.
std::string PackedWithoutScale(std::string_view packed);

// Order-preserving form, without its column marker (docs/formats/rows.md).
void AppendNumericKey(std::string& out, std::string_view packed, uint8_t mask);
// False if malformed. The display scale becomes the least one that shows all digits.
bool ReadNumericKey(std::string_view& in, std::string& packed, uint8_t mask);
// The display scale that ReadNumericKey gives.
int PackedMinScale(std::string_view packed);

}  // namespace orrery::sql
