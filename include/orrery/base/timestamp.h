// Timestamp: a hybrid logical clock reading (Kulkarni et al., "Logical Physical Clocks", 2014): nanoseconds
// of wall time, then a logical counter that orders events within one wall reading. Zero is "no timestamp".
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <string>

namespace orrery {

struct Timestamp {
  int64_t wall_ns = 0;   // since the Unix epoch; never negative
  uint32_t logical = 0;

  friend constexpr auto operator<=>(const Timestamp&, const Timestamp&) = default;
  constexpr bool IsZero() const { return wall_ns == 0 && logical == 0; }
  static constexpr Timestamp Max() {
    return {std::numeric_limits<int64_t>::max(), std::numeric_limits<uint32_t>::max()};
  }
  // The smallest timestamp above this one. Precondition: not Max().
  constexpr Timestamp Next() const {
    return logical == std::numeric_limits<uint32_t>::max() ? Timestamp{wall_ns + 1, 0}
                                                           : Timestamp{wall_ns, logical + 1};
  }
  // The largest timestamp below this one. Precondition: not zero.
  constexpr Timestamp Prev() const {
    return logical > 0 ? Timestamp{wall_ns, logical - 1}
                       : Timestamp{wall_ns - 1, std::numeric_limits<uint32_t>::max()};
  }
  // Raises this to `other` if that is later.
  constexpr void Forward(const Timestamp& other) {
    if (*this < other) *this = other;
  }
  std::string ToString() const;  // "1700000000.000000123,4"

  template <class V>
  void Visit(V& v) {
    v(1, wall_ns);
    v(2, logical);
  }
};

}  // namespace orrery
