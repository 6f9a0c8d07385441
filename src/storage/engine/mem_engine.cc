#include "orrery/storage/mem_engine.h"

#include <deque>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/sync.h"

namespace orrery::storage {
namespace {

// A value of a key as of a write's sequence; older ones are kept while a snapshot may need them.
struct Version {
  uint64_t sequence = 0;
  bool deleted = false;
  std::string value;
  std::unique_ptr<Version> older;
};
using Family = std::map<std::string, std::unique_ptr<Version>, std::less<>>;

const Version* VisibleAt(const Version* version, uint64_t sequence) {
  while (version != nullptr && version->sequence > sequence) version = version->older.get();
  return version == nullptr || version->deleted ? nullptr : version;
}

struct Undo {
  ColumnFamily cf;
  std::string key;
  std::optional<std::string> old_value;
};
// What one write has replaced; of an ingested one also what it has put, which a crash does not take away.
struct Unsynced {
  std::vector<Undo> undo;
  WriteBatch ingested;
};

}  // namespace

// Invariant: while a sequence is registered in snapshots_, no map node is erased and no version visible at it
// changes; so iterators keep pointers to both, and take the mutex only to move.
class MemEngine::Impl {
 public:
  mutable runtime::Mutex mutex_{"mem_engine"};
  Family families_[kColumnFamilyCount] ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::multiset<uint64_t> snapshots_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<ColumnFamily, std::string>> dirty_ ABSL_GUARDED_BY(mutex_);  // to tidy afterwards
  std::deque<Unsynced> unsynced_ ABSL_GUARDED_BY(mutex_);                            // oldest first
  Status write_error_ ABSL_GUARDED_BY(mutex_);
  DiskSpace space_ ABSL_GUARDED_BY(mutex_);

  uint64_t Register() {
    runtime::MutexLock lock(mutex_);
    snapshots_.insert(sequence_);
    return sequence_;
  }
  void RegisterAgain(uint64_t sequence) {
    runtime::MutexLock lock(mutex_);
    snapshots_.insert(sequence);
  }
  void Unregister(uint64_t sequence) {
    runtime::MutexLock lock(mutex_);
    snapshots_.erase(snapshots_.find(sequence));
    if (snapshots_.empty()) TidyLocked();
  }

  bool Get(ColumnFamily cf, std::string_view key, uint64_t sequence, std::string& value) const {
    runtime::MutexLock lock(mutex_);
    const Family& family = families_[size_t(cf)];
    const auto it = family.find(key);
    if (it == family.end()) return false;
    const Version* version = VisibleAt(it->second.get(), sequence);
    if (version == nullptr) return false;
    value.assign(version->value);
    return true;
  }

  bool SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes, uint64_t sequence,
                    std::string& key, std::string& value) const {
    runtime::MutexLock lock(mutex_);
    const Family& family = families_[size_t(cf)];
    const std::string_view prefix = target.substr(0, prefix_bytes);
    for (auto it = family.lower_bound(target); it != family.end() && it->first.starts_with(prefix); ++it) {
      const Version* version = VisibleAt(it->second.get(), sequence);
      if (version == nullptr) continue;
      key.assign(it->first);
      value.assign(version->value);
      return true;
    }
    return false;
  }

  void ApplyLocked(const WriteBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++sequence_;
    std::vector<Undo> undo;
    undo.reserve(batch.op_count());
    batch.ForEach([&](const WriteBatch::Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      Family& family = families_[size_t(op.cf)];
      if (op.kind == WriteBatch::OpKind::kPut) {
        PutLocked(op, undo);
        return;
      }
      auto it = family.lower_bound(op.key);
      const bool one = op.kind == WriteBatch::OpKind::kDelete;
      while (it != family.end() && (one ? it->first == op.key : it->first < op.value)) {
        it = DeleteLocked(op.cf, it, undo);
      }
    });
    unsynced_.push_back({std::move(undo), {}});
  }

