// Store identity (A9), bounds (A10) and the durability witness.
#include "orrery/storage/store_records.h"

#include <map>

#include "gtest/gtest.h"
#include "orrery/storage/durability_witness.h"
#include "orrery/storage/mem_engine.h"

namespace orrery::storage {
namespace {

TEST(StoreIdentityTest, IsWrittenOnceAndChecked) {
  MemEngine engine;
  EXPECT_EQ(*ReadStoreIdentity(engine), std::nullopt);
  const StoreIdentity identity{"cluster-a", NodeId(3), StoreId(4)};
  ASSERT_TRUE(InitializeStoreIdentity(engine, identity).ok());
  EXPECT_EQ(InitializeStoreIdentity(engine, identity).code(), Code::kFailedPrecondition);
  MemEngine reopened(engine.CrashImage({}));  // it was synced
  const auto read = ReadStoreIdentity(reopened);
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ(**read, identity);
  EXPECT_TRUE(CheckStoreIdentity(**read, "cluster-a", NodeId(3)).ok());
  EXPECT_TRUE(CheckStoreIdentity(**read, "cluster-a", NodeId()).ok());
  EXPECT_EQ(CheckStoreIdentity(**read, "cluster-b", NodeId(3)).message(),
            "store belongs to cluster cluster-a, not to cluster cluster-b");
  EXPECT_EQ(CheckStoreIdentity(**read, "cluster-a", NodeId(5)).message(),
            "store belongs to node 3, not to node 5");
  StoreIdentity later = identity;
  later.format_version = 99;
  EXPECT_EQ(CheckStoreIdentity(later, "cluster-a", NodeId(3)).code(), Code::kFailedPrecondition);
}

TEST(StoreIdentityTest, DamageIsFound) {
  MemEngine engine;
  ASSERT_TRUE(InitializeStoreIdentity(engine, {"cluster-a", NodeId(3), StoreId(4)}).ok());
  const MemEngineImage image = engine.CrashImage({});
  const std::string key = StoreLocalKey(kStoreIdentityName);
  const size_t size = image.families[size_t(ColumnFamily::kState)].at(key).size();
  for (size_t bit = 0; bit < size * 8; ++bit) {
    MemEngineImage damaged = image;
    damaged.families[size_t(ColumnFamily::kState)][key][bit / 8] ^= char(1 << (bit % 8));
    EXPECT_EQ(ReadStoreIdentity(MemEngine(damaged)).status().code(), Code::kDataLoss);
  }
}

TEST(BoundTest, RoundTrips) {
  MemEngine engine;
  EXPECT_EQ(*ReadBound(engine, kHlcUpperBoundName), std::nullopt);
  WriteBatch batch;
  PutBound(batch, kHlcUpperBoundName, {17, 3});
  ASSERT_TRUE(engine.Write(batch, SyncMode::kSync).ok());
  EXPECT_EQ(*ReadBound(engine, kHlcUpperBoundName), (Timestamp{17, 3}));
  EXPECT_EQ(*ReadBound(engine, kReadPromiseName), std::nullopt);
}

// Files in memory; a write can be torn after some bytes.
class MemoryFiles final : public runtime::FileSystem {
 public:
  StatusOr<std::string> ReadFile(std::string_view path) override {
    const auto it = files.find(path);
    if (it == files.end()) return NotFoundError("no such file");
    return it->second;
  }
  Status WriteFileAtomic(std::string_view, std::string_view) override { return UnsupportedError("test"); }
  Status WriteAtSync(std::string_view path, uint64_t offset, std::string_view bytes) override {
    std::string& file = files[std::string(path)];
    const size_t size = std::min(bytes.size(), torn_after);
    if (file.size() < offset + size) file.resize(offset + size, '\0');
    file.replace(offset, size, bytes.substr(0, size));
    return OkStatus();
  }
  Status CreateFolder(std::string_view) override { return OkStatus(); }
  StatusOr<std::vector<std::string>> List(std::string_view) override { return UnsupportedError("test"); }
  Status Remove(std::string_view) override { return OkStatus(); }
  StatusOr<bool> Exists(std::string_view path) override { return files.contains(path); }
  StatusOr<std::unique_ptr<runtime::FileLock>> Lock(std::string_view) override {
    return UnsupportedError("test");
  }

  std::map<std::string, std::string, std::less<>> files;
  size_t torn_after = ~size_t{0};
};

TEST(DurabilityWitnessTest, FindsAStoreThatCameBackTooShort) {
  MemoryFiles files;
  {
    auto witness = DurabilityWitness::Open(files, "w", StoreId(1));
    ASSERT_TRUE(witness.ok());
    EXPECT_FALSE((*witness)->last().has_value());
    EXPECT_TRUE((*witness)->CheckRecovered(0).ok());
    for (uint64_t sequence : {10, 20, 35}) ASSERT_TRUE((*witness)->Write(sequence).ok());
  }
  auto witness = DurabilityWitness::Open(files, "w", StoreId(1));
  ASSERT_TRUE(witness.ok());
  EXPECT_EQ((*witness)->last()->synced_sequence, 35u);
  EXPECT_TRUE((*witness)->CheckRecovered(35).ok());
  EXPECT_EQ((*witness)->CheckRecovered(34).code(), Code::kDataLoss);
  EXPECT_EQ(DurabilityWitness::Open(files, "w", StoreId(2)).status().code(), Code::kDataLoss);
}

TEST(DurabilityWitnessTest, ATornWriteLeavesTheOlderSlot) {
  for (size_t torn_after = 0; torn_after < 20; ++torn_after) {
    MemoryFiles files;
    auto witness = DurabilityWitness::Open(files, "w", StoreId(1));
    ASSERT_TRUE(witness.ok());
    ASSERT_TRUE((*witness)->Write(1000).ok());
    ASSERT_TRUE((*witness)->Write(2000).ok());
    ASSERT_TRUE((*witness)->Write(3000).ok());
    files.torn_after = torn_after;
    ASSERT_TRUE((*witness)->Write(4000).ok());
    const auto reopened = DurabilityWitness::Open(files, "w", StoreId(1));
    ASSERT_TRUE(reopened.ok());
    EXPECT_GE((*reopened)->last()->synced_sequence, 3000u);
  }
  MemoryFiles files;
  files.torn_after = 3;  // the very first write
  auto witness = DurabilityWitness::Open(files, "w", StoreId(1));
  ASSERT_TRUE((*witness)->Write(1).ok());
  const auto reopened = DurabilityWitness::Open(files, "w", StoreId(1));
  ASSERT_TRUE(reopened.ok());
  EXPECT_FALSE((*reopened)->last().has_value());
}

TEST(DurabilityWitnessTest, TwoDamagedSlotsAreDataLoss) {
  MemoryFiles files;
  auto witness = DurabilityWitness::Open(files, "w", StoreId(1));
  ASSERT_TRUE((*witness)->Write(1).ok());
  ASSERT_TRUE((*witness)->Write(2).ok());
  files.files["w"][7] ^= 1;
  EXPECT_EQ((*DurabilityWitness::Open(files, "w", StoreId(1)))->last()->synced_sequence, 2u);
  files.files["w"][4096 + 7] ^= 1;
  EXPECT_EQ(DurabilityWitness::Open(files, "w", StoreId(1)).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace orrery::storage
