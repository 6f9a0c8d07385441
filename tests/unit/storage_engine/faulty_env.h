// A RocksDB environment in memory whose log can be made to fail, and whose free space can be set.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace orrery::storage {

struct Faults {
  std::atomic<bool> append_no_space{false};
  std::atomic<uint64_t> log_room_bytes{1ull << 40};  // no byte of a log is written behind it
  std::atomic<bool> sync_error{false};
  std::atomic<bool> read_error{false};
  std::atomic<uint64_t> free_bytes{1ull << 40};
  std::atomic<uint64_t> sync_count{0};
};

class FaultyLogFile final : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  FaultyLogFile(std::unique_ptr<rocksdb::FSRandomRWFile> base, Faults& faults)
      : FSRandomRWFileOwnerWrapper(std::move(base)), faults_(faults) {}
  rocksdb::IOStatus Write(uint64_t offset, const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    if (faults_.append_no_space) return rocksdb::IOStatus::NoSpace("injected");
    if (offset + data.size() > faults_.log_room_bytes) return rocksdb::IOStatus::NoSpace("injected");
    return FSRandomRWFileOwnerWrapper::Write(offset, data, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    ++faults_.sync_count;
    if (faults_.sync_error) return rocksdb::IOStatus::IOError("injected");
    return FSRandomRWFileOwnerWrapper::Sync(options, debug);
  }

 private:
  Faults& faults_;
};

class FaultyTableFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  FaultyTableFile(std::unique_ptr<rocksdb::FSRandomAccessFile> base, Faults& faults)
      : FSRandomAccessFileOwnerWrapper(std::move(base)), faults_(faults) {}
  rocksdb::IOStatus Read(uint64_t offset, size_t n, const rocksdb::IOOptions& options, rocksdb::Slice* result,
                         char* scratch, rocksdb::IODebugContext* debug) const override {
    if (faults_.read_error) return rocksdb::IOStatus::IOError("injected");
    return FSRandomAccessFileOwnerWrapper::Read(offset, n, options, result, scratch, debug);
  }

 private:
  Faults& faults_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  FaultyFileSystem(std::shared_ptr<rocksdb::FileSystem> base, Faults& faults)
      : FileSystemWrapper(std::move(base)), faults_(faults) {}
  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus s = FileSystemWrapper::NewRandomRWFile(name, options, file, debug);
    if (s.ok() && name.ends_with(".log")) *file = std::make_unique<FaultyLogFile>(std::move(*file), faults_);
    return s;
  }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus s = FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    if (s.ok()) *file = std::make_unique<FaultyTableFile>(std::move(*file), faults_);
    return s;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string&, const rocksdb::IOOptions&, uint64_t* free_bytes,
                                 rocksdb::IODebugContext*) override {
    *free_bytes = faults_.free_bytes;
    return rocksdb::IOStatus::OK();
  }

 private:
  Faults& faults_;
};

class FaultyEnv {
 public:
  rocksdb::Env* get() { return env_.get(); }
  Faults faults;

 private:
  std::unique_ptr<rocksdb::Env> memory_{rocksdb::NewMemEnv(rocksdb::Env::Default())};
  std::unique_ptr<rocksdb::Env> env_{
      rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(memory_->GetFileSystem(), faults))};
};

}  // namespace orrery::storage
