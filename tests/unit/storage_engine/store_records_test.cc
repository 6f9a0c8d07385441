// Store identity (A9), bounds (A10) and the durability witness.
#include "orrery/storage/store_records.h"

#include <map>

#include "gtest/gtest.h"
#include "orrery/runtime/scheduler.h"
#include "orrery/runtime/sim/simulator.h"
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

// The task's promise: whatever it wrote down was synced before, so no crash leaves less.
TEST(DurabilityWitnessTest, WhatTheTaskWritesDownSurvivesAnyCrash) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    runtime::Simulator simulator(seed, {});
    MemEngine engine;
    uint64_t syncs = 0;
    uint64_t last_synced = 0;
    const auto run = [&](const runtime::Context& context) -> Status {
      auto& files = context.runtime().file_system();
      RETURN_IF_ERROR(files.CreateFolder("/store"));
      ASSIGN_OR_RETURN(auto witness, DurabilityWitness::Open(files, "/store/w", StoreId(1)));
      runtime::TaskGroup group(context, "store");
      group.Spawn({.name = "witness"}, [&](const runtime::Context& c) {
        KeepWitness(c, engine, *witness, [&] { return syncs; }, [](const Status& s) { ADD_FAILURE() << s.ToString(); });
        return OkStatus();
      });
      for (uint64_t i = 0; i < 40; ++i) {
        WriteBatch batch;
        batch.Put(ColumnFamily::kState, "k" + std::to_string(i), "v");
        const bool sync = context.runtime().random().Next() % 4 == 0;
        RETURN_IF_ERROR(engine.Write(batch, sync ? SyncMode::kSync : SyncMode::kNoSync));
        syncs += sync;
        if (sync) last_synced = engine.LastSequence();
        RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 50ms));
        const uint64_t survived = engine.CrashImage({}).sequence;
        EXPECT_TRUE(witness->CheckRecovered(survived).ok()) << "seed " << seed << ", write " << i;
      }
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 2s));
      EXPECT_TRUE(witness->last() && witness->last()->synced_sequence >= last_synced) << "seed " << seed;
      group.Cancel();
      return group.Join();
    };
    const Status status = simulator.Run(run);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
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
