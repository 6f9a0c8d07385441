// Wire: the one way structures become bytes for disk and for peers.
//
// A structure lists its fields once, `template <class V> void Visit(V& v) { v(1, a); v(2, b); }`, and gets
// Encode and Decode from it. The bytes are those of Protocol Buffers (protobuf.dev, "Encoding"): varints,
// length-delimited fields, zigzag for signed integers, so any protobuf tool can look into them. A field
// number is never reused for another meaning; unknown fields are skipped and absent ones keep their
// defaults, so versions one apart understand each other. Encoding is deterministic.
//
// Field types: bool, integers, enums, StrongId, double, std::string, std::optional<T>, std::vector<T>
// (repeated), std::variant of structures (field number + alternative index), and structures with Visit.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/status.h"

namespace orrery::wire {

void AppendVarint(std::string& out, uint64_t value);
// Reads a varint from the front of `in` and advances it; false if truncated or over 10 bytes.
bool ReadVarint(std::string_view& in, uint64_t& value);
constexpr uint64_t ZigZag(int64_t v) { return (uint64_t(v) << 1) ^ uint64_t(v >> 63); }
constexpr int64_t UnZigZag(uint64_t v) { return int64_t(v >> 1) ^ -int64_t(v & 1); }

// Nested structures deeper than this are refused when decoding: bytes of a peer must not overflow a stack.
inline constexpr int kDepthMax = 64;

namespace internal {
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

template <class T> struct IsVector : std::false_type {};
template <class T> struct IsVector<std::vector<T>> : std::true_type {};
template <class T> struct IsOptional : std::false_type {};
template <class T> struct IsOptional<std::optional<T>> : std::true_type {};
template <class T> struct IsVariant : std::false_type {};
template <class... T> struct IsVariant<std::variant<T...>> : std::true_type {};
template <class T> struct IsStrongId : std::false_type {};
template <class T> struct IsStrongId<StrongId<T>> : std::true_type {};

inline void AppendTag(std::string& out, uint32_t field, WireType type) {
  AppendVarint(out, uint64_t(field) << 3 | type);
}

// Replaces the byte before `body` by the number of bytes from there on, which does not fit into it.
void InsertLength(std::string& out, size_t body, size_t bytes);

// A message within a message: its bytes are written where they stay, behind one byte for their number, which nearly always
// fits in there.
class Nested {
 public:
  Nested(std::string& out, uint32_t field) : out_(out), start_(out.size()) {
    AppendTag(out, field, kBytes);
    out.push_back(0);
    body_ = out.size();
  }
  // An empty one is left out, unless it is to be kept.
  void End(bool keep_empty) const {
    const size_t bytes = out_.size() - body_;
    if (bytes == 0 && !keep_empty) return out_.resize(start_);
    if (bytes < 0x80) {
      out_[body_ - 1] = char(bytes);
    } else {
      InsertLength(out_, body_, bytes);
    }
  }

 private:
  std::string& out_;
  const size_t start_;
  size_t body_;
};

struct Encoder {
  std::string& out;
  bool keep_default = false;  // elements of vectors, optionals and variants are written even when zero

  template <class T>
  void operator()(uint32_t field, const T& value) {
    if constexpr (IsVector<T>::value) {
      for (const auto& element : value) Encoder{out, true}(field, element);
    } else if constexpr (IsOptional<T>::value) {
      if (value) Encoder{out, true}(field, *value);
    } else if constexpr (std::is_same_v<T, double>) {
      uint64_t bits;
      std::memcpy(&bits, &value, 8);
      if (bits == 0 && !keep_default) return;
      AppendTag(out, field, kFixed64);
      for (int i = 0; i < 8; ++i) out.push_back(char(bits >> (8 * i)));
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T> || IsStrongId<T>::value) {
      const uint64_t raw = Raw(value);
      if (raw == 0 && !keep_default) return;
      AppendTag(out, field, kVarint);
      AppendVarint(out, raw);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (value.empty() && !keep_default) return;
      AppendTag(out, field, kBytes);
      AppendVarint(out, value.size());
      out.append(value);
    } else if constexpr (IsVariant<T>::value) {
      const Nested nested(out, field);
      std::visit([&](const auto& v) { Encoder{out, true}(uint32_t(value.index() + 1), v); }, value);
      nested.End(true);
    } else {
      const Nested nested(out, field);
      Encoder inner{out};
      const_cast<T&>(value).Visit(inner);
      nested.End(keep_default);
    }
  }

