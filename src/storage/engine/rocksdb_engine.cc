#include "orrery/storage/rocksdb_engine.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "orrery/runtime/kernel_wait.h"
#include "orrery/runtime/sync.h"
#include "rocksdb/cache.h"
#include "rocksdb/listener.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/write_batch.h"
#include "storage/engine/disk_room.h"
#include "storage/engine/key_index.h"
#include "storage/engine/log_files.h"
#include "storage/engine/rocksdb_options.h"
#include "storage/engine/rocksdb_store.h"

namespace orrery::storage {
namespace {

// 16 shards: few would be contended, many so small that they cannot hold what all reads share.
constexpr int kCacheShardBits = 4;

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

Status FromRocks(const rocksdb::Status& s, std::string_view what) {
  if (s.ok()) return OkStatus();
  const std::string message = std::string(what) + ": " + s.ToString();
  if (s.IsNoSpace()) return Status(Code::kResourceExhausted, "53100", message);
  if (s.IsCorruption()) return Status(Code::kDataLoss, "XX001", message);
  if (s.IsIOError()) return Status(Code::kUnavailable, "58030", message);
  if (s.IsShutdownInProgress() || s.IsAborted()) return UnavailableError(message);
  return Status(Code::kInternal, message);
}

// What is wrong with the store, if anything: shared with RocksDB's threads through the listener.
class Health {
 public:
  explicit Health(std::function<void(const Status&)> on_fatal) : on_fatal_(std::move(on_fatal)) {}

  bool refuses_writes() const { return failed_.load(std::memory_order_acquire); }
  Status error() const {
    runtime::MutexLock lock(mutex_);
    return error_;
  }
  // Writes stop until the store is reopened. The first error stays.
  void Fail(const Status& error) {
    runtime::MutexLock lock(mutex_);
    if (!error_.ok()) return;
    error_ = error;
    failed_.store(true, std::memory_order_release);
  }
  // As Fail, and the node must not go on (B53, B54, B56).
  void FailFatally(const Status& error) {
    Fail(error);
    if (fatal_reported_.exchange(true)) return;
    if (on_fatal_) return on_fatal_(error);
    std::fprintf(stderr, "fatal store error: %s\n", error.ToString().c_str());
    std::abort();
  }

 private:
  const std::function<void(const Status&)> on_fatal_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> fatal_reported_{false};
  mutable runtime::Mutex mutex_{"store_health"};
  Status error_ ABSL_GUARDED_BY(mutex_);
};

// Iterators kept for point seeks, which would otherwise spend most of their time making one. A kept iterator
// is refreshed before use, so it sees the newest state. It pins memtables and files, so all are dropped when a
// flush or compaction ends; and when a range was deleted, so that no refresh has to find new range tombstones.
class SeekerPool {
 public:
  struct Seeker {
    std::unique_ptr<rocksdb::Iterator> iterator;
    uint64_t generation = 0;
  };

  // Without iterator: none is kept, and the caller makes one.
  Seeker Take(ColumnFamily cf) {
    runtime::MutexLock lock(mutex_);
    auto& kept = kept_[size_t(cf)];
    if (kept.empty()) return Seeker{nullptr, generation_};
    Seeker seeker{std::move(kept.back()), generation_};
    kept.pop_back();
    return seeker;
  }
  void Return(ColumnFamily cf, Seeker seeker) {
    runtime::MutexLock lock(mutex_);
    if (seeker.generation != generation_ || kept_[size_t(cf)].size() >= kKeptMax) return;
    kept_[size_t(cf)].push_back(std::move(seeker.iterator));
  }
  void Clear() {
    std::vector<std::unique_ptr<rocksdb::Iterator>> doomed[kColumnFamilyCount];
    runtime::MutexLock lock(mutex_);
    ++generation_;
    std::swap(kept_, doomed);
  }

