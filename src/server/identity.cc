#include "server/identity.h"

#include <algorithm>

#include "orrery/base/hash.h"

namespace orrery::server {
namespace {

constexpr Duration kAskTimeout = 1s;
constexpr Duration kAskInterval = 500ms;
// How long `init` looks for the others on the join list: they are usually being started at this moment.
constexpr int kFounderRounds = 10;
// The first ranges get this many replicas; nodes beyond get theirs by and by, as any node that joins later.
constexpr size_t kFirstReplicasMax = 3;

Status AlreadyInitialised(const storage::StoreIdentity& identity) {
  return Status(Code::kAlreadyExists, "this node is already part of cluster " + identity.cluster_id);
}

std::string NewClusterId(runtime::Random& random) {
  std::string bytes;
  for (int i = 0; i < 2; ++i) {
    const uint64_t word = random.Next();
    for (int b = 0; b < 8; ++b) bytes.push_back(char(word >> (8 * b)));
  }
  return HexEncode(bytes);
}

}  // namespace

Status IdentityKeeper::Load() {
  if (auto unfinished = runtime_.file_system().ReadFile(AdoptionPath()); unfinished.ok()) {
    BootstrapRequest request;
    RETURN_IF_ERROR(wire::Decode(*unfinished, request).Annotate("reading " + AdoptionPath()));
    RETURN_IF_ERROR(FinishAdoption(request));
  }
  ASSIGN_OR_RETURN(auto identity, storage::ReadStoreIdentity(engine_));
  Remembered remembered;
  auto bytes = runtime_.file_system().ReadFile(NodesPath());
  if (bytes.ok()) RETURN_IF_ERROR(wire::Decode(*bytes, remembered).Annotate("reading " + NodesPath()));
  runtime::MutexLock lock(mutex_);
  identity_ = std::move(identity);
  known_ = std::move(remembered.nodes);
  return OkStatus();
}

std::optional<storage::StoreIdentity> IdentityKeeper::identity() const {
  runtime::MutexLock lock(mutex_);
  return identity_;
}

std::vector<kv::NodeDescriptor> IdentityKeeper::known_nodes() const {
  runtime::MutexLock lock(mutex_);
  return known_;
}

void IdentityKeeper::RememberNodes(const std::vector<kv::NodeDescriptor>& nodes) {
  {
    runtime::MutexLock lock(mutex_);
    known_ = nodes;
  }
  const Status written = runtime_.file_system().WriteFileAtomic(NodesPath(), wire::Encode(Remembered{nodes}));
  if (!written.ok()) log_.Warning("the list of nodes could not be written", {{"error", written}});
}

Status IdentityKeeper::Settle(const storage::StoreIdentity& identity) {
  ASSIGN_OR_RETURN(const auto present, storage::ReadStoreIdentity(engine_));
  if (!present) RETURN_IF_ERROR(storage::InitializeStoreIdentity(engine_, identity));
  runtime::MutexLock lock(mutex_);
  identity_ = identity;
  settled_.NotifyAll();
  return OkStatus();
}

// Two synced writes, identity and first ranges; the file makes them one: the store is not started before it is
// gone, and a crash in between is finished by Load.
Status IdentityKeeper::Adopt(const BootstrapRequest& request) {
  RETURN_IF_ERROR(runtime_.file_system().WriteFileAtomic(AdoptionPath(), wire::Encode(request)));
  return FinishAdoption(request);
}

Status IdentityKeeper::FinishAdoption(const BootstrapRequest& request) {
  const storage::StoreIdentity identity{.cluster_id = request.cluster_id, .node = request.node, .store = request.store};
  ASSIGN_OR_RETURN(const auto present, storage::ReadStoreIdentity(engine_));
  if (!present) RETURN_IF_ERROR(storage::InitializeStoreIdentity(engine_, identity));
  const bool replica = std::any_of(request.replicas.begin(), request.replicas.end(),
                                   [&](const auto& r) { return r.store == request.store; });
  if (replica) RETURN_IF_ERROR(kv::BootstrapStore(engine_, request.store, request.replicas, request.ts));
  RememberNodes(request.nodes);
  RETURN_IF_ERROR(runtime_.file_system().Remove(AdoptionPath()));
  return Settle(identity);
}

Status IdentityKeeper::InitAlone(const runtime::Context&) {
  kv::NodeDescriptor self = options_.self;
  self.node = NodeId(1);
  self.store = StoreId(1);
  return Adopt(MakePlan({self}).adoptions.front());
}

IdentityKeeper::Plan IdentityKeeper::MakePlan(const std::vector<kv::NodeDescriptor>& founders) {
  BootstrapRequest common;
  common.step = BootstrapStep::kAdopt;
  common.cluster_id = NewClusterId(runtime_.random());
  common.nodes = founders;
  common.ts = {runtime_.clock().WallNowNs(), 0};
  // An odd number: two replicas survive less than one (R10).
  const size_t replicas = founders.size() >= kFirstReplicasMax ? kFirstReplicasMax : 1;
  for (size_t i = 0; i < replicas; ++i) {
    common.replicas.push_back({.node = founders[i].node, .store = founders[i].store, .replica = ReplicaId(i + 1)});
  }
  Plan plan;
  for (size_t i = 0; i < replicas; ++i) {
    plan.adoptions.push_back(common);
    plan.adoptions.back().node = founders[i].node;
    plan.adoptions.back().store = founders[i].store;
  }
  return plan;
}

// This node first, then those on the join list that have no cluster, in the list's order; ids are given.
StatusOr<std::vector<kv::NodeDescriptor>> IdentityKeeper::FindFounders(const runtime::Context& context) {
  std::vector<kv::NodeDescriptor> founders = {options_.self};
  BootstrapRequest question;
  question.step = BootstrapStep::kPropose;
  std::vector<bool> answered(options_.join.size(), false);
  for (int round = 0; round < kFounderRounds; ++round) {
    for (size_t i = 0; i < options_.join.size(); ++i) {
      if (answered[i]) continue;
      auto bytes = runtime_.transport().CallAddress(context.WithTimeout(kAskTimeout), options_.join[i],
                                                    runtime::Method::kBootstrap, wire::Encode(question));
      BootstrapResponse answer;
      if (!bytes.ok() || !wire::Decode(*bytes, answer).ok()) continue;
      answered[i] = true;
      if (answer.self.started_at_ns == options_.self.started_at_ns &&
          answer.self.rpc_address == options_.self.rpc_address) {
        continue;  // ourselves
      }
      if (!answer.cluster_id.empty()) {
        return FailedPreconditionError("the node at " + options_.join[i] + " is already part of cluster " +
                                       answer.cluster_id + "; this node joins it by itself, no init is needed");
      }
      founders.push_back(answer.self);
    }
    if (std::all_of(answered.begin(), answered.end(), [](bool a) { return a; })) break;
    RETURN_IF_ERROR(runtime_.scheduler().SleepFor(context, kAskInterval / 2));
  }
  for (size_t i = 0; i < founders.size(); ++i) {
    founders[i].node = NodeId(i + 1);
    founders[i].store = StoreId(i + 1);
  }
  return founders;
}

StatusOr<BootstrapResponse> IdentityKeeper::Init(const runtime::Context& context) {
  ASSIGN_OR_RETURN(const auto founders, FindFounders(context));
  const Plan plan = MakePlan(founders);
  RETURN_IF_ERROR(runtime_.file_system().WriteFileAtomic(PlanPath(), wire::Encode(plan)));
  RETURN_IF_ERROR(Adopt(plan.adoptions.front()));
  log_.Info("cluster made", {{"cluster", plan.adoptions.front().cluster_id}, {"replicas", plan.adoptions.size()}});
  // A first round at once, so that `init` returns with everyone in; FinishPlan goes on where this fails.
  (void)FinishPlan(context.WithTimeout(kAskTimeout * 5));
  BootstrapResponse response;
  response.cluster_id = plan.adoptions.front().cluster_id;
  response.nodes = founders;
  return response;
}

Status IdentityKeeper::FinishPlan(const runtime::Context& context) {
  auto bytes = runtime_.file_system().ReadFile(PlanPath());
  if (!bytes.ok()) return OkStatus();  // no plan, or finished
  Plan plan;
  RETURN_IF_ERROR(wire::Decode(*bytes, plan).Annotate("reading " + PlanPath()));
  for (const BootstrapRequest& adoption : plan.adoptions) {
    if (adoption.node == plan.adoptions.front().node) continue;  // our own part is done
    const auto to = std::find_if(adoption.nodes.begin(), adoption.nodes.end(),
                                 [&](const auto& n) { return n.node == adoption.node; });
    if (to == adoption.nodes.end()) return DataLossError("bootstrap plan without address: " + PlanPath());
    for (;;) {
      auto answer = runtime_.transport().CallAddress(context.WithTimeout(kAskTimeout), to->rpc_address,
                                                     runtime::Method::kBootstrap, wire::Encode(adoption));
      // Already a member of some cluster: it adopted earlier, or its store was replaced since and joined anew.
      if (answer.ok() || answer.status().code() == Code::kAlreadyExists) break;
      RETURN_IF_ERROR(runtime_.scheduler().SleepFor(context, kAskInterval));
    }
  }
  return runtime_.file_system().Remove(PlanPath());
}

StatusOr<std::string> IdentityKeeper::HandleBootstrap(const runtime::Context& context, std::string_view bytes) {
  BootstrapRequest request;
  RETURN_IF_ERROR(wire::Decode(bytes, request));
  BootstrapResponse response;
  {
    runtime::MutexLock lock(mutex_);
    response.self = options_.self;
    if (identity_) response.cluster_id = identity_->cluster_id;
    if (request.step == BootstrapStep::kPropose) return wire::Encode(response);
    if (identity_) {
      const bool same = request.step == BootstrapStep::kAdopt && identity_->cluster_id == request.cluster_id;
      if (same) return wire::Encode(response);
      return AlreadyInitialised(*identity_);
    }
    if (making_) return UnavailableError("a cluster is being made at this moment");
    making_ = true;
  }
  StatusOr<BootstrapResponse> made = response;
  if (request.step == BootstrapStep::kInit) {
    made = Init(context);
  } else if (const Status adopted = Adopt(request); !adopted.ok()) {
    made = adopted;
  }
  runtime::MutexLock lock(mutex_);
  making_ = false;
  if (!made.ok()) return made.status();
  return wire::Encode(*made);
}

Status IdentityKeeper::CheckCluster(const runtime::Context& context) {
  const auto ours = identity();
  if (!ours) return OkStatus();
  BootstrapRequest question;
  question.step = BootstrapStep::kPropose;
  for (const std::string& address : options_.join) {
    auto bytes = runtime_.transport().CallAddress(context.WithTimeout(kAskTimeout), address,
                                                  runtime::Method::kBootstrap, wire::Encode(question));
    if (bytes.status().code() != Code::kFailedPrecondition) continue;
    return FailedPreconditionError("the store in " + options_.folder + " belongs to cluster " + ours->cluster_id +
                                   ", but at " + address + ": " + std::string(bytes.status().message()))
        .WithHint("Use another --store for that cluster, or --join nodes of this one.");
  }
  return OkStatus();
}

bool IdentityKeeper::AskToJoin(const runtime::Context& context, const std::string& address) {
  auto bytes = runtime_.transport().CallAddress(context.WithTimeout(kAskTimeout), address, runtime::Method::kJoin,
                                                wire::Encode(JoinRequest{.self = options_.self}));
  JoinResponse answer;
  if (!bytes.ok() || !wire::Decode(*bytes, answer).ok() || !answer.node) return false;
  {
    runtime::MutexLock lock(mutex_);
    if (identity_ || making_) return true;
    making_ = true;
  }
  RememberNodes(answer.nodes);
  const Status settled = Settle({.cluster_id = answer.cluster_id, .node = answer.node, .store = answer.store});
  if (!settled.ok()) log_.Error("the node's identity could not be written", {{"error", settled}});
  runtime::MutexLock lock(mutex_);
  making_ = false;
  return settled.ok();
}

StatusOr<storage::StoreIdentity> IdentityKeeper::Await(const runtime::Context& context) {
  for (;;) {
    {
      runtime::MutexLock lock(mutex_);
      if (identity_) return *identity_;
    }
    for (const std::string& address : options_.join) {
      if (address != options_.self.rpc_address && AskToJoin(context, address)) break;
    }
    runtime::MutexLock lock(mutex_);
    if (identity_) return *identity_;
    const Status waited = settled_.Wait(context.WithTimeout(kAskInterval), mutex_);
    if (!waited.ok() && waited.code() != Code::kDeadlineExceeded) return waited;
    RETURN_IF_ERROR(context.Check());
  }
}

}  // namespace orrery::server