  void TidyLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [cf, key] : dirty_) {
      Family& family = families_[size_t(cf)];
      const auto it = family.find(key);
      if (it == family.end()) continue;
      it->second->older.reset();
      if (it->second->deleted) family.erase(it);
    }
    dirty_.clear();
  }

 private:
  // Whether a live snapshot can see the newest version of a key.
  bool IsSeenLocked(const Version& newest) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !snapshots_.empty() && newest.sequence <= *snapshots_.rbegin();
  }
  void PushLocked(ColumnFamily cf, std::string_view key, std::unique_ptr<Version>& head)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto version = std::make_unique<Version>();
    version->older = std::move(head);
    head = std::move(version);
    dirty_.emplace_back(cf, key);
  }
  void PutLocked(const WriteBatch::Op& op, std::vector<Undo>& undo) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Family& family = families_[size_t(op.cf)];
    auto it = family.lower_bound(op.key);
    Undo& record = undo.emplace_back(Undo{op.cf, std::string(op.key), std::nullopt});
    if (it == family.end() || it->first != op.key) {
      it = family.emplace_hint(it, std::string(op.key), std::make_unique<Version>());
    } else {
      if (!it->second->deleted) record.old_value = it->second->value;
      if (IsSeenLocked(*it->second)) PushLocked(op.cf, op.key, it->second);
    }
    it->second->sequence = sequence_;
    it->second->deleted = false;
    it->second->value.assign(op.value);
  }
  Family::iterator DeleteLocked(ColumnFamily cf, Family::iterator it, std::vector<Undo>& undo)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (it->second->deleted) return std::next(it);
    undo.push_back(Undo{cf, it->first, it->second->value});
    if (snapshots_.empty()) return families_[size_t(cf)].erase(it);
    if (IsSeenLocked(*it->second)) {
      PushLocked(cf, it->first, it->second);
    } else {
      dirty_.emplace_back(cf, it->first);
    }
    it->second->sequence = sequence_;
    it->second->deleted = true;
    it->second->value.clear();
    return std::next(it);
  }
};

class MemEngine::MemIterator final : public Iterator {
 public:
  // Takes over one registration of `sequence`.
  MemIterator(Impl& impl, ColumnFamily cf, uint64_t sequence, IteratorOptions options)
      : impl_(impl), cf_(cf), sequence_(sequence), options_(std::move(options)) {}
  ~MemIterator() override { impl_.Unregister(sequence_); }

  void Seek(std::string_view target) override {
    runtime::MutexLock lock(impl_.mutex_);
    FindForwardLocked(family().lower_bound(std::max(target, std::string_view(options_.lower))));
  }
  void SeekToFirst() override { Seek(options_.lower); }
  void SeekForPrev(std::string_view target) override {
    if (!options_.upper.empty() && target >= options_.upper) return SeekToLast();
    runtime::MutexLock lock(impl_.mutex_);
    FindBackwardLocked(family().upper_bound(target));
  }
  void SeekToLast() override {
    runtime::MutexLock lock(impl_.mutex_);
    FindBackwardLocked(options_.upper.empty() ? family().end() : family().lower_bound(options_.upper));
  }
  void Next() override {
    ORRERY_ASSERT(Valid(), "Iterator: Next of a valid position");
    runtime::MutexLock lock(impl_.mutex_);
    FindForwardLocked(std::next(it_));
  }
  void Prev() override {
    ORRERY_ASSERT(Valid(), "Iterator: Prev of a valid position");
    runtime::MutexLock lock(impl_.mutex_);
    FindBackwardLocked(it_);
  }
  bool Valid() const override { return version_ != nullptr; }
  std::string_view key() const override { return it_->first; }
  std::string_view value() const override { return version_->value; }
  Status status() const override { return OkStatus(); }

 private:
  const Family& family() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl_.mutex_) {
    return impl_.families_[size_t(cf_)];
  }
  void FindForwardLocked(Family::const_iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl_.mutex_) {
    version_ = nullptr;
    for (; it != family().end() && (options_.upper.empty() || it->first < options_.upper); ++it) {
      version_ = VisibleAt(it->second.get(), sequence_);
      if (version_ != nullptr) break;
    }
    it_ = it;
  }
  // The last visible entry before `it`.
  void FindBackwardLocked(Family::const_iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl_.mutex_) {
    version_ = nullptr;
    while (it != family().begin()) {
      --it;
      if (it->first < options_.lower) break;
      version_ = VisibleAt(it->second.get(), sequence_);
      if (version_ != nullptr) break;
    }
    it_ = it;
  }

  Impl& impl_;
  const ColumnFamily cf_;
  const uint64_t sequence_;
  const IteratorOptions options_;
  Family::const_iterator it_;
  const Version* version_ = nullptr;
};

class MemEngine::SnapshotReader final : public EngineSnapshot {
 public:
  explicit SnapshotReader(Impl& impl) : impl_(impl), sequence_(impl.Register()) {}
  ~SnapshotReader() override { impl_.Unregister(sequence_); }
  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override {
    return impl_.Get(cf, key, sequence_, value);
  }
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override {
    impl_.RegisterAgain(sequence_);
    return std::make_unique<MemIterator>(impl_, cf, sequence_, std::move(options));
  }
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override {
    return impl_.SeekInPrefix(cf, target, prefix_bytes, sequence_, key, value);
  }

 private:
  Impl& impl_;
  const uint64_t sequence_;
};

MemEngine::MemEngine() : impl_(std::make_unique<Impl>()) {}

