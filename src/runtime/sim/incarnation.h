// Incarnation: one life of a simulated node (or of the driver): its Runtime. It stays until the end of the
// simulation, as contexts and events may still name it; after its crash it is *fenced*: whatever it does then
// has no effect outside itself.
#pragma once

#include <memory>
#include <string>

#include "orrery/runtime/runtime.h"
#include "runtime/seeded_random.h"
#include "runtime/sim/disk.h"
#include "runtime/sim/loop.h"

namespace orrery::runtime::sim {

class World;
class SimTransport;
class SimNetwork;

// A node's wall clock, which outlives its incarnations as hardware does.
struct WallClock {
  Duration offset{0};
  int64_t drift_ppm = 0;
  MonoTime drift_since{};
};

class Incarnation final : public Runtime {
 public:
  Incarnation(World& world, uint64_t id, NodeId node, Disk& disk, WallClock& wall_clock);
  ~Incarnation() override;

  Clock& clock() override;
  Random& random() override { return random_; }
  Scheduler& scheduler() override;
  FileSystem& file_system() override;
  Transport& transport() override;
  Network& network() override;
  ProbeRegistry& probes() override;

  World& world() { return world_; }
  Loop& loop();
  uint64_t id() const { return id_; }
  NodeId node() const { return node_; }
  bool fenced() const { return fenced_; }
  void Fence() { fenced_ = true; }
  SimTransport& sim_transport() { return *transport_; }
  const Context::Cancellable& root() const { return root_; }

  // A task of this incarnation.
  SimTask& SpawnRaw(std::string name, size_t stack_bytes, absl::AnyInvocable<void()> body,
                    absl::AnyInvocable<void()> on_end);
  // Waits until none of its tasks lives; fails the run when that takes too long.
  void Drain();

 private:
  class NodeClock;
  class TaskScheduler;
  class NodeFiles;

  World& world_;
  const uint64_t id_;
  const NodeId node_;
  SeededRandom random_;
  bool fenced_ = false;
  size_t task_count_ = 0;
  WaitQueue no_tasks_;
  std::unique_ptr<NodeClock> clock_;
  std::unique_ptr<TaskScheduler> scheduler_;
  std::unique_ptr<NodeFiles> files_;
  std::unique_ptr<SimTransport> transport_;
  std::unique_ptr<SimNetwork> network_;
  Context::Cancellable root_;
};

}  // namespace orrery::runtime::sim
