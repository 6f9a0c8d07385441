// The two ways to put a simulated node together.
#include "cli/sim/host.h"

#include "orrery/base/hash.h"
#include "orrery/kv/client/kv_client.h"
#include "orrery/kv/cluster/membership.h"
#include "orrery/kv/cluster/placement.h"
#include "orrery/kv/hlc/hybrid_clock.h"
#include "orrery/observability/log.h"
#include "orrery/runtime/sim/simulator.h"
#include "orrery/server/node.h"
#include "orrery/storage/store_records.h"

namespace orrery::cli {

using runtime::Context;
using runtime::Method;

namespace {

constexpr Duration kClockTick = 1s;
constexpr const char* kHostCluster = "00000000000000000000000000000001";
constexpr uint64_t kFirstReplicasMax = 3;

kv::NodeDescriptor HostDescriptor(NodeId id) {
  kv::NodeDescriptor descriptor;
  descriptor.node = id;
  descriptor.store = StoreId(id.value());
  descriptor.rpc_address = runtime::Simulator::RpcAddress(id);
  return descriptor;
}

// The parts of a node below SQL, wired as server::Node wires them.
class KvNode {
 public:
  KvNode(const Context& context, storage::Engine& engine, const HostOptions& options, std::function<void(const Status&)> on_fault)
      : runtime_(context.runtime()), engine_(engine), options_(options), id_(options.node), on_fault_(std::move(on_fault)) {}

  Status Start(const Context& context, runtime::TaskGroup& group) {
    RETURN_IF_ERROR(Build());
    Serve();
    runtime_.transport().SetIdentity(id_, kHostCluster);
    auto address = runtime_.transport().Start(context, runtime::Simulator::RpcAddress(id_));
    if (!address.ok()) return address.status();
    // B49: timestamps below what the former incarnation issued must not be issued again.
    if (const Duration wait = clock_->WaitBeforeServing(); wait > Duration(0)) {
      RETURN_IF_ERROR(runtime_.scheduler().SleepFor(context, wait));
    }
    client_->Start(context);
    RETURN_IF_ERROR(store_->Start(context));
    built_ = true;
    membership_->Start(group);
    group.Spawn({.name = "clock bound"}, [this](const Context& c) {
      while (runtime_.scheduler().SleepFor(c, kClockTick).ok()) clock_->MaintainBound();
      return OkStatus();
    });
    return OkStatus();
  }
  void Stop() {
    if (built_) store_->Stop(kv::StopMode::kImmediate);
    if (client_) client_->Stop();
    built_ = false;
  }
  kv::KvClient& client() { return *client_; }
  kv::Store& store() { return *store_; }

 private:
  Status Build() {
    ASSIGN_OR_RETURN(const auto bound, storage::ReadBound(engine_, storage::kHlcUpperBoundName));
    kv::HybridClockOptions clock;
    clock.max_offset = options_.store.max_clock_offset;
    clock.persisted_bound = bound.value_or(Timestamp());
    clock.persist = [this](Timestamp ts) {
      storage::WriteBatch batch;
      storage::PutBound(batch, storage::kHlcUpperBoundName, ts);
      if (Status s = engine_.Write(batch, storage::SyncMode::kSync); !s.ok()) on_fault_(s);
    };
    clock_ = std::make_unique<kv::HybridClock>(runtime_.clock(), clock);
    kv::MembershipOptions membership;
    membership.self = HostDescriptor(id_);
    membership.self.started_at_ns = runtime_.clock().WallNowNs();
    membership.max_clock_offset = options_.store.max_clock_offset;
    for (uint64_t n = 1; n <= options_.nodes; ++n) membership.known.push_back(HostDescriptor(NodeId(n)));
    membership_ = std::make_unique<kv::Membership>(
        runtime_, membership, kv::MembershipHooks{.load = [this] { return Load(); }, .on_clock_fault = on_fault_});
    placement_ = std::make_unique<kv::MembershipPlacement>(*membership_, runtime_.clock(), kv::PlacementOptions());
    kv::KvClientOptions client;
    client.routing.node = id_;
    client.routing.planted = options_.store.planted;
    client_ = kv::KvClient::Create(client, {.runtime = runtime_, .clock = *clock_,
                                            .first_range = [this] { return membership_->FirstRange(); },
                                            .silence = [this](NodeId node) { return membership_->SilenceOf(node); }});
    kv::StoreOptions store = options_.store;
    store.node = id_;
    store.store = StoreId(id_.value());
    store.seed = runtime_.random().Next();
    store_ = kv::Store::Create(store, {.engine = engine_, .clock = *clock_, .sender = client_->sender(),
                                       .placement = placement_.get(), .liveness = membership_.get(),
                                       .on_first_range = [this](const auto& d) { membership_->SetFirstRange(d); },
                                       .on_lease = [this](const auto& d, NodeId n) { client_->sender().TellLease(d, n); }});
    client_->SetLocal(*store_);
    return OkStatus();
  }
  kv::NodeLoad Load() {
    kv::NodeLoad load;
    if (!built_) return load;
    const auto metrics = store_->GetMetrics();
    load.range_count = metrics.range_count;
    load.lease_count = metrics.lease_count;
    return load;
  }
  void Serve() {
    auto& transport = runtime_.transport();
    const Status unready = UnavailableError("this node is starting");
    transport.Serve(Method::kKvBatch, [this, unready](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
      if (!built_) return unready;
      return kv::ServeKvBatch(*store_, *clock_, c, bytes);
    });
    transport.Serve(Method::kRaftSnapshot, [this, unready](const Context& c, NodeId from, std::string_view bytes) -> StatusOr<std::string> {
      if (!built_) return unready;
      return store_->HandleSnapshotChunk(c, from, bytes);
    });
    transport.Serve(Method::kGossip, [this, unready](const Context&, NodeId, std::string_view bytes) -> StatusOr<std::string> {
      if (!built_) return unready;
      return membership_->Handle(bytes);
    });
    transport.ServeOneWay(Method::kRaftMessages, [this](const Context& c, NodeId from, std::string_view bytes) {
      if (!built_) return;
      membership_->NoteHeard(from);
      store_->HandleRaftMessages(c, from, bytes);
    });
    transport.ServeOneWay(Method::kGossip, [this](const Context&, NodeId, std::string_view bytes) {
      if (built_) (void)membership_->Handle(bytes);  // malformed gossip says nothing
    });
  }

