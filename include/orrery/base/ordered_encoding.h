// Order-preserving encodings: for values a, b of one type, a < b exactly if Encode(a) < Encode(b) bytewise,
// and no encoding is a prefix of another of the same type, so tuples concatenate. Descending columns append
// the complement of each byte. Formats: docs/formats/keys.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::ordered {

enum class Direction : uint8_t { kAscending, kDescending };

// Markers that order NULLs among values: every column of a key begins with one of them.
// NULL sorts last when ascending and first when descending, as in PostgreSQL.
inline constexpr uint8_t kNotNullMarker = 0x10;
inline constexpr uint8_t kNullMarker = 0xF0;

void AppendNull(std::string& out, Direction d);
void AppendNotNull(std::string& out, Direction d);
// Unsigned and signed integers: a length byte, then as few big-endian bytes as hold the value.
void AppendUint(std::string& out, uint64_t value, Direction d = Direction::kAscending);
void AppendInt(std::string& out, int64_t value, Direction d = Direction::kAscending);
// IEEE double in PostgreSQL's order: -inf < … < -0 = 0 < … < inf < NaN.
void AppendDouble(std::string& out, double value, Direction d = Direction::kAscending);
// Bytes: 0x00 is escaped as 0x00 0xFF, the end is 0x00 0x01.
void AppendBytes(std::string& out, std::string_view value, Direction d = Direction::kAscending);

// Each reader takes its value off the front of `in`; false (and `in` unspecified) if malformed.
bool ReadMarker(std::string_view& in, Direction d, bool& is_null);
bool ReadUint(std::string_view& in, uint64_t& value, Direction d = Direction::kAscending);
bool ReadInt(std::string_view& in, int64_t& value, Direction d = Direction::kAscending);
bool ReadDouble(std::string_view& in, double& value, Direction d = Direction::kAscending);
bool ReadBytes(std::string_view& in, std::string& value, Direction d = Direction::kAscending);

// The smallest string above every string with this prefix; empty if there is none (all 0xFF).
std::string PrefixEnd(std::string_view prefix);

}  // namespace orrery::ordered