 private:
  static constexpr size_t kKeptMax = 16;
  runtime::Mutex mutex_{"store_seekers"};
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<rocksdb::Iterator>> kept_[kColumnFamilyCount] ABSL_GUARDED_BY(mutex_);
};

class StoreListener final : public rocksdb::EventListener {
 public:
  StoreListener(std::shared_ptr<Health> health, std::shared_ptr<SeekerPool> seekers)
      : health_(std::move(health)), seekers_(std::move(seekers)) {}
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { seekers_->Clear(); }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { seekers_->Clear(); }
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    // A compaction that finds no room for its new files has changed nothing, and is tried again by and by. (Its entry in
    // the manifest would be another reason.)
    if (error->IsNoSpace() && reason == rocksdb::BackgroundErrorReason::kCompaction) {
      *error = rocksdb::Status::OK();
      return;
    }
    const Status status = FromRocks(*error, "store");
    if (error->IsNoSpace()) {
      health_->Fail(status);
    } else {
      health_->FailFatally(status);
    }
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;  // B54
  }

 private:
  const std::shared_ptr<Health> health_;
  const std::shared_ptr<SeekerPool> seekers_;
};

class RocksIterator final : public Iterator {
 public:
  RocksIterator(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, const rocksdb::Snapshot* snapshot,
                IteratorOptions options)
      : options_(std::move(options)), lower_(options_.lower), upper_(options_.upper) {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    read.total_order_seek = true;
    if (!options_.lower.empty()) read.iterate_lower_bound = &lower_;
    if (!options_.upper.empty()) read.iterate_upper_bound = &upper_;
    iterator_.reset(db.NewIterator(read, family));
  }
  void Seek(std::string_view target) override { iterator_->Seek(ToSlice(target)); }
  void SeekForPrev(std::string_view target) override {
    if (!options_.upper.empty() && target >= options_.upper) return iterator_->SeekToLast();
    iterator_->SeekForPrev(ToSlice(target));
  }
  void SeekToFirst() override { iterator_->SeekToFirst(); }
  void SeekToLast() override { iterator_->SeekToLast(); }
  void Next() override { iterator_->Next(); }
  void Prev() override { iterator_->Prev(); }
  bool Valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return ToView(iterator_->key()); }
  std::string_view value() const override { return ToView(iterator_->value()); }
  Status status() const override { return FromRocks(iterator_->status(), "reading the store"); }

 private:
  const IteratorOptions options_;
  const rocksdb::Slice lower_;  // point into options_; RocksDB keeps pointers to these
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class NoEntries final : public Iterator {
 public:
  void Seek(std::string_view) override {}
  void SeekForPrev(std::string_view) override {}
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Next() override {}
  void Prev() override {}
  bool Valid() const override { return false; }
  std::string_view key() const override { return {}; }
  std::string_view value() const override { return {}; }
  Status status() const override { return OkStatus(); }
};

// Table files beside the store's own; their names are gone once the store has taken them in.
class LoadFiles final : public PreparedLoad {
 public:
  explicit LoadFiles(rocksdb::Env& env) : env_(env) {}
  ~LoadFiles() override {
    for (const File& file : files_) (void)env_.DeleteFile(file.path).ok();
  }
  struct File {
    ColumnFamily cf;
    std::string path;
  };
  void Add(ColumnFamily cf, std::string path) { files_.push_back({cf, std::move(path)}); }
  const std::vector<File>& files() const { return files_; }

