#include "runtime/threads/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "runtime/threads/fd.h"

namespace orrery::runtime {

Status ErrnoError(int error, std::string_view doing, std::string_view what) {
  char buffer[128];
  std::string message(doing);
  message.append(" ").append(what).append(": ").append(strerror_r(error, buffer, sizeof buffer));
  switch (error) {
    case ENOENT: return NotFoundError(message).WithSqlState("58P01");
    case EEXIST: return AlreadyExistsError(message).WithSqlState("58P02");
    case EACCES:
    case EPERM:
    case EROFS: return Status(Code::kPermissionDenied, message);
    case ENOSPC:
    case EDQUOT: return ResourceExhaustedError(message).WithSqlState("53100");
    case EMFILE:
    case ENFILE:
    case ENOMEM: return ResourceExhaustedError(message);
    case EINTR:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
    case ENOTCONN: return UnavailableError(message);
    default: return InternalError(message).WithSqlState("58030");  // io_error
  }
}

namespace {

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status SyncFolder(const std::string& folder) {
  OwnedFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "opening folder", folder);
  if (::fsync(fd.get()) != 0) return ErrnoError(errno, "syncing folder", folder);
  return OkStatus();
}

Status WriteAll(int fd, std::string_view bytes, uint64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "writing", path);
    bytes.remove_prefix(size_t(n));
    offset += size_t(n);
  }
  return OkStatus();
}

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(OwnedFd fd) : fd_(std::move(fd)) {}

 private:
  OwnedFd fd_;  // closing it lets go of the lock
};

}  // namespace

StatusOr<std::string> PosixFileSystem::ReadFile(std::string_view path_view) {
  const std::string path(path_view);
  OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "opening", path);
  std::string contents;
  char buffer[1 << 14];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "reading", path);
    if (n == 0) return contents;
    contents.append(buffer, size_t(n));
  }
}

Status PosixFileSystem::WriteFileAtomic(std::string_view path_view, std::string_view contents) {
  const std::string path(path_view);
  const std::string temporary = path + ".new";
  {
    OwnedFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd.valid()) return ErrnoError(errno, "creating", temporary);
    RETURN_IF_ERROR(WriteAll(fd.get(), contents, 0, temporary));
    if (::fsync(fd.get()) != 0) return ErrnoError(errno, "syncing", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(errno, "renaming to", path);
  return SyncFolder(ParentOf(path));  // B5: without it a crash may bring the old file back
}

Status PosixFileSystem::WriteAtSync(std::string_view path_view, uint64_t offset, std::string_view bytes) {
  const std::string path(path_view);
  bool created = false;
  OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) {
    fd = OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    created = true;
  }
  if (!fd.valid()) return ErrnoError(errno, "opening", path);
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes, offset, path));
  if (::fdatasync(fd.get()) != 0) return ErrnoError(errno, "syncing", path);
  return created ? SyncFolder(ParentOf(path)) : OkStatus();
}

Status PosixFileSystem::CreateFolder(std::string_view path_view) {
  const std::string path(path_view);
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) == 0) {
      RETURN_IF_ERROR(SyncFolder(ParentOf(part)));
    } else if (errno != EEXIST) {
      return ErrnoError(errno, "creating folder", part);
    }
    if (end == std::string::npos) break;
  }
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoError(errno, "looking at", path);
  return S_ISDIR(info.st_mode) ? OkStatus() : ErrnoError(ENOTDIR, "creating folder", path);
}

StatusOr<std::vector<std::string>> PosixFileSystem::List(std::string_view path_view) {
  const std::string path(path_view);
  DIR* folder = ::opendir(path.c_str());
  if (!folder) return ErrnoError(errno, "listing", path);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

Status PosixFileSystem::Remove(std::string_view path_view) {
  const std::string path(path_view);
  if (::unlink(path.c_str()) == 0) return SyncFolder(ParentOf(path));
  return errno == ENOENT ? OkStatus() : ErrnoError(errno, "removing", path);
}

StatusOr<bool> PosixFileSystem::Exists(std::string_view path_view) {
  const std::string path(path_view);
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return ErrnoError(errno, "looking at", path);
}

StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(std::string_view path_view) {
  const std::string path(path_view);
  OwnedFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoError(errno, "opening", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoError(errno, "locking", path);
    char holder[32] = {};
    const ssize_t n = ::pread(fd.get(), holder, sizeof holder - 1, 0);
    std::string message = path + " is in use by another process";
    if (n > 0) message.append(" (pid ").append(holder, std::min<size_t>(size_t(n), strcspn(holder, "\n"))).append(")");
    return FailedPreconditionError(message);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0) return ErrnoError(errno, "writing", path);
  RETURN_IF_ERROR(WriteAll(fd.get(), pid, 0, path));
  return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(std::move(fd)));
}

}  // namespace orrery::runtime