  runtime::Runtime& runtime_;
  storage::Engine& engine_;
  const HostOptions& options_;
  const NodeId id_;
  const std::function<void(const Status&)> on_fault_;
  std::unique_ptr<kv::HybridClock> clock_;
  std::unique_ptr<kv::Membership> membership_;
  std::unique_ptr<kv::MembershipPlacement> placement_;
  std::unique_ptr<kv::KvClient> client_;
  std::unique_ptr<kv::Store> store_;
  bool built_ = false;
};


Status HostKv(const Context& context, storage::Engine& engine, const HostOptions& options, const HostHooks& hooks) {
  const auto scope = context.WithCancel();
  Status fault;
  runtime::TaskGroup group(scope.context, "node");
  KvNode parts(scope.context, engine, options, [&](const Status& status) {
    if (fault.ok()) fault = status;
    scope.Cancel();
  });
  Status status = parts.Start(scope.context, group);
  if (status.ok()) {
    hooks.on_ready(parts.client().database(), parts.store());
    status = context.runtime().scheduler().SleepUntil(scope.context, MonoTime::Infinite());
  }
  hooks.on_stop();
  parts.Stop();
  scope.Cancel();
  (void)group.Join().ok();
  context.runtime().transport().Stop();
  if (!fault.ok()) return fault;
  return context.cancelled() ? OkStatus() : status;
}

Status HostServer(const Context& context, storage::Engine& engine, const HostOptions& options, const HostHooks& hooks) {
  auto& runtime = context.runtime();
  const auto sink = observability::NewCallbackSink([&](observability::LogLevel, std::string_view line) {
    if (hooks.log) hooks.log(line);
  });
  observability::Logger log(runtime.clock(), *sink, observability::LogFormat::kText,
                            hooks.log ? observability::LogLevel::kInfo : observability::LogLevel::kOff);
  const std::string host = "node" + ToString(options.node) + ".sim";
  server::NodeOptions node;
  node.store_folder = "/store";
  RETURN_IF_ERROR(runtime.file_system().CreateFolder(node.store_folder));
  node.sql_address = host + ":5432";
  node.rpc_address = runtime::Simulator::RpcAddress(options.node);
  node.http_address = "";
  for (uint64_t n = 1; n <= options.nodes; ++n) node.join.push_back(runtime::Simulator::RpcAddress(NodeId(n)));
  node.version = "simulated";
  node.store = options.store;
  server::Node* self = nullptr;
  const auto hosted = server::Node::Create(runtime, engine, log, node, {.on_ready = [&](const server::NodeReadyInfo&) {
    hooks.on_ready(*self->database(), *self->store());
  }});
  self = hosted.get();
  const Status status = hosted->Run(context);
  hooks.on_stop();
  return status;
}

}  // namespace

// Up to three nodes are founders of the first ranges; the others join with empty stores.
Status PrepareStore(storage::Engine& engine, NodeId node, uint64_t nodes, Timestamp ts) {
  RETURN_IF_ERROR(storage::InitializeStoreIdentity(
      engine, {.cluster_id = kHostCluster, .node = node, .store = StoreId(node.value())}));
  const uint64_t count = nodes >= kFirstReplicasMax ? kFirstReplicasMax : 1;
  if (node.value() > count) return OkStatus();
  std::vector<kv::ReplicaDescriptor> replicas;
  for (uint64_t n = 1; n <= count; ++n) replicas.push_back({NodeId(n), StoreId(n), ReplicaId(n), {}});
  return kv::BootstrapStore(engine, StoreId(node.value()), replicas, ts);
}

Status HostNode(const Context& context, storage::Engine& engine, const HostOptions& options, const HostHooks& hooks) {
  return options.stack == NodeStack::kKv ? HostKv(context, engine, options, hooks) : HostServer(context, engine, options, hooks);
}

}  // namespace orrery::cli