 private:
  rocksdb::Env& env_;
  std::vector<File> files_;
};

// Where a batch puts very many locks in the order of their keys, as a load's rows have them.
class LockRuns {
 public:
  struct Run {
    size_t begin = 0;  // positions of operations in the batch
    size_t end = 0;
    std::string_view first;
    std::string_view last;
    size_t count = 0;
  };
  LockRuns(const WriteBatch& batch, const KeyIndex::Limits& limits) {
    if (batch.op_count() < limits.run_min) return;
    Run run;
    bool goes_on = false;  // the last run, where that was long enough
    const auto close = [&] {
      if (run.count >= limits.run_min) {
        runs_.push_back(run);
      } else if (run.count > 0 && goes_on) {
        runs_.back().end = run.end;
        runs_.back().last = run.last;
        runs_.back().count += run.count;
      }
      run.count = 0;
    };
    size_t position = 0;
    batch.ForEach([&](const WriteBatch::Op& op) {
      const size_t at = position++;
      if (op.cf != ColumnFamily::kLock) return;
      const bool put = op.kind == WriteBatch::OpKind::kPut && TerminatedBytes(op.key) > 0;
      if (!put || (run.count > 0 && op.key <= run.last)) {
        close();
        goes_on = false;
      } else if (run.count == limits.run_max) {
        close();
        goes_on = true;
      }
      if (!put) return;
      if (run.count == 0) run = {at, at, op.key, op.key, 0};
      run.end = at + 1;
      run.last = op.key;
      ++run.count;
    });
    close();
  }
  const std::vector<Run>& all() const { return runs_; }
  // Whether the operation at this position puts one of the locks of a run.
  bool Contain(size_t position, const WriteBatch::Op& op) const {
    if (runs_.empty() || op.cf != ColumnFamily::kLock) return false;
    return std::any_of(runs_.begin(), runs_.end(), [position](const Run& run) { return position >= run.begin && position < run.end; });
  }

 private:
  std::vector<Run> runs_;
};

class RocksDbEngineImpl;

class RocksSnapshot final : public EngineSnapshot {
 public:
  explicit RocksSnapshot(const RocksDbEngineImpl& engine);
  ~RocksSnapshot() override;
  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override;
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override;
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override;

