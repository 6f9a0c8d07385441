#include "storage/engine/rocksdb_options.h"

#include <cstring>

#include "rocksdb/cache.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"
#include "storage/engine/memtable.h"

namespace orrery::storage {

size_t TerminatedBytes(std::string_view key) {
  const char* begin = key.data();
  const char* end = begin + key.size();
  const char* p = begin;
  while (p < end) {
    const char* zero = static_cast<const char*>(std::memchr(p, 0, size_t(end - p)));
    if (zero == nullptr || zero + 1 >= end) return 0;
    if (zero[1] == 1) return size_t(zero + 2 - begin);
    p = zero + 2;
  }
  return 0;
}

namespace {

class KeyPrefixTransform final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "orrery.KeyPrefix.1"; }  // on disk: never changes meaning
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return rocksdb::Slice(key.data(), TerminatedBytes({key.data(), key.size()}));
  }
  bool InDomain(const rocksdb::Slice& key) const override { return TerminatedBytes({key.data(), key.size()}) != 0; }
};

// Where the last insert of a kind was is where the next one goes: entries of one log, the state that each command writes anew.
constexpr size_t kLogKeyPrefixBytes = 9;     // range, kind: kv's local_keys
constexpr size_t kRangeRecordKeyBytes = 10;  // "by range", range, kind; keys of other records are longer

std::string_view KindOfLogKey(std::string_view key) {
  return key.size() < kLogKeyPrefixBytes ? std::string_view() : key.substr(0, kLogKeyPrefixBytes);
}
std::string_view KindOfStateKey(std::string_view key) {
  return key.size() == kRangeRecordKeyBytes ? key : std::string_view();
}

KindOfKey KindsOf(ColumnFamily cf) {
  switch (cf) {
    case ColumnFamily::kRaft:
      return KindOfLogKey;
    case ColumnFamily::kState:
      return KindOfStateKey;
    default:
      return nullptr;
  }
}

constexpr uint64_t kMiB = 1ull << 20;

}  // namespace

std::shared_ptr<const rocksdb::SliceTransform> MakeKeyPrefixTransform() {
  return std::make_shared<KeyPrefixTransform>();
}

rocksdb::DBOptions MakeDbOptions(rocksdb::Env& env, const StoreOptions& options) {
  rocksdb::DBOptions db;
  db.env = &env;
  db.create_if_missing = options.open_mode == StoreOptions::OpenMode::kCreateIfMissing;
  db.create_missing_column_families = true;

  // Recovery yields a prefix of what was written, always; too short a prefix is the witness's business.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.track_and_verify_wals_in_manifest = true;
  db.paranoid_checks = true;
  db.flush_verify_memtable_count = true;
  // Known to make holes in the log or to weaken the order of writes (B55).
  db.recycle_log_file_num = 0;
  db.wal_bytes_per_sync = 0;
  db.wal_compression = rocksdb::kNoCompression;
  db.manual_wal_flush = false;
  db.two_write_queues = false;
  db.unordered_write = false;
  db.allow_concurrent_memtable_write = false;  // memtable.h; raft's cycle is nearly all that writes
  db.enable_pipelined_write = false;
  db.allow_mmap_writes = false;
  // A background error is fatal: no second try behind our back (B53, B54).
  db.max_bgerror_resume_count = 0;

  db.db_write_buffer_size = 0;
  db.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(options.memtable_bytes);
  db.max_total_wal_size = 2 * options.memtable_bytes;
  db.max_background_jobs = 2;
  db.max_open_files = 512;
  db.bytes_per_sync = kMiB;
  db.keep_log_file_num = 4;
  db.max_log_file_size = 16 * kMiB;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions MakeColumnFamilyOptions(ColumnFamily cf,
                                                     const std::shared_ptr<rocksdb::Cache>& cache,
                                                     const StoreOptions& options) {
  rocksdb::ColumnFamilyOptions family;
  family.force_consistency_checks = true;
  family.paranoid_file_checks = true;
  const bool small = cf == ColumnFamily::kState || cf == ColumnFamily::kLock;
  family.write_buffer_size = options.memtable_bytes / (small ? 8 : 4);
  family.arena_block_size = std::min<uint64_t>(family.write_buffer_size / 8, kMiB / 4);
  family.compression = cf == ColumnFamily::kMvcc ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  family.level_compaction_dynamic_level_bytes = true;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 8 * 1024;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // A table's whole index or filter is a megabyte: a cache that is tight would read it again for every key.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.pin_top_level_index_and_filter = true;
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  if (cf == ColumnFamily::kMvcc || cf == ColumnFamily::kLock) {
    family.prefix_extractor = MakeKeyPrefixTransform();
    family.memtable_prefix_bloom_size_ratio = 0.05;
    family.memtable_whole_key_filtering = cf == ColumnFamily::kLock;  // point reads probe for intents
    table.whole_key_filtering = cf == ColumnFamily::kLock;
  }
  family.memtable_factory = MakeMemtableFactory(KindsOf(cf));
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

}  // namespace orrery::storage
