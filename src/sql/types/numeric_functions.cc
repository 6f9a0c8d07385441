#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterNumericFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
