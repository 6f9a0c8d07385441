// IdentityKeeper: how a node comes by its place in a cluster, once in the life of a store (A9). A new store
// waits until it is told by `dbctl init` (Method::kBootstrap), or until a member of an existing cluster answers
// its question (Method::kJoin); from then on the store knows, and refuses any other cluster.
//
// Making a cluster: the node that gets `init` asks everyone on its join list; those without a cluster become
// the others. It writes the plan down, adopts its own part, and hands the others theirs until all have them,
// also after a crash in between. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/kv/store/store.h"
#include "orrery/observability/log.h"
#include "orrery/runtime/runtime.h"
#include "orrery/server/admin_messages.h"
#include "orrery/storage/engine.h"
#include "orrery/storage/store_records.h"

namespace orrery::server {

struct IdentityOptions {
  kv::NodeDescriptor self;         // addresses, locality, version, start time; ids are 0
  std::vector<std::string> join;   // rpc addresses
  std::string folder;              // of the store; the plan and the list of peers live here
};

class IdentityKeeper {
 public:
  IdentityKeeper(runtime::Runtime& runtime, storage::Engine& engine, observability::Logger& log, IdentityOptions options)
      : runtime_(runtime), engine_(engine), log_(log), options_(std::move(options)) {}

  // Reads what the store knows. The handlers below may be called from then on.
  Status Load();
  // Makes a cluster of this node alone.
  Status InitAlone(const runtime::Context& context);
  // Waits for an identity, asking the join addresses again and again.
  StatusOr<storage::StoreIdentity> Await(const runtime::Context& context);
  // For a store that has an identity: FailedPrecondition if a node on the join list is of another cluster.
  // Nodes that do not answer say nothing.
  Status CheckCluster(const runtime::Context& context);
  // After Await: hands out what is left of a plan of ours. Returns when nothing is.
  Status FinishPlan(const runtime::Context& context);

  std::optional<storage::StoreIdentity> identity() const;
  // Addresses of members learned on the way, remembered over restarts.
  std::vector<kv::NodeDescriptor> known_nodes() const;
  void RememberNodes(const std::vector<kv::NodeDescriptor>& nodes);

  StatusOr<std::string> HandleBootstrap(const runtime::Context& context, std::string_view bytes);

 private:
  struct Plan {
    std::vector<BootstrapRequest> adoptions;  // for whom it is: the node of `node` in `nodes`
    template <class V> void Visit(V& v) { v(1, adoptions); }
  };
  struct Remembered {
    std::vector<kv::NodeDescriptor> nodes;
    template <class V> void Visit(V& v) { v(1, nodes); }
  };

  StatusOr<BootstrapResponse> Init(const runtime::Context& context);
  StatusOr<std::vector<kv::NodeDescriptor>> FindFounders(const runtime::Context& context);
  Plan MakePlan(const std::vector<kv::NodeDescriptor>& founders);
  Status Adopt(const BootstrapRequest& request);
  Status FinishAdoption(const BootstrapRequest& request);
  bool AskToJoin(const runtime::Context& context, const std::string& address);
  Status Settle(const storage::StoreIdentity& identity);
  std::string PlanPath() const { return options_.folder + "/bootstrap_plan"; }
  std::string AdoptionPath() const { return options_.folder + "/adoption"; }
  std::string NodesPath() const { return options_.folder + "/known_nodes"; }

  runtime::Runtime& runtime_;
  storage::Engine& engine_;
  observability::Logger& log_;
  const IdentityOptions options_;
  mutable runtime::Mutex mutex_{"identity"};
  runtime::CondVar settled_;
  std::optional<storage::StoreIdentity> identity_ ABSL_GUARDED_BY(mutex_);
  std::vector<kv::NodeDescriptor> known_ ABSL_GUARDED_BY(mutex_);
  bool making_ ABSL_GUARDED_BY(mutex_) = false;  // one init or adoption at a time
};

}  // namespace orrery::server
