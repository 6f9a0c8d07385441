#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterFloatFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
