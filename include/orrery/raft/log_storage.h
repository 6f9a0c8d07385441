// LogStorage: the raft core's read-only view of what its driver has written to disk. The core keeps
// what it has handed out but not yet seen persisted in memory, and asks here only for older
// entries.
//
// Thread safety: called only from within RawNode's methods, by whoever calls those.
// Invariants: what OnPersisted has acknowledged is visible here, or truncated; the driver may truncate
// the front of the log at any time up to the applied index (A8), or up to what it has taken to apply in
// the same write, keeping the term of the last entry dropped.
#pragma once

#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/raft/types.h"

namespace orrery::raft {

// Where a new group's log starts: everything up to here counts as truncated, and HardState is
// {kBootstrapTerm, no vote, kBootstrapIndex}. A replica added later has nothing, not even index 0's
// membership, so it can never be caught up from the log alone: it always begins with a
// RaftSnapshot, which carries the membership.
inline constexpr RaftIndex kBootstrapIndex{10};
inline constexpr RaftTerm kBootstrapTerm{5};

class LogStorage {
 public:
  virtual ~LogStorage() = default;

  struct Initial {
    HardState hard_state;  // default: nothing was ever written
    ConfState conf;        // as of the applied index given in Config::applied
  };
  // Read once, when the RawNode is made.
  virtual StatusOr<Initial> InitialState() const = 0;

  // Entries of [lo, hi): at least the first one, then as many as fit in max_bytes (sum of
  // EntryBytes). OutOfRange if lo < FirstIndex(). Precondition: lo < hi <= LastIndex() + 1.
  virtual StatusOr<std::vector<Entry>> Entries(RaftIndex lo, RaftIndex hi,
                                               size_t max_bytes) const = 0;

  // Term of entry `index`, for FirstIndex()-1 <= index <= LastIndex(); OutOfRange otherwise.
  virtual StatusOr<RaftTerm> Term(RaftIndex index) const = 0;

  // First entry still held; LastIndex()+1 if none is. A replica that has nothing yet: 1 and 0, and
  // no members.
  virtual RaftIndex FirstIndex() const = 0;
  virtual RaftIndex LastIndex() const = 0;

  // What a RaftSnapshot taken now would hold (index >= FirstIndex()-1). Unavailable: not now, ask
  // again later.
  virtual StatusOr<SnapshotMeta> Snapshot() const = 0;
};

}  // namespace orrery::raft
