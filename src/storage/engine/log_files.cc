#include "storage/engine/log_files.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "orrery/runtime/kernel_wait.h"

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

// Pages of a file past the page cache.
class DirectFile final : public FSRandomRWFile {
 public:
  explicit DirectFile(std::unique_ptr<FSWritableFile> file) : file_(std::move(file)) {}
  IOStatus Write(uint64_t offset, const Slice& pages, const IOOptions& options, IODebugContext* debug) override {
    return file_->PositionedAppend(pages, offset, options, debug);
  }
  IOStatus Read(uint64_t, size_t, const IOOptions&, Slice*, char*, IODebugContext*) const override {
    return IOStatus::NotSupported("nobody reads a log that is being written");
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override { return file_->Sync(options, debug); }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return file_->Fsync(options, debug); }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override { return file_->Close(options, debug); }

 private:
  const std::unique_ptr<FSWritableFile> file_;
};

// The bytes of one window of the file, zeros where nothing was appended, at an address that direct writes take.
class Window {
 public:
  Window() : bytes_(static_cast<char*>(::operator new(kLogZerosBytes, std::align_val_t(kPageBytes)))) { Begin(0); }
  ~Window() { ::operator delete(bytes_, std::align_val_t(kPageBytes)); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return begin_ + kLogZerosBytes; }
  void Begin(uint64_t offset) {
    begin_ = offset;
    std::memset(bytes_, 0, kLogZerosBytes);
  }
  // Both within the window; offsets are the file's.
  void Put(uint64_t offset, const Slice& data) { std::memcpy(bytes_ + (offset - begin_), data.data(), data.size()); }
  Slice Between(uint64_t from, uint64_t to) const { return {bytes_ + (from - begin_), to - from}; }

 private:
  char* const bytes_;
  uint64_t begin_ = 0;
};

uint64_t PageBegin(uint64_t offset) { return offset / kPageBytes * kPageBytes; }
uint64_t PageEnd(uint64_t offset) { return PageBegin(offset + kPageBytes - 1); }

// Holds the window of the file that ends with what was appended last, and writes whole pages of it: when a sync asks for
// what is new, when the window is full, and when an append has outgrown the zeros on disk, which is then written with the
// zeros behind it. So a sync overwrites blocks that are there, and the end of the disk is met by an append. The disk's
// blocks for the next windows belong to the file before anything is written to them, so that this end is far.
//
// A page is written again with what it has held, and more behind it: torn, it still has what was synced.
// After a failure nothing is written any more (B53, B54).
class LogFile final : public FSWritableFile {
 public:
  LogFile(rocksdb::FileSystem& files, std::string name, std::unique_ptr<FSRandomRWFile> file)
      : files_(files), name_(std::move(name)), file_(std::move(file)) {}
  ~LogFile() override { Close(IOOptions(), nullptr).PermitUncheckedError(); }

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    for (Slice rest = data; failure_.ok() && !rest.empty();) {
      const Slice part(rest.data(), std::min<uint64_t>(rest.size(), window_.end() - size_));
      window_.Put(size_, part);
      size_ += part.size();
      rest.remove_prefix(part.size());
      if (size_ < window_.end()) continue;
      failure_ = WriteTo(size_, options, debug);
      window_.Begin(size_);
    }
    if (failure_.ok() && size_ > zeroed_) failure_ = WriteWithZeros(options, debug);
    return failure_;
  }
  using FSWritableFile::Append;

  // RocksDB flushes behind each record. It promises nothing before the sync, nor does anybody else.
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (file_ && Write(options, debug)) failure_ = file_->Sync(options, debug);
    return failure_;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    if (file_ && Write(options, debug)) failure_ = file_->Fsync(options, debug);
    return failure_;
  }
  // RocksDB syncs a log by the thread that appends, or when it appends no more.
  bool IsSyncThreadSafe() const override { return false; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    if (!file_) return IOStatus::OK();
    const bool whole = Write(options, debug);
    IOStatus status = file_->Close(options, debug);
    file_.reset();
    // Gives back what room is left. Not needed for recovery, so not synced.
    if (status.ok() && whole) status = CutFile(files_, name_, size_);
    return status;
  }

 private:
  // What is not written yet; false after a failure, be it an earlier one.
  bool Write(const IOOptions& options, IODebugContext* debug) {
    if (failure_.ok() && written_ < size_) failure_ = WriteTo(PageEnd(size_), options, debug);
    return failure_.ok();
  }

  // `end`: of a page of the window, behind what was appended.
  IOStatus WriteTo(uint64_t end, const IOOptions& options, IODebugContext* debug) {
    const runtime::KernelWait wait;
    const uint64_t begin = PageBegin(written_);
    const IOStatus status = file_->Write(begin, window_.Between(begin, end), options, debug);
    if (!status.ok()) return status;
    written_ = size_;
    zeroed_ = std::max(zeroed_, end);
    return status;
  }

  // The zeros are only there for speed.
  IOStatus WriteWithZeros(const IOOptions& options, IODebugContext* debug) {
    KeepRoom(options, debug);
    const IOStatus status = WriteTo(window_.end(), options, debug);
    return status.IsNoSpace() ? WriteTo(PageEnd(size_), options, debug) : status;
  }

  // N10. Asks for twice what is kept, so not at each window; where it gets nothing, at the next one again.
  void KeepRoom(const IOOptions& options, IODebugContext* debug) {
    if (window_.end() + kLogRoomBytes <= room_) return;
    const runtime::KernelWait wait;
    const uint64_t begin = std::max(room_, zeroed_);
    const uint64_t end = window_.end() + 2 * kLogRoomBytes;
    std::unique_ptr<FSWritableFile> file;
    IOStatus status = files_.ReopenWritableFile(name_, rocksdb::FileOptions(), &file, debug);
    if (status.ok()) status = file->Allocate(begin, end - begin, options, debug);
    if (file) file->Close(options, debug).PermitUncheckedError();
    if (status.ok()) room_ = end;
  }

  rocksdb::FileSystem& files_;
  const std::string name_;
  std::unique_ptr<FSRandomRWFile> file_;
  Window window_;         // it holds size_, and the page of written_
  uint64_t size_ = 0;     // of what was appended
  uint64_t written_ = 0;  // of that, on disk
  uint64_t zeroed_ = 0;   // up to here the file is long enough
  uint64_t room_ = 0;     // up to here the disk's blocks are the file's
  IOStatus failure_;
};

