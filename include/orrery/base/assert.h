// ORRERY_ASSERT: an invariant of our own code, checked in every build. A failed assertion prints what and
// where and ends the process: going on with a broken invariant would risk data. Input from users, disks and
// peers never reaches one; it becomes a Status.
#pragma once

#include <string_view>

namespace orrery {

// Prints the message to stderr and aborts. Never returns.
[[noreturn]] void AssertionFailed(const char* file, int line, const char* condition,
                                  std::string_view message);

}  // namespace orrery

// `message` names the invariant, with its id where it has one: "T4: lease intervals are disjoint".
#define ORRERY_ASSERT(condition, message)                                             \
  do {                                                                                \
    if (!(condition)) [[unlikely]]                                                    \
      ::orrery::AssertionFailed(__FILE__, __LINE__, #condition, (message));           \
  } while (0)
