// A client of a MiniCluster of two ranges, which meet at "m", and what tests of it do again and again.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "unit/kv_client/mini_server.h"

namespace orrery::kv {

class KvClientTest : public ::testing::Test {
 protected:
  KvClientTest() {
    cluster_.Split("\x08m", NodeId(2));
    Reset();
  }
  void Reset(size_t span_bytes_max = 1 << 20) {
    KvClientOptions options;
    options.routing.node = NodeId(9);
    options.span_bytes_max = span_bytes_max;
    client_ = KvClient::Create(options, {runtime_, clock_, [this] { return cluster_.FirstRange(); }, &cluster_});
    db_ = &client_->database();
  }
  static std::string K(const std::string& k) { return "\x08" + k; }
  Status Put(Txn& txn, const std::string& key, const std::string& value) {
    Batch batch;
    batch.Put(K(key), value);
    return txn.Run(context_, batch);
  }
  std::string Get(Txn& txn, const std::string& key) {
    Batch batch;
    batch.Get(K(key));
    Status s = txn.Run(context_, batch);
    if (!s.ok()) return s.ToString();
    return std::get<GetResponse>(batch.responses[0]).value.value_or("-");
  }
  Status Insert(Txn& txn, const std::string& key, const std::string& value) {
    Batch batch;
    batch.Insert(K(key), value);
    return txn.Run(context_, batch);
  }
  Status Delete(Txn& txn, const std::string& key) {
    Batch batch;
    batch.Delete(K(key));
    return txn.Run(context_, batch);
  }
  std::string LockingGet(Txn& txn, const std::string& key) {
    Batch batch;
    batch.Get(K(key), LockStrength::kExclusive);
    Status s = txn.Run(context_, batch);
    if (!s.ok()) return s.ToString();
    return std::get<GetResponse>(batch.responses[0]).value.value_or("-");
  }
  std::string Committed(const std::string& key) { return cluster_.Committed(K(key)).value_or("-"); }
  Status AutoCommit(const std::vector<std::pair<std::string, std::string>>& writes) {
    auto txn = db_->Begin({});
    Batch batch;
    for (const auto& [key, value] : writes) batch.Put(K(key), value);
    Status status = txn->RunAndCommit(context_, batch);
    if (!status.ok()) {
      EXPECT_TRUE(txn->Rollback(context_).ok());
    }
    return status;
  }
  std::unique_ptr<Txn> Serializable() { return db_->Begin({.isolation = IsolationLevel::kSerializable}); }

  InlineRuntime runtime_;
  runtime::Context context_{runtime_};
  HybridClock clock_{runtime_.clock(), {}};
  MiniCluster cluster_{clock_};
  std::unique_ptr<KvClient> client_;
  Database* db_ = nullptr;
};

}  // namespace orrery::kv
