// The RocksDB store: its settings (correctness.md 7b), its behaviour on failing disks (B53–B56), and what it
// recovers after crashes and damage (I25).
#include <algorithm>
#include <random>

#include "storage/engine/rocksdb_store.h"
#include "rocksdb/db.h"
#include "rocksdb/table.h"
#include "unit/storage_engine/faulty_env.h"
#include "unit/storage_engine/random_ops.h"

namespace orrery::storage {
namespace {

StoreOptions SmallStore() {
  StoreOptions options;
  options.block_cache_bytes = 1 << 20;
  options.memtable_bytes = 1 << 20;
  return options;
}

std::unique_ptr<RocksDbEngine> MustOpen(rocksdb::Env* env, const StoreOptions& options) {
  auto store = OpenStoreIn(*env, "/store", options);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? std::move(*store) : nullptr;
}

WriteBatch OnePut(std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.Put(ColumnFamily::kState, key, value);
  return batch;
}

TEST(RocksDbStoreTest, OpensWithTheSettingsCorrectnessNeeds) {
  FaultyEnv env;
  const auto store = MustOpen(env.get(), SmallStore());
  const rocksdb::DBOptions db = store->db().GetDBOptions();
  EXPECT_EQ(db.wal_recovery_mode, rocksdb::WALRecoveryMode::kPointInTimeRecovery);
  EXPECT_TRUE(db.track_and_verify_wals_in_manifest);
  EXPECT_TRUE(db.paranoid_checks);
  EXPECT_TRUE(db.flush_verify_memtable_count);
  EXPECT_TRUE(db.verify_sst_unique_id_in_manifest);
  EXPECT_EQ(db.recycle_log_file_num, 0u);
  EXPECT_EQ(db.wal_bytes_per_sync, 0u);
  EXPECT_EQ(db.wal_compression, rocksdb::kNoCompression);
  EXPECT_FALSE(db.manual_wal_flush);
  EXPECT_FALSE(db.two_write_queues);
  EXPECT_FALSE(db.unordered_write);
  EXPECT_FALSE(db.enable_pipelined_write);
  EXPECT_FALSE(db.allow_mmap_writes);
  EXPECT_EQ(db.max_bgerror_resume_count, 0);
  EXPECT_EQ(db.listeners.size(), 1u);
  ASSERT_TRUE(db.write_buffer_manager != nullptr);
  EXPECT_EQ(db.write_buffer_manager->buffer_size(), 1u << 20);
  const rocksdb::ColumnFamilyOptions family = store->db().GetOptions();
  EXPECT_TRUE(family.force_consistency_checks);
  EXPECT_TRUE(family.paranoid_file_checks);
  // Whole indexes and filters fell out of a tight cache and were read again for every key.
  const auto* table = family.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  ASSERT_TRUE(table != nullptr);
  EXPECT_EQ(table->index_type, rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch);
  EXPECT_TRUE(table->partition_filters);
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(db, "/store", &names).ok());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"default", "lock", "mvcc", "raft", "state"}));
}

TEST(RocksDbStoreTest, SyncWritesReachTheDiskAndOthersDoNotWait) {
  FaultyEnv env;
  const auto store = MustOpen(env.get(), SmallStore());
  const uint64_t before = env.faults.sync_count;
  ASSERT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kNoSync).ok());
  EXPECT_EQ(env.faults.sync_count, before);
  ASSERT_TRUE(store->Write(OnePut("b", "1"), SyncMode::kSync).ok());
  EXPECT_EQ(env.faults.sync_count, before + 1);
  ASSERT_TRUE(store->Write(OnePut("c", "1"), SyncMode::kNoSync).ok());
  ASSERT_TRUE(store->SyncAll().ok());
  EXPECT_EQ(env.faults.sync_count, before + 2);
}

TEST(RocksDbStoreTest, MustExistRefusesAnEmptyFolder) {
  FaultyEnv env;
  StoreOptions options = SmallStore();
  options.open_mode = StoreOptions::OpenMode::kMustExist;
  EXPECT_EQ(OpenStoreIn(*env.get(), "/store", options).status().code(), Code::kNotFound);
}

TEST(RocksDbStoreTest, AStoreIsOpenedOnce) {
  FaultyEnv env;
  const auto store = MustOpen(env.get(), SmallStore());
  EXPECT_EQ(OpenStoreIn(*env.get(), "/store", SmallStore()).status().code(), Code::kFailedPrecondition);
}

// Little free space: the store says so, what must go on is still written, and there is room again by itself.
TEST(RocksDbStoreTest, SaysWhenTheDiskIsNearlyFull) {
  FaultyEnv env;
  StoreOptions options = SmallStore();
  options.on_fatal = [](const Status& s) { ADD_FAILURE() << s.ToString(); };
  const auto store = MustOpen(env.get(), options);
  EXPECT_TRUE(store->CheckSpace().ok());
  env.faults.free_bytes = options.disk_reserve_bytes - 1;
  EXPECT_EQ(store->CheckSpace().sqlstate(), "53100");
  EXPECT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kSync).ok());
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "1");
  env.faults.free_bytes = options.disk_reserve_bytes;
  EXPECT_TRUE(store->CheckSpace().ok());
}

