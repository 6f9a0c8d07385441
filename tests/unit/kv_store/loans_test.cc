// Loans of reads (docs/design/read_loans.md): a replica that was lent reads answers them itself, and never beside a write.
#include <gtest/gtest.h>

#include "kv/replica/read_loans.h"
#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kKey = "\x10k";

// The range of the key, as a gateway deals with it.
class Gateway {
 public:
  Gateway(Cluster& cluster, NodeId node) : cluster_(cluster), node_(node) {}
  NodeId node() const { return node_; }

  BatchRequest Read() const {
    BatchRequest batch;
    batch.requests.push_back(GetRequest{kKey});
    batch.header.gateway = node_;
    for (const auto& status : cluster_.store(node_)->ListRanges()) {
      if (!status.descriptor.ContainsKey(kKey)) continue;
      batch.header.range = status.descriptor.range;
      batch.header.generation = status.descriptor.generation;
    }
    return batch;
  }
  struct Answer {
    std::optional<ReadLoan> loan;
    MonoTime asked_at;
  };
  Answer Ask(const Context& context) const {
    BatchRequest batch = Read();
    batch.header.may_borrow = 1;
    const MonoTime asked_at = context.runtime().clock().MonoNow();
    return {cluster_.Send(context, batch).loan, asked_at};
  }
  void Accept(const Answer& answer) const { cluster_.store(node_)->AcceptLoan(Read().header.range, *answer.loan, answer.asked_at); }
  // Asks until it may read by itself.
  bool Borrow(const Context& context) const {
    return cluster_.Eventually(context, 3s, [&] {
      if (const Answer answer = Ask(context); answer.loan) Accept(answer);
      return MayRead();
    });
  }
  std::optional<BatchResponse> ReadLent() const {
    BatchResponse response;
    if (!cluster_.store(node_)->ReadLent(Read(), response)) return std::nullopt;
    return response;
  }
  bool MayRead() const { return ReadLent().has_value(); }

 private:
  Cluster& cluster_;
  const NodeId node_;
};

std::optional<std::string> ValueOf(const BatchResponse& response) { return std::get<GetResponse>(response.responses[0]).value; }

// With the key written, on three voters, and a gateway that is not the leaseholder.
void OnThreeNodes(const std::function<Status(Cluster&, const Context&, const Gateway&)>& body) {
  Cluster cluster({.nodes = 3, .replication = 3});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kKey, "1"));
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] { return cluster.OnThreeVoters(kKey); }));
    RETURN_IF_ERROR(cluster.Put(context, kKey, "2"));
    return body(cluster, context, Gateway(cluster, NodeId(cluster.LeaseholderOf(kKey).value() % 3 + 1)));
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

uint64_t Sum(Cluster& cluster, uint64_t StoreMetrics::*field) {
  uint64_t sum = 0;
  for (const NodeId node : cluster.nodes()) sum += cluster.store(node) ? cluster.store(node)->GetMetrics().*field : 0;
  return sum;
}

TEST(Loans, ABorrowerReadsByItself) {
  OnThreeNodes([](Cluster& cluster, const Context& context, const Gateway& gateway) -> Status {
    CLUSTER_CHECK(!gateway.Ask(context).loan);  // the range was written a moment ago
    CLUSTER_CHECK(gateway.Borrow(context));
    CLUSTER_CHECK(ValueOf(*gateway.ReadLent()) == "2");
    BatchRequest locks = gateway.Read();
    CLUSTER_CHECK(IsPlainRead(locks));
    locks.header.wait = WaitPolicy::kSkip;
    CLUSTER_CHECK(!IsPlainRead(locks));
    CLUSTER_CHECK(cluster.Eventually(context, 2 * kLoanMax, [&] { return !gateway.MayRead(); }));  // it ends by itself
    CLUSTER_CHECK(Sum(cluster, &StoreMetrics::loans_recalled) == 0);
    return cluster.CheckReplicasAgree(context);
  });
}

// T6: the write lies above what the borrower has read, whose clock is its own.
TEST(Loans, AWriteRecallsThem) {
  OnThreeNodes([](Cluster& cluster, const Context& context, const Gateway& gateway) -> Status {
    cluster.sim().SetWallClock(gateway.node(), 60ms, 0);
    CLUSTER_CHECK(gateway.Borrow(context));
    const auto read = gateway.ReadLent();
    CLUSTER_CHECK(read.has_value());
    BatchRequest put;
    put.requests.push_back(PutRequest{kKey, "3"});
    const MonoTime begin = context.runtime().clock().MonoNow();
    const BatchResponse written = cluster.Send(context, put);
    CLUSTER_CHECK(!written.error);
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < kLoanMax / 2);  // it did not wait for the end of the loan
    CLUSTER_CHECK(read->ts < written.ts);
    CLUSTER_CHECK(!gateway.MayRead());
    CLUSTER_CHECK(Sum(cluster, &StoreMetrics::loans_recalled) == 1 && Sum(cluster, &StoreMetrics::loans_waited_out) == 0);
    CLUSTER_CHECK(!gateway.Ask(context).loan);
    CLUSTER_CHECK(gateway.Borrow(context));  // later
    CLUSTER_CHECK(ValueOf(*gateway.ReadLent()) == "3");
    return OkStatus();
  });
}

