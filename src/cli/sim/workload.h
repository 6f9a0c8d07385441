// Workload: what the clients of a simulated cluster do, and how its outcome is judged. One object a run; called
// by tasks of all nodes, one at a time as all in a simulation.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/sim/cluster.h"
#include "cli/sim/model.h"

namespace orrery::cli {

// What became of a transaction, as far as its client could tell (T18).
enum class Outcome : uint8_t {
  kCommitted,
  kNotCommitted,  // proven: its effects must never be seen
  kUnknown,       // either
};
// Of a transaction whose last step ended with `status`. A client on a node that has crashed hears nothing.
Outcome OutcomeOf(const ClientEnv& env, const Status& status, bool commit_sent);

class Workload {
 public:
  virtual ~Workload() = default;
  // The data at the beginning, without faults.
  virtual Status Setup(ClientEnv& env) = 0;
  // One operation of a client, recorded by the workload. A violation seen at once is reported at once.
  virtual void Step(ClientEnv& env) = 0;
  // A key where a range may be split.
  virtual std::string SplitKey(Rng& rng) const = 0;
  // The verdict, when all is quiet, upon every version that the cluster holds.
  virtual void Check(SimCluster& cluster, const VersionModel& model) = 0;
};

std::unique_ptr<Workload> NewBankWorkload(SimCluster& cluster);
// `real_time`: clocks stay within their bound, so that operations must be linearizable; else only isolated.
enum class ClockPromise : uint8_t { kWithinBound, kBroken };
std::unique_ptr<Workload> NewRegisterWorkload(SimCluster& cluster, ClockPromise clocks);
std::unique_ptr<Workload> NewLoadWorkload(SimCluster& cluster);

}  // namespace orrery::cli
