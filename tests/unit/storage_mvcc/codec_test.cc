// Keys, version values and lock records: order, round trips, and damage that must never become a value.
#include <algorithm>
#include <random>

#include "gtest/gtest.h"
#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::storage {
namespace {

std::string RandomUserKey(std::mt19937_64& random) {
  static constexpr char kBytes[] = {'\0', '\x01', '\x02', 'a', '\xFE', '\xFF'};
  std::string key;
  for (uint64_t n = random() % 5; n > 0; --n) key.push_back(kBytes[random() % sizeof(kBytes)]);
  return key;
}

TEST(MvccKeysTest, SortByUserKeyThenNewestFirst) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const std::string a = RandomUserKey(random);
    const std::string b = RandomUserKey(random);
    const Timestamp ta{int64_t(random() >> (1 + random() % 60)), uint32_t(random())};
    const Timestamp tb{int64_t(random() >> (1 + random() % 60)), uint32_t(random())};
    const bool before = a != b ? a < b : ta > tb;
    EXPECT_EQ(VersionKey(a, ta) < VersionKey(b, tb), before);
    std::string key;
    Timestamp ts;
    ASSERT_TRUE(DecodeVersionKey(VersionKey(a, ta), key, ts));
    EXPECT_EQ(key, a);
    EXPECT_EQ(ts, ta);
    EXPECT_EQ(KeyPrefixBytes(VersionKey(a, ta)), KeyPrefix(a).size());
    const EngineBounds point = BoundsOf(a, "");
    EXPECT_EQ(point.lower <= VersionKey(b, tb) && VersionKey(b, tb) < point.upper, a == b);
    if (a < b) {
      const EngineBounds bounds = BoundsOf(a, b);
      const std::string c = RandomUserKey(random);
      const std::string inside = VersionKey(c, ta);
      EXPECT_EQ(bounds.lower <= inside && inside < bounds.upper, a <= c && c < b);
    }
  }
}

TEST(MvccKeysTest, LockKeysRoundTrip) {
  std::mt19937_64 random(2);
  const std::string id = "0123456789abcdef";
  for (int i = 0; i < 1000; ++i) {
    const std::string a = RandomUserKey(random);
    std::string key, txn_id;
    LockStrength strength;
    ASSERT_TRUE(DecodeLockKey(IntentKey(a), key, strength, txn_id));
    EXPECT_TRUE(key == a && strength == LockStrength::kIntent && txn_id.empty());
    ASSERT_TRUE(DecodeLockKey(ExclusiveLockKey(a), key, strength, txn_id));
    EXPECT_TRUE(key == a && strength == LockStrength::kExclusive && txn_id.empty());
    ASSERT_TRUE(DecodeLockKey(SharedLockKey(a, id), key, strength, txn_id));
    EXPECT_TRUE(key == a && strength == LockStrength::kShared && txn_id == id);
  }
}

TEST(MvccKeysTest, DecodersTakeAnyBytes) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 50000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = char(random() % 2 == 0 ? random() % 4 : random());
    std::string key, txn_id;
    Timestamp ts;
    LockStrength strength;
    VersionValue value;
    LockRecord record;
    (void)DecodeVersionKey(bytes, key, ts);
    (void)DecodeLockKey(bytes, key, strength, txn_id);
    EXPECT_FALSE(DecodeVersionValue("k", bytes, value).ok());
    EXPECT_FALSE(DecodeLockRecord("k", bytes, record).ok());
    EXPECT_LE(KeyPrefixBytes(bytes), bytes.size());
  }
}

TEST(MvccKeysTest, FormatsStay) {  // golden bytes: docs/formats/storage.md
  EXPECT_EQ(VersionKey(std::string("k\0", 2), Timestamp{1, 2}),
            std::string("k\x00\xFF\x00\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFD", 17));
  EXPECT_EQ(IntentKey("k"), std::string("k\x00\x01\x01", 4));
  VersionValue value;
  value.payload = "v";
  const std::string bytes = EncodeVersionValue(VersionKey("k", Timestamp{1, 2}), value);
  ASSERT_EQ(bytes.size(), 6u);
  EXPECT_EQ(bytes.substr(4), std::string("\x00v", 2));
}

