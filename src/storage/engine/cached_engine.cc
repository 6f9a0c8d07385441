#include "orrery/storage/cached_engine.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/sync.h"
#include "storage/engine/absent_keys.h"
#include "storage/engine/mvcc_ops.h"
#include "storage/engine/rocksdb_options.h"
#include "storage/engine/scan_cache.h"

namespace orrery::storage {

using runtime::MutexLock;

namespace {

constexpr int kShardBits = 8;
constexpr size_t kShards = size_t{1} << kShardBits;
size_t ShardNumber(uint64_t hash) { return hash >> (64 - kShardBits); }
// Of an entry beside its own memory: its places in table and ring, and the allocator's header.
constexpr size_t kPlaceBytes = 32;

// A user key and what is known of it, in one piece of memory: header, then prefix, suffix and value.
struct Entry {
  uint64_t hash = 0;
  uint32_t slot = 0;          // in the shard's ring
  uint32_t prefix_bytes = 0;
  uint32_t key_bytes = 0;     // of the newest version's key; 0: the key has no version
  uint32_t value_bytes = 0;
  uint32_t capacity = 0;      // bytes behind the header
  bool recent = false;        // used since the clock's hand passed

  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::string_view prefix() const { return {data(), prefix_bytes}; }
  std::string_view key() const { return {data(), key_bytes}; }
  std::string_view value() const { return {data() + key_bytes, value_bytes}; }
  size_t memory() const;

  // `key` begins with the prefix, or is empty. Precondition: it fits.
  void Set(std::string_view prefix, std::string_view key, std::string_view value) {
    prefix_bytes = uint32_t(prefix.size());
    key_bytes = uint32_t(key.size());
    value_bytes = uint32_t(value.size());
    const std::string_view name = key.empty() ? prefix : key;
    std::memcpy(data(), name.data(), name.size());
    if (!value.empty()) std::memcpy(data() + name.size(), value.data(), value.size());
  }
};

size_t MemoryFor(size_t bytes) { return sizeof(Entry) + bytes + kPlaceBytes; }
size_t Entry::memory() const { return MemoryFor(capacity); }

struct Probe {
  std::string_view prefix;
  uint64_t hash;
};
struct EntryHash {
  using is_transparent = void;
  size_t operator()(const Entry* entry) const { return entry->hash; }
  size_t operator()(const Probe& probe) const { return probe.hash; }
};
struct EntryEq {
  using is_transparent = void;
  bool operator()(const Entry* a, const Entry* b) const { return a == b; }
  bool operator()(const Entry* a, const Probe& b) const { return a->prefix() == b.prefix; }
  bool operator()(const Probe& a, const Entry* b) const { return b->prefix() == a.prefix; }
};

Probe ProbeOf(std::string_view prefix) { return {prefix, Hash64(prefix)}; }

// The user key of a version's key; empty for a key that no seek can find.
std::string_view PrefixOf(std::string_view key) { return key.substr(0, TerminatedBytes(key)); }

}  // namespace

// Entries with a clock's hand over them. A write may take as long as a sync, and only of its own keys nobody can say meanwhile
// what the engine below would answer: `written` names them. `epoch` keeps answers from below out that may be older than a
// write: they are taken in only if no write of the key was under way, and none of the shard ended, since the engine was asked.
struct alignas(64) CachedEngine::Shard {
  mutable runtime::Mutex mutex{"cached_engine"};
  absl::flat_hash_set<Entry*, EntryHash, EntryEq> table ABSL_GUARDED_BY(mutex);
  std::vector<Entry*> ring ABSL_GUARDED_BY(mutex);
  size_t hand ABSL_GUARDED_BY(mutex) = 0;
  uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;
  uint64_t bytes_max = 0;  // set once
  uint64_t epoch ABSL_GUARDED_BY(mutex) = 0;
  uint32_t writers ABSL_GUARDED_BY(mutex) = 0;
  uint32_t interval_writers ABSL_GUARDED_BY(mutex) = 0;  // of them, those that delete intervals: of any key
  std::vector<uint64_t> written ABSL_GUARDED_BY(mutex);  // hashes of all writers' keys
  uint64_t hits ABSL_GUARDED_BY(mutex) = 0;
  uint64_t misses ABSL_GUARDED_BY(mutex) = 0;
  uint64_t broken_promises ABSL_GUARDED_BY(mutex) = 0;

