#include "server/node.h"

#include "orrery/base/hash.h"
#include "orrery/runtime/transport.h"

namespace orrery::server {
namespace {

constexpr Duration kClockTick = 1s;

runtime::TaskOptions Named(std::string_view name) { return {.name = name}; }

}  // namespace

std::unique_ptr<Node> Node::Create(runtime::Runtime& runtime, storage::Engine& engine, observability::Logger& log,
                                   NodeOptions options, NodeHooks hooks) {
  return std::make_unique<NodeImpl>(runtime, engine, log, std::move(options), std::move(hooks));
}

NodeImpl::NodeImpl(runtime::Runtime& runtime, storage::Engine& engine, observability::Logger& log, NodeOptions options,
                   NodeHooks hooks)
    : runtime_(runtime), engine_(engine), log_(log), options_(std::move(options)), hooks_(std::move(hooks)), http_({}),
      recovered_sequence_(engine.LastSequence()) {}

Status NodeImpl::Unready() const { return UnavailableError("this node is not part of a cluster yet, or is starting"); }

void NodeImpl::RequestStop() {
  runtime::MutexLock lock(mutex_);
  stop_requested_ = true;
  stop_cv_.NotifyAll();
}

void NodeImpl::Fail(const Status& status) {
  log_.Error("the node cannot go on", {{"error", status}});
  runtime::MutexLock lock(mutex_);
  if (failure_.ok()) failure_ = status;
  stop_cv_.NotifyAll();
}

void NodeImpl::TellDiskSpace(const storage::DiskSpace& space) {
  if (space.level == storage::SpaceLevel::kEnough) return log_.Info("the disk has room again");
  const bool exhausted = space.level == storage::SpaceLevel::kExhausted;
  log_.Error(exhausted ? "the disk is full: all writes are refused, deletions too; reads go on"
                       : "the disk is full: new data is refused, reads and deletions go on",
             {{"error", space.status}});
}

kv::NodeLoad NodeImpl::Load() {
  kv::NodeLoad load;
  load.draining = phase_ == Phase::kDraining;
  if (!store_) return load;
  const auto metrics = store_->GetMetrics();
  load.range_count = metrics.range_count;
  load.lease_count = metrics.lease_count;
  return load;
}

// ---- starting ----------------------------------------------------------------------------------------------

Status NodeImpl::Run(const runtime::Context& context) {
  started_ = runtime_.clock().MonoNow();
  const auto scope = context.WithCancel();
  runtime::TaskGroup group(scope.context, "node");
  Status status = [&]() -> Status {
    RETURN_IF_ERROR(StartListening(group));
    RETURN_IF_ERROR(FindIdentity(scope.context));
    RETURN_IF_ERROR(BuildKv(scope.context));
    RETURN_IF_ERROR(StartKv(scope.context, group));
    RETURN_IF_ERROR(StartSql(scope.context, group));
    return Serve(scope.context, group);
  }();
  StopAll(status.ok() && !context.cancelled() ? kv::StopMode::kDrain : kv::StopMode::kImmediate);
  scope.Cancel();
  const Status joined = group.Join();
  runtime_.transport().Stop();
  runtime::MutexLock lock(mutex_);
  if (!failure_.ok()) return failure_;
  if (stop_requested_ || context.cancelled()) return OkStatus();
  return status.ok() ? joined : status;
}

Status NodeImpl::StartListening(runtime::TaskGroup& group) {
  self_.rpc_address = options_.rpc_address;
  self_.sql_address = options_.sql_address;
  self_.http_address = options_.http_address;
  self_.locality = options_.locality;
  self_.version = options_.version;
  self_.started_at_ns = runtime_.clock().WallNowNs();
  identity_ = std::make_unique<IdentityKeeper>(
      runtime_, engine_, log_, IdentityOptions{.self = self_, .join = options_.join, .folder = options_.store_folder});
  RETURN_IF_ERROR(identity_->Load());
  if (identity_->identity()) RETURN_IF_ERROR(OpenWitness());
  RegisterHandlers();
  // The identity, if there is one, must be known to the transport before the first peer is met.
  if (const auto id = identity_->identity()) runtime_.transport().SetIdentity(id->node, id->cluster_id);
  ASSIGN_OR_RETURN(self_.rpc_address, runtime_.transport().Start(group.context(), options_.rpc_address));
  RegisterHttp();
  if (options_.http_address.empty()) return OkStatus();
  RETURN_IF_ERROR(http_.Start(group, options_.http_address));
  self_.http_address = http_.address();
  return OkStatus();
}

// A stop while starting: waits of `step` end with its context.
void NodeImpl::UnlessStopped(const runtime::Context& context, const std::function<void(const runtime::Context&)>& step) {
  const auto waiting = context.WithCancel();
  auto watcher = runtime_.scheduler().Spawn(waiting.context, Named("stop watcher"), [&](const runtime::Context& c) {
    runtime::MutexLock lock(mutex_);
    const Status waited = runtime::WaitUntil(c, mutex_, stop_cv_, [&] { return stop_requested_; });
    if (waited.ok()) waiting.Cancel();
  });
  step(waiting.context);
  waiting.Cancel();
  watcher->Join();
}

Status NodeImpl::FindIdentity(const runtime::Context& context) {
  if (!identity_->identity()) {
    new_cluster_ = true;
    if (options_.init_alone) {
      RETURN_IF_ERROR(identity_->InitAlone(context));
    } else {
      phase_ = Phase::kWaiting;
      log_.Info("waiting for a cluster", {{"join", options_.join.size()}});
      if (hooks_.on_waiting) hooks_.on_waiting();
    }
  } else {
    RETURN_IF_ERROR(identity_->CheckCluster(context));
  }
  StatusOr<storage::StoreIdentity> id = UnavailableError("");
  UnlessStopped(context, [&](const runtime::Context& waiting) { id = identity_->Await(waiting); });
  if (!id.ok()) return id.status();
  phase_ = Phase::kStarting;
  self_.node = id->node;
  self_.store = id->store;
  log_.SetNode(id->node);
  runtime_.transport().SetIdentity(id->node, id->cluster_id);
  return witness_ ? OkStatus() : OpenWitness();
}

// B58: a store that comes back shorter than it was synced takes no part; its replicas have forgotten votes and
// acknowledgements. It is found out before anything is sent.
Status NodeImpl::OpenWitness() {
  ASSIGN_OR_RETURN(witness_, storage::DurabilityWitness::Open(runtime_.file_system(), options_.store_folder + "/witness",
                                                              identity_->identity()->store));
  return witness_->CheckRecovered(recovered_sequence_);
}

Status NodeImpl::BuildKv(const runtime::Context&) {
  ASSIGN_OR_RETURN(const auto bound, storage::ReadBound(engine_, storage::kHlcUpperBoundName));
  kv::HybridClockOptions clock_options;
  clock_options.max_offset = options_.store.max_clock_offset;
  clock_options.persisted_bound = bound.value_or(Timestamp());
  clock_options.persist = [this](Timestamp ts) {
    storage::WriteBatch batch;
    storage::PutBound(batch, storage::kHlcUpperBoundName, ts);
    const Status written = engine_.Write(batch, storage::SyncMode::kSync);
    // A full disk keeps the node from promising more time ahead: it must not issue timestamps then (T1).
    if (!written.ok()) Fail(written.Annotate("persisting the clock's bound"));
  };
  clock_ = std::make_unique<kv::HybridClock>(runtime_.clock(), clock_options);

  kv::MembershipOptions membership{.self = self_, .seeds = options_.join, .known = identity_->known_nodes()};
  membership.max_clock_offset = options_.store.max_clock_offset;
  membership_ = std::make_unique<kv::Membership>(
      runtime_, membership,
      kv::MembershipHooks{.load = [this] { return kv_built_ ? Load() : kv::NodeLoad(); },
                          .on_nodes_changed = [this](const auto& nodes) { identity_->RememberNodes(nodes); },
                          .on_clock_fault = [this](const Status& fault) { Fail(fault); }});
  placement_ = std::make_unique<kv::MembershipPlacement>(*membership_, runtime_.clock(), kv::PlacementOptions());

  kv::KvClientOptions client;
  client.routing.node = self_.node;
  client.routing.planted = options_.store.planted;
  client.table_ranges = options_.table_ranges;
  client_ = kv::KvClient::Create(client, {.runtime = runtime_, .clock = *clock_,
                                          .first_range = [this] { return membership_->FirstRange(); },
                                          .silence = [this](NodeId node) { return membership_->SilenceOf(node); }});
  kv::StoreOptions store = options_.store;
  store.node = self_.node;
  store.store = self_.store;
  store.seed = runtime_.random().Next();
  store_ = kv::Store::Create(store, {.engine = engine_, .clock = *clock_, .sender = client_->sender(),
                                     .placement = placement_.get(), .liveness = membership_.get(),
                                     .on_first_range = [this](const auto& d) { membership_->SetFirstRange(d); },
                                     .on_disk_space = [this](const auto& space) { TellDiskSpace(space); },
                                     .on_lease = [this](const auto& d, NodeId n) { client_->sender().TellLease(d, n); }});
  client_->SetLocal(*store_);
  return OkStatus();
}

Status NodeImpl::StartKv(const runtime::Context& context, runtime::TaskGroup& group) {
  // B49: timestamps below what the former incarnation issued must not be issued again.
  if (const Duration wait = clock_->WaitBeforeServing(); wait > Duration(0)) {
    log_.Info("waiting for the clock to pass the former incarnation's bound", {{"ms", wait.count() / 1'000'000}});
    RETURN_IF_ERROR(runtime_.scheduler().SleepFor(context, wait));
  }
  client_->Start(context);
  RETURN_IF_ERROR(store_->Start(context));
  kv_built_ = true;
  membership_->Start(group);
  group.Spawn(Named("clock bound"), [this](const runtime::Context& c) {
    while (runtime_.scheduler().SleepFor(c, kClockTick).ok()) clock_->MaintainBound();
    return OkStatus();
  });
  group.Spawn(Named("durability witness"), [this](const runtime::Context& c) {
    storage::KeepWitness(c, engine_, *witness_, [this] { return store_->GetMetrics().raft_groups_synced; },
                         [this](const Status& s) { log_.Warning("the durability witness is not written", {{"error", s}}); });
    return OkStatus();
  });
  group.Spawn(Named("bootstrap plan"), [this](const runtime::Context& c) {
    (void)identity_->FinishPlan(c);  // cancelled: goes on at the next start
    return OkStatus();
  });
  return OkStatus();
}

Status NodeImpl::StartSql(const runtime::Context& context, runtime::TaskGroup& group) {
  const auto id = identity_->identity();
  status_ = std::make_unique<StatusService>(StatusSources{.runtime = runtime_, .membership = *membership_,
                                                          .store = *store_, .cluster_id = id->cluster_id, .self = self_,
                                                          .started = started_,
                                                          .ready = [this] { return ready_.load(); },
                                                          .sql_connections = [this] { return sql_ ? sql_->connection_count() : 0; }});
  functions_ = sql::BuildFunctionCatalog();
  time_zones_ = std::make_unique<sql::TimeZoneDatabase>([this](std::string_view name) {
    return runtime_.file_system().ReadFile("/usr/share/zoneinfo/" + std::string(name));
  });
  // A schema change waits this long for the tables that a lost node had in use.
  catalog_ = sql::NewCatalog(context, client_->database(), {.node = self_.node, .lease_duration = 20s});
  Status begun;  // it reads the system tables, whose other replicas may be gone for good
  UnlessStopped(context, [&](const runtime::Context& waiting) { begun = catalog_->Start(waiting); });
  RETURN_IF_ERROR(begun);
  sql::SqlServices services{.database = client_->database(), .catalog = *catalog_, .functions = *functions_,
                            .time_zones = time_zones_.get(), .node = self_.node};
  services.cancel_elsewhere = [this](const runtime::Context& c, NodeId node, int32_t pid, int32_t secret) {
    (void)runtime_.transport().Call(c.WithTimeout(1s), node, runtime::Method::kSqlCancel,
                                    wire::Encode(CancelMessage{pid, secret}));
  };
  sessions_ = sql::NewSessionManager(services, {.sessions_max = options_.sql_connections_max});
  sql_ = std::make_unique<SqlServer>(*sessions_, options_.sql_connections_max);
  RETURN_IF_ERROR(sql_->Start(group, options_.sql_address));
  RegisterMetrics();
  return OkStatus();
}

Status NodeImpl::Serve(const runtime::Context& context, runtime::TaskGroup&) {
  const auto id = identity_->identity();
  phase_ = Phase::kReady;
  ready_ = true;
  const NodeReadyInfo info{.node = self_.node, .cluster_id = id->cluster_id, .new_cluster = new_cluster_,
                           .sql_address = sql_->address(), .rpc_address = self_.rpc_address,
                           .http_address = self_.http_address};
  log_.Info("node ready", {{"cluster", id->cluster_id}, {"sql", info.sql_address}, {"rpc", info.rpc_address}});
  if (hooks_.on_ready) hooks_.on_ready(info);
  return WaitForStop(context);
}

Status NodeImpl::WaitForStop(const runtime::Context& context) {
  runtime::MutexLock lock(mutex_);
  return runtime::WaitUntil(context, mutex_, stop_cv_, [&] { return stop_requested_ || !failure_.ok(); });
}

// ---- stopping ----------------------------------------------------------------------------------------------

// From the outside in: clients first, then what they use.
void NodeImpl::StopAll(kv::StopMode mode) {
  phase_ = Phase::kDraining;
  ready_ = false;
  if (mode == kv::StopMode::kDrain) log_.Info("draining");
  if (sql_) sql_->Stop();
  if (catalog_) catalog_->Stop();
  if (kv_built_) {
    store_->Stop(mode);
    client_->Stop();
    kv_built_ = false;
    if (mode == kv::StopMode::kDrain) clock_->PersistFinalBound();
  }
  http_.Stop();
}

}  // namespace orrery::server
