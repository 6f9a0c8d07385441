// The files that RocksDB's log is written to: what is on disk after each operation, whatever the sizes, with direct writes
// and without, on full and failing disks.
#include "storage/engine/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "unit/storage_engine/faulty_env.h"
#include "unit/storage_engine/folder.h"

namespace orrery::storage {
namespace {

using rocksdb::IOOptions;
using rocksdb::IOStatus;
using Direct = Faults::Direct;

constexpr const char* kLogName = "/1.log";

std::string OnDisk(rocksdb::FileSystem& files, const std::string& name) {
  std::string contents;
  EXPECT_TRUE(rocksdb::ReadFileToString(&files, name, &contents).ok());
  return contents;
}

std::unique_ptr<rocksdb::FSWritableFile> NewLog(rocksdb::FileSystem& files, const std::string& name) {
  std::unique_ptr<rocksdb::FSWritableFile> log;
  const IOStatus status = files.NewWritableFile(name, rocksdb::FileOptions(), &log, nullptr);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return log;
}

IOStatus Append(rocksdb::FSWritableFile& log, const std::string& data) {
  const IOStatus status = log.Append(data, IOOptions(), nullptr);
  EXPECT_TRUE(log.Flush(IOOptions(), nullptr).ok());
  return status;
}
IOStatus Sync(rocksdb::FSWritableFile& log) { return log.Sync(IOOptions(), nullptr); }
IOStatus Close(rocksdb::FSWritableFile& log) { return log.Close(IOOptions(), nullptr); }

// Without a zero byte, so that what is missing shows.
std::string RandomBytes(std::mt19937_64& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = char(1 + random() % 255);
  return bytes;
}
// Records as they are, and some that are longer than what is zeroed.
size_t RandomSize(std::mt19937_64& random) { return 1 + random() % (random() % 10 == 0 ? 3 * kLogZerosBytes : 6000); }

// A first part of what was appended, zeros behind it: how long that part is; fails for anything else.
size_t PrefixOnDisk(const std::string& disk, const std::string& appended) {
  const size_t common = std::min(disk.size(), appended.size());
  const size_t prefix = size_t(std::mismatch(disk.begin(), disk.begin() + common, appended.begin()).first - disk.begin());
  EXPECT_EQ(disk.find_first_not_of('\0', prefix), std::string::npos);
  return prefix;
}

class LogFilesTest : public testing::TestWithParam<Direct> {
 protected:
  void SetUp() override { env.faults.direct = GetParam(); }
  std::shared_ptr<rocksdb::FileSystem> disk() { return env.get()->GetFileSystem(); }

  FaultyEnv env;
};
INSTANTIATE_TEST_SUITE_P(Ways, LogFilesTest, testing::Values(Direct::kNo, Direct::kOpenOnly, Direct::kYes));

// A killed process leaves what is on disk: all that was synced, and a part of the rest with no hole in it. And no write
// could tear what was synced, nor does a sync need blocks of the disk that are not there.
TEST_P(LogFilesTest, HoldWhatWasSyncedAndAPrefixOfTheRest) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string appended;
    size_t synced = 0;
    bool in_sync = false;
    const auto files = MakeLogFileSystem(disk());
    env.faults.on_log_write = [&](uint64_t offset, const rocksdb::Slice& data) {
      if (offset < synced) {
        const std::string again(data.data(), std::min(data.size(), synced - offset));
        EXPECT_EQ(again, appended.substr(offset, again.size()));
      }
      EXPECT_TRUE(!in_sync || offset + data.size() <= OnDisk(*disk(), kLogName).size());
    };
    auto log = NewLog(*files, kLogName);
    for (int i = 0; i < 60; ++i) {
      if (random() % 3 == 0) {
        in_sync = true;
        ASSERT_TRUE(Sync(*log).ok());
        in_sync = false;
        synced = appended.size();
      } else {
        const std::string data = RandomBytes(random, RandomSize(random));
        appended += data;
        ASSERT_TRUE(Append(*log, data).ok());
      }
      ASSERT_EQ(log->GetFileSize(IOOptions(), nullptr), appended.size());
      const size_t prefix = PrefixOnDisk(OnDisk(*disk(), kLogName), appended);
      ASSERT_GE(prefix, synced);
      ASSERT_LT(appended.size() - prefix, kLogZerosBytes);  // no more than a window is in memory alone
    }
    ASSERT_TRUE(Close(*log).ok());
    EXPECT_EQ(OnDisk(*disk(), kLogName), appended);
    env.faults.on_log_write = nullptr;
  }
}

