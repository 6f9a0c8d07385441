// SpanSet: the keys and spans a transaction read or locked, in bounded memory: over budget, neighbours are
// joined to wider spans. It may come to hold more than was touched, never less (T12, B46). Not thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "orrery/kv/api/keys.h"

namespace orrery::kv {

class SpanSet {
 public:
  explicit SpanSet(size_t bytes_max) : bytes_max_(bytes_max) {}
  void Add(std::string_view start, std::string_view end);  // empty end: a point
  void Clear() {
    spans_.clear();
    bytes_ = 0;
    sorted_ = true;
  }
  bool empty() const { return spans_.empty(); }
  // Sorted, without overlaps.
  const std::vector<Span>& Normalised();

 private:
  void Condense();

  size_t bytes_max_;
  size_t bytes_ = 0;
  bool sorted_ = true;
  std::vector<Span> spans_;
};

}  // namespace orrery::kv
