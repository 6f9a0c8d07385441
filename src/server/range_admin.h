// What an operator does to ranges by hand: splits at keys of his choice, many at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/kv/api/sender.h"
#include "orrery/runtime/context.h"

namespace orrery::server {

// The inverse of Printable (base/hash.h). InvalidArgument: a backslash that is not followed by x and two hexadecimal digits.
StatusOr<std::string> KeyFromPrintable(std::string_view text);

// Begins a range at each of these keys, unless one begins there already; several splits run at a time. InvalidArgument: a
// key outside table data. On an error some of the splits may have been made; the same call again makes the rest.
Status SplitRangesAt(const runtime::Context& context, kv::Sender& sender, std::vector<std::string> keys);

}  // namespace orrery::server