TEST_P(LogFilesTest, OneWriteASyncAndNoneBefore) {
  const auto files = MakeLogFileSystem(disk());
  std::vector<std::pair<uint64_t, size_t>> writes;  // offset, bytes
  const auto log = NewLog(*files, kLogName);
  ASSERT_TRUE(Append(*log, "first").ok());
  const uint64_t syncs = env.faults.sync_count;
  env.faults.on_log_write = [&](uint64_t offset, const rocksdb::Slice& data) { writes.emplace_back(offset, data.size()); };
  ASSERT_TRUE(Append(*log, std::string(2000, 'a')).ok());
  ASSERT_TRUE(Append(*log, std::string(1000, 'b')).ok());
  EXPECT_TRUE(writes.empty());
  ASSERT_TRUE(Sync(*log).ok());
  EXPECT_EQ(writes, (std::vector<std::pair<uint64_t, size_t>>{{0, 4096}}));
  writes.clear();
  ASSERT_TRUE(Append(*log, std::string(2000, 'c')).ok());  // over the page's end
  ASSERT_TRUE(Sync(*log).ok());
  EXPECT_EQ(writes, (std::vector<std::pair<uint64_t, size_t>>{{0, 8192}}));
  writes.clear();
  ASSERT_TRUE(Append(*log, std::string(1000, 'd')).ok());
  ASSERT_TRUE(Sync(*log).ok());
  EXPECT_EQ(writes, (std::vector<std::pair<uint64_t, size_t>>{{4096, 4096}}));
  EXPECT_EQ(env.faults.sync_count, syncs + 3);
  env.faults.on_log_write = nullptr;
}

// Wherever the disk ends: an append says so, never a sync, and what was synced stays.
TEST_P(LogFilesTest, AnAppendMeetsTheEndOfTheDisk) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    env.faults.log_room_bytes = 1 + random() % (3 * kLogZerosBytes);
    const auto files = MakeLogFileSystem(disk());
    auto log = NewLog(*files, kLogName);
    std::string appended;
    size_t synced = 0;
    IOStatus status;
    while (status.ok()) {
      const std::string data = RandomBytes(random, RandomSize(random));
      status = Append(*log, data);
      if (!status.ok()) break;
      appended += data;
      if (random() % 3 != 0) continue;
      ASSERT_TRUE(Sync(*log).ok());
      synced = appended.size();
    }
    EXPECT_TRUE(status.IsNoSpace());
    EXPECT_LE(appended.size(), env.faults.log_room_bytes);
    // The tail may be torn: nothing comes behind it (B54).
    env.faults.log_room_bytes = 1ull << 40;
    const std::string left = OnDisk(*disk(), kLogName);
    EXPECT_TRUE(Append(*log, "more").IsNoSpace());
    EXPECT_TRUE(Sync(*log).IsNoSpace());
    EXPECT_TRUE(Close(*log).ok());
    EXPECT_EQ(OnDisk(*disk(), kLogName), left);
    EXPECT_EQ(left.substr(0, synced), appended.substr(0, synced));
  }
}

// To the last page.
TEST_P(LogFilesTest, NeedNoRoomForZeros) {
  env.faults.log_room_bytes = 3 * 4096;
  const auto files = MakeLogFileSystem(disk());
  const auto log = NewLog(*files, kLogName);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(Append(*log, std::string(1024, 'a')).ok());
    ASSERT_TRUE(Sync(*log).ok());
  }
  EXPECT_TRUE(Append(*log, "b").IsNoSpace());
  EXPECT_EQ(OnDisk(*disk(), kLogName), std::string(12 * 1024, 'a'));
}

// N10: others have taken every byte of the disk. What a node must still write finds the room that the log has reserved,
// wherever the log was then; with room again it is reserved anew.
TEST_P(LogFilesTest, GoOnOnAFullDisk) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    env.faults.reserved_bytes = 0;
    const auto files = MakeLogFileSystem(disk());
    const auto log = NewLog(*files, kLogName);
    uint64_t size = 0;
    // Appends so many bytes or a few more, as far as there is room.
    const auto append = [&](uint64_t bytes) {
      for (const uint64_t end = size + bytes; size < end;) {
        const std::string data(RandomSize(random), 'a');
        if (!Append(*log, data).ok()) return;
        ASSERT_TRUE(Sync(*log).ok());
        size += data.size();
      }
    };
    uint64_t full_at = 0;
    for (int round = 0; round < 2; ++round) {
      env.faults.can_reserve = true;
      env.faults.log_room_bytes = 1ull << 40;
      append(1 + random() % (2 * kLogRoomBytes));
      env.faults.can_reserve = false;
      env.faults.log_room_bytes = OnDisk(*disk(), kLogName).size();
      full_at = size;
      append(kLogRoomBytes);
      EXPECT_GE(size, full_at + kLogRoomBytes);
    }
    append(4 * kLogRoomBytes);
    EXPECT_LT(size, full_at + 3 * kLogRoomBytes);  // it has not taken the whole disk
  }
}

