#include "server/status_service.h"

#include <nlohmann/json.hpp>

#include "orrery/base/hash.h"

namespace orrery::server {
namespace {

using Json = nlohmann::ordered_json;
constexpr Duration kAskTimeout = 2s;

RangeReport ReportOf(const kv::RangeStatus& status) {
  RangeReport report;
  report.descriptor = status.descriptor;
  report.lease = status.lease;
  report.lease_here = status.lease_valid_here || status.lease_rests_here;
  report.term = status.raft.term;
  report.leader = status.raft.leader;
  report.commit = status.raft.commit;
  report.applied = status.raft.applied;
  report.live_bytes = status.stats.live_bytes;
  report.live_count = status.stats.live_count;
  report.raft_log_bytes = status.raft_log_bytes;
  return report;
}

Json RangeJson(const RangeReport& range) {
  Json replicas = Json::array();
  for (const auto& replica : range.descriptor.replicas) {
    replicas.push_back({{"node", replica.node.value()}, {"replica", replica.replica.value()},
                        {"type", replica.type == kv::ReplicaType::kVoter ? "voter" : "changing"}});
  }
  return {{"range", range.descriptor.range.value()},
          {"start", Printable(range.descriptor.start)},
          {"end", Printable(range.descriptor.end)},
          {"generation", range.descriptor.generation.value()},
          {"replicas", replicas},
          {"leaseholder", range.lease.holder.node.value()},
          {"lease_here", range.lease_here != 0},
          {"lease_sequence", range.lease.sequence.value()},
          {"term", range.term.value()},
          {"leader_replica", range.leader.value()},
          {"commit", range.commit.value()},
          {"applied", range.applied.value()},
          {"live_bytes", range.live_bytes},
          {"live_count", range.live_count},
          {"raft_log_bytes", range.raft_log_bytes}};
}

}  // namespace

NodeReport StatusService::Local(const StatusRequest& request) {
  NodeReport report;
  report.node = sources_.self;
  report.live = 1;
  report.ready = sources_.ready();
  report.sql_connections = sources_.sql_connections();
  report.uptime_ns = (sources_.runtime.clock().MonoNow() - sources_.started).count();
  const kv::StoreMetrics metrics = sources_.store.GetMetrics();
  report.range_count = metrics.range_count;
  report.lease_count = metrics.lease_count;
  if (!request.with_ranges) return report;
  for (const auto& status : sources_.store.ListRanges()) report.ranges.push_back(ReportOf(status));
  return report;
}

NodeReport StatusService::Ask(const runtime::Context& context, const kv::NodeState& node, const StatusRequest& request) {
  NodeReport report;
  report.node = node.descriptor;
  report.live = node.live;
  if (!node.live) {
    report.error = "not heard from lately";
    return report;
  }
  StatusRequest question = request;
  question.scope = StatusScope::kNode;
  StatusResponse answer;
  const Status asked = runtime::CallMessage(sources_.runtime.transport(), context.WithTimeout(kAskTimeout),
                                            node.descriptor.node, runtime::Method::kStoreStatus, question, answer);
  if (asked.ok() && answer.nodes.size() == 1) return answer.nodes[0];
  report.error = asked.ok() ? "malformed answer" : std::string(asked.message());
  return report;
}

StatusResponse StatusService::Collect(const runtime::Context& context, const StatusRequest& request) {
  StatusResponse response;
  response.cluster_id = sources_.cluster_id;
  if (request.scope == StatusScope::kNode) {
    response.nodes.push_back(Local(request));
    return response;
  }
  for (const auto& node : sources_.membership.Nodes()) {
    const bool here = node.descriptor.node == sources_.self.node;
    response.nodes.push_back(here ? Local(request) : Ask(context, node, request));
    response.nodes.back().draining = node.load.draining;
  }
  return response;
}

StatusOr<std::string> StatusService::Handle(const runtime::Context& context, std::string_view bytes) {
  StatusRequest request;
  RETURN_IF_ERROR(wire::Decode(bytes, request));
  return wire::Encode(Collect(context, request));
}

std::string StatusToJson(const StatusResponse& status) {
  Json nodes = Json::array();
  for (const auto& node : status.nodes) {
    Json entry = {{"node", node.node.node.value()},
                  {"live", node.live != 0},
                  {"ready", node.ready != 0},
                  {"draining", node.draining != 0},
                  {"sql", node.node.sql_address},
                  {"rpc", node.node.rpc_address},
                  {"http", node.node.http_address},
                  {"locality", node.node.locality},
                  {"version", node.node.version},
                  {"uptime_seconds", node.uptime_ns / 1'000'000'000},
                  {"ranges", node.range_count},
                  {"leases", node.lease_count},
                  {"sql_connections", node.sql_connections}};
    if (!node.error.empty()) entry["error"] = node.error;
    if (!node.ranges.empty()) {
      Json ranges = Json::array();
      for (const auto& range : node.ranges) ranges.push_back(RangeJson(range));
      entry["range_list"] = ranges;
    }
    nodes.push_back(entry);
  }
  return Json{{"cluster", status.cluster_id}, {"nodes", nodes}}.dump(2) + "\n";
}

}  // namespace orrery::server