MemEngine::MemEngine(const MemEngineImage& image) : MemEngine() {
  runtime::MutexLock lock(impl_->mutex_);
  impl_->sequence_ = image.sequence;
  for (size_t i = 0; i < kColumnFamilyCount; ++i) {
    Family& family = impl_->families_[i];
    for (const auto& [key, value] : image.families[i]) {
      auto version = std::make_unique<Version>();
      version->sequence = image.sequence;
      version->value = value;
      family.emplace_hint(family.end(), key, std::move(version));
    }
  }
}

MemEngine::~MemEngine() = default;

namespace {
constexpr uint64_t kNewest = ~uint64_t{0};
}

StatusOr<bool> MemEngine::GetInto(ColumnFamily cf, std::string_view key, std::string& value) const {
  return impl_->Get(cf, key, kNewest, value);
}

std::unique_ptr<Iterator> MemEngine::NewIterator(ColumnFamily cf, IteratorOptions options) const {
  return std::make_unique<MemIterator>(*impl_, cf, impl_->Register(), std::move(options));
}

StatusOr<bool> MemEngine::SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                       std::string& key, std::string& value) const {
  return impl_->SeekInPrefix(cf, target, prefix_bytes, kNewest, key, value);
}

std::unique_ptr<EngineSnapshot> MemEngine::NewSnapshot() const {
  return std::make_unique<SnapshotReader>(*impl_);
}

Status MemEngine::Write(const WriteBatch& batch, SyncMode sync) {
  runtime::MutexLock lock(impl_->mutex_);
  RETURN_IF_ERROR(impl_->write_error_);
  if (!batch.empty()) impl_->ApplyLocked(batch);
  if (sync == SyncMode::kSync) impl_->unsynced_.clear();
  return OkStatus();
}

Status MemEngine::Ingest(const WriteBatch& batch, std::unique_ptr<PreparedLoad>) {
  ORRERY_ASSERT(batch.IsLoad(), "a load is of new rows in the order of their keys");
  runtime::MutexLock lock(impl_->mutex_);
  RETURN_IF_ERROR(impl_->write_error_);
  if (batch.empty()) return OkStatus();
  impl_->ApplyLocked(batch);
  impl_->unsynced_.back().ingested.Append(batch);
  return OkStatus();
}

DiskSpace MemEngine::CheckSpace() const {
  runtime::MutexLock lock(impl_->mutex_);
  return impl_->space_;
}

void MemEngine::AnswerCheckSpaceWith(DiskSpace answer) {
  runtime::MutexLock lock(impl_->mutex_);
  impl_->space_ = std::move(answer);
}

Status MemEngine::SyncAll() { return Write(WriteBatch(), SyncMode::kSync); }
Status MemEngine::Flush() { return SyncAll(); }

uint64_t MemEngine::LastSequence() const {
  runtime::MutexLock lock(impl_->mutex_);
  return impl_->sequence_;
}

Status MemEngine::Close() {
  RETURN_IF_ERROR(SyncAll());
  FailWritesWith(FailedPreconditionError("store is closed"));
  return OkStatus();
}

MemEngineImage MemEngine::CrashImage(const CrashPolicy& policy) const {
  runtime::MutexLock lock(impl_->mutex_);
  MemEngineImage image;
  for (size_t i = 0; i < kColumnFamilyCount; ++i) {
    auto& family = image.families[i];
    for (const auto& [key, version] : impl_->families_[i]) {
      if (!version->deleted) family.emplace_hint(family.end(), key, version->value);
    }
  }
  const uint64_t unsynced = impl_->unsynced_.size();
  uint64_t kept = 0;
  if (policy.unsynced == CrashPolicy::Unsynced::kKept) kept = unsynced;
  if (policy.unsynced == CrashPolicy::Unsynced::kPrefixBySeed) {
    kept = Hash64("mem_engine crash", policy.seed) % (unsynced + 1);
  }
  for (uint64_t i = unsynced; i > kept; --i) {
    const std::vector<Undo>& undo = impl_->unsynced_[i - 1].undo;
    for (auto record = undo.rbegin(); record != undo.rend(); ++record) {
      auto& family = image.families[size_t(record->cf)];
      if (record->old_value) {
        family[record->key] = *record->old_value;
      } else {
        family.erase(record->key);
      }
    }
  }
  for (uint64_t i = kept; i < unsynced; ++i) {
    impl_->unsynced_[i].ingested.ForEach([&](const WriteBatch::Op& op) {
      image.families[size_t(op.cf)].insert_or_assign(std::string(op.key), std::string(op.value));
    });
  }
  image.sequence = impl_->sequence_ - (unsynced - kept);
  return image;
}

uint64_t MemEngine::UnsyncedWriteCount() const {
  runtime::MutexLock lock(impl_->mutex_);
  return impl_->unsynced_.size();
}

void MemEngine::FailWritesWith(Status error) {
  runtime::MutexLock lock(impl_->mutex_);
  impl_->write_error_ = std::move(error);
}

}  // namespace orrery::storage
