#include "cli/sim/nemesis.h"

#include <algorithm>

#include "cli/sim/growth.h"

namespace orrery::cli {

using runtime::Context;
using runtime::SimLinkOptions;

FaultPlan PlanFaults(uint64_t seed) {
  Rng rng(seed, "faults");
  FaultPlan plan;
  bool* kinds[] = {&plan.crash_one, &plan.crash_many,      &plan.partitions,    &plan.one_way,
                   &plan.weather,   &plan.slow_links,      &plan.clocks,        &plan.splits,
                   &plan.splits,    &plan.lease_transfers, &plan.clocks_broken, &plan.stops,
                   &plan.pauses};
  for (uint64_t left = 2 + rng.Below(3); left > 0; --left) *kinds[rng.Below(std::size(kinds))] = true;
  return plan;
}

namespace {

struct FaultName {
  std::string_view name;
  bool FaultPlan::*member;
};
constexpr std::string_view kLyingDisk = "lying-disk";
constexpr FaultName kFaultNames[] = {
    {"crash", &FaultPlan::crash_one},          {"crash-many", &FaultPlan::crash_many},
    {"partition", &FaultPlan::partitions},     {"one-way", &FaultPlan::one_way},
    {"weather", &FaultPlan::weather},          {"slow-link", &FaultPlan::slow_links},
    {"clock", &FaultPlan::clocks},             {"clock-broken", &FaultPlan::clocks_broken},
    {"split", &FaultPlan::splits},             {"lease-transfer", &FaultPlan::lease_transfers},
    {"stop", &FaultPlan::stops},               {"pause", &FaultPlan::pauses},
    {"replicas", &FaultPlan::replica_changes}, {kLyingDisk, &FaultPlan::lying_disk},
};

}  // namespace

std::string FaultPlan::ToString() const {
  std::string text;
  for (const auto& [name, member] : kFaultNames) {
    if (this->*member) text += (text.empty() ? "" : "+") + std::string(name);
  }
  return text.empty() ? "none" : text;
}

std::string FaultNames() {
  std::string text;
  for (const auto& [name, member] : kFaultNames) text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

std::optional<FaultPlan> ParseFaults(std::string_view text) {
  FaultPlan plan;
  if (text == "none") return plan;
  if (text == "all") {
    for (const auto& [name, member] : kFaultNames) plan.*member = name != kLyingDisk;
    return plan;
  }
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    const auto* fault = std::find_if(std::begin(kFaultNames), std::end(kFaultNames),
                                     [&](const FaultName& known) { return known.name == name; });
    if (fault == std::end(kFaultNames)) return std::nullopt;
    plan.*(fault->member) = true;
  }
  return plan;
}

namespace {

constexpr Duration kGrowthLook = 3ms;

// One nemesis at work: what it breaks it mends itself.
class Nemesis {
 public:
  Nemesis(const Context& context, SimCluster& cluster, const FaultPlan& plan)
      : context_(context),
        cluster_(cluster),
        sim_(cluster.sim()),
        plan_(plan),
        rng_(cluster.options().seed, "nemesis") {
    using Fault = void (Nemesis::*)();
    const auto add = [&](bool on, Fault fault) {
      if (on) faults_.push_back(fault);
    };
    add(plan.crash_one, &Nemesis::CrashOne);
    add(plan.crash_many, &Nemesis::CrashMany);
    const bool wires = cluster.options().nodes > 1;
    add(wires && plan.partitions, &Nemesis::Partition);
    add(wires && plan.one_way, &Nemesis::OneWay);
    add(wires && plan.slow_links, &Nemesis::SlowLink);
    add(plan.clocks || plan.clocks_broken, &Nemesis::Clock);
    add(plan.stops, &Nemesis::Stop);
    add(plan.pauses, &Nemesis::Pause);
  }

  Status Run(MonoTime end) {
    if (plan_.weather) SetWeather();
    while (sim_.now() < end) {
      const Duration pause = rng_.Between(50ms, 1500ms);
      if (cluster_.options().grows && (plan_.crash_one || plan_.crash_many) && rng_.Percent(70)) {
        CrashWhereARangeGrows(std::min(pause, end - sim_.now()));
      } else {
        RETURN_IF_ERROR(Sleep(pause));
      }
      if (sim_.now() >= end) break;
      cluster_.RestartStopped();
      if (!faults_.empty()) (this->*faults_[rng_.Below(faults_.size())])();
    }
    return OkStatus();
  }

