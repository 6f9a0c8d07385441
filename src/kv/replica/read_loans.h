// Loans of reads (docs/design/read_loans.md): what a leaseholder has lent to other replicas of its range, and what a replica
// has borrowed. Pure bookkeeping, guarded by the replica's mutex.
#pragma once

#include <algorithm>
#include <map>

#include "orrery/base/time.h"
#include "orrery/kv/api/batch.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {

// How long one lasts: who keeps reading asks so often, and a write waits so long for a borrower that does not answer.
inline constexpr Duration kLoanMax = 75ms;
// A shorter one is not worth its message.
inline constexpr Duration kLoanMin = 10ms;

// Of a leaseholder. It outlives the lease: a later lease of the same replica has to wait for it as well.
class LentReads {
 public:
  // When the range was written last, as far as that tells whether lending is worth it.
  void NoteWrite(MonoTime now) { last_write_ = now; }
  Duration SinceWrite(MonoTime now) const { return now - last_write_; }

  void Add(NodeId node, MonoTime until, Timestamp read_max) {
    MonoTime& of = until_[node];
    of = std::max(of, until);
    over_at_ = std::max(over_at_, until);
    read_max_.Forward(read_max);
  }
  bool any() const { return !until_.empty(); }
  // Who may read, and how long at most, by our clock.
  const std::map<NodeId, MonoTime>& until() const { return until_; }
  MonoTime over_at() const { return over_at_; }
  // Nobody reads above it.
  Timestamp read_max() const { return read_max_; }
  // All were given back, or are over.
  void Clear() {
    until_.clear();
    over_at_ = {};
    read_max_ = {};
  }

 private:
  std::map<NodeId, MonoTime> until_;
  MonoTime over_at_;
  Timestamp read_max_;
  MonoTime last_write_;
};

// Of a replica: the latest loan, until it is over or recalled.
class BorrowedReads {
 public:
  // Whether it was taken. Of what was asked for before a recall came, the answer may have been overtaken by it.
  bool Take(const ReadLoan& loan, MonoTime asked_at) {
    const MonoTime until = asked_at + std::min(Duration(int64_t(loan.duration_ns)), kLoanMax);
    if (asked_at <= recalled_at_ || until <= until_) return false;
    loan_ = loan;
    until_ = until;
    return true;
  }
  void GiveBack(MonoTime now) {
    recalled_at_ = now;
    until_ = {};
  }
  bool Allows(Timestamp ts, MonoTime now, LeaseSequence lease, RaftIndex applied) const {
    return now < until_ && ts <= loan_.read_max && lease == loan_.lease && applied >= loan_.applied;
  }
  MonoTime until() const { return until_; }

 private:
  ReadLoan loan_;
  MonoTime until_;
  MonoTime recalled_at_{-1};
};

// Both, of one replica.
struct Loans {
  LentReads lent;
  bool recalling = false;         // by one of the writes that wait for it
  runtime::CondVar recalled_cv;
  BorrowedReads borrowed;
};

}  // namespace orrery::kv
