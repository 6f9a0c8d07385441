// What a node answers: to other nodes, to dbctl, to HTTP clients.
#include <nlohmann/json.hpp>

#include "server/node.h"
#include "server/range_admin.h"

namespace orrery::server {

using runtime::Context;
using runtime::Method;

void NodeImpl::RegisterHandlers() {
  auto& transport = runtime_.transport();
  transport.Serve(Method::kBootstrap, [this](const Context& c, NodeId, std::string_view bytes) {
    return identity_->HandleBootstrap(c, bytes);
  });
  transport.Serve(Method::kJoin, [this](const Context& c, NodeId, std::string_view bytes) { return HandleJoin(c, bytes); });
  transport.Serve(Method::kKvBatch, [this](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    if (!kv_built_) return Unready();
    return kv::ServeKvBatch(*store_, *clock_, c, bytes);
  });
  transport.Serve(Method::kRaftSnapshot, [this](const Context& c, NodeId from, std::string_view bytes) -> StatusOr<std::string> {
    if (!kv_built_) return Unready();
    return store_->HandleSnapshotChunk(c, from, bytes);
  });
  transport.Serve(Method::kGossip, [this](const Context&, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    if (!kv_built_) return Unready();
    return membership_->Handle(bytes);
  });
  transport.Serve(Method::kStoreStatus, [this](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    if (!kv_built_ || !status_) return Unready();
    return status_->Handle(c, bytes);
  });
  transport.Serve(Method::kSqlCancel, [this](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    HandleCancel(c, bytes);
    return std::string();
  });
  transport.Serve(kRangeSplitMethod, [this](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    RangeSplitRequest request;
    RETURN_IF_ERROR(wire::Decode(bytes, request));
    if (!ready_) return Unready();
    RETURN_IF_ERROR(SplitRangesAt(c, client_->sender(), std::move(request.keys)));
    return std::string();
  });
  transport.ServeOneWay(Method::kRaftMessages, [this](const Context& c, NodeId from, std::string_view bytes) {
    if (!kv_built_) return;
    membership_->NoteHeard(from);
    store_->HandleRaftMessages(c, from, bytes);
  });
  transport.ServeOneWay(Method::kGossip, [this](const Context&, NodeId, std::string_view bytes) {
    if (kv_built_) membership_->Receive(bytes);
  });
}

void NodeImpl::HandleCancel(const Context& context, std::string_view bytes) {
  CancelMessage message;
  if (ready_ && wire::Decode(bytes, message).ok()) sessions_->Cancel(context, message.pid, message.secret);
}

StatusOr<std::string> NodeImpl::HandleJoin(const Context& context, std::string_view bytes) {
  JoinRequest request;
  RETURN_IF_ERROR(wire::Decode(bytes, request));
  if (!ready_) return Unready();
  const auto id = identity_->identity();
  JoinResponse response;
  response.cluster_id = id->cluster_id;
  ASSIGN_OR_RETURN(const uint64_t node, client_->database().AllocateIds(context, kv::kNextNodeId, 1));
  response.node = NodeId(node);
  response.store = StoreId(node);  // one store a node: the numbers go together
  for (const auto& state : membership_->Nodes()) response.nodes.push_back(state.descriptor);
  log_.Info("a node joins", {{"joining", response.node}, {"rpc", request.self.rpc_address}});
  return wire::Encode(response);
}

HttpResponse NodeImpl::Readiness() {
  constexpr const char* kReasons[] = {"starting", "waiting for a cluster: run dbctl init, or start the nodes to join",
                                      "ready", "draining"};
  const Phase phase = phase_;
  const bool ready = phase == Phase::kReady;
  return {ready ? 200 : 503, "application/json",
          nlohmann::json{{"ready", ready}, {"reason", kReasons[size_t(phase)]}}.dump() + "\n"};
}

void NodeImpl::RegisterHttp() {
  const auto live = [](const Context&) { return HttpResponse{200, "application/json", "{\"live\":true}\n"}; };
  const auto ready = [this](const Context&) { return Readiness(); };
  const auto metrics = [this](const Context&) {
    return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8", metrics_.PrometheusText()};
  };
  const auto status = [this](uint8_t with_ranges) {
    return [this, with_ranges](const Context& c) {
      if (!ready_) return Readiness();
      return HttpResponse{200, "application/json",
                          StatusToJson(status_->Collect(c, {StatusScope::kCluster, with_ranges}))};
    };
  };
  http_.Handle("/healthz", live);
  http_.Handle("/health", live);  // other databases' name for it
  http_.Handle("/readyz", ready);
  http_.Handle("/metrics", metrics);
  http_.Handle("/_status/vars", metrics);
  http_.Handle("/api/nodes", status(0));
  http_.Handle("/api/ranges", status(1));
}

void NodeImpl::RegisterMetrics() {
  const auto store = [this](const char* name, const char* help, uint64_t kv::StoreMetrics::*field) {
    metrics_.AddCallbackGauge(name, help, [this, field] { return double(store_->GetMetrics().*field); });
  };
  store("orrery_kv_ranges", "Replicas on this node.", &kv::StoreMetrics::range_count);
  store("orrery_kv_leases", "Ranges this node serves.", &kv::StoreMetrics::lease_count);
  store("orrery_kv_quiet_replicas", "Replicas without timers and messages, as nobody asks for their ranges.",
        &kv::StoreMetrics::quiet_count);
  store("orrery_kv_commands_applied_total", "Replicated commands applied.", &kv::StoreMetrics::commands_applied);
  store("orrery_kv_commits_together_total", "Transactions over several ranges, in one phase.", &kv::StoreMetrics::commits_together);
  store("orrery_kv_loads_ingested_total", "Replicated commands whose rows were ingested as a file.", &kv::StoreMetrics::loads_ingested);
  store("orrery_raft_synced_batches_total", "Synced writes of the log: one may hold entries of many ranges.",
        &kv::StoreMetrics::raft_groups_synced);
  store("orrery_raft_synced_entries_total", "Log entries in those writes.", &kv::StoreMetrics::entries_synced);
  store("orrery_kv_splits_total", "Ranges split.", &kv::StoreMetrics::splits);
  store("orrery_raft_snapshots_sent_total", "RaftSnapshots sent.", &kv::StoreMetrics::snapshots_sent);
  store("orrery_raft_snapshots_installed_total", "RaftSnapshots installed.", &kv::StoreMetrics::snapshots_installed);
  store("orrery_kv_ambiguous_results_total", "Writes whose outcome could not be told.", &kv::StoreMetrics::ambiguous_results);
  store("orrery_kv_lock_waits_total", "Requests that waited for a lock.", &kv::StoreMetrics::lock_waits);
  store("orrery_kv_loans_made_total", "Loans of a range's reads to other nodes' replicas.", &kv::StoreMetrics::loans_made);
  store("orrery_kv_loans_recalled_total", "Loans taken back before a write.", &kv::StoreMetrics::loans_recalled);
  store("orrery_kv_loans_waited_out_total", "Of those: whose borrower did not answer.", &kv::StoreMetrics::loans_waited_out);
  metrics_.AddCallbackGauge("orrery_sql_connections", "Open client connections.",
                            [this] { return double(sql_->connection_count()); });
  metrics_.AddCallbackGauge("orrery_build_info", "1; the labels say what runs.", [] { return 1.0; },
                            {{"version", options_.version}});
}

}  // namespace orrery::server
