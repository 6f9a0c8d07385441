// The RocksDB engine with RocksDB itself in view: for its implementation and its own tests.
#pragma once

#include <memory>
#include <string>

#include "orrery/storage/rocksdb_engine.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"

namespace orrery::storage {

class RocksDbEngine : public Engine {
 public:
  virtual rocksdb::DB& db() = 0;
};

// As OpenStore, over the files of `env`, which must outlive the store.
StatusOr<std::unique_ptr<RocksDbEngine>> OpenStoreIn(rocksdb::Env& env, const std::string& path,
                                                     const StoreOptions& options);

}  // namespace orrery::storage
