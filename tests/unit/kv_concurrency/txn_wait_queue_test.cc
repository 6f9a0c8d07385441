#include "orrery/kv/concurrency/txn_wait_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace orrery::kv {
namespace {

struct TestPush : PushWaiter {
  using PushWaiter::PushWaiter;
};

TxnMeta Txn(const std::string& id, int64_t min_ts, int32_t priority = 0) {
  return {.id = id, .anchor_key = id, .min_ts = {min_ts, 0}, .priority = priority};
}

// Every transaction's record lives on a range of its own: edges are only learnt by asking the others.
struct Cluster {
  std::map<std::string, TxnMeta> txns;
  std::map<std::string, TxnWaitQueue> queues;  // by pushee
  std::vector<std::unique_ptr<TestPush>> pushes;
  std::vector<std::string> victims;

  void Wait(const std::string& pusher, const std::string& pushee) {
    pushes.push_back(std::make_unique<TestPush>(txns.at(pushee), txns.at(pusher), PushType::kAbort, Timestamp()));
    queues[pushee].Enqueue(*pushes.back());
  }
  void Round() {
    for (auto& push : pushes) {
      const TxnMeta& pusher = *push->pusher();
      auto verdict = queues[push->pushee().id].Report(*push, {.meta = pusher}, queues[pusher.id].Edges(pusher.id));
      if (verdict == TxnWaitQueue::Verdict::kVictim) victims.push_back(pusher.id);
    }
  }
  void End() {
    for (auto& push : pushes) queues[push->pushee().id].Dequeue(*push);
  }
};

TEST(TxnWaitQueueTest, T21ExactlyOneVictimOfEachCycle) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    Cluster cluster;
    const int length = 2 + int(random() % 5);
    std::string expected;
    const TxnMeta* lowest = nullptr;
    for (int i = 0; i < length; ++i) {
      const std::string id(1, char('a' + i));
      cluster.txns[id] = Txn(id, int64_t(random() % 3), int32_t(random() % 2));
    }
    for (auto& [id, txn] : cluster.txns) {
      if (!lowest || GivesWay(txn, *lowest)) lowest = &txn;
    }
    for (int i = 0; i < length; ++i) {
      cluster.Wait(std::string(1, char('a' + i)), std::string(1, char('a' + (i + 1) % length)));
    }
    // Bystanders wait for members of the cycle, and are never victims.
    for (int i = 0; i < 3; ++i) {
      const std::string id = "x" + std::to_string(i);
      cluster.txns[id] = Txn(id, 9, -1);
      cluster.Wait(id, std::string(1, char('a' + i % length)));
    }
    for (int round = 0; round < 3 * length + 3; ++round) cluster.Round();
    ASSERT_FALSE(cluster.victims.empty()) << "seed " << seed;
    for (const std::string& victim : cluster.victims) ASSERT_EQ(victim, lowest->id) << "seed " << seed;
    cluster.End();
  }
}

TEST(TxnWaitQueueTest, ChainWithoutCycleHasNoVictim) {
  Cluster cluster;
  for (const char* id : {"a", "b", "c", "d"}) cluster.txns[id] = Txn(id, 1);
  cluster.Wait("a", "b");
  cluster.Wait("b", "c");
  cluster.Wait("c", "d");
  for (int round = 0; round < 10; ++round) cluster.Round();
  EXPECT_TRUE(cluster.victims.empty());
  EXPECT_EQ(cluster.queues["d"].Edges("d").size(), 3u);
  cluster.End();
}

TEST(TxnWaitQueueTest, RecordReleasesWhomItSatisfies) {
  TxnWaitQueue queue;
  TestPush reader(Txn("p", 1), Txn("r", 2), PushType::kTimestamp, {50, 0});
  TestPush writer(Txn("p", 1), Txn("w", 2), PushType::kAbort, {});
  queue.Enqueue(reader);
  queue.Enqueue(writer);
  TxnRecord record{.meta = Txn("p", 1)};
  record.meta.write_ts = {50, 0};
  EXPECT_TRUE(queue.OnRecord(record).empty());
  record.meta.write_ts = {51, 0};
  EXPECT_EQ(queue.OnRecord(record), std::vector<PushWaiter*>{&reader});
  record.status = TxnStatus::kCommitted;
  EXPECT_EQ(queue.OnRecord(record), std::vector<PushWaiter*>{&writer});
  EXPECT_TRUE(queue.empty());
  TestPush late(Txn("p", 1), Txn("r", 2), PushType::kAbort, {});
  queue.Enqueue(late);
  EXPECT_EQ(queue.Report(late, {.meta = Txn("r", 2), .status = TxnStatus::kAborted}, {}),
            TxnWaitQueue::Verdict::kAborted);
  queue.Clear();
}

}  // namespace
}  // namespace orrery::kv
