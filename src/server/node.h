// NodeImpl: the parts of a node and how they know each other.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "orrery/kv/client/kv_client.h"
#include "orrery/kv/cluster/membership.h"
#include "orrery/kv/cluster/placement.h"
#include "orrery/kv/hlc/hybrid_clock.h"
#include "orrery/observability/metrics.h"
#include "orrery/server/node.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/session/session_manager.h"
#include "orrery/storage/durability_witness.h"
#include "server/http_server.h"
#include "server/identity.h"
#include "server/sql_server.h"
#include "server/status_service.h"

namespace orrery::server {

class NodeImpl final : public Node {
 public:
  NodeImpl(runtime::Runtime& runtime, storage::Engine& engine, observability::Logger& log, NodeOptions options,
           NodeHooks hooks);
  Status Run(const runtime::Context& context) override;
  void RequestStop() override;
  kv::Database* database() override { return ready_ ? &client_->database() : nullptr; }
  kv::Store* store() override { return ready_ ? store_.get() : nullptr; }

 private:
  enum class Phase : uint8_t { kStarting, kWaiting, kReady, kDraining };

  // In this order; each step may use what the ones before it made.
  Status StartListening(runtime::TaskGroup& group);
  Status FindIdentity(const runtime::Context& context);
  void UnlessStopped(const runtime::Context& context, const std::function<void(const runtime::Context&)>& step);
  Status OpenWitness();
  Status BuildKv(const runtime::Context& context);
  Status StartKv(const runtime::Context& context, runtime::TaskGroup& group);
  Status StartSql(const runtime::Context& context, runtime::TaskGroup& group);
  Status Serve(const runtime::Context& context, runtime::TaskGroup& group);
  Status WaitForStop(const runtime::Context& context);
  void Drain();
  void StopAll(kv::StopMode mode);

  void RegisterHandlers();
  StatusOr<std::string> HandleJoin(const runtime::Context& context, std::string_view bytes);
  void HandleCancel(const runtime::Context& context, std::string_view bytes);
  void RegisterHttp();
  void RegisterMetrics();
  HttpResponse Readiness();
  void Fail(const Status& status);  // the node cannot go on
  void TellDiskSpace(const storage::DiskSpace& space);
  kv::NodeLoad Load();
  Status Unready() const;           // why requests of peers are refused

  runtime::Runtime& runtime_;
  storage::Engine& engine_;
  observability::Logger& log_;
  NodeOptions options_;
  const NodeHooks hooks_;
  kv::NodeDescriptor self_;
  MonoTime started_;

  observability::Registry metrics_;
  HttpServer http_;
  std::unique_ptr<IdentityKeeper> identity_;
  const uint64_t recovered_sequence_;  // of the engine as it was opened
  std::unique_ptr<storage::DurabilityWitness> witness_;
  std::unique_ptr<kv::HybridClock> clock_;
  std::unique_ptr<kv::Membership> membership_;
  std::unique_ptr<kv::MembershipPlacement> placement_;
  std::unique_ptr<kv::KvClient> client_;
  std::unique_ptr<kv::Store> store_;
  std::shared_ptr<const sql::FunctionCatalog> functions_;
  std::unique_ptr<sql::TimeZoneDatabase> time_zones_;
  std::unique_ptr<sql::Catalog> catalog_;
  std::unique_ptr<sql::SessionFactory> sessions_;
  std::unique_ptr<SqlServer> sql_;
  std::unique_ptr<StatusService> status_;
  bool new_cluster_ = false;

  std::atomic<bool> kv_built_{false};  // the handlers of peers may use clock, membership, client and store
  std::atomic<bool> ready_{false};
  std::atomic<Phase> phase_{Phase::kStarting};
  runtime::Mutex mutex_{"node"};
  runtime::CondVar stop_cv_;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orrery::server
