#include "orrery/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace orrery {

void AssertionFailed(const char* file, int line, const char* condition, std::string_view message) {
  std::fprintf(stderr, "assertion failed: %.*s\n  condition: %s\n  at %s:%d\n", int(message.size()),
               message.data(), condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace orrery
