// One simulated run: a cluster, a workload, faults by the seed, then healing, liveness and the audit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/sim/nemesis.h"
#include "cli/sim/report.h"
#include "orrery/runtime/sim/simulator.h"

namespace orrery::cli {

enum class WorkloadKind : uint8_t { kBank, kRegister, kLoad };

struct RunOptions {
  uint64_t seed = 1;
  uint64_t nodes = 3;
  bool grow = false;  // begins with node 1 alone; at least three nodes
  WorkloadKind workload = WorkloadKind::kBank;
  runtime::SimBackend backend = runtime::SimBackend::kFiber;
  Duration fault_time = 8s;  // virtual
  std::optional<FaultPlan> faults;  // none: chosen by the seed
  NodeStack stack = NodeStack::kServer;
  kv::PlantedBug planted = kv::PlantedBug::kNone;
  bool record_trace = false;
  bool print_logs = false;  // of the nodes, as they come
};

struct RunResult {
  RunReport report;
  FaultPlan faults;
  uint64_t trace_hash = 0;
  uint64_t step_count = 0;
  Duration virtual_time{0};
  std::vector<std::string> trace;
  bool failed() const { return report.failed(); }
};

// Fewer have nowhere to put three voters.
constexpr uint64_t kGrownNodesMin = 3;

RunResult RunOnce(const RunOptions& options);

}  // namespace orrery::cli
