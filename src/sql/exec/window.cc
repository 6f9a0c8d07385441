// Window functions: the input is read to its end and sorted by partition and order; then partition by partition each
// call is computed for all rows. A frame that begins with its partition is aggregated once, as it grows.
#include <algorithm>
#include <memory>

#include "orrery/sql/types/aggregates.h"
#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

using Bound = ParsedWindow::Bound;

struct Entry {
  OwnedRow keys;  // partition, then order
  OwnedRow row;   // with room for the calls
  uint64_t number = 0;
};

// An aggregate's state, over the rows of one frame.
class FrameState {
 public:
  explicit FrameState(const Aggregate& aggregate)
      : aggregate_(aggregate), memory_(new uint64_t[(aggregate.state_bytes() + 7) / 8]) {
    aggregate_.Init(memory_.get());
  }
  ~FrameState() { aggregate_.Destroy(memory_.get()); }
  FrameState(const FrameState&) = delete;
  FrameState& operator=(const FrameState&) = delete;
  void Restart() {
    aggregate_.Destroy(memory_.get());
    aggregate_.Init(memory_.get());
  }
  Status Add(EvalContext& context, std::span<const Datum> args) {
    if (aggregate_.skips_nulls() && !args.empty() && args[0].is_null()) return OkStatus();
    return aggregate_.Update(context, memory_.get(), args);
  }
  Status Result(EvalContext& context, Datum* out) const {
    RETURN_IF_ERROR(aggregate_.Final(context, memory_.get(), out));
    *out = out->Owned();
    return OkStatus();
  }

 private:
  const Aggregate& aggregate_;
  std::unique_ptr<uint64_t[]> memory_;
};

class WindowOperator final : public RowOperator {
 public:
  WindowOperator(const PhysicalWindow& node, OperatorPtr input) : node_(node), input_(std::move(input)) {}

  Status Open(ExecState& state) override {
    entries_.clear();
    state.env.memory.Release(charged_bytes_);
    charged_bytes_ = 0;
    filled_ = false;
    next_ = 0;
    return input_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    if (!filled_) RETURN_IF_ERROR(Fill(state));
    out.Reset(node_.output.size());
    for (; next_ < entries_.size() && !out.full(); ++next_) {
      std::span<Datum> row = out.AddRow();
      std::copy(entries_[next_].row.begin(), entries_[next_].row.end(), row.begin());
    }
    return OkStatus();
  }

 private:
  // Rows [begin, end) of entries_.
  struct Range {
    size_t begin = 0;
    size_t end = 0;
  };

