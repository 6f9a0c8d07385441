// The direct path: statements on one row by its key, and INSERT … VALUES. From parameters to KV keys, one
// or two KV batches, and the row straight out of the KV value into the sink.
#include "absl/container/inlined_vector.h"
#include "orrery/sql/exec/kv_errors.h"
#include "sql/exec/executable_plan.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

using Row = absl::InlinedVector<Datum, 12>;

std::span<Datum> Cells(Row& row) { return {row.data(), row.size()}; }

void NoteSlots(const Expr& expr, std::vector<bool>& wanted) {
  if (expr.kind == Expr::Kind::kSlot && expr.index < wanted.size()) wanted[expr.index] = true;
  for (const ExprPtr& arg : expr.args) {
    if (arg) NoteSlots(*arg, wanted);
  }
}

const std::vector<PhysicalCheck>& NoChecks() {
  static const auto* const kNone = new std::vector<PhysicalCheck>();
  return *kNone;
}

}  // namespace

ExecutablePlan::ExecutablePlan(PhysicalPlanPtr p) : plan(std::move(p)) {
  if (plan->direct) {
    CompilePoint(*plan->root);
    return;
  }
  CompileLeaves(*plan->root);
  for (const PhysicalSubplan& subplan : plan->subplans) CompileLeaves(*subplan.root);
}

void ExecutablePlan::CompileLeaves(const PhysicalNode& node) {
  if (node.kind == PhysicalKind::kScan || node.kind == PhysicalKind::kKeyLookup) {
    const auto& leaf = node.As<PhysicalTableLeaf>();
    readers_.emplace(&node, RowReader(*leaf.table, leaf.ordinals));
  }
  for (const PhysicalNodePtr& input : node.inputs) CompileLeaves(*input);
}

const RowReader& ExecutablePlan::ReaderOf(const PhysicalNode& leaf) const {
  const auto it = readers_.find(&leaf);
  ORRERY_ASSERT(it != readers_.end(), "every scan of a plan has its reader");
  return it->second;
}

void ExecutablePlan::CompilePoint(const PhysicalNode& root) {
  switch (root.kind) {
    case PhysicalKind::kPointGet: {
      const auto& node = root.As<PhysicalPointGet>();
      std::vector<bool> wanted(node.table->columns().size(), false);
      for (const ExprPtr& expr : node.exprs) NoteSlots(*expr, wanted);
      if (node.filter) NoteSlots(*node.filter, wanted);
      reader.emplace(RowReader::Partial(*node.table, wanted));
      return;
    }
    case PhysicalKind::kPointUpdate: {
      const auto& node = root.As<PhysicalPointUpdate>();
      reader.emplace(RowReader::Full(*node.table));
      writer.emplace(*node.table, node.checks);
      return;
    }
    case PhysicalKind::kPointDelete: {
      const auto& node = root.As<PhysicalPointDelete>();
      reader.emplace(RowReader::Full(*node.table));
      writer.emplace(*node.table, NoChecks());
      return;
    }
    case PhysicalKind::kPointInsert: {
      const auto& node = root.As<PhysicalPointInsert>();
      writer.emplace(*node.table, node.checks);
      return;
    }
    default:
      ORRERY_ASSERT(false, "a direct plan has a point node as its root");
  }
}

ExecutablePlanPtr CompilePlan(PhysicalPlanPtr plan) { return std::make_shared<ExecutablePlan>(std::move(plan)); }
const PhysicalPlan& PlanOf(const ExecutablePlan& plan) { return *plan.plan; }

namespace {

class DirectRun {
 public:
  DirectRun(const runtime::Context& context, const ExecutablePlan& plan, ExecEnv& env, LastWrite last_write,
            RowSink& sink, RunResult& result)
      : context_(context), plan_(plan), env_(env), last_write_(last_write), sink_(sink), result_(result),
        expr_{.eval = env.eval, .parameters = env.parameters, .variables = {}} {}

  Status Get(const PhysicalPointGet& node);
  Status Update(const PhysicalPointUpdate& node);
  Status Delete(const PhysicalPointDelete& node);
  Status Insert(const PhysicalPointInsert& node);

 private:
  // The row's key; `possible` is false if a part of it is NULL.
  Status ComputeKey(const PhysicalPoint& node, std::string& key, bool& possible) {
    Row values(node.key.size());
    for (size_t i = 0; i < values.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*node.key[i], expr_, {}, &values[i]));
    }
    possible = AppendRowKey(*node.table, Cells(values), key);
    return OkStatus();
  }

  // Reads the row at the key into `row`, locking as asked; `found` tells whether it is there and passes the
  // filter. `batch` keeps the bytes that the row borrows.
  Status Read(const PhysicalPoint& node, kv::LockStrength strength, kv::LockDurability durability,
              kv::Batch& batch, Row& row, bool& found) {
    found = false;
    std::string key;
    bool possible = false;
    RETURN_IF_ERROR(ComputeKey(node, key, possible));
    if (!possible) return OkStatus();
    batch.Get(key, strength, durability);
    RETURN_IF_ERROR(SendKv(context_, env_, batch, node.table.get()));
    const auto* get = std::get_if<kv::GetResponse>(&batch.responses[0]);
    if (get == nullptr || !get->value) return OkStatus();
    row.resize(node.table->columns().size());
    const std::string& stored_key = std::get<kv::GetRequest>(batch.requests[0]).key;
    RETURN_IF_ERROR(plan_.reader->Read(stored_key, *get->value, Cells(row)));
    found = true;
    if (node.filter) {
      ASSIGN_OR_RETURN(found, IsTrue(*node.filter, expr_, Cells(row)));
    }
    return OkStatus();
  }

  Status Write(kv::Batch& batch) {
    if (batch.requests.empty()) return OkStatus();
    if (last_write_ == LastWrite::kCommit) {
      Status status = env_.txn->RunAndCommit(context_, batch);
      result_.committed = status.ok();
      return plan_.writer->ConvertError(status, env_);
    }
    return plan_.writer->ConvertError(SendKv(context_, env_, batch, &plan_.writer->table()), env_);
  }

  Status Give(const std::vector<ExprPtr>& exprs, std::span<const Datum> row) {
    if (exprs.empty()) return OkStatus();
    Row values(exprs.size());
    for (size_t i = 0; i < exprs.size(); ++i) RETURN_IF_ERROR(Evaluate(*exprs[i], expr_, row, &values[i]));
    return sink_.Row(Cells(values));
  }

  const runtime::Context& context_;
  const ExecutablePlan& plan_;
  ExecEnv& env_;
  const LastWrite last_write_;
  RowSink& sink_;
  RunResult& result_;
  ExprEnv expr_;
};

