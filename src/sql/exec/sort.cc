// Sort in memory, stable; with a `top` it keeps only a heap of that many rows.
#include <algorithm>

#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

struct Entry {
  OwnedRow keys;
  OwnedRow row;
  uint64_t number = 0;  // of arrival: equal keys keep their order
};

class SortOperator final : public RowOperator {
 public:
  SortOperator(const PhysicalSort& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}

  Status Open(ExecState& state) override {
    entries_.clear();
    state.env.memory.Release(charged_bytes_);
    charged_bytes_ = 0;
    sorted_ = false;
    next_ = 0;
    arrived_ = 0;
    top_.reset();
    if (node_.top) {
      ASSIGN_OR_RETURN(top_, EvaluateCount(*node_.top, state.expr));
    }
    return input_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    if (!sorted_) RETURN_IF_ERROR(Fill(state));
    out.Reset(node_.output.size());
    for (; next_ < entries_.size() && !out.full(); ++next_) {
      std::span<Datum> row = out.AddRow();
      std::copy(entries_[next_].row.begin(), entries_[next_].row.end(), row.begin());
    }
    return OkStatus();
  }

 private:
  bool Less(const Entry& a, const Entry& b) const {
    for (size_t i = 0; i < node_.keys.size(); ++i) {
      const SortKey& key = node_.keys[i];
      auto order = CompareForSort(key.expr->type.oid, a.keys[i], b.keys[i], key.direction, key.nulls);
      if (order != 0) return order < 0;
    }
    return a.number < b.number;
  }

  Status Fill(ExecState& state) {
    auto less = [this](const Entry& a, const Entry& b) { return Less(a, b); };
    RETURN_IF_ERROR(DrainRows(state, *input_, [&](std::span<const Datum> row) { return Add(state, row); }));
    std::sort(entries_.begin(), entries_.end(), less);
    sorted_ = true;
    return OkStatus();
  }

  Status Add(ExecState& state, std::span<const Datum> row) {
    auto less = [this](const Entry& a, const Entry& b) { return Less(a, b); };
    Entry entry;
    entry.number = arrived_++;
    entry.keys.resize(node_.keys.size());
    for (size_t i = 0; i < node_.keys.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*node_.keys[i].expr, state.expr, row, &entry.keys[i]));
    }
    if (top_ && entries_.size() >= uint64_t(std::max<int64_t>(*top_, 0))) {
      if (entries_.empty() || !Less(entry, entries_.front())) return OkStatus();
      std::pop_heap(entries_.begin(), entries_.end(), less);
      uint64_t dropped_bytes = BytesOf(entries_.back().row) + BytesOf(entries_.back().keys);
      state.env.memory.Release(dropped_bytes);
      charged_bytes_ -= dropped_bytes;
      entries_.pop_back();
    }
    for (Datum& key : entry.keys) key = key.Owned();
    entry.row = CopyOwned(row);
    uint64_t bytes = BytesOf(entry.row) + BytesOf(entry.keys);
    charged_bytes_ += bytes;
    RETURN_IF_ERROR(state.Charge(bytes));
    entries_.push_back(std::move(entry));
    if (top_) std::push_heap(entries_.begin(), entries_.end(), less);
    return OkStatus();
  }

  const PhysicalSort& node_;
  OperatorPtr input_;
  std::vector<Entry> entries_;
  std::optional<int64_t> top_;
  uint64_t charged_bytes_ = 0;
  uint64_t arrived_ = 0;
  size_t next_ = 0;
  bool sorted_ = false;
};

}  // namespace

OperatorPtr MakeSort(const PhysicalSort& node, OperatorPtr input) {
  return std::make_unique<SortOperator>(node, std::move(input));
}

}  // namespace orrery::sql
