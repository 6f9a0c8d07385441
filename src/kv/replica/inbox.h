// Inbox: what waits for the next cycle of a replica. Plain data; the replica guards it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kv/replica/proposal.h"
#include "kv/replica/raft_driver.h"

namespace orrery::kv {

class Replica;

struct Inbox {
  std::vector<RaftEnvelope> messages;
  std::vector<std::shared_ptr<Proposal>> proposals;
  std::vector<std::function<void(Replica&, CycleOutput&)>> actions;
  bool tick = false;
  bool empty() const { return messages.empty() && proposals.empty() && actions.empty() && !tick; }
};

}  // namespace orrery::kv
