// A cluster of stores under the simulator: nodes with a MemEngine, a hybrid clock, a Store and a sender that
// knows where every range is. Crashes keep what the engine's crash image keeps.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/kv/hlc/hybrid_clock.h"
#include "orrery/kv/store/store.h"
#include "orrery/runtime/sim/simulator.h"
#include "orrery/storage/mem_engine.h"

namespace orrery::kv {

class Cluster;

// Routes by asking the stores themselves (tests only): newest descriptor that holds the key, its holder first.
class TestSender final : public Sender {
 public:
  explicit TestSender(Cluster& cluster) : cluster_(cluster) {}
  BatchResponse Send(const runtime::Context& context, const BatchRequest& request) override;

 private:
  Cluster& cluster_;
};

// What the nodes know of each other: the truth, at once; or that all live, whatever happens.
class TestLiveness final : public NodeLiveness {
 public:
  explicit TestLiveness(const Cluster& cluster) : cluster_(cluster) {}
  NodeLife LifeOf(NodeId node) const override;

 private:
  const Cluster& cluster_;
};

class FixedPlacement final : public PlacementPolicy {
 public:
  explicit FixedPlacement(Cluster& cluster) : cluster_(cluster) {}
  PlacementAction Decide(const PlacementQuestion& question) override;

 private:
  Cluster& cluster_;
};

struct ClusterOptions {
  uint64_t seed = 1;
  uint64_t nodes = 1;
  uint64_t range_bytes_max = 256ull << 20;
  uint64_t raft_log_entries_min = 64;
  uint64_t raft_log_bytes_max = 16ull << 20;
  uint64_t load_bytes_min = 1;  // every load is ingested
  uint64_t proposed_bytes_max = 16ull << 20;
  Duration quiesce_after{0};
  bool nodes_are_blind = false;  // they take each other for alive
  CommandSink* changes = nullptr;
  uint64_t replication = 0;  // the placement policy brings ranges to this many replicas; 0: no policy
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);

  // Runs the body as the simulation's driver, with all nodes up.
  Status Run(std::function<Status(const runtime::Context&)> body);

  void Start(NodeId node);
  void Crash(NodeId node);
  void Wipe(NodeId node, StoreId new_store);  // of a crashed node: its disk is lost, it comes back as another store

  // ---- For the body.
  BatchResponse Send(const runtime::Context& context, BatchRequest batch);
  Status Put(const runtime::Context& context, const std::string& key, const std::string& value);
  StatusOr<std::optional<std::string>> Get(const runtime::Context& context, const std::string& key);
  StatusOr<std::vector<std::pair<std::string, std::string>>> Scan(const runtime::Context& context, Span span);
  Transaction NewTxn(const std::string& anchor, uint8_t isolation = 2);
  // Of the leaseholder, or none.
  NodeId LeaseholderOf(const std::string& key);
  bool OnThreeVoters(const std::string& key);  // its range, as its leaseholder knows it
  // Waits up to `limit` of virtual time.
  bool Eventually(const runtime::Context& context, Duration limit, const std::function<bool()>& condition);
  // Every replica of every range at the same applied index has the same digest.
  Status CheckReplicasAgree(const runtime::Context& context);

  Store* store(NodeId node);
  storage::MemEngine& engine(NodeId node) { return *nodes_[node].engine; }  // of a node that is up
  // Every replica of every range on the nodes that are up; no replica at all is no quiet.
  bool AllQuiet();
  void FillDisk(NodeId node, storage::SpaceLevel level = storage::SpaceLevel::kFull);
  void FreeDisk(NodeId node);
  StoreId StoreOf(NodeId node) { return nodes_[node].store_id; }
  runtime::Simulator& sim() { return sim_; }
  std::vector<NodeId> nodes() const;
  const ClusterOptions& options() const { return options_; }

 private:
  friend class TestSender;
  friend class TestLiveness;
  struct Node {
    StoreId store_id;
    storage::MemEngineImage image;
    storage::MemEngine* engine = nullptr;
    Store* store = nullptr;
    HybridClock* clock = nullptr;
    bool bootstrapped = false;
    int64_t incarnation = 0;
  };
  void Main(const runtime::Context& context, NodeId id);

  const ClusterOptions options_;
  runtime::Simulator sim_;
  std::map<NodeId, Node> nodes_;
  uint64_t next_txn_ = 1;
  int64_t last_ts_ = 0;
};

// A body's expectation: returns the Status on failure.
#define CLUSTER_CHECK(condition) \
  do {                           \
    if (!(condition)) return InternalError(std::string("check failed at line ") + std::to_string(__LINE__) + ": " #condition); \
  } while (0)

}  // namespace orrery::kv
