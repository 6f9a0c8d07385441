#include "cli/sim/run.h"

#include <iterator>

#include "cli/sim/audit.h"
#include "cli/sim/growth.h"
#include "cli/sim/workload.h"

namespace orrery::cli {

using runtime::Context;

namespace {

constexpr Duration kLivenessLimit = 60s;
constexpr Duration kWatchInterval = 40ms;
constexpr uint64_t kLooksPerMemory = 25;
constexpr Duration kHandOverTimeMax = 5s;
// A run in which less than this happened proves nothing (H4).
constexpr uint64_t kOperationsMin = 30;

// The phases of one run.
class Run {
 public:
  Run(const RunOptions& options, RunResult& result)
      : options_(options), result_(result), cluster_(ClusterOptions(options, result.faults), result.report),
        pace_(Rng(options.seed, "pace").Percent(30) ? 8ms : 60ms) {
    workload_ = MakeWorkload();
  }

  void Execute() {
    const Status status = cluster_.sim().Run([this](const Context& context) { return Phases(context); });
    if (!status.ok()) result_.report.Violate("the run comes to its end", std::string(status.message()));
    result_.trace_hash = cluster_.sim().trace_hash();
    result_.step_count = cluster_.sim().step_count();
    result_.virtual_time = Duration(cluster_.sim().now().ns);
    if (options_.record_trace) result_.trace = cluster_.sim().trace();
  }

 private:
  std::unique_ptr<Workload> MakeWorkload() {
    switch (options_.workload) {
      case WorkloadKind::kBank: return NewBankWorkload(cluster_);
      case WorkloadKind::kLoad: return NewLoadWorkload(cluster_);
      case WorkloadKind::kRegister: break;
    }
    return NewRegisterWorkload(cluster_, result_.faults.clocks_broken ? ClockPromise::kBroken : ClockPromise::kWithinBound);
  }

  static SimClusterOptions ClusterOptions(const RunOptions& options, const FaultPlan& faults) {
    Rng rng(options.seed, "cluster");
    SimClusterOptions cluster;
    cluster.seed = options.seed;
    cluster.nodes = options.nodes;
    cluster.grows = options.grow;
    cluster.stack = options.stack;
    cluster.store.planted = options.planted;
    cluster.print_logs = options.print_logs;
    // Delay makes offsets look larger than they are, so that clocks well within the bound may seem beyond it.
    cluster.disks_lie = faults.lying_disk;
    cluster.clocks_may_fail = faults.clocks || faults.clocks_broken;
    cluster.clients_per_node = 1 + rng.Below(4);
    cluster.simulator.backend = options.backend;
    cluster.simulator.record_trace = options.record_trace;
    cluster.simulator.time_max = std::chrono::minutes(10);
    cluster.simulator.step_count_max = 50'000'000;
    cluster.simulator.preemption_permille = uint32_t(rng.Percent(50) ? 5 : 30);
    // Small limits make rare paths common: splits by size, truncated logs and so RaftSnapshots.
    if (rng.Percent(40)) cluster.store.range_bytes_max = 8'000 + rng.Below(60'000);
    if (rng.Percent(50)) cluster.store.raft_log_entries_min = 4 + rng.Below(12);
    if (rng.Percent(40)) cluster.store.raft_log_bytes_max = 2'000 + rng.Below(30'000);
    // Mostly so short that ranges go quiet between two requests, now and then as in production, rarely never.
    const uint64_t quiesce = rng.Below(10);
    if (quiesce < 7) cluster.store.quiesce_after = Duration(10ms) + Duration(int64_t(rng.Below(500'000'000)));
    if (quiesce == 9) cluster.store.quiesce_after = Duration(0);
    // Reads are lent mostly at once, or soon, after a write, and rarely as in production (which no run waits for).
    Rng lending(options.seed, "lending");
    cluster.store.lend_after = lending.Percent(80) ? lending.Between(0ms, 100ms) : 1s;
    // Every load is a small one here: mostly all are ingested, else only the larger ones, or none.
    constexpr uint64_t kLoadBytesMin[] = {1, 1, 1'000, 2'500, 0};
    cluster.store.load_bytes_min = kLoadBytesMin[Rng(options.seed, "ingest").Below(std::size(kLoadBytesMin))];
    // Mostly more than ever waits, else little: proposals wait for those before them.
    constexpr uint64_t kProposedBytesMax[] = {16 << 20, 16 << 20, 20'000, 2'000, 200};
    cluster.store.proposed_bytes_max = kProposedBytesMax[Rng(options.seed, "proposed").Below(std::size(kProposedBytesMax))];
    // The queue adds one replica a look: in some runs one after the other, in others nearly all at once.
    if (Rng growth(options.seed, "growth pace"); options.grow && growth.Percent(70)) {
      cluster.store.queue_interval = growth.Between(50ms, 600ms);
    }
    return cluster;
  }

