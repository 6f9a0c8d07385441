// Simulator: whole clusters in one process, one task at a time, under virtual time and a seed. The same seed
// and sources give the same run, on either back end; trace_hash() proves it.
//
// A run: construct, Run(body). The body is the first task of the run, on a runtime of its own (the *driver*):
// it starts, crashes and restarts nodes, is the clients and the nemesis, and its Status is the run's. All
// methods are called from the driver's tasks (or before Run). One Simulator at a time in a process, which it
// puts into Mode::kSimulation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "orrery/base/ids.h"
#include "orrery/base/status.h"
#include "orrery/base/time.h"
#include "orrery/runtime/runtime.h"

namespace orrery::runtime {

enum class SimBackend {
  kFiber,  // Boost.Context: fast; stacks with a guard page
  kBaton,  // OS threads of which exactly one runs: for debuggers and sanitizers
};

// The wires between two nodes (or the driver and a node), each direction by itself. Probabilities in permille.
struct SimLinkOptions {
  Duration delay_min = 50us;
  Duration delay_max = 1ms;
  uint32_t loss = 0;         // one-way messages that vanish
  uint32_t duplication = 0;  // one-way messages that arrive twice
  uint32_t reorder = 0;      // one-way messages that are held back up to 20 times delay_max
  bool cut = false;          // nothing passes; streams and calls stall, then break
};

struct SimulatorOptions {
  SimBackend backend = SimBackend::kFiber;
  uint32_t preemption_permille = 20;     // at Lock, Unlock and Notify
  uint32_t spurious_wakeup_permille = 5; // at CondVar::Wait
  Duration time_max = std::chrono::hours(1);    // virtual; past it the run fails
  Duration step_cost = 100ns;            // virtual time one task switch takes, so that polling ends
  uint64_t step_count_max = 200'000'000; // task switches in all; past it the run fails
  Duration drain_max = std::chrono::minutes(1); // virtual; a crashed node's tasks must have ended by then
  Duration call_break_min = 200ms;       // how long a call over a broken wire takes to notice
  Duration call_break_max = 3s;
  Duration disk_delay_max = 2ms;         // of a FileSystem write
  int64_t wall_start_ns = 1'767'225'600'000'000'000;  // 2026-01-01T00:00:00Z
  SimLinkOptions link;                   // of pairs without an own setting
  bool record_trace = false;             // keep every event as text, for finding the first difference
  bool buggify = true;
};

// What a node does with its life: builds itself upon context.runtime(), serves until the context is cancelled,
// takes itself apart and returns. Every task it spawned must have ended by then. All its contexts come from the
// one given: a fresh Context(runtime) would not be cancelled by a crash.
using NodeMain = std::function<void(const Context&)>;

class Simulator {
 public:
  Simulator(uint64_t seed, SimulatorOptions options);
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // Runs `body` as the driver until it returns, then stops the nodes that still run. The body's Status, or why
  // the run failed: deadlock (naming every task and what it waits for), a lock order violation, a mutex held
  // across a wait, a task that outlives its node, a limit. Once.
  Status Run(absl::AnyInvocable<Status(const Context&)> body);

  uint64_t seed() const;
  uint64_t trace_hash() const;
  std::vector<std::string> trace() const;  // with record_trace
  MonoTime now() const;
  uint64_t step_count() const;
  Random& random();  // the driver's, for workloads and nemeses
  ProbeRegistry& probes();

  // Starts an incarnation of the node over its surviving disk. Precondition: it is not running.
  void StartNode(NodeId node, NodeMain main);
  // Crash: fences disk and network at this instant (unsynced data is lost, wholly or partly or torn, by the
  // seed), calls the OnFence callback, cancels the root context, waits until every task of the node has ended.
  void CrashNode(NodeId node);
  // Graceful stop: cancels the root context and waits for the end; nothing is lost.
  void StopNode(NodeId node);
  // Its tasks stand still for a while, as those of a process that is stopped: clocks go on, messages pile up. A crash
  // or a stop ends it. Precondition: the node is running.
  void PauseNode(NodeId node, Duration duration);
  bool IsRunning(NodeId node) const;
  // The incarnation's runtime. Precondition: it runs.
  Runtime& NodeRuntime(NodeId node);
  // Called at each later crash of the node, after the fence and before its tasks learn of it: where an engine
  // with a crash image of its own takes it. May take mutexes, must not wait otherwise.
  void OnFence(NodeId node, std::function<void(Random&)> callback);
  // Forgets every file of a stopped node, as if its disk had been replaced.
  void WipeDisk(NodeId node);

  // The usual address for the node's Transport::Start, "node1.sim:7000"; any other will do as well. A node's
  // transport has the identity {node, "sim"} until SetIdentity says otherwise.
  static std::string RpcAddress(NodeId node);

  // Weather. NodeId() is the driver.
  void SetDefaultLink(const SimLinkOptions& options);
  void SetLink(NodeId from, NodeId to, const SimLinkOptions& options);
  void CutLink(NodeId from, NodeId to);  // one way
  void Partition(NodeId a, NodeId b);    // both ways
  void Isolate(NodeId node);             // from every node, not from the driver
  void HealAll();                        // back to the default link everywhere
  // The node's wall clock: true time + offset, running `drift_ppm` fast from now on. A jump is a new offset.
  void SetWallClock(NodeId node, Duration offset, int64_t drift_ppm);

  class Impl;  // private to src/runtime/sim

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::runtime
