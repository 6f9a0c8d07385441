#include "orrery/sql/types/eval_cache.h"

#include "sql/types/patterns.h"

namespace orrery::sql {

EvalCache::EvalCache() : rep_(std::make_unique<Rep>()) {}
EvalCache::~EvalCache() = default;

}  // namespace orrery::sql
