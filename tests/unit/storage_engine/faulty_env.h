// A RocksDB environment in memory whose log can be made to fail, and whose free space can be set.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace orrery::storage {

struct Faults {
  std::atomic<bool> append_no_space{false};
  std::atomic<uint64_t> log_room_bytes{1ull << 40};  // no byte of a log is written behind it, but where it has been reserved
  std::atomic<bool> can_reserve{false};
  std::atomic<uint64_t> reserved_bytes{0};  // of the one log there is
  std::atomic<bool> table_no_space{false};
  std::atomic<uint64_t> table_refusals{0};
  std::atomic<bool> sync_error{false};
  std::atomic<bool> read_error{false};
  std::atomic<uint64_t> free_bytes{1ull << 40};
  std::atomic<uint64_t> sync_count{0};
  // Whether logs can be written past the page cache: not at all, only opened so, or opened and written.
  enum class Direct { kNo, kOpenOnly, kYes };
  std::atomic<Direct> direct{Direct::kNo};
  // Told before a log is written. Set while no log is open.
  std::function<void(uint64_t offset, const rocksdb::Slice& data)> on_log_write;
};

class FaultyLogFile final : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  FaultyLogFile(std::unique_ptr<rocksdb::FSRandomRWFile> base, Faults& faults)
      : FSRandomRWFileOwnerWrapper(std::move(base)), faults_(faults) {}
  rocksdb::IOStatus Write(uint64_t offset, const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    if (faults_.append_no_space) return rocksdb::IOStatus::NoSpace("injected");
    if (const uint64_t room = std::max(faults_.log_room_bytes.load(), faults_.reserved_bytes.load()); offset + data.size() > room) {
      const rocksdb::Slice part(data.data(), room > offset ? room - offset : 0);
      const rocksdb::IOStatus s = FSRandomRWFileOwnerWrapper::Write(offset, part, options, debug);
      return s.ok() ? rocksdb::IOStatus::NoSpace("injected") : s;
    }
    if (faults_.on_log_write) faults_.on_log_write(offset, data);
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

// A log opened for direct writes: whole pages at an aligned address, as such files want them.
class FaultyDirectLogFile final : public rocksdb::FSWritableFile {
 public:
  FaultyDirectLogFile(std::unique_ptr<rocksdb::FSRandomRWFile> pages, Faults& faults)
      : pages_(std::move(pages)), faults_(faults) {}
  rocksdb::IOStatus Append(const rocksdb::Slice&, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::NotSupported("nobody appends to it");
  }
  using FSWritableFile::Append;
  rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset, const rocksdb::IOOptions& options,
                                     rocksdb::IODebugContext* debug) override {
    if (faults_.direct != Faults::Direct::kYes) return rocksdb::IOStatus::InvalidArgument("injected");
    EXPECT_EQ(offset % kPageBytes, 0u);
    EXPECT_EQ(data.size() % kPageBytes, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data.data()) % kPageBytes, 0u);
    return pages_->Write(offset, data, options, debug);
  }
  using FSWritableFile::PositionedAppend;
  rocksdb::IOStatus Flush(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return rocksdb::IOStatus::OK(); }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return pages_->Sync(options, debug);
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return pages_->Close(options, debug);
  }
  bool use_direct_io() const override { return true; }

 private:
  static constexpr size_t kPageBytes = 4096;
  const std::unique_ptr<rocksdb::FSRandomRWFile> pages_;
  Faults& faults_;
};

// A log opened once more, to reserve room for it.
class FaultyReopenedLogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyReopenedLogFile(std::unique_ptr<rocksdb::FSWritableFile> base, Faults& faults)
      : FSWritableFileOwnerWrapper(std::move(base)), faults_(faults) {}
  rocksdb::IOStatus Allocate(uint64_t offset, uint64_t bytes, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    if (!faults_.can_reserve) return rocksdb::IOStatus::NoSpace("injected");
    EXPECT_LE(offset, std::max(faults_.log_room_bytes.load(), faults_.reserved_bytes.load()));  // no gap
    faults_.reserved_bytes = offset + bytes;
    return rocksdb::IOStatus::OK();
  }

 private:
  Faults& faults_;
};

class FaultyNewTableFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyNewTableFile(std::unique_ptr<rocksdb::FSWritableFile> base, Faults& faults)
      : FSWritableFileOwnerWrapper(std::move(base)), faults_(faults) {}
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (!faults_.table_no_space) return FSWritableFileOwnerWrapper::Append(data, options, debug);
    ++faults_.table_refusals;
    return rocksdb::IOStatus::NoSpace("injected");
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
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
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (name.ends_with(".sst")) {
      const rocksdb::IOStatus s = FileSystemWrapper::NewWritableFile(name, options, file, debug);
      if (s.ok()) *file = std::make_unique<FaultyNewTableFile>(std::move(*file), faults_);
      return s;
    }
    if (!options.use_direct_writes) return FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (faults_.direct == Faults::Direct::kNo) return rocksdb::IOStatus::InvalidArgument("injected");
    rocksdb::FileOptions cached = options;
    cached.use_direct_writes = false;
    rocksdb::IOStatus s = FileSystemWrapper::NewWritableFile(name, cached, file, debug);  // makes an empty one
    std::unique_ptr<rocksdb::FSRandomRWFile> pages;
    if (s.ok()) s = NewRandomRWFile(name, cached, &pages, debug);
    if (s.ok()) *file = std::make_unique<FaultyDirectLogFile>(std::move(pages), faults_);
    return s;
  }
  rocksdb::IOStatus ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus s = FileSystemWrapper::ReopenWritableFile(name, options, file, debug);
    if (s.ok() && name.ends_with(".log")) *file = std::make_unique<FaultyReopenedLogFile>(std::move(*file), faults_);
    return s;
  }
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
