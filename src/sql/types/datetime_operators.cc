#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterDateTimeOperators(EvaluatorTable&) {}

}  // namespace orrery::sql
