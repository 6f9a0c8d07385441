// extract() and date_part(), and the finding of units that date_trunc() shares.
#pragma once

#include "orrery/base/status_or.h"
#include "sql/types/datetime_words.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {

// 22023 `unit "x" not recognized for type <type>`.
StatusOr<TimeUnit> FindUnit(std::string_view name, Oid type);
Status UnitUnrecognized(std::string_view name, Oid type);
// 0A000 `unit "x" not supported for type <type>`.
Status UnitUnsupported(std::string_view name, Oid type);

void RegisterExtract(EvaluatorTable& table);

}  // namespace orrery::sql
