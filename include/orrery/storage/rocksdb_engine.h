// RocksDbEngine: one store on disk, one RocksDB with four column families under one write-ahead log, opened
// with the settings correctness depends on (docs/design/storage.md says why, a test holds each).
//
// Failures. A write-ahead log or background error, and a failed read, call the fatal handler (B53, B54, B56:
// never retry a sync, never resume): in production it logs and ends the process. A full disk is no such error
// as long as it is met before anything breaks: CheckSpace tells, those above refuse what can be refused, and
// compactions wait for room.
// Should the log or a flush hit the end of the disk, the store refuses all writes with 53100 until it is reopened.
// Nothing acknowledged is lost, and reads go on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "orrery/storage/engine.h"

namespace orrery::storage {

struct StoreOptions {
  uint64_t block_cache_bytes = 64ull << 20;
  uint64_t memtable_bytes = 128ull << 20;       // of all column families together
  uint64_t disk_reserve_bytes = 64ull << 20;    // SpaceLevel::kFull while less is free; a quarter: kExhausted
  enum class OpenMode : uint8_t { kCreateIfMissing, kMustExist };
  OpenMode open_mode = OpenMode::kCreateIfMissing;
  // Called once with the first fatal error, from any thread. Empty: prints it and aborts the process.
  std::function<void(const Status&)> on_fatal;
};

// Opens (or creates) the store in folder `path`. DataLoss if RocksDB finds its files damaged or inconsistent;
// FailedPrecondition if another process holds it; NotFound with kMustExist.
StatusOr<std::unique_ptr<Engine>> OpenStore(const std::string& path, const StoreOptions& options);
// The same over files in memory that end with the store: real RocksDB for tests.
StatusOr<std::unique_ptr<Engine>> OpenStoreInMemory(const StoreOptions& options);

}  // namespace orrery::storage
