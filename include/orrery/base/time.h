// Time as values: durations and readings of the two clocks. Reading a clock is runtime/clock.h's business.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace orrery {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;  // 100ms, 2s: durations everywhere carry their unit

// A reading of a node's monotonic clock, for waiting and for leases. Comparable only within one node.
struct MonoTime {
  int64_t ns = 0;
  friend constexpr auto operator<=>(MonoTime, MonoTime) = default;
  friend constexpr MonoTime operator+(MonoTime t, Duration d) {
    return t.ns > std::numeric_limits<int64_t>::max() - d.count() && d.count() > 0
               ? MonoTime{std::numeric_limits<int64_t>::max()}
               : MonoTime{t.ns + d.count()};
  }
  friend constexpr MonoTime operator-(MonoTime t, Duration d) { return MonoTime{t.ns - d.count()}; }
  friend constexpr Duration operator-(MonoTime a, MonoTime b) { return Duration(a.ns - b.ns); }
  static constexpr MonoTime Infinite() { return MonoTime{std::numeric_limits<int64_t>::max()}; }
  template <class V>
  void Visit(V& v) {
    v(1, ns);
  }
};

}  // namespace orrery