// A LogFile for RocksDB, while the file system may look at it, too.
class SharedLogFile final : public rocksdb::FSWritableFileWrapper {
 public:
  explicit SharedLogFile(std::shared_ptr<LogFile> file) : FSWritableFileWrapper(file.get()), file_(std::move(file)) {}

 private:
  const std::shared_ptr<LogFile> file_;
};

alignas(kPageBytes) constexpr char kZeroPage[kPageBytes] = {};

class LogFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "OrreryLogFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file, IODebugContext* debug) override {
    if (!IsLog(name)) return FileSystemWrapper::NewWritableFile(name, options, file, debug);
    // No crash may leave records of a log without those of the one before it: recovery would not see the gap.
    const std::shared_ptr<LogFile> before = newest_log_.lock();
    IOStatus status = before ? before->Sync(options.io_options, debug) : IOStatus::OK();
    std::unique_ptr<FSRandomRWFile> pages;
    if (status.ok() && !OpenDirect(name, options, &pages, debug)) status = OpenCached(name, options, &pages, debug);
    if (!status.ok()) return status;
    auto log = std::make_shared<LogFile>(*target(), name, std::move(pages));
    newest_log_ = log;
    *file = std::make_unique<SharedLogFile>(std::move(log));
    return status;
  }

 private:
  // False where the file system has no direct writes. Some let the file be opened and refuse the first write.
  bool OpenDirect(const std::string& name, rocksdb::FileOptions options, std::unique_ptr<FSRandomRWFile>* pages,
                  IODebugContext* debug) {
    options.use_direct_writes = true;
    std::unique_ptr<FSWritableFile> file;
    if (!FileSystemWrapper::NewWritableFile(name, options, &file, debug).ok()) return false;
    if (!file->use_direct_io() || file->GetRequiredBufferAlignment() > kPageBytes) return false;
    auto direct = std::make_unique<DirectFile>(std::move(file));
    if (!direct->Write(0, Slice(kZeroPage, kPageBytes), options.io_options, debug).ok()) return false;
    *pages = std::move(direct);
    return true;
  }

  IOStatus OpenCached(const std::string& name, const rocksdb::FileOptions& options, std::unique_ptr<FSRandomRWFile>* pages,
                      IODebugContext* debug) {
    std::unique_ptr<FSWritableFile> file;
    IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &file, debug);  // makes an empty one
    if (status.ok()) status = file->Close(options.io_options, debug);
    file.reset();
    return status.ok() ? NewRandomRWFile(name, options, pages, debug) : status;
  }

  std::weak_ptr<LogFile> newest_log_;  // of the thread that makes logs
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
