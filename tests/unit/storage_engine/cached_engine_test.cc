// The cache never answers what the engine below would not have answered at some moment of the call.
#include "orrery/storage/cached_engine.h"

#include <functional>
#include <vector>

#include "storage/engine/absent_keys.h"
#include "storage/engine/mvcc_ops.h"
#include "unit/storage_engine/interrupted_engine.h"
#include "unit/storage_engine/random_ops.h"

namespace orrery::storage {
namespace {

constexpr auto kMvcc = ColumnFamily::kMvcc;

std::string Key(char user_key, int suffix) {
  return std::string(1, user_key) + std::string("\0\x01", 2) + char(suffix);
}

using Map = std::map<std::string, std::string, std::less<>>;

std::string Answer(const Map& map, const std::string& target, size_t prefix_bytes) {
  const auto it = map.lower_bound(target);
  if (it == map.end() || !it->first.starts_with(target.substr(0, prefix_bytes))) return "none";
  return it->first + "=" + it->second;
}

// Seeks and writes that interrupt each other, several deep. Each seek must answer as the engine stood at some
// moment between its beginning and its end.
class Interleaving {
 public:
  Interleaving(uint64_t seed, uint64_t bytes_max) : random_(seed), cached_(engine_, bytes_max) {
    states_.emplace_back();
    engine_.interrupt = [this] {
      if (depth_ >= 4 || random_() % 3 != 0) return;
      Step();
    };
    engine_.written = [this](const WriteBatch& batch) {
      FamilyMaps maps;
      maps[size_t(kMvcc)] = states_.back();
      ApplyToMaps(batch, maps);
      states_.push_back(maps[size_t(kMvcc)]);
    };
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) Step();
  }
  CachedEngineMetrics metrics() const { return cached_.metrics(); }

 private:
  void Step() {
    ++depth_;
    if (random_() % 3 == 0) {
      Write();
    } else {
      Seek();
    }
    --depth_;
  }

  void Write() {
    engine_.base().FailWritesWith(random_() % 10 == 0 ? UnavailableError("refused") : OkStatus());
    if (random_() % 5 == 0) {
      (void)cached_.Ingest(RandomLoad(random_), nullptr).ok();
    } else {
      (void)cached_.Write(RandomBatch(random_), SyncMode::kNoSync).ok();
    }
  }

  void Seek() {
    const std::string target = RandomKey(random_);
    const size_t prefix_bytes = target.find(std::string("\0\x01", 2)) + 2;
    const size_t first = states_.size() - 1;
    std::string key;
    std::string value;
    const auto found = cached_.SeekInPrefix(kMvcc, target, prefix_bytes, key, value);
    ASSERT_TRUE(found.ok());
    const std::string answer = *found ? key + "=" + value : "none";
    for (size_t i = first; i < states_.size(); ++i) {
      if (Answer(states_[i], target, prefix_bytes) == answer) return;
    }
    FAIL() << "answered " << answer << ", the engine says " << Answer(states_.back(), target, prefix_bytes);
  }

  std::mt19937_64 random_;
  InterruptedEngine engine_;
  CachedEngine cached_;
  std::vector<Map> states_;  // after each write
  int depth_ = 0;
};

TEST(CachedEngineTest, AnswersAreThoseOfTheEngineUnderInterleavings) {
  uint64_t hits = 0;
  uint64_t absent_answers = 0;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Interleaving run(seed, seed % 2 == 0 ? 256 << 10 : 1 << 20);
    run.Run(60);
    hits += run.metrics().hits;
    absent_answers += run.metrics().absent_answers;
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(hits, 1000u);
  EXPECT_GT(absent_answers, 1000u);
}

TEST(CachedEngineTest, KeepsTheEngineContract) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    MemEngine base;
    CachedEngine cached(base, 1 << 20);
    FamilyMaps model;
    for (int step = 0; step < 400; ++step) {
      const WriteBatch batch = RandomBatch(random);
      ASSERT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
      ApplyToMaps(batch, model);
      ASSERT_NO_FATAL_FAILURE(ExpectSameReads(cached, model, random));
    }
  }
}

