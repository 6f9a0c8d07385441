// The state of array_agg: a header of its own, like those of aggregate_states.h otherwise.
#pragma once

#include <vector>

#include "orrery/sql/types/array.h"
#include "sql/types/aggregate_states.h"

namespace orrery::sql {

// array_agg: the values in the order they came, nulls too.
struct ArrayState {
  Oid element = 0;
  std::vector<Datum> values;
  size_t bytes = 0;
  Status Add(Row row) {
    values.push_back(row[0].Owned());
    bytes += sizeof(Datum) + values.back().heap_bytes();
    return OkStatus();
  }
  Status Merge(const ArrayState& o) {
    values.insert(values.end(), o.values.begin(), o.values.end());
    bytes += o.bytes;
    return OkStatus();
  }
  Status Result(Datum* out) const {
    *out = values.empty() ? Datum() : Array::OfList(element, values).Pack();
    return OkStatus();
  }
  template <class V>
  void Visit(V& v) {
    uint64_t count = values.size();
    v(count);
    for (uint64_t i = 0; i < count; ++i) {
      if (i >= values.size()) values.emplace_back();
      v(values[i]);
      if (values[i].is_null() && Exhausted(v)) break;
    }
  }
  template <class V>
  static bool Exhausted(const V& v) {
    if constexpr (requires { v.failed; }) return v.failed;
    return false;
  }
  size_t heap_bytes() const { return bytes; }
};

}  // namespace orrery::sql
