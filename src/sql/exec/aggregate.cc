// Aggregation by hash, DISTINCT and set operations: all keep one entry a distinct row.
#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "orrery/sql/types/aggregates.h"
#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

using Cells = KeptPins::Cells;

// Distinct rows in order of arrival, with an index by hash. NULLs are equal to each other.
class RowSet {
 public:
  explicit RowSet(std::vector<Oid> types) : types_(std::move(types)) {}
  void Clear() {
    cells_.clear();
    next_.clear();
    first_.clear();
  }
  // Index of the row equal to `row`; inserted if there was none. −1: absent and not to be inserted.
  enum class Mode : uint8_t { kFind, kInsert };
  int Find(std::span<const Datum> row, Mode mode, Cells cells = Cells::kCopied) {
    uint64_t hash = 0;
    for (size_t i = 0; i < types_.size(); ++i) {
      hash = row[i].is_null() ? hash * 31 + 7 : HashDatum(types_[i], row[i], hash);
    }
    auto it = first_.find(hash);
    for (int at = it == first_.end() ? -1 : it->second; at >= 0; at = next_[size_t(at)]) {
      if (Same(this->row(size_t(at)), row)) return at;
    }
    if (mode == Mode::kFind) return -1;
    const int index = int(size());
    for (const Datum& cell : row.first(types_.size())) cells_.push_back(cells == Cells::kPinned ? cell : cell.Owned());
    next_.push_back(it == first_.end() ? -1 : it->second);
    first_[hash] = index;
    return index;
  }
  size_t size() const { return next_.size(); }
  std::span<const Datum> row(size_t i) const { return {cells_.data() + i * types_.size(), types_.size()}; }

 private:
  bool Same(std::span<const Datum> a, std::span<const Datum> b) const {
    for (size_t i = 0; i < types_.size(); ++i) {
      if (!NotDistinct(types_[i], a[i], b[i])) return false;
    }
    return true;
  }
  std::vector<Oid> types_;
  std::vector<Datum> cells_;  // row by row
  std::vector<int> next_;     // a row: the next one of the same hash
  absl::flat_hash_map<uint64_t, int> first_;  // looked up only
};

std::vector<Oid> TypesOf(const std::vector<ExprPtr>& exprs) {
  std::vector<Oid> types;
  for (const ExprPtr& e : exprs) types.push_back(e->type.oid);
  return types;
}

// One aggregate call within one group.
class AggregateState {
 public:
  explicit AggregateState(const PhysicalAggregateCall& call) : call_(&call) {
    const Aggregate& aggregate = *call.function->aggregate;
    memory_.reset(new uint64_t[(aggregate.state_bytes() + 7) / 8]);
    aggregate.Init(memory_.get());
  }
  ~AggregateState() {
    if (memory_) aggregate().Destroy(memory_.get());
  }
  AggregateState(AggregateState&& other) noexcept = default;
  AggregateState& operator=(AggregateState&&) = delete;

  Status Update(ExecState& state, std::span<const Datum> row) {
    if (call_->filter) {
      ASSIGN_OR_RETURN(bool counts, IsTrue(*call_->filter, state.expr, row));
      if (!counts) return OkStatus();
    }
    std::vector<Datum>& args = scratch_;
    args.resize(call_->args.size());
    for (size_t i = 0; i < args.size(); ++i) RETURN_IF_ERROR(Evaluate(*call_->args[i], state.expr, row, &args[i]));
    if (aggregate().skips_nulls() && !args.empty() && args[0].is_null()) return OkStatus();
    if (call_->distinct) {
      if (!seen_) seen_ = std::make_unique<RowSet>(TypesOf(call_->args));
      size_t before = seen_->size();
      seen_->Find(args, RowSet::Mode::kInsert);
      if (seen_->size() == before) return OkStatus();
      RETURN_IF_ERROR(state.Charge(BytesOf(args) + 16));
      if (!call_->order_by.empty()) return Keep(state, row, args);
    } else if (!call_->order_by.empty()) {
      return Keep(state, row, args);
    }
    uint64_t before = aggregate().heap_bytes(memory_.get());
    RETURN_IF_ERROR(aggregate().Update(state.env.eval, memory_.get(), args));
    uint64_t after = aggregate().heap_bytes(memory_.get());
    return after > before ? state.Charge(after - before) : OkStatus();
  }