TEST(CachedEngineTest, AHotKeyIsReadAndWrittenWithoutTheEngine) {
  InterruptedEngine engine;
  CachedEngine cached(engine, 1 << 20);
  std::string key;
  std::string value;
  const auto newest = [&] {
    const auto found = cached.SeekInPrefix(kMvcc, Key('k', 0), 3, key, value);
    EXPECT_TRUE(found.ok());
    return *found ? value : "none";
  };
  const auto put = [&](int suffix, std::string text) {
    WriteBatch batch;
    batch.Put(kMvcc, Key('k', suffix), text);
    EXPECT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
  };
  EXPECT_EQ(newest(), "none");
  EXPECT_EQ(newest(), "none");
  put(7, "first");
  EXPECT_EQ(newest(), "first");
  put(5, "a longer second");
  EXPECT_EQ(newest(), "a longer second");
  put(6, "older");
  EXPECT_EQ(newest(), "a longer second");
  EXPECT_EQ(engine.seeks, 1u);  // the very first
  WriteBatch undo;
  undo.Delete(kMvcc, Key('k', 5));
  ASSERT_TRUE(cached.Write(undo, SyncMode::kNoSync).ok());
  EXPECT_EQ(newest(), "older");
  EXPECT_EQ(engine.seeks, 2u);
  const auto found = cached.SeekInPrefix(kMvcc, Key('k', 7), 3, key, value);  // an older version: not kept
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ(value, "first");
  EXPECT_EQ(newest(), "older");
  EXPECT_EQ(engine.seeks, 3u);
}

// A write may take as long as a sync. Of all keys but its own the answers are known meanwhile; and learned, if they are asked
// for. (A whole shard once fell silent: with a sync in the write, hot rows were searched for in the levels of the store.)
TEST(CachedEngineTest, AWriteUnderWayHidesItsOwnKeysOnly) {
  constexpr int kKeys = 120;
  InterruptedEngine engine;
  CachedEngine cached(engine, 8 << 20);
  const auto seek = [&](int user_key) {
    std::string key;
    std::string value;
    const auto found = cached.SeekInPrefix(kMvcc, Key(char(user_key), 0), 3, key, value);
    EXPECT_TRUE(found.ok() && *found);
    return value;
  };
  WriteBatch rows;
  for (int i = 1; i <= kKeys; ++i) rows.Put(kMvcc, Key(char(i), 9), "old");
  ASSERT_TRUE(cached.Write(rows, SyncMode::kNoSync).ok());
  for (int i = 2; i <= kKeys; ++i) EXPECT_EQ(seek(i), "old");  // all but the first are known
  WriteBatch batch;
  batch.Put(kMvcc, Key(char(kKeys), 5), "new");
  uint64_t others = 0;
  uint64_t own = 0;
  bool interrupted = false;
  engine.interrupt = [&] {
    if (std::exchange(interrupted, true)) return;
    const uint64_t before = engine.seeks;
    for (int i = 2; i < kKeys; ++i) EXPECT_EQ(seek(i), "old");
    for (int i = 0; i < 2; ++i) EXPECT_EQ(seek(1), "old");
    others = engine.seeks - before;
    EXPECT_EQ(seek(kKeys), "old");
    own = engine.seeks - before - others;
  };
  ASSERT_TRUE(cached.Write(batch, SyncMode::kSync).ok());
  EXPECT_EQ(others, 1u);  // the first key, once
  EXPECT_EQ(own, 1u);
  EXPECT_EQ(seek(kKeys), "new");
}

