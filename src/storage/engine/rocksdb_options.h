// The settings of RocksDB 7.8.3 that correctness depends on (correctness.md 7b) and those that bound memory.
// One place sets them, a unit test reads them back from an open store.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "orrery/storage/rocksdb_engine.h"
#include "rocksdb/options.h"
#include "rocksdb/slice_transform.h"

namespace orrery::storage {

// Bytes through the first terminator 00 01; an escaped zero is 00 FF. 0: none.
size_t TerminatedBytes(std::string_view key);

// Names of the column families on disk, by ColumnFamily; RocksDB's own "default" stays empty.
inline constexpr const char* kColumnFamilyNames[kColumnFamilyCount] = {"raft", "state", "lock", "mvcc"};

rocksdb::DBOptions MakeDbOptions(rocksdb::Env& env, const StoreOptions& options);
rocksdb::ColumnFamilyOptions MakeColumnFamilyOptions(ColumnFamily cf,
                                                     const std::shared_ptr<rocksdb::Cache>& cache,
                                                     const StoreOptions& options);
// The part of a kMvcc or kLock key that belongs to its user key: what prefix filters are kept on.
std::shared_ptr<const rocksdb::SliceTransform> MakeKeyPrefixTransform();

}  // namespace orrery::storage
