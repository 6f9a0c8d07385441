#include "unit/kv_store/cluster.h"

#include <algorithm>

#include "orrery/base/hash.h"
#include "orrery/storage/cached_engine.h"

namespace orrery::kv {

using runtime::Context;
using runtime::Method;

Cluster::Cluster(ClusterOptions options)
    : options_(options), sim_(options.seed, runtime::SimulatorOptions{.buggify = false}) {
  for (uint64_t n = 1; n <= options_.nodes; ++n) nodes_[NodeId(n)].store_id = StoreId(n);
}

Status Cluster::Run(std::function<Status(const Context&)> body) {
  return sim_.Run([this, body = std::move(body)](const Context& context) {
    auto& transport = context.runtime().transport();
    transport.SetIdentity(NodeId(99), "test");
    for (const auto& [id, node] : nodes_) {
      transport.SetAddress(id, runtime::Simulator::RpcAddress(id));
      Start(id);
    }
    return body(context);
  });
}

std::vector<NodeId> Cluster::nodes() const {
  std::vector<NodeId> out;
  for (const auto& [id, node] : nodes_) out.push_back(id);
  return out;
}

void Cluster::Start(NodeId id) {
  sim_.StartNode(id, [this, id](const Context& context) { Main(context, id); });
}

void Cluster::Crash(NodeId id) { sim_.CrashNode(id); }

void Cluster::Wipe(NodeId id, StoreId new_store) {
  nodes_[id].image = {};
  nodes_[id].store_id = new_store;
}

void Cluster::FillDisk(NodeId node, storage::SpaceLevel level) {
  nodes_[node].engine->AnswerCheckSpaceWith({level, Status(Code::kResourceExhausted, "53100", "the disk is full")});
}
void Cluster::FreeDisk(NodeId node) { nodes_[node].engine->AnswerCheckSpaceWith({}); }

NodeLife TestLiveness::LifeOf(NodeId node) const {
  const auto it = cluster_.nodes_.find(node);
  if (it == cluster_.nodes_.end()) return {};
  if (cluster_.options_.nodes_are_blind) return {true, 1};
  return {it->second.store != nullptr, it->second.incarnation};
}

bool Cluster::AllQuiet() {
  uint64_t ranges = 0;
  for (const auto& [id, node] : nodes_) {
    if (!node.store) continue;
    const StoreMetrics metrics = node.store->GetMetrics();
    if (metrics.quiet_count != metrics.range_count) return false;
    ranges += metrics.range_count;
  }
  return ranges > 0;
}

Store* Cluster::store(NodeId node) { return nodes_[node].store; }

void Cluster::Main(const Context& context, NodeId id) {
  Node& node = nodes_[id];
  auto& runtime = context.runtime();
  storage::MemEngine engine(node.image);
  storage::CachedEngine cached(engine, 256 << 10);
  HybridClock clock(runtime.clock(), {});
  if (!node.bootstrapped && id == NodeId(1)) {
    const Status made = BootstrapStore(engine, node.store_id, {{id, node.store_id, {}, {}}},
                                       Timestamp{runtime.clock().WallNowNs(), 0});
    ORRERY_ASSERT(made.ok(), made.message());
  }
  node.bootstrapped = true;
  TestSender sender(*this);
  FixedPlacement placement(*this);
  StoreOptions options;
  options.node = id;
  options.store = node.store_id;
  options.seed = options_.seed;
  options.range_bytes_max = options_.range_bytes_max;
  options.raft_log_bytes_max = options_.raft_log_bytes_max;
  options.raft_log_entries_min = options_.raft_log_entries_min;
  options.load_bytes_min = options_.load_bytes_min;
  options.proposed_bytes_max = options_.proposed_bytes_max;
  options.quiesce_after = options_.quiesce_after;
  const TestLiveness liveness(*this);
  StoreDeps deps{.engine = cached, .clock = clock, .sender = sender, .liveness = &liveness};
  deps.changes = options_.changes;
  if (options_.replication) deps.placement = &placement;
  auto store = Store::Create(options, deps);
  auto& transport = runtime.transport();
  transport.ServeOneWay(Method::kRaftMessages, [&](const Context& c, NodeId from, std::string_view message) {
    store->HandleRaftMessages(c, from, message);
  });
  transport.Serve(Method::kRaftSnapshot, [&](const Context& c, NodeId from, std::string_view chunk) {
    return store->HandleSnapshotChunk(c, from, chunk);
  });
  transport.Serve(Method::kKvBatch, [&](const Context& c, NodeId, std::string_view bytes) -> StatusOr<std::string> {
    BatchRequest request;
    RETURN_IF_ERROR(wire::Decode(bytes, request));
    return wire::Encode(store->Send(c, request));
  });
  transport.SetIdentity(id, "test");
  sim_.OnFence(id, [&](runtime::Random& random) {
    node.image = engine.CrashImage({storage::CrashPolicy::Unsynced::kPrefixBySeed, random.Next()});
    engine.FailWritesWith(UnavailableError("fenced"));
    node.store = nullptr;
  });
  const Status started = store->Start(context);
  ORRERY_ASSERT(started.ok(), started.ToString());
  auto listening = transport.Start(context, runtime::Simulator::RpcAddress(id));
  ORRERY_ASSERT(listening.ok(), listening.status().ToString());
  for (const auto& [peer, unused] : nodes_) transport.SetAddress(peer, runtime::Simulator::RpcAddress(peer));
  node.engine = &engine;
  ++node.incarnation;
  node.store = store.get();
  node.clock = &clock;
  (void)runtime.scheduler().SleepUntil(context, MonoTime::Infinite()).ok();
  node.store = nullptr;
  transport.Stop();
  store->Stop(StopMode::kImmediate);
}

BatchResponse TestSender::Send(const Context& context, const BatchRequest& request) {
  return cluster_.Send(context, request);
}

BatchResponse Cluster::Send(const Context& context, BatchRequest batch) {
  const std::string key = SpanOf(batch.requests.front(), batch.header).start;
  const MonoTime limit = context.runtime().clock().MonoNow() + 10s;
  BatchResponse response;
  NodeId hint;
  for (;;) {
    std::optional<RangeDescriptor> best;
    NodeId holder;
    for (const auto& [id, node] : nodes_) {
      if (!node.store) continue;
      for (const auto& status : node.store->ListRanges()) {
        if (!status.descriptor.ContainsKey(key)) continue;
        if (!best || best->generation < status.descriptor.generation) best = status.descriptor;
        if (status.lease_valid_here || status.lease_rests_here) holder = id;
      }
    }
    if (best) {
      batch.header.range = best->range;
      batch.header.generation = best->generation;
      NodeId to = hint && best->FindNode(hint) && store(hint) ? hint : holder ? holder : NodeId();
      for (const auto& r : best->replicas) {
        if (!to && store(r.node)) to = r.node;
      }
      if (!to) to = best->replicas.front().node;
      hint = {};
      auto bytes = context.runtime().transport().Call(context.WithTimeout(6s), to, Method::kKvBatch, wire::Encode(batch));
      response = {};
      Status status = bytes.ok() ? wire::Decode(*bytes, response) : bytes.status();
      if (!status.ok()) {
        response.error = FromStatus(status.code() == Code::kUnavailable ? status : AmbiguousError(status.message()));
        if (status.code() != Code::kUnavailable) return response;
      } else if (!response.error) {
        return response;
      } else if (const auto* elsewhere = std::get_if<NotLeaseholderError>(&response.error->detail)) {
        hint = elsewhere->lease_holder.node;
      } else if (!std::holds_alternative<RangeNotFoundError>(response.error->detail) &&
                 !std::holds_alternative<RangeKeyMismatchError>(response.error->detail)) {
        return response;
      }
    }
    if (context.runtime().clock().MonoNow() > limit || !context.runtime().scheduler().SleepFor(context, 20ms).ok()) {
      if (!response.error) response.error = FromStatus(UnavailableError("no range found"));
      return response;
    }
  }
}

Status Cluster::Put(const Context& context, const std::string& key, const std::string& value) {
  BatchRequest batch;
  batch.requests.push_back(PutRequest{key, value});
  const auto response = Send(context, batch);
  return response.error ? ToStatus(*response.error) : OkStatus();
}

StatusOr<std::optional<std::string>> Cluster::Get(const Context& context, const std::string& key) {
  BatchRequest batch;
  batch.requests.push_back(GetRequest{key});
  const auto response = Send(context, batch);
  if (response.error) return ToStatus(*response.error);
  return std::get<GetResponse>(response.responses[0]).value;
}

StatusOr<std::vector<std::pair<std::string, std::string>>> Cluster::Scan(const Context& context, Span span) {
  BatchRequest batch;
  batch.requests.push_back(ScanRequest{span});
  const auto response = Send(context, batch);
  if (response.error) return ToStatus(*response.error);
  std::vector<std::pair<std::string, std::string>> out;
  for (auto row = std::get<ScanResponse>(response.responses[0]).rows.Begin(); row.Next();) {
    out.emplace_back(row.key(), row.value());
  }
  return out;
}

Transaction Cluster::NewTxn(const std::string& anchor, uint8_t isolation) {
  Timestamp now;
  for (const auto& [id, node] : nodes_) {
    if (node.store) now.Forward(node.clock->Now());
  }
  ORRERY_ASSERT(!now.IsZero(), "a transaction needs a node that is up");
  Transaction txn;
  txn.meta.id = "txn-" + std::string(12 - std::to_string(next_txn_).size(), '0') + std::to_string(next_txn_);
  ++next_txn_;
  txn.meta.anchor_key = anchor;
  txn.meta.epoch = 1;
  txn.meta.sequence = 1;
  txn.meta.isolation = isolation;
  txn.meta.write_ts = txn.meta.min_ts = txn.read_ts = now;
  txn.uncertainty_limit = {now.wall_ns + 500'000'000, 0};
  return txn;
}

NodeId Cluster::LeaseholderOf(const std::string& key) {
  for (const auto& [id, node] : nodes_) {
    if (!node.store) continue;
    for (const auto& status : node.store->ListRanges()) {
      if (status.descriptor.ContainsKey(key) && (status.lease_valid_here || status.lease_rests_here)) return id;
    }
  }
  return {};
}

bool Cluster::OnThreeVoters(const std::string& key) {
  const NodeId node = LeaseholderOf(key);
  if (!node) return false;
  for (const auto& status : store(node)->ListRanges()) {
    if (!status.descriptor.ContainsKey(key)) continue;
    size_t voters = 0;
    for (const auto& r : status.descriptor.replicas) voters += r.type == ReplicaType::kVoter;
    return voters == 3;
  }
  return false;
}

bool Cluster::Eventually(const Context& context, Duration limit, const std::function<bool()>& condition) {
  const MonoTime end = context.runtime().clock().MonoNow() + limit;
  while (!condition()) {
    if (context.runtime().clock().MonoNow() > end) return false;
    if (!context.runtime().scheduler().SleepFor(context, 50ms).ok()) return false;
  }
  return true;
}

Status Cluster::CheckReplicasAgree(const Context& context) {
  std::string report;
  const bool agreed = Eventually(context, 20s, [&] {
    report.clear();
    std::map<RangeId, std::vector<RangeDigest>> digests;
    for (const auto& [id, node] : nodes_) {
      if (!node.store) continue;
      for (const auto& status : node.store->ListRanges()) {
        if (!status.descriptor.FindReplica(status.raft.id)) continue;
        auto digest = node.store->Digest(status.descriptor.range);
        if (digest.ok()) digests[status.descriptor.range].push_back(*digest);
      }
    }
    for (const auto& [range, all] : digests) {
      for (const auto& d : all) {
        if (d.applied == all[0].applied && d.digest == all[0].digest) continue;
        report += "range " + ToString(range) + ": " + ToString(d.applied) + "/" + std::to_string(d.digest) +
                  " against " + ToString(all[0].applied) + "/" + std::to_string(all[0].digest) + "; ";
      }
    }
    return report.empty();
  });
  return agreed ? OkStatus() : InternalError("replicas differ: " + report);
}

PlacementAction FixedPlacement::Decide(const PlacementQuestion& question) {
  PlacementAction action;
  for (const auto& replica : question.descriptor.replicas) {
    bool known = false;
    for (const NodeId id : cluster_.nodes()) {
      known = known || (replica.node == id && replica.store == cluster_.StoreOf(id));
    }
    if (!known) action.remove = replica;
  }
  if (action.remove && question.descriptor.FindNode(action.remove->node)) {
    // Its node came back as another store: the old replica goes first, as one node holds one replica (R11).
    return action;
  }
  if (question.descriptor.replicas.size() >= cluster_.options().replication) return action;
  for (const NodeId id : cluster_.nodes()) {
    if (question.descriptor.FindNode(id) || !cluster_.store(id)) continue;
    action.add = ReplicaDescriptor{id, cluster_.StoreOf(id), {}, {}};
    break;
  }
  return action;
}

}  // namespace orrery::kv
