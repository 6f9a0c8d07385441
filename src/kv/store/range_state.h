// How a range begins on disk: at bootstrap, and as the right half of a split (A4).
#pragma once

#include "kv/replica/local_keys.h"
#include "kv/replica/records.h"

namespace orrery::kv {

struct InitialRange {
  RangeDescriptor descriptor;
  ReplicaId self;
  Lease lease;
  storage::MvccStats stats;
  Timestamp gc_threshold;
  Timestamp closed_ts;
  Timestamp write_ts_max;
  raft::HardState hard_state;  // of an uninitialised replica that voted already (B20); default: none
};
// Everything but the data.
void StageInitialRange(storage::WriteBatch& batch, const InitialRange& range);

}  // namespace orrery::kv
