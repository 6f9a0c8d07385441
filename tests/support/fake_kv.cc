#include "support/fake_kv.h"

#include <atomic>
#include <map>
#include <set>

#include "orrery/base/hash.h"
#include "orrery/kv/api/counter.h"

namespace orrery::kv {
namespace {

// The newest version first.
using Versions = std::map<Timestamp, std::optional<std::string>, std::greater<>>;

struct Lock {
  uint64_t exclusive = 0;  // transaction number; 0: none
  std::set<uint64_t> shared;
  bool HeldByOther(uint64_t txn, LockStrength wanted) const {
    if (exclusive != 0 && exclusive != txn) return true;
    if (wanted == LockStrength::kShared) return false;
    return shared.size() > (shared.contains(txn) ? 1u : 0u);
  }
};

// A short critical section between tasks of a test; nothing waits inside.
class SpinGuard {
 public:
  explicit SpinGuard(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~SpinGuard() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag& flag_;
};

struct Store {
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  int64_t clock = 1'700'000'000'000'000'000;
  uint64_t next_txn = 1;
  std::map<std::string, Versions, std::less<>> data;
  std::map<std::string, Lock, std::less<>> locks;
  std::set<std::string> splits{std::string(kTableDataStart)};

  std::function<int64_t()> wall_now_ns;

  Timestamp Tick() {
    clock += 1000;
    if (wall_now_ns) clock = std::max(clock, wall_now_ns());
    return {clock, 0};
  }
  const std::optional<std::string>* At(const Versions& versions, Timestamp ts) const {
    auto it = versions.lower_bound(ts);
    return it == versions.end() ? nullptr : &it->second;
  }
  // Whether somebody committed to the key after `ts`.
  bool ChangedAfter(std::string_view key, Timestamp ts) const {
    auto it = data.find(key);
    return it != data.end() && !it->second.empty() && it->second.begin()->first > ts;
  }
  bool SpanChangedAfter(const Span& span, Timestamp ts) const {
    if (span.is_point()) return ChangedAfter(span.start, ts);
    for (auto it = data.lower_bound(span.start); it != data.end() && it->first < span.end; ++it) {
      if (!it->second.empty() && it->second.begin()->first > ts) return true;
    }
    return false;
  }
};

Status RetryError(RetryReason reason, const std::string& id, Timestamp ts, std::string detail) {
  KvError error;
  error.detail = TxnRetryError{reason, id, ts, std::move(detail)};
  return ToStatus(error);
}

// What one reader or writer sees and does; the body of both Txn::Run and Database::Read.
struct View {
  Store& store;
  uint64_t txn = 0;  // 0: outside a transaction
  Timestamp read_ts;
  IsolationLevel isolation = IsolationLevel::kReadCommitted;
  WaitPolicy wait = WaitPolicy::kBlock;
  uint64_t keys_left = UINT64_MAX;
  uint64_t bytes_left = UINT64_MAX;
  // Own writes by key, in order of sequence.
  using Writes = std::map<std::string, std::vector<std::pair<uint32_t, std::optional<std::string>>>, std::less<>>;
  Writes* writes = nullptr;
  std::vector<Span>* reads = nullptr;
  uint32_t* sequence = nullptr;

  std::string TxnId() const { return std::to_string(txn); }

  std::optional<std::string> Value(std::string_view key) const {
    if (writes) {
      if (auto it = writes->find(key); it != writes->end() && !it->second.empty()) return it->second.back().second;
    }
    auto it = store.data.find(key);
    if (it == store.data.end()) return std::nullopt;
    const auto* value = store.At(it->second, read_ts);
    return value ? *value : std::nullopt;
  }

  // Takes the lock or says why not; `skipped` instead of an error under SKIP LOCKED.
  Status LockKey(std::string_view key, LockStrength strength, bool& skipped) {
    auto it = store.locks.find(key);
    if (it != store.locks.end() && it->second.HeldByOther(txn, strength)) {
      if (wait == WaitPolicy::kSkip) {
        skipped = true;
        return OkStatus();
      }
      if (wait == WaitPolicy::kError) {
        KvError error;
        LockConflict conflict;
        conflict.key = std::string(key);
        conflict.txn.id = std::to_string(it->second.exclusive);
        error.detail = LockConflictError{{conflict}};
        return ToStatus(error);
      }
      return RetryError(RetryReason::kWriteTooOld, TxnId(), {store.clock, 0},
                        "key " + Printable(key) + " is locked by another transaction");
    }
    if (store.ChangedAfter(key, read_ts)) {
      return RetryError(RetryReason::kWriteTooOld, TxnId(), {store.clock, 0},
                        "key " + Printable(key) + " was changed by another transaction");
    }
    if (it == store.locks.end()) it = store.locks.emplace(std::string(key), Lock{}).first;
    if (strength == LockStrength::kShared) {
      it->second.shared.insert(txn);
    } else {
      it->second.exclusive = txn;
    }
    return OkStatus();
  }

