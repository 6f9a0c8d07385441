// Hash join and nested loops. The right side is kept in memory; the left side streams.
#include "absl/container/flat_hash_map.h"
#include "orrery/sql/types/compare.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

// Joins left rows, one at a time, with candidate right rows; what all joins share.
class JoinCore {
 public:
  JoinCore(JoinType join, size_t left_width, size_t right_width)
      : join_(join), left_width_(left_width), right_width_(right_width), joined_(left_width + right_width) {}

  JoinType join() const { return join_; }
  bool left_only() const { return join_ == JoinType::kSemi || join_ == JoinType::kAnti; }
  size_t output_width() const { return left_only() ? left_width_ : left_width_ + right_width_; }

  void SetLeft(std::span<const Datum> row) {
    std::copy(row.begin(), row.end(), joined_.begin());
    matched_ = false;
  }
  // The pair as one row, for conditions.
  std::span<const Datum> Pair(std::span<const Datum> right) {
    std::copy(right.begin(), right.end(), joined_.begin() + ptrdiff_t(left_width_));
    return joined_;
  }
  // The pair that Pair made passed. False: no more candidates of this left row are wanted.
  bool OnMatch(RowBatch& out) {
    matched_ = true;
    if (join_ == JoinType::kAnti) return false;
    Emit(out);
    return join_ != JoinType::kSemi;
  }
  // All candidates of the left row have been seen.
  void FinishLeft(RowBatch& out) {
    if (matched_) return;
    if (join_ == JoinType::kAnti) Emit(out);
    if (join_ == JoinType::kLeft || join_ == JoinType::kFull) {
      std::fill(joined_.begin() + ptrdiff_t(left_width_), joined_.end(), Datum::Null());
      Emit(out);
    }
  }
  // A right row nobody matched: RIGHT and FULL.
  void EmitRightAlone(std::span<const Datum> right, RowBatch& out) {
    std::span<Datum> row = out.AddRow();
    std::fill(row.begin(), row.begin() + ptrdiff_t(left_width_), Datum::Null());
    std::copy(right.begin(), right.end(), row.begin() + ptrdiff_t(left_width_));
  }

 private:
  void Emit(RowBatch& out) {
    std::span<Datum> row = out.AddRow();
    std::copy(joined_.begin(), joined_.begin() + ptrdiff_t(row.size()), row.begin());
  }

  const JoinType join_;
  const size_t left_width_;
  const size_t right_width_;
  std::vector<Datum> joined_;
  bool matched_ = false;
};

struct BuildRow {
  OwnedRow keys;
  OwnedRow row;
  int next = -1;  // with the same hash
  bool matched = false;
};

class HashJoinOperator final : public RowOperator {
 public:
  HashJoinOperator(const PhysicalHashJoin& node, OperatorPtr left, OperatorPtr right)
      : node_(node), left_(std::move(left)), right_(std::move(right)),
        core_(node.join, node.inputs[0]->output.size(), node.inputs[1]->output.size()),
        keys_(node.left_keys.size()) {}

  Status Open(ExecState& state) override {
    state.env.memory.Release(charged_bytes_);
    charged_bytes_ = 0;
    rows_.clear();
    first_.clear();
    built_ = false;
    left_done_ = false;
    left_next_ = 0;
    right_next_ = 0;
    left_batch_.Reset(0);
    RETURN_IF_ERROR(left_->Open(state));
    return right_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    if (!built_) RETURN_IF_ERROR(Build(state));
    out.Reset(core_.output_width());
    // A left row's matches may take the batch beyond its usual size: it is a target, not a promise.
    while (!out.full() && !left_done_) {
      if (left_next_ >= left_batch_.count()) {
        if (!out.empty()) return OkStatus();  // cells of `out` borrow from the present left batch
        RETURN_IF_ERROR(left_->Next(state, left_batch_));
        left_next_ = 0;
        left_done_ = left_batch_.empty();
        continue;
      }
      RETURN_IF_ERROR(Probe(state, left_batch_.row(left_next_++), out));
    }
    if (left_done_ && (node_.join == JoinType::kRight || node_.join == JoinType::kFull)) {
      for (; right_next_ < rows_.size() && !out.full(); ++right_next_) {
        if (!rows_[right_next_].matched) core_.EmitRightAlone(rows_[right_next_].row, out);
      }
    }
    return OkStatus();
  }

