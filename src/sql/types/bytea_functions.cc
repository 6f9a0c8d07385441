#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterByteaFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
