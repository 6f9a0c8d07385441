#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterDateTimeFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
