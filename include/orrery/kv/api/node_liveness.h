// NodeLiveness: which nodes are alive, as one node sees it. Implemented by kv/cluster over its membership; asked by
// the store, whose quiet ranges have no timers of their own: one opinion for each pair of nodes stands for those of
// all ranges. An opinion, never a proof: elections and leases do not believe it.
#pragma once

#include <cstdint>

#include "orrery/base/ids.h"

namespace orrery::kv {

struct NodeLife {
  bool live = false;
  int64_t incarnation = 0;  // another number: the node has been started anew meanwhile
  friend bool operator==(const NodeLife&, const NodeLife&) = default;
};

// Thread-safe. Must not block.
class NodeLiveness {
 public:
  virtual ~NodeLiveness() = default;
  virtual NodeLife LifeOf(NodeId node) const = 0;
};

}  // namespace orrery::kv
