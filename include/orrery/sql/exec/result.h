// What a statement hands to its client: the shape of its rows and the sink that takes them. Values only;
// how they become bytes is the sink's business.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

// One field of RowDescription (PostgreSQL documentation, 55.7).
struct ResultColumn {
  std::string name;
  Type type;
  Oid table = 0;          // the table the column comes from, 0 if it is computed
  int16_t attribute = 0;  // its attribute number there
  friend bool operator==(const ResultColumn&, const ResultColumn&) = default;
};

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
