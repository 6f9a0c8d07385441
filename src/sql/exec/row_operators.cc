// Operators that look at one row after another: filter, project, limit, DISTINCT ON.
#include <algorithm>

#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

class FilterOperator final : public RowOperator {
 public:
  FilterOperator(const PhysicalFilter& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}
  Status Open(ExecState& state) override { return input_->Open(state); }
  Status Next(ExecState& state, RowBatch& out) override {
    do {
      RETURN_IF_ERROR(input_->Next(state, out));
      if (out.empty()) return OkStatus();
      RETURN_IF_ERROR(FilterBatch(*node_.condition, state.expr, out));
    } while (out.empty());
    return OkStatus();
  }
  bool CellsLiveWithPins() const override { return input_->CellsLiveWithPins(); }

 private:
  const PhysicalFilter& node_;
  OperatorPtr input_;
};

class ProjectOperator final : public RowOperator {
 public:
  ProjectOperator(const PhysicalProject& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}
  Status Open(ExecState& state) override { return input_->Open(state); }
  Status Next(ExecState& state, RowBatch& out) override {
    RETURN_IF_ERROR(input_->Next(state, in_));
    out.Reset(node_.exprs.size());
    out.PinAllOf(in_);
    for (size_t i = 0; i < in_.count(); ++i) {
      std::span<Datum> row = out.AddRow();
      for (size_t c = 0; c < row.size(); ++c) {
        RETURN_IF_ERROR(Evaluate(*node_.exprs[c], state.expr, in_.row(i), &row[c]));
      }
    }
    return OkStatus();
  }
  // What a function makes may borrow from a cell that is gone with the batch.
  bool CellsLiveWithPins() const override {
    const auto is_copy = [](const ExprPtr& e) { return e->kind == Expr::Kind::kSlot || e->kind == Expr::Kind::kConstant; };
    return input_->CellsLiveWithPins() && std::all_of(node_.exprs.begin(), node_.exprs.end(), is_copy);
  }

 private:
  const PhysicalProject& node_;
  OperatorPtr input_;
  RowBatch in_;
};

class LimitOperator final : public RowOperator {
 public:
  LimitOperator(const PhysicalLimit& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}

  Status Open(ExecState& state) override {
    left_.reset();
    skip_ = 0;
    if (node_.offset) {
      ASSIGN_OR_RETURN(std::optional<int64_t> offset, EvaluateCount(*node_.offset, state.expr));
      skip_ = offset.value_or(0);
      if (skip_ < 0) return Status(Code::kInvalidArgument, "2201X", "OFFSET must not be negative");
    }
    if (node_.limit) {
      ASSIGN_OR_RETURN(left_, EvaluateCount(*node_.limit, state.expr));
      if (left_ && *left_ < 0) return Status(Code::kInvalidArgument, "2201W", "LIMIT must not be negative");
    }
    return input_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    while (true) {
      if (left_ && *left_ == 0) {
        out.Reset(node_.output.size());
        return OkStatus();
      }
      RETURN_IF_ERROR(input_->Next(state, out));
      if (out.empty()) return OkStatus();
      if (skip_ > 0) DropFront(out);
      if (left_) {
        out.Truncate(size_t(std::min<int64_t>(*left_, int64_t(out.count()))));
        *left_ -= int64_t(out.count());
      }
      if (!out.empty()) return OkStatus();
    }
  }
  bool CellsLiveWithPins() const override { return input_->CellsLiveWithPins(); }

 private:
  void DropFront(RowBatch& out) {
    size_t dropped = size_t(std::min<int64_t>(skip_, int64_t(out.count())));
    skip_ -= int64_t(dropped);
    for (size_t i = dropped; i < out.count(); ++i) out.MoveRow(i, i - dropped);
    out.Truncate(out.count() - dropped);
  }

  const PhysicalLimit& node_;
  OperatorPtr input_;
  std::optional<int64_t> left_;
  int64_t skip_ = 0;
};

class DistinctOnOperator final : public RowOperator {
 public:
  DistinctOnOperator(const PhysicalDistinctOn& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}
  Status Open(ExecState& state) override {
    last_.clear();
    started_ = false;
    return input_->Open(state);
  }
  Status Next(ExecState& state, RowBatch& out) override {
    do {
      RETURN_IF_ERROR(input_->Next(state, out));
      if (out.empty()) return OkStatus();
      size_t kept = 0;
      for (size_t i = 0; i < out.count(); ++i) {
        if (kept > 0 ? Same(out.row(kept - 1), out.row(i)) : SameAsLast(out.row(i))) continue;
        out.MoveRow(i, kept++);
      }
      out.Truncate(kept);
      if (kept == 0) continue;
      last_.clear();
      for (uint32_t slot : node_.on) last_.push_back(out.row(kept - 1)[slot].Owned());
      started_ = true;
    } while (out.empty());
    return OkStatus();
  }

 private:
  bool Same(std::span<const Datum> a, std::span<const Datum> b) const {
    return std::all_of(node_.on.begin(), node_.on.end(), [&](uint32_t slot) {
      return NotDistinct(node_.output[slot].type.oid, a[slot], b[slot]);
    });
  }
  bool SameAsLast(std::span<const Datum> row) const {
    if (!started_ || last_.size() != node_.on.size()) return false;
    for (size_t i = 0; i < node_.on.size(); ++i) {
      if (!NotDistinct(node_.output[node_.on[i]].type.oid, last_[i], row[node_.on[i]])) return false;
    }
    return true;
  }
  const PhysicalDistinctOn& node_;
  OperatorPtr input_;
  OwnedRow last_;
  bool started_ = false;
};

}  // namespace

Status DrainRows(ExecState& state, RowOperator& input, const std::function<Status(std::span<const Datum>)>& take) {
  RowBatch batch;
  while (true) {
    RETURN_IF_ERROR(input.Next(state, batch));
    if (batch.empty()) return OkStatus();
    RETURN_IF_ERROR(state.context->Check());
    for (size_t i = 0; i < batch.count(); ++i) RETURN_IF_ERROR(take(batch.row(i)));
  }
}

OperatorPtr MakeFilter(const PhysicalFilter& node, OperatorPtr input) {
  return std::make_unique<FilterOperator>(node, std::move(input));
}
OperatorPtr MakeProject(const PhysicalProject& node, OperatorPtr input) {
  return std::make_unique<ProjectOperator>(node, std::move(input));
}
OperatorPtr MakeLimit(const PhysicalLimit& node, OperatorPtr input) {
  return std::make_unique<LimitOperator>(node, std::move(input));
}
OperatorPtr MakeDistinctOn(const PhysicalDistinctOn& node, OperatorPtr input) {
  return std::make_unique<DistinctOnOperator>(node, std::move(input));
}

}  // namespace orrery::sql
