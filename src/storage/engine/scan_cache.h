// ScanCache: intervals of kMvcc of which the first entry of every prefix is kept in order, so that a scan over hot rows
// costs one search in memory instead of one in each level of a store, and steps over no old versions.
//
// Intervals are cut into blocks of few entries, which change in place as writes end, and are forgotten where the newest
// version is deleted (only the store knows the one before) and by a clock's hand when memory is short.
//
// Invariant: at every moment at which no write to a block is under way in the engine, the block equals what the engine
// below answers. Mutex order: `mutex_`, then a block's. Thread safety: all methods by many tasks at once.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/runtime/sync.h"
#include "orrery/storage/newest_entries.h"
#include "storage/engine/mvcc_ops.h"

namespace orrery::storage {

class ScanCache {
 public:
  explicit ScanCache(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // As NewestEntries.
  NewestEntries::Walked Walk(std::string_view lower, std::string_view upper, NewestEntries::Visitor& visitor);
  uint64_t BeginLearning(std::string_view lower, std::string_view upper);
  void EndLearning(uint64_t ticket, std::string_view upper, const EntryRun* run);

  // Around each write of the engine that touches kMvcc; BeginWrite's result goes to EndWrite.
  enum class Outcome : uint8_t { kWritten, kUnknown };
  uint64_t BeginWrite();
  void EndWrite(uint64_t began, const MvccOps& ops, Outcome outcome);

  uint64_t bytes() const;
  uint64_t entry_count() const;

 private:
  static constexpr size_t kEntriesOfBlock = 64;     // as they are made
  static constexpr size_t kEntriesOfBlockMax = 128;  // split in two beyond

  struct Block {
    Block(std::string_view from, std::string_view to, EntryRun entries)
        : lower(from), upper(to), run(std::move(entries)), bytes(BytesOf()) {}
    uint64_t BytesOf() const { return sizeof(Block) + 2 * lower.size() + upper.size() + run.bytes(); }

    const std::string lower;
    const std::string upper;
    runtime::Mutex mutex{"scan_cache.block"};
    EntryRun run ABSL_GUARDED_BY(mutex);
    bool forgotten ABSL_GUARDED_BY(mutex) = false;
    bool recent = false;  // walked since the clock's hand passed; as `bytes`, guarded by the cache's mutex
    uint64_t bytes = 0;
  };
  using Blocks = std::map<std::string, std::shared_ptr<Block>, std::less<>>;
  struct Learning {
    std::string lower;
    std::string upper;
    bool outdated = false;  // a write to it has ended
  };

  Blocks::iterator Find(std::string_view prefix) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(std::string_view lower, std::string_view upper, EntryRun run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Blocks::iterator Forget(Blocks::iterator block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetInterval(std::string_view begin, std::string_view end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyOp(const MvccOp& op, Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Split(Blocks::iterator block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t bytes_max_;
  mutable runtime::Mutex mutex_{"scan_cache"};
  Blocks blocks_ ABSL_GUARDED_BY(mutex_);  // by lower bound; they do not overlap
  std::map<uint64_t, Learning> learning_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t writers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t ended_writes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string hand_ ABSL_GUARDED_BY(mutex_);  // where the clock's hand goes on
};

}  // namespace orrery::storage
