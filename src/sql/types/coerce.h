// Fitting values to a type's modifier: lengths of strings, precision of numerics, times and
// intervals.
#pragma once

#include "orrery/base/status.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

// *value becomes what a column of `type` stores. Explicit casts cut strings; else 22001 unless only
// blanks are cut.
Status ApplyTypmod(Type type, CastContext context, Datum* value);

}  // namespace orrery::sql
