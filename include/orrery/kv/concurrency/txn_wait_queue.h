// TxnWaitQueue: the pushes that wait at the leaseholder of a transaction's record until that transaction is
// done (T21). It knows who waits for whom here and what each waiter reported of its own waiters elsewhere, and
// so finds the cycles of a distributed deadlock.
//
// The caller's loop for a push that must wait: Enqueue; then until told otherwise: wait to be woken or for a
// poll interval; ask the pusher's own record who waits for it (PushTxn kQuery at its anchor: the response
// carries that queue's Edges()); Report() them. In a deadlock every member sees the same cycle and exactly one
// of them finds itself to be the victim: that one's push fails with kDeadlock, its coordinator rolls back and
// the others go on. Seen twice before it acts, as edges travel with delay.
// Pure, not thread-safe: the replica's mutex guards it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "orrery/kv/api/batch.h"

namespace orrery::kv {

// One push that waits. Owned by the caller, who usually derives from it to be wakable.
class PushWaiter {
 public:
  PushWaiter(TxnMeta pushee, std::optional<TxnMeta> pusher, PushType type, Timestamp push_to)
      : pushee_(std::move(pushee)), pusher_(std::move(pusher)), type_(type), push_to_(push_to) {}
  PushWaiter(const PushWaiter&) = delete;
  PushWaiter& operator=(const PushWaiter&) = delete;
  const TxnMeta& pushee() const { return pushee_; }
  const std::optional<TxnMeta>& pusher() const { return pusher_; }

 protected:
  ~PushWaiter() = default;

 private:
  friend class TxnWaitQueue;
  const TxnMeta pushee_;
  const std::optional<TxnMeta> pusher_;
  const PushType type_;
  const Timestamp push_to_;
  std::vector<WaitEdge> known_;    // who waits for our pusher, as last reported
  std::vector<std::string> cycle_; // the cycle seen last, by id
  int cycle_seen_ = 0;             // how often in a row
  bool queued_ = false;
};

// Whether `a` must give way to `b` when they wait for each other: lower priority, then younger (later
// min_ts), then the larger id. A total order.
bool GivesWay(const TxnMeta& a, const TxnMeta& b);

class TxnWaitQueue {
 public:
  enum class Verdict : uint8_t {
    kWait,
    kVictim,    // deadlock, and the pusher is who gives way: fail its push with kDeadlock
    kAborted,   // the pusher itself has been aborted or is finished: nobody needs the push any more
  };

  void Enqueue(PushWaiter& waiter);
  // Leaves, whether woken, done or cancelled. Idempotent.
  void Dequeue(PushWaiter& waiter);
  // Everyone who waits, directly or as far as reported, for `txn_id`: what the response to a query carries.
  std::vector<WaitEdge> Edges(std::string_view txn_id) const;
  // The pusher's own record and its waiters, as a query has just shown.
  Verdict Report(PushWaiter& waiter, const TxnRecord& pusher, std::vector<WaitEdge> edges);
  // The record changed: those whose push would succeed now, in the order in which they came. They leave the queue.
  std::vector<PushWaiter*> OnRecord(const TxnRecord& record);
  // The lease is lost: everyone leaves and must ask the new leaseholder.
  std::vector<PushWaiter*> Clear();
  bool empty() const { return waiters_.empty(); }

 private:
  absl::btree_map<std::string, std::vector<PushWaiter*>, std::less<>> waiters_;  // by pushee, in order of arrival
};

}  // namespace orrery::kv