  Status Final(ExecState& state, Datum* out) {
    if (!call_->order_by.empty()) {
      std::stable_sort(ordered_.begin(), ordered_.end(), [this](const auto& a, const auto& b) { return Less(a, b); });
      for (const auto& entry : ordered_) RETURN_IF_ERROR(aggregate().Update(state.env.eval, memory_.get(), entry.second));
      ordered_.clear();
    }
    RETURN_IF_ERROR(aggregate().Final(state.env.eval, memory_.get(), out));
    *out = out->Owned();
    return OkStatus();
  }

 private:
  using Ordered = std::pair<OwnedRow, OwnedRow>;  // sort keys, arguments
  const Aggregate& aggregate() const { return *call_->function->aggregate; }
  Status Keep(ExecState& state, std::span<const Datum> row, std::span<const Datum> args) {
    OwnedRow keys(call_->order_by.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*call_->order_by[i].expr, state.expr, row, &keys[i]));
      keys[i] = keys[i].Owned();
    }
    RETURN_IF_ERROR(state.Charge(BytesOf(keys) + BytesOf(args)));
    ordered_.emplace_back(std::move(keys), CopyOwned(args));
    return OkStatus();
  }
  bool Less(const Ordered& a, const Ordered& b) const {
    for (size_t i = 0; i < call_->order_by.size(); ++i) {
      const SortKey& key = call_->order_by[i];
      auto order = CompareForSort(key.expr->type.oid, a.first[i], b.first[i], key.direction, key.nulls);
      if (order != 0) return order < 0;
    }
    return false;
  }

  const PhysicalAggregateCall* call_;
  std::unique_ptr<uint64_t[]> memory_;
  std::unique_ptr<RowSet> seen_;
  std::vector<Ordered> ordered_;
  std::vector<Datum> scratch_;
};

class AggregateOperator final : public RowOperator {
 public:
  AggregateOperator(const PhysicalAggregate& node, OperatorPtr input)
      : node_(node), input_(std::move(input)), groups_(TypesOf(node.groups)),
        groups_are_slots_(std::all_of(node.groups.begin(), node.groups.end(),
                                      [](const ExprPtr& e) { return e->kind == Expr::Kind::kSlot; })) {}

  Status Open(ExecState& state) override {
    state.env.memory.Release(kept_.pins().pinned_bytes());
    kept_.Clear();
    groups_.Clear();
    states_.clear();
    done_ = false;
    next_ = 0;
    return input_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    if (!done_) RETURN_IF_ERROR(Fill(state));
    out.Reset(node_.output.size());
    out.PinAllOf(kept_.pins());
    for (; next_ < groups_.size() && !out.full(); ++next_) {
      std::span<Datum> row = out.AddRow();
      const std::span<const Datum> group = groups_.row(next_);
      std::copy(group.begin(), group.end(), row.begin());
      for (size_t i = 0; i < node_.aggregates.size(); ++i) {
        RETURN_IF_ERROR(states_[next_ * node_.aggregates.size() + i].Final(state, &row[group.size() + i]));
      }
    }
    return OkStatus();
  }
  bool CellsLiveWithPins() const override { return true; }

 private:
  Status Fill(ExecState& state) {
    done_ = true;
    if (node_.groups.empty()) RETURN_IF_ERROR(GroupOf(state, {}, Cells::kCopied).status());
    std::vector<Datum> group(node_.groups.size());
    while (true) {
      RETURN_IF_ERROR(input_->Next(state, batch_));
      if (batch_.empty()) return OkStatus();
      RETURN_IF_ERROR(state.context->Check());
      Cells cells = Cells::kCopied;
      if (groups_are_slots_ && !group.empty()) {
        ASSIGN_OR_RETURN(cells, kept_.Keep(state, *input_, batch_));
      }
      for (size_t i = 0; i < batch_.count(); ++i) RETURN_IF_ERROR(Add(state, batch_.row(i), group, cells));
    }
  }

  Status Add(ExecState& state, std::span<const Datum> row, std::vector<Datum>& group, Cells cells) {
    size_t index = 0;
    if (!group.empty()) {
      for (size_t i = 0; i < group.size(); ++i) RETURN_IF_ERROR(Evaluate(*node_.groups[i], state.expr, row, &group[i]));
      ASSIGN_OR_RETURN(index, GroupOf(state, group, cells));
    }
    for (size_t i = 0; i < node_.aggregates.size(); ++i) {
      RETURN_IF_ERROR(states_[index * node_.aggregates.size() + i].Update(state, row));
    }
    return OkStatus();
  }

