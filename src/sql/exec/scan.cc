// Leaves over KV: scans by key range in pages, look-ups by full keys, and the locking of the rows they give.
#include <algorithm>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "orrery/kv/api/errors.h"
#include "orrery/runtime/runtime.h"
#include "orrery/runtime/scheduler.h"
#include "orrery/sql/exec/kv_errors.h"
#include "orrery/sql/types/array.h"
#include "sql/exec/operator.h"
#include "sql/exec/table_rows.h"

namespace orrery::sql {

kv::LockStrength KvStrength(RowLock lock) {
  switch (lock) {
    case RowLock::kNone: return kv::LockStrength::kNone;
    case RowLock::kKeyShare:
    case RowLock::kShare: return kv::LockStrength::kShared;
    case RowLock::kNoKeyUpdate:
    case RowLock::kUpdate: return kv::LockStrength::kExclusive;
  }
  return kv::LockStrength::kExclusive;
}
kv::WaitPolicy KvWait(RowWait wait) {
  switch (wait) {
    case RowWait::kBlock: return kv::WaitPolicy::kBlock;
    case RowWait::kNowait: return kv::WaitPolicy::kError;
    case RowWait::kSkipLocked: return kv::WaitPolicy::kSkip;
  }
  return kv::WaitPolicy::kBlock;
}

Status SendKv(const runtime::Context& context, ExecEnv& env, kv::Batch& batch, const Table* table) {
  if (env.txn == nullptr) return ToSqlError(env.database.Read(context, batch), table);
  return SendInTxn(context, *env.txn, env.lock_timeout, batch, table);
}

Status SendInTxn(const runtime::Context& context, kv::Txn& txn, Duration lock_timeout, kv::Batch& batch,
                 const Table* table, RunInTxn run) {
  if (lock_timeout == Duration::zero()) return ToSqlError((txn.*run)(context, batch), table);
  Status status = (txn.*run)(context.WithTimeout(lock_timeout), batch);
  if (status.code() == Code::kDeadlineExceeded && context.Check().ok()) {
    return {Code::kAborted, "55P03", "canceling statement due to lock timeout"};
  }
  return ToSqlError(status, table);
}

Status ExecState::RunKv(kv::Batch& batch, const Table* table) const {
  return SendKv(*context, env, batch, table);
}

namespace {

constexpr uint64_t kFirstPageRows = 128;
constexpr uint64_t kPageRowsMax = 8 * RowBatch::kRowsMax;
constexpr uint64_t kPageBytesMax = uint64_t{2} << 20;

Status AnnotateMalformed(const Table& table) {
  return DataLossError("malformed scan result of table \"" + table.name() + "\"");
}

uint64_t BytesOfGets(const kv::Batch& batch) {
  uint64_t bytes = batch.requests.size() * (sizeof(kv::Request) + sizeof(kv::Response));
  for (const kv::Response& response : batch.responses) {
    const auto* get = std::get_if<kv::GetResponse>(&response);
    if (get && get->value) bytes += get->value->size();
  }
  return bytes;
}

// Locks the rows of `out` whose keys are given, and reads them again under the lock: a row that changed since
// it was found is filtered anew, one that has gone or (SKIP LOCKED) is held by others is left out.
Status LockRows(ExecState& state, const PhysicalTableLeaf& node, const RowReader& reader,
                const std::vector<std::string_view>& keys, RowBatch& out) {
  if (keys.empty()) return OkStatus();
  kv::Batch batch;
  batch.wait = KvWait(node.lock.wait);
  for (std::string_view key : keys) {
    // T23: locks that must hold until the commit are replicated.
    batch.Get(key, KvStrength(node.lock.strength), kv::LockDurability::kReplicated);
  }
  RETURN_IF_ERROR(state.RunKv(batch, node.table.get()));
  auto kept = std::make_shared<kv::Batch>(std::move(batch));
  out.Reset(node.ordinals.size());
  out.Pin(kept, BytesOfGets(*kept));
  for (size_t i = 0; i < kept->requests.size(); ++i) {
    const auto* get = std::get_if<kv::GetResponse>(&kept->responses[i]);
    if (get == nullptr || !get->value) continue;
    const std::string& key = std::get<kv::GetRequest>(kept->requests[i]).key;
    RETURN_IF_ERROR(reader.Read(key, *get->value, out.AddRow()));
  }
  return node.filter ? FilterBatch(*node.filter, state.expr, out) : OkStatus();
}

// Filters `out` and, where the node locks, turns the rows that are left into locked ones.
Status FinishPage(ExecState& state, const PhysicalTableLeaf& node, const RowReader& reader,
                  std::vector<std::string_view>& keys, RowBatch& out) {
  if (node.lock.strength == RowLock::kNone) {
    return node.filter ? FilterBatch(*node.filter, state.expr, out) : OkStatus();
  }
  if (node.filter) {
    size_t kept = 0;
    for (size_t i = 0; i < out.count(); ++i) {
      ASSIGN_OR_RETURN(bool keep, IsTrue(*node.filter, state.expr, out.row(i)));
      if (!keep) continue;
      out.MoveRow(i, kept);
      keys[kept++] = keys[i];
    }
    keys.resize(kept);
    out.Truncate(kept);
  }
  return LockRows(state, node, reader, keys, out);
}

// A page on its way while the one before it is used. Its task is the only user of the transaction until Take.
class PageAhead {
 public:
  PageAhead(const ExecState& state, kv::Batch batch, const Table& table)
      : batch_(std::move(batch)),
        task_(state.context->runtime().scheduler().Spawn(
            *state.context, {.name = "read ahead"}, [this, &env = state.env, &table](const runtime::Context& context) {
              status_ = SendKv(context, env, batch_, &table);
            })) {}
  ~PageAhead() { Join(); }
  PageAhead(const PageAhead&) = delete;
  PageAhead& operator=(const PageAhead&) = delete;

