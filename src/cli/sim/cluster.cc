#include "cli/sim/cluster.h"

#include <cstdio>

#include "cli/sim/host.h"
#include "orrery/runtime/transport.h"
#include "orrery/storage/cached_engine.h"
#include "orrery/storage/store_records.h"

namespace orrery::cli {

using runtime::Context;

// Of the version cache: little, so that keys leave it, too.
constexpr uint64_t kVersionCacheBytes = 512 << 10;

SimCluster::SimCluster(SimClusterOptions options, RunReport& report)
    : options_(options), report_(report), sim_(options.seed, options.simulator), size_(options.grows ? 1 : options.nodes) {
  for (uint64_t n = 1; n <= options_.nodes; ++n) nodes_[NodeId(n)];
  for (const auto& [id, node] : nodes_) {
    sim_.OnFence(id, [this, id = id](runtime::Random& random) {
      Node& crashed = nodes_[id];
      if (!crashed.life) return;
      crashed.life->fenced = true;
      crashed.life->serving = false;
      if (!crashed.life->engine) return;
      // By the seed: all that was not synced is lost, or a prefix of it survives, or all.
      const storage::CrashPolicy policy{storage::CrashPolicy::Unsynced(random.Below(3)), random.Next()};
      crashed.image = crashed.life->engine->CrashImage(policy);
      if (options_.disks_lie && crashed.remembered) crashed.image = *crashed.remembered;
      report_.Count("unsynced writes at crashes", crashed.life->engine->UnsyncedWriteCount());
      crashed.life->engine->FailWritesWith(UnavailableError("the node has crashed"));
    });
  }
}

std::vector<NodeId> SimCluster::nodes() const {
  std::vector<NodeId> out;
  for (uint64_t n = 1; n <= size_; ++n) out.push_back(NodeId(n));
  return out;
}

void SimCluster::Start(NodeId id) {
  report_.Count("node starts");
  sim_.StartNode(id, [this, id](const Context& context) { Main(context, id); });
}

void SimCluster::Grow() {
  ORRERY_ASSERT(size_ < options_.nodes, "there is a node to come");
  report_.Count("nodes that joined");
  Start(NodeId(++size_));
}

void SimCluster::Crash(NodeId id) {
  if (!sim_.IsRunning(id)) return;
  report_.Count("crashes");
  sim_.CrashNode(id);
}

std::shared_ptr<NodeLife> SimCluster::Life(NodeId id) const {
  const auto& life = nodes_.at(id).life;
  return life && life->serving && sim_.IsRunning(id) ? life : nullptr;
}

void SimCluster::RememberDisks() {
  if (!options_.disks_lie) return;
  for (auto& [id, node] : nodes_) {
    if (sim_.IsRunning(id) && node.life && node.life->engine) {
      node.remembered = node.life->engine->CrashImage({storage::CrashPolicy::Unsynced::kLost, 0});
    }
  }
}

void SimCluster::RestartStopped() {
  for (const NodeId node : nodes()) {
    if (!StoppedItself(node)) continue;
    sim_.SetWallClock(node, Duration(0), 0);
    Crash(node);
    Start(node);
  }
}

bool SimCluster::StoppedItself(NodeId id) const { return sim_.IsRunning(id) && nodes_.at(id).stopped_itself; }

void SimCluster::Bootstrap(Node& node, NodeId id, storage::Engine& engine) {
  if (node.bootstrapped) return;
  node.bootstrapped = true;
  if (bootstrap_ts_.IsZero()) bootstrap_ts_ = {sim_.NodeRuntime(id).clock().WallNowNs(), 0};
  // A whole node that joins finds its identity by asking, as ever; below SQL nobody gives identities.
  if (options_.grows && id.value() > 1 && options_.stack == NodeStack::kServer) return;
  const Status made = PrepareStore(engine, id, options_.grows ? 1 : options_.nodes, bootstrap_ts_);
  ORRERY_ASSERT(made.ok(), made.message());
}

void SimCluster::Main(const Context& context, NodeId id) {
  Node& node = nodes_[id];
  node.stopped_itself = false;
  storage::MemEngine engine(node.image);
  storage::CachedEngine cached(engine, kVersionCacheBytes, kVersionCacheBytes / 4);
  Bootstrap(node, id, engine);
  const auto identity = storage::ReadStoreIdentity(engine);
  ORRERY_ASSERT(identity.ok(), "the identity can be read");
  if (!*identity) context.runtime().transport().SetIdentity(NodeId(), "");
  auto life = std::make_shared<NodeLife>();
  life->node = id;
  life->incarnation = ++node.incarnation;
  life->engine = &engine;
  node.life = life;
  const auto clients_scope = context.WithCancel();
  runtime::TaskGroup clients(clients_scope.context, "clients");
  HostHooks hooks;
  hooks.on_ready = [&](kv::Database& database, kv::Store& store) {
    life->database = &database;
    life->store = &store;
    life->context = &clients_scope.context;
    life->identity = (*storage::ReadStoreIdentity(engine))->node;
    life->serving = !life->fenced;
    if (client_body_) RunClients(clients, life);
  };
  hooks.on_stop = [&] {
    if (life->store && !life->fenced) CountWork(life->store->GetMetrics());
    life->serving = false;
    clients_scope.Cancel();
    (void)clients.Join().ok();
    while (life->observers > 0) context.runtime().scheduler().Yield();
  };
  if (options_.print_logs) {
    hooks.log = [&](std::string_view line) {
      std::printf("[%.6f] %.*s\n", double(Now()) / 1e9, int(line.size()), line.data());
    };
  }
  // Who joins is told of those before it.
  const uint64_t known = options_.grows ? id.value() : options_.nodes;
  const Status ended = HostNode(context, cached, {id, known, options_.stack, options_.store}, hooks);
  if (!life->fenced && !context.cancelled()) {
    node.stopped_itself = true;
    report_.Count("nodes that stopped themselves");
    // T2 is the one reason a simulated node has to give up.
    if (!options_.clocks_may_fail) report_.Violate("a node goes on", "node " + ToString(id) + ": " + ended.ToString());
  }
  report_.Count("version cache: hits", cached.metrics().hits);
  if (const uint64_t broken = cached.metrics().broken_promises; broken > 0) {
    report_.Violate("commands put the newest version of a key", std::to_string(broken) + " on node " + ToString(id));
  }
  if (!life->fenced) node.image = engine.CrashImage({storage::CrashPolicy::Unsynced::kKept, 0});
  life->engine = nullptr;
}

// What the store of a life that ends did: proof that rare paths were taken (H4).
void SimCluster::CountWork(const kv::StoreMetrics& metrics) {
  report_.Count("store: commands applied", metrics.commands_applied);
  if (metrics.commits_together > 0) report_.Count("store: commits over several ranges at once", metrics.commits_together);
  if (metrics.loads_ingested > 0) report_.Count("store: loads ingested", metrics.loads_ingested);
  report_.Count("store: ranges that went quiet", metrics.times_quiet);
  report_.Count("store: splits", metrics.splits);
  report_.Count("store: RaftSnapshots installed", metrics.snapshots_installed);
  report_.Count("store: ambiguous results", metrics.ambiguous_results);
  report_.Count("store: waits for locks", metrics.lock_waits);
  report_.Count("store: loans made", metrics.loans_made);
  report_.Count("store: loans recalled", metrics.loans_recalled);
  report_.Count("store: loans waited out", metrics.loans_waited_out);
}

void SimCluster::RunClients(runtime::TaskGroup& group, const std::shared_ptr<NodeLife>& life) {
  for (uint64_t i = 0; i < options_.clients_per_node; ++i) {
    const uint64_t id = ++last_client_;
    group.Spawn({.name = "client"}, [this, life, id](const Context& c) {
      Rng rng(options_.seed, "client", id);
      ClientEnv env{c, life, *life->database, id, rng};
      client_body_(env);
      return OkStatus();
    });
  }
}

Status SimCluster::RunOn(NodeId id, const std::string& name, const std::function<Status(ClientEnv&)>& body) {
  const auto life = Life(id);
  if (!life) return UnavailableError("node " + ToString(id) + " does not serve");
  Status result;
  const uint64_t client = ++last_client_;
  Rng rng(options_.seed, name, client);
  auto task = sim_.NodeRuntime(id).scheduler().Spawn(*life->context, {.name = name}, [&](const Context& c) {
    ClientEnv env{c, life, *life->database, client, rng};
    result = body(env);
  });
  task->Join();
  return result;
}

bool SimCluster::Observe(NodeId id, const std::function<void(NodeLife&)>& look) {
  const auto life = Life(id);
  if (!life) return false;
  ++life->observers;
  look(*life);
  --life->observers;
  return true;
}

NodeId SimCluster::LeaseholderOf(std::string_view key) {
  NodeId holder;
  for (const NodeId id : nodes()) {
    Observe(id, [&](NodeLife& life) {
      for (const auto& range : life.store->ListRanges()) {
        if (range.descriptor.ContainsKey(key) && (range.lease_valid_here || range.lease_rests_here)) holder = id;
      }
    });
  }
  return holder;
}

}  // namespace orrery::cli
