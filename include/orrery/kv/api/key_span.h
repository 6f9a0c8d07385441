// KeySpan: the span a request touches, as views. What is asked of every request on its way (where it goes, whether it
// belongs to this range) copies no keys. Pure.
#pragma once

#include <string_view>

#include "orrery/kv/api/batch.h"

namespace orrery::kv {

// Views into the request and header. Empty `end`: a point.
struct KeySpan {
  std::string_view start;
  std::string_view end;
  bool is_point() const { return end.empty(); }
};

// As SpanOf.
KeySpan KeySpanOf(const Request& request, const BatchHeader& header);
bool Contains(const RangeDescriptor& descriptor, const KeySpan& span);

}  // namespace orrery::kv
