// Aggregate functions as state machines over caller-owned memory: Init, Update a row, Merge partial
// states, Final. Partial states serialise, so that nodes can aggregate where the rows are.
// DISTINCT, FILTER and ORDER BY are the executor's. An Aggregate is immutable and shared; a state
// belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

class Aggregate {
 public:
  virtual ~Aggregate() = default;
  // Memory a state needs; aligned to 8 bytes.
  virtual size_t state_bytes() const = 0;
  // Makes a state in raw memory; each needs its Destroy.
  virtual void Init(void* state) const = 0;
  virtual void Destroy(void* state) const = 0;
  // True if rows whose (first) argument is NULL may be skipped: the executor need not call Update
  // for them.
  virtual bool skips_nulls() const { return true; }
  // Takes one row's arguments in; they need not outlive the call.
  virtual Status Update(EvalContext& context, void* state, std::span<const Datum> args) const = 0;
  // Takes another state of the same aggregate in, as if its rows came after this one's.
  virtual Status Merge(EvalContext& context, void* state, const void* other) const = 0;
  // The result; NULL of an empty input where SQL says so. The state stays usable.
  virtual Status Final(EvalContext& context, const void* state, Datum* out) const = 0;
  // Byte form of a state for another node of the same or the next version; Load makes a state from
  // it in raw memory (no Init before, Destroy after, also when it fails with DataLoss).
  virtual void Save(const void* state, std::string& out) const = 0;
  virtual Status Load(std::string_view bytes, void* state) const = 0;
  // Heap bytes the state holds beyond state_bytes(), for memory accounting.
  virtual size_t heap_bytes(const void* state) const = 0;
};

}  // namespace orrery::sql
