// Files of the write-ahead log that are written over zeros, as PostgreSQL writes its own: a sync after an append has to
// write the file's new length too, a second wait for the disk; a sync after overwriting has not. RocksDB's own way to
// that, recycling of old logs, makes holes (B55); zeros cannot be taken for records.
//
// They are written in whole pages past the page cache where the file system can, and otherwise through it, and not before a
// sync asks: what nobody has asked to sync is in memory alone, a window of the file at most. A log begins when the one
// before it is on the disk.
//
// A disk that others have filled to its last byte still takes a log's next 8 MiB, which the log has had reserved (N10).
//
// What a crash leaves behind the last record is zeros, and unsynced blocks may have reached the disk in any order: records
// after zeros are no records. RocksDB would skip the zeros and read them, so TrimLogs cuts each log at its first zeros before
// RocksDB sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "orrery/base/status.h"
#include "rocksdb/file_system.h"

namespace orrery::storage {

// A window of the file, from a multiple of its size on: its zeros are written at once.
constexpr uint64_t kLogZerosBytes = 128 * 1024;
// So much of the disk behind the current window is the file's already, where the file system can reserve it.
constexpr uint64_t kLogRoomBytes = 8ull << 20;

// The files of `base`, but "*.log" are written over zeros. Thread-safe as `base` is; but logs are of one store, made one
// after the other, and synced, each, never beside an append to it. That is how RocksDB does it as long as nobody calls
// SyncWAL, which fails.
std::shared_ptr<rocksdb::FileSystem> MakeLogFileSystem(std::shared_ptr<rocksdb::FileSystem> base);

// Cuts each log of the store in folder `path` where its records end; a folder that is not there has none. Call before
// RocksDB opens the store. Fails, and touches nothing, while somebody has the store open.
rocksdb::IOStatus TrimLogs(rocksdb::FileSystem& files, const std::string& path);

}  // namespace orrery::storage
