#include "orrery/kv/api/batch.h"

#include <gtest/gtest.h>

#include <random>

namespace orrery::kv {
namespace {

BatchRequest Sample() {
  BatchRequest batch;
  batch.header.range = RangeId(7);
  batch.header.txn = Transaction{.meta = {.id = "0123456789abcdef", .anchor_key = "a", .epoch = 1}};
  batch.requests = {GetRequest{"k", LockStrength::kExclusive, LockDurability::kReplicated},
                    ScanRequest{{"a", "b"}, Direction::kReverse},
                    ConditionalPutRequest{"k", "v", std::nullopt},
                    ConditionalPutRequest{.key = "k", .expected = "v", .deletes = 1},
                    EndTxnRequest{.lock_spans = {{"k", ""}}}};
  return batch;
}

TEST(Batch, TravelsAsBytes) {
  BatchRequest back;
  ASSERT_TRUE(wire::Decode(wire::Encode(Sample()), back).ok());
  EXPECT_EQ(DebugString(back), DebugString(Sample()));
  EXPECT_EQ(back.header.txn, Sample().header.txn);
  EXPECT_EQ(std::get<GetRequest>(back.requests[0]).lock, LockStrength::kExclusive);
  EXPECT_FALSE(std::get<ConditionalPutRequest>(back.requests[2]).expected.has_value());
  EXPECT_EQ(std::get<ConditionalPutRequest>(back.requests[2]).written(), "v");
  EXPECT_EQ(std::get<ConditionalPutRequest>(back.requests[3]).written(), std::nullopt);
  EXPECT_EQ(SpanOf(back.requests[4], back.header), (Span{"a", ""}));
}

TEST(Batch, BytesOfAPeerNeverCrash) {
  std::mt19937_64 rng(5);
  const std::string good = wire::Encode(Sample());
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    for (int n = 0; n < 4; ++n) bytes[rng() % bytes.size()] = char(rng());
    BatchRequest back;
    if (wire::Decode(bytes, back).ok()) (void)DebugString(back);
  }
}

TEST(Errors, KeepTheirMeaningOverStatusAndWire) {
  KvError error;
  error.detail = TxnRetryError{RetryReason::kDeadlock, "id", {5, 1}, "waiting for key k"};
  KvError back;
  ASSERT_TRUE(wire::Decode(wire::Encode(error), back).ok());
  const Status status = ToStatus(back).Annotate("updating");
  EXPECT_EQ(status.sqlstate(), "40P01");
  const auto* retry = GetError<TxnRetryError>(status);
  ASSERT_NE(retry, nullptr);
  EXPECT_TRUE(retry->aborted());
  EXPECT_EQ(retry->retry_ts, (Timestamp{5, 1}));
  EXPECT_EQ(GetError<ConditionFailedError>(status), nullptr);
}

TEST(Errors, OtherStatusesKeepCodeAndSqlState) {
  const Status disk_full(Code::kResourceExhausted, "53100", "disk full");
  const Status back = ToStatus(FromStatus(disk_full));
  EXPECT_EQ(back.code(), Code::kResourceExhausted);
  EXPECT_EQ(back.sqlstate(), "53100");
  EXPECT_EQ(back.message(), "disk full");
}

TEST(Span, OverlapsPointsAndIntervals) {
  const Span point{"b", ""}, wide{"a", "c"}, right{"c", "d"};
  EXPECT_TRUE(point.Overlaps(wide));
  EXPECT_TRUE(wide.Overlaps(point));
  EXPECT_FALSE(wide.Overlaps(right));
  EXPECT_FALSE(point.Overlaps(right));
}

}  // namespace
}  // namespace orrery::kv