  Entry* Find(const Probe& probe) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto it = table.find(probe);
    return it == table.end() ? nullptr : *it;
  }

  bool IsBeingWritten(uint64_t hash) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (writers == 0) return false;
    return interval_writers > 0 || std::find(written.begin(), written.end(), hash) != written.end();
  }

  void Erase(Entry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    table.erase(table.find(Probe{entry->prefix(), entry->hash}));
    ring[entry->slot] = ring.back();
    ring[entry->slot]->slot = entry->slot;
    ring.pop_back();
    bytes -= entry->memory();
    ::operator delete(entry);
  }

  // Keeps the newest version of the probe's key, in the place of what was known of it: `entry`, or nothing.
  void Set(const Probe& probe, Entry* entry, std::string_view key, std::string_view value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const size_t needed = (key.empty() ? probe.prefix.size() : key.size()) + value.size();
    if (entry != nullptr && entry->capacity >= needed && entry->capacity / 2 <= needed) {
      return entry->Set(probe.prefix, key, value);
    }
    const bool recent = entry != nullptr && entry->recent;
    if (entry != nullptr) Erase(entry);
    if (MemoryFor(needed) > bytes_max / 8) return;
    entry = new (::operator new(sizeof(Entry) + needed)) Entry;
    entry->hash = probe.hash;
    entry->capacity = uint32_t(needed);
    entry->recent = recent;
    entry->Set(probe.prefix, key, value);
    entry->slot = uint32_t(ring.size());
    ring.push_back(entry);
    table.insert(entry);
    bytes += entry->memory();
    while (bytes > bytes_max) EvictOne();
  }

  void EvictOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (true) {
      if (hand >= ring.size()) hand = 0;
      Entry* const entry = ring[hand++];  // the hand goes on: what takes this one's place has its whole round
      if (!entry->recent) return Erase(entry);
      entry->recent = false;
    }
  }

  // Makes room for a written key, at the cost of what nobody has read lately; false if nothing like that is near.
  bool EvictUnread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    constexpr int kLooksMax = 4;
    for (int i = 0; i < kLooksMax && !ring.empty(); ++i) {
      if (hand >= ring.size()) hand = 0;
      Entry* const entry = ring[hand++];
      if (entry->recent) continue;
      Erase(entry);
      return true;
    }
    return false;
  }

  // What another write under way has put, an entry does not show yet: then all of them go.
  void EraseInterval(std::string_view begin, std::string_view end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (writers > 1) return Clear();
    // Each entry is a place of its own in memory: asked for ahead, or a million of them cost a tenth of a second.
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < ring.size();) {
      if (i + kAhead < ring.size()) __builtin_prefetch(ring[i + kAhead]);
      Entry* const entry = ring[i];
      if (entry->key_bytes != 0 && begin <= entry->key() && entry->key() < end) {
        Erase(entry);  // the last one takes its place
      } else {
        ++i;
      }
    }
  }

  void Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    for (Entry* entry : ring) ::operator delete(entry);
    ring.clear();
    table.clear();
    bytes = 0;
  }

  // What one operation of a written batch makes of an entry, while no other write of the shard is under way.
  // `promised`: what it puts is the newest version.
  void Apply(const MvccOp& op, const Probe& probe, bool promised) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Entry* entry = Find(probe);
    if (entry == nullptr) {
      if (!promised || op.kind != WriteBatch::OpKind::kPut) return;
      while (bytes + MemoryFor(op.key.size() + op.value.size()) > bytes_max) {
        if (!EvictUnread()) return;
      }
      return Set(probe, nullptr, op.key, op.value);
    }
    const bool is_newest = entry->key_bytes == 0 || op.key <= entry->key();  // newer versions sort first
    if (op.kind == WriteBatch::OpKind::kPut) {
      if (is_newest) Set(probe, entry, op.key, op.value);
      else if (promised) ++broken_promises;
    } else if (entry->key_bytes != 0 && op.key == entry->key()) {
      Erase(entry);  // which version is the newest now, the engine knows
    }
  }

  // A write of this key is over. Two writes of one shard at once: which of them came first only the engine knows, so both keys
  // are forgotten.
  void EndWriteOf(const MvccOp& op, const Probe& probe, bool is_written, bool promised) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (is_written && writers == 1) return Apply(op, probe, promised);
    if (Entry* const entry = Find(probe)) Erase(entry);
  }

  void EndWriter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    ORRERY_ASSERT(writers > 0, "a write ends once");
    if (--writers == 0) written.clear();
    ++epoch;
  }
};

