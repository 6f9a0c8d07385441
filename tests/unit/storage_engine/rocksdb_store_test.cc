// The RocksDB store: its settings (correctness.md 7b), its behaviour on failing disks (B53–B56), and what it
// recovers after crashes and damage (I25).
#include <algorithm>
#include <functional>
#include <random>
#include <thread>

#include "storage/engine/log_files.h"
#include "storage/engine/rocksdb_store.h"
#include "rocksdb/db.h"
#include "rocksdb/table.h"
#include "unit/storage_engine/faulty_env.h"
#include "unit/storage_engine/folder.h"
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
  EXPECT_FALSE(db.allow_concurrent_memtable_write);  // our memtable has one writer
  EXPECT_FALSE(db.enable_pipelined_write);
  EXPECT_FALSE(db.allow_mmap_writes);
  EXPECT_EQ(db.max_bgerror_resume_count, 0);
  EXPECT_EQ(db.listeners.size(), 1u);
  ASSERT_TRUE(db.write_buffer_manager != nullptr);
  EXPECT_EQ(db.write_buffer_manager->buffer_size(), 1u << 20);
  const rocksdb::ColumnFamilyOptions family = store->db().GetOptions();
  EXPECT_TRUE(family.force_consistency_checks);
  EXPECT_TRUE(family.paranoid_file_checks);
  EXPECT_STREQ(family.memtable_factory->Name(), "OrreryMemtable");
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

// With a log that is written past the page cache, and through it.
class RocksDbDiskTest : public testing::TestWithParam<Faults::Direct> {
 protected:
  void SetUp() override { env.faults.direct = GetParam(); }
  FaultyEnv env;
};
INSTANTIATE_TEST_SUITE_P(Ways, RocksDbDiskTest, testing::Values(Faults::Direct::kNo, Faults::Direct::kYes));

TEST_P(RocksDbDiskTest, SyncWritesReachTheDiskAndOthersDoNotWait) {
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
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kEnough);
  env.faults.free_bytes = options.disk_reserve_bytes - 1;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kFull);
  EXPECT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kSync).ok());
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "1");
  EXPECT_EQ(store->CheckSpace().status.sqlstate(), "53100");
  env.faults.free_bytes = options.disk_reserve_bytes / 4;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kExhausted);
  // What memtables hold needs room, too.
  env.faults.free_bytes = options.disk_reserve_bytes;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kFull);
  env.faults.free_bytes = options.disk_reserve_bytes + 2 * options.memtable_bytes;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kEnough);
}

// Where a store's own data has filled the disk, what goes on must not be what fills the rest: a compaction, which needs
// room for all it reads, used to, and ended the store.
class RocksDbFullDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    options.on_fatal = [](const Status& s) { ADD_FAILURE() << s.ToString(); };
    env.faults.free_bytes = options.disk_reserve_bytes / 2;
    store = MustOpen(env.get(), options);
    // More new files than are left without a compaction for long, and such as cannot just be moved.
    for (int i = 0; i < 8; ++i) {
      WriteBatch batch = OnePut("a", std::to_string(i));
      batch.Put(ColumnFamily::kState, "z", std::to_string(i));
      ASSERT_TRUE(store->Write(batch, SyncMode::kSync).ok());
      ASSERT_TRUE(store->Flush().ok());
    }
  }
  int NewFiles() {
    std::vector<rocksdb::LiveFileMetaData> files;
    store->db().GetLiveFilesMetaData(&files);
    return int(std::count_if(files.begin(), files.end(),
                             [](const auto& file) { return file.level == 0 && file.column_family_name == "state"; }));
  }
  static void Await(const std::function<bool()>& condition) {
    while (!condition()) std::this_thread::yield();  // the test's time limit ends it
  }

  FaultyEnv env;
  StoreOptions options = SmallStore();
  std::unique_ptr<RocksDbEngine> store;
};

