#include "orrery/sql/exec/executor.h"

#include "orrery/runtime/runtime.h"
#include "orrery/sql/types/array.h"
#include "sql/exec/executable_plan.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

// Counts what passes through a node.
class CountingOperator final : public RowOperator {
 public:
  CountingOperator(OperatorPtr inner, NodeCounters& counters) : inner_(std::move(inner)), counters_(counters) {}
  Status Open(ExecState& state) override {
    ++counters_.loops;
    MonoTime start = state.context->runtime().clock().MonoNow();
    Status status = inner_->Open(state);
    counters_.time += state.context->runtime().clock().MonoNow() - start;
    return status;
  }
  Status Next(ExecState& state, RowBatch& out) override {
    MonoTime start = state.context->runtime().clock().MonoNow();
    Status status = inner_->Next(state, out);
    counters_.time += state.context->runtime().clock().MonoNow() - start;
    if (status.ok()) counters_.rows += out.count();
    return status;
  }
  bool CellsLiveWithPins() const override { return inner_->CellsLiveWithPins(); }

 private:
  OperatorPtr inner_;
  NodeCounters& counters_;
};

// A plan of one point node run as an ordinary operator: under EXPLAIN ANALYZE, or as a portal that is
// fetched in pieces.
class DirectOperator final : public RowOperator {
 public:
  explicit DirectOperator(const PhysicalNode& node) : node_(node) {}
  Status Open(ExecState&) override {
    done_ = false;
    return OkStatus();
  }
  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.output.size());
    if (done_) return OkStatus();
    done_ = true;
    BatchSink sink(out);
    RunResult result;
    // The plan is shared and immutable: compiling it anew costs little where this path is taken.
    auto borrowed = PhysicalPlanPtr(PhysicalPlanPtr(), &state.plan);
    ExecutablePlan plan(borrowed);
    RETURN_IF_ERROR(RunDirect(*state.context, plan, state.env, LastWrite::kLeaveOpen, sink, result));
    if (node_.kind != PhysicalKind::kPointGet) state.rows_changed += result.row_count;
    return OkStatus();
  }

 private:
  class BatchSink final : public RowSink {
   public:
    explicit BatchSink(RowBatch& out) : out_(out) {}
    Status Row(std::span<const Datum> values) override {
      std::span<Datum> row = out_.AddRow();
      for (size_t i = 0; i < row.size(); ++i) row[i] = values[i].Owned();
      return OkStatus();
    }
    Status CopyOut(std::string_view) override { return InternalError("no COPY here"); }

   private:
    RowBatch& out_;
  };
  const PhysicalNode& node_;
  bool done_ = false;
};

bool ChangesData(PhysicalKind kind) {
  switch (kind) {
    case PhysicalKind::kPointInsert:
    case PhysicalKind::kPointUpdate:
    case PhysicalKind::kPointDelete:
    case PhysicalKind::kInsert:
    case PhysicalKind::kUpdate:
    case PhysicalKind::kDelete:
      return true;
    default:
      return false;
  }
}

// One scan is all that reads: no other operator uses the transaction, and no function (those of the catalog may).
bool IsOneScan(const PhysicalPlan& plan) {
  const PhysicalNode* at = plan.root.get();
  if (at->kind == PhysicalKind::kProject) {
    for (const ExprPtr& expr : at->As<PhysicalProject>().exprs) {
      if (expr->kind != Expr::Kind::kSlot) return false;
    }
    at = at->inputs[0].get();
  }
  return at->kind == PhysicalKind::kScan && !at->As<PhysicalScan>().filter && plan.subplans.empty();
}

// Answers subquery expressions by running their subplans, once for all rows where nothing varies.
class Subplans final : public SubplanRunner {
 public:
  void Start(ExecState& state, OperatorBuilder& builder) {
    state_ = &state;
    subplans_.resize(state.plan.subplans.size());
    for (size_t i = 0; i < subplans_.size(); ++i) subplans_[i].op = builder.Build(*state.plan.subplans[i].root);
  }

  Status Evaluate(const Expr& e, std::span<const Datum> row, Datum* out) override {
    Subplan& subplan = subplans_[e.index];
    const PhysicalSubplan& plan = state_->plan.subplans[e.index];
    for (const VariableBinding& binding : plan.variables) {
      Datum value;
      RETURN_IF_ERROR(sql::Evaluate(*binding.value, state_->expr, row, &value));
      state_->variables[binding.variable] = value.Owned();
    }
    if (!plan.variables.empty() || !subplan.known) RETURN_IF_ERROR(Fill(e, subplan));
    subplan.known = plan.variables.empty();
    switch (e.subquery_kind) {
      case Expr::SubqueryKind::kExists:
        *out = Datum::Bool(!subplan.rows.empty() != e.negated);
        return OkStatus();
      case Expr::SubqueryKind::kScalar:
        if (subplan.rows.size() > 1) {
          return Status(Code::kInvalidArgument, "21000", "more than one row returned by a subquery used as an expression");
        }
        *out = subplan.rows.empty() ? Datum::Null() : subplan.rows[0][0];
        return OkStatus();
      case Expr::SubqueryKind::kAny:
      case Expr::SubqueryKind::kAll:
        return Compare(e, subplan.rows, row, out);
      case Expr::SubqueryKind::kArray:
        return Collect(e, subplan.rows, out);
    }
    return InternalError("unknown kind of subquery");
  }