// The log itself meets the end of the disk: refused until reopened, nothing acknowledged is lost.
TEST(RocksDbStoreTest, AFullDiskLosesNothingAcknowledged) {
  FaultyEnv env;
  StoreOptions options = SmallStore();
  options.on_fatal = [](const Status& s) { ADD_FAILURE() << s.ToString(); };
  auto store = MustOpen(env.get(), options);
  ASSERT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kSync).ok());
  env.faults.append_no_space = true;
  EXPECT_EQ(store->Write(OnePut("b", "1"), SyncMode::kSync).sqlstate(), "53100");
  env.faults.append_no_space = false;
  EXPECT_EQ(store->Write(OnePut("c", "1"), SyncMode::kSync).sqlstate(), "53100");  // no resuming (B54)
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "1");
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "b"), std::nullopt);
  store.reset();
  store = MustOpen(env.get(), options);
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "1");
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "c"), std::nullopt);
  EXPECT_TRUE(store->Write(OnePut("d", "1"), SyncMode::kSync).ok());
}

TEST(RocksDbStoreTest, AFailedSyncIsFatalAndNeverRetried) {  // B53
  FaultyEnv env;
  StoreOptions options = SmallStore();
  std::vector<Status> fatal;
  options.on_fatal = [&](const Status& s) { fatal.push_back(s); };
  const auto store = MustOpen(env.get(), options);
  env.faults.sync_error = true;
  EXPECT_EQ(store->Write(OnePut("a", "1"), SyncMode::kSync).sqlstate(), "58030");
  env.faults.sync_error = false;
  const uint64_t syncs = env.faults.sync_count;
  EXPECT_EQ(store->Write(OnePut("b", "1"), SyncMode::kSync).sqlstate(), "58030");
  EXPECT_EQ(store->SyncAll().sqlstate(), "58030");
  EXPECT_EQ(env.faults.sync_count, syncs);
  ASSERT_EQ(fatal.size(), 1u);
  EXPECT_EQ(fatal[0].sqlstate(), "58030");
}

TEST(RocksDbStoreTest, AFailedReadIsFatal) {  // B56
  FaultyEnv env;
  StoreOptions options = SmallStore();
  int fatal_count = 0;
  options.on_fatal = [&](const Status&) { ++fatal_count; };
  options.block_cache_bytes = 0;
  const auto store = MustOpen(env.get(), options);
  ASSERT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kSync).ok());
  ASSERT_TRUE(store->Flush().ok());
  env.faults.read_error = true;
  EXPECT_EQ(store->Get(ColumnFamily::kState, "a").status().sqlstate(), "58030");
  EXPECT_EQ(fatal_count, 1);
}

// ---- Crashes and damage ----

std::map<std::string, std::string> FilesOf(rocksdb::Env* env) {
  std::vector<std::string> names;
  EXPECT_TRUE(env->GetChildren("/store", &names).ok());
  std::map<std::string, std::string> files;
  for (const std::string& name : names) {
    if (name == "LOCK" || name.starts_with("LOG") || name == "." || name == "..") continue;
    EXPECT_TRUE(rocksdb::ReadFileToString(env, "/store/" + name, &files[name]).ok()) << name;
  }
  return files;
}

// The files of an open store at one moment: a flush or a compaction at work would delete tables between the
// listing and the reading, which no crash does.
std::map<std::string, std::string> FilesOf(rocksdb::Env* env, RocksDbEngine& store) {
  EXPECT_TRUE(store.db().PauseBackgroundWork().ok());
  auto files = FilesOf(env);
  EXPECT_TRUE(store.db().ContinueBackgroundWork().ok());
  return files;
}

std::unique_ptr<rocksdb::Env> EnvWith(const std::map<std::string, std::string>& files) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  EXPECT_TRUE(env->CreateDirIfMissing("/store").ok());
  for (const auto& [name, data] : files) {
    EXPECT_TRUE(rocksdb::WriteStringToFile(env.get(), data, "/store/" + name).ok());
  }
  return env;
}

std::string NewestLog(const std::map<std::string, std::string>& files) {
  std::string newest;
  for (const auto& [name, data] : files) {
    if (name.ends_with(".log")) newest = std::max(newest, name);  // numbers of equal width
  }
  return newest;
}