TEST_F(RocksDbFullDiskTest, CompactionsWaitForRoom) {
  EXPECT_EQ(NewFiles(), 8);
  env.faults.free_bytes = 1ull << 40;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kEnough);
  Await([&] { return NewFiles() == 0; });
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "7");
}

// Others have taken the room that a compaction was given.
TEST_F(RocksDbFullDiskTest, ACompactionWithoutRoomHarmsNothing) {
  env.faults.table_no_space = true;
  env.faults.free_bytes = 1ull << 40;
  EXPECT_EQ(store->CheckSpace().level, SpaceLevel::kEnough);
  Await([&] { return env.faults.table_refusals > 0; });
  env.faults.table_no_space = false;
  Await([&] { return NewFiles() == 0; });
  ASSERT_TRUE(store->Write(OnePut("c", "1"), SyncMode::kSync).ok());
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "7");
  store.reset();
  store = MustOpen(env.get(), options);
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), "7");
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "c"), "1");
}

// A flush cannot be put off: refused until reopened, and nothing is lost.
TEST_F(RocksDbFullDiskTest, AFlushWithoutRoomLosesNothing) {
  ASSERT_TRUE(store->Write(OnePut("b", "1"), SyncMode::kSync).ok());
  env.faults.table_no_space = true;
  EXPECT_EQ(store->Flush().sqlstate(), "53100");
  EXPECT_EQ(store->Write(OnePut("c", "1"), SyncMode::kSync).sqlstate(), "53100");
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "b"), "1");
  env.faults.table_no_space = false;
  store.reset();
  store = MustOpen(env.get(), options);
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "b"), "1");
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "c"), std::nullopt);
  EXPECT_TRUE(store->Write(OnePut("c", "1"), SyncMode::kSync).ok());
}

// The log itself meets the end of the disk: refused until reopened, nothing acknowledged is lost.
TEST_P(RocksDbDiskTest, AFullDiskLosesNothingAcknowledged) {
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

// The zeros behind the log are only there for speed: without room for them the log goes on.
TEST_P(RocksDbDiskTest, ALogNeedsNoRoomForZeros) {
  StoreOptions options = SmallStore();
  options.on_fatal = [](const Status& s) { ADD_FAILURE() << s.ToString(); };
  auto store = MustOpen(env.get(), options);
  env.faults.log_room_bytes = 2 * 4096;
  ASSERT_TRUE(store->Write(OnePut("a", std::string(3900, 'a')), SyncMode::kSync).ok());
  ASSERT_TRUE(store->Write(OnePut("b", std::string(3900, 'b')), SyncMode::kSync).ok());
  EXPECT_EQ(store->Write(OnePut("c", std::string(3900, 'c')), SyncMode::kSync).sqlstate(), "53100");
  store.reset();
  env.faults.log_room_bytes = 1 << 30;
  store = MustOpen(env.get(), options);
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "a"), std::string(3900, 'a'));
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "b"), std::string(3900, 'b'));
  EXPECT_EQ(*store->Get(ColumnFamily::kState, "c"), std::nullopt);
}

