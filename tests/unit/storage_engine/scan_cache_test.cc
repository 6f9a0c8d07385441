// What the scan cache knows of an interval is what the engine has there.
#include "storage/engine/scan_cache.h"

#include <functional>
#include <vector>

#include "orrery/storage/cached_engine.h"
#include "unit/storage_engine/interrupted_engine.h"
#include "unit/storage_engine/random_ops.h"

namespace orrery::storage {
namespace {

constexpr auto kMvcc = ColumnFamily::kMvcc;
using Stop = NewestEntries::Stop;
using Map = std::map<std::string, std::string, std::less<>>;

std::string Prefix(std::string_view user_key) { return std::string(user_key) + std::string("\0\x01", 2); }
std::string_view PrefixOf(std::string_view key) { return key.substr(0, key.find(std::string_view("\0\x01", 2)) + 2); }

struct Collector final : NewestEntries::Visitor {
  bool Visit(std::string_view key, std::string_view value) override {
    if (entries.size() == stop_after) return false;
    entries.emplace_back(key, value);
    return true;
  }
  std::vector<std::pair<std::string, std::string>> entries;
  size_t stop_after = SIZE_MAX;
};

// The first entry of each prefix from `lower` up to `upper`.
EntryRun FirstEntries(const Map& map, std::string_view lower, std::string_view upper) {
  EntryRun run;
  std::string_view last;
  for (auto it = map.lower_bound(lower); it != map.end() && it->first < upper; ++it) {
    const std::string_view prefix = PrefixOf(it->first);
    if (prefix == last) continue;
    run.Append(it->first, prefix.size(), it->second);
    last = prefix;
  }
  return run;
}

// Writes, learning and walks that interrupt each other, several deep.
class Interleaving {
 public:
  Interleaving(uint64_t seed, uint64_t scan_bytes_max)
      : random_(seed), scan_bytes_max_(scan_bytes_max), cached_(engine_, 1 << 20, scan_bytes_max) {
    engine_.interrupt = [this] { Interrupt(); };
    engine_.written = [this](const WriteBatch& batch) {
      FamilyMaps maps;
      maps[size_t(kMvcc)] = state_;
      ApplyToMaps(batch, maps);
      state_ = maps[size_t(kMvcc)];
    };
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) Step();
  }
  uint64_t compared() const { return compared_; }

 private:
  void Interrupt() {
    if (depth_ < 4 && random_() % 3 == 0) Step();
  }
  void Step() {
    ++depth_;
    switch (random_() % 3) {
      case 0: Write(); break;
      case 1: Learn(); break;
      default: Walk(); break;
    }
    --depth_;
  }

  void Write() {
    engine_.base().FailWritesWith(random_() % 10 == 0 ? UnavailableError("refused") : OkStatus());
    ++writing_;
    if (random_() % 4 == 0) {
      (void)cached_.Ingest(RandomLoad(random_), nullptr).ok();
    } else {
      (void)cached_.Write(RandomBatch(random_), SyncMode::kNoSync).ok();
    }
    --writing_;
    EXPECT_LE(cached_.metrics().scan_bytes, scan_bytes_max_);
  }

  std::pair<std::string, std::string> RandomInterval() {
    std::string a = random_() % 4 == 0 ? "" : std::string(PrefixOf(RandomKey(random_)));
    std::string b = random_() % 4 == 0 ? "z" : std::string(PrefixOf(RandomKey(random_)));
    if (b < a) std::swap(a, b);
    return {a, b};
  }

  void Learn() {
    const auto [lower, upper] = RandomInterval();
    const uint64_t ticket = cached_.BeginLearning(lower, upper);
    Interrupt();
    EntryRun run = FirstEntries(state_, lower, upper);
    std::string known_to = upper;
    if (run.count() > 1 && random_() % 3 == 0) {  // a limit was reached
      const size_t kept = 1 + random_() % (run.count() - 1);
      known_to = run.prefix(kept);
      run = run.Part(0, kept);
    }
    Interrupt();
    cached_.EndLearning(ticket, known_to, random_() % 10 == 0 ? nullptr : &run);
  }

  // With no write under way, what is known is what is there.
  void Walk() {
    const auto [lower, upper] = RandomInterval();
    std::string at = lower;
    while (at < upper) {
      Collector seen;
      if (random_() % 3 == 0) seen.stop_after = random_() % 4;
      const NewestEntries::Walked walked = cached_.Walk(at, upper, seen);
      const std::string reached = walked.stop == Stop::kEnd ? upper : walked.next;
      ASSERT_LE(reached, upper);
      if (writing_ == 0) {
        const EntryRun expected = FirstEntries(state_, at, reached);
        ASSERT_EQ(seen.entries.size(), expected.count());
        for (size_t i = 0; i < expected.count(); ++i) {
          ASSERT_EQ(seen.entries[i].first, expected.key(i));
          ASSERT_EQ(seen.entries[i].second, expected.value(i));
        }
        compared_ += expected.count();
      }
      if (walked.stop == Stop::kEnd) return;
      if (walked.stop == Stop::kVisitor) {
        ASSERT_EQ(seen.entries.size(), seen.stop_after);
        return;
      }
      ASSERT_GT(walked.known_again, walked.next);
      ASSERT_LE(walked.known_again, upper);
      at = walked.known_again;
    }
  }

