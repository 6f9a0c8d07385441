#include "sql/types/evaluators.h"

namespace orrery::sql {

const Aggregate* MakeAggregate(std::string_view, std::span<const Oid>,
                               std::vector<std::unique_ptr<const Aggregate>>&) {
  return nullptr;
}

}  // namespace orrery::sql
