// The engine contract, held by the memory engine, RocksDB and the overlay alike.
#include "orrery/storage/engine.h"

#include <deque>
#include <filesystem>
#include <functional>

#include "orrery/storage/load.h"
#include "orrery/storage/overlay_batch.h"
#include "storage/engine/rocksdb_store.h"
#include "unit/storage_engine/random_ops.h"

namespace orrery::storage {
namespace {

TEST(WriteBatchTest, SurvivesItsSerialisedForm) {
  WriteBatch batch;
  batch.Put(ColumnFamily::kMvcc, "key", "value");
  batch.Delete(ColumnFamily::kLock, "");
  batch.DeleteRange(ColumnFamily::kRaft, "a", "b");
  batch.DeleteRange(ColumnFamily::kRaft, "b", "b");  // nothing
  EXPECT_EQ(batch.op_count(), 3u);
  const auto copy = WriteBatch::FromBytes(batch.bytes());
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->op_count(), 3u);
  EXPECT_EQ(copy->bytes(), batch.bytes());
  std::string seen;
  copy->ForEach([&](const WriteBatch::Op& op) {
    seen += std::to_string(int(op.kind)) + std::to_string(int(op.cf)) + std::string(op.key) + "=" +
            std::string(op.value) + ";";
  });
  EXPECT_EQ(seen, "03key=value;12=;20a=b;");
}

// What is taken out and what stays are together what was there, family by family in the same order.
TEST(WriteBatchTest, OperationsAreTakenOut) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    WriteBatch batch;
    for (uint64_t n = random() % 5; n > 0; --n) batch.Append(RandomBatch(random));
    const uint64_t families = random();  // a set of bits
    const auto goes = [&](const WriteBatch::Op& op) { return (families >> size_t(op.cf) & 1) != 0; };
    WriteBatch expected_taken;
    WriteBatch expected_rest;
    batch.ForEach([&](const WriteBatch::Op& op) {
      WriteBatch& to = goes(op) ? expected_taken : expected_rest;
      switch (op.kind) {
        case WriteBatch::OpKind::kPut: return to.Put(op.cf, op.key, op.value);
        case WriteBatch::OpKind::kDelete: return to.Delete(op.cf, op.key);
        case WriteBatch::OpKind::kDeleteRange: return to.DeleteRange(op.cf, op.key, op.value);
      }
    });
    const WriteBatch taken = batch.TakeOut(goes);
    EXPECT_EQ(taken.bytes(), expected_taken.bytes());
    EXPECT_EQ(taken.op_count(), expected_taken.op_count());
    EXPECT_EQ(batch.bytes(), expected_rest.bytes());
    EXPECT_EQ(batch.op_count(), expected_rest.op_count());
  }
}

TEST(WriteBatchTest, ALoadIsTakenOutOfWhatFits) {
  const auto with = [](auto&& add) {
    WriteBatch batch;
    batch.Put(ColumnFamily::kState, "record", "1");
    batch.Put(ColumnFamily::kMvcc, "b", "1");
    batch.Put(ColumnFamily::kLock, "b", "1");
    batch.Put(ColumnFamily::kMvcc, "c", "1");
    batch.Put(ColumnFamily::kLock, "c", "1");
    batch.Delete(ColumnFamily::kState, "mark");
    add(batch);
    return batch;
  };
  WriteBatch batch = with([](WriteBatch&) {});
  const auto load = TakeLoad(batch);
  ASSERT_TRUE(load);
  EXPECT_TRUE(load->rows.IsLoad());
  EXPECT_EQ(load->row_count, 2u);
  EXPECT_EQ(load->rows.op_count(), 4u);
  EXPECT_EQ(batch.op_count(), 2u);
  using Add = std::function<void(WriteBatch&)>;
  for (const Add& add : {Add([](WriteBatch& b) { b.Put(ColumnFamily::kMvcc, "c", "2"); }),
                         Add([](WriteBatch& b) { b.Put(ColumnFamily::kMvcc, "a", "2"); }),
                         Add([](WriteBatch& b) { b.Put(ColumnFamily::kLock, "bb", "2"); }),
                         Add([](WriteBatch& b) { b.Delete(ColumnFamily::kLock, "d"); }),
                         Add([](WriteBatch& b) { b.DeleteRange(ColumnFamily::kMvcc, "d", "e"); })}) {
    WriteBatch other = with(add);
    const std::string bytes = other.bytes();
    EXPECT_FALSE(TakeLoad(other));
    EXPECT_EQ(other.bytes(), bytes);
    EXPECT_FALSE(other.IsLoad());
  }
  WriteBatch locks_alone;
  locks_alone.Put(ColumnFamily::kLock, "b", "1");
  EXPECT_FALSE(TakeLoad(locks_alone));
}