 private:
  const RocksDbEngineImpl& engine_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksDbEngineImpl : public RocksDbEngine {
 public:
  RocksDbEngineImpl(rocksdb::Env& env, std::string path, std::shared_ptr<Health> health)
      : path_(std::move(path)),
        env_(rocksdb::NewCompositeEnv(MakeLogFileSystem(env.GetFileSystem()))),
        health_(std::move(health)) {}
  ~RocksDbEngineImpl() override { (void)Close(); }

  Status Open(const StoreOptions& options) {
    rocksdb::DBOptions db_options = MakeDbOptions(*env_, options);
    disk_room_.emplace(*env_, path_, options, db_options);
    db_options.listeners.push_back(std::make_shared<StoreListener>(health_, seekers_));
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    families.emplace_back(rocksdb::kDefaultColumnFamilyName,
                          MakeColumnFamilyOptions(ColumnFamily::kState, cache, options));
    for (size_t i = 0; i < kColumnFamilyCount; ++i) {
      families.emplace_back(kColumnFamilyNames[i], MakeColumnFamilyOptions(ColumnFamily(i), cache, options));
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    rocksdb::Status opened = TrimLogs(*env_->GetFileSystem(), path_);
    if (opened.ok()) opened = rocksdb::DB::Open(db_options, path_, families, &handles, &db);
    if (!opened.ok()) return OpenError(opened, options);
    db_.reset(db);
    default_family_.reset(handles[0]);
    for (size_t i = 0; i < kColumnFamilyCount; ++i) families_[i].reset(handles[i + 1]);
    RETURN_IF_ERROR(ClearLoads());
    RETURN_IF_ERROR(LoadKeys(ColumnFamily::kLock));
    return LoadKeys(ColumnFamily::kState);
  }

  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override {
    if (const KeyIndex* index = IndexOf(cf); index != nullptr && !index->MayHold(key)) return false;
    return GetAt(nullptr, cf, key, value);
  }
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override {
    // Every scan asks for locks; where there are none, it need not step over those that were.
    if (cf == ColumnFamily::kLock && !locks_.Narrow(options.lower, options.upper)) return std::make_unique<NoEntries>();
    return IteratorAt(nullptr, cf, std::move(options));
  }
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override {
    if (cf == ColumnFamily::kLock && !locks_.MayHold(target.substr(0, prefix_bytes))) return false;
    SeekerPool::Seeker seeker = seekers_->Take(cf);
    if (seeker.iterator != nullptr && !seeker.iterator->Refresh().ok()) seeker.iterator.reset();
    if (seeker.iterator == nullptr) seeker.iterator = NewSeeker(nullptr, cf);
    auto found = SeekWith(*seeker.iterator, target, prefix_bytes, key, value);
    if (found.ok()) seekers_->Return(cf, std::move(seeker));
    return found;
  }
  std::unique_ptr<EngineSnapshot> NewSnapshot() const override {
    return std::make_unique<RocksSnapshot>(*this);
  }

  Status Write(const WriteBatch& batch, SyncMode sync) override {
    if (health_->refuses_writes()) return health_->error();
    const rocksdb::Status written = WriteIndexed(batch, sync);
    LookAtRuns();
    return AfterWrite(written, "writing to the store");
  }

  // The batch, with its keys in the indexes before and out of them behind it.
  rocksdb::Status WriteIndexed(const WriteBatch& batch, SyncMode sync) {
    const KeyIndex::WriteScope locks_scope(locks_);
    const KeyIndex::WriteScope records_scope(records_);
    const LockRuns runs(batch, locks_.limits());
    for (const LockRuns::Run& run : runs.all()) locks_.AddRun(run.first, run.last, run.count);
    rocksdb::WriteBatch rocks(batch.bytes().size() + 64);
    bool deletes_range = false;
    bool deletes_indexed = false;
    size_t position = 0;
    batch.ForEach([&](const WriteBatch::Op& op) {
      auto* const family = Family(op.cf);
      const bool in_run = runs.Contain(position++, op);
      switch (op.kind) {
        case WriteBatch::OpKind::kPut:
          rocks.Put(family, ToSlice(op.key), ToSlice(op.value));
          if (KeyIndex* index = IndexOf(op.cf); index != nullptr && !in_run) index->Add(op.key);
          break;
        case WriteBatch::OpKind::kDelete:
          rocks.Delete(family, ToSlice(op.key));
          deletes_indexed = deletes_indexed || IndexOf(op.cf) != nullptr;
          break;
        case WriteBatch::OpKind::kDeleteRange:
          rocks.DeleteRange(family, ToSlice(op.key), ToSlice(op.value));
          deletes_range = true;
          break;
      }
    });
    const rocksdb::Status written = Put(rocks, sync);
    if (deletes_range) seekers_->Clear();
    if (deletes_indexed && written.ok()) NoteKeys(batch, runs);
    return written;
  }

  StatusOr<std::unique_ptr<PreparedLoad>> PrepareLoad(const WriteBatch& rows) override {
    if (health_->refuses_writes()) return health_->error();
    ORRERY_ASSERT(rows.IsLoad() && !rows.empty(), "a load is of new rows in the order of their keys");
    auto files = std::make_unique<LoadFiles>(*env_);
    const runtime::KernelWait wait;
    rocksdb::Status status = env_->CreateDirIfMissing(LoadPath());
    for (const ColumnFamily cf : {ColumnFamily::kMvcc, ColumnFamily::kLock}) {
      if (status.ok()) status = WriteTable(rows, cf, *files);
    }
    // A disk without room for it is no reason to stop: nothing has happened to the store yet.
    if (status.IsNoSpace()) return FromRocks(status, "writing a load's file");
    RETURN_IF_ERROR(AfterWrite(status, "writing a load's file"));
    return std::unique_ptr<PreparedLoad>(std::move(files));
  }

  Status Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad> prepared) override {
    if (health_->refuses_writes()) return health_->error();
    if (!prepared) {
      auto made = PrepareLoad(rows);
      if (!made.ok()) {
        health_->Fail(made.status());
        return made.status();
      }
      prepared = std::move(*made);
    }
    std::vector<rocksdb::IngestExternalFileArg> args;
    for (const LoadFiles::File& file : static_cast<LoadFiles&>(*prepared).files()) {
      rocksdb::IngestExternalFileArg& arg = args.emplace_back();
      arg.column_family = Family(file.cf);
      arg.external_files = {file.path};
      arg.options.move_files = true;
      arg.options.write_global_seqno = false;  // a file is never written again
    }
    const KeyIndex::WriteScope locks_scope(locks_);
    NoteLocks(rows);
    const runtime::KernelWait wait;
    const rocksdb::Status status = db_->IngestExternalFiles(args);
    seekers_->Clear();
    return AfterWrite(status, "taking a load's files in");
  }

  DiskSpace CheckSpace() const override { return disk_room_->Check(); }

  Status SyncAll() override {
    if (health_->refuses_writes()) return health_->error();
    return AfterWrite(WriteMark(), "syncing the store");
  }

  Status Flush() override {
    if (health_->refuses_writes()) return health_->error();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    for (const auto& family : families_) handles.push_back(family.get());
    return AfterWrite(db_->Flush(rocksdb::FlushOptions(), handles), "flushing the store");
  }

  uint64_t LastSequence() const override { return db_->GetLatestSequenceNumber(); }

  Status Close() override {
    if (!db_) return OkStatus();
    if (!health_->refuses_writes()) (void)AfterWrite(WriteMark(), "syncing the store");
    health_->Fail(FailedPreconditionError("store is closed"));
    seekers_->Clear();
    default_family_.reset();
    for (auto& family : families_) family.reset();
    const rocksdb::Status closed = db_->Close();
    db_.reset();
    return FromRocks(closed, "closing the store");
  }

  rocksdb::DB& db() override { return *db_; }

  StatusOr<bool> GetAt(const rocksdb::Snapshot* snapshot, ColumnFamily cf, std::string_view key,
                       std::string& value) const {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    rocksdb::PinnableSlice pinned(&value);
    const rocksdb::Status s = db_->Get(read, Family(cf), ToSlice(key), &pinned);
    if (s.IsNotFound()) return false;
    if (!s.ok()) return ReadError(s);
    if (pinned.IsPinned()) value.assign(pinned.data(), pinned.size());
    return true;
  }

  std::unique_ptr<Iterator> IteratorAt(const rocksdb::Snapshot* snapshot, ColumnFamily cf,
                                       IteratorOptions options) const {
    return std::make_unique<RocksIterator>(*db_, Family(cf), snapshot, std::move(options));
  }

  StatusOr<bool> SeekInPrefixAt(const rocksdb::Snapshot* snapshot, ColumnFamily cf, std::string_view target,
                                size_t prefix_bytes, std::string& key, std::string& value) const {
    const auto iterator = NewSeeker(snapshot, cf);
    return SeekWith(*iterator, target, prefix_bytes, key, value);
  }

  const rocksdb::Snapshot* GetSnapshot() const { return db_->GetSnapshot(); }
  void ReleaseSnapshot(const rocksdb::Snapshot* snapshot) const { db_->ReleaseSnapshot(snapshot); }

 private:
  std::string LoadPath() const { return path_ + "/load"; }
  // What the batch puts into this family, if anything, as a table file.
  rocksdb::Status WriteTable(const WriteBatch& rows, ColumnFamily cf, LoadFiles& files) {
    auto* const family = Family(cf);
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(db_->GetDBOptions()), db_->GetOptions(family), family);
    rocksdb::Status status;
    bool open = false;
    rows.ForEach([&](const WriteBatch::Op& op) {
      if (op.cf != cf || !status.ok()) return;
      if (!std::exchange(open, true)) {
        files.Add(cf, LoadPath() + "/" + std::to_string(next_load_.fetch_add(1, std::memory_order_relaxed)) + ".sst");
        status = writer.Open(files.files().back().path);
        if (!status.ok()) return;
      }
      status = writer.Put(ToSlice(op.key), ToSlice(op.value));
    });
    return open && status.ok() ? writer.Finish() : status;
  }
  // The locks of a load become known before they are there.
  void NoteLocks(const WriteBatch& rows) {
    const LockRuns runs(rows, locks_.limits());
    for (const LockRuns::Run& run : runs.all()) locks_.AddRun(run.first, run.last, run.count);
    size_t position = 0;
    rows.ForEach([&](const WriteBatch::Op& op) {
      if (!runs.Contain(position++, op) && op.cf == ColumnFamily::kLock) locks_.Add(op.key);
    });
  }
  // What an earlier life has prepared and not taken in.
  Status ClearLoads() {
    std::vector<std::string> files;
    rocksdb::Status status = env_->GetChildren(LoadPath(), &files);
    if (status.IsNotFound()) return OkStatus();
    for (const std::string& file : files) {
      if (status.ok() && file.ends_with(".sst")) status = env_->DeleteFile(LoadPath() + "/" + file);
    }
    return FromRocks(status, "clearing what was left of loads");
  }