// Rows appended to a table: nothing is searched for in the engine to see that they are not there yet, though concurrent
// inserts do not come in order.
TEST(CachedEngineTest, AppendedKeysAreKnownToBeAbsent) {
  InterruptedEngine engine;
  CachedEngine cached(engine, 0);
  const auto key_of = [](int table, int row) {
    return std::string(1, char('a' + table)) + char('a' + row / 100) + char('!' + row % 100) + std::string("\0\x01", 2);
  };
  const auto put = [&](int table, int row) {
    WriteBatch batch;
    batch.Put(kMvcc, key_of(table, row) + "v", "row");
    EXPECT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
  };
  const auto has = [&](int table, int row) {
    const std::string prefix = key_of(table, row);
    std::string key;
    std::string value;
    const auto found = cached.SeekInPrefix(kMvcc, prefix, prefix.size(), key, value);
    EXPECT_TRUE(found.ok());
    return found.ok() && *found;
  };
  put(3, 0);  // another table, behind
  const auto append = [&](int row) {
    EXPECT_FALSE(has(2, row));
    EXPECT_FALSE(has(2, row ^ 1));
    put(2, row ^ 1);
    EXPECT_TRUE(has(2, row ^ 1));
    put(2, row);
    EXPECT_TRUE(has(2, row));
  };
  for (int row = 0; row < 20; row += 2) append(row);
  const uint64_t answers = cached.metrics().absent_answers;
  const uint64_t iterators = engine.iterators;
  for (int row = 20; row < 2020; row += 2) append(row);
  EXPECT_EQ(cached.metrics().absent_answers, answers + 2000);
  EXPECT_EQ(engine.iterators, iterators);
  EXPECT_TRUE(has(2, 0));
  EXPECT_TRUE(has(3, 0));
  EXPECT_FALSE(has(3, 1));
}

// A look for a gap that a load has made worthless must not be taken for one that began after the load.
TEST(AbsentKeysTest, AGapIsLearnedByWhoLookedForIt) {
  AbsentKeys absent;
  const auto key = [](const std::string& name) { return name + std::string("\0\x01", 2); };
  const auto begin = [&](const std::string& name) {
    for (int i = 0; i < 100; ++i) {
      if (const uint64_t ticket = absent.BeginLearning(key(name))) return ticket;
    }
    ADD_FAILURE() << "no ticket";
    return uint64_t{0};
  };
  const uint64_t early = begin("k");
  WriteBatch load;
  for (int i = 0; i < 1000; ++i) load.Put(kMvcc, key("l" + std::to_string(10000 + i)) + "v", "row");
  absent.BeginWrite(MvccOps(load));
  absent.EndWrite();
  const uint64_t late = begin("m");
  absent.EndLearning(early, AbsentKeys::Gap{});  // as the store was before the load
  EXPECT_FALSE(absent.Knows(key("l10005")));
  absent.EndLearning(late, AbsentKeys::Gap{key("l10999"), std::nullopt});
  EXPECT_FALSE(absent.Knows(key("l10005")));
  EXPECT_FALSE(absent.Knows(key("l10999")));
  EXPECT_TRUE(absent.Knows(key("m")));
}

// Misses between keys of a full table teach nothing that is ever asked again: they cost a look now and then.
TEST(CachedEngineTest, GapsAreLookedForSeldom) {
  InterruptedEngine engine;
  CachedEngine cached(engine, 0);
  std::mt19937_64 random(1);
  std::string key;
  std::string value;
  for (int i = 0; i < 1000; ++i) {
    const std::string prefix = std::to_string(random()) + std::string("\0\x01", 2);
    WriteBatch batch;
    batch.Put(kMvcc, prefix + "v", "row");
    ASSERT_FALSE(*cached.SeekInPrefix(kMvcc, prefix, prefix.size(), key, value));
    ASSERT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
    ASSERT_TRUE(*cached.SeekInPrefix(kMvcc, prefix, prefix.size(), key, value));
  }
  EXPECT_LE(engine.iterators, 1000u / 8);
}

