// How a replica sleeps and why it is woken: what Replica tells its store of quiescence (docs/design/replica.md).
#pragma once

#include <cstdint>

#include "orrery/base/ids.h"

namespace orrery::kv {

// How a replica begins. kAsleep: quiet from the start, if its disk tells who led.
enum class LoadAs : uint8_t { kAwake, kAsleep };

enum class WakeReason : uint8_t {
  kMemberIsBack,
  kLeaderIsGone,  // the first of the remaining followers campaigns at once
  kNobodyLeads,   // this replica campaigns
};

struct Rest {
  bool quiet = false;
  bool leads = false;
  NodeId leader;                 // the leader's node; none: not known
  bool since_start = false;      // asleep since this store started: what it knows is older than that
  bool without_leader = false;   // and this replica was the leader: nobody is now
  bool member_missing = false;   // of a leader: a member was down as the range fell quiet
  bool in_doubt = false;         // since_start, and nobody has looked whether the replica still belongs to its range
};

}  // namespace orrery::kv