// The shards that a write touches, each once.
class CachedEngine::ShardSet {
 public:
  explicit ShardSet(const MvccOps& ops) {
    ops.ForEach([&](const MvccOp& op) {
      if (op.kind == WriteBatch::OpKind::kDeleteRange) {
        has_intervals_ = true;
        for (size_t i = 0; i < kShards; ++i) Add(i);
      } else if (!op.prefix.empty()) {
        Add(ShardNumber(op.hash()));
      }
    });
  }
  const auto& list() const { return list_; }
  bool has_intervals() const { return has_intervals_; }  // deletes some, whose keys may be in any shard

 private:
  void Add(size_t shard) {
    if (has_[shard]) return;
    has_.set(shard);
    list_.push_back(uint8_t(shard));
  }
  static_assert(kShards <= 256, "a shard's number fits into a byte");

  bool has_intervals_ = false;
  std::bitset<kShards> has_;
  absl::InlinedVector<uint8_t, 16> list_;
};

// A load's versions by shard: thousands of keys are hashed once, and a shard is locked, and its memory near, once a step.
class CachedEngine::LoadByShard {
 public:
  explicit LoadByShard(const MvccOps& ops) {
    std::vector<MvccOp> read;
    ops.ForEach([&](const MvccOp& op) {
      if (op.prefix.empty()) return;
      read.push_back(op);
      read.back().known_hash = op.hash();
      ++begin_[ShardNumber(read.back().known_hash) + 1];
    });
    for (size_t i = 0; i < kShards; ++i) begin_[i + 1] += begin_[i];
    ops_.resize(read.size());
    std::array<size_t, kShards + 1> next = begin_;
    for (const MvccOp& op : read) ops_[next[ShardNumber(op.known_hash)]++] = op;
  }
  bool empty() const { return ops_.empty(); }
  // Calls f(shard number, its operations in their order) for each shard that has some.
  template <class F>
  void ForEach(F&& f) const {
    for (size_t i = 0; i < kShards; ++i) {
      const auto ops = std::span(ops_).subspan(begin_[i], begin_[i + 1] - begin_[i]);
      if (!ops.empty()) f(i, ops);
    }
  }

 private:
  std::vector<MvccOp> ops_;
  std::array<size_t, kShards + 1> begin_{};
};

CachedEngine::CachedEngine(Engine& base, uint64_t bytes_max, uint64_t scan_bytes_max)
    : base_(base), shards_(new Shard[kShards]), scans_(std::make_unique<ScanCache>(scan_bytes_max)),
      absent_(std::make_unique<AbsentKeys>()) {
  for (size_t i = 0; i < kShards; ++i) shards_[i].bytes_max = bytes_max / kShards;
}

CachedEngine::~CachedEngine() {
  for (size_t i = 0; i < kShards; ++i) {
    MutexLock lock(shards_[i].mutex);
    shards_[i].Clear();
  }
}