TEST_P(LogFilesTest, AFailedSyncIsNotTriedAgain) {  // B53
  const auto files = MakeLogFileSystem(disk());
  const auto log = NewLog(*files, kLogName);
  ASSERT_TRUE(Append(*log, "a").ok());
  env.faults.sync_error = true;
  EXPECT_TRUE(Sync(*log).IsIOError());
  env.faults.sync_error = false;
  const uint64_t syncs = env.faults.sync_count;
  const std::string left = OnDisk(*disk(), kLogName);
  EXPECT_TRUE(Sync(*log).IsIOError());
  EXPECT_TRUE(Append(*log, "b").IsIOError());
  EXPECT_TRUE(Close(*log).ok());
  EXPECT_EQ(env.faults.sync_count, syncs);
  EXPECT_EQ(OnDisk(*disk(), kLogName), left);
}

// Or a crash could leave records of the second without the end of the first.
TEST_P(LogFilesTest, BeginWhenTheOneBeforeIsSynced) {
  const auto files = MakeLogFileSystem(disk());
  const auto first = NewLog(*files, kLogName);
  ASSERT_TRUE(Append(*first, "a").ok());
  ASSERT_TRUE(Append(*first, "b").ok());
  EXPECT_EQ(PrefixOnDisk(OnDisk(*disk(), kLogName), "ab"), 1u);
  EXPECT_EQ(env.faults.sync_count, 0u);
  auto second = NewLog(*files, "/2.log");
  EXPECT_EQ(PrefixOnDisk(OnDisk(*disk(), kLogName), "ab"), 2u);
  EXPECT_EQ(env.faults.sync_count, 1u);
  second.reset();
  EXPECT_TRUE(NewLog(*files, "/3.log") != nullptr);  // the second is closed
  EXPECT_EQ(env.faults.sync_count, 1u);

  const auto fourth = NewLog(*files, "/4.log");
  ASSERT_TRUE(Append(*fourth, "a").ok());
  env.faults.sync_error = true;
  std::unique_ptr<rocksdb::FSWritableFile> fifth;
  EXPECT_TRUE(files->NewWritableFile("/5.log", rocksdb::FileOptions(), &fifth, nullptr).IsIOError());
}

class WithoutDirectWrites final : public rocksdb::FileSystemWrapper {
 public:
  WithoutDirectWrites() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "WithoutDirectWrites"; }
  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, rocksdb::IODebugContext* debug) override {
    if (options.use_direct_writes) return IOStatus::InvalidArgument("injected");
    return FileSystemWrapper::NewWritableFile(name, options, file, debug);
  }
};

// A log has blocks of the disk before anything is written to them, and keeps none when it ends.
TEST(RealLogFilesTest, ReserveRoom) {
  const Folder folder;
  const std::string name = folder.path() + kLogName;
  const auto bytes_of_disk = [&name] {
    struct stat file = {};
    EXPECT_EQ(stat(name.c_str(), &file), 0);
    return uint64_t(file.st_blocks) * 512;
  };
  const int other = open((folder.path() + "/other").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const bool can_reserve = fallocate(other, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0;  // nearly every file system
  close(other);
  const std::shared_ptr<rocksdb::FileSystem> ways[] = {rocksdb::FileSystem::Default(), std::make_shared<WithoutDirectWrites>()};
  for (const auto& way : ways) {
    const auto files = MakeLogFileSystem(way);
    const auto log = NewLog(*files, name);
    ASSERT_TRUE(Append(*log, "a").ok());
    EXPECT_EQ(OnDisk(*way, name).size(), kLogZerosBytes);
    EXPECT_EQ(bytes_of_disk() >= kLogZerosBytes + kLogRoomBytes, can_reserve);
    ASSERT_TRUE(Close(*log).ok());
    EXPECT_EQ(OnDisk(*way, name), "a");
    EXPECT_LT(bytes_of_disk(), kLogZerosBytes);
  }
}

// The same on the disk of this machine, whatever it can.
TEST(RealLogFilesTest, HoldWhatWasAppended) {
  const Folder folder;
  const auto disk = rocksdb::FileSystem::Default();
  const auto files = MakeLogFileSystem(disk);
  const std::string name = folder.path() + kLogName;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string appended;
    const auto log = NewLog(*files, name);
    for (int i = 0; i < 100; ++i) {
      const std::string data = RandomBytes(random, RandomSize(random));
      appended += data;
      ASSERT_TRUE(Append(*log, data).ok());
      if (random() % 3 != 0) continue;
      ASSERT_TRUE(Sync(*log).ok());
      ASSERT_EQ(PrefixOnDisk(OnDisk(*disk, name), appended), appended.size());
    }
    ASSERT_TRUE(Close(*log).ok());
    EXPECT_EQ(OnDisk(*disk, name), appended);
  }
}

}  // namespace
}  // namespace orrery::storage