TEST(WriteBatchTest, RefusesDamagedBytes) {
  WriteBatch batch;
  batch.Put(ColumnFamily::kMvcc, "key", "value");
  const std::string& good = batch.bytes();
  for (size_t size = 1; size < good.size(); ++size) {
    EXPECT_EQ(WriteBatch::FromBytes(good.substr(0, size)).status().code(), Code::kDataLoss) << size;
  }
  for (uint64_t seed = 0; seed < 20000; ++seed) {  // must neither crash nor hang
    std::mt19937_64 random(seed);
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) c = char(random() % 3 == 0 ? random() : random() % 8);
    const auto decoded = WriteBatch::FromBytes(bytes);
    if (decoded.ok()) decoded->ForEach([](const WriteBatch::Op&) {});
  }
}

struct Opened {
  std::unique_ptr<rocksdb::Env> env{rocksdb::NewMemEnv(rocksdb::Env::Default())};
  std::unique_ptr<Engine> engine;
};

StoreOptions SmallStore() {
  StoreOptions options;
  options.block_cache_bytes = 1 << 20;
  options.memtable_bytes = 1 << 20;
  return options;
}

void OpenRocks(Opened& opened) {
  opened.engine.reset();
  auto store = OpenStoreIn(*opened.env, "/store", SmallStore());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  opened.engine = std::move(*store);
}

TEST(EngineTest, MemoryAndRocksDbAgreeUnderRandomOperations) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Opened rocks;
    OpenRocks(rocks);
    MemEngine mem;
    FamilyMaps model;
    struct Held {
      std::unique_ptr<EngineSnapshot> mem, rocks;
      FamilyMaps model;
    };
    std::deque<Held> snapshots;
    for (int step = 0; step < 400; ++step) {
      const WriteBatch batch = RandomBatch(random);
      const SyncMode sync = random() % 4 == 0 ? SyncMode::kSync : SyncMode::kNoSync;
      ASSERT_TRUE(mem.Write(batch, sync).ok());
      ASSERT_TRUE(rocks.engine->Write(batch, sync).ok());
      ApplyToMaps(batch, model);
      if (random() % 10 == 0) {
        const WriteBatch load = RandomLoad(random);
        auto prepared = random() % 2 == 0 ? rocks.engine->PrepareLoad(load) : StatusOr<std::unique_ptr<PreparedLoad>>(nullptr);
        ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
        ASSERT_TRUE(mem.Ingest(load, nullptr).ok());
        const Status ingested = rocks.engine->Ingest(load, std::move(*prepared));
        ASSERT_TRUE(ingested.ok()) << ingested.ToString();
        ApplyToMaps(load, model);
      }
      if (random() % 20 == 0) {
        Held& held = snapshots.emplace_back();
        held.mem = mem.NewSnapshot();
        held.rocks = rocks.engine->NewSnapshot();
        for (size_t i = 0; i < kColumnFamilyCount; ++i) held.model[i] = model[i];
      }
      if (snapshots.size() > 3) snapshots.pop_front();
      ASSERT_NO_FATAL_FAILURE(ExpectSameReads(mem, model, random));
      ASSERT_NO_FATAL_FAILURE(ExpectSameReads(*rocks.engine, model, random));
      for (const Held& held : snapshots) {
        ASSERT_NO_FATAL_FAILURE(ExpectSameReads(*held.mem, held.model, random));
        ASSERT_NO_FATAL_FAILURE(ExpectSameReads(*held.rocks, held.model, random));
      }
      if (random() % 100 == 0) {
        ASSERT_TRUE(rocks.engine->Flush().ok());
      }
      if (random() % 150 == 0) {
        snapshots.clear();
        const uint64_t sequence = rocks.engine->LastSequence();
        ASSERT_TRUE(rocks.engine->Close().ok());
        OpenRocks(rocks);
        EXPECT_GE(rocks.engine->LastSequence(), sequence);
      }
    }
    for (size_t i = 0; i < kColumnFamilyCount; ++i) {
      EXPECT_EQ(ReadAll(mem, ColumnFamily(i)), ReadAll(*rocks.engine, ColumnFamily(i)));
    }
  }
}

