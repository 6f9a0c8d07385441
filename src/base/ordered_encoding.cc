#include "orrery/base/ordered_encoding.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace orrery::ordered {
namespace {

uint8_t Mask(Direction d) { return d == Direction::kDescending ? 0xFF : 0x00; }

bool TakeByte(std::string_view& in, uint8_t mask, uint8_t& byte) {
  if (in.empty()) return false;
  byte = uint8_t(in.front()) ^ mask;
  in.remove_prefix(1);
  return true;
}

bool TakeBigEndian(std::string_view& in, uint8_t mask, int bytes, uint64_t& value) {
  if (in.size() < size_t(bytes)) return false;
  value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | uint8_t(uint8_t(in[i]) ^ mask);
  in.remove_prefix(bytes);
  return true;
}

void PutBigEndian(std::string& out, uint8_t mask, int bytes, uint64_t value) {
  char digits[8];
  for (int i = 0; i < bytes; ++i) digits[i] = char(uint8_t(value >> (8 * (bytes - 1 - i))) ^ mask);
  out.append(digits, size_t(bytes));
}

int SignificantBytes(uint64_t value) { return (64 - std::countl_zero(value) + 7) / 8; }

// Length bytes of signed integers: 0x80 + n for values of n significant bytes, 0x7F - n for negative ones.
constexpr uint8_t kIntZero = 0x80;
// Doubles map to unsigned integers of the same order; NaN above everything, as PostgreSQL sorts it.
uint64_t OrderedBits(double value) {
  if (std::isnan(value)) return std::numeric_limits<uint64_t>::max();
  if (value == 0) value = 0;  // -0 equals 0
  const auto bits = std::bit_cast<uint64_t>(value);
  return bits >> 63 ? ~bits : bits | uint64_t(1) << 63;
}

}  // namespace

void AppendNull(std::string& out, Direction d) { out.push_back(char(kNullMarker ^ Mask(d))); }
void AppendNotNull(std::string& out, Direction d) { out.push_back(char(kNotNullMarker ^ Mask(d))); }

bool ReadMarker(std::string_view& in, Direction d, bool& is_null) {
  uint8_t byte = 0;
  if (!TakeByte(in, Mask(d), byte)) return false;
  is_null = byte == kNullMarker;
  return is_null || byte == kNotNullMarker;
}

void AppendUint(std::string& out, uint64_t value, Direction d) {
  const int n = SignificantBytes(value);
  out.push_back(char(uint8_t(n) ^ Mask(d)));
  PutBigEndian(out, Mask(d), n, value);
}

bool ReadUint(std::string_view& in, uint64_t& value, Direction d) {
  uint8_t n = 0;
  return TakeByte(in, Mask(d), n) && n <= 8 && TakeBigEndian(in, Mask(d), n, value) &&
         SignificantBytes(value) == n;
}

void AppendInt(std::string& out, int64_t value, Direction d) {
  if (value >= 0) {
    const int n = SignificantBytes(uint64_t(value));
    out.push_back(char(uint8_t(kIntZero + n) ^ Mask(d)));
    PutBigEndian(out, Mask(d), n, uint64_t(value));
    return;
  }
  const int n = SignificantBytes(~uint64_t(value));
  out.push_back(char(uint8_t(kIntZero - 1 - n) ^ Mask(d)));
  PutBigEndian(out, Mask(d), n, uint64_t(value));
}

bool ReadInt(std::string_view& in, int64_t& value, Direction d) {
  uint8_t head = 0;
  uint64_t raw = 0;
  if (!TakeByte(in, Mask(d), head)) return false;
  if (head >= kIntZero) {
    const int n = head - kIntZero;
    if (n > 8 || !TakeBigEndian(in, Mask(d), n, raw) || SignificantBytes(raw) != n) return false;
    value = int64_t(raw);
    return value >= 0;
  }
  const int n = kIntZero - 1 - head;
  if (n > 8 || !TakeBigEndian(in, Mask(d), n, raw)) return false;
  if (n < 8) raw |= ~uint64_t(0) << (8 * n);
  value = int64_t(raw);
  return value < 0 && SignificantBytes(~raw) == n;
}

void AppendDouble(std::string& out, double value, Direction d) {
  PutBigEndian(out, Mask(d), 8, OrderedBits(value));
}

bool ReadDouble(std::string_view& in, double& value, Direction d) {
  uint64_t bits = 0;
  if (!TakeBigEndian(in, Mask(d), 8, bits)) return false;
  if (bits == std::numeric_limits<uint64_t>::max()) {
    value = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  value = std::bit_cast<double>(bits >> 63 ? bits & ~(uint64_t(1) << 63) : ~bits);
  return true;
}

void AppendBytes(std::string& out, std::string_view value, Direction d) {
  const size_t start = out.size();
  // Few keys have zeros in them: they are copied as they are.
  for (size_t zero; (zero = value.find('\0')) != value.npos; value.remove_prefix(zero + 1)) {
    out.append(value.substr(0, zero)).append("\x00\xFF", 2);
  }
  out.append(value).append("\x00\x01", 2);
  if (const uint8_t mask = Mask(d); mask != 0) {
    for (size_t i = start; i < out.size(); ++i) out[i] = char(uint8_t(out[i]) ^ mask);
  }
}

bool ReadBytes(std::string_view& in, std::string& value, Direction d) {
  const uint8_t mask = Mask(d);
  value.clear();
  uint8_t byte = 0;
  while (TakeByte(in, mask, byte)) {
    if (byte != 0) {
      value.push_back(char(byte));
      continue;
    }
    if (!TakeByte(in, mask, byte)) return false;
    if (byte == 0x01) return true;
    if (byte != 0xFF) return false;
    value.push_back(0);
  }
  return false;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && uint8_t(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = char(uint8_t(end.back()) + 1);
  return end;
}

}  // namespace orrery::ordered