// Whatever a writer promises must be so; then what it writes is known at once.
TEST(CachedEngineTest, PromisedVersionsAreTakenInWhileThereIsRoom) {
  InterruptedEngine engine;
  CachedEngine cached(engine, 1 << 20);
  std::string key;
  std::string value;
  WriteBatch batch;
  batch.Put(kMvcc, Key('a', 5), "promised");
  batch.PromiseNewestVersions();
  ASSERT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
  ASSERT_TRUE(*cached.SeekInPrefix(kMvcc, Key('a', 0), 3, key, value));
  EXPECT_EQ(value, "promised");
  EXPECT_EQ(engine.seeks, 0u);
  WriteBatch older;
  older.Put(kMvcc, Key('a', 6), "older");
  older.PromiseNewestVersions();
  ASSERT_TRUE(cached.Write(older, SyncMode::kNoSync).ok());
  ASSERT_TRUE(*cached.SeekInPrefix(kMvcc, Key('a', 0), 3, key, value));
  EXPECT_EQ(value, "promised");
  EXPECT_EQ(cached.metrics().broken_promises, 1u);
  CachedEngine full(engine, 0);
  ASSERT_TRUE(full.Write(batch, SyncMode::kNoSync).ok());
  EXPECT_EQ(full.metrics().entries, 0u);
}

TEST(CachedEngineTest, ALoadDrivesOutOnlyWhatNobodyReads) {
  MemEngine base;
  CachedEngine cached(base, 1 << 20);
  std::string key;
  std::string value;
  const auto name = [](int i) { return std::to_string(i) + std::string("\0\x01", 2); };
  const auto load = [&](int first, int count) {
    WriteBatch batch;
    for (int i = first; i < first + count; ++i) batch.Put(kMvcc, name(i) + 's', std::string(60, 'v'));
    batch.PromiseNewestVersions();
    ASSERT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
  };
  const auto hits_of = [&](int first, int count) {
    const uint64_t before = cached.metrics().hits;
    for (int i = first; i < first + count; ++i) EXPECT_TRUE(*cached.SeekInPrefix(kMvcc, name(i), name(i).size(), key, value));
    return cached.metrics().hits - before;
  };
  load(0, 1000);
  EXPECT_EQ(hits_of(0, 1000), 1000u);
  load(10000, 50000);
  EXPECT_GT(hits_of(0, 1000), 900u);
  load(100000, 20000);
  EXPECT_GT(hits_of(119000, 1000), 300u);  // the last ones took the place of others that nobody has read
  WriteBatch drop;
  drop.DeleteRange(kMvcc, "11", "12");
  ASSERT_TRUE(cached.Write(drop, SyncMode::kNoSync).ok());
  EXPECT_FALSE(*cached.SeekInPrefix(kMvcc, name(119500), name(119500).size(), key, value));
  EXPECT_GT(hits_of(200, 800), 700u);
}

// Found by simple-update after pgbench -i: each row of a table that had just been loaded cost a seek.
// The rows of a COPY have filled the cache when ADD PRIMARY KEY writes them anew: the later ones are those that will be read.
TEST(CachedEngineTest, LoadedRowsDriveOutWhatNobodyHasRead) {
  InterruptedEngine engine;
  CachedEngine cached(engine, 1 << 20);
  std::string key;
  std::string value;
  const auto prefix_of = [](int i) { return std::to_string(100000 + i) + std::string("\0\x01", 2); };
  const auto load = [&](int first, int rows) {
    WriteBatch batch;
    for (int i = first; i < first + rows; ++i) batch.Put(kMvcc, prefix_of(i) + "v", std::string(100, 'v'));
    batch.PromiseNewestVersions();
    ASSERT_TRUE(cached.Ingest(batch, nullptr).ok());
  };
  const auto read = [&](int i) {
    return *cached.SeekInPrefix(kMvcc, prefix_of(i), prefix_of(i).size(), key, value);
  };
  load(0, 1000);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(read(i));
  EXPECT_EQ(engine.seeks, 0u);
  load(1000, 50000);  // more than there is room for
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(read(i));
  EXPECT_EQ(engine.seeks, 0u);
  EXPECT_LE(cached.metrics().bytes, 1u << 20);
  for (int i = 50000; i < 51000; ++i) ASSERT_TRUE(read(i));  // the last ones
  EXPECT_LT(engine.seeks, 100u);  // but where four in a row are read
}

