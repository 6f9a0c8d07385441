// INSERT, UPDATE and DELETE: rows from the input become batches of KV writes; RETURNING's rows go on up.
#include <set>

#include "sql/exec/operator.h"
#include "sql/exec/table_writer.h"

namespace orrery::sql {
namespace {

constexpr size_t kBatchRequestsMax = 4096;
constexpr size_t kBatchBytesMax = size_t{4} << 20;

// Writes collected for one KV batch.
class PendingWrites {
 public:
  kv::Batch& batch() { return batch_; }
  void Insert(std::string_view key, std::string_view value) {
    batch_.Insert(key, value);
    bytes_ += key.size() + value.size();
  }
  void Put(std::string_view key, std::string_view value) {
    batch_.Put(key, value);
    bytes_ += key.size() + value.size();
  }
  void Delete(std::string_view key) {
    batch_.Delete(key);
    bytes_ += key.size();
  }
  bool full() const { return batch_.requests.size() >= kBatchRequestsMax || bytes_ >= kBatchBytesMax; }
  Status Flush(ExecState& state, const TableWriter& writer) {
    if (batch_.requests.empty()) return OkStatus();
    Status status = SendKv(*state.context, state.env, batch_, &writer.table());
    batch_.Clear();
    bytes_ = 0;
    return writer.ConvertError(status, state.env);
  }

 private:
  kv::Batch batch_;
  size_t bytes_ = 0;
};

// A scan of this table below a node that writes it would meet the node's own writes (the Halloween
// problem): such an input is read to its end before the first write.
bool Reads(const PhysicalNode& node, const Table& table) {
  if (node.kind == PhysicalKind::kScan || node.kind == PhysicalKind::kKeyLookup) {
    if (node.As<PhysicalTableLeaf>().table->id() == table.id()) return true;
  }
  if (node.kind == PhysicalKind::kLookupJoin && node.As<PhysicalLookupJoin>().table->id() == table.id()) return true;
  for (const PhysicalNodePtr& input : node.inputs) {
    if (Reads(*input, table)) return true;
  }
  return false;
}
// The input visits each row of the table once, in key order, and nothing else: writing behind it is safe.
bool IsSimpleScan(const PhysicalNode& node) {
  const PhysicalNode* at = &node;
  while (at->kind == PhysicalKind::kFilter || at->kind == PhysicalKind::kProject) at = at->inputs[0].get();
  return at->kind == PhysicalKind::kScan || at->kind == PhysicalKind::kKeyLookup;
}

enum class Buffering : uint8_t { kNone, kWhole };

// Input rows, streamed or read to the end first.
class ModifyInput {
 public:
  ModifyInput(OperatorPtr input, Buffering buffering) : input_(std::move(input)), buffering_(buffering) {}
  Status Open(ExecState& state) {
    rows_.clear();
    emitter_.Start();
    filled_ = false;
    return input_->Open(state);
  }
  Status Next(ExecState& state, RowBatch& out) {
    if (buffering_ == Buffering::kNone) return input_->Next(state, out);
    if (!filled_) {
      filled_ = true;
      RETURN_IF_ERROR(DrainRows(state, *input_, [&](std::span<const Datum> row) {
        rows_.push_back(CopyOwned(row));
        width_ = row.size();
        return state.Charge(BytesOf(rows_.back()));
      }));
    }
    emitter_.Next(rows_, width_, out);
    return OkStatus();
  }

 private:
  OperatorPtr input_;
  const Buffering buffering_;
  std::vector<OwnedRow> rows_;
  RowEmitter emitter_;
  size_t width_ = 0;
  bool filled_ = false;
};

// What the three have in common: pull a batch, turn each row into writes, give out RETURNING's rows once
// their writes are done.
class ModifyOperator : public RowOperator {
 public:
  ModifyOperator(const PhysicalNode& node, const Table& table, const std::vector<PhysicalCheck>& checks,
                 const std::vector<ExprPtr>& returning, OperatorPtr input, Buffering buffering)
      : writer_(table, checks), node_(node), returning_(returning), input_(std::move(input), buffering) {}

