#include "storage/engine/log_files.h"

#include <optional>
#include <utility>
#include <vector>

namespace orrery::storage {
namespace {

using rocksdb::FSRandomRWFile;
using rocksdb::FSSequentialFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Of RocksDB's log format: blocks of 32 KiB hold records of checksum(4) · length(2, little-endian) · type(1) · payload;
// a record never crosses a block, and what is too short for a header at a block's end is filled with zeros.
// https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format
constexpr uint64_t kBlockBytes = 32 * 1024;
constexpr uint64_t kHeaderBytes = 7;

constexpr uint64_t kPageBytes = 4096;

bool IsLog(const std::string& name) { return name.ends_with(".log"); }

// FileSystem::Truncate is not there on real files.
IOStatus CutFile(rocksdb::FileSystem& files, const std::string& name, uint64_t size) {
  std::unique_ptr<FSWritableFile> file;
  IOStatus status = files.ReopenWritableFile(name, rocksdb::FileOptions(), &file, nullptr);
  if (status.ok()) status = file->Truncate(size, IOOptions(), nullptr);
  const IOStatus closed = file ? file->Close(IOOptions(), nullptr) : status;
  return status.ok() ? closed : status;
}

class LogFile final : public FSWritableFile {
 public:
  LogFile(rocksdb::FileSystem& files, std::string name, std::unique_ptr<FSRandomRWFile> file)
      : files_(files), name_(std::move(name)), file_(std::move(file)), zeros_(kLogZerosBytes + kPageBytes, '\0') {}
  ~LogFile() override {
    if (file_) Close(IOOptions(), nullptr).PermitUncheckedError();
  }

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = file_->Write(size_, data, options, debug);
    if (!status.ok()) return status;
    size_ += data.size();
    if (size_ > zeroed_ && fills_) Fill(options, debug);
    return status;
  }
  using FSWritableFile::Append;

  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override { return file_->Sync(options, debug); }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return file_->Fsync(options, debug); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    if (!file_) return IOStatus::OK();
    IOStatus status = file_->Close(options, debug);
    file_.reset();
    // Not needed for recovery, so not synced.
    if (status.ok() && zeroed_ > size_) status = CutFile(files_, name_, size_);
    return status;
  }

 private:
  // To the end of a page, so that no later append changes the length. Without room there is nothing to win.
  void Fill(const IOOptions& options, IODebugContext* debug) {
    const uint64_t end = (size_ + kPageBytes - 1) / kPageBytes * kPageBytes + kLogZerosBytes;
    const IOStatus status = file_->Write(size_, Slice(zeros_.data(), end - size_), options, debug);
    fills_ = status.ok();
    zeroed_ = end;  // of a part, too: it is cut off when the file is closed
  }

  rocksdb::FileSystem& files_;
  const std::string name_;
  std::unique_ptr<FSRandomRWFile> file_;
  const std::string zeros_;
  uint64_t size_ = 0;    // of what was appended
  uint64_t zeroed_ = 0;  // up to here the file is long enough
  bool fills_ = true;
};

class LogFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "OrreryLogFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file, IODebugContext* debug) override {
    IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);  // makes an empty one
    if (!status.ok() || !IsLog(name)) return status;
    status = (*file)->Close(options.io_options, debug);
    file->reset();
    if (!status.ok()) return status;
    std::unique_ptr<FSRandomRWFile> over_zeros;
    status = NewRandomRWFile(name, options, &over_zeros, debug);
    if (status.ok()) *file = std::make_unique<LogFile>(*target(), name, std::move(over_zeros));
    return status;
  }
};

// Walks the records of a log.
class RecordWalk {
 public:
  explicit RecordWalk(FSSequentialFile& file) : file_(file), block_(kBlockBytes, '\0') {}

  // Where zeros stand in the place of a record; nullopt if the log ends, or cannot be followed, before: the rest is
  // for RocksDB to judge.
  IOStatus FindZeros(std::optional<uint64_t>& found) {
    for (uint64_t begin = 0;; begin += kBlockBytes) {
      Slice block;
      const IOStatus status = file_.Read(kBlockBytes, IOOptions(), &block, block_.data(), nullptr);
      if (!status.ok()) return status;
      bool follows = true;
      if (const auto offset = ZerosIn(block, follows)) {
        found = begin + *offset;
        return status;
      }
      if (!follows || block.size() < kBlockBytes) return status;
    }
  }

 private:
  static std::optional<uint64_t> ZerosIn(const Slice& block, bool& follows) {
    uint64_t offset = 0;
    while (offset + kHeaderBytes <= block.size()) {
      const auto byte = [&](uint64_t i) { return uint64_t(uint8_t(block[offset + i])); };
      const uint64_t length = byte(4) | byte(5) << 8;
      const uint64_t type = byte(6);
      if (type == 0 && length == 0) return offset;
      offset += kHeaderBytes + length;
      follows = type != 0 && offset <= kBlockBytes;
      if (!follows) return std::nullopt;
    }
    return std::nullopt;
  }

  FSSequentialFile& file_;
  std::string block_;
};

IOStatus TrimLog(rocksdb::FileSystem& files, const std::string& name) {
  std::unique_ptr<FSSequentialFile> file;
  IOStatus status = files.NewSequentialFile(name, rocksdb::FileOptions(), &file, nullptr);
  std::optional<uint64_t> end;
  if (status.ok()) status = RecordWalk(*file).FindZeros(end);
  file.reset();
  if (status.ok() && end) status = CutFile(files, name, *end);
  return status;
}

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeLogFileSystem(std::shared_ptr<rocksdb::FileSystem> base) {
  return std::make_shared<LogFileSystem>(std::move(base));
}

IOStatus TrimLogs(rocksdb::FileSystem& files, const std::string& path) {
  std::vector<std::string> names;
  IOStatus status = files.GetChildren(path, IOOptions(), &names, nullptr);
  if (status.IsNotFound() || status.IsPathNotFound()) return IOStatus::OK();
  std::erase_if(names, [](const std::string& name) { return !IsLog(name); });
  if (!status.ok() || names.empty()) return status;

  // Who has the store open is appending behind those zeros.
  rocksdb::FileLock* lock = nullptr;
  status = files.LockFile(path + "/LOCK", IOOptions(), &lock, nullptr);
  if (!status.ok()) return status;
  for (const std::string& name : names) {
    if (status.ok()) status = TrimLog(files, path + "/" + name);
  }
  const IOStatus unlocked = files.UnlockFile(lock, IOOptions(), nullptr);
  return status.ok() ? unlocked : status;
}

}  // namespace orrery::storage