 private:
  struct Subplan {
    OperatorPtr op;
    std::vector<OwnedRow> rows;
    uint64_t charged_bytes = 0;
    bool known = false;
  };

  Status Fill(const Expr& e, Subplan& subplan) {
    subplan.rows.clear();
    state_->env.memory.Release(subplan.charged_bytes);
    subplan.charged_bytes = 0;
    RETURN_IF_ERROR(subplan.op->Open(*state_));
    // EXISTS needs one row, a scalar subquery two to know that there are too many.
    size_t wanted = e.subquery_kind == Expr::SubqueryKind::kExists   ? 1
                    : e.subquery_kind == Expr::SubqueryKind::kScalar ? 2
                                                                     : SIZE_MAX;
    RowBatch batch;
    while (subplan.rows.size() < wanted) {
      RETURN_IF_ERROR(subplan.op->Next(*state_, batch));
      if (batch.empty()) break;
      for (size_t i = 0; i < batch.count() && subplan.rows.size() < wanted; ++i) {
        subplan.rows.push_back(CopyOwned(batch.row(i)));
        uint64_t bytes = BytesOf(subplan.rows.back());
        subplan.charged_bytes += bytes;
        RETURN_IF_ERROR(state_->Charge(bytes));
      }
    }
    return state_->context->Check();
  }

  // ARRAY(subquery).
  static Status Collect(const Expr& e, const std::vector<OwnedRow>& rows, Datum* out) {
    std::vector<Datum> elements;
    elements.reserve(rows.size());
    for (const OwnedRow& row : rows) elements.push_back(row[0]);
    *out = Array::OfList(ElementTypeOf(e.type.oid), std::move(elements)).Pack();
    return OkStatus();
  }

  // x op ANY/ALL (rows), three-valued.
  Status Compare(const Expr& e, const std::vector<OwnedRow>& rows, std::span<const Datum> row, Datum* out) {
    bool any = e.subquery_kind == Expr::SubqueryKind::kAny;
    OwnedRow left(e.args.size());
    for (size_t i = 0; i < left.size(); ++i) RETURN_IF_ERROR(sql::Evaluate(*e.args[i], state_->expr, row, &left[i]));
    bool unknown = false;
    for (const OwnedRow& candidate : rows) {
      bool row_unknown = false;
      bool row_false = false;
      for (size_t i = 0; i < left.size() && !row_false; ++i) {
        Datum result;
        Datum args[2] = {left[i], candidate[i]};
        if (!args[0].is_null() && !args[1].is_null()) {
          RETURN_IF_ERROR(e.functions[i]->evaluate(state_->env.eval, std::span<const Datum>(args, 2), &result));
        }
        row_unknown = row_unknown || result.is_null();
        row_false = !result.is_null() && !result.as_bool();
      }
      bool decided = any ? !row_false && !row_unknown : row_false;
      if (decided) {
        *out = Datum::Bool(any != e.negated);
        return OkStatus();
      }
      unknown = unknown || (row_unknown && !row_false);
    }
    // None decided it: ANY is false and ALL is true, unless some row was unknown.
    *out = unknown ? Datum::Null() : Datum::Bool(any == e.negated);
    return OkStatus();
  }

  ExecState* state_ = nullptr;
  std::vector<Subplan> subplans_;
};

}  // namespace

OperatorPtr OperatorBuilder::Build(const PhysicalNode& node) {
  if (counters_ == nullptr) return BuildPlain(node);
  counters_->push_back(std::make_unique<NodeCounters>());
  NodeCounters& counters = *counters_->back();
  counters.node = &node;
  return std::make_unique<CountingOperator>(BuildPlain(node), counters);
}