TEST_P(RocksDbDiskTest, AFailedSyncIsFatalAndNeverRetried) {  // B53
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
    if (name == "LOCK" || name == "load" || name.starts_with("LOG") || name == "." || name == "..") continue;
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

constexpr size_t kSectorBytes = 512;

// A crash loses what it likes of the unsynced: each sector of the log is as it was at the last sync, or as it is now.
std::string CrashedLog(const std::string& synced, const std::string& now, std::mt19937_64& random) {
  std::string log = now;
  for (size_t begin = 0; begin < log.size(); begin += kSectorBytes) {
    const size_t end = std::min(begin + kSectorBytes, log.size());
    if (random() % 2 == 0) continue;
    for (size_t i = begin; i < end; ++i) log[i] = i < synced.size() ? synced[i] : '\0';
  }
  return log;
}

// Writes at random, then crashes in the middle of a sync: it loses any sectors of the log that were written after the last
// one, or its end, length and all. What is recovered must be the state after some prefix of the writes that includes
// every synced one (I25, B55, expected-state method).
TEST(RocksDbCrashTest, RecoversAPrefixNoShorterThanTheLastSync) {
  size_t shortened = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    FaultyEnv env;
    env.faults.direct = seed % 3 == 0 ? Faults::Direct::kNo : Faults::Direct::kYes;
    const auto store = MustOpen(env.get(), SmallStore());
    MemEngine model;
    std::map<uint64_t, MemEngineImage> expected;  // by sequence
    expected[store->LastSequence()] = ImageOf(model);
    uint64_t synced_sequence = 0;
    std::pair<std::string, std::string> synced_log;  // name, contents
    const uint64_t syncs_one_in = seed % 2 == 0 ? 5 : 40;
    for (int i = 0; i < 40; ++i) {
      const WriteBatch batch = RandomBatch(random);
      const SyncMode sync = random() % syncs_one_in == 0 ? SyncMode::kSync : SyncMode::kNoSync;
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
        synced_log = {NewestLog(files), files.at(NewestLog(files))};
      }
    }
    ASSERT_TRUE(store->SyncAll().ok());
    auto files = FilesOf(env.get(), *store);
    std::string& log = files.at(NewestLog(files));
    const std::string synced = NewestLog(files) == synced_log.first ? synced_log.second : "";
    log = CrashedLog(synced, log, random);
    if (random() % 2 == 0) log.resize(synced.size() + random() % (log.size() - synced.size() + 1));
    const auto crashed_env = EnvWith(files);
    const auto recovered = MustOpen(crashed_env.get(), SmallStore());
    ASSERT_TRUE(recovered != nullptr);
    EXPECT_GE(recovered->LastSequence(), synced_sequence);
    // Recovery may use up sequence numbers of its own, but never fewer than what it holds.
    auto prefix = expected.upper_bound(recovered->LastSequence());
    ASSERT_NE(prefix, expected.begin());
    --prefix;
    EXPECT_EQ(ImageOf(*recovered), prefix->second) << "sequence " << recovered->LastSequence();
    shortened += std::next(prefix) != expected.end() ? 1 : 0;
  }
  EXPECT_GT(shortened, 10u);
}

// Bytes of the newest log without the zeros behind it.
size_t LogBytes(const std::map<std::string, std::string>& files) {
  const auto env = EnvWith(files);
  EXPECT_TRUE(TrimLogs(*env->GetFileSystem(), "/store").ok());
  return FilesOf(env.get()).at(NewestLog(files)).size();
}

// RocksDB skips the zeros of lost sectors to the end of their block and reads on; when the next block begins with a
// record, nothing tells it that some are missing.
TEST(RocksDbCrashTest, RecordsBehindLostOnesAreGone) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  const auto store = MustOpen(env.get(), SmallStore());
  const auto put = [&](int i, size_t value_bytes) {
    ASSERT_TRUE(store->Write(OnePut("key" + std::to_string(100 + i), std::string(value_bytes, 'v')), SyncMode::kSync).ok());
  };
  // Four records fill a block.
  constexpr size_t kRecordBytes = 8 * 1024;
  put(0, 1000);
  const size_t overhead = LogBytes(FilesOf(env.get(), *store)) - 1000;
  put(1, kRecordBytes - 1000 - 2 * overhead);
  for (int i = 2; i <= 12; ++i) put(i, kRecordBytes - overhead);
  auto files = FilesOf(env.get(), *store);
  ASSERT_EQ(LogBytes(files), 12 * kRecordBytes);
  std::string& log = files.at(NewestLog(files));
  std::fill(log.begin() + 6 * kRecordBytes, log.begin() + 8 * kRecordBytes, '\0');
  const auto crashed_env = EnvWith(files);
  const auto recovered = MustOpen(crashed_env.get(), SmallStore());
  EXPECT_NE(*recovered->Get(ColumnFamily::kState, "key106"), std::nullopt);
  EXPECT_EQ(*recovered->Get(ColumnFamily::kState, "key107"), std::nullopt);
  EXPECT_EQ(*recovered->Get(ColumnFamily::kState, "key109"), std::nullopt);
}