 private:
  // Hashes keys; false if one is NULL: then nothing equals them.
  static bool Hash(const std::vector<ExprPtr>& exprs, const OwnedRow& keys, uint64_t& hash) {
    hash = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].is_null()) return false;
      hash = HashDatum(exprs[i]->type.oid, keys[i], hash);
    }
    return true;
  }

  Status Build(ExecState& state) {
    built_ = true;
    return DrainRows(state, *right_, [&](std::span<const Datum> row) -> Status {
      BuildRow entry;
      entry.keys.resize(node_.right_keys.size());
      for (size_t i = 0; i < entry.keys.size(); ++i) {
        RETURN_IF_ERROR(Evaluate(*node_.right_keys[i], state.expr, row, &entry.keys[i]));
        entry.keys[i] = entry.keys[i].Owned();
      }
      uint64_t hash = 0;
      bool usable = Hash(node_.right_keys, entry.keys, hash);
      bool outer = node_.join == JoinType::kRight || node_.join == JoinType::kFull;
      if (!usable && !outer) return OkStatus();
      entry.row = CopyOwned(row);
      uint64_t bytes = BytesOf(entry.row) + BytesOf(entry.keys) + 32;
      charged_bytes_ += bytes;
      RETURN_IF_ERROR(state.Charge(bytes));
      if (usable) {
        auto [it, inserted] = first_.try_emplace(hash, int(rows_.size()));
        if (!inserted) {
          // Behind the first of its chain: order within equal keys is the build order, but for the first.
          entry.next = rows_[size_t(it->second)].next;
          rows_[size_t(it->second)].next = int(rows_.size());
        }
      }
      rows_.push_back(std::move(entry));
      return OkStatus();
    });
  }

  Status Probe(ExecState& state, std::span<const Datum> left, RowBatch& out) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*node_.left_keys[i], state.expr, left, &keys_[i]));
    }
    core_.SetLeft(left);
    uint64_t hash = 0;
    if (Hash(node_.left_keys, keys_, hash)) {
      auto it = first_.find(hash);
      for (int at = it == first_.end() ? -1 : it->second; at >= 0; at = rows_[size_t(at)].next) {
        BuildRow& candidate = rows_[size_t(at)];
        ASSIGN_OR_RETURN(bool matches, Matches(state, candidate));
        if (!matches) continue;
        candidate.matched = true;
        if (!core_.OnMatch(out)) break;
      }
    }
    core_.FinishLeft(out);
    return OkStatus();
  }

  StatusOr<bool> Matches(ExecState& state, const BuildRow& candidate) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      Datum args[2] = {keys_[i], candidate.keys[i]};
      Datum equal;
      RETURN_IF_ERROR(node_.equals[i]->evaluate(state.env.eval, std::span<const Datum>(args, 2), &equal));
      if (equal.is_null() || !equal.as_bool()) return false;
    }
    std::span<const Datum> pair = core_.Pair(candidate.row);
    if (!node_.residual) return true;
    return IsTrue(*node_.residual, state.expr, pair);
  }

  const PhysicalHashJoin& node_;
  OperatorPtr left_;
  OperatorPtr right_;
  JoinCore core_;
  OwnedRow keys_;
  std::vector<BuildRow> rows_;
  absl::flat_hash_map<uint64_t, int> first_;  // looked up only
  RowBatch left_batch_;
  size_t left_next_ = 0;
  size_t right_next_ = 0;
  uint64_t charged_bytes_ = 0;
  bool built_ = false;
  bool left_done_ = false;
};

