// Nemesis: the faults of one run. The seed picks two or three kinds and their strength; combining them is what
// finds bugs (correctness.md, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/sim/cluster.h"
#include "cli/sim/workload.h"

namespace orrery::cli {

struct FaultPlan {
  bool crash_one = false;
  bool crash_many = false;     // a majority, or all
  bool partitions = false;     // halves, isolation, bridges
  bool one_way = false;        // cuts in one direction
  bool weather = false;        // loss, duplication, reordering, delay everywhere
  bool slow_links = false;
  bool clocks = false;         // jumps and drift within the bound
  bool clocks_broken = false;  // beyond the bound: isolation must hold, real time need not (I13)
  bool splits = false;
  bool lease_transfers = false;
  bool replica_changes = false;  // ranges lose voters, down to one, or change them for others; the queue adds what is missing
  bool stops = false;          // graceful: nothing is lost
  bool pauses = false;         // the process stands still for a while and does not know it (B52)
  // Crashes lose what was synced a moment ago. No database survives that: a run with it must fail, which proves
  // that the audit sees loss. Never chosen by a seed, not part of "all".
  bool lying_disk = false;
  std::string ToString() const;  // "crash+clock", "none"
};
// Two to four kinds, by the seed. Changes of replicas are none of them: a cluster that grows adds them.
FaultPlan PlanFaults(uint64_t seed);
// "none", "all", or kinds by name, joined by commas. None if a name is unknown.
std::optional<FaultPlan> ParseFaults(std::string_view text);
// The names, joined by commas, for messages.
std::string FaultNames();

// Until `end` (true time) breaks and mends things. On a task of the driver.
Status RunNemesis(const runtime::Context& context, SimCluster& cluster, const FaultPlan& plan, MonoTime end);
// Mends everything, and starts what is down.
void HealAll(SimCluster& cluster);
// What a node's own administrator does under the plan, one step: splits, lease transfers. On a node's task.
void AdministerOnce(ClientEnv& env, SimCluster& cluster, const Workload& workload, const FaultPlan& plan);

}  // namespace orrery::cli
