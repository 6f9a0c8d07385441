// Transactions over several ranges of one store, committed in one phase (docs/design/transactions.md).
#include <gtest/gtest.h>

#include "unit/kv_store/cluster.h"

namespace orrery::kv {
namespace {

using runtime::Context;

const std::string kLeft = "\x10" "a";
const std::string kRight = "\x10" "x";

Request Inserted(const std::string& key, const std::string& value) {
  ConditionalPutRequest put;
  put.key = key;
  put.value = value;
  return put;
}

// The writes, then the commit of all their keys.
BatchRequest WholeTxn(const Transaction& txn, std::vector<Request> writes) {
  BatchRequest batch;
  batch.header.txn = txn;
  EndTxnRequest end;
  for (const Request& write : writes) end.lock_spans.push_back(SpanOf(write, batch.header));
  batch.requests = std::move(writes);
  batch.requests.emplace_back(std::move(end));
  return batch;
}

Status SplitAt(Cluster& cluster, const Context& context, const std::string& key) {
  BatchRequest split;
  split.requests.push_back(AdminSplitRequest{key});
  const auto response = cluster.Send(context, split);
  if (response.error) return ToStatus(*response.error);
  CLUSTER_CHECK(cluster.Eventually(context, 10s, [&] { return cluster.LeaseholderOf(kRight) == NodeId(1); }));
  return OkStatus();
}

template <class Error>
const Error* ErrorOf(const BatchResponse& response) {
  return response.error ? std::get_if<Error>(&response.error->detail) : nullptr;
}

Status RunOnHalves(Cluster& cluster, std::function<Status(const Context&)> body) {
  return cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(SplitAt(cluster, context, "\x10m"));
    return body(context);
  });
}

