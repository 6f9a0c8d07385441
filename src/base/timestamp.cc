#include "orrery/base/timestamp.h"

#include <cstdio>

namespace orrery {

std::string Timestamp::ToString() const {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%lld.%09lld,%u", static_cast<long long>(wall_ns / 1'000'000'000),
                static_cast<long long>(wall_ns % 1'000'000'000), logical);
  return buffer;
}

}  // namespace orrery