CachedEngine::Shard& CachedEngine::ShardOf(uint64_t hash) const { return shards_[ShardNumber(hash)]; }

StatusOr<bool> CachedEngine::SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                          std::string& key, std::string& value) const {
  if (cf != ColumnFamily::kMvcc) return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
  const std::string_view prefix = target.substr(0, prefix_bytes);
  ORRERY_ASSERT(TerminatedBytes(prefix) == prefix_bytes, "a version is sought by its whole user key");
  const Probe probe = ProbeOf(prefix);
  Shard& shard = ShardOf(probe.hash);
  uint64_t epoch = 0;
  bool may_learn = false;
  {
    MutexLock lock(shard.mutex);
    const bool uncertain = shard.IsBeingWritten(probe.hash);
    Entry* const entry = uncertain ? nullptr : shard.Find(probe);
    if (entry != nullptr) {
      entry->recent = true;
      if (entry->key_bytes == 0 || target <= entry->key()) {
        ++shard.hits;
        if (entry->key_bytes == 0) return false;
        key.assign(entry->key());
        value.assign(entry->value());
        return true;
      }
    }
    ++shard.misses;
    epoch = shard.epoch;
    may_learn = !uncertain && entry == nullptr;
  }
  if (absent_->Knows(prefix)) return false;
  if (!may_learn) return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
  ASSIGN_OR_RETURN(const bool found, base_.SeekInPrefix(cf, prefix, prefix_bytes, key, value));
  {
    MutexLock lock(shard.mutex);
    if (shard.epoch == epoch && !shard.IsBeingWritten(probe.hash)) {
      const std::string_view none;
      shard.Set(probe, shard.Find(probe), found ? std::string_view(key) : none, found ? std::string_view(value) : none);
    }
  }
  if (!found) LearnGap(prefix);
  if (!found || target <= key) return found;
  return base_.SeekInPrefix(cf, target, prefix_bytes, key, value);  // an older version
}

void CachedEngine::LearnGap(std::string_view prefix) const {
  const uint64_t ticket = absent_->BeginLearning(prefix);
  if (ticket == 0) return;
  AbsentKeys::Gap gap;
  const auto iterator = base_.NewIterator(ColumnFamily::kMvcc, {});
  iterator->Seek(prefix);
  if (iterator->Valid()) gap.behind = PrefixOf(iterator->key());
  Status status = iterator->status();
  if (status.ok()) {
    iterator->SeekForPrev(prefix);
    if (iterator->Valid()) gap.before = PrefixOf(iterator->key());
    status = iterator->status();
  }
  const bool whole = status.ok() && gap.before != "" && gap.behind != "" && (!gap.behind || prefix < *gap.behind);
  absent_->EndLearning(ticket, whole ? std::optional(std::move(gap)) : std::nullopt);
}

Status CachedEngine::Write(const WriteBatch& batch, SyncMode sync) {
  const MvccOps ops(batch);
  const ShardSet shards(ops);
  if (shards.list().empty()) return base_.Write(batch, sync);
  BeginWrite(ops, shards);
  const uint64_t began = scans_->BeginWrite();
  const Status status = base_.Write(batch, sync);
  EndWrite(ops, shards, status.ok());
  scans_->EndWrite(began, ops, status.ok() ? ScanCache::Outcome::kWritten : ScanCache::Outcome::kUnknown);
  return status;
}

