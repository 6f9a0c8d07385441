#include "orrery/base/wire.h"

namespace orrery::wire {

namespace {
constexpr size_t kVarintBytesMax = 10;

size_t PutVarint(char* bytes, uint64_t value) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) bytes[n++] = char(value | 0x80);
  bytes[n++] = char(value);
  return n;
}
}  // namespace

void AppendVarint(std::string& out, uint64_t value) {
  if (value < 0x80) return out.push_back(char(value));  // tags and most lengths
  char bytes[kVarintBytesMax];
  out.append(bytes, PutVarint(bytes, value));
}

bool ReadVarint(std::string_view& in, uint64_t& value) {
  if (!in.empty() && uint8_t(in.front()) < 0x80) {  // as above
    value = uint8_t(in.front());
    in.remove_prefix(1);
    return true;
  }
  value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (in.empty()) return false;
    const auto byte = uint8_t(in.front());
    in.remove_prefix(1);
    if (shift == 63 && byte > 1) return false;  // would not fit 64 bits
    value |= uint64_t(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

namespace internal {
void InsertLength(std::string& out, size_t body, size_t bytes) {
  char length[kVarintBytesMax];
  out.replace(body - 1, 1, length, PutVarint(length, bytes));
}

bool NextField(std::string_view& in, Field& field) {
  uint64_t tag = 0;
  if (!ReadVarint(in, tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) return false;
  field.number = uint32_t(tag >> 3);
  field.type = WireType(tag & 7);
  const auto fixed = [&](size_t bytes) {
    if (in.size() < bytes) return false;
    field.varint = 0;
    for (size_t i = 0; i < bytes; ++i) field.varint |= uint64_t(uint8_t(in[i])) << (8 * i);
    in.remove_prefix(bytes);
    return true;
  };
  switch (field.type) {
    case kVarint:
      return ReadVarint(in, field.varint);
    case kFixed64:
      return fixed(8);
    case kFixed32:
      return fixed(4);
    case kBytes: {
      uint64_t length = 0;
      if (!ReadVarint(in, length) || length > in.size()) return false;
      field.bytes = in.substr(0, length);
      in.remove_prefix(length);
      return true;
    }
  }
  return false;
}
}  // namespace internal

}  // namespace orrery::wire