  KeyIndex* IndexOf(ColumnFamily cf) {
    return cf == ColumnFamily::kLock ? &locks_ : cf == ColumnFamily::kState ? &records_ : nullptr;
  }
  const KeyIndex* IndexOf(ColumnFamily cf) const { return const_cast<RocksDbEngineImpl*>(this)->IndexOf(cf); }

  Status LoadKeys(ColumnFamily cf) {
    rocksdb::ReadOptions all;
    all.total_order_seek = true;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(all, Family(cf)));
    for (it->SeekToFirst(); it->Valid(); it->Next()) IndexOf(cf)->Add(ToView(it->key()));
    return it->status().ok() ? OkStatus() : ReadError(it->status());
  }
  // What the batch has left, op by op: the last one of a key counts. Keys that went with a range stay noted,
  // which costs only a look.
  void NoteKeys(const WriteBatch& batch, const LockRuns& runs) {
    size_t position = 0;
    batch.ForEach([&](const WriteBatch::Op& op) {
      KeyIndex* const index = IndexOf(op.cf);
      if (runs.Contain(position++, op) || index == nullptr) return;
      if (op.kind == WriteBatch::OpKind::kPut) index->Add(op.key);
      if (op.kind == WriteBatch::OpKind::kDelete) index->Remove(op.key);
    });
  }
  // Which keys are still there of those that were noted as runs.
  void LookAtRuns() {
    for (const ColumnFamily cf : {ColumnFamily::kLock, ColumnFamily::kState}) {
      KeyIndex& index = *IndexOf(cf);
      while (const auto due = index.TakeDue()) {
        std::vector<std::string> entries;
        const auto it = IteratorAt(nullptr, cf, {due->lower, due->upper});
        for (it->SeekToFirst(); it->Valid() && entries.size() < index.limits().few; it->Next()) {
          if (TerminatedBytes(it->key()) > 0) entries.emplace_back(it->key());
        }
        if (!it->status().ok()) entries.resize(index.limits().few);  // unknown: as if all were there
        index.Settle(*due, entries);
      }
    }
  }
  std::unique_ptr<rocksdb::Iterator> NewSeeker(const rocksdb::Snapshot* snapshot, ColumnFamily cf) const {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    const bool has_filter = cf == ColumnFamily::kMvcc || cf == ColumnFamily::kLock;
    read.prefix_same_as_start = has_filter;
    read.total_order_seek = !has_filter;
    return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(read, Family(cf)));
  }

  StatusOr<bool> SeekWith(rocksdb::Iterator& iterator, std::string_view target, size_t prefix_bytes,
                          std::string& key, std::string& value) const {
    iterator.Seek(ToSlice(target));
    if (!iterator.Valid()) {
      if (!iterator.status().ok()) return ReadError(iterator.status());
      return false;
    }
    const std::string_view found = ToView(iterator.key());
    if (!found.starts_with(target.substr(0, prefix_bytes))) return false;
    key.assign(found);
    value.assign(ToView(iterator.value()));
    return true;
  }

  // A log record without effect, synced: unlike SyncWAL it shares its sync with concurrent writers.
  rocksdb::Status WriteMark() {
    rocksdb::WriteBatch mark;
    mark.PutLogData("sync");
    return Put(mark, SyncMode::kSync);
  }

  rocksdb::Status Put(rocksdb::WriteBatch& batch, SyncMode sync) {
    rocksdb::WriteOptions options;
    options.sync = sync == SyncMode::kSync;
    if (!options.sync) return db_->Write(options, &batch);
    const runtime::KernelWait wait;
    return db_->Write(options, &batch);
  }

  using FamilyHandle = std::unique_ptr<rocksdb::ColumnFamilyHandle>;

  rocksdb::ColumnFamilyHandle* Family(ColumnFamily cf) const { return families_[size_t(cf)].get(); }

  Status OpenError(const rocksdb::Status& s, const StoreOptions& options) const {
    const std::string what = "opening store " + path_;
    if (s.IsInvalidArgument() && options.open_mode == StoreOptions::OpenMode::kMustExist) {
      return NotFoundError(what + ": " + s.ToString());
    }
    if (s.IsIOError() && s.ToString().find("lock") != std::string::npos) {
      return FailedPreconditionError(what + ": in use by another process: " + s.ToString());
    }
    return FromRocks(s, what);
  }

  // B56: a block that fails its checksum is DataLoss for the caller, a device that cannot read is the end.
  Status ReadError(const rocksdb::Status& s) const {
    const Status status = FromRocks(s, "reading the store");
    if (s.IsIOError()) health_->FailFatally(status);
    return status;
  }

  // RocksDB tells its listener about failed log writes and syncs; this is the second net.
  Status AfterWrite(const rocksdb::Status& s, std::string_view what) {
    if (s.ok()) return OkStatus();
    const Status status = FromRocks(s, what);
    if (s.IsNoSpace()) {
      health_->Fail(status);
    } else {
      health_->FailFatally(status);
    }
    return status;
  }

  const std::string path_;
  const std::unique_ptr<rocksdb::Env> env_;  // of the store's files
  std::optional<DiskRoom> disk_room_;  // since Open
  const std::shared_ptr<Health> health_;
  const std::shared_ptr<SeekerPool> seekers_ = std::make_shared<SeekerPool>();
  std::atomic<uint64_t> next_load_{1};
  KeyIndex locks_;
  KeyIndex records_;  // of kState: transaction records, mostly, which nearly every commit looks for in vain
  std::unique_ptr<rocksdb::DB> db_;
  FamilyHandle default_family_;
  FamilyHandle families_[kColumnFamilyCount];
};