// A log that is no longer appended to, and whose end nobody has synced, is on the disk before anything of the next one is.
TEST(RocksDbCrashTest, NoRecordsOfALogWithoutTheOneBefore) {
  FaultyEnv env;
  const auto store = MustOpen(env.get(), SmallStore());
  // The table that a full memtable becomes would make up for what its log lacks.
  ASSERT_TRUE(store->db().PauseBackgroundWork().ok());
  const auto key = [](int i) { return "key" + std::to_string(1000 + i); };
  const std::string first_log = NewestLog(FilesOf(env.get()));
  int count = 0;
  for (; NewestLog(FilesOf(env.get())) == first_log; ++count) {
    ASSERT_LT(count, 5000);
    ASSERT_TRUE(store->Write(OnePut(key(count), std::string(1000, 'v')), SyncMode::kNoSync).ok());
  }
  const auto files = FilesOf(env.get());
  ASSERT_TRUE(store->db().ContinueBackgroundWork().ok());
  const auto crashed_env = EnvWith(files);
  const auto recovered = MustOpen(crashed_env.get(), SmallStore());
  EXPECT_NE(*recovered->Get(ColumnFamily::kState, key(count - 1)), std::nullopt);  // of the second log
  for (int i = 0; i < count; ++i) EXPECT_NE(*recovered->Get(ColumnFamily::kState, key(i)), std::nullopt) << i;
}

// A store that ended without a word leaves zeros behind its log; one that was closed does not.
TEST(RocksDbCrashTest, ZerosBehindTheLogAreCutOff) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  auto store = MustOpen(env.get(), SmallStore());
  ASSERT_TRUE(store->Write(OnePut("a", "1"), SyncMode::kSync).ok());
  const auto files = FilesOf(env.get(), *store);
  const uint64_t long_log = files.at(NewestLog(files)).size();
  EXPECT_GE(long_log, kLogZerosBytes);
  ASSERT_TRUE(store->Write(OnePut("b", "1"), SyncMode::kSync).ok());
  EXPECT_EQ(FilesOf(env.get(), *store).at(NewestLog(files)).size(), long_log);
  store.reset();
  EXPECT_LT(FilesOf(env.get()).at(NewestLog(files)).size(), 4096u);

  const auto crashed_env = EnvWith(files);
  EXPECT_TRUE(TrimLogs(*crashed_env->GetFileSystem(), "/store").ok());
  EXPECT_LT(FilesOf(crashed_env.get()).at(NewestLog(files)).size(), 4096u);
  EXPECT_EQ(*MustOpen(crashed_env.get(), SmallStore())->Get(ColumnFamily::kState, "a"), "1");
}

// The same on real files, which know fewer operations than those in memory.
TEST(RocksDbCrashTest, LogsOfRealFilesAreCutToo) {
  const Folder folder;
  const auto files = rocksdb::FileSystem::Default();
  const std::string path = folder.path() + "/store";
  const auto log_bytes = [&] {
    std::vector<std::string> names;
    EXPECT_TRUE(files->GetChildren(path, rocksdb::IOOptions(), &names, nullptr).ok());
    uint64_t bytes = 0;
    for (const std::string& name : names) {
      uint64_t size = 0;
      if (!name.ends_with(".log")) continue;
      EXPECT_TRUE(files->GetFileSize(path + "/" + name, rocksdb::IOOptions(), &size, nullptr).ok());
      bytes += size;
    }
    return bytes;
  };
  {
    const auto store = OpenStore(path, SmallStore());
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    ASSERT_TRUE((*store)->Write(OnePut("a", "1"), SyncMode::kSync).ok());
    EXPECT_GE(log_bytes(), kLogZerosBytes);
    EXPECT_FALSE(TrimLogs(*files, path).ok());  // it is in use
    EXPECT_GE(log_bytes(), kLogZerosBytes);
  }
  EXPECT_GT(log_bytes(), 0u);
  EXPECT_LT(log_bytes(), 4096u);
  // As a killed process leaves it.
  std::vector<std::string> names;
  ASSERT_TRUE(files->GetChildren(path, rocksdb::IOOptions(), &names, nullptr).ok());
  for (const std::string& name : names) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    if (!name.ends_with(".log")) continue;
    ASSERT_TRUE(files->ReopenWritableFile(path + "/" + name, {}, &file, nullptr).ok());
    ASSERT_TRUE(file->Append(std::string(kLogZerosBytes, '\0'), {}, nullptr).ok());
  }
  const auto store = OpenStore(path, SmallStore());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ(*(*store)->Get(ColumnFamily::kState, "a"), "1");
}