TEST(Together, TwoRangesCommitInOnePhaseAtOneTimestamp) {
  Cluster cluster({});
  const Status status = RunOnHalves(cluster, [&](const Context& context) -> Status {
    Store& store = *cluster.store(NodeId(1));
    Transaction txn = cluster.NewTxn(kRight);
    BatchRequest locks;
    locks.header.txn = txn;
    locks.requests.push_back(GetRequest{kLeft, LockStrength::kExclusive});
    CLUSTER_CHECK(!cluster.Send(context, locks).error);
    locks.requests = {GetRequest{kRight, LockStrength::kExclusive}};
    CLUSTER_CHECK(!cluster.Send(context, locks).error);
    txn.meta.sequence = 5;
    const auto entries = store.GetMetrics().entries_synced;
    const auto response = store.CommitTogether(context, WholeTxn(txn, {Inserted(kRight, "2"), Inserted(kLeft, "1")}));
    if (response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(response.responses.size() == 3);
    const auto& end = std::get<EndTxnResponse>(response.responses[2]);
    CLUSTER_CHECK(end.one_phase == 1 && response.txn && response.txn->status == TxnStatus::kCommitted);
    CLUSTER_CHECK(store.GetMetrics().entries_synced == entries + 2);
    CLUSTER_CHECK(store.GetMetrics().commits_together == 1);
    for (const auto& range : store.ListRanges()) CLUSTER_CHECK(range.stats.lock_count == 0);
    // Its locks in memory are gone on both ranges, and both versions stand where the commit says.
    for (const std::string& key : {kLeft, kRight}) {
      Transaction other = cluster.NewTxn(key);
      BatchRequest batch;
      batch.header.txn = other;
      batch.header.wait = WaitPolicy::kError;
      batch.requests.push_back(GetRequest{key, LockStrength::kExclusive});
      const auto read = cluster.Send(context, batch);
      if (read.error) return ToStatus(*read.error);
      CLUSTER_CHECK(std::get<GetResponse>(read.responses[0]).value == (key == kLeft ? "1" : "2"));
      BatchRequest past;
      past.header.ts = end.commit_ts;
      past.requests.push_back(GetRequest{key});
      CLUSTER_CHECK(std::get<GetResponse>(cluster.Send(context, past).responses[0]).value.has_value());
      past.header.ts.wall_ns -= 1;
      CLUSTER_CHECK(!std::get<GetResponse>(cluster.Send(context, past).responses[0]).value.has_value());
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// T7, T12: a key that was read above it moves the whole commit, which SERIALIZABLE has to prove first.
TEST(Together, OneReadMovesTheWholeCommit) {
  Cluster cluster({});
  const Status status = RunOnHalves(cluster, [&](const Context& context) -> Status {
    Store& store = *cluster.store(NodeId(1));
    const Transaction strict = cluster.NewTxn(kLeft, uint8_t(IsolationLevel::kSerializable));
    const Transaction weak = cluster.NewTxn(kLeft, uint8_t(IsolationLevel::kReadCommitted));
    BatchRequest above;
    above.requests.push_back(GetRequest{kRight});
    const auto read = cluster.Send(context, above);
    CLUSTER_CHECK(!read.error && read.ts > weak.read_ts);
    const auto refused = store.CommitTogether(context, WholeTxn(strict, {PutRequest{kLeft, "s"}, PutRequest{kRight, "s"}}));
    const auto* retry = ErrorOf<TxnRetryError>(refused);
    CLUSTER_CHECK(retry && retry->reason == RetryReason::kSerializable && retry->retry_ts > strict.read_ts);
    const auto moved = store.CommitTogether(context, WholeTxn(weak, {PutRequest{kLeft, "w"}, PutRequest{kRight, "w"}}));
    if (moved.error) return ToStatus(*moved.error);
    const Timestamp commit_ts = std::get<EndTxnResponse>(moved.responses[2]).commit_ts;
    CLUSTER_CHECK(commit_ts > read.ts);
    BatchRequest below;  // the left part stands there, too
    below.header.ts = read.ts;
    below.requests.push_back(GetRequest{kLeft});
    CLUSTER_CHECK(!std::get<GetResponse>(cluster.Send(context, below).responses[0]).value.has_value());
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(Together, WhatFailsInOneRangeHasNoEffectInTheOther) {
  Cluster cluster({});
  const Status status = RunOnHalves(cluster, [&](const Context& context) -> Status {
    Store& store = *cluster.store(NodeId(1));
    RETURN_IF_ERROR(cluster.Put(context, kRight, "there"));
    const auto failed =
        store.CommitTogether(context, WholeTxn(cluster.NewTxn(kLeft), {Inserted(kRight, "2"), Inserted(kLeft, "1")}));
    CLUSTER_CHECK(ErrorOf<ConditionFailedError>(failed) && failed.error->request_index == 0u);
    // Somebody's lock on the right: nobody is waited for while latches are held on the left.
    Transaction holder = cluster.NewTxn(kRight);
    BatchRequest lock;
    lock.header.txn = holder;
    lock.requests.push_back(GetRequest{kRight, LockStrength::kExclusive});
    CLUSTER_CHECK(!cluster.Send(context, lock).error);
    const auto locked =
        store.CommitTogether(context, WholeTxn(cluster.NewTxn(kLeft), {PutRequest{kLeft, "1"}, PutRequest{kRight, "2"}}));
    CLUSTER_CHECK(ErrorOf<RangeKeyMismatchError>(locked));
    // An intent that the lock table does not know yet.
    lock.requests = {PutRequest{kRight, "intent"}};
    lock.header.txn->meta.sequence = 7;
    CLUSTER_CHECK(!cluster.Send(context, lock).error);
    const auto met =
        store.CommitTogether(context, WholeTxn(cluster.NewTxn(kLeft), {PutRequest{kLeft, "1"}, PutRequest{kRight, "2"}}));
    CLUSTER_CHECK(ErrorOf<RangeKeyMismatchError>(met));
    ASSIGN_OR_RETURN(const auto left, cluster.Get(context, kLeft));
    CLUSTER_CHECK(!left);
    CLUSTER_CHECK(store.GetMetrics().commits_together == 0);
    return cluster.Put(context, kLeft, "free");  // no latch is left
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// Two logs with several voters are not one log: no sync makes both commits certain.
TEST(Together, RangesWithSeveralVotersCommitWithIntents) {
  Cluster cluster({.nodes = 2, .replication = 2});
  const Status status = cluster.Run([&](const Context& context) -> Status {
    RETURN_IF_ERROR(cluster.Put(context, kLeft, "1"));
    BatchRequest split;
    split.requests.push_back(AdminSplitRequest{"\x10m"});
    if (const auto response = cluster.Send(context, split); response.error) return ToStatus(*response.error);
    CLUSTER_CHECK(cluster.Eventually(context, 60s, [&] {
      return cluster.store(NodeId(2))->ListRanges().size() == cluster.store(NodeId(1))->ListRanges().size();
    }));
    for (const NodeId node : cluster.nodes()) {
      const auto response = cluster.store(node)->CommitTogether(
          context, WholeTxn(cluster.NewTxn(kLeft), {PutRequest{kLeft, "1"}, PutRequest{kRight, "2"}}));
      CLUSTER_CHECK(ErrorOf<RangeKeyMismatchError>(response));
    }
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

}  // namespace
}  // namespace orrery::kv