 private:
  Status Sleep(Duration duration) { return context_.runtime().scheduler().SleepFor(context_, duration); }
  NodeId AnyNode() { return NodeId(1 + rng_.Below(cluster_.size())); }
  // Precondition: it is not the only one.
  NodeId Other(NodeId node) {
    return NodeId(1 + (node.value() - 1 + 1 + rng_.Below(cluster_.size() - 1)) % cluster_.size());
  }
  bool Alone() const { return cluster_.size() == 1; }
  // The one that hurts most, or any.
  NodeId Victim() {
    if (rng_.Percent(50)) {
      if (const NodeId holder = cluster_.LeaseholderOf(
              rng_.Percent(30) ? kv::kMetaPrefix : kv::TablePrefix(DescriptorId(1000))))
        return holder;
    }
    return AnyNode();
  }
  void Bring(NodeId node) {
    if (!cluster_.IsUp(node)) cluster_.Start(node);
  }

  void CrashOne() {
    const NodeId victim = Victim();
    cluster_.Crash(victim);
    (void)Sleep(rng_.Between(1ms, rng_.Percent(70) ? 500ms : 3s)).ok();
    Bring(victim);
    // Now and then again, while it is still finding its feet.
    if (!rng_.Percent(25)) return;
    (void)Sleep(rng_.Between(1ms, 300ms)).ok();
    cluster_.Crash(victim);
    Bring(victim);
  }
  // Waits for a range on its way from one voter to three, and crashes who leads it, or one of the others, there.
  void CrashWhereARangeGrows(Duration wait) {
    const MonoTime end = sim_.now() + wait;
    const GrowthStage stage = rng_.Percent(60) ? GrowthStage::kLearner : GrowthStage::kTwoVoters;
    NodeId leader;
    while (!(leader = LeaderAtStage(cluster_, stage))) {
      if (sim_.now() >= end || !Sleep(kGrowthLook).ok()) return;
    }
    if (rng_.Percent(60)) (void)Sleep(rng_.Between(1us, 25ms)).ok();
    const NodeId victim = rng_.Percent(70) ? leader : AnyNode();
    if (!cluster_.IsUp(victim)) return;
    cluster_.report().Count(stage == GrowthStage::kLearner ? "crashes beside a learner" : "crashes of one of two voters");
    cluster_.Crash(victim);
    (void)Sleep(rng_.Between(1ms, 500ms)).ok();
    Bring(victim);
  }
  void CrashMany() {
    const uint64_t count = rng_.Percent(50) ? cluster_.size() : cluster_.size() / 2 + 1;
    const uint64_t first = rng_.Below(cluster_.size());
    cluster_.report().Count("crashes of a majority or all");
    runtime::TaskGroup group(context_, "crashes");
    for (uint64_t i = 0; i < count; ++i) {
      const NodeId victim(1 + (first + i) % cluster_.size());
      // At one instant, or within some milliseconds.
      const Duration delay = rng_.Percent(50) ? Duration(0) : rng_.Between(0ms, 20ms);
      const Duration down = rng_.Between(1ms, 2s);
      group.Spawn({.name = "crash"}, [this, victim, delay, down](const Context& c) {
        if (delay > Duration(0)) (void)c.runtime().scheduler().SleepFor(c, delay).ok();
        cluster_.Crash(victim);
        (void)c.runtime().scheduler().SleepFor(c, down).ok();
        Bring(victim);
        return OkStatus();
      });
    }
    (void)group.Join().ok();
  }
  void Stop() {
    const NodeId victim = Victim();
    if (!cluster_.IsUp(victim)) return;
    cluster_.report().Count("graceful stops");
    sim_.StopNode(victim);
    (void)Sleep(rng_.Between(1ms, 1s)).ok();
    Bring(victim);
  }
  // Others may take over meanwhile; when it goes on it still believes what it believed.
  void Pause() {
    const NodeId victim = Victim();
    if (!cluster_.IsUp(victim)) return;
    cluster_.report().Count("pauses");
    const Duration pause = rng_.Percent(40) ? rng_.Between(5ms, 600ms) : rng_.Between(600ms, 4s);
    sim_.PauseNode(victim, pause);
    if (rng_.Percent(70)) (void)Sleep(pause).ok();
  }
  void Partition() {
    if (Alone()) return;
    cluster_.report().Count("partitions");
    const NodeId victim = Victim();
    switch (rng_.Below(3)) {
      case 0:
        sim_.Isolate(victim);
        break;
      case 1:
        sim_.Partition(victim, Other(victim));
        break;    // a bridge: the third sees both
      default: {  // halves
        const uint64_t half = cluster_.size() / 2;
        for (uint64_t a = 0; a < cluster_.size(); ++a) {
          for (uint64_t b = a + 1; b < cluster_.size(); ++b) {
            const bool a_left = (a + victim.value()) % cluster_.size() < half;
            const bool b_left = (b + victim.value()) % cluster_.size() < half;
            if (a_left != b_left) sim_.Partition(NodeId(a + 1), NodeId(b + 1));
          }
        }
      }
    }
    MendAfter(rng_.Between(100ms, 4s));
  }
  void OneWay() {
    if (Alone()) return;
    cluster_.report().Count("one-way cuts");
    const NodeId victim = Victim();
    sim_.CutLink(victim, Other(victim));
    if (rng_.Percent(30)) {
      for (const NodeId node : cluster_.nodes()) {
        if (node != victim) sim_.CutLink(victim, node);  // it hears all and is heard by nobody
      }
    }
    MendAfter(rng_.Between(100ms, 4s));
  }
  void SlowLink() {
    if (Alone()) return;
    cluster_.report().Count("slow links");
    SimLinkOptions slow;
    slow.delay_min = rng_.Between(5ms, 100ms);
    slow.delay_max = slow.delay_min + rng_.Between(1ms, 400ms);
    const NodeId victim = Victim();
    const NodeId other = Other(victim);
    sim_.SetLink(victim, other, slow);
    if (rng_.Percent(60)) sim_.SetLink(other, victim, slow);
    MendAfter(rng_.Between(200ms, 4s));
  }
  void Clock() {
    const int64_t bound = cluster_.options().store.max_clock_offset.count();
    const NodeId victim = AnyNode();
    // Any two clocks stay within the bound, and within what Membership still calls fit.
    int64_t reach = bound * 35 / 100;
    if (plan_.clocks_broken && rng_.Percent(50)) reach = bound * 3;
    const Duration offset(int64_t(rng_.Below(uint64_t(2 * reach))) - reach);
    const int64_t drift = plan_.clocks_broken ? int64_t(rng_.Below(100'000)) - 50'000 : 0;
    cluster_.report().Count("clock jumps");
    sim_.SetWallClock(victim, offset, drift);
    // Strobe: several jumps in a row.
    for (int i = 0; plan_.clocks && rng_.Percent(50) && i < 10; ++i) {
      if (!Sleep(rng_.Between(5ms, 150ms)).ok()) return;
      sim_.SetWallClock(victim, Duration(int64_t(rng_.Below(uint64_t(bound * 70 / 100))) - bound * 35 / 100),
                        0);
    }
  }
  void MendAfter(Duration duration) {
    (void)Sleep(duration).ok();
    sim_.HealAll();
  }
  void SetWeather() {
    SimLinkOptions link;
    if (rng_.Percent(70)) link.loss = uint32_t(10 + rng_.Below(rng_.Percent(30) ? 290 : 90));
    if (rng_.Percent(60)) link.duplication = uint32_t(10 + rng_.Below(190));
    if (rng_.Percent(70)) link.reorder = uint32_t(10 + rng_.Below(290));
    if (rng_.Percent(40)) link.delay_max = rng_.Between(2ms, 60ms);
    sim_.SetDefaultLink(link);
  }

  const Context& context_;
  SimCluster& cluster_;
  runtime::Simulator& sim_;
  const FaultPlan& plan_;
  Rng rng_;
  std::vector<void (Nemesis::*)()> faults_;
};

}  // namespace

Status RunNemesis(const Context& context, SimCluster& cluster, const FaultPlan& plan, MonoTime end) {
  return Nemesis(context, cluster, plan).Run(end);
}

void HealAll(SimCluster& cluster) {
  cluster.sim().SetDefaultLink({});
  cluster.sim().HealAll();
  for (const NodeId node : cluster.nodes()) cluster.sim().SetWallClock(node, Duration(0), 0);
  for (const NodeId node : cluster.nodes()) {
    if (!cluster.IsUp(node)) cluster.Start(node);
  }
  cluster.RestartStopped();
}

void AdministerOnce(ClientEnv& env, SimCluster& cluster, const Workload& workload, const FaultPlan& plan) {
  const Context context = env.context.WithTimeout(20s);
  if (plan.replica_changes && (env.rng.Percent(30) || !(plan.splits || plan.lease_transfers))) {
    return ChangeReplicasOnce(env, cluster, context);
  }
  if (plan.splits && env.rng.Percent(plan.lease_transfers ? 30 : 100)) {
    const Status split = env.database.Split(context, workload.SplitKey(env.rng));
    cluster.report().Count(split.ok() ? "splits asked for and done" : "splits refused");
  } else if (plan.lease_transfers) {
    // A lease is given away by its holder: a request for it has no key to be routed by.
    std::vector<kv::RangeDescriptor> held;
    for (const auto& range : env.life->store->ListRanges()) {
      if ((range.lease_valid_here || range.lease_rests_here) && range.descriptor.replicas.size() > 1) held.push_back(range.descriptor);
    }
    if (held.empty()) return;
    const auto& range = held[env.rng.Below(held.size())];
    kv::BatchRequest batch;
    batch.requests.push_back(
        kv::AdminTransferLeaseRequest{range.replicas[env.rng.Below(range.replicas.size())].node});
    batch.header.range = range.range;
    batch.header.generation = range.generation;
    const auto response = env.life->store->Send(context, batch);
    cluster.report().Count(response.error ? "lease transfers refused" : "lease transfers asked for and done");
  }
}

}  // namespace orrery::cli