// Ingested rows are there after a crash, whatever the log has lost of the writes before and behind them.
TEST(RocksDbCrashTest, IngestedRowsOutliveTheLog) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  const auto store = MustOpen(env.get(), SmallStore());
  const auto put = [&](std::string_view key, SyncMode sync) {
    WriteBatch batch;
    batch.Put(ColumnFamily::kState, key, "value");
    ASSERT_TRUE(store->Write(batch, sync).ok());
  };
  put("synced", SyncMode::kSync);
  const auto before = FilesOf(env.get(), *store);
  const std::string kept = before.at(NewestLog(before));
  put("before", SyncMode::kNoSync);
  WriteBatch rows;
  for (int i = 100; i < 200; ++i) {
    const std::string key = "k" + std::to_string(i) + std::string("\0\x01", 2);
    rows.Put(ColumnFamily::kMvcc, key, "row");
    rows.Put(ColumnFamily::kLock, key, "intent");
  }
  ASSERT_TRUE(store->Ingest(rows, nullptr).ok());
  put("behind", SyncMode::kNoSync);
  auto files = FilesOf(env.get(), *store);
  ASSERT_EQ(NewestLog(files), NewestLog(before));
  files.at(NewestLog(files)) = kept;
  const auto crashed_env = EnvWith(files);
  const auto recovered = MustOpen(crashed_env.get(), SmallStore());
  EXPECT_EQ(ReadAll(*recovered, ColumnFamily::kMvcc).size(), 100u);
  EXPECT_EQ(ReadAll(*recovered, ColumnFamily::kLock).size(), 100u);
  EXPECT_EQ(ReadAll(*recovered, ColumnFamily::kState).size(), 1u);
  // The same again: what a log of commands does after such a crash.
  ASSERT_TRUE(recovered->Ingest(rows, nullptr).ok());
  EXPECT_EQ(ReadAll(*recovered, ColumnFamily::kMvcc).size(), 100u);
  EXPECT_EQ(ReadAll(*recovered, ColumnFamily::kLock).size(), 100u);
}