Status DirectRun::Get(const PhysicalPointGet& node) {
  kv::Batch batch;
  batch.wait = KvWait(node.lock.wait);
  Row row;
  bool found = false;
  RETURN_IF_ERROR(Read(node, KvStrength(node.lock.strength), kv::LockDurability::kReplicated, batch, row, found));
  if (!found) return OkStatus();
  result_.row_count = 1;
  Row values(node.exprs.size());
  for (size_t i = 0; i < values.size(); ++i) RETURN_IF_ERROR(Evaluate(*node.exprs[i], expr_, Cells(row), &values[i]));
  return sink_.Row(Cells(values));
}

Status DirectRun::Update(const PhysicalPointUpdate& node) {
  kv::Batch read;
  Row row;
  bool found = false;
  RETURN_IF_ERROR(Read(node, kv::LockStrength::kExclusive, kv::LockDurability::kUnreplicated, read, row, found));
  if (!found) return OkStatus();
  Row values(node.set.size());
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(Evaluate(*node.set[i].expr, expr_, Cells(row), &values[i]));
  }
  // All values stand before the first column changes: an assignment may read another one.
  for (size_t i = 0; i < values.size(); ++i) row[node.set[i].ordinal] = values[i];
  RETURN_IF_ERROR(plan_.writer->Complete(env_, expr_, Cells(row)));
  kv::Batch write;
  write.Put(std::get<kv::GetRequest>(read.requests[0]).key, plan_.writer->Value(Cells(row)));
  RETURN_IF_ERROR(Write(write));
  result_.row_count = 1;
  return Give(node.returning, Cells(row));
}

Status DirectRun::Delete(const PhysicalPointDelete& node) {
  kv::Batch read;
  Row row;
  bool found = false;
  RETURN_IF_ERROR(Read(node, kv::LockStrength::kExclusive, kv::LockDurability::kUnreplicated, read, row, found));
  if (!found) return OkStatus();
  kv::Batch write;
  write.Delete(std::get<kv::GetRequest>(read.requests[0]).key);
  RETURN_IF_ERROR(Write(write));
  result_.row_count = 1;
  return Give(node.returning, Cells(row));
}

Status DirectRun::Insert(const PhysicalPointInsert& node) {
  std::vector<std::vector<Datum>> rows;
  rows.reserve(node.rows.size());
  for (const std::vector<ExprPtr>& exprs : node.rows) {
    std::vector<Datum>& row = rows.emplace_back(exprs.size());
    for (size_t i = 0; i < exprs.size(); ++i) RETURN_IF_ERROR(Evaluate(*exprs[i], expr_, {}, &row[i]));
    RETURN_IF_ERROR(plan_.writer->Complete(env_, expr_, row));
  }
  kv::Batch write;
  if (node.on_conflict && node.on_conflict->replaces_row && last_write_ == LastWrite::kCommit) {
    // Not in a longer transaction: there the row is locked from the statement on, by looking at it.
    RETURN_IF_ERROR(ReplaceRows(*plan_.writer, rows, write));
  } else if (node.on_conflict) {
    ConflictResolver resolver(*plan_.writer, *node.on_conflict);
    std::vector<std::vector<Datum>> affected;
    auto send = [&](kv::Batch& batch) { return SendKv(context_, env_, batch, node.table.get()); };
    RETURN_IF_ERROR(resolver.Resolve(env_, expr_, rows, send, write, affected));
    rows = std::move(affected);
  } else {
    if (plan_.writer->has_fresh_keys()) write.inserted_keys = kv::InsertedKeys::kFresh;
    for (const std::vector<Datum>& row : rows) write.Insert(plan_.writer->Key(row), plan_.writer->Value(row));
  }
  RETURN_IF_ERROR(Write(write));
  result_.row_count = rows.size();
  for (const std::vector<Datum>& row : rows) RETURN_IF_ERROR(Give(node.returning, row));
  return OkStatus();
}

}  // namespace

Status RunDirect(const runtime::Context& context, const ExecutablePlan& plan, ExecEnv& env, LastWrite last_write,
                 RowSink& sink, RunResult& result) {
  DirectRun run(context, plan, env, last_write, sink, result);
  const PhysicalNode& root = *plan.plan->root;
  switch (root.kind) {
    case PhysicalKind::kPointGet: return run.Get(root.As<PhysicalPointGet>());
    case PhysicalKind::kPointUpdate: return run.Update(root.As<PhysicalPointUpdate>());
    case PhysicalKind::kPointDelete: return run.Delete(root.As<PhysicalPointDelete>());
    case PhysicalKind::kPointInsert: return run.Insert(root.As<PhysicalPointInsert>());
    default: return InternalError("not a direct plan");
  }
}

}  // namespace orrery::sql