class NestedLoopJoinOperator final : public RowOperator {
 public:
  NestedLoopJoinOperator(const PhysicalNestedLoopJoin& node, OperatorPtr left, OperatorPtr right)
      : node_(node), left_(std::move(left)), right_(std::move(right)),
        core_(node.join, node.inputs[0]->output.size(), node.inputs[1]->output.size()) {}

  Status Open(ExecState& state) override {
    state.env.memory.Release(charged_bytes_);
    charged_bytes_ = 0;
    right_rows_.clear();
    matched_.clear();
    right_known_ = false;
    left_done_ = false;
    left_next_ = 0;
    right_next_ = 0;
    left_batch_.Reset(0);
    return left_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(core_.output_width());
    while (!out.full() && !left_done_) {
      if (left_next_ >= left_batch_.count()) {
        if (!out.empty()) return OkStatus();
        RETURN_IF_ERROR(left_->Next(state, left_batch_));
        left_next_ = 0;
        left_done_ = left_batch_.empty();
        continue;
      }
      RETURN_IF_ERROR(JoinLeftRow(state, left_batch_.row(left_next_++), out));
    }
    if (left_done_ && (node_.join == JoinType::kRight || node_.join == JoinType::kFull)) {
      if (!right_known_) RETURN_IF_ERROR(ReadRight(state));
      for (; right_next_ < right_rows_.size() && !out.full(); ++right_next_) {
        if (!matched_[right_next_]) core_.EmitRightAlone(right_rows_[right_next_], out);
      }
    }
    return OkStatus();
  }

 private:
  Status ReadRight(ExecState& state) {
    right_rows_.clear();
    matched_.clear();
    state.env.memory.Release(charged_bytes_);
    charged_bytes_ = 0;
    RETURN_IF_ERROR(right_->Open(state));
    right_known_ = true;
    return DrainRows(state, *right_, [&](std::span<const Datum> row) {
      right_rows_.push_back(CopyOwned(row));
      matched_.push_back(false);
      uint64_t bytes = BytesOf(right_rows_.back());
      charged_bytes_ += bytes;
      return state.Charge(bytes);
    });
  }

  Status JoinLeftRow(ExecState& state, std::span<const Datum> left, RowBatch& out) {
    for (const VariableBinding& binding : node_.variables) {
      Datum value;
      RETURN_IF_ERROR(Evaluate(*binding.value, state.expr, left, &value));
      state.variables[binding.variable] = value.Owned();
      right_known_ = false;
    }
    if (!right_known_) RETURN_IF_ERROR(ReadRight(state));
    core_.SetLeft(left);
    for (size_t i = 0; i < right_rows_.size(); ++i) {
      std::span<const Datum> pair = core_.Pair(right_rows_[i]);
      if (node_.condition) {
        ASSIGN_OR_RETURN(bool matches, IsTrue(*node_.condition, state.expr, pair));
        if (!matches) continue;
      }
      matched_[i] = true;
      if (!core_.OnMatch(out)) break;
    }
    core_.FinishLeft(out);
    return state.context->Check();
  }

  const PhysicalNestedLoopJoin& node_;
  OperatorPtr left_;
  OperatorPtr right_;
  JoinCore core_;
  std::vector<OwnedRow> right_rows_;
  std::vector<bool> matched_;
  RowBatch left_batch_;
  size_t left_next_ = 0;
  size_t right_next_ = 0;
  uint64_t charged_bytes_ = 0;
  bool right_known_ = false;
  bool left_done_ = false;
};

}  // namespace

OperatorPtr MakeHashJoin(const PhysicalHashJoin& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<HashJoinOperator>(node, std::move(left), std::move(right));
}
OperatorPtr MakeNestedLoopJoin(const PhysicalNestedLoopJoin& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<NestedLoopJoinOperator>(node, std::move(left), std::move(right));
}

}  // namespace orrery::sql
