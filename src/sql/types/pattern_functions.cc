#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterPatternFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
