// NodeIdentity: who a node says it is when streams begin.
#pragma once

#include <string>

#include "orrery/base/ids.h"

namespace orrery::runtime {

struct NodeIdentity {
  NodeId node;             // none: not known yet
  std::string cluster_id;  // empty: not known yet
};

// Nodes of two clusters have nothing to say to each other; who belongs to none yet may talk to all.
inline bool ForeignTo(const NodeIdentity& self, const std::string& cluster_id) {
  return !self.cluster_id.empty() && !cluster_id.empty() && cluster_id != self.cluster_id;
}

}  // namespace orrery::runtime
