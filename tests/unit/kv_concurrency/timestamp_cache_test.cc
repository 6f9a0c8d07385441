#include "orrery/kv/concurrency/timestamp_cache.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::kv {
namespace {

Timestamp T(int64_t ns) { return {ns, 0}; }

// T16: a transaction that was handed over keeps the chance of a record it had, until it is finished or its marks may
// have been dropped; the next lease allows anew or not at all.
TEST(TimestampCacheTest, AllowedRecords) {
  TimestampCache cache(T(100), {8, 8, 4});
  cache.AllowRecord("t", T(50), {T(20), T(70)});
  cache.AllowRecord("u", T(60), {T(20), {}});
  EXPECT_EQ(cache.GetRecordMark("t").low_water, T(20));
  EXPECT_EQ(cache.GetRecordMark("t").pushed_to, T(70));
  EXPECT_EQ(cache.GetRecordMark("u").low_water, T(20));
  EXPECT_EQ(cache.GetRecordMark("v").low_water, T(100));
  cache.MarkFinished("t", TxnStatus::kAborted, {}, T(50));
  EXPECT_EQ(cache.GetRecordMark("t").outcome, TxnStatus::kAborted);
  EXPECT_EQ(cache.GetRecordMark("t").low_water, T(100));
  for (int i = 0; i < 8; ++i) cache.MarkPushed("x" + std::to_string(i), T(130), T(110));
  EXPECT_GE(cache.GetRecordMark("t").low_water, T(100));  // its mark is gone, and nothing allows it
  EXPECT_GE(cache.GetRecordMark("u").low_water, T(100));
  cache.AllowRecord("u", T(60), {T(20), {}});
  cache.RaiseLowWater({T(200), T(200)});
  EXPECT_EQ(cache.GetRecordMark("u").low_water, T(200));
}

// Against every read kept for ever: the cache's answer is never lower, and exact while nothing was dropped.
TEST(TimestampCachePropertyTest, NeverBelowNaive) {
  struct Read {
    std::string start, end;
    Timestamp ts;
    std::string txn;
  };
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const bool tiny = seed % 2 == 0;
    TimestampCache cache(T(5), tiny ? TimestampCacheOptions{8, 12, 8} : TimestampCacheOptions{});
    std::vector<Read> reads;
    const auto key = [&] { return std::string(1, char('a' + random() % 12)); };
    const auto span = [&](std::string& start, std::string& end) {
      start = key();
      end = random() % 3 ? "" : key();
      if (!end.empty() && end <= start) end.clear();
    };
    for (int step = 0; step < 300; ++step) {
      std::string start, end;
      span(start, end);
      if (random() % 2) {
        Read read{start, end, T(1 + int64_t(random() % 60)), random() % 4 ? std::string(1, char('A' + random() % 3)) : ""};
        cache.AddRead({read.start, read.end}, read.ts, read.txn);
        reads.push_back(read);
        continue;
      }
      ReadMark naive{T(5), ""};
      for (const Read& r : reads) {
        if (!SpanRef(r.start, r.end).Overlaps({start, end})) continue;
        if (r.ts > naive.ts) {
          naive = {r.ts, r.txn};
        } else if (r.ts == naive.ts && r.txn != naive.txn_id) {
          naive.txn_id.clear();
        }
      }
      const ReadMark got = cache.GetMax({start, end});
      if (!tiny) {
        ASSERT_EQ(got.ts, naive.ts) << "seed " << seed << " step " << step;
        ASSERT_EQ(got.txn_id, naive.txn_id) << "seed " << seed << " step " << step;
      }
      ASSERT_GE(got.ts, naive.ts) << "seed " << seed << " step " << step;
      if (got.ts == naive.ts && !got.txn_id.empty()) {
        ASSERT_EQ(got.txn_id, naive.txn_id);
      }
      ASSERT_GE(cache.Summarize().keys, got.ts);
    }
  }
}

TEST(TimestampCacheTest, T7OwnReadDoesNotPushOwnWrite) {
  TimestampCache cache(T(1));
  cache.AddRead("k", T(10), "A");
  EXPECT_EQ(cache.WritableAt("k", T(10), "A"), T(10));
  EXPECT_EQ(cache.WritableAt("k", T(10), "B"), T(10).Next());
  EXPECT_EQ(cache.WritableAt("k", T(11), "B"), T(11));
  cache.AddRead({"a", "z"}, T(10), "B");
  EXPECT_EQ(cache.WritableAt("k", T(10), "A"), T(10).Next());  // two readers: nobody's own any more
  EXPECT_EQ(cache.WritableAt("zz", T(1), "A"), T(1).Next());
}

TEST(TimestampCacheTest, B27LeaseStartCoversRecords) {
  TimestampCache cache(T(100));
  EXPECT_EQ(cache.GetRecordMark("t").low_water, T(100));
  cache.MarkPushed("t", T(150), T(120));
  EXPECT_EQ(cache.GetRecordMark("t").pushed_to, T(150));
  cache.MarkFinished("t", TxnStatus::kAborted, {}, T(120));
  EXPECT_EQ(cache.GetRecordMark("t").outcome, TxnStatus::kAborted);
  // B29: what the next holder inherits covers the marks' transactions.
  const ReadSummary summary = cache.Summarize();
  EXPECT_GE(summary.records, T(120));
  TimestampCache next(T(110));
  next.RaiseLowWater(summary);
  EXPECT_GE(next.GetRecordMark("t").low_water, T(120));
}

TEST(TimestampCacheTest, DroppedMarksRaiseTheLowWater) {
  TimestampCache cache(T(1), {8, 8, 4});
  for (int i = 0; i < 20; ++i) cache.MarkFinished("t" + std::to_string(i), TxnStatus::kAborted, {}, T(10 + i));
  for (int i = 0; i < 20; ++i) {
    const RecordMark mark = cache.GetRecordMark("t" + std::to_string(i));
    EXPECT_TRUE(mark.outcome == TxnStatus::kAborted || mark.low_water >= T(10 + i)) << i;
  }
}

}  // namespace
}  // namespace orrery::kv
