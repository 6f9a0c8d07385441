#include "sql/types/numeric_packed.h"

#include <algorithm>
#include <limits>

#include "orrery/base/ordered_encoding.h"
#include "orrery/sql/types/numeric.h"

namespace orrery::sql {
namespace {

constexpr int kScaleBits = 4;  // decimal digits a base-10000 digit

// First byte of the key form; also the order of the classes.
enum KeyClass : uint8_t {
  kNegativeInfinityClass = 1,
  kNegativeClass,
  kZeroClass,
  kPositiveClass,
  kPositiveInfinityClass,
  kNanClass,
};

KeyClass ClassOf(std::string_view packed) {
  switch (PackedHead(packed)) {
    case kPackedNan:
      return kNanClass;
    case kPackedPositiveInfinity:
      return kPositiveInfinityClass;
    case kPackedNegativeInfinity:
      return kNegativeInfinityClass;
  }
  if (packed.size() == 2) return kZeroClass;
  return PackedHead(packed) & kPackedNegative ? kNegativeClass : kPositiveClass;
}

std::strong_ordering CompareMagnitudes(std::string_view a, std::string_view b) {
  if (PackedWeight(a) != PackedWeight(b)) return PackedWeight(a) <=> PackedWeight(b);
  const size_t na = PackedDigitCount(a);
  const size_t nb = PackedDigitCount(b);
  for (size_t i = 0; i < std::min(na, nb); ++i) {
    if (PackedDigit(a, i) != PackedDigit(b, i)) return PackedDigit(a, i) <=> PackedDigit(b, i);
  }
  return na <=> nb;
}

void PutWord(std::string& out, uint16_t word) {
  char bytes[2];
  std::memcpy(bytes, &word, 2);
  out.append(bytes, 2);
}

}  // namespace

bool Numeric::IsValidPacked(std::string_view packed) {
  if (packed.size() < 2 || packed.size() % 2 != 0 || packed.size() == 4) return false;
  const uint16_t head = PackedHead(packed);
  if (head >= kPackedSpecial) return packed.size() == 2 && head <= kPackedNegativeInfinity;
  const size_t n = PackedDigitCount(packed);
  if (n == 0) return (head & kPackedNegative) == 0;
  for (size_t i = 0; i < n; ++i) {
    if (PackedDigit(packed, i) > 9999) return false;
  }
  // No more digits after the point than the display scale shows.
  const int after_point = (int(n) - 1 - PackedWeight(packed)) * kScaleBits;
  return PackedDigit(packed, 0) != 0 && PackedDigit(packed, n - 1) != 0 &&
         after_point - kScaleBits < int(head & kPackedScaleMask);
}

std::strong_ordering ComparePacked(std::string_view a, std::string_view b) {
  const KeyClass ca = ClassOf(a);
  const KeyClass cb = ClassOf(b);
  if (ca != cb) return ca <=> cb;
  if (ca == kPositiveClass) return CompareMagnitudes(a, b);
  if (ca == kNegativeClass) return CompareMagnitudes(b, a);
  return std::strong_ordering::equal;
}

bool PackedToInt64(std::string_view packed, int64_t& value) {
  const KeyClass c = ClassOf(packed);
  value = 0;
  if (c == kZeroClass) return true;
  if (c != kPositiveClass && c != kNegativeClass) return false;
  const int weight = PackedWeight(packed);
  const int n = int(PackedDigitCount(packed));
  if (weight < n - 1 || weight > 4) return false;
  __int128 sum = 0;
  for (int i = 0; i <= weight; ++i) sum = sum * 10000 + (i < n ? PackedDigit(packed, i) : 0);
  if (c == kNegativeClass) sum = -sum;
  if (sum < std::numeric_limits<int64_t>::min() || sum > std::numeric_limits<int64_t>::max()) {
    return false;
  }
  value = int64_t(sum);
  return true;
}

std::string PackedWithoutScale(std::string_view packed) {
  std::string result(packed);
  uint16_t head = PackedHead(packed);
  if (head < kPackedSpecial) head &= kPackedSignMask;
  std::memcpy(result.data(), &head, 2);
  return result;
}

int PackedMinScale(std::string_view packed) {
  const int n = int(PackedDigitCount(packed));
  if (n == 0) return 0;
  int scale = (n - 1 - PackedWeight(packed)) * kScaleBits;
  if (scale <= 0) return 0;
  for (int last = PackedDigit(packed, n - 1); last % 10 == 0; last /= 10) --scale;
  return scale;
}

void AppendNumericKey(std::string& out, std::string_view packed, uint8_t mask) {
  const KeyClass c = ClassOf(packed);
  out.push_back(char(c ^ mask));
  if (c != kPositiveClass && c != kNegativeClass) return;
  if (c == kNegativeClass) mask ^= 0xFF;
  ordered::AppendInt(out, PackedWeight(packed),
                     mask ? ordered::Direction::kDescending : ordered::Direction::kAscending);
  const size_t n = PackedDigitCount(packed);
  for (size_t i = 0; i <= n; ++i) {  // digits are moved up by one so that the end, 0, sorts first
    const int word = i < n ? PackedDigit(packed, i) + 1 : 0;
    out.push_back(char(uint8_t(word >> 8) ^ mask));
    out.push_back(char(uint8_t(word) ^ mask));
  }
}

bool ReadNumericKey(std::string_view& in, std::string& packed, uint8_t mask) {
  packed.clear();
  if (in.empty()) return false;
  const auto c = uint8_t(uint8_t(in.front()) ^ mask);
  in.remove_prefix(1);
  switch (c) {
    case kNanClass:
      PutWord(packed, kPackedNan);
      return true;
    case kPositiveInfinityClass:
      PutWord(packed, kPackedPositiveInfinity);
      return true;
    case kNegativeInfinityClass:
      PutWord(packed, kPackedNegativeInfinity);
      return true;
    case kZeroClass:
      PutWord(packed, 0);
      return true;
    case kNegativeClass:
      mask ^= 0xFF;
      break;
    case kPositiveClass:
      break;
    default:
      return false;
  }
  int64_t weight = 0;
  if (!ordered::ReadInt(in, weight,
                        mask ? ordered::Direction::kDescending : ordered::Direction::kAscending) ||
      weight != int16_t(weight)) {
    return false;
  }
  PutWord(packed, c == kNegativeClass ? kPackedNegative : 0);
  PutWord(packed, uint16_t(weight));
  while (true) {
    if (in.size() < 2) return false;
    const int word = uint8_t(uint8_t(in[0]) ^ mask) << 8 | uint8_t(uint8_t(in[1]) ^ mask);
    in.remove_prefix(2);
    if (word == 0) break;
    if (word > 10000) return false;
    PutWord(packed, uint16_t(word - 1));
  }
  if (PackedDigitCount(packed) == 0 || PackedDigit(packed, PackedDigitCount(packed) - 1) == 0) {
    return false;
  }
  const int scale = PackedMinScale(packed);
  if (scale > Numeric::kScaleMax) return false;
  const uint16_t head = PackedHead(packed) | uint16_t(scale);
  std::memcpy(packed.data(), &head, 2);
  return Numeric::IsValidPacked(packed);
}

}  // namespace orrery::sql