  StatusOr<kv::Batch> Take() {
    Join();
    RETURN_IF_ERROR(status_);
    return std::move(batch_);
  }

 private:
  void Join() {
    if (task_) task_->Join();
    task_.reset();
  }

  kv::Batch batch_;
  Status status_;
  std::unique_ptr<runtime::Task> task_;
};

class ScanOperator final : public RowOperator {
 public:
  ScanOperator(const PhysicalScan& node, const RowReader& reader) : node_(node), reader_(reader) {}
  bool CellsLiveWithPins() const override { return true; }

  Status Open(ExecState& state) override {
    ahead_.reset();
    page_.reset();
    page_rows_ = kFirstPageRows;
    if (node_.row_hint && !node_.filter) page_rows_ = std::clamp<uint64_t>(*node_.row_hint, 1, RowBatch::kRowsMax);
    rest_.emplace();
    bool possible = true;
    RETURN_IF_ERROR(ComputeSpan(state, *rest_, possible));
    if (!possible || rest_->start >= rest_->end) rest_.reset();
    return OkStatus();
  }

  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.ordinals.size());
    while (out.empty() && (page_ || rest_)) {
      out.Reset(node_.ordinals.size());
      if (!page_) RETURN_IF_ERROR(ReadPage(state));
      RETURN_IF_ERROR(TakeRows(state, out));
    }
    return OkStatus();
  }

 private:
  bool locks() const { return node_.lock.strength != RowLock::kNone; }

  kv::Batch NextPage() const {
    kv::Batch batch;
    batch.max_keys = page_rows_;
    batch.max_bytes = kPageBytesMax;
    batch.Scan(*rest_, node_.reverse ? kv::Direction::kReverse : kv::Direction::kForward);
    return batch;
  }

  Status ReadPage(ExecState& state) {
    kv::Batch batch;
    if (ahead_) {
      ASSIGN_OR_RETURN(batch, ahead_->Take());
      ahead_.reset();
    } else {
      batch = NextPage();
      RETURN_IF_ERROR(state.RunKv(batch, node_.table.get()));
    }
    page_ = std::make_shared<kv::ScanResponse>(std::get<kv::ScanResponse>(std::move(batch.responses[0])));
    cursor_.emplace(page_->rows.Begin());
    rest_ = page_->resume;
    // Rows are locked a batch at a time: no more are read than that.
    page_rows_ = std::min(page_rows_ * 4, locks() ? RowBatch::kRowsMax : kPageRowsMax);
    if (rest_ && state.reads_ahead && !locks() && page_rows_ == kPageRowsMax) {
      ahead_ = std::make_unique<PageAhead>(state, NextPage(), *node_.table);
    }
    return OkStatus();
  }

  // The next rows of the page, which goes with the last of them.
  Status TakeRows(ExecState& state, RowBatch& out) {
    const std::shared_ptr<kv::ScanResponse> page = page_;
    out.Pin(page, page->rows.bytes());
    std::vector<std::string_view> keys;
    while (!out.full()) {
      if (!cursor_->Next()) {
        page_.reset();
        break;
      }
      RETURN_IF_ERROR(reader_.Read(cursor_->key(), cursor_->value(), out.AddRow()));
      if (locks()) keys.push_back(cursor_->key());
    }
    if (cursor_->malformed()) return AnnotateMalformed(*node_.table);
    return FinishPage(state, node_, reader_, keys, out);
  }

