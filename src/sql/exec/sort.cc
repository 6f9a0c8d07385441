// Sort in memory, stable; with a `top` it keeps only a heap of that many rows.
#include <algorithm>

#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

// An order-preserving summary of a key: if two differ, they order their keys; if not, the keys have to be compared
// (PostgreSQL's "abbreviated keys").
uint64_t Abbreviate(const SortKey& key, const Datum& value) {
  if (value.is_null()) return key.nulls == NullsOrder::kLast ? UINT64_MAX : 0;
  uint64_t bits = 0;
  switch (key.expr->type.oid) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8:
    case oid::kDate:
    case oid::kTimestamp:
    case oid::kTimestamptz:
      bits = uint64_t(value.as_int()) ^ uint64_t{1} << 63;
      break;
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kBytea:
    case oid::kUuid: {
      std::string_view bytes = value.as_bytes();
      const bool padded = key.expr->type.oid == oid::kBpchar;
      while (padded && !bytes.empty() && bytes.back() == ' ') bytes.remove_suffix(1);
      for (size_t i = 0; i < sizeof bits; ++i) bits = bits << 8 | (i < bytes.size() ? uint8_t(bytes[i]) : 0);
      break;
    }
    default:
      return 1;  // between the NULLs of both kinds
  }
  return key.direction == SortDirection::kAscending ? bits : ~bits;
}

class SortOperator final : public RowOperator {
 public:
  SortOperator(const PhysicalSort& node, OperatorPtr input)
      : node_(node), input_(std::move(input)), width_(node.output.size()), stride_(width_) {
    for (const SortKey& key : node.keys) {
      const bool in_row = key.expr->kind == Expr::Kind::kSlot;
      cell_of_key_.push_back(in_row ? key.expr->index : stride_++);
    }
  }

  Status Open(ExecState& state) override {
    items_.clear();
    cells_.clear();
    state.env.memory.Release(charged_bytes_ + kept_.pins().pinned_bytes());
    kept_.Clear();
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
    out.Reset(width_);
    out.PinAllOf(kept_.pins());
    for (; next_ < items_.size() && !out.full(); ++next_) {
      const Datum* row = RowOf(items_[next_]);
      std::copy(row, row + width_, out.AddRow().begin());
    }
    return OkStatus();
  }
  bool CellsLiveWithPins() const override { return true; }

 private:
  struct Item {
    uint64_t abbreviation = 0;  // of the first key
    uint64_t number = 0;        // of arrival: equal keys keep their order
    size_t row = 0;             // where its cells are
  };
  using Cells = KeptPins::Cells;

  const Datum* RowOf(const Item& item) const { return cells_.data() + item.row * stride_; }
  Datum* RowOf(const Item& item) { return cells_.data() + item.row * stride_; }

  bool Less(const Item& a, const Item& b) const {
    if (a.abbreviation != b.abbreviation) return a.abbreviation < b.abbreviation;
    for (size_t i = 0; i < node_.keys.size(); ++i) {
      const SortKey& key = node_.keys[i];
      const size_t cell = cell_of_key_[i];
      const auto order = CompareForSort(key.expr->type.oid, RowOf(a)[cell], RowOf(b)[cell], key.direction, key.nulls);
      if (order != 0) return order < 0;
    }
    return a.number < b.number;
  }

  Status Fill(ExecState& state) {
    while (true) {
      RETURN_IF_ERROR(input_->Next(state, batch_));
      if (batch_.empty()) break;
      RETURN_IF_ERROR(state.context->Check());
      Cells cells = Cells::kCopied;
      if (!top_) {  // of a heap few rows stay
        ASSIGN_OR_RETURN(cells, kept_.Keep(state, *input_, batch_));
      }
      for (size_t i = 0; i < batch_.count(); ++i) RETURN_IF_ERROR(Add(state, batch_.row(i), cells));
    }
    std::sort(items_.begin(), items_.end(), [this](const Item& a, const Item& b) { return Less(a, b); });
    sorted_ = true;
    return OkStatus();
  }

  Status Charge(ExecState& state, uint64_t bytes) {
    RETURN_IF_ERROR(state.Charge(bytes));
    charged_bytes_ += bytes;
    return OkStatus();
  }

  Status Add(ExecState& state, std::span<const Datum> row, Cells cells) {
    const auto less = [this](const Item& a, const Item& b) { return Less(a, b); };
    Item item{.number = arrived_++, .row = items_.size()};
    if (!spare_rows_.empty()) {
      item.row = spare_rows_.back();
      spare_rows_.pop_back();
    }
    if (cells_.size() < (item.row + 1) * stride_) cells_.resize(std::max((item.row + 1) * stride_, 2 * cells_.size()));
    Datum* mine = RowOf(item);
    for (size_t i = 0; i < node_.keys.size(); ++i) {
      if (cell_of_key_[i] >= width_) {
        RETURN_IF_ERROR(Evaluate(*node_.keys[i].expr, state.expr, row, &mine[cell_of_key_[i]]));
        // What an expression makes may borrow from the batch.
        mine[cell_of_key_[i]] = mine[cell_of_key_[i]].Owned();
      }
    }
    std::copy(row.begin(), row.end(), mine);
    if (!node_.keys.empty()) item.abbreviation = Abbreviate(node_.keys[0], mine[cell_of_key_[0]]);
    if (top_ && items_.size() >= uint64_t(std::max<int64_t>(*top_, 0))) {
      if (items_.empty() || !less(item, items_.front())) {
        spare_rows_.push_back(item.row);
        return OkStatus();
      }
      std::pop_heap(items_.begin(), items_.end(), less);
      const uint64_t dropped_bytes = BytesOfRow(items_.back());
      state.env.memory.Release(dropped_bytes);
      charged_bytes_ -= dropped_bytes;
      spare_rows_.push_back(items_.back().row);
      items_.pop_back();
    }
    if (cells == Cells::kCopied) {
      for (size_t i = 0; i < width_; ++i) mine[i] = mine[i].Owned();
    }
    RETURN_IF_ERROR(Charge(state, BytesOfRow(item)));
    items_.push_back(item);
    if (top_) std::push_heap(items_.begin(), items_.end(), less);
    return OkStatus();
  }
  uint64_t BytesOfRow(const Item& item) const { return sizeof(Item) + BytesOf({RowOf(item), stride_}); }

  const PhysicalSort& node_;
  OperatorPtr input_;
  const size_t width_;
  size_t stride_;                     // cells of a row: the row's own, then keys that are not among them
  std::vector<size_t> cell_of_key_;
  RowBatch batch_;
  KeptPins kept_;                     // what cells_ borrow from
  std::vector<Datum> cells_;
  std::vector<Item> items_;
  std::vector<size_t> spare_rows_;    // of a heap: places in cells_ without item
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
