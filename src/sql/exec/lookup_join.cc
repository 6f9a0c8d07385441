// Look-up join: for each left row the rows of a table whose key begins with computed values. The look-ups of
// a whole left batch travel in one KV batch.
#include "orrery/kv/api/batch.h"
#include "sql/exec/operator.h"
#include "sql/exec/table_rows.h"

namespace orrery::sql {
namespace {

constexpr size_t kLeftRowsMax = 256;  // look-ups in one KV batch

class LookupJoinOperator final : public RowOperator {
 public:
  LookupJoinOperator(const PhysicalLookupJoin& node, OperatorPtr left)
      : node_(node), left_(std::move(left)), reader_(*node.table, node.ordinals),
        left_width_(node.inputs[0]->output.size()) {}

  Status Open(ExecState& state) override {
    left_next_ = 0;
    left_batch_.Reset(0);
    return left_->Open(state);
  }

  Status Next(ExecState& state, RowBatch& out) override {
    do {
      if (left_next_ >= left_batch_.count()) {
        RETURN_IF_ERROR(left_->Next(state, left_batch_));
        left_next_ = 0;
        if (left_batch_.empty()) {
          out.Reset(node_.output.size());
          return OkStatus();
        }
      }
      RETURN_IF_ERROR(JoinChunk(state, out));
    } while (out.empty());
    return OkStatus();
  }

 private:
  Status JoinChunk(ExecState& state, RowBatch& out) {
    bool left_only = node_.join == JoinType::kSemi || node_.join == JoinType::kAnti;
    out.Reset(left_only ? left_width_ : left_width_ + node_.ordinals.size());
    size_t begin = left_next_;
    size_t end = std::min(left_batch_.count(), begin + kLeftRowsMax);
    left_next_ = end;
    auto batch = std::make_shared<kv::Batch>();
    batch->wait = KvWait(node_.lock.wait);
    std::vector<int> request_of(end - begin, -1);
    for (size_t i = begin; i < end; ++i) {
      std::string key;
      ASSIGN_OR_RETURN(bool possible, KeyOf(state, left_batch_.row(i), key));
      if (!possible) continue;
      request_of[i - begin] = int(batch->requests.size());
      AddRequest(std::move(key), *batch);
    }
    if (!batch->requests.empty()) RETURN_IF_ERROR(state.RunKv(*batch, node_.table.get()));
    out.Pin(batch, 0);  // not counted: this operator's cells are copied by whoever keeps them
    for (size_t i = begin; i < end; ++i) {
      RETURN_IF_ERROR(JoinRow(state, left_batch_.row(i), request_of[i - begin], *batch, out));
    }
    return OkStatus();
  }

  void AddRequest(std::string key, kv::Batch& batch) const {
    kv::LockStrength strength = KvStrength(node_.lock.strength);
    auto durability = kv::LockDurability::kReplicated;
    if (node_.full_key) return batch.Get(key, strength, durability);
    std::string end = ordered::PrefixEnd(key);
    batch.Scan({std::move(key), std::move(end)}, kv::Direction::kForward, strength, durability);
  }

  StatusOr<bool> KeyOf(ExecState& state, std::span<const Datum> left, std::string& key) const {
    key = node_.table->key_prefix;
    for (size_t i = 0; i < node_.keys.size(); ++i) {
      Datum value;
      RETURN_IF_ERROR(Evaluate(*node_.keys[i], state.expr, left, &value));
      if (value.is_null()) return false;
      const Table::KeyPart& part = node_.table->key[i];
      AppendKeyColumn(key, part.type, value, part.direction);
    }
    return true;
  }

  Status JoinRow(ExecState& state, std::span<const Datum> left, int request, kv::Batch& batch, RowBatch& out) {
    std::vector<Datum> pair(left_width_ + node_.ordinals.size());
    std::copy(left.begin(), left.end(), pair.begin());
    std::span<Datum> right(pair.data() + left_width_, node_.ordinals.size());
    bool matched = false;
    auto consider = [&](std::string_view key, std::string_view value) -> StatusOr<bool> {
      RETURN_IF_ERROR(reader_.Read(key, value, right));
      if (node_.residual) {
        ASSIGN_OR_RETURN(bool passes, IsTrue(*node_.residual, state.expr, pair));
        if (!passes) return true;
      }
      matched = true;
      if (node_.join == JoinType::kAnti) return false;
      Emit(pair, out);
      return node_.join != JoinType::kSemi;
    };
    if (request >= 0) RETURN_IF_ERROR(ForEachFound(batch, size_t(request), consider));
    if (matched) return OkStatus();
    if (node_.join == JoinType::kAnti) Emit(pair, out);
    if (node_.join == JoinType::kLeft) {
      std::fill(right.begin(), right.end(), Datum::Null());
      Emit(pair, out);
    }
    return OkStatus();
  }

  template <class F>
  Status ForEachFound(kv::Batch& batch, size_t request, F&& consider) {
    if (node_.full_key) {
      const auto& get = std::get<kv::GetResponse>(batch.responses[request]);
      if (!get.value) return OkStatus();
      return consider(std::get<kv::GetRequest>(batch.requests[request]).key, *get.value).status();
    }
    const auto& scan = std::get<kv::ScanResponse>(batch.responses[request]);
    if (scan.resume) return UnsupportedError("look-up join of a key with so many rows");
    auto cursor = scan.rows.Begin();
    while (cursor.Next()) {
      ASSIGN_OR_RETURN(bool more, consider(cursor.key(), cursor.value()));
      if (!more) break;
    }
    return cursor.malformed() ? DataLossError("malformed scan result") : OkStatus();
  }

  static void Emit(const std::vector<Datum>& pair, RowBatch& out) {
    std::span<Datum> row = out.AddRow();
    std::copy(pair.begin(), pair.begin() + ptrdiff_t(row.size()), row.begin());
  }

  const PhysicalLookupJoin& node_;
  OperatorPtr left_;
  const RowReader reader_;
  const size_t left_width_;
  RowBatch left_batch_;
  size_t left_next_ = 0;
};

}  // namespace

OperatorPtr MakeLookupJoin(const PhysicalLookupJoin& node, OperatorPtr left) {
  return std::make_unique<LookupJoinOperator>(node, std::move(left));
}

}  // namespace orrery::sql