  Status Open(ExecState& state) override {
    writes_ = PendingWrites();
    return input_.Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    while (true) {
      out.Reset(returning_.size());
      RETURN_IF_ERROR(input_.Next(state, in_));
      RETURN_IF_ERROR(state.context->Check());
      if (in_.empty()) return writes_.Flush(state, writer_);
      RETURN_IF_ERROR(ModifyBatch(state, in_, out));
      if (!returning_.empty() || writes_.full()) RETURN_IF_ERROR(writes_.Flush(state, writer_));
      if (!out.empty()) return OkStatus();
    }
  }

 protected:
  virtual Status ModifyBatch(ExecState& state, RowBatch& in, RowBatch& out) = 0;

  // `row` is what RETURNING is over.
  Status Return(ExecState& state, std::span<const Datum> row, RowBatch& out) {
    ++state.rows_changed;
    if (returning_.empty()) return OkStatus();
    std::span<Datum> result = out.AddRow();
    for (size_t i = 0; i < returning_.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*returning_[i], state.expr, row, &result[i]));
      result[i] = result[i].Owned();
    }
    return OkStatus();
  }

  const TableWriter writer_;
  PendingWrites writes_;

 private:
  const PhysicalNode& node_;
  const std::vector<ExprPtr>& returning_;
  ModifyInput input_;
  RowBatch in_;
};

class InsertOperator final : public ModifyOperator {
 public:
  InsertOperator(const PhysicalInsert& node, OperatorPtr input)
      : ModifyOperator(node, *node.table, node.checks, node.returning, std::move(input),
                       Reads(*node.inputs[0], *node.table) ? Buffering::kWhole : Buffering::kNone) {
    if (node.on_conflict) resolver_.emplace(writer_, *node.on_conflict);
  }

 protected:
  Status ModifyBatch(ExecState& state, RowBatch& in, RowBatch& out) override {
    if (resolver_) return Upsert(state, in, out);
    if (state.env.loaded_rows != nullptr) return Load(state, in, *state.env.loaded_rows);
    for (size_t i = 0; i < in.count(); ++i) {
      RETURN_IF_ERROR(writer_.Complete(state.env, state.expr, in.row(i)));
      writes_.Insert(writer_.Key(in.row(i)), writer_.Value(in.row(i)));
      RETURN_IF_ERROR(Return(state, in.row(i), out));
    }
    return OkStatus();
  }

 private:
  Status Load(ExecState& state, RowBatch& in, kv::LoadedRows& rows) {
    for (size_t i = 0; i < in.count(); ++i) {
      RETURN_IF_ERROR(writer_.Complete(state.env, state.expr, in.row(i)));
      key_.clear();
      value_.clear();
      writer_.AppendKey(in.row(i), key_);
      writer_.AppendValue(in.row(i), value_);
      rows.Append(key_, value_);
    }
    state.rows_changed += in.count();
    return OkStatus();
  }

  Status Upsert(ExecState& state, RowBatch& in, RowBatch& out) {
    std::vector<std::vector<Datum>> rows;
    for (size_t i = 0; i < in.count(); ++i) {
      RETURN_IF_ERROR(writer_.Complete(state.env, state.expr, in.row(i)));
      rows.push_back(CopyOwned(in.row(i)));
    }
    std::vector<std::vector<Datum>> affected;
    auto send = [&](kv::Batch& batch) { return state.RunKv(batch, &writer_.table()); };
    RETURN_IF_ERROR(resolver_->Resolve(state.env, state.expr, rows, send, writes_.batch(), affected));
    for (const std::vector<Datum>& row : affected) RETURN_IF_ERROR(Return(state, row, out));
    // The next batch's reads must see these writes.
    return writes_.Flush(state, writer_);
  }

  std::optional<ConflictResolver> resolver_;
  std::string key_;
  std::string value_;
};

class UpdateOperator final : public ModifyOperator {
 public:
  UpdateOperator(const PhysicalUpdate& node, OperatorPtr input)
      : ModifyOperator(node, *node.table, node.checks, node.returning, std::move(input),
                       node.changes_key || !IsSimpleScan(*node.inputs[0]) ? Buffering::kWhole : Buffering::kNone),
        node_(node), once_(!IsSimpleScan(*node.inputs[0])) {}