  StatusOr<size_t> GroupOf(ExecState& state, std::span<const Datum> group, Cells cells) {
    size_t before = groups_.size();
    size_t index = size_t(groups_.Find(group, RowSet::Mode::kInsert, cells));
    if (groups_.size() == before) return index;
    uint64_t bytes = BytesOf(group) + 32;
    for (const PhysicalAggregateCall& call : node_.aggregates) {
      states_.emplace_back(call);
      bytes += sizeof(AggregateState) + call.function->aggregate->state_bytes();
    }
    RETURN_IF_ERROR(state.Charge(bytes));
    return index;
  }

  const PhysicalAggregate& node_;
  OperatorPtr input_;
  RowSet groups_;
  const bool groups_are_slots_;
  RowBatch batch_;
  KeptPins kept_;                       // what the groups borrow from
  std::vector<AggregateState> states_;  // group by group
  bool done_ = false;
  size_t next_ = 0;
};

class SetOperationOperator final : public RowOperator {
 public:
  SetOperationOperator(const PhysicalSetOperation& node, OperatorPtr left, OperatorPtr right)
      : node_(node), left_(std::move(left)), right_(std::move(right)), rows_(Types(node)) {}

  Status Open(ExecState& state) override {
    rows_.Clear();
    copies_.clear();
    on_right_ = false;
    filled_ = false;
    next_ = 0;
    RETURN_IF_ERROR(left_->Open(state));
    return right_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    if (node_.operation == SetOperation::kUnion && node_.all) {
      if (!on_right_) {
        RETURN_IF_ERROR(left_->Next(state, out));
        if (!out.empty()) return OkStatus();
        on_right_ = true;
      }
      return right_->Next(state, out);
    }
    if (!filled_) RETURN_IF_ERROR(Fill(state));
    out.Reset(node_.output.size());
    while (next_ < copies_.size() && !out.full()) {
      if (copies_[next_] == 0) {
        ++next_;
        continue;
      }
      --copies_[next_];
      const std::span<const Datum> row = rows_.row(next_);
      std::copy(row.begin(), row.end(), out.AddRow().begin());
    }
    return OkStatus();
  }

 private:
  static std::vector<Oid> Types(const PhysicalSetOperation& node) {
    std::vector<Oid> types;
    for (const OutputColumn& column : node.output) types.push_back(column.type.oid);
    return types;
  }
  Status Count(ExecState& state, RowOperator& input, std::vector<int64_t>& counts) {
    return DrainRows(state, input, [&](std::span<const Datum> row) -> Status {
      size_t index = size_t(rows_.Find(row, RowSet::Mode::kInsert));
      if (index >= counts.size()) {
        RETURN_IF_ERROR(state.Charge(BytesOf(row) + 32));
        counts.resize(index + 1);
      }
      ++counts[index];
      return OkStatus();
    });
  }
  // How often each distinct row is given out: PostgreSQL documentation, 7.4.
  Status Fill(ExecState& state) {
    filled_ = true;
    std::vector<int64_t> left, right;
    RETURN_IF_ERROR(Count(state, *left_, left));
    RETURN_IF_ERROR(Count(state, *right_, right));
    left.resize(rows_.size());
    right.resize(rows_.size());
    copies_.resize(rows_.size());
    for (size_t i = 0; i < copies_.size(); ++i) {
      int64_t n = 1;
      if (node_.operation == SetOperation::kIntersect) n = std::min(left[i], right[i]);
      if (node_.operation == SetOperation::kExcept) {
        n = node_.all ? std::max<int64_t>(left[i] - right[i], 0) : (right[i] > 0 ? 0 : left[i]);
      }
      copies_[i] = node_.all ? n : std::min<int64_t>(n, 1);
    }
    return OkStatus();
  }

  const PhysicalSetOperation& node_;
  OperatorPtr left_;
  OperatorPtr right_;
  RowSet rows_;
  std::vector<int64_t> copies_;
  bool on_right_ = false;
  bool filled_ = false;
  size_t next_ = 0;
};

}  // namespace

OperatorPtr MakeAggregate(const PhysicalAggregate& node, OperatorPtr input) {
  return std::make_unique<AggregateOperator>(node, std::move(input));
}
OperatorPtr MakeSetOperation(const PhysicalSetOperation& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<SetOperationOperator>(node, std::move(left), std::move(right));
}

}  // namespace orrery::sql