TEST(EngineTest, IteratorsKeepTheirStateUnderWrites) {
  MemEngine mem;
  WriteBatch batch;
  for (char c = 'a'; c < 'f'; ++c) batch.Put(ColumnFamily::kState, std::string(1, c), "old");
  ASSERT_TRUE(mem.Write(batch, SyncMode::kSync).ok());
  const auto it = mem.NewIterator(ColumnFamily::kState, {});
  it->SeekToFirst();
  const std::string_view value = it->value();
  WriteBatch change;
  for (char c = 'a'; c < 'f'; ++c) change.Delete(ColumnFamily::kState, std::string(1, c));
  change.Put(ColumnFamily::kState, "bb", "new");
  ASSERT_TRUE(mem.Write(change, SyncMode::kNoSync).ok());
  EXPECT_EQ(value, "old");
  std::string keys;
  for (; it->Valid(); it->Next()) keys += it->key();
  EXPECT_EQ(keys, "abcde");
  EXPECT_EQ(ReadAll(mem, ColumnFamily::kState).size(), 1u);
}

TEST(OverlayBatchTest, ReadsAsIfItsWritesWereApplied) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    MemEngine base;
    FamilyMaps model;
    for (int i = 0; i < 20; ++i) {
      const WriteBatch batch = RandomBatch(random);
      ASSERT_TRUE(base.Write(batch, SyncMode::kNoSync).ok());
      ApplyToMaps(batch, model);
    }
    OverlayBatch overlay(base);
    for (int i = 0; i < 30; ++i) {
      const WriteBatch batch = RandomBatch(random);
      batch.ForEach([&](const WriteBatch::Op& op) {
        switch (op.kind) {
          case WriteBatch::OpKind::kPut: overlay.Put(op.cf, op.key, op.value); break;
          case WriteBatch::OpKind::kDelete: overlay.Delete(op.cf, op.key); break;
          case WriteBatch::OpKind::kDeleteRange: overlay.DeleteRange(op.cf, op.key, op.value); break;
        }
      });
      ApplyToMaps(batch, model);
      ASSERT_NO_FATAL_FAILURE(ExpectSameReads(overlay, model, random));
    }
    ASSERT_TRUE(base.Write(overlay.TakeBatch(), SyncMode::kSync).ok());
    for (size_t i = 0; i < kColumnFamilyCount; ++i) EXPECT_EQ(ReadAll(base, ColumnFamily(i)), model[i]);
    EXPECT_TRUE(overlay.batch().empty());
  }
}

TEST(OverlayBatchTest, OpenIteratorsDoNotSeeLaterWrites) {
  MemEngine base;
  OverlayBatch overlay(base);
  overlay.Put(ColumnFamily::kState, "b", "1");
  const auto it = overlay.NewIterator(ColumnFamily::kState, {});
  it->SeekToFirst();
  overlay.Put(ColumnFamily::kState, "c", "2");
  overlay.Delete(ColumnFamily::kState, "b");
  EXPECT_EQ(ReadAll(overlay, ColumnFamily::kState).size(), 1u);
  EXPECT_EQ(it->key(), "b");
  it->Next();
  EXPECT_FALSE(it->Valid());
}

}  // namespace
}  // namespace orrery::storage