// The answer that lends and the message that recalls may overtake each other.
TEST(Loans, OneThatItsRecallHasOvertakenIsNotTaken) {
  OnThreeNodes([](Cluster& cluster, const Context& context, const Gateway& gateway) -> Status {
    Gateway::Answer late;
    CLUSTER_CHECK(cluster.Eventually(context, 3s, [&] { return (late = gateway.Ask(context)).loan.has_value(); }));
    RETURN_IF_ERROR(cluster.Put(context, kKey, "3"));
    CLUSTER_CHECK(Sum(cluster, &StoreMetrics::loans_recalled) == 1);
    gateway.Accept(late);
    CLUSTER_CHECK(!gateway.MayRead());
    return OkStatus();
  });
}

TEST(Loans, AWriteWaitsOutWhoDoesNotAnswer) {
  OnThreeNodes([](Cluster& cluster, const Context& context, const Gateway& gateway) -> Status {
    CLUSTER_CHECK(gateway.Borrow(context));
    cluster.sim().Isolate(gateway.node());
    const MonoTime begin = context.runtime().clock().MonoNow();
    BatchRequest put = gateway.Read();
    put.requests = {PutRequest{kKey, "3"}};
    const BatchResponse written = cluster.store(cluster.LeaseholderOf(kKey))->Send(context, put);
    CLUSTER_CHECK(!written.error);
    CLUSTER_CHECK(!gateway.MayRead());
    CLUSTER_CHECK(context.runtime().clock().MonoNow() - begin < 2 * kLoanMax);
    CLUSTER_CHECK(Sum(cluster, &StoreMetrics::loans_waited_out) == 1);
    cluster.sim().HealAll();
    return OkStatus();
  });
}

// R6: a lease that moves on purpose takes no reader by surprise.
TEST(Loans, ALeaseLeavesWhenTheyAreOver) {
  OnThreeNodes([](Cluster& cluster, const Context& context, const Gateway& gateway) -> Status {
    const NodeId from = cluster.LeaseholderOf(kKey);
    const NodeId to{6 - from.value() - gateway.node().value()};
    CLUSTER_CHECK(gateway.Borrow(context));
    BatchRequest move;
    move.header.range = gateway.Read().header.range;
    move.requests.push_back(AdminTransferLeaseRequest{to});
    bool moved = false;
    const auto task = context.runtime().scheduler().Spawn(context, {.name = "move"}, [&](const Context& c) {
      moved = !cluster.store(from)->Send(c, move).error;
    });
    bool both = false;
    const bool arrived = cluster.Eventually(context, 5s, [&] {
      const bool leads = cluster.LeaseholderOf(kKey) == to;
      both = both || (leads && gateway.MayRead());
      return leads;
    });
    task->Join();
    CLUSTER_CHECK(moved && arrived && !both);
    return cluster.Put(context, kKey, "3");
  });
}

TEST(Loans, WhatABorrowerNeeds) {
  BorrowedReads borrowed;
  const ReadLoan loan{LeaseSequence(4), RaftIndex(10), Timestamp{1000, 0}, 1'000'000};
  EXPECT_FALSE(borrowed.Allows({1, 0}, MonoTime{0}, LeaseSequence(4), RaftIndex(10)));
  ASSERT_TRUE(borrowed.Take(loan, MonoTime{500}));
  const MonoTime in_time{500 + 999'999};
  EXPECT_TRUE(borrowed.Allows({1000, 0}, in_time, LeaseSequence(4), RaftIndex(11)));
  EXPECT_FALSE(borrowed.Allows({1000, 1}, in_time, LeaseSequence(4), RaftIndex(11)));  // above what may be read
  EXPECT_FALSE(borrowed.Allows({1000, 0}, in_time, LeaseSequence(5), RaftIndex(11)));  // another lease
  EXPECT_FALSE(borrowed.Allows({1000, 0}, in_time, LeaseSequence(4), RaftIndex(9)));   // not all is applied here
  EXPECT_FALSE(borrowed.Allows({1000, 0}, in_time + Duration(1), LeaseSequence(4), RaftIndex(10)));
  // A peer that lends for ever is not believed.
  ReadLoan endless = loan;
  endless.duration_ns = ~uint64_t{0} >> 1;
  ASSERT_TRUE(borrowed.Take(endless, MonoTime{500}));
  EXPECT_TRUE(borrowed.until() == MonoTime{500} + kLoanMax);
  EXPECT_FALSE(borrowed.Take(loan, MonoTime{600}));  // shorter than what it has
  borrowed.GiveBack(MonoTime{700});
  EXPECT_FALSE(borrowed.Take(endless, MonoTime{700}));
  EXPECT_TRUE(borrowed.Take(endless, MonoTime{701}));
}

}  // namespace
}  // namespace orrery::kv