  Status Phases(const Context& context) {
    cluster_.SetClientBody([this](ClientEnv& env) { Client(env); });
    for (const NodeId node : cluster_.nodes()) cluster_.Start(node);
    const Status ready = SetUp(context);
    if (!ready.ok()) {
      result_.report.Violate(kUpRule, ready.ToString());
      return OkStatus();
    }
    loaded_ = true;
    Break(context);
    cluster_.sim().probes().StopBuggify();
    HealAll(cluster_);
    Recover(context);
    stop_ = true;
    WaitForClients(context);
    CheckLiveness(context, cluster_, kLivenessLimit);
    if (options_.grow) CheckGrown(context, cluster_, kLivenessLimit);
    VersionModel model;
    Audit(context, cluster_, model);
    workload_->Check(cluster_, model);
    CheckEnoughHappened();
    for (const auto& [name, hits] : cluster_.sim().probes().Hits()) result_.report.Count("probe " + name, hits);
    return OkStatus();
  }

  // Waits for the cluster to be able to work, as the one that starts it would.
  Status SetUp(const Context& context) {
    Status status;
    const MonoTime end = cluster_.sim().now() + 30s;
    do {
      (void)context.runtime().scheduler().SleepFor(context, 200ms).ok();
      status = cluster_.RunOn(NodeId(1), "setup", [&](ClientEnv& env) { return workload_->Setup(env); });
    } while (!status.ok() && cluster_.sim().now() < end);
    return status;
  }

  void Break(const Context& context) {
    const MonoTime end = cluster_.sim().now() + options_.fault_time;
    bool watching = true;
    runtime::TaskGroup group(context, "faults");
    group.Spawn({.name = "watcher"}, [&](const Context& c) {
      Watcher watcher(cluster_);
      for (uint64_t look = 0; watching; ++look) {
        if (look % kLooksPerMemory == 0) cluster_.RememberDisks();
        watcher.LookOnce();
        (void)c.runtime().scheduler().SleepFor(c, kWatchInterval).ok();
      }
      return OkStatus();
    });
    group.Spawn({.name = "growth"}, [&](const Context& c) { return RunGrowth(c, cluster_, options_.fault_time); });
    (void)RunNemesis(context, cluster_, result_.faults, end).ok();
    const Duration left = end - cluster_.sim().now();
    if (left > Duration(0)) (void)context.runtime().scheduler().SleepFor(context, left).ok();
    watching = false;
    (void)group.Join().ok();
  }

  // Load goes on for a while: recovery happens under it. And until the run has something to prove.
  void Recover(const Context& context) {
    // A node that gives itself up for its clock serves on while it hands its leases over, and is gone only then.
    const bool may_stop = result_.faults.clocks || result_.faults.clocks_broken;
    const MonoTime earliest = cluster_.sim().now() + (may_stop ? kHandOverTimeMax : 1s);
    const MonoTime latest = cluster_.sim().now() + kLivenessLimit;
    while (cluster_.sim().now() < earliest || (OperationsDone() < kOperationsMin && cluster_.sim().now() < latest)) {
      (void)context.runtime().scheduler().SleepFor(context, 100ms).ok();
      cluster_.RestartStopped();
    }
  }

  uint64_t OperationsDone() const {
    return result_.report.CountOf("transfers committed") + result_.report.CountOf("operations committed");
  }

  void Client(ClientEnv& env) {
    ++clients_;
    const bool administrator = env.id % cluster_.options().clients_per_node == 0;
    auto& scheduler = env.context.runtime().scheduler();
    while (!stop_ && !env.context.cancelled() && !env.life->fenced) {
      (void)scheduler.SleepFor(env.context, env.rng.Between(1ms, pace_)).ok();
      if (!loaded_ || stop_ || env.context.cancelled()) continue;
      if (administrator && env.rng.Percent(15)) AdministerOnce(env, cluster_, *workload_, result_.faults);
      workload_->Step(env);
    }
    --clients_;
  }

  void WaitForClients(const Context& context) {
    const MonoTime end = cluster_.sim().now() + kLivenessLimit;
    while (clients_ > 0 && cluster_.sim().now() < end) {
      cluster_.RestartStopped();
      (void)context.runtime().scheduler().SleepFor(context, 50ms).ok();
    }
    if (clients_ > 0) result_.report.Violate("I24 no request is stuck after healing", std::to_string(clients_) + " clients still wait");
  }

  void CheckEnoughHappened() {
    const uint64_t done = OperationsDone();
    if (done < kOperationsMin) {
      result_.report.Violate("H4 a run is not empty", "only " + std::to_string(done) + " operations succeeded");
    }
  }

  static constexpr const char* kUpRule = "a cluster without faults takes writes within 30 s";
  const RunOptions& options_;
  RunResult& result_;
  SimCluster cluster_;
  std::unique_ptr<Workload> workload_;
  const Duration pace_;  // between two operations of a client, at most
  bool loaded_ = false;
  bool stop_ = false;
  uint64_t clients_ = 0;
};

}  // namespace

RunResult RunOnce(const RunOptions& options) {
  RunResult result;
  result.faults = options.faults.value_or(PlanFaults(options.seed));
  if (options.grow && !options.faults) result.faults.replica_changes = Rng(options.seed, "replica changes").Percent(50);
  Run(options, result).Execute();
  return result;
}

}  // namespace orrery::cli
