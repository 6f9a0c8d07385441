// PosixFileSystem: the FileSystem over the operating system's files.
#pragma once

#include "orrery/runtime/file_system.h"

namespace orrery::runtime {

class PosixFileSystem final : public FileSystem {
 public:
  StatusOr<std::string> ReadFile(std::string_view path) override;
  Status WriteFileAtomic(std::string_view path, std::string_view contents) override;
  Status WriteAtSync(std::string_view path, uint64_t offset, std::string_view bytes) override;
  Status CreateFolder(std::string_view path) override;
  StatusOr<std::vector<std::string>> List(std::string_view path) override;
  Status Remove(std::string_view path) override;
  StatusOr<bool> Exists(std::string_view path) override;
  StatusOr<std::unique_ptr<FileLock>> Lock(std::string_view path) override;
};

}  // namespace orrery::runtime
