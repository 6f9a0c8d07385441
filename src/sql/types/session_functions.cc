#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterSessionFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
