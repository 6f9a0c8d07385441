// RowOperator: the state of one plan node in one execution. Nodes are immutable and shared; operators hold all
// that changes. Batches are pulled from the root; Open (re)starts a subtree, as the right side of a nested
// loop and correlated subqueries need.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "orrery/sql/exec/executor.h"
#include "orrery/sql/optimizer/physical_plan.h"
#include "sql/exec/evaluate.h"
#include "sql/exec/row_batch.h"

namespace orrery::sql {

class ExecutablePlan;
class RowReader;

// What all operators of an execution share.
struct ExecState {
  const runtime::Context* context = nullptr;  // of the present call
  ExecEnv& env;
  const PhysicalPlan& plan;
  std::vector<Datum> variables;
  ExprEnv expr;
  uint64_t rows_changed = 0;  // by the root, if it changes data
  bool reads_ahead = false;   // one scan is all that reads, and it is read to its end

  ExecState(ExecEnv& e, const PhysicalPlan& p, SubplanRunner* subplans)
      : env(e), plan(p), variables(p.variable_count),
        expr{.eval = e.eval, .parameters = e.parameters, .variables = variables, .subplans = subplans} {}

  Status Charge(uint64_t bytes) { return env.memory.Charge(bytes); }
  // Sends a batch of KV requests within the transaction, or outside of one where there is none.
  Status RunKv(kv::Batch& batch, const Table* table) const;
};

// The same for callers without an ExecState.
Status SendKv(const runtime::Context& context, ExecEnv& env, kv::Batch& batch, const Table* table);
using RunInTxn = Status (kv::Txn::*)(const runtime::Context& context, kv::Batch& batch);
Status SendInTxn(const runtime::Context& context, kv::Txn& txn, Duration lock_timeout, kv::Batch& batch,
                 const Table* table, RunInTxn run = &kv::Txn::Run);

class RowOperator {
 public:
  virtual ~RowOperator() = default;
  virtual Status Open(ExecState& state) = 0;
  // Fills `out`; an empty batch is the end. Borrowed cells are good until the next call of Next or Open.
  virtual Status Next(ExecState& state, RowBatch& out) = 0;
  // Whether borrowed cells live as long as the pins of their batch: who keeps those may keep the cells.
  virtual bool CellsLiveWithPins() const { return false; }
};
using OperatorPtr = std::unique_ptr<RowOperator>;

struct NodeCounters {
  const PhysicalNode* node = nullptr;
  uint64_t rows = 0;
  uint64_t loops = 0;
  Duration time{0};
};
// Makes operators; wraps each in a counter when the run is analysed.
class OperatorBuilder {
 public:
  OperatorBuilder(const ExecutablePlan& plan, std::vector<std::unique_ptr<NodeCounters>>* counters)
      : plan_(plan), counters_(counters) {}
  OperatorPtr Build(const PhysicalNode& node);

 private:
  OperatorPtr BuildPlain(const PhysicalNode& node);
  const ExecutablePlan& plan_;
  std::vector<std::unique_ptr<NodeCounters>>* counters_;  // null: not analysed
};

// By file. Each takes its inputs already built.
OperatorPtr MakeScan(const PhysicalScan& node, const RowReader& reader);  // scan.cc
OperatorPtr MakeKeyLookup(const PhysicalKeyLookup& node, const RowReader& reader);
OperatorPtr MakeVirtualScan(const PhysicalVirtualScan& node);          // leaves.cc
OperatorPtr MakeFunctionScan(const PhysicalFunctionScan& node);
OperatorPtr MakeValues(const PhysicalValues& node);
OperatorPtr MakeExternal(const PhysicalExternal& node);
OperatorPtr MakeFilter(const PhysicalFilter& node, OperatorPtr input);  // row_operators.cc
OperatorPtr MakeProject(const PhysicalProject& node, OperatorPtr input);
OperatorPtr MakeLimit(const PhysicalLimit& node, OperatorPtr input);
OperatorPtr MakeDistinctOn(const PhysicalDistinctOn& node, OperatorPtr input);
OperatorPtr MakeWindow(const PhysicalWindow& node, OperatorPtr input);  // window.cc
OperatorPtr MakeSort(const PhysicalSort& node, OperatorPtr input);     // sort.cc
OperatorPtr MakeHashJoin(const PhysicalHashJoin& node, OperatorPtr left, OperatorPtr right);  // join.cc
OperatorPtr MakeNestedLoopJoin(const PhysicalNestedLoopJoin& node, OperatorPtr left, OperatorPtr right);
OperatorPtr MakeLookupJoin(const PhysicalLookupJoin& node, OperatorPtr left);                 // lookup_join.cc
OperatorPtr MakeAggregate(const PhysicalAggregate& node, OperatorPtr input);                  // aggregate.cc
OperatorPtr MakeSetOperation(const PhysicalSetOperation& node, OperatorPtr left, OperatorPtr right);
OperatorPtr MakeInsert(const PhysicalInsert& node, OperatorPtr input);  // modify.cc
OperatorPtr MakeUpdate(const PhysicalUpdate& node, OperatorPtr input);
OperatorPtr MakeDelete(const PhysicalDelete& node, OperatorPtr input);

// Pulls all of `input`, calling `take` for each row.
Status DrainRows(ExecState& state, RowOperator& input, const std::function<Status(std::span<const Datum>)>& take);

// What an operator keeps of its input's batches instead of copying their cells. Pins may hold columns that nobody
// wants, so not many are kept.
class KeptPins {
 public:
  enum class Cells : uint8_t { kPinned, kCopied };

  void Clear() { pins_.Reset(0); }
  // Whether the batch's cells may be kept as they are: its pins are kept then, and charged.
  StatusOr<Cells> Keep(ExecState& state, const RowOperator& input, const RowBatch& batch) {
    if (!input.CellsLiveWithPins() || pins_.pinned_bytes() + batch.pinned_bytes() > kBytesMax) return Cells::kCopied;
    RETURN_IF_ERROR(state.Charge(batch.pinned_bytes()));
    pins_.PinAllOf(batch);
    return Cells::kPinned;
  }
  // For batches made of such cells.
  const RowBatch& pins() const { return pins_; }

 private:
  static constexpr uint64_t kBytesMax = uint64_t{1} << 20;
  RowBatch pins_;  // without rows
};

// Hands out kept rows batch by batch.
class RowEmitter {
 public:
  void Start() { next_ = 0; }
  void Next(const std::vector<OwnedRow>& rows, size_t width, RowBatch& out) {
    out.Reset(width);
    while (next_ < rows.size() && !out.full()) {
      std::span<Datum> row = out.AddRow();
      std::copy(rows[next_].begin(), rows[next_].end(), row.begin());
      ++next_;
    }
  }

 private:
  size_t next_ = 0;
};

// Locks as a plan asks for them, in KV's words.
kv::LockStrength KvStrength(RowLock lock);
kv::WaitPolicy KvWait(RowWait wait);

}  // namespace orrery::sql