  Status Write(std::string_view key, std::optional<std::string> value) {
    bool skipped = false;
    const WaitPolicy asked = wait;
    if (wait == WaitPolicy::kSkip) wait = WaitPolicy::kBlock;  // a write is never left out
    Status locked = LockKey(key, LockStrength::kIntent, skipped);
    wait = asked;
    RETURN_IF_ERROR(locked);
    auto it = writes->find(key);
    if (it == writes->end()) it = writes->emplace(std::string(key), Writes::mapped_type{}).first;
    it->second.emplace_back(++*sequence, std::move(value));
    return OkStatus();
  }

  Status Do(const GetRequest& r, Response& out) {
    if (reads) reads->push_back({r.key, ""});
    GetResponse response;
    response.value = Value(r.key);
    if (r.lock != LockStrength::kNone && response.value) {
      bool skipped = false;
      RETURN_IF_ERROR(LockKey(r.key, r.lock, skipped));
      if (skipped) response.value.reset();
    }
    out = std::move(response);
    return OkStatus();
  }

  std::vector<std::string> KeysIn(const Span& span, Direction direction) const {
    std::set<std::string> keys;
    const auto collect = [&](const auto& map) {
      for (auto it = map.lower_bound(span.start); it != map.end(); ++it) {
        if (span.is_point() ? it->first != span.start : it->first >= span.end) break;
        keys.insert(it->first);
      }
    };
    collect(store.data);
    if (writes) collect(*writes);
    std::vector<std::string> out(keys.begin(), keys.end());
    if (direction == Direction::kReverse) out.assign(keys.rbegin(), keys.rend());
    return out;
  }

  Status Do(const ScanRequest& r, Response& out) {
    if (reads) reads->push_back(r.span);
    ScanResponse response;
    for (const std::string& key : KeysIn(r.span, r.direction)) {
      std::optional<std::string> value = Value(key);
      if (!value) continue;
      if (keys_left == 0 || bytes_left == 0) {
        response.resume = r.direction == Direction::kForward ? Span{key, r.span.end}
                                                             : Span{r.span.start, key + std::string(1, '\0')};
        break;
      }
      if (r.lock != LockStrength::kNone) {
        bool skipped = false;
        RETURN_IF_ERROR(LockKey(key, r.lock, skipped));
        if (skipped) continue;
      }
      response.rows.Append(key, *value);
      keys_left -= 1;
      bytes_left -= std::min<uint64_t>(bytes_left, key.size() + value->size());
    }
    out = std::move(response);
    return OkStatus();
  }

  Status Do(const PutRequest& r, Response& out) {
    out = EmptyResponse{};
    return Write(r.key, r.value);
  }
  Status Do(const DeleteRequest& r, Response& out) {
    out = EmptyResponse{};
    return Write(r.key, std::nullopt);
  }
  Status Do(const ConditionalPutRequest& r, Response& out) {
    out = EmptyResponse{};
    if (reads) reads->push_back({r.key, ""});
    if (store.ChangedAfter(r.key, read_ts)) {
      return RetryError(RetryReason::kWriteTooOld, TxnId(), {store.clock, 0},
                        "key " + Printable(r.key) + " was changed by another transaction");
    }
    std::optional<std::string> actual = Value(r.key);
    if (actual != r.expected) {
      KvError error;
      error.detail = ConditionFailedError{r.key, actual};
      return ToStatus(error);
    }
    return Write(r.key, r.deletes != 0 ? std::nullopt : std::optional<std::string>(r.value));
  }
  Status Do(const InsertManyRequest& r, Response& out) {
    for (auto row = r.rows.Begin(); row.Next();) {
      RETURN_IF_ERROR(Do(ConditionalPutRequest{std::string(row.key()), std::string(row.value()), std::nullopt}, out));
    }
    return OkStatus();
  }
  template <class R>
  Status Do(const R&, Response&) {
    return InvalidArgumentError("only reads and writes can be put in a batch");
  }

  Status Run(Batch& batch) {
    wait = batch.wait;
    keys_left = batch.max_keys == 0 ? UINT64_MAX : batch.max_keys;
    bytes_left = batch.max_bytes == 0 ? UINT64_MAX : batch.max_bytes;
    batch.responses.assign(batch.requests.size(), EmptyResponse{});
    for (size_t i = 0; i < batch.requests.size(); ++i) {
      RETURN_IF_ERROR(std::visit([&](const auto& r) { return Do(r, batch.responses[i]); }, batch.requests[i]));
    }
    return OkStatus();
  }
};

class FakeTxn : public Txn {
 public:
  FakeTxn(Store& store, const TxnOptions& options) : store_(store), isolation_(options.isolation) {
    SpinGuard guard(store_.busy);
    Reset();
  }
  ~FakeTxn() override { Finish(); }