 private:
  template <class T>
  static uint64_t Raw(const T& value) {
    if constexpr (IsStrongId<T>::value) return value.value();
    else if constexpr (std::is_enum_v<T>) return uint64_t(value);
    else if constexpr (std::is_signed_v<T>) return ZigZag(value);
    else return uint64_t(value);
  }
};

struct Field {
  uint32_t number;
  WireType type;
  uint64_t varint;         // kVarint, kFixed64
  std::string_view bytes;  // kBytes
};
// Splits the next field off `in`. False on malformed input.
bool NextField(std::string_view& in, Field& field);

template <class T>
bool DecodeInto(std::string_view in, T& out, int depth);

struct FieldSetter {
  const Field& field;
  int depth;
  bool ok = true;

  template <class T>
  void operator()(uint32_t number, T& value) {
    if (number != field.number || !ok) return;
    ok = Set(value);
  }
  template <class T>
  bool Set(T& value) {
    if constexpr (IsVector<T>::value) {
      return Set(value.emplace_back());
    } else if constexpr (std::is_same_v<T, std::vector<bool>>) {
      static_assert(!sizeof(T), "use std::vector<uint8_t>");
    } else if constexpr (IsOptional<T>::value) {
      return Set(value.emplace());
    } else if constexpr (std::is_same_v<T, double>) {
      if (field.type != kFixed64) return false;
      std::memcpy(&value, &field.varint, 8);
      return true;
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T> || IsStrongId<T>::value) {
      if (field.type != kVarint) return false;
      if constexpr (IsStrongId<T>::value) value = T(field.varint);
      else if constexpr (std::is_enum_v<T>) value = T(field.varint);
      else if constexpr (std::is_signed_v<T>) value = T(UnZigZag(field.varint));
      else value = T(field.varint);
      return true;
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (field.type != kBytes) return false;
      value.assign(field.bytes);
      return true;
    } else if constexpr (IsVariant<T>::value) {
      if (field.type != kBytes || depth >= kDepthMax) return false;
      std::string_view in = field.bytes;
      Field alternative;
      if (!NextField(in, alternative) || !in.empty() || alternative.type != kBytes) return false;
      return SetAlternative<0>(value, alternative);
    } else {
      return field.type == kBytes && depth < kDepthMax && DecodeInto(field.bytes, value, depth + 1);
    }
  }

 private:
  template <size_t I, class T>
  bool SetAlternative(T& value, const Field& alternative) {
    if constexpr (I < std::variant_size_v<T>) {
      if (alternative.number != I + 1) return SetAlternative<I + 1>(value, alternative);
      return DecodeInto(alternative.bytes, value.template emplace<I>(), depth + 1);
    } else {
      return false;  // an alternative of a later version: the message cannot be understood
    }
  }
};

template <class T>
bool DecodeInto(std::string_view in, T& out, int depth) {
  Field field;
  while (!in.empty()) {
    if (!NextField(in, field)) return false;
    FieldSetter setter{field, depth};
    out.Visit(setter);
    if (!setter.ok) return false;
  }
  return true;
}
}  // namespace internal

// Appends the encoding of `value` to `out`.
template <class T>
void EncodeTo(const T& value, std::string& out) {
  internal::Encoder encoder{out};
  const_cast<T&>(value).Visit(encoder);  // an Encoder only reads
}
template <class T>
std::string Encode(const T& value) {
  std::string out;
  EncodeTo(value, out);
  return out;
}
// Decodes into a fresh `out`; on malformed bytes DataLoss, and `out` is unspecified.
template <class T>
[[nodiscard]] Status Decode(std::string_view in, T& out) {
  out = T();
  if (!internal::DecodeInto(in, out, 0)) return DataLossError("malformed message");
  return OkStatus();
}

}  // namespace orrery::wire