TEST(CachedEngineTest, AWorkingSetThatMovesIsFollowed) {
  constexpr int kKeys = 20000;
  MemEngine base;
  CachedEngine cached(base, 1 << 20);
  std::string key;
  std::string value;
  const auto read = [&](int i) {
    const std::string prefix = std::to_string(i) + std::string("\0\x01", 2);
    ASSERT_TRUE(*cached.SeekInPrefix(kMvcc, prefix, prefix.size(), key, value));
  };
  WriteBatch rows;
  for (const int first : {0, 50000, 1000000}) {
    for (int i = 0; i < kKeys; ++i) rows.Put(kMvcc, std::to_string(first + i) + std::string("\0\x01v", 3), "");
  }
  ASSERT_TRUE(base.Write(rows, SyncMode::kNoSync).ok());
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < kKeys; ++i) read(i % 1000);
  }
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < kKeys; ++i) read(50000 + i);  // more than there is room for: drives the others out
  }
  const uint64_t hits = cached.metrics().hits;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i) read(1000000 + i);
  }
  EXPECT_GT(cached.metrics().hits - hits, 8500u);
}

TEST(CachedEngineTest, StaysWithinItsMemory) {
  constexpr uint64_t kBytesMax = 1 << 20;
  MemEngine base;
  CachedEngine cached(base, kBytesMax);
  WriteBatch batch;
  for (int i = 0; i < 20000; ++i) {
    batch.Put(kMvcc, std::to_string(i) + std::string("\0\x01s", 3), std::string(size_t(i % 300), 'v'));
  }
  ASSERT_TRUE(cached.Write(batch, SyncMode::kNoSync).ok());
  std::string key;
  std::string value;
  for (int i = 0; i < 20000; ++i) {
    const std::string prefix = std::to_string(i) + std::string("\0\x01", 2);
    ASSERT_TRUE(cached.SeekInPrefix(kMvcc, prefix, prefix.size(), key, value).ok());
    ASSERT_EQ(value.size(), size_t(i % 300));
  }
  const CachedEngineMetrics metrics = cached.metrics();
  EXPECT_LE(metrics.bytes, kBytesMax);
  EXPECT_GT(metrics.bytes, kBytesMax / 2);
  EXPECT_GT(metrics.entries, 1000u);
}

// However many they are, and so whether they are kept or read again: those of kMvcc, in order, with their user keys.
TEST(MvccOpsTest, AreTheBatchsOfVersions) {
  for (const int count : {0, 1, 5, 30, 31, 32, 33, 300}) {
    SCOPED_TRACE(count);
    WriteBatch batch;
    std::vector<std::string> prefixes;
    for (int i = 0; i < count; ++i) {
      prefixes.push_back("k" + std::to_string(i) + std::string("\0\x01", 2));
      batch.Put(kMvcc, prefixes.back() + "v", "value " + std::to_string(i));
      batch.Put(ColumnFamily::kState, prefixes.back(), "of no interest");
    }
    batch.Delete(kMvcc, "without end");
    batch.DeleteRange(kMvcc, "a", "b");
    const MvccOps ops(batch);
    for (int round = 0; round < 2; ++round) {
      size_t i = 0;
      ops.ForEach([&](const MvccOp& op) {
        if (i < prefixes.size()) {
          EXPECT_EQ(op.kind, WriteBatch::OpKind::kPut);
          EXPECT_EQ(op.key, prefixes[i] + "v");
          EXPECT_EQ(op.value, "value " + std::to_string(i));
          EXPECT_EQ(op.prefix, prefixes[i]);
          EXPECT_EQ(op.hash(), Hash64(prefixes[i]));
        } else {
          EXPECT_EQ(op.kind, i == prefixes.size() ? WriteBatch::OpKind::kDelete : WriteBatch::OpKind::kDeleteRange);
          EXPECT_TRUE(op.prefix.empty());
        }
        ++i;
      });
      EXPECT_EQ(i, prefixes.size() + 2);
    }
  }
}

}  // namespace
}  // namespace orrery::storage
