// Execution of physical plans. An ExecutablePlan is a plan with what running it needs compiled in, shared by
// all sessions; an Execution is one run of it, pulled row by row; RunDirect is the short way for plans of one
// key access: from parameters to KV and back without an operator tree. docs/design/sql_execution.md.
//
// Errors carry SQLSTATEs, except kv's retry errors, which keep their payload for the session to act on.
// Thread safety: ExecutablePlan is immutable; everything else belongs to one task at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/kv/client/database.h"
#include "orrery/kv/client/loader.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/virtual_table.h"
#include "orrery/sql/exec/memory.h"
#include "orrery/sql/exec/result.h"
#include "orrery/sql/optimizer/physical_plan.h"

namespace orrery::sql {

class ExecutablePlan;
using ExecutablePlanPtr = std::shared_ptr<const ExecutablePlan>;
ExecutablePlanPtr CompilePlan(PhysicalPlanPtr plan);
const PhysicalPlan& PlanOf(const ExecutablePlan& plan);

// Rows from the client: COPY FROM. Fills `row`, one datum a column of the leaf; false at the end.
using ExternalRows = std::function<StatusOr<bool>(std::span<Datum> row)>;

// kAllowed: the run goes on to its end, or to an error, and nothing else uses the transaction meanwhile.
enum class ReadAhead : uint8_t { kOff, kAllowed };

// All that a run may use. Everything outlives it.
struct ExecEnv {
  kv::Database& database;
  // Null: a read-only statement outside a transaction; its batches go to Database::Read.
  kv::Txn* txn = nullptr;
  EvalContext& eval;
  std::span<const Datum> parameters;
  MemoryAccount& memory;
  VirtualContext* virtual_context = nullptr;  // null: no virtual tables
  Duration lock_timeout{0};                   // of one KV batch that locks or writes; zero: none
  ExternalRows external;
  ReadAhead read_ahead = ReadAhead::kOff;
  // If set, the rows of an INSERT without ON CONFLICT or RETURNING go here in place of `txn`, and are not yet written.
  kv::LoadedRows* loaded_rows = nullptr;
  // Values for the hidden key of tables without a primary key: unique in the cluster, growing on a node.
  std::function<int64_t()> next_row_id;
};

// What becomes of the transaction with the last write.
enum class LastWrite : uint8_t { kLeaveOpen, kCommit };

struct RunResult {
  uint64_t row_count = 0;   // for the command tag
  bool committed = false;   // LastWrite::kCommit was carried out
};

// Precondition: PlanOf(plan).direct.
Status RunDirect(const runtime::Context& context, const ExecutablePlan& plan, ExecEnv& env, LastWrite last_write,
                 RowSink& sink, RunResult& result);

// Whether an INSERT of external rows makes its keys and values without a look into the transaction, so that blocks of
// them may be written meanwhile: no functions, no checks.
bool MakesRowsAlone(const ExecutablePlan& plan);
// Writes rows of the table that a run has loaded, by ascending key, in the transaction. `lock_timeout`: as in ExecEnv. Several
// tasks may do so at once (kv::Txn::RunBeside).
Status InsertRows(const runtime::Context& context, kv::Txn& txn, Duration lock_timeout, const Table& table, KvBlock rows);
// SQL's error for kv's of writing such rows; others unchanged.
Status InsertError(const Status& status, const Table& table, const FormatContext& format);

class Execution {
 public:
  // `plan` and `env` are kept; `analyze` counts and times every node.
  enum class Analyze : uint8_t { kOff, kOn };
  Execution(ExecutablePlanPtr plan, ExecEnv& env, Analyze analyze = Analyze::kOff);
  ~Execution();

  // Gives up to `row_limit` rows (0: all) to the sink; call again for more unless finished().
  Status Run(const runtime::Context& context, uint64_t row_limit, RowSink& sink);
  bool finished() const;
  // Rows given out so far, or rows changed by a data change.
  uint64_t row_count() const;
  // After an analysed run: rows and runs of each node, in the order of ExplainPlan's nodes (preorder).
  struct NodeStatistics {
    const PhysicalNode* node = nullptr;
    uint64_t rows = 0;
    uint64_t loops = 0;
    Duration time{0};
  };
  std::vector<NodeStatistics> statistics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::sql
