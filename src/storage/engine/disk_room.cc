#include "storage/engine/disk_room.h"

#include <algorithm>
#include <utility>

#include "rocksdb/sst_file_manager.h"
#include "rocksdb/write_buffer_manager.h"

namespace orrery::storage {
namespace {

constexpr uint64_t kOutOfReach = 1ull << 60;

uint64_t Without(uint64_t bytes, uint64_t taken) { return bytes - std::min(bytes, taken); }

}  // namespace

DiskRoom::DiskRoom(rocksdb::Env& env, std::string path, const StoreOptions& options, rocksdb::DBOptions& db)
    : env_(env),
      path_(std::move(path)),
      reserve_bytes_(options.disk_reserve_bytes),
      memtables_(db.write_buffer_manager),
      files_(rocksdb::NewSstFileManager(&env)) {
  files_->SetMaxAllowedSpaceUsage(kOutOfReach);
  db.sst_file_manager = files_;
  Check();
}

DiskSpace DiskRoom::Check() const {
  uint64_t free_bytes = 0;
  if (!env_.GetFreeSpace(path_, &free_bytes).ok()) {
    LetCompactionsHave(kOutOfReach);
    return {};
  }
  const uint64_t unwritten_bytes = memtables_->memory_usage();
  LetCompactionsHave(Without(free_bytes, reserve_bytes_ / 2 + unwritten_bytes));
  const uint64_t kept_bytes = reserve_bytes_ + unwritten_bytes;
  if (free_bytes >= kept_bytes) return {};
  const bool exhausted = free_bytes < reserve_bytes_ / 4 + unwritten_bytes;
  return {exhausted ? SpaceLevel::kExhausted : SpaceLevel::kFull,
          Status(Code::kResourceExhausted, "53100",
                 "the disk of store " + path_ + " is full: " + std::to_string(free_bytes >> 20) + " MB free, " +
                     std::to_string(kept_bytes >> 20) + " MB are kept in reserve")};
}

// RocksDB knows one bound, of what all its files may take, and refuses everything at it; and a margin below it that a
// compaction must leave, or it is put off for a second. So the bound is out of reach, and the margin all but the room.
void DiskRoom::LetCompactionsHave(uint64_t bytes) const {
  files_->SetCompactionBufferSize(Without(kOutOfReach, files_->GetTotalSize() + std::min(bytes, kOutOfReach)));
}

}  // namespace orrery::storage
