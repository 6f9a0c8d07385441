// Aggregates: one small state struct each, with Add (a row), Merge, Result and Visit (its fields, for Save and Load).
#include "orrery/sql/types/aggregates.h"

#include <cmath>
#include <new>

#include "orrery/sql/types/numeric.h"
#include "sql/types/aggregate_states.h"
#include "sql/types/array_state.h"
#include "sql/types/datetime.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

template <class State>
class AggregateOf : public Aggregate {
 public:
  explicit AggregateOf(State initial, bool takes_nulls = false)
      : initial_(std::move(initial)), takes_nulls_(takes_nulls) {}

  size_t state_bytes() const override { return (sizeof(State) + 7) / 8 * 8; }
  void Init(void* state) const override { new (state) State(initial_); }
  void Destroy(void* state) const override { Get(state).~State(); }
  bool skips_nulls() const override { return !takes_nulls_; }
  Status Update(EvalContext&, void* state, std::span<const Datum> args) const override {
    if (!takes_nulls_ && !args.empty() && args[0].is_null()) return OkStatus();
    return Get(state).Add(args);
  }
  Status Merge(EvalContext&, void* state, const void* other) const override {
    return Get(state).Merge(*static_cast<const State*>(other));
  }
  Status Final(EvalContext&, const void* state, Datum* out) const override {
    return static_cast<const State*>(state)->Result(out);
  }
  void Save(const void* state, std::string& out) const override {
    StateWriter writer{out};
    State copy = *static_cast<const State*>(state);
    copy.Visit(writer);
  }
  Status Load(std::string_view bytes, void* state) const override {
    Init(state);
    StateReader reader{bytes};
    Get(state).Visit(reader);
    return reader.Complete() ? OkStatus() : DataLossError("aggregate state: malformed");
  }
  size_t heap_bytes(const void* state) const override {
    return static_cast<const State*>(state)->heap_bytes();
  }

 private:
  static State& Get(void* state) { return *static_cast<State*>(state); }

  State initial_;
  bool takes_nulls_;
};

using Keep = std::vector<std::unique_ptr<const Aggregate>>;
template <class State>
const Aggregate* Own(Keep& keep, State initial, bool takes_nulls = false) {
  keep.push_back(std::make_unique<AggregateOf<State>>(std::move(initial), takes_nulls));
  return keep.back().get();
}

bool IsInt(Oid type) { return type == oid::kInt2 || type == oid::kInt4 || type == oid::kInt8; }
bool IsFloat(Oid type) { return type == oid::kFloat4 || type == oid::kFloat8; }

const Aggregate* MakeSum(Oid type, Keep& keep) {
  if (type == oid::kInt8) return Own(keep, IntSum{.result = IntSum::Result_::kNumericSum});
  if (IsInt(type)) return Own(keep, IntSum{.result = IntSum::Result_::kInt8Sum});
  if (IsFloat(type)) return Own(keep, FloatSum{.is_float4 = type == oid::kFloat4});
  if (type == oid::kNumeric) return Own(keep, NumericSum{});
  return type == oid::kInterval ? Own(keep, IntervalSum{}) : nullptr;
}

const Aggregate* MakeAverage(Oid type, Keep& keep) {
  if (IsInt(type)) return Own(keep, IntSum{.result = IntSum::Result_::kAverage});
  if (IsFloat(type)) return Own(keep, FloatMoments{.result = Moment::kMean});
  if (type == oid::kNumeric) return Own(keep, NumericSum{.is_average = true});
  return type == oid::kInterval ? Own(keep, IntervalSum{.is_average = true}) : nullptr;
}

const Aggregate* MakeMoment(Moment moment, Oid type, Keep& keep) {
  if (IsFloat(type)) return Own(keep, FloatMoments{.result = moment});
  if (IsInt(type) || type == oid::kNumeric) {
    return Own(keep, NumericMoments{.result = moment, .takes_ints = IsInt(type)});
  }
  return nullptr;
}

}  // namespace

const Aggregate* MakeArrayAggregate(Oid element, Keep& keep) {
  return Own(keep, ArrayState{.element = element}, true);
}

const Aggregate* MakeAggregate(std::string_view name, std::span<const Oid> arguments, Keep& keep) {
  if (name == "count") {
    return Own(keep, CountState{.counts_rows = arguments.empty()}, arguments.empty());
  }
  if (arguments.empty()) return nullptr;
  const Oid type = arguments[0];
  if (name == "sum") return MakeSum(type, keep);
  if (name == "avg") return MakeAverage(type, keep);
  if (name == "min") return Own(keep, ExtremeState{.type = type, .wants = -1});
  if (name == "max") return Own(keep, ExtremeState{.type = type, .wants = 1});
  if (name == "bool_and" || name == "every") return Own(keep, BoolState{.is_and = true});
  if (name == "bool_or") return Own(keep, BoolState{.is_and = false});
  if (name == "bit_and") return Own(keep, BitState{.kind = BitState::Kind::kAnd});
  if (name == "bit_or") return Own(keep, BitState{.kind = BitState::Kind::kOr});
  if (name == "bit_xor") return Own(keep, BitState{.kind = BitState::Kind::kXor});
  if (name == "string_agg") return Own(keep, StringState{});
  if (name == "variance" || name == "var_samp") return MakeMoment(Moment::kVarSamp, type, keep);
  if (name == "var_pop") return MakeMoment(Moment::kVarPop, type, keep);
  if (name == "stddev" || name == "stddev_samp") {
    return MakeMoment(Moment::kStddevSamp, type, keep);
  }
  if (name == "stddev_pop") return MakeMoment(Moment::kStddevPop, type, keep);
  return nullptr;
}

}  // namespace orrery::sql
