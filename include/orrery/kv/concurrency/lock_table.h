// LockTable: which transaction holds which key, and who waits for it. One joint queue per key, in order of
// arrival, for writers and locking readers; plain readers wait beside it, since they take nothing.
//
// A key that is free but has a queue belongs to the *claim* of its first transactional waiter: only that one
// is woken, the others wait for its transaction. Claims are given in order of arrival, so a request waits
// only for claims of earlier requests and claims cannot deadlock among themselves; cycles through locks are
// found by pushes (TxnWaitQueue, T21). A non-transactional request claims nothing, as nobody could push it.
// Pure, not thread-safe (admission.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "orrery/base/hash.h"
#include "orrery/base/time.h"
#include "orrery/kv/concurrency/admission.h"
#include "orrery/kv/concurrency/lock_handover.h"

namespace orrery::kv {

// Why a request waits at a key, and how to get on: push `holder` (or, with `fail_if_pending`, only ask).
struct LockWait {
  std::string key;
  TxnMeta holder;
  bool is_claim = false;         // the holder is only first in the queue; nothing to resolve afterwards
  PushType push = PushType::kAbort;  // kTimestamp for a plain read
  Timestamp push_to;             // for kTimestamp: above this the reader no longer minds
  Duration push_after{0};
  bool fail_if_pending = false;  // NOWAIT: push is kQuery; LockConflictError if the holder is unfinished
};

class LockTable {
 public:
  explicit LockTable(size_t known_records_max);
  ~LockTable();

  // Unreplicated locks beyond this are not kept: what is written under one is conditional (B44).
  static constexpr size_t kKeysMax = 256 * 1024;

  struct ScanResult {
    std::optional<LockWait> wait;               // the first lock in the way; the request stands in its queue
    std::vector<ResolveIntentRequest> resolve;  // locks of transactions known to be finished, or moved away
  };
  // Looks for locks in the way of the request's spans, in key order, and queues it at the keys it wants.
  ScanResult Scan(Admission& request, Woken& woken);
  std::optional<LockWait> PushTarget(const Admission& request) const;
  bool IsLocked(const Admission& request, std::string_view key, LockStrength strength) const;
  // Leaves all queues; keys it claimed go to the next.
  void Dequeue(Admission& request, Woken& woken);

  // Evaluation met this lock: remembers it, and queues the request there unless it need not wait any more.
  void AddDiscovered(Admission& request, const storage::LockConflict& conflict, ScanResult& result, Woken& woken);
  void OnAcquired(const TxnMeta& txn, std::string_view key, LockStrength strength, LockDurability durability);
  void OnUpdated(const TxnMeta& txn, TxnStatus status, SpanRef span, Woken& woken);
  void OnTxnRecord(const TxnRecord& record, Woken& woken);
  // The unreplicated locks on keys from `start` on, of transactions not known to be finished, as many as fit into
  // about `bytes_max`.
  struct Exported {
    LockHandover locks;
    bool complete = true;
  };
  Exported Export(std::string_view start, size_t bytes_max) const;
  // Forgets locks from `start` on and wakes their waiters.
  void ClearFrom(std::string_view start, Woken& woken);

  std::string DebugString() const;
  size_t size() const { return keys_.size(); }

 private:
  struct KnownRecord {
    TxnStatus status;
    Timestamp write_ts;
    uint32_t epoch;
    std::vector<SequenceRange> ignored;
  };

  using Keys = absl::btree_map<std::string, std::unique_ptr<KeyLocks>, std::less<>>;

  KeyLocks& At(std::string_view key);
  KeyLocks* Find(std::string_view key) const;
  // What keeps `request` from `key` at this moment: a lock, or an earlier claim. Changes nothing.
  std::optional<LockWait> Obstacle(const Admission& request, const KeyLocks& key, LockStrength strength) const;
  // Takes locks of finished transactions out of the way: unreplicated ones go, others are to be resolved.
  void CollectFinished(const Admission& request, KeyLocks& key, LockStrength strength, ScanResult& result,
                       Woken& woken);
  // False if the request has to wait here.
  bool VisitKey(Admission& request, KeyLocks& key, LockStrength strength, ScanResult& result, Woken& woken);
  void DropUnreplicated(std::string_view txn_id, SpanRef span, Woken& woken);
  void Queue(Admission& request, KeyLocks& key, LockStrength strength);
  void HandOver(KeyLocks& key, Woken& woken);
  void EraseIfUnused(KeyLocks& key);
  const KnownRecord* Known(const TxnMeta& txn) const;

  const size_t known_records_max_;
  Keys keys_;
  // Results of pushes, oldest forgotten first: a finished transaction's state never changes again.
  absl::flat_hash_map<std::string, KnownRecord> known_;
  std::vector<std::string> known_order_;
  size_t known_next_ = 0;
};

}  // namespace orrery::kv