  Status Fill(ExecState& state) {
    filled_ = true;
    RETURN_IF_ERROR(DrainRows(state, *input_, [&](std::span<const Datum> row) { return Add(state, row); }));
    std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
      const auto order = Compare(a, b, 0, KeyCount());
      return order != 0 ? order < 0 : a.number < b.number;
    });
    first_call_ = node_.output.size() - node_.calls.size();
    for (Range partition; partition.begin < entries_.size(); partition.begin = partition.end) {
      partition.end = RunEnd(partition.begin, entries_.size(), node_.partition_by.size());
      for (size_t i = 0; i < node_.calls.size(); ++i) RETURN_IF_ERROR(Compute(state, i, partition));
      RETURN_IF_ERROR(state.context->Check());
    }
    return OkStatus();
  }

  Status Add(ExecState& state, std::span<const Datum> row) {
    Entry entry;
    entry.number = entries_.size();
    for (const ExprPtr& e : node_.partition_by) {
      RETURN_IF_ERROR(Evaluate(*e, state.expr, row, &entry.keys.emplace_back()));
    }
    for (const SortKey& key : node_.order_by) {
      RETURN_IF_ERROR(Evaluate(*key.expr, state.expr, row, &entry.keys.emplace_back()));
    }
    for (Datum& key : entry.keys) key = key.Owned();
    entry.row = CopyOwned(row);
    entry.row.resize(node_.output.size());
    const uint64_t bytes = BytesOf(entry.row) + BytesOf(entry.keys);
    charged_bytes_ += bytes;
    entries_.push_back(std::move(entry));
    return state.Charge(bytes);
  }

  size_t KeyCount() const { return node_.partition_by.size() + node_.order_by.size(); }

  std::strong_ordering Compare(const Entry& a, const Entry& b, size_t from, size_t to) const {
    const size_t partitions = node_.partition_by.size();
    for (size_t i = from; i < to; ++i) {
      const SortKey* const key = i < partitions ? nullptr : &node_.order_by[i - partitions];
      const Oid type = key ? key->expr->type.oid : node_.partition_by[i]->type.oid;
      const auto order = CompareForSort(type, a.keys[i], b.keys[i], key ? key->direction : SortDirection::kAscending,
                                        key ? key->nulls : NullsOrder::kLast);
      if (order != 0) return order;
    }
    return std::strong_ordering::equal;
  }

  // The end of the run of rows that are equal to `begin` in the first `keys` keys.
  size_t RunEnd(size_t begin, size_t limit, size_t keys) const {
    size_t end = begin + 1;
    while (end < limit && Compare(entries_[begin], entries_[end], 0, keys) == 0) ++end;
    return end;
  }

  Status Compute(ExecState& state, size_t index, Range partition) {
    const WindowCall& call = node_.calls[index];
    const size_t slot = first_call_ + index;
    switch (call.kind) {
      case WindowFunction::kRowNumber:
      case WindowFunction::kRank:
      case WindowFunction::kDenseRank:
      case WindowFunction::kPercentRank:
      case WindowFunction::kCumeDist:
        Rank(call.kind, slot, partition);
        return OkStatus();
      case WindowFunction::kNtile:
        return Ntile(state, call, slot, partition);
      case WindowFunction::kLag:
      case WindowFunction::kLead:
        return Shift(state, call, slot, partition);
      default:
        return OverFrames(state, call, slot, partition);
    }
  }

  void Rank(WindowFunction kind, size_t slot, Range partition) {
    int64_t dense = 0;
    const auto count = double(partition.end - partition.begin);
    for (size_t peers = partition.begin; peers < partition.end;) {
      const size_t end = RunEnd(peers, partition.end, KeyCount());
      ++dense;
      const auto before = double(peers - partition.begin);
      for (size_t i = peers; i < end; ++i) {
        Datum& out = entries_[i].row[slot];
        if (kind == WindowFunction::kRowNumber) out = Datum::Int(int64_t(i - partition.begin) + 1);
        if (kind == WindowFunction::kRank) out = Datum::Int(int64_t(peers - partition.begin) + 1);
        if (kind == WindowFunction::kDenseRank) out = Datum::Int(dense);
        if (kind == WindowFunction::kPercentRank) out = Datum::Float(count > 1 ? before / (count - 1) : 0);
        if (kind == WindowFunction::kCumeDist) out = Datum::Float(double(end - partition.begin) / count);
      }
      peers = end;
    }
  }

  Status Ntile(ExecState& state, const WindowCall& call, size_t slot, Range partition) {
    Datum buckets;
    RETURN_IF_ERROR(Evaluate(*call.args[0], state.expr, Input(partition.begin), &buckets));
    if (buckets.is_null()) return OkStatus();
    const int64_t n = buckets.as_int();
    if (n <= 0) return {Code::kInvalidArgument, "22014", "argument of ntile must be greater than zero"};
    const auto count = int64_t(partition.end - partition.begin);
    const int64_t size = count / n, larger = count % n;  // the first `larger` buckets have one more
    for (int64_t i = 0; i < count; ++i) {
      const int64_t bucket = i < larger * (size + 1) ? i / (size + 1) : larger + (i - larger * (size + 1)) / std::max<int64_t>(size, 1);
      entries_[partition.begin + size_t(i)].row[slot] = Datum::Int(bucket + 1);
    }
    return OkStatus();
  }

  std::span<const Datum> Input(size_t index) const {
    return std::span<const Datum>(entries_[index].row).first(node_.inputs[0]->output.size());
  }
  Status ValueAt(ExecState& state, const ExprPtr& expr, size_t index, Datum* out) {
    RETURN_IF_ERROR(Evaluate(*expr, state.expr, Input(index), out));
    *out = out->Owned();
    return OkStatus();
  }

  Status Shift(ExecState& state, const WindowCall& call, size_t slot, Range partition) {
    for (size_t i = partition.begin; i < partition.end; ++i) {
      Datum offset = Datum::Int(1), value;
      if (call.args.size() > 1) RETURN_IF_ERROR(ValueAt(state, call.args[1], i, &offset));
      if (!offset.is_null()) {
        const int64_t shift = call.kind == WindowFunction::kLag ? -offset.as_int() : offset.as_int();
        const int64_t at = int64_t(i) + shift;
        if (at >= int64_t(partition.begin) && at < int64_t(partition.end)) {
          RETURN_IF_ERROR(ValueAt(state, call.args[0], size_t(at), &value));
        } else if (call.args.size() > 2) {
          RETURN_IF_ERROR(ValueAt(state, call.args[2], i, &value));
        }
      }
      entries_[i].row[slot] = std::move(value);
    }
    return OkStatus();
  }

  static StatusOr<int64_t> Offset(ExecState& state, const ExprPtr& expr, std::string_view which) {
    if (!expr) return 0;
    ASSIGN_OR_RETURN(const std::optional<int64_t> value, EvaluateCount(*expr, state.expr));
    if (!value) {
      return Status(Code::kInvalidArgument, "22004", "frame " + std::string(which) + " offset must not be null");
    }
    if (*value < 0) {
      return Status(Code::kInvalidArgument, "22013", "frame " + std::string(which) + " offset must not be negative");
    }
    return *value;
  }

  // One end of the frame of row `i`, as an index that may lie outside of the partition: the first row inside for the
  // start, the first behind for the end.
  static int64_t Edge(Bound bound, int64_t offset, bool is_end, int64_t i, Range partition, Range peers, bool rows) {
    switch (bound) {
      case Bound::kUnboundedPreceding: return int64_t(partition.begin);
      case Bound::kUnboundedFollowing: return int64_t(partition.end);
      case Bound::kPreceding: return i - std::min(offset, i) + is_end;
      case Bound::kFollowing: return i + std::min<int64_t>(offset, int64_t(partition.end)) + is_end;
      case Bound::kCurrentRow: break;
    }
    if (rows) return i + is_end;
    return int64_t(is_end ? peers.end : peers.begin);
  }

  Status OverFrames(ExecState& state, const WindowCall& call, size_t slot, Range partition) {
    ASSIGN_OR_RETURN(const int64_t start_offset, Offset(state, call.frame.start_offset, "starting"));
    ASSIGN_OR_RETURN(const int64_t end_offset, Offset(state, call.frame.end_offset, "ending"));
    std::unique_ptr<FrameState> aggregate;
    if (call.kind == WindowFunction::kAggregate) aggregate = std::make_unique<FrameState>(*call.function->aggregate);
    Range held{partition.begin, partition.begin};  // what `aggregate` has taken in
    Range peers{partition.begin, partition.begin};
    for (size_t i = partition.begin; i < partition.end; ++i) {
      if (i >= peers.end) peers = {i, RunEnd(i, partition.end, KeyCount())};
      const auto edge = [&](Bound bound, int64_t offset, bool is_end) {
        const int64_t at = Edge(bound, offset, is_end, int64_t(i), partition, peers, call.frame.rows);
        return size_t(std::clamp(at, int64_t(partition.begin), int64_t(partition.end)));
      };
      Range frame{edge(call.frame.start, start_offset, false), edge(call.frame.end, end_offset, true)};
      frame.end = std::max(frame.begin, frame.end);
      Datum& out = entries_[i].row[slot];
      if (!aggregate) {
        RETURN_IF_ERROR(Pick(state, call, i, frame, &out));
        continue;
      }
      if (frame.begin != held.begin || frame.end < held.end) {
        aggregate->Restart();
        held = {frame.begin, frame.begin};
      }
      for (; held.end < frame.end; ++held.end) RETURN_IF_ERROR(Take(state, call, held.end, *aggregate));
      RETURN_IF_ERROR(aggregate->Result(state.env.eval, &out));
    }
    return OkStatus();
  }

  Status Take(ExecState& state, const WindowCall& call, size_t index, FrameState& aggregate) {
    if (call.filter) {
      ASSIGN_OR_RETURN(const bool counts, IsTrue(*call.filter, state.expr, Input(index)));
      if (!counts) return OkStatus();
    }
    std::vector<Datum> args(call.args.size());
    for (size_t i = 0; i < args.size(); ++i) RETURN_IF_ERROR(ValueAt(state, call.args[i], index, &args[i]));
    return aggregate.Add(state.env.eval, args);
  }

  Status Pick(ExecState& state, const WindowCall& call, size_t row, Range frame, Datum* out) {
    *out = Datum();
    size_t at = frame.begin;
    if (call.kind == WindowFunction::kLastValue) at = frame.end - 1;
    if (call.kind == WindowFunction::kNthValue) {
      Datum n;
      RETURN_IF_ERROR(ValueAt(state, call.args[1], row, &n));
      if (n.is_null()) return OkStatus();
      if (n.as_int() <= 0) return {Code::kInvalidArgument, "22016", "argument of nth_value must be greater than zero"};
      at = frame.begin + size_t(n.as_int()) - 1;
    }
    if (frame.begin == frame.end || at >= frame.end) return OkStatus();
    return ValueAt(state, call.args[0], at, out);
  }

  const PhysicalWindow& node_;
  OperatorPtr input_;
  std::vector<Entry> entries_;
  uint64_t charged_bytes_ = 0;
  size_t first_call_ = 0;
  size_t next_ = 0;
  bool filled_ = false;
};

}  // namespace

OperatorPtr MakeWindow(const PhysicalWindow& node, OperatorPtr input) {
  return std::make_unique<WindowOperator>(node, std::move(input));
}

}  // namespace orrery::sql