  Status Run(const runtime::Context&, Batch& batch) override {
    if (finished_) return FailedPreconditionError("the transaction is finished");
    SpinGuard guard(store_.busy);
    const uint32_t before = sequence_;
    View view{.store = store_, .txn = number_, .read_ts = read_ts_, .isolation = isolation_};
    view.writes = &writes_;
    view.reads = isolation_ == IsolationLevel::kSerializable ? &reads_ : nullptr;
    view.sequence = &sequence_;
    Status status = view.Run(batch);
    if (!status.ok()) DropWritesAfter(before);  // a batch has all of its effect or none
    return status;
  }

  Status RunBeside(const runtime::Context& context, Batch& batch) override { return Run(context, batch); }  // under SpinGuard

  Status RunAndCommit(const runtime::Context& context, Batch& batch) override {
    RETURN_IF_ERROR(Run(context, batch));
    return Commit(context);
  }

  Status Commit(const runtime::Context&) override {
    if (finished_) return FailedPreconditionError("the transaction is finished");
    {
      SpinGuard guard(store_.busy);
      const Timestamp ts = store_.Tick();
      if (ts >= deadline_) return RetryError(RetryReason::kDeadlineExceeded, id(), ts, "");
      if (has_writes()) {
        for (const Span& span : reads_) {
          if (store_.SpanChangedAfter(span, read_ts_)) {
            return RetryError(RetryReason::kSerializable, id(), ts, "a row read was changed meanwhile");
          }
        }
      }
      for (auto& [key, values] : writes_) {
        if (!values.empty()) store_.data[key][ts] = values.back().second;
      }
      commit_ts_ = has_writes() ? ts : read_ts_;
    }
    Finish();
    return OkStatus();
  }

  Status Rollback(const runtime::Context&) override {
    writes_.clear();
    Finish();
    return OkStatus();
  }

  void BeginStatement() override {
    if (isolation_ != IsolationLevel::kReadCommitted || finished_) return;
    SpinGuard guard(store_.busy);
    read_ts_ = store_.Tick();
  }
  Status Restart(const runtime::Context&, const Status& retry_error) override {
    if (!GetError<TxnRetryError>(retry_error)) return InternalError("Restart needs a TxnRetryError");
    if (finished_) return FailedPreconditionError("the transaction is finished");
    SpinGuard guard(store_.busy);
    ReleaseLocks();
    Reset();
    return OkStatus();
  }
  Status RestartStatement(const runtime::Context&, const Status& retry_error) override {
    if (!GetError<TxnRetryError>(retry_error)) return InternalError("RestartStatement needs a TxnRetryError");
    if (isolation_ != IsolationLevel::kReadCommitted) {
      return FailedPreconditionError("only READ COMMITTED restarts a statement");
    }
    BeginStatement();
    return OkStatus();
  }

  uint32_t CreateSavepoint() override { return sequence_; }
  Status RollbackTo(const runtime::Context&, uint32_t savepoint) override {
    if (finished_) return FailedPreconditionError("the transaction is finished");
    SpinGuard guard(store_.busy);
    DropWritesAfter(savepoint);
    return OkStatus();
  }

  IsolationLevel isolation() const override { return isolation_; }
  Timestamp read_timestamp() const override { return read_ts_; }
  Timestamp commit_timestamp() const override { return commit_ts_; }
  std::string id() const override { return std::to_string(number_); }
  bool has_writes() const override {
    for (const auto& [key, values] : writes_) {
      if (!values.empty()) return true;
    }
    return false;
  }
  void LimitCommit(Timestamp deadline) override { deadline_ = std::min(deadline_, deadline); }

 private:
  void Reset() {
    number_ = store_.next_txn++;
    read_ts_ = store_.Tick();
    writes_.clear();
    reads_.clear();
  }
  void DropWritesAfter(uint32_t savepoint) {
    for (auto& [key, values] : writes_) {
      while (!values.empty() && values.back().first > savepoint) values.pop_back();
    }
  }
  void ReleaseLocks() {
    for (auto it = store_.locks.begin(); it != store_.locks.end();) {
      Lock& lock = it->second;
      if (lock.exclusive == number_) lock.exclusive = 0;
      lock.shared.erase(number_);
      it = lock.exclusive == 0 && lock.shared.empty() ? store_.locks.erase(it) : std::next(it);
    }
  }
  void Finish() {
    if (finished_) return;
    finished_ = true;
    SpinGuard guard(store_.busy);
    ReleaseLocks();
  }

