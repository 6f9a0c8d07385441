// Progress: what a leader knows of one peer, and whether it may send to it now.
//
// Invariants: match < next. In kProbe at most one kApp is under way per answer; in kReplicate at
// most the in-flight window; in kSnapshot none.
#pragma once

#include <limits>

#include "orrery/base/fifo.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {

// Earlier than every reading of a clock: "never acknowledged".
inline constexpr MonoTime kNever{std::numeric_limits<int64_t>::min() / 2};

// Unacknowledged kApp messages in replicate state, bounded by count and bytes.
class Inflights {
 public:
  void Add(RaftIndex last, size_t bytes);
  void FreeUpTo(RaftIndex index);  // the peer acknowledged everything up to index
  void Clear();
  bool Full(const Config& config) const;
  size_t count() const { return messages_.size(); }

 private:
  struct Sent {
    RaftIndex last;
    size_t bytes;
  };
  Fifo<Sent> messages_;
  size_t bytes_ = 0;
};

struct Progress {
  ProgressState state = ProgressState::kProbe;
  RaftIndex match;
  RaftIndex next{1};
  RaftIndex pending_snapshot;
  RaftIndex sent_commit;      // highest commit index told to the peer
  bool probe_sent = false;    // kProbe: wait for an answer
  // Send even without entries: an answer will tell where the peer stands.
  bool probe_wanted = true;
  Inflights inflights;

  MonoTime last_heard = kNever;  // on the leader's clock
  MonoTime acked_sent_at = kNever;
  Timestamp acked_promise;
  uint64_t acked_read_round = 0;
  bool quiet = false;  // it has agreed to the quiescence asked for

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(RaftIndex index);
  // An acknowledgement of everything up to index; false if it is old news.
  bool Advance(RaftIndex index);
  // A rejection of a kApp whose previous entry was `rejected`; false if it is stale.
  bool Backtrack(RaftIndex rejected, RaftIndex hint);
  // A kApp with `count` entries up to `last` leaves.
  void OnSent(size_t count, RaftIndex last, size_t bytes);
};

}  // namespace orrery::raft
