#include "orrery/kv/client/loader.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "orrery/kv/api/errors.h"
#include "orrery/runtime/runtime.h"
#include "orrery/runtime/scheduler.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {
namespace {

constexpr int kAttemptsMax = 100;
// Blocks that wait to be written. What a load keeps in memory is these, the writers' and the one in the making.
constexpr size_t kWaitingMax = 1;

Status DuplicateKey(std::string_view key, std::string_view value) {
  KvError error;
  error.detail = ConditionFailedError{std::string(key), std::string(value)};
  return ToStatus(error);
}

}  // namespace

Status RunAlone(const runtime::Context& context, Database& db, std::string_view name, Batch& batch) {
  auto txn = db.Begin({.isolation = IsolationLevel::kSerializable, .name = name});
  for (int attempt = 0;; ++attempt) {
    Status status = txn->RunAndCommit(context, batch);
    if (status.ok()) return status;
    if (!GetError<TxnRetryError>(status) || attempt >= kAttemptsMax) {
      (void)txn->Rollback(context).ok();
      return status;
    }
    RETURN_IF_ERROR(context.Check());
    RETURN_IF_ERROR(txn->Restart(context, status));
  }
}

void LoadedRows::Append(std::string_view key, std::string_view value) {
  ascending_ = ascending_ && (rows_.empty() || key > last_key_);
  last_key_.assign(key);
  rows_.Append(key, value);
}

StatusOr<KvBlock> LoadedRows::Take() {
  StatusOr<KvBlock> sorted = ascending_ ? StatusOr<KvBlock>(std::move(rows_)) : Sort();
  rows_.Clear();
  last_key_.clear();
  ascending_ = true;
  return sorted;
}

StatusOr<KvBlock> LoadedRows::Sort() const {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(rows_.count());
  for (auto row = rows_.Begin(); row.Next();) pairs.emplace_back(row.key(), row.value());
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  KvBlock sorted;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i > 0 && pairs[i].first == pairs[i - 1].first) return DuplicateKey(pairs[i].first, pairs[i - 1].second);
    sorted.Append(pairs[i].first, pairs[i].second);
  }
  return sorted;
}

struct Loader::Impl {
  struct Block {
    uint64_t number = 0;
    KvBlock rows;
  };

  Impl(const runtime::Context& context, size_t count, WriteBlock w)
      : write(std::move(w)), writers_max(count), writers(context, "loader") {}

  // The body of a writer.
  Status Run(const runtime::Context& context) {
    WriteBlocks(context);
    runtime::MutexLock lock(mutex);
    --running;
    ended.NotifyAll();
    return OkStatus();
  }
  void WriteBlocks(const runtime::Context& context) {
    for (;;) {
      auto block = blocks.Receive(context);
      if (!block.ok()) return Fail(kNoBlock, block.status());
      if (!*block || HasFailed()) return;
      const Status status = write(context, std::move((*block)->rows));
      if (!status.ok()) return Fail((*block)->number, status);
    }
  }
  // Of several errors, that of the earliest block counts: later ones may follow from it.
  void Fail(uint64_t number, const Status& status) {
    {
      runtime::MutexLock lock(mutex);
      if (error.ok() || number < failed) {
        error = status;
        failed = number;
      }
    }
    blocks.Close();
  }
  bool HasFailed() const {
    runtime::MutexLock lock(mutex);
    return !error.ok();
  }

  static constexpr uint64_t kNoBlock = ~uint64_t{0};

  const WriteBlock write;
  const size_t writers_max;
  runtime::Channel<Block> blocks{kWaitingMax};
  runtime::TaskGroup writers;
  size_t started = 0;
  uint64_t block_count = 0;
  bool joined = false;
  mutable runtime::Mutex mutex{"loader"};
  runtime::CondVar ended;
  size_t running ABSL_GUARDED_BY(mutex) = 0;
  Status error ABSL_GUARDED_BY(mutex);
  uint64_t failed ABSL_GUARDED_BY(mutex) = 0;
};

Loader::Loader(const runtime::Context& context, size_t writers, WriteBlock write)
    : impl_(std::make_unique<Impl>(context, writers, std::move(write))) {}

Loader::~Loader() {
  if (impl_->joined) return;
  impl_->blocks.Close();
  impl_->writers.Cancel();
  (void)impl_->writers.Join().ok();
}

Status Loader::Write(const runtime::Context& context, KvBlock rows) {
  Impl& impl = *impl_;
  if (impl.HasFailed()) return Finish(context);
  if (rows.empty()) return OkStatus();
  if (impl.started < impl.writers_max) {
    ++impl.started;
    {
      runtime::MutexLock lock(impl.mutex);
      ++impl.running;
    }
    impl.writers.Spawn({.name = "loader"}, [&impl](const runtime::Context& c) { return impl.Run(c); });
  }
  const Status sent = impl.blocks.Send(context, {impl.block_count++, std::move(rows)});
  return impl.HasFailed() ? Finish(context) : sent;
}

Status Loader::Finish(const runtime::Context& context) {
  Impl& impl = *impl_;
  Status waited;
  if (!impl.joined) {
    impl.blocks.Close();
    {
      runtime::MutexLock lock(impl.mutex);
      waited = WaitUntil(context, impl.mutex, impl.ended, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl.mutex) { return impl.running == 0; });
    }
    if (!waited.ok()) impl.writers.Cancel();
    (void)impl.writers.Join().ok();
    impl.joined = true;
  }
  runtime::MutexLock lock(impl.mutex);
  return impl.error.ok() ? waited : impl.error;
}

Status LoadAlone(const runtime::Context& context, Database& db, std::string_view name, KvBlock rows) {
  Batch batch;
  batch.InsertMany(std::move(rows));
  return RunAlone(context, db, name, batch);
}

}  // namespace orrery::kv
