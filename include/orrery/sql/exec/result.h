// What a statement hands to its client: the sink that takes its rows. Values only; how they become bytes
// is the sink's business.
#pragma once

#include <span>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/sql/binder/bound_statement.h"
#include "orrery/sql/types/datum.h"

namespace orrery::sql {

// Takes rows one after another. The datums may borrow: a sink copies or encodes them before it returns.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // An error ends the statement with that error (the client has gone, a limit was reached).
  virtual Status Row(std::span<const Datum> values) = 0;
  // A piece of COPY's output: one or more whole lines.
  virtual Status CopyOut(std::string_view bytes) = 0;
};

}  // namespace orrery::sql
