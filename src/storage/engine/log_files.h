// Files of the write-ahead log that are written over zeros, as PostgreSQL writes its own: a sync after an append has to
// write the file's new length too, a second wait for the disk; a sync after overwriting has not. RocksDB's own way to
// that, recycling of old logs, makes holes (B55); zeros cannot be taken for records.
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

// How much is zeroed at a time, behind what was appended.
constexpr uint64_t kLogZerosBytes = 128 * 1024;

// The files of `base`, but "*.log" are written over zeros. Thread-safe as `base` is.
std::shared_ptr<rocksdb::FileSystem> MakeLogFileSystem(std::shared_ptr<rocksdb::FileSystem> base);

// Cuts each log of the store in folder `path` where its records end; a folder that is not there has none. Call before
// RocksDB opens the store. Fails, and touches nothing, while somebody has the store open.
rocksdb::IOStatus TrimLogs(rocksdb::FileSystem& files, const std::string& path);

}  // namespace orrery::storage
