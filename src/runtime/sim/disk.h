// Disk: a node's files with what is durable and what is not, surviving its incarnations. It never waits.
//
// A file's contents and the names of a folder are durable separately, as POSIX has it: contents by Sync,
// names (create, rename, remove) by SyncNames. At a crash each unsynced write is lost, kept or torn, and a
// prefix of the unsynced name changes is kept, by the seed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/runtime/file_system.h"
#include "orrery/runtime/random.h"

namespace orrery::runtime::sim {

class Disk {
 public:
  // Null if there is no such file.
  const std::string* Find(std::string_view path) const;
  void Create(std::string_view path);  // empty; replaces
  // Creates the file if needed.
  void WriteAt(std::string_view path, uint64_t offset, std::string_view bytes);
  void Sync(std::string_view path);
  void Rename(std::string_view from, std::string_view to);
  void Remove(std::string_view path);
  void SyncNames();
  void CreateFolder(std::string_view path);
  bool FolderExists(std::string_view path) const { return folders_.contains(path); }
  std::vector<std::string> List(std::string_view folder) const;  // sorted
  bool TryLock(std::string_view path) { return locks_.insert(std::string(path)).second; }
  void Unlock(std::string_view path) { locks_.erase(std::string(path)); }

  void Crash(Random& random);
  void Wipe() { *this = Disk(); }

 private:
  struct Patch {
    uint64_t offset;
    std::string bytes;
  };
  struct File {
    std::string current;
    std::string durable;
    std::vector<Patch> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<File>, std::less<>>;
  struct NameChange {
    std::string path;
    std::shared_ptr<File> file;  // null: the name goes
    bool with_next = false;      // a rename is two changes that happen together
  };

  static void Apply(std::string& contents, uint64_t offset, std::string_view bytes);
  void Change(NameChange change);

  Names current_;
  Names durable_;
  std::vector<NameChange> unsynced_names_;
  std::set<std::string, std::less<>> folders_;
  std::set<std::string> locks_;
};

}  // namespace orrery::runtime::sim
