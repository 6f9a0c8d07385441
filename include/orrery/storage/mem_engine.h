// MemEngine: the engine as an ordered map in memory. It is the model RocksDbEngine is compared with, and the
// store of simulated nodes: deterministic, fast, with an explicit sync point and crash images.
//
// Thread safety: as Engine. Invariant: a crash image is the state after a prefix of the writes, no shorter than
// the last synced one (I25), with everything that was ingested.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "orrery/storage/engine.h"

namespace orrery::storage {

// All that survives: a plain copy of the four maps.
struct MemEngineImage {
  std::map<std::string, std::string, std::less<>> families[kColumnFamilyCount];
  uint64_t sequence = 0;
  friend bool operator==(const MemEngineImage&, const MemEngineImage&) = default;
};

struct CrashPolicy {
  enum class Unsynced : uint8_t {
    kLost,          // everything after the last sync is gone
    kPrefixBySeed,  // a prefix of it survives, its length drawn from `seed`
    kKept,          // all of it reached the disk by luck
  };
  Unsynced unsynced = Unsynced::kLost;
  uint64_t seed = 0;
};

class MemEngine final : public Engine {
 public:
  MemEngine();
  // Opens what a crash left.
  explicit MemEngine(const MemEngineImage& image);
  ~MemEngine() override;

  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override;
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override;
  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                              std::string& key, std::string& value) const override;
  std::unique_ptr<EngineSnapshot> NewSnapshot() const override;
  Status Write(const WriteBatch& batch, SyncMode sync) override;
  Status Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad> prepared) override;
  DiskSpace CheckSpace() const override;
  Status SyncAll() override;
  Status Flush() override;
  uint64_t LastSequence() const override;
  Status Close() override;

  // What a restart would find if the node crashed now.
  MemEngineImage CrashImage(const CrashPolicy& policy) const;
  // Number of writes since the last sync.
  uint64_t UnsyncedWriteCount() const;
  // Every later write fails with this error and changes nothing: the disk of a crashed node (fence, then
  // drain), a full or broken disk. OK lifts it.
  void FailWritesWith(Status error);
  // What CheckSpace says from now on.
  void AnswerCheckSpaceWith(DiskSpace answer);

 private:
  class Impl;
  class SnapshotReader;
  class MemIterator;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::storage
