// What a batch isolates: the latches that NewPendingRequest makes of it.
#include <gtest/gtest.h>

#include "kv/replica/proposal.h"

namespace orrery::kv {
namespace {

const RangeDescriptor kRange{.range = RangeId(1), .start = "a", .end = "z"};

BatchRequest InTxn(std::string id) {
  BatchRequest batch;
  Transaction txn;
  txn.meta.id = std::move(id);
  txn.meta.anchor_key = "k";
  txn.meta.write_ts = txn.meta.min_ts = txn.read_ts = Timestamp{10, 0};
  batch.header.txn = txn;
  return batch;
}
BatchRequest CommitOf(std::vector<std::string> keys) {
  BatchRequest batch = InTxn("0123456789abcdef");
  EndTxnRequest end;
  for (const std::string& key : keys) {
    batch.requests.emplace_back(PutRequest{.key = key, .value = "v"});
    end.lock_spans.push_back({key, ""});
  }
  batch.requests.emplace_back(std::move(end));
  return batch;
}
BatchRequest Split() {
  BatchRequest batch = InTxn("fedcba9876543210");
  batch.requests.emplace_back(EndTxnRequest{.split = SplitTrigger{}});
  return batch;
}

class Sequenced : public testing::Test {
 protected:
  bool Proceeds(const BatchRequest& batch, EndTxnLatches latches) {
    requests_.push_back(NewPendingRequest(batch, Timestamp{10, 0}, kRange, latches));
    Woken woken;
    return concurrency_.Sequence(*requests_.back(), woken).kind == Outcome::Kind::kProceed;
  }
  std::vector<LatchSpan> LastLatches() const {
    const auto& latches = requests_.back()->spec().latches;
    return {latches.begin(), latches.end()};
  }
  void TearDown() override {
    Woken woken;
    for (const auto& request : requests_) concurrency_.Finish(*request, woken);
  }
  ConcurrencyManager concurrency_;
  std::vector<std::shared_ptr<PendingRequest>> requests_;
};

// Its writes are in a split's way, so the record needs no latch of its own for that.
TEST_F(Sequenced, OnePhaseCommitHasALatchForEachWriteAndOneForItsRecord) {
  EXPECT_TRUE(Proceeds(CommitOf({"k", "m"}), EndTxnLatches::kAsWritten));
  EXPECT_EQ(LastLatches().size(), 3u);
  EXPECT_FALSE(Proceeds(Split(), EndTxnLatches::kOwn)) << "the split waits for the commit";
}

TEST_F(Sequenced, OnePhaseCommitWaitsForASplit) {
  EXPECT_TRUE(Proceeds(Split(), EndTxnLatches::kOwn));
  EXPECT_FALSE(Proceeds(CommitOf({"m"}), EndTxnLatches::kAsWritten));
}

// Thousands of writes take one latch over all, which is made at the end.
TEST_F(Sequenced, ALoadsCommitWaitsForASplit) {
  std::vector<std::string> keys;
  for (int i = 0; i < 1500; ++i) keys.push_back("k" + std::to_string(10000 + i));
  EXPECT_TRUE(Proceeds(Split(), EndTxnLatches::kOwn));
  EXPECT_FALSE(Proceeds(CommitOf(keys), EndTxnLatches::kAsWritten));
  EXPECT_EQ(LastLatches().size(), 2u);
}

TEST_F(Sequenced, CommitWithoutOtherLatchesIsIsolatedByItself) {
  EXPECT_TRUE(Proceeds(Split(), EndTxnLatches::kOwn));
  EXPECT_FALSE(Proceeds(CommitOf({}), EndTxnLatches::kAsWritten));
  EXPECT_FALSE(Proceeds(CommitOf({}), EndTxnLatches::kOwn));
}

}  // namespace
}  // namespace orrery::kv
