// What of the disk's free space is for whom (N10). Room for what memtables have to write is nobody else's. Of the reserve
// new data takes nothing, compactions half, deletions and what else can be refused three quarters; the last quarter is for
// logs, flushes and raft's records, without which a store takes nothing more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "orrery/base/status.h"
#include "orrery/storage/rocksdb_engine.h"
#include "rocksdb/env.h"
#include "rocksdb/options.h"

namespace orrery::storage {

// Of one store; made before RocksDB opens it, so that no compaction begins unheeded. Thread-safe.
class DiskRoom {
 public:
  // Takes part in `db`: its files' sizes become known, its compactions are held back.
  DiskRoom(rocksdb::Env& env, std::string path, const StoreOptions& options, rocksdb::DBOptions& db);

  // Asks the file system and lets compactions have what room there is. A file system that cannot tell its free space
  // never counts as full.
  DiskSpace Check() const;

 private:
  void LetCompactionsHave(uint64_t bytes) const;

  rocksdb::Env& env_;
  const std::string path_;
  const uint64_t reserve_bytes_;
  const std::shared_ptr<rocksdb::WriteBufferManager> memtables_;
  const std::shared_ptr<rocksdb::SstFileManager> files_;
};

}  // namespace orrery::storage