TxnMeta MakeTxn() {
  TxnMeta txn;
  txn.id = "0123456789abcdef";
  txn.sequence = 1;
  txn.write_ts = {10, 0};
  return txn;
}

// Every single-bit flip in a stored version or lock is found: DataLoss, never a wrong value.
TEST(MvccDamageTest, FlippedBitsAreDataLoss) {
  const TxnMeta txn = MakeTxn();
  MemEngine engine;
  OverlayBatch batch(engine);
  ASSERT_TRUE(MvccPut(batch, "committed", {5, 0}, "value one", {}).ok());
  MvccWriteOptions options;
  options.txn = &txn;
  options.record_writer = true;
  ASSERT_TRUE(MvccPut(batch, "locked", {10, 0}, "value two", options).ok());
  ASSERT_TRUE(engine.Write(batch.TakeBatch(), SyncMode::kSync).ok());
  const MemEngineImage image = engine.CrashImage({});
  int flips = 0;
  for (const ColumnFamily cf : {ColumnFamily::kMvcc, ColumnFamily::kLock}) {
    for (const auto& [key, bytes] : image.families[size_t(cf)]) {
      for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        MemEngineImage damaged = image;
        damaged.families[size_t(cf)][key][bit / 8] ^= char(1 << (bit % 8));
        MemEngine reopened(damaged);
        MvccReadOptions read;
        read.txn = &txn;
        const bool first = key.starts_with("committed");
        const auto value = MvccGet(reopened, first ? "committed" : "locked", {20, 0}, read);
        EXPECT_EQ(value.status().code(), Code::kDataLoss) << key << " bit " << bit;
        MvccScanOptions scan;
        scan.txn = &txn;
        EXPECT_EQ(MvccScan(reopened, "a", "z", {20, 0}, scan).status().code(), Code::kDataLoss);
        ++flips;
      }
    }
  }
  EXPECT_GT(flips, 500);
}

TEST(MvccDamageTest, AValueUnderAnotherKeyIsDataLoss) {
  MemEngine engine;
  OverlayBatch batch(engine);
  ASSERT_TRUE(MvccPut(batch, "a", {5, 0}, "of a", {}).ok());
  WriteBatch stray;
  batch.batch().ForEach([&](const WriteBatch::Op& op) {
    stray.Put(op.cf, VersionKey("b", {5, 0}), op.value);
    stray.Put(op.cf, VersionKey("c", {6, 0}), op.value);
  });
  ASSERT_TRUE(engine.Write(stray, SyncMode::kSync).ok());
  EXPECT_EQ(MvccGet(engine, "b", {9, 0}).status().code(), Code::kDataLoss);
  EXPECT_EQ(MvccGet(engine, "c", {9, 0}).status().code(), Code::kDataLoss);
}

TEST(MvccDigestTest, TellsDataApart) {
  MemEngine one, two;
  for (MemEngine* engine : {&one, &two}) {
    OverlayBatch batch(*engine);
    ASSERT_TRUE(MvccPut(batch, "a", {5, 0}, "v", {}).ok());
    ASSERT_TRUE(engine->Write(batch.TakeBatch(), SyncMode::kSync).ok());
  }
  EXPECT_EQ(*MvccDigest(one, "a", "z"), *MvccDigest(two, "a", "z"));
  OverlayBatch batch(two);
  ASSERT_TRUE(MvccPut(batch, "b", {5, 0}, "", {}).ok());
  EXPECT_NE(*MvccDigest(one, "a", "z"), *MvccDigest(batch, "a", "z"));
  EXPECT_EQ(*MvccDigest(one, "a", "b"), *MvccDigest(batch, "a", "b"));
}

}  // namespace
}  // namespace orrery::storage
