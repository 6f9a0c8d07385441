#include "sql/types/evaluators.h"

namespace orrery::sql {

void RegisterFormattingFunctions(EvaluatorTable&) {}

}  // namespace orrery::sql