// Intents come in with their rows, are found by every kind of read, go one by one, and are there again after a restart.
TEST(RocksDbStoreTest, IntentsOfALoadAreLocksLikeOthers) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  auto store = MustOpen(env.get(), SmallStore());
  const auto prefix_of = [](int i) { return "k" + std::to_string(i) + std::string("\0\x01", 2); };
  const auto load = [&](int first, int end) {
    WriteBatch rows;
    for (int i = first; i < end; ++i) {
      rows.Put(ColumnFamily::kMvcc, prefix_of(i) + "v", "row");
      rows.Put(ColumnFamily::kLock, prefix_of(i) + "i", "intent");
    }
    auto prepared = store->PrepareLoad(rows);
    ASSERT_TRUE(prepared.ok() && store->Ingest(rows, std::move(*prepared)).ok());
  };
  const auto has = [&](int i) {
    std::string key;
    std::string value;
    const bool sought = *store->SeekInPrefix(ColumnFamily::kLock, prefix_of(i), prefix_of(i).size(), key, value);
    EXPECT_EQ((*store->Get(ColumnFamily::kLock, prefix_of(i) + "i")).has_value(), sought);
    EXPECT_EQ(!ReadAll(*store, ColumnFamily::kLock, {prefix_of(i), prefix_of(i) + "~"}).empty(), sought);
    return sought;
  };
  load(10'000, 20'000);  // more than a run holds
  load(30'000, 30'010);  // noted one by one
  for (const int i : {10'000, 14'095, 14'096, 19'999, 30'000, 30'009}) EXPECT_TRUE(has(i)) << i;
  for (const int i : {20'000, 29'999, 30'010}) EXPECT_FALSE(has(i)) << i;
  WriteBatch resolved;
  for (int i = 10'000; i < 20'000; ++i) {
    if (i != 15'000) resolved.Delete(ColumnFamily::kLock, prefix_of(i) + "i");
  }
  resolved.Delete(ColumnFamily::kLock, prefix_of(30'005) + "i");
  ASSERT_TRUE(store->Write(resolved, SyncMode::kSync).ok());
  for (int lives = 1; lives <= 2; ++lives) {
    for (const int i : {10'000, 14'999, 15'001, 30'005}) EXPECT_FALSE(has(i)) << i;
    for (const int i : {15'000, 30'000, 30'009}) EXPECT_TRUE(has(i)) << i;
    EXPECT_EQ(ReadAll(*store, ColumnFamily::kLock).size(), 10u);
    EXPECT_EQ(ReadAll(*store, ColumnFamily::kMvcc).size(), 10'010u);
    ASSERT_TRUE(store->Close().ok());
    store = MustOpen(env.get(), SmallStore());
  }
}

TEST(RocksDbStoreTest, APreparedLoadLeavesNothingBehind) {
  std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  auto store = MustOpen(env.get(), SmallStore());
  const auto count = [&] {
    std::vector<std::string> names;
    (void)env->GetChildren("/store/load", &names).ok();
    return std::count_if(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(".sst"); });
  };
  WriteBatch rows;
  rows.Put(ColumnFamily::kMvcc, std::string("k\0\x01", 3), "row");
  rows.Put(ColumnFamily::kLock, std::string("k\0\x01", 3), "intent");
  auto dropped = store->PrepareLoad(rows);
  ASSERT_TRUE(dropped.ok());
  EXPECT_EQ(count(), 2);
  dropped->reset();
  EXPECT_EQ(count(), 0);
  auto kept = store->PrepareLoad(rows);
  ASSERT_TRUE(kept.ok() && store->Ingest(rows, std::move(*kept)).ok());
  EXPECT_EQ(count(), 0);
  EXPECT_EQ(ReadAll(*store, ColumnFamily::kMvcc).size(), 1u);
  // A crash between the two: the next life clears what it finds.
  ASSERT_TRUE(rocksdb::WriteStringToFile(env.get(), "half a file", "/store/load/7.sst").ok());
  ASSERT_TRUE(store->Close().ok());
  store = MustOpen(env.get(), SmallStore());
  EXPECT_EQ(count(), 0);
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

TEST(MemEngineCrashTest, IngestedRowsAreInEveryImage) {
  const std::string key("k\0\x01", 3);
  WriteBatch other, erase, rows;
  other.Put(ColumnFamily::kState, "s", "1");
  erase.DeleteRange(ColumnFamily::kMvcc, "a", "z");
  rows.Put(ColumnFamily::kMvcc, key, "row");
  MemEngine engine;
  ASSERT_TRUE(engine.Write(other, SyncMode::kNoSync).ok());
  ASSERT_TRUE(engine.Ingest(rows, nullptr).ok());
  const MemEngineImage image = engine.CrashImage({});
  EXPECT_EQ(image.families[size_t(ColumnFamily::kMvcc)].count(key), 1u);
  EXPECT_EQ(image.families[size_t(ColumnFamily::kState)].size(), 0u);
  ASSERT_TRUE(engine.Write(erase, SyncMode::kSync).ok());
  EXPECT_EQ(engine.CrashImage({}).families[size_t(ColumnFamily::kMvcc)].size(), 0u);
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