  Store& store_;
  const IsolationLevel isolation_;
  uint64_t number_ = 0;
  Timestamp read_ts_;
  Timestamp commit_ts_;
  Timestamp deadline_ = Timestamp::Max();
  uint32_t sequence_ = 0;
  View::Writes writes_;
  std::vector<Span> reads_;
  bool finished_ = false;
};

class FakeDatabase : public Database {
 public:
  explicit FakeDatabase(std::function<int64_t()> wall_now_ns) { store_.wall_now_ns = std::move(wall_now_ns); }

  std::unique_ptr<Txn> Begin(const TxnOptions& options) override {
    return std::make_unique<FakeTxn>(store_, options);
  }

  Status Read(const runtime::Context&, Batch& batch, Timestamp* read_ts) override {
    for (const Request& request : batch.requests) {
      const auto* get = std::get_if<GetRequest>(&request);
      const auto* scan = std::get_if<ScanRequest>(&request);
      if (!(get && get->lock == LockStrength::kNone) && !(scan && scan->lock == LockStrength::kNone)) {
        return InvalidArgumentError("Database::Read takes Gets and Scans without locks");
      }
    }
    SpinGuard guard(store_.busy);
    View view{.store = store_, .read_ts = store_.Tick()};
    if (read_ts) *read_ts = view.read_ts;
    return view.Run(batch);
  }

  Status RunTxn(const runtime::Context& context, std::string_view name,
                const std::function<Status(Txn&)>& body) override {
    auto txn = Begin({.isolation = IsolationLevel::kSerializable, .name = name});
    for (int attempt = 0;; ++attempt) {
      Status status = body(*txn);
      if (status.ok()) status = txn->Commit(context);
      if (status.ok() || !GetError<TxnRetryError>(status) || attempt == kAttemptsMax) return status;
      RETURN_IF_ERROR(txn->Restart(context, status));
    }
  }

  StatusOr<uint64_t> AllocateIds(const runtime::Context& context, std::string_view counter,
                                 uint64_t count) override {
    const std::string key = ClusterKey(counter);
    uint64_t first = 0;
    RETURN_IF_ERROR(RunTxn(context, "allocate ids", [&](Txn& txn) -> Status {
      Batch read;
      read.Get(key);
      RETURN_IF_ERROR(txn.Run(context, read));
      ASSIGN_OR_RETURN(const uint64_t last, DecodeCounter(std::get<GetResponse>(read.responses[0]).value));
      first = last + 1;
      Batch write;
      write.Put(key, EncodeCounter(last + count));
      return txn.Run(context, write);
    }));
    return first;
  }

  Status Split(const runtime::Context&, std::string_view key) override {
    if (key < kTableDataStart) return InvalidArgumentError("the system range cannot be split");
    SpinGuard guard(store_.busy);
    store_.splits.insert(std::string(key));
    return OkStatus();
  }
  Status ClearSpan(const runtime::Context&, const Span& span) override {
    SpinGuard guard(store_.busy);
    auto first = store_.data.lower_bound(span.start);
    auto last = span.is_point() ? store_.data.upper_bound(span.start) : store_.data.lower_bound(span.end);
    store_.data.erase(first, last);
    return OkStatus();
  }
  Timestamp Now() override {
    SpinGuard guard(store_.busy);
    return store_.Tick();
  }
  StatusOr<std::vector<RangeDescriptor>> ListRanges(const runtime::Context&, const Span& span) override {
    SpinGuard guard(store_.busy);
    std::vector<RangeDescriptor> out;
    std::string start(kMinKey);
    uint64_t id = 1;
    const auto add = [&](const std::string& end) {
      RangeDescriptor d{.range = RangeId(id), .start = start, .end = end};
      d.replicas.push_back({NodeId(1), StoreId(1), ReplicaId(1)});
      d.next_replica = ReplicaId(2);
      d.generation = RangeGeneration(1);
      if (Span{d.start, d.end}.Overlaps(span)) out.push_back(std::move(d));
      start = end;
      ++id;
    };
    for (const std::string& split : store_.splits) add(split);
    add(std::string(kMaxKey));
    return out;
  }

 private:
  static constexpr int kAttemptsMax = 100;
  Store store_;
};

}  // namespace

std::unique_ptr<Database> MakeFakeDatabase(std::function<int64_t()> wall_now_ns) {
  return std::make_unique<FakeDatabase>(std::move(wall_now_ns));
}

}  // namespace orrery::kv
