// FileSystem: the few files a node owns beside its RocksDB (store identity, durability witness, pid file).
// Paths are absolute or relative to the process's folder. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/base/status_or.h"

namespace orrery::runtime {

// Held while it lives: no other process (or node of a simulation) can hold the same path.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual StatusOr<std::string> ReadFile(std::string_view path) = 0;  // NotFound if there is none
  // Replaces the file as a whole and durably: new file, sync, rename, sync of the folder (B5).
  virtual Status WriteFileAtomic(std::string_view path, std::string_view contents) = 0;
  // Writes in place at an offset and syncs; creates the file. For small fixed records with double slots.
  virtual Status WriteAtSync(std::string_view path, uint64_t offset, std::string_view bytes) = 0;
  virtual Status CreateFolder(std::string_view path) = 0;  // with parents; OK if present
  virtual StatusOr<std::vector<std::string>> List(std::string_view path) = 0;  // names, sorted
  virtual Status Remove(std::string_view path) = 0;        // a file; OK if absent
  virtual StatusOr<bool> Exists(std::string_view path) = 0;
  // FailedPrecondition, naming the holder if it can, when somebody else has it.
  virtual StatusOr<std::unique_ptr<FileLock>> Lock(std::string_view path) = 0;
};

}  // namespace orrery::runtime