  std::mt19937_64 random_;
  const uint64_t scan_bytes_max_;
  InterruptedEngine engine_;
  CachedEngine cached_;
  Map state_;
  int depth_ = 0;
  int writing_ = 0;
  uint64_t compared_ = 0;
};

TEST(ScanCacheTest, WhatIsKnownIsWhatIsThereUnderInterleavings) {
  uint64_t compared = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Interleaving run(seed, seed % 3 == 0 ? 2000 : 1 << 20);
    run.Run(80);
    compared += run.compared();
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(compared, 10'000u);
}

std::string UserKey(int i) { return std::to_string(100'000 + i); }

// Blocks are cut, joined and split; the order of the keys stays.
TEST(ScanCacheTest, LongIntervalsGrowAndForget) {
  ScanCache cache(10 << 20);
  Map map;
  for (int i = 0; i < 1000; i += 2) map[Prefix(UserKey(i)) + "v"] = "value " + std::to_string(i);
  const auto learn = [&](std::string_view lower, std::string_view upper) {
    const EntryRun run = FirstEntries(map, lower, upper);
    cache.EndLearning(cache.BeginLearning(lower, upper), upper, &run);
  };
  const auto count = [&] {
    Collector seen;
    const auto walked = cache.Walk("", "z", seen);
    EXPECT_TRUE(std::is_sorted(seen.entries.begin(), seen.entries.end()));
    return walked.stop == Stop::kEnd ? int(seen.entries.size()) : -1;
  };
  learn("", Prefix(UserKey(300)));
  learn(Prefix(UserKey(310)), "z");
  EXPECT_EQ(count(), -1);
  learn(Prefix(UserKey(300)), Prefix(UserKey(305)));
  learn(Prefix(UserKey(305)), Prefix(UserKey(310)));
  EXPECT_EQ(count(), 500);
  for (int i = 1; i < 1000; i += 2) {
    WriteBatch batch;
    batch.Put(kMvcc, Prefix(UserKey(i)) + "v", std::string(size_t(i % 50), 'x'));
    cache.EndWrite(cache.BeginWrite(), MvccOps(batch), ScanCache::Outcome::kWritten);
  }
  EXPECT_EQ(count(), 1000);
  for (int round = 0; round < 100; ++round) {
    WriteBatch batch;
    batch.Put(kMvcc, Prefix(UserKey(500)) + "u", std::string(size_t(round * 100), 'y'));
    batch.Put(kMvcc, Prefix(UserKey(501)) + "w", "older");
    cache.EndWrite(cache.BeginWrite(), MvccOps(batch), ScanCache::Outcome::kWritten);
  }
  EXPECT_EQ(count(), 1000);
  EXPECT_LT(cache.bytes(), 1u << 20);  // room that values have left is used again
  Collector one;
  (void)cache.Walk(Prefix(UserKey(500)), Prefix(UserKey(502)), one);
  ASSERT_EQ(one.entries.size(), 2u);
  EXPECT_EQ(one.entries[0].second.size(), 9900u);
  EXPECT_EQ(one.entries[1].second, std::string(1, 'x'));
  WriteBatch deleted;
  deleted.Delete(kMvcc, Prefix(UserKey(500)) + "u");
  cache.EndWrite(cache.BeginWrite(), MvccOps(deleted), ScanCache::Outcome::kWritten);
  EXPECT_EQ(count(), -1);
}

TEST(ScanCacheTest, WhatIsWalkedStaysLongest) {
  constexpr uint64_t kBytesMax = 100'000;
  ScanCache cache(kBytesMax);
  Map map;
  for (int i = 0; i < 20'000; ++i) map[Prefix(UserKey(i)) + "v"] = "value";
  const auto learn = [&](int from, int to) {
    const std::string lower = Prefix(UserKey(from)), upper = Prefix(UserKey(to));
    const EntryRun run = FirstEntries(map, lower, upper);
    cache.EndLearning(cache.BeginLearning(lower, upper), upper, &run);
  };
  const auto walk = [&](int from, int to) {
    Collector seen;
    return cache.Walk(Prefix(UserKey(from)), Prefix(UserKey(to)), seen).stop;
  };
  learn(0, 100);
  for (int i = 1000; i < 20'000; i += 100) {
    EXPECT_EQ(walk(0, 100), Stop::kEnd) << i;
    learn(i, i + 100);
    EXPECT_LE(cache.bytes(), kBytesMax);
  }
  EXPECT_EQ(walk(1000, 1100), Stop::kUnknown);
  EXPECT_GT(cache.entry_count(), 300u);
}

TEST(ScanCacheTest, NoRoomNoKnowledge) {
  ScanCache cache(0);
  EntryRun run;
  run.Append(Prefix("a") + "v", 3, "value");
  cache.EndLearning(cache.BeginLearning("", "z"), "z", &run);
  Collector seen;
  EXPECT_EQ(cache.Walk("", "z", seen).stop, Stop::kUnknown);
  EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace orrery::storage
