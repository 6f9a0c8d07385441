// SimCluster: nodes under the simulator, each with an in-memory engine whose crash image survives its crashes,
// and with clients of its own. All methods are called from the driver's tasks unless they say otherwise.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/sim/host.h"
#include "cli/sim/report.h"
#include "cli/sim/rng.h"
#include "orrery/kv/client/database.h"
#include "orrery/kv/store/store.h"
#include "orrery/runtime/sim/simulator.h"
#include "orrery/storage/mem_engine.h"

namespace orrery::cli {

struct SimClusterOptions {
  uint64_t seed = 1;
  uint64_t nodes = 3;
  bool grows = false;  // node 1 begins alone; the others join when Grow says so
  uint64_t clients_per_node = 3;
  NodeStack stack = NodeStack::kServer;
  bool disks_lie = false;        // crashes lose what RememberDisks has not seen, synced or not
  bool clocks_may_fail = false;  // a node may stop itself, its clock being beyond the bound
  bool print_logs = false;
  runtime::SimulatorOptions simulator;
  kv::StoreOptions store;  // limits; ids and seed are filled in
};

// One life of a node. Shared by the tasks that may outlast its serving.
struct NodeLife {
  NodeId node;
  NodeId identity;  // in the cluster: another one than `node` if the answer to its first request to join was lost
  uint64_t incarnation = 0;
  bool fenced = false;  // crashed: what is heard from now on was heard by nobody
  bool serving = false;
  const runtime::Context* context = nullptr;
  kv::Database* database = nullptr;
  kv::Store* store = nullptr;
  storage::MemEngine* engine = nullptr;
  int observers = 0;  // driver's tasks that look at its parts: it waits for them before it takes itself apart
};

// What a client on a node works with.
struct ClientEnv {
  const runtime::Context& context;
  std::shared_ptr<NodeLife> life;
  kv::Database& database;
  uint64_t id = 0;  // unique over all lives
  Rng& rng;
};
using ClientBody = std::function<void(ClientEnv&)>;

class SimCluster {
 public:
  SimCluster(SimClusterOptions options, RunReport& report);

  runtime::Simulator& sim() { return sim_; }
  RunReport& report() { return report_; }
  const SimClusterOptions& options() const { return options_; }
  // Those that there are by now: 1 to size().
  std::vector<NodeId> nodes() const;
  uint64_t size() const { return size_; }
  // True time. From any task.
  int64_t Now() const { return sim_.now().ns; }

  // The body of every client of every life that starts later. It returns when the context ends or when it has
  // nothing to do any more.
  void SetClientBody(ClientBody body) { client_body_ = std::move(body); }
  void Start(NodeId node);
  // Starts the next node, with an empty store. Precondition: there are fewer than options().nodes.
  void Grow();
  // Waits until the life has ended. No effect on a node that is down.
  void Crash(NodeId node);
  bool IsUp(NodeId node) const { return sim_.IsRunning(node); }
  // The present life if it serves, else null.
  std::shared_ptr<NodeLife> Life(NodeId node) const;
  // Calls `look` if the node serves: its parts stay alive until that returns. False if it does not serve.
  bool Observe(NodeId node, const std::function<void(NodeLife&)>& look);
  // With disks_lie: what a crash will find from now on.
  void RememberDisks();
  // Starts what stopped itself again, with its clock set right, as whoever keeps nodes running would.
  void RestartStopped();
  // Up, but it stopped itself: its clock was too far off (T2).
  bool StoppedItself(NodeId node) const;

  // Runs `body` as a client on a serving node and returns its Status; Unavailable if the node does not serve.
  // Precondition: nothing crashes it meanwhile.
  Status RunOn(NodeId node, const std::string& name, const std::function<Status(ClientEnv&)>& body);
  // The serving node that holds the lease of the key's range, or none.
  NodeId LeaseholderOf(std::string_view key);

 private:
  struct Node {
    storage::MemEngineImage image;
    std::optional<storage::MemEngineImage> remembered;
    bool bootstrapped = false;
    uint64_t incarnation = 0;
    std::shared_ptr<NodeLife> life;
    bool stopped_itself = false;
  };
  void Main(const runtime::Context& context, NodeId id);
  void Bootstrap(Node& node, NodeId id, storage::Engine& engine);
  void CountWork(const kv::StoreMetrics& metrics);
  void RunClients(runtime::TaskGroup& group, const std::shared_ptr<NodeLife>& life);

  const SimClusterOptions options_;
  RunReport& report_;
  runtime::Simulator sim_;
  std::map<NodeId, Node> nodes_;  // also of those to come
  uint64_t size_;
  ClientBody client_body_;
  uint64_t last_client_ = 0;
  Timestamp bootstrap_ts_;
};

}  // namespace orrery::cli
