// CachedEngine: an engine over another one that keeps the newest version of the keys lately read in memory, so
// that reading a hot row costs a look-up in a table instead of a search through the levels of a store.
//
// What it keeps of a key is the first entry of its prefix in kMvcc (provisional or committed), or that there is
// none: a fact of the engine alone. MVCC's rules are applied to it as to any other answer, so leases, intents,
// splits, snapshots and collected garbage need no care here. All writes of the store must go through this engine.
// Reads take keys in, and drive others out by a clock's hand; writes drive out only what was not read lately.
// Of intervals that were scanned it keeps the same, in order (NewestEntries; src/storage/engine/scan_cache.h), and where
// tables grow, what is not there (src/storage/engine/absent_keys.h).
//
// Invariant: an entry equals what the engine below answers, at every moment at which no write of its key is under way;
// while one is, it neither answers nor learns. Thread safety: as Engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "orrery/storage/engine.h"
#include "orrery/storage/newest_entries.h"

namespace orrery::storage {

struct CachedEngineMetrics {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t broken_promises = 0;  // of writers (WriteBatch::PromiseNewestVersions), as far as entries show them: a bug
  uint64_t entries = 0;
  uint64_t bytes = 0;  // with the tables' own overhead; at most what the cache was made with
  uint64_t absent_answers = 0;  // misses that a gap between keys answered
  uint64_t scan_entries = 0;
  uint64_t scan_bytes = 0;
};

class AbsentKeys;
class MvccOps;
class ScanCache;

class CachedEngine : public Engine, public NewestEntries {
 public:
  // `base` must outlive it. An entry larger than an eighth of a shard's part of `bytes_max` is not kept. What was
  // scanned takes `scan_bytes_max` more.
  CachedEngine(Engine& base, uint64_t bytes_max, uint64_t scan_bytes_max = 0);
  ~CachedEngine() override;

  // A kMvcc prefix is a whole encoded user key, as the contract says: asserted.
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override;
  Status Write(const WriteBatch& batch, SyncMode sync) override;
  // What is loaded is taken in as what is written: at the cost of what nobody has read lately.
  Status Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad> prepared) override;
  StatusOr<std::unique_ptr<PreparedLoad>> PrepareLoad(const WriteBatch& rows) override {
    return base_.PrepareLoad(rows);
  }

  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override {
    return base_.GetInto(cf, key, value);
  }
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override {
    return base_.NewIterator(cf, std::move(options));
  }
  std::unique_ptr<EngineSnapshot> NewSnapshot() const override { return base_.NewSnapshot(); }
  DiskSpace CheckSpace() const override { return base_.CheckSpace(); }
  Status SyncAll() override { return base_.SyncAll(); }
  Status Flush() override { return base_.Flush(); }
  uint64_t LastSequence() const override { return base_.LastSequence(); }
  Status Close() override { return base_.Close(); }

  Walked Walk(std::string_view lower, std::string_view upper, Visitor& visitor) const override;
  uint64_t BeginLearning(std::string_view lower, std::string_view upper) const override;
  void EndLearning(uint64_t ticket, std::string_view upper, const EntryRun* run) const override;

  CachedEngineMetrics metrics() const;

 private:
  struct Shard;
  class ShardSet;
  class LoadByShard;

  Shard& ShardOf(uint64_t hash) const;
  void BeginWrite(const MvccOps& ops, const ShardSet& shards);
  void EraseInterval(std::string_view begin, std::string_view end);
  void EndWrite(const MvccOps& ops, const ShardSet& shards, bool written);
  void LearnGap(std::string_view prefix) const;

  Engine& base_;
  const std::unique_ptr<Shard[]> shards_;
  const std::unique_ptr<ScanCache> scans_;
  const std::unique_ptr<AbsentKeys> absent_;
};

}  // namespace orrery::storage
