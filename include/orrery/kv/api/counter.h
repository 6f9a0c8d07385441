// Counters of the cluster span (keys.h: kNextNodeId, kNextRangeId, …): a counter's value is the last number
// handed out, as a wire varint; no value means none yet, so the first number is 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/base/wire.h"

namespace orrery::kv {

inline std::string EncodeCounter(uint64_t last) {
  std::string out;
  wire::AppendVarint(out, last);
  return out;
}
inline StatusOr<uint64_t> DecodeCounter(const std::optional<std::string>& value) {
  if (!value) return uint64_t{0};
  std::string_view in = *value;
  uint64_t last = 0;
  if (!wire::ReadVarint(in, last) || !in.empty()) return DataLossError("malformed counter");
  return last;
}

}  // namespace orrery::kv
