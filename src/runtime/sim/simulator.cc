#include "orrery/runtime/sim/simulator.h"

#include <utility>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "runtime/sim/world.h"
#include "runtime/sync_backend.h"

namespace orrery::runtime {

using sim::Incarnation;
using sim::World;

uint64_t World::Hash(uint64_t run_seed) { return Hash64("probes", run_seed); }

class Simulator::Impl {
 public:
  Impl(uint64_t seed, const SimulatorOptions& options) : world(seed, options) {}

  World::Node& Node(NodeId id) {
    ORRERY_ASSERT(bool(id), "node 0 is the driver");
    return world.nodes[id];
  }
  Incarnation& NewIncarnation(NodeId node) {
    World::Node& state = world.nodes[node];
    auto incarnation =
        std::make_unique<Incarnation>(world, world.incarnations.size() + 1, node, state.disk, state.wall_clock);
    state.running = incarnation.get();
    world.incarnations.push_back(std::move(incarnation));
    return *state.running;
  }
  void AssertInDriver() const {
    ORRERY_ASSERT(!world_task() || world_task()->owner == 1, "the simulator is driven by the driver's tasks");
  }
  const sim::SimTask* world_task() const { return const_cast<World&>(world).loop.current(); }

  World world;
  Incarnation* driver = nullptr;
  bool failed = false;
};

Simulator::Simulator(uint64_t seed, SimulatorOptions options) {
  SetProcessMode(Mode::kSimulation);  // before the world's first Mutex
  impl_ = std::make_unique<Impl>(seed, options);
  internal::InstallSyncBackend(&impl_->world.sync);
  impl_->driver = &impl_->NewIncarnation(NodeId());
}

Simulator::~Simulator() {
  // The tasks of a failed run stand where they were; what they may refer to is abandoned with them.
  if (impl_->failed) (void)impl_.release();
  impl_.reset();
  internal::InstallSyncBackend(nullptr);
}

Status Simulator::Run(absl::AnyInvocable<Status(const Context&)> body) {
  Status result;
  impl_->driver->SpawnRaw(
      "main", 1 << 20,
      [this, &result, body = std::move(body)]() mutable {
        result = body(impl_->driver->root().context);
        for (auto& [id, node] : impl_->world.nodes)
          if (id && node.running) StopNode(id);
      },
      [] {});
  const Status run = impl_->world.loop.Run();
  impl_->failed = !run.ok();
  return run.ok() ? result : run.Annotate("seed " + std::to_string(seed()));
}

uint64_t Simulator::seed() const { return impl_->world.seed; }
uint64_t Simulator::trace_hash() const { return impl_->world.loop.trace_hash(); }
std::vector<std::string> Simulator::trace() const { return impl_->world.loop.trace(); }
MonoTime Simulator::now() const { return impl_->world.loop.now(); }
uint64_t Simulator::step_count() const { return impl_->world.loop.step_count(); }
Random& Simulator::random() { return impl_->driver->random(); }
ProbeRegistry& Simulator::probes() { return impl_->world.probes; }

void Simulator::StartNode(NodeId node, NodeMain main) {
  impl_->AssertInDriver();
  ORRERY_ASSERT(!impl_->Node(node).running, "StartNode: the node is not running");
  Incarnation& incarnation = impl_->NewIncarnation(node);
  impl_->world.loop.Trace("start", node.value(), incarnation.id());
  incarnation.SpawnRaw(
      "main", 1 << 20,
      [&incarnation, main = std::move(main)] { main(incarnation.root().context); }, [] {});
}

void Simulator::CrashNode(NodeId node) {
  impl_->AssertInDriver();
  World& world = impl_->world;
  World::Node& state = impl_->Node(node);
  ORRERY_ASSERT(state.running != nullptr, "CrashNode: the node is running");
  Incarnation& incarnation = *std::exchange(state.running, nullptr);
  world.loop.Trace("crash", node.value(), incarnation.id());
  world.loop.Thaw(incarnation.id());
  incarnation.Fence();
  world.exchange.OnFence(incarnation);
  world.streams.OnFence(incarnation);
  state.disk.Crash(world.loop.random());
  for (const auto& callback : state.on_fence) callback(world.loop.random());
  incarnation.root().Cancel();
  incarnation.Drain();
}

void Simulator::StopNode(NodeId node) {
  impl_->AssertInDriver();
  World::Node& state = impl_->Node(node);
  ORRERY_ASSERT(state.running != nullptr, "StopNode: the node is running");
  Incarnation& incarnation = *std::exchange(state.running, nullptr);
  impl_->world.loop.Trace("stop", node.value(), incarnation.id());
  impl_->world.loop.Thaw(incarnation.id());
  incarnation.root().Cancel();
  incarnation.Drain();
  impl_->world.exchange.OnFence(incarnation);
  impl_->world.streams.OnFence(incarnation);
  incarnation.Fence();
}

void Simulator::PauseNode(NodeId node, Duration duration) {
  impl_->AssertInDriver();
  ORRERY_ASSERT(IsRunning(node), "PauseNode: the node is running");
  impl_->world.loop.Freeze(impl_->Node(node).running->id(), now() + duration);
}

bool Simulator::IsRunning(NodeId node) const {
  const auto it = impl_->world.nodes.find(node);
  return it != impl_->world.nodes.end() && it->second.running;
}

Runtime& Simulator::NodeRuntime(NodeId node) {
  ORRERY_ASSERT(IsRunning(node), "NodeRuntime: the node is running");
  return *impl_->Node(node).running;
}

void Simulator::OnFence(NodeId node, std::function<void(Random&)> callback) {
  impl_->Node(node).on_fence.push_back(std::move(callback));
}

void Simulator::WipeDisk(NodeId node) {
  ORRERY_ASSERT(!IsRunning(node), "WipeDisk: the node is stopped");
  impl_->Node(node).disk.Wipe();
}

std::string Simulator::RpcAddress(NodeId node) { return "node" + ToString(node) + ".sim:7000"; }

void Simulator::SetDefaultLink(const SimLinkOptions& options) { impl_->world.weather.SetDefault(options); }
void Simulator::SetLink(NodeId from, NodeId to, const SimLinkOptions& options) {
  impl_->world.weather.Own(from, to) = options;
}
void Simulator::CutLink(NodeId from, NodeId to) { impl_->world.weather.Own(from, to).cut = true; }
void Simulator::Partition(NodeId a, NodeId b) {
  CutLink(a, b);
  CutLink(b, a);
}
void Simulator::Isolate(NodeId node) {
  for (const auto& [other, state] : impl_->world.nodes)
    if (other && other != node) Partition(node, other);
}
void Simulator::HealAll() { impl_->world.weather.Heal(); }

void Simulator::SetWallClock(NodeId node, Duration offset, int64_t drift_ppm) {
  impl_->world.nodes[node].wall_clock = {offset, drift_ppm, impl_->world.loop.now()};
}

}  // namespace orrery::runtime