OperatorPtr OperatorBuilder::BuildPlain(const PhysicalNode& node) {
  auto input = [&](size_t i) { return Build(*node.inputs[i]); };
  switch (node.kind) {
    case PhysicalKind::kPointGet:
    case PhysicalKind::kPointInsert:
    case PhysicalKind::kPointUpdate:
    case PhysicalKind::kPointDelete: return std::make_unique<DirectOperator>(node);
    case PhysicalKind::kScan: return MakeScan(node.As<PhysicalScan>(), plan_.ReaderOf(node));
    case PhysicalKind::kKeyLookup: return MakeKeyLookup(node.As<PhysicalKeyLookup>(), plan_.ReaderOf(node));
    case PhysicalKind::kVirtualScan: return MakeVirtualScan(node.As<PhysicalVirtualScan>());
    case PhysicalKind::kFunctionScan: return MakeFunctionScan(node.As<PhysicalFunctionScan>());
    case PhysicalKind::kValues: return MakeValues(node.As<PhysicalValues>());
    case PhysicalKind::kExternal: return MakeExternal(node.As<PhysicalExternal>());
    case PhysicalKind::kFilter: return MakeFilter(node.As<PhysicalFilter>(), input(0));
    case PhysicalKind::kProject: return MakeProject(node.As<PhysicalProject>(), input(0));
    case PhysicalKind::kLimit: return MakeLimit(node.As<PhysicalLimit>(), input(0));
    case PhysicalKind::kSort: return MakeSort(node.As<PhysicalSort>(), input(0));
    case PhysicalKind::kWindow: return MakeWindow(node.As<PhysicalWindow>(), input(0));
    case PhysicalKind::kDistinctOn: return MakeDistinctOn(node.As<PhysicalDistinctOn>(), input(0));
    case PhysicalKind::kHashAggregate:
    case PhysicalKind::kStreamAggregate: return MakeAggregate(node.As<PhysicalAggregate>(), input(0));
    case PhysicalKind::kLookupJoin: return MakeLookupJoin(node.As<PhysicalLookupJoin>(), input(0));
    case PhysicalKind::kInsert: return MakeInsert(node.As<PhysicalInsert>(), input(0));
    case PhysicalKind::kUpdate: return MakeUpdate(node.As<PhysicalUpdate>(), input(0));
    case PhysicalKind::kDelete: return MakeDelete(node.As<PhysicalDelete>(), input(0));
    case PhysicalKind::kHashJoin:
    case PhysicalKind::kNestedLoopJoin:
    case PhysicalKind::kSetOperation: {
      OperatorPtr left = input(0);
      OperatorPtr right = input(1);
      if (node.kind == PhysicalKind::kHashJoin) {
        return MakeHashJoin(node.As<PhysicalHashJoin>(), std::move(left), std::move(right));
      }
      if (node.kind == PhysicalKind::kNestedLoopJoin) {
        return MakeNestedLoopJoin(node.As<PhysicalNestedLoopJoin>(), std::move(left), std::move(right));
      }
      return MakeSetOperation(node.As<PhysicalSetOperation>(), std::move(left), std::move(right));
    }
  }
  ORRERY_ASSERT(false, "every kind of physical node has an operator");
}

class Execution::Impl {
 public:
  Impl(ExecutablePlanPtr plan, ExecEnv& env, Analyze analyze)
      : plan_(std::move(plan)), state_(env, *plan_->plan, &subplans_),
        builder_(*plan_, analyze == Analyze::kOn ? &counters_ : nullptr) {
    state_.reads_ahead = env.read_ahead == ReadAhead::kAllowed && IsOneScan(*plan_->plan);
    root_ = builder_.Build(*plan_->plan->root);
    subplans_.Start(state_, builder_);
  }

  Status Run(const runtime::Context& context, uint64_t row_limit, RowSink& sink) {
    state_.context = &context;
    if (!opened_) {
      opened_ = true;
      RETURN_IF_ERROR(root_->Open(state_));
    }
    uint64_t given = 0;
    while (true) {
      if (next_ >= batch_.count()) {
        RETURN_IF_ERROR(context.Check());
        RETURN_IF_ERROR(root_->Next(state_, batch_));
        next_ = 0;
        if (batch_.empty()) {
          finished_ = true;
          return OkStatus();
        }
      }
      for (; next_ < batch_.count(); ++next_) {
        if (row_limit > 0 && given == row_limit) return OkStatus();
        if (!plan_->plan->result.empty()) RETURN_IF_ERROR(sink.Row(batch_.row(next_)));
        ++given;
        ++row_count_;
      }
      if (row_limit > 0 && given == row_limit) return OkStatus();
    }
  }

  bool finished() const { return finished_; }
  uint64_t row_count() const {
    return ChangesData(plan_->plan->root->kind) ? state_.rows_changed : row_count_;
  }
  std::vector<NodeStatistics> statistics() const {
    std::vector<NodeStatistics> out;
    for (const auto& c : counters_) out.push_back({c->node, c->rows, c->loops, c->time});
    return out;
  }

 private:
  ExecutablePlanPtr plan_;
  Subplans subplans_;
  ExecState state_;
  std::vector<std::unique_ptr<NodeCounters>> counters_;
  OperatorBuilder builder_;
  OperatorPtr root_;
  RowBatch batch_;
  size_t next_ = 0;
  uint64_t row_count_ = 0;
  bool opened_ = false;
  bool finished_ = false;
};

Execution::Execution(ExecutablePlanPtr plan, ExecEnv& env, Analyze analyze)
    : impl_(std::make_unique<Impl>(std::move(plan), env, analyze)) {}
Execution::~Execution() = default;
Status Execution::Run(const runtime::Context& context, uint64_t row_limit, RowSink& sink) {
  return impl_->Run(context, row_limit, sink);
}
bool Execution::finished() const { return impl_->finished(); }
uint64_t Execution::row_count() const { return impl_->row_count(); }
std::vector<Execution::NodeStatistics> Execution::statistics() const { return impl_->statistics(); }

}  // namespace orrery::sql