RocksSnapshot::RocksSnapshot(const RocksDbEngineImpl& engine)
    : engine_(engine), snapshot_(engine.GetSnapshot()) {}
RocksSnapshot::~RocksSnapshot() { engine_.ReleaseSnapshot(snapshot_); }
StatusOr<bool> RocksSnapshot::GetInto(ColumnFamily cf, std::string_view key, std::string& value) const {
  return engine_.GetAt(snapshot_, cf, key, value);
}
std::unique_ptr<Iterator> RocksSnapshot::NewIterator(ColumnFamily cf, IteratorOptions options) const {
  return engine_.IteratorAt(snapshot_, cf, std::move(options));
}
StatusOr<bool> RocksSnapshot::SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                           std::string& key, std::string& value) const {
  return engine_.SeekInPrefixAt(snapshot_, cf, target, prefix_bytes, key, value);
}

// Files in memory, as a base so that they are there before the engine and go after it.
struct MemoryFiles {
  std::unique_ptr<rocksdb::Env> env{rocksdb::NewMemEnv(rocksdb::Env::Default())};
};

// A store with its own files in memory.
class InMemoryStore final : private MemoryFiles, public RocksDbEngineImpl {
 public:
  explicit InMemoryStore(const StoreOptions& options)
      : RocksDbEngineImpl(*env, "/store", std::make_shared<Health>(options.on_fatal)) {}
};

}  // namespace

StatusOr<std::unique_ptr<RocksDbEngine>> OpenStoreIn(rocksdb::Env& env, const std::string& path,
                                                     const StoreOptions& options) {
  auto engine = std::make_unique<RocksDbEngineImpl>(env, path, std::make_shared<Health>(options.on_fatal));
  RETURN_IF_ERROR(engine->Open(options));
  return std::unique_ptr<RocksDbEngine>(std::move(engine));
}

StatusOr<std::unique_ptr<Engine>> OpenStore(const std::string& path, const StoreOptions& options) {
  ASSIGN_OR_RETURN(auto engine, OpenStoreIn(*rocksdb::Env::Default(), path, options));
  return std::unique_ptr<Engine>(std::move(engine));
}

StatusOr<std::unique_ptr<Engine>> OpenStoreInMemory(const StoreOptions& options) {
  auto engine = std::make_unique<InMemoryStore>(options);
  RETURN_IF_ERROR(engine->Open(options));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace orrery::storage
