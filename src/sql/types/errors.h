// The errors that many evaluators give, with PostgreSQL's texts and SQLSTATEs.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/status.h"

namespace orrery::sql {

// 22003 `<what> out of range`.
inline Status OutOfRange(std::string_view what) {
  return Status(Code::kOutOfRange, "22003", std::string(what) + " out of range");
}
inline Status DivisionByZero() {
  return Status(Code::kInvalidArgument, "22012", "division by zero");
}
// 22P02 `invalid input syntax for type <type>: "<text>"`.
inline Status BadSyntax(std::string_view type, std::string_view text) {
  return Status(
      Code::kInvalidArgument, "22P02",
      "invalid input syntax for type " + std::string(type) + ": \"" + std::string(text) + "\"");
}
// 22003 `value "<text>" is out of range for type <type>`.
inline Status ValueOutOfRange(std::string_view type, std::string_view text) {
  return Status(
      Code::kOutOfRange, "22003",
      "value \"" + std::string(text) + "\" is out of range for type " + std::string(type));
}
// 22023.
inline Status InvalidParameter(std::string_view message) {
  return Status(Code::kInvalidArgument, "22023", message);
}

}  // namespace orrery::sql