// Writes at random, then cuts the log anywhere after its last synced byte: what is recovered must be the state
// after some prefix of the writes that includes every synced one (I25, expected-state method).
TEST(RocksDbCrashTest, RecoversAPrefixNoShorterThanTheLastSync) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
    const auto store = MustOpen(env.get(), SmallStore());
    MemEngine model;
    std::map<uint64_t, MemEngineImage> expected;  // by sequence
    expected[store->LastSequence()] = ImageOf(model);
    uint64_t synced_sequence = 0;
    std::pair<std::string, size_t> synced_log;
    for (int i = 0; i < 40; ++i) {
      const WriteBatch batch = RandomBatch(random);
      const SyncMode sync = random() % 5 == 0 ? SyncMode::kSync : SyncMode::kNoSync;
      ASSERT_TRUE(store->Write(batch, sync).ok());
      ASSERT_TRUE(model.Write(batch, sync).ok());
      expected[store->LastSequence()] = ImageOf(model);
      const bool flushed = random() % 25 == 0;
      if (flushed) {
        ASSERT_TRUE(store->Flush().ok());
      }
      if (flushed || sync == SyncMode::kSync) {
        const auto files = FilesOf(env.get(), *store);
        synced_sequence = store->LastSequence();
        synced_log = {NewestLog(files), files.at(NewestLog(files)).size()};
      }
    }
    auto files = FilesOf(env.get(), *store);
    std::string& log = files.at(NewestLog(files));
    const size_t kept = NewestLog(files) == synced_log.first ? synced_log.second : 0;
    log.resize(kept + random() % (log.size() - kept + 1));
    const auto crashed_env = EnvWith(files);
    const auto recovered = MustOpen(crashed_env.get(), SmallStore());
    ASSERT_TRUE(recovered != nullptr);
    EXPECT_GE(recovered->LastSequence(), synced_sequence);
    // Recovery may use up sequence numbers of its own, but never fewer than what it holds.
    auto prefix = expected.upper_bound(recovered->LastSequence());
    ASSERT_NE(prefix, expected.begin());
    --prefix;
    EXPECT_EQ(ImageOf(*recovered), prefix->second) << "sequence " << recovered->LastSequence();
  }
}

// A flipped bit in a table file: an error or the right value, never a wrong one.
TEST(RocksDbDamageTest, FlippedBitsNeverBecomeValues) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  FamilyMaps model;
  {
    const auto store = MustOpen(env.get(), SmallStore());
    std::mt19937_64 random(7);
    for (int i = 0; i < 100; ++i) {
      const WriteBatch batch = RandomBatch(random);
      ASSERT_TRUE(store->Write(batch, SyncMode::kNoSync).ok());
      ApplyToMaps(batch, model);
    }
    ASSERT_TRUE(store->Flush().ok());
  }
  const auto files = FilesOf(env.get());
  int errors = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto damaged = files;
    std::vector<std::string> tables;
    for (const auto& [name, data] : files) {
      if (name.ends_with(".sst")) tables.push_back(name);
    }
    std::string& table = damaged[tables[random() % tables.size()]];
    table[random() % table.size()] ^= char(1 << (random() % 8));
    const auto damaged_env = EnvWith(damaged);
    StoreOptions options = SmallStore();
    options.on_fatal = [](const Status&) {};
    const auto store = OpenStoreIn(*damaged_env, "/store", options);
    if (!store.ok()) {
      ++errors;
      continue;
    }
    for (size_t i = 0; i < kColumnFamilyCount; ++i) {
      for (const auto& [key, value] : model[i]) {
        const auto found = (*store)->Get(ColumnFamily(i), key);
        if (found.ok()) {
          EXPECT_EQ(*found, value);
        } else {
          EXPECT_EQ(found.status().code(), Code::kDataLoss);
          ++errors;
        }
      }
    }
  }
  EXPECT_GT(errors, 0);
}

TEST(MemEngineCrashTest, ImagesArePrefixes) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    MemEngine engine;
    std::map<uint64_t, MemEngineImage> expected;
    uint64_t synced = 0;
    for (int i = 0; i < 60; ++i) {
      const SyncMode sync = random() % 10 == 0 ? SyncMode::kSync : SyncMode::kNoSync;
      ASSERT_TRUE(engine.Write(RandomBatch(random), sync).ok());
      MemEngineImage image = ImageOf(engine);
      image.sequence = engine.LastSequence();
      expected[image.sequence] = std::move(image);
      if (sync == SyncMode::kSync) synced = engine.LastSequence();
      EXPECT_EQ(engine.UnsyncedWriteCount(), engine.LastSequence() - synced);
      if (synced == 0) continue;
      EXPECT_EQ(engine.CrashImage({}), expected[synced]);
      EXPECT_EQ(engine.CrashImage({CrashPolicy::Unsynced::kKept, 0}), expected[engine.LastSequence()]);
      const MemEngineImage some = engine.CrashImage({CrashPolicy::Unsynced::kPrefixBySeed, random()});
      EXPECT_GE(some.sequence, synced);
      EXPECT_EQ(some, expected[some.sequence]);
      EXPECT_EQ(ImageOf(MemEngine(some)).families[0], some.families[0]);
    }
    const uint64_t last = engine.LastSequence();
    engine.FailWritesWith(UnavailableError("fenced"));
    EXPECT_FALSE(engine.Write(RandomBatch(random), SyncMode::kSync).ok());
    EXPECT_EQ(engine.LastSequence(), last);
  }
}

}  // namespace
}  // namespace orrery::storage
