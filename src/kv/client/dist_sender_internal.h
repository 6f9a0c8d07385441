// The state of one batch on its way through DistSender.
#pragma once

#include <algorithm>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "orrery/kv/client/dist_sender.h"

namespace orrery::kv {

inline constexpr int kRedirectsMax = 4;  // between replicas that each believe another to be the leaseholder

// How hard it was tried so far.
struct DistSender::Effort {
  std::optional<MonoTime> give_up;
  Duration backoff{0};
  bool maybe_executed = false;
  // Why we stop: a write that may have happened is not a failure (T18).
  Status Verdict(const Status& status) const {
    return maybe_executed ? AmbiguousError("the outcome is not known: " + std::string(status.message())) : status;
  }
};

// The replicas of one range in the order in which they are asked.
struct DistSender::Target {
  absl::InlinedVector<NodeId, 5> nodes;
  size_t next = 0;
  int redirects = 0;
  int missing = 0;  // replicas that were not there

  Target(const RangeLocation& location, NodeId self) {
    for (const ReplicaDescriptor& r : location.descriptor->replicas) nodes.push_back(r.node);
    Front(self);
    Front(location.leaseholder);
  }
  void Front(NodeId node) {
    auto it = std::find(nodes.begin(), nodes.end(), node);
    if (it != nodes.end()) std::rotate(nodes.begin(), it, it + 1);
  }
};

// What one range has to do of a batch.
struct DistSender::Piece {
  RangeLocation location;
  BatchRequest batch;
  std::vector<size_t> from;  // of each request: its index in the whole batch
  BatchResponse response;
};

}  // namespace orrery::kv