 protected:
  Status ModifyBatch(ExecState& state, RowBatch& in, RowBatch& out) override {
    for (size_t i = 0; i < in.count(); ++i) RETURN_IF_ERROR(UpdateRow(state, in.row(i), out));
    return OkStatus();
  }

 private:
  Status UpdateRow(ExecState& state, std::span<Datum> row, RowBatch& out) {
    size_t width = writer_.table().columns().size();
    std::string key = writer_.Key(row.first(width));
    if (once_ && !seen_.insert(key).second) return OkStatus();
    values_.resize(node_.set.size());
    for (size_t i = 0; i < node_.set.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*node_.set[i].expr, state.expr, row, &values_[i]));
      values_[i] = values_[i].Owned();
    }
    for (size_t i = 0; i < node_.set.size(); ++i) row[node_.set[i].ordinal] = values_[i];
    std::span<Datum> full = row.first(width);
    RETURN_IF_ERROR(writer_.Complete(state.env, state.expr, full));
    std::string new_key = node_.changes_key ? writer_.Key(full) : key;
    if (new_key == key) {
      writes_.Put(key, writer_.Value(full));
    } else {
      writes_.Delete(key);
      writes_.Insert(new_key, writer_.Value(full));
    }
    return Return(state, row, out);
  }

  const PhysicalUpdate& node_;
  const bool once_;
  std::set<std::string> seen_;
  std::vector<Datum> values_;
};

class DeleteOperator final : public ModifyOperator {
 public:
  DeleteOperator(const PhysicalDelete& node, OperatorPtr input)
      : ModifyOperator(node, *node.table, kNoChecks, node.returning, std::move(input),
                       IsSimpleScan(*node.inputs[0]) ? Buffering::kNone : Buffering::kWhole),
        once_(!IsSimpleScan(*node.inputs[0])) {}

 protected:
  Status ModifyBatch(ExecState& state, RowBatch& in, RowBatch& out) override {
    size_t width = writer_.table().columns().size();
    for (size_t i = 0; i < in.count(); ++i) {
      std::string key = writer_.Key(in.row(i).first(width));
      if (once_ && !seen_.insert(key).second) continue;
      writes_.Delete(key);
      RETURN_IF_ERROR(Return(state, in.row(i), out));
    }
    return OkStatus();
  }

 private:
  static inline const std::vector<PhysicalCheck> kNoChecks;
  const bool once_;
  std::set<std::string> seen_;
};

}  // namespace

bool MakesRowsAlone(const ExecutablePlan& executable) {
  const PhysicalPlan& plan = PlanOf(executable);
  if (plan.root->kind != PhysicalKind::kInsert || !plan.subplans.empty()) return false;
  if (!plan.root->As<PhysicalInsert>().checks.empty()) return false;
  const PhysicalNode* input = plan.root->inputs[0].get();
  if (input->kind == PhysicalKind::kProject) {
    for (const ExprPtr& expr : input->As<PhysicalProject>().exprs) {
      if (expr->kind != Expr::Kind::kSlot && expr->kind != Expr::Kind::kConstant) return false;
    }
    input = input->inputs[0].get();
  }
  return input->kind == PhysicalKind::kExternal;
}

// Few rows one by one, so that they may wait in the transaction's write buffer; many as one request.
Status InsertRows(const runtime::Context& context, kv::Txn& txn, Duration lock_timeout, const Table& table, KvBlock rows) {
  constexpr uint64_t kManyRows = 1024;
  kv::Batch batch;
  if (rows.count() >= kManyRows) {
    batch.InsertMany(std::move(rows));
  } else {
    for (auto row = rows.Begin(); row.Next();) batch.Insert(row.key(), row.value());
  }
  return SendInTxn(context, txn, lock_timeout, batch, &table, &kv::Txn::RunBeside);
}

OperatorPtr MakeInsert(const PhysicalInsert& node, OperatorPtr input) {
  return std::make_unique<InsertOperator>(node, std::move(input));
}
OperatorPtr MakeUpdate(const PhysicalUpdate& node, OperatorPtr input) {
  return std::make_unique<UpdateOperator>(node, std::move(input));
}
OperatorPtr MakeDelete(const PhysicalDelete& node, OperatorPtr input) {
  return std::make_unique<DeleteOperator>(node, std::move(input));
}

}  // namespace orrery::sql
