#include "orrery/sql/types/datum.h"

#include <cstdlib>
#include <new>

#include "orrery/base/hash.h"
#include "orrery/sql/types/numeric.h"

namespace orrery::sql {

void Datum::AllocateCopy(std::string_view value) {
  ORRERY_ASSERT(value.size() <= UINT32_MAX, "Datum: byte strings are below 4 GiB");
  void* memory = ::operator new(sizeof(Block) + value.size());
  auto* fresh = new (memory) Block{{1}};
  std::memcpy(fresh->bytes(), value.data(), value.size());
  storage_ = Storage::kShared;
  pointer_ = fresh->bytes();
}

void Datum::ReleaseBlock() {
  Block* const shared = block();
  if (shared->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    shared->~Block();
    ::operator delete(shared);
  }
}

std::string Datum::DebugString() const {
  switch (kind_) {
    case Kind::kNull:
      return "NULL";
    case Kind::kBool:
      return as_bool() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(as_int());
    case Kind::kFloat:
      return std::to_string(as_float());
    case Kind::kInterval: {
      const Interval i = as_interval();
      return "interval(" + std::to_string(i.months) + "," + std::to_string(i.days) + "," +
             std::to_string(i.micros) + ")";
    }
    case Kind::kBytes:
      return "'" + Printable(view()) + "'";
    case Kind::kNumeric:
      return Numeric::IsValidPacked(view()) ? Numeric::Unpack(view()).ToString() : "bad numeric";
  }
  return "?";
}

}  // namespace orrery::sql