  // The key span of the bounds; `possible` becomes false if a bound is NULL.
  Status ComputeSpan(ExecState& state, kv::Span& span, bool& possible) {
    const Table& table = *node_.table;
    std::string prefix = table.key_prefix;
    for (size_t i = 0; i < node_.bounds.equal.size(); ++i) {
      Datum value;
      RETURN_IF_ERROR(Evaluate(*node_.bounds.equal[i], state.expr, {}, &value));
      if (value.is_null()) {
        possible = false;
        return OkStatus();
      }
      AppendKeyColumn(prefix, table.key[i].type, value, table.key[i].direction);
    }
    span.start = prefix;
    span.end = ordered::PrefixEnd(prefix);
    size_t column = node_.bounds.equal.size();
    if (column >= table.key.size()) return OkStatus();
    const Table::KeyPart& part = table.key[column];
    bool descending = part.direction == ordered::Direction::kDescending;
    if (node_.bounds.lower) {
      RETURN_IF_ERROR(ApplyBound(state, *node_.bounds.lower, part, prefix, !descending,
                                 node_.bounds.lower_inclusive, span, possible));
    }
    if (node_.bounds.upper) {
      RETURN_IF_ERROR(ApplyBound(state, *node_.bounds.upper, part, prefix, descending,
                                 node_.bounds.upper_inclusive, span, possible));
    }
    return OkStatus();
  }

  // Narrows the span to keys at or beyond a value: from it on (`at_start`) or up to it.
  Status ApplyBound(ExecState& state, const Expr& expr, const Table::KeyPart& part, const std::string& prefix,
                    bool at_start, bool inclusive, kv::Span& span, bool& possible) {
    Datum value;
    RETURN_IF_ERROR(Evaluate(expr, state.expr, {}, &value));
    if (value.is_null()) {
      possible = false;
      return OkStatus();
    }
    std::string bound = prefix;
    AppendKeyColumn(bound, part.type, value, part.direction);
    if (at_start) {
      span.start = inclusive ? bound : ordered::PrefixEnd(bound);
    } else {
      span.end = inclusive ? ordered::PrefixEnd(bound) : bound;
    }
    return OkStatus();
  }

  const PhysicalScan& node_;
  const RowReader& reader_;
  uint64_t page_rows_ = kFirstPageRows;
  std::optional<kv::Span> rest_;  // behind the page, and the one ahead
  std::shared_ptr<kv::ScanResponse> page_;
  std::optional<KvBlock::Cursor> cursor_;
  std::unique_ptr<PageAhead> ahead_;
};

class KeyLookupOperator final : public RowOperator {
 public:
  KeyLookupOperator(const PhysicalKeyLookup& node, const RowReader& reader) : node_(node), reader_(reader) {}
  bool CellsLiveWithPins() const override { return true; }

  Status Open(ExecState& state) override {
    keys_.clear();
    next_ = 0;
    for (const std::vector<ExprPtr>& exprs : node_.keys) {
      std::vector<Datum> values(exprs.size());
      for (size_t i = 0; i < exprs.size(); ++i) {
        RETURN_IF_ERROR(Evaluate(*exprs[i], state.expr, {}, &values[i]));
      }
      std::string key;
      if (AppendRowKey(*node_.table, values, key)) keys_.push_back(std::move(key));
    }
    if (node_.array) RETURN_IF_ERROR(AddElements(state));
    std::sort(keys_.begin(), keys_.end());
    keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
    return OkStatus();
  }

  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.ordinals.size());
    while (out.empty() && next_ < keys_.size()) {
      out.Reset(node_.ordinals.size());
      RETURN_IF_ERROR(ReadPage(state, out));
    }
    return OkStatus();
  }

 private:
  Status AddElements(ExecState& state) {
    Datum array;
    RETURN_IF_ERROR(Evaluate(*node_.array, state.expr, {}, &array));
    if (array.is_null()) return OkStatus();
    for (const Datum& element : Array::Unpack(array).elements) {
      std::string key;
      if (!AppendRowKey(*node_.table, {&element, 1}, key)) continue;
      RETURN_IF_ERROR(state.Charge(sizeof(std::string) + key.size()));
      keys_.push_back(std::move(key));
    }
    return OkStatus();
  }
  Status ReadPage(ExecState& state, RowBatch& out) {
    auto batch = std::make_shared<kv::Batch>();
    size_t end = std::min(keys_.size(), next_ + RowBatch::kRowsMax);
    for (size_t i = next_; i < end; ++i) batch->Get(keys_[i]);
    RETURN_IF_ERROR(state.RunKv(*batch, node_.table.get()));
    out.Pin(batch, BytesOfGets(*batch));
    std::vector<std::string_view> found;
    for (size_t i = next_; i < end; ++i) {
      const auto& get = std::get<kv::GetResponse>(batch->responses[i - next_]);
      if (!get.value) continue;
      RETURN_IF_ERROR(reader_.Read(keys_[i], *get.value, out.AddRow()));
      if (node_.lock.strength != RowLock::kNone) found.push_back(keys_[i]);
    }
    next_ = end;
    return FinishPage(state, node_, reader_, found, out);
  }

  const PhysicalKeyLookup& node_;
  const RowReader& reader_;
  std::vector<std::string> keys_;
  size_t next_ = 0;
};

}  // namespace

OperatorPtr MakeScan(const PhysicalScan& node, const RowReader& reader) {
  return std::make_unique<ScanOperator>(node, reader);
}
OperatorPtr MakeKeyLookup(const PhysicalKeyLookup& node, const RowReader& reader) {
  return std::make_unique<KeyLookupOperator>(node, reader);
}

}  // namespace orrery::sql
