#include "orrery/kv/concurrency/lock_table.h"

#include <algorithm>

#include "orrery/base/assert.h"
#include "orrery/kv/api/keys.h"

namespace orrery::kv {

struct LockHolder {
  TxnMeta txn;
  LockStrength strength = LockStrength::kNone;
  LockDurability durability = LockDurability::kUnreplicated;
};

struct QueuedLocker {
  Admission* request = nullptr;
  LockStrength strength = LockStrength::kNone;
};

// One key that is locked or waited for.
struct KeyLocks {
  std::string key;
  absl::InlinedVector<LockHolder, 1> holders;
  std::vector<QueuedLocker> queue;   // lockers, in order of arrival
  std::vector<Admission*> readers;   // plain reads that wait; any order is fair, as they take nothing
  bool unused() const { return holders.empty() && queue.empty() && readers.empty(); }
};

namespace {

bool IsOwn(const Admission& request, const TxnMeta& txn) {
  return request.spec().txn && request.spec().txn->id == txn.id;
}

// Whether the lock stands in the way of `request` at `strength` (kNone: a plain read, which only minds
// intents it would have to see).
bool StandsInTheWay(const Admission& request, const LockHolder& holder, LockStrength strength) {
  if (IsOwn(request, holder.txn)) return false;
  if (strength == LockStrength::kNone) {
    return holder.strength == LockStrength::kIntent && holder.txn.write_ts <= request.spec().read_ts;
  }
  return storage::Conflicts(holder.strength, strength);
}

bool IsFinal(TxnStatus status) { return status == TxnStatus::kCommitted || status == TxnStatus::kAborted; }

std::string_view StrengthName(LockStrength strength) {
  switch (strength) {
    case LockStrength::kNone: return "read";
    case LockStrength::kShared: return "shared";
    case LockStrength::kExclusive: return "exclusive";
    case LockStrength::kIntent: return "intent";
  }
  return "?";
}

}  // namespace

LockTable::LockTable(size_t known_records_max) : known_records_max_(known_records_max) {}
LockTable::~LockTable() = default;

KeyLocks* LockTable::Find(std::string_view key) const {
  auto it = keys_.find(key);
  return it == keys_.end() ? nullptr : it->second.get();
}

KeyLocks& LockTable::At(std::string_view key) {
  const auto at = keys_.lower_bound(key);
  if (at != keys_.end() && at->first == key) return *at->second;
  auto locks = std::make_unique<KeyLocks>();
  locks->key = key;
  return *keys_.emplace_hint(at, std::string(key), std::move(locks))->second;
}

void LockTable::EraseIfUnused(KeyLocks& key) {
  if (key.unused()) keys_.erase(keys_.find(key.key));
}

const LockTable::KnownRecord* LockTable::Known(const TxnMeta& txn) const {
  auto it = known_.find(txn.id);
  return it == known_.end() ? nullptr : &it->second;
}

std::optional<LockWait> LockTable::Obstacle(const Admission& request, const KeyLocks& key,
                                            LockStrength strength) const {
  const auto wait_for = [&](const TxnMeta& holder, bool is_claim) {
    LockWait wait;
    wait.key = key.key;
    wait.holder = holder;
    wait.is_claim = is_claim;
    wait.push = strength == LockStrength::kNone ? PushType::kTimestamp : PushType::kAbort;
    wait.push_to = request.spec().read_ts;
    if (request.spec().wait == WaitPolicy::kError && strength != LockStrength::kNone) {
      wait.fail_if_pending = true;
      wait.push = PushType::kQuery;
    }
    return wait;
  };
  bool own = false;
  for (const LockHolder& holder : key.holders) {
    own |= IsOwn(request, holder.txn);
    if (StandsInTheWay(request, holder, strength)) return wait_for(holder.txn, false);
  }
  // Whoever holds a lock here goes past those that wait for it: they could not get it before him anyway.
  if (own || strength == LockStrength::kNone) return std::nullopt;
  for (const QueuedLocker& earlier : key.queue) {
    if (earlier.request->sequence() >= request.sequence()) break;
    const TxnMeta* txn = earlier.request->spec().txn;
    if (txn && !IsOwn(request, *txn) && storage::Conflicts(earlier.strength, strength)) return wait_for(*txn, true);
  }
  return std::nullopt;
}

void LockTable::CollectFinished(const Admission& request, KeyLocks& key, LockStrength strength,
                                ScanResult& result, Woken& woken) {
  bool dropped = false;
  for (size_t i = 0; i < key.holders.size();) {
    const LockHolder& holder = key.holders[i];
    const KnownRecord* known = StandsInTheWay(request, holder, strength) ? Known(holder.txn) : nullptr;
    if (known && IsFinal(known->status) && holder.durability == LockDurability::kUnreplicated) {
      key.holders.erase(key.holders.begin() + i);
      dropped = true;
      continue;
    }
    const bool moved_away = known && strength == LockStrength::kNone && known->write_ts > request.spec().read_ts;
    if (known && (IsFinal(known->status) || moved_away)) {
      ResolveIntentRequest resolve{.span = {key.key, ""}, .txn = holder.txn, .status = known->status,
                                   .ignored = known->ignored};
      resolve.txn.write_ts = known->write_ts;
      resolve.txn.epoch = std::max(resolve.txn.epoch, known->epoch);
      result.resolve.push_back(std::move(resolve));
    }
    ++i;
  }
  if (dropped) HandOver(key, woken);
}

void LockTable::Queue(Admission& request, KeyLocks& key, LockStrength strength) {
  if (strength == LockStrength::kNone) {
    if (std::find(key.readers.begin(), key.readers.end(), &request) != key.readers.end()) return;
    key.readers.push_back(&request);
  } else {
    auto it = std::find_if(key.queue.begin(), key.queue.end(),
                           [&](const QueuedLocker& q) { return q.request->sequence() >= request.sequence(); });
    if (it != key.queue.end() && it->request == &request) {
      it->strength = std::max(it->strength, strength);
      return;
    }
    key.queue.insert(it, {&request, strength});
  }
  if (std::find(request.queued_at_.begin(), request.queued_at_.end(), &key) == request.queued_at_.end()) {
    request.queued_at_.push_back(&key);
  }
}

bool LockTable::VisitKey(Admission& request, KeyLocks& key, LockStrength strength, ScanResult& result,
                         Woken& woken) {
  // SKIP LOCKED: evaluation leaves locked rows out, asking IsLocked row by row.
  const bool locking_read = strength == LockStrength::kShared || strength == LockStrength::kExclusive;
  if (request.spec().wait == WaitPolicy::kSkip && locking_read) return true;
  const size_t to_resolve = result.resolve.size();
  CollectFinished(request, key, strength, result, woken);
  if (result.resolve.size() > to_resolve) return true;  // not in the way once they are resolved
  std::optional<LockWait> wait = Obstacle(request, key, strength);
  if (!wait) return true;
  Queue(request, key, strength);
  request.waits_at_ = &key;
  result.wait = std::move(wait);
  return false;
}

LockTable::ScanResult LockTable::Scan(Admission& request, Woken& woken) {
  ScanResult result;
  request.waits_at_ = nullptr;
  if (keys_.empty()) return result;
  for (const LockSpan& lock : request.spec_.locks) {
    if (lock.span.is_point()) {
      KeyLocks* key = Find(lock.span.start);
      if (key && !VisitKey(request, *key, lock.strength, result, woken)) return result;
      if (key) EraseIfUnused(*key);
      continue;
    }
    std::string at(lock.span.start);
    for (auto it = keys_.lower_bound(at); it != keys_.end() && it->first < lock.span.end;) {
      KeyLocks& key = *it->second;
      if (!VisitKey(request, key, lock.strength, result, woken)) return result;
      at = key.key;
      EraseIfUnused(key);
      it = keys_.upper_bound(at);
    }
  }
  return result;
}

std::optional<LockWait> LockTable::PushTarget(const Admission& request) const {
  const KeyLocks* key = request.waits_at_;
  if (!key) return std::nullopt;
  for (const QueuedLocker& q : key->queue) {
    if (q.request == &request) return Obstacle(request, *key, q.strength);
  }
  return Obstacle(request, *key, LockStrength::kNone);
}

bool LockTable::IsLocked(const Admission& request, std::string_view key, LockStrength strength) const {
  const KeyLocks* found = Find(key);
  if (!found) return false;
  return std::any_of(found->holders.begin(), found->holders.end(),
                     [&](const LockHolder& holder) { return StandsInTheWay(request, holder, strength); });
}

// The key's locks changed or a claim ended: wakes plain readers that are free now, and of the queue the first
// transaction (with the requests without one before it, and all compatible sharers right behind it).
void LockTable::HandOver(KeyLocks& key, Woken& woken) {
  const auto wake = [&](Admission* request) {
    if (request->waits_at_ != &key) return;  // waits elsewhere, or is under way already
    request->waits_at_ = nullptr;
    woken.push_back(request);
  };
  for (size_t i = 0; i < key.readers.size(); ++i) {
    if (!Obstacle(*key.readers[i], key, LockStrength::kNone)) wake(key.readers[i]);
  }
  for (const QueuedLocker& q : key.queue) {
    if (!Obstacle(*q.request, key, q.strength)) wake(q.request);
  }
}

void LockTable::Dequeue(Admission& request, Woken& woken) {
  request.waits_at_ = nullptr;
  for (KeyLocks* key : request.queued_at_) {
    std::erase(key->readers, &request);
    const size_t left = std::erase_if(key->queue, [&](const QueuedLocker& q) { return q.request == &request; });
    if (left > 0) HandOver(*key, woken);
    EraseIfUnused(*key);
  }
  request.queued_at_.clear();
}

void LockTable::AddDiscovered(Admission& request, const storage::LockConflict& conflict, ScanResult& result,
                              Woken& woken) {
  KeyLocks& key = At(conflict.key);
  auto it = std::find_if(key.holders.begin(), key.holders.end(), [&](const LockHolder& h) {
    return h.txn.id == conflict.txn.id && h.durability == LockDurability::kReplicated;
  });
  if (it == key.holders.end()) {
    key.holders.push_back({conflict.txn, conflict.strength, LockDurability::kReplicated});
  } else {
    it->txn = conflict.txn;
    it->strength = std::max(it->strength, conflict.strength);
  }
  if (result.wait) return;  // it waits at the first of them; the others are met by its next scan
  LockStrength wanted = LockStrength::kNone;
  for (const LockSpan& lock : request.spec_.locks) {
    if (lock.span.Contains(conflict.key)) wanted = std::max(wanted, lock.strength);
  }
  const size_t to_resolve = result.resolve.size();
  if (!VisitKey(request, key, wanted, result, woken) || result.resolve.size() > to_resolve) return;
  // Evaluation minds a lock that the declared spans do not: wait for it as a writer would, which any lock stops.
  Queue(request, key, LockStrength::kIntent);
  result.wait = Obstacle(request, key, LockStrength::kIntent);
  if (result.wait) request.waits_at_ = &key;
}

void LockTable::OnAcquired(const TxnMeta& txn, std::string_view key, LockStrength strength,
                           LockDurability durability) {
  // Replicated locks are on disk: the table learns of them when they are met. Unreplicated ones live here.
  const bool may_add = durability != LockDurability::kReplicated && keys_.size() < kKeysMax;
  KeyLocks* const found = may_add ? &At(key) : Find(key);
  if (!found) return;
  for (LockHolder& holder : found->holders) {
    if (holder.txn.id == txn.id && holder.durability == durability) {
      holder.strength = std::max(holder.strength, strength);
      holder.txn = txn;
      return;
    }
  }
  found->holders.push_back({txn, strength, durability});
}

void LockTable::OnUpdated(const TxnMeta& txn, TxnStatus status, SpanRef span, Woken& woken) {
  const auto update = [&](KeyLocks& key) {
    bool changed = false;
    if (IsFinal(status)) {
      auto gone = std::remove_if(key.holders.begin(), key.holders.end(),
                                 [&](const LockHolder& holder) { return holder.txn.id == txn.id; });
      changed = gone != key.holders.end();
      key.holders.erase(gone, key.holders.end());
    } else {
      for (LockHolder& holder : key.holders) {
        if (holder.txn.id != txn.id) continue;
        holder.txn.write_ts.Forward(txn.write_ts);
        changed = true;
      }
    }
    if (changed) HandOver(key, woken);
    EraseIfUnused(key);
  };
  if (span.is_point()) {
    if (KeyLocks* key = Find(span.start)) update(*key);
    return;
  }
  std::string at;
  for (auto it = keys_.lower_bound(span.start); it != keys_.end() && it->first < span.end;) {
    at = it->first;
    update(*it->second);
    it = keys_.upper_bound(at);
  }
}

void LockTable::OnTxnRecord(const TxnRecord& record, Woken& woken) {
  const std::string& id = record.meta.id;
  KnownRecord known{record.status, record.meta.write_ts, record.meta.epoch, record.ignored};
  if (auto it = known_.find(id); it != known_.end()) {
    if (!IsFinal(it->second.status)) it->second = std::move(known);
  } else {
    if (known_order_.size() < known_records_max_) {
      known_order_.push_back(id);
    } else {
      known_.erase(known_order_[known_next_]);
      known_order_[known_next_] = id;
      known_next_ = (known_next_ + 1) % known_records_max_;
    }
    known_.emplace(id, std::move(known));
  }
  if (!IsFinal(record.status)) return;
  // A record that was ended by its coordinator names all its locks.
  for (const Span& span : record.lock_spans) DropUnreplicated(id, SpanRef(span), woken);
  if (record.lock_spans.empty()) DropUnreplicated(id, SpanRef(std::string_view(), kMaxKey), woken);
}

void LockTable::DropUnreplicated(std::string_view txn_id, SpanRef span, Woken& woken) {
  // Returns where the next key is.
  const auto drop = [&](Keys::iterator at) {
    KeyLocks& key = *at->second;
    const auto gone = std::remove_if(key.holders.begin(), key.holders.end(), [&](const LockHolder& holder) {
      return holder.txn.id == txn_id && holder.durability == LockDurability::kUnreplicated;
    });
    if (gone == key.holders.end()) return std::next(at);
    key.holders.erase(gone, key.holders.end());
    HandOver(key, woken);
    return key.unused() ? keys_.erase(at) : std::next(at);
  };
  if (span.is_point()) {
    if (const auto at = keys_.find(span.start); at != keys_.end()) drop(at);
    return;
  }
  for (auto at = keys_.lower_bound(span.start); at != keys_.end() && at->first < span.end;) at = drop(at);
}

LockTable::Exported LockTable::Export(std::string_view start, size_t bytes_max) const {
  constexpr size_t kBytesOfLock = 16;  // beside its key
  constexpr size_t kBytesOfTxn = 128;
  Exported out;
  absl::flat_hash_map<std::string, size_t> places;  // by transaction
  size_t bytes = 0;
  for (auto it = keys_.lower_bound(start); it != keys_.end(); ++it) {
    for (const LockHolder& holder : it->second->holders) {
      if (holder.durability == LockDurability::kReplicated) continue;
      if (const KnownRecord* known = Known(holder.txn); known && IsFinal(known->status)) continue;
      const bool first = !places.contains(holder.txn.id);
      bytes += it->first.size() + kBytesOfLock + (first ? kBytesOfTxn + holder.txn.anchor_key.size() : 0);
      if (bytes > bytes_max) {
        out.complete = false;
        return out;
      }
      const size_t place = places.try_emplace(holder.txn.id, out.locks.txns.size()).first->second;
      if (first) out.locks.txns.emplace_back();
      TxnLocks& of = out.locks.txns[place];
      if (first || holder.txn.sequence > of.txn.sequence) of.txn = holder.txn;
      of.locks.push_back({it->first, holder.strength});
    }
  }
  return out;
}

void LockTable::ClearFrom(std::string_view start, Woken& woken) {
  const auto forget = [&](Admission* request, KeyLocks* key) {
    auto it = std::find(request->queued_at_.begin(), request->queued_at_.end(), key);
    if (it != request->queued_at_.end()) request->queued_at_.erase(it);
    if (request->waits_at_ != key) return;
    request->waits_at_ = nullptr;
    woken.push_back(request);
  };
  auto first = keys_.lower_bound(start);
  for (auto it = first; it != keys_.end(); ++it) {
    KeyLocks* key = it->second.get();
    for (const QueuedLocker& q : key->queue) forget(q.request, key);
    for (Admission* reader : key->readers) forget(reader, key);
  }
  keys_.erase(first, keys_.end());
}

std::string LockTable::DebugString() const {
  std::string out;
  for (const auto& [name, key] : keys_) {
    out += "key " + Printable(name) + "\n";
    for (const LockHolder& h : key->holders) {
      out += "  held by " + Printable(h.txn.id) + " " + std::string(StrengthName(h.strength)) +
             (h.durability == LockDurability::kReplicated ? " replicated" : " unreplicated") + "\n";
    }
    for (const QueuedLocker& q : key->queue) {
      out += "  queued " + std::to_string(q.request->sequence()) + " " +
             (q.request->spec().txn ? Printable(q.request->spec().txn->id) : "-") + " " +
             std::string(StrengthName(q.strength)) + (q.request->waits_at_ == key.get() ? "" : " (under way)") + "\n";
    }
    for (const Admission* r : key->readers) {
      if (r->waits_at_ == key.get()) out += "  reader " + std::to_string(r->sequence()) + " waits\n";
    }
  }
  return out;
}

}  // namespace orrery::kv