// Of scans, what lies between the first row and the last is forgotten: they would be many insertions into blocks that
// nobody reads while a load goes on.
Status CachedEngine::Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad> prepared) {
  const MvccOps ops(rows);
  const LoadByShard load(ops);
  if (load.empty()) return base_.Ingest(rows, std::move(prepared));
  absent_->BeginWrite(ops);
  load.ForEach([&](size_t i, std::span<const MvccOp> of_shard) {
    Shard& shard = shards_[i];
    MutexLock lock(shard.mutex);
    ++shard.writers;
    for (const MvccOp& op : of_shard) shard.written.push_back(op.known_hash);
  });
  WriteBatch interval;
  std::string_view first;
  std::string_view last;
  rows.ForEach([&](const WriteBatch::Op& op) {
    if (op.cf != ColumnFamily::kMvcc) return;
    if (first.empty()) first = op.key;
    last = op.key;
  });
  const std::string_view prefix = PrefixOf(first);
  interval.DeleteRange(ColumnFamily::kMvcc, prefix.empty() ? first : prefix, std::string(last) + '\0');
  const uint64_t began = scans_->BeginWrite();
  const Status status = base_.Ingest(rows, std::move(prepared));
  load.ForEach([&](size_t i, std::span<const MvccOp> of_shard) {
    Shard& shard = shards_[i];
    MutexLock lock(shard.mutex);
    for (const MvccOp& op : of_shard) shard.EndWriteOf(op, {op.prefix, op.known_hash}, status.ok(), rows.has_newest_versions());
    shard.EndWriter();
  });
  absent_->EndWrite();
  scans_->EndWrite(began, MvccOps(interval), ScanCache::Outcome::kUnknown);
  return status;
}

NewestEntries::Walked CachedEngine::Walk(std::string_view lower, std::string_view upper, Visitor& visitor) const {
  return scans_->Walk(lower, upper, visitor);
}
uint64_t CachedEngine::BeginLearning(std::string_view lower, std::string_view upper) const {
  return scans_->BeginLearning(lower, upper);
}
void CachedEngine::EndLearning(uint64_t ticket, std::string_view upper, const EntryRun* run) const {
  scans_->EndLearning(ticket, upper, run);
}

void CachedEngine::BeginWrite(const MvccOps& ops, const ShardSet& shards) {
  absent_->BeginWrite(ops);
  for (const uint8_t i : shards.list()) {
    MutexLock lock(shards_[i].mutex);
    ++shards_[i].writers;
    if (shards.has_intervals()) ++shards_[i].interval_writers;
  }
  if (shards.has_intervals()) return;
  ops.ForEach([&](const MvccOp& op) {
    if (op.prefix.empty()) return;
    const uint64_t hash = op.hash();
    Shard& shard = ShardOf(hash);
    MutexLock lock(shard.mutex);
    shard.written.push_back(hash);
  });
}

void CachedEngine::EndWrite(const MvccOps& ops, const ShardSet& shards, bool written) {
  const bool promised = ops.batch().has_newest_versions();
  ops.ForEach([&](const MvccOp& op) {
    if (op.kind == WriteBatch::OpKind::kDeleteRange) return EraseInterval(op.key, op.value);
    if (op.prefix.empty()) return;
    const Probe probe{op.prefix, op.hash()};
    Shard& shard = ShardOf(probe.hash);
    MutexLock lock(shard.mutex);
    shard.EndWriteOf(op, probe, written, promised);
  });
  for (const uint8_t i : shards.list()) {
    Shard& shard = shards_[i];
    MutexLock lock(shard.mutex);
    if (shards.has_intervals()) --shard.interval_writers;
    shard.EndWriter();
  }
  absent_->EndWrite();
}

void CachedEngine::EraseInterval(std::string_view begin, std::string_view end) {
  for (size_t i = 0; i < kShards; ++i) {
    MutexLock lock(shards_[i].mutex);
    shards_[i].EraseInterval(begin, end);
  }
}

CachedEngineMetrics CachedEngine::metrics() const {
  CachedEngineMetrics all;
  for (size_t i = 0; i < kShards; ++i) {
    const Shard& shard = shards_[i];
    MutexLock lock(shard.mutex);
    all.hits += shard.hits;
    all.misses += shard.misses;
    all.broken_promises += shard.broken_promises;
    all.entries += shard.ring.size();
    all.bytes += shard.bytes;
  }
  all.absent_answers = absent_->answers();
  all.scan_entries = scans_->entry_count();
  all.scan_bytes = scans_->bytes();
  return all;
}

}  // namespace orrery::storage
