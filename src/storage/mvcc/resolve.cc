// Resolution of a transaction's locks once its fate, or its pushed timestamp, is known (T17).
#include <algorithm>

#include "orrery/base/hash.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace {

using internal::NewestVersion;
using internal::StatsDelta;
using internal::VersionBytes;

struct HeldLock {
  std::string user_key;
  std::string lock_key;
  LockStrength strength = LockStrength::kNone;
  size_t bytes = 0;  // of its value
  LockRecord record;
};

class Resolver {
 public:
  Resolver(OverlayBatch& batch, const LockUpdate& update, MvccStats* stats)
      : batch_(batch), update_(update), stats_(stats) {}

  // Sets `changed` if the lock was touched at all.
  Status Resolve(const HeldLock& lock, bool& changed) {
    changed = true;
    const bool final = update_.status != TxnStatus::kPending;
    if (lock.strength == LockStrength::kIntent) {
      RETURN_IF_ERROR(ResolveIntent(lock, changed));
    } else if (final) {
      RemoveLock(lock);
    } else {
      changed = false;  // a push moves values, not locks
    }
    stats_.Commit();
    return OkStatus();
  }

 private:
  Status ResolveIntent(const HeldLock& lock, bool& changed) {
    const TxnMeta& held = lock.record.txn;
    // Abort is final for the transaction whatever its epoch; otherwise only our epoch's values count, those of
    // earlier epochs are rubbish and those of later ones are not ours to judge.
    if (update_.status == TxnStatus::kAborted || held.epoch < update_.epoch) return Remove(lock);
    if (held.epoch > update_.epoch) {
      changed = false;
      return OkStatus();
    }
    if (update_.status == TxnStatus::kCommitted) return Commit(lock);
    if (update_.ts <= held.write_ts) {
      changed = false;
      return OkStatus();
    }
    return Push(lock);
  }

  Status Commit(const HeldLock& lock) {
    const TxnMeta& held = lock.record.txn;
    if (held.write_ts > update_.ts) {
      return InternalError("T17: intent on " + Printable(lock.user_key) + " at " + held.write_ts.ToString() +
                           " is above its commit timestamp " + update_.ts.ToString());
    }
    const bool current_counts = !IsIgnored(held.sequence, update_.ignored);
    if (current_counts && held.write_ts == update_.ts) {
      RemoveLock(lock);  // the common case: the provisional version becomes the committed one as it is
      return OkStatus();
    }
    RETURN_IF_ERROR(LoadProvisional(lock));
    VersionValue version = provisional_;
    if (!current_counts) {
      const auto& history = lock.record.history;
      const auto last = std::find_if(history.rbegin(), history.rend(), [&](const SequencedValue& value) {
        return !IsIgnored(value.sequence, update_.ignored);
      });
      if (last == history.rend()) return Remove(lock);  // every write was rolled back (T30)
      version.tombstone = last->tombstone;
      version.payload = last->value;
      version.writer_sequence = last->sequence;
    }
    ReplaceProvisional(lock, version);
    RemoveLock(lock);
    return OkStatus();
  }

  Status Push(const HeldLock& lock) {
    RETURN_IF_ERROR(LoadProvisional(lock));
    ReplaceProvisional(lock, provisional_);
    LockRecord record = lock.record;
    record.txn.write_ts = update_.ts;
    const std::string bytes = EncodeLockRecord(lock.lock_key, record);
    batch_.Put(ColumnFamily::kLock, lock.lock_key, bytes);
    stats_.RemoveLock(lock.strength, lock.lock_key.size() + lock.bytes);
    stats_.AddLock(lock.strength, lock.lock_key.size() + bytes.size());
    return OkStatus();
  }

  Status Remove(const HeldLock& lock) {
    RETURN_IF_ERROR(LoadProvisional(lock));
    NewestVersion below;
    if (!lock.record.txn.write_ts.IsZero()) RETURN_IF_ERROR(LoadBelow(lock, below));
    batch_.Delete(ColumnFamily::kMvcc, version_key_);
    stats_.RemoveVersion(VersionBytes(provisional_bytes_.size()));
    stats_.NewestChanged(lock.user_key.size(), Provisional(), below);
    RemoveLock(lock);
    return OkStatus();
  }

  Status LoadProvisional(const HeldLock& lock) {
    version_key_ = VersionKey(lock.user_key, lock.record.txn.write_ts);
    ASSIGN_OR_RETURN(const bool found,
                     batch_.GetInto(ColumnFamily::kMvcc, version_key_, provisional_bytes_));
    if (!found) return DataLossError("intent without its provisional value on " + Printable(lock.user_key));
    return DecodeVersionValue(version_key_, provisional_bytes_, provisional_);
  }

  Status LoadBelow(const HeldLock& lock, NewestVersion& below) {
    const std::string target = VersionKey(lock.user_key, lock.record.txn.write_ts.Prev());
    std::string key;
    std::string bytes;
    ASSIGN_OR_RETURN(below.exists,
                     batch_.SeekInPrefix(ColumnFamily::kMvcc, target, target.size() - kVersionSuffixBytes,
                                         key, bytes));
    if (!below.exists) return OkStatus();
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(key, bytes, version));
    below.tombstone = version.tombstone;
    below.bytes = VersionBytes(bytes.size());
    return OkStatus();
  }

  // Puts `version` at the update's timestamp in place of the loaded provisional one.
  void ReplaceProvisional(const HeldLock& lock, VersionValue version) {
    // B35: our clock may not have come to the new timestamp by the time the transaction is acknowledged.
    version.origin = provisional_.origin;
    if (!version.origin && update_.ts > lock.record.txn.write_ts) version.origin = lock.record.txn.write_ts;
    const std::string key = VersionKey(lock.user_key, update_.ts);
    const std::string bytes = EncodeVersionValue(key, version);
    if (key != version_key_) batch_.Delete(ColumnFamily::kMvcc, version_key_);
    batch_.Put(ColumnFamily::kMvcc, key, bytes);
    stats_.RemoveVersion(VersionBytes(provisional_bytes_.size()));
    stats_.AddVersion(VersionBytes(bytes.size()));
    stats_.NewestChanged(lock.user_key.size(), Provisional(),
                         {true, version.tombstone, VersionBytes(bytes.size())});
  }

  NewestVersion Provisional() const {
    return {true, provisional_.tombstone, VersionBytes(provisional_bytes_.size())};
  }

  void RemoveLock(const HeldLock& lock) {
    batch_.Delete(ColumnFamily::kLock, lock.lock_key);
    stats_.RemoveLock(lock.strength, lock.lock_key.size() + lock.bytes);
  }

  OverlayBatch& batch_;
  const LockUpdate& update_;
  StatsDelta stats_;
  std::string version_key_;
  std::string provisional_bytes_;
  VersionValue provisional_;  // points into provisional_bytes_
};

// The transaction's locks in the update's span, up to `locks_max`; sets `resume` if there are more.
Status CollectLocks(const OverlayBatch& batch, const LockUpdate& update, uint64_t locks_max,
                    std::vector<HeldLock>& locks,
                    std::optional<std::pair<std::string, std::string>>& resume) {
  const EngineBounds bounds = BoundsOf(update.start, update.end);
  const auto it = batch.NewIterator(ColumnFamily::kLock, {bounds.lower, bounds.upper});
  std::string txn_id;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    HeldLock lock;
    if (!DecodeLockKey(it->key(), lock.user_key, lock.strength, txn_id)) {
      return DataLossError("malformed lock key");
    }
    RETURN_IF_ERROR(DecodeLockRecord(it->key(), it->value(), lock.record));
    if (lock.record.txn.id != update.txn_id) continue;
    const bool new_key = locks.empty() || locks.back().user_key != lock.user_key;
    if (locks_max != 0 && locks.size() >= locks_max && new_key) {
      resume.emplace(std::move(lock.user_key), update.end);
      return OkStatus();
    }
    lock.lock_key.assign(it->key());
    lock.bytes = it->value().size();
    locks.push_back(std::move(lock));
  }
  return it->status();
}

// The same for one key, which needs no iterator.
Status CollectLocksOfKey(const OverlayBatch& batch, const LockUpdate& update, std::vector<HeldLock>& locks) {
  return internal::ForEachLock(
      batch, KeyPrefix(update.start),
      [&](LockStrength strength, std::string_view lock_key, size_t bytes, LockRecord& record) {
        if (record.txn.id == update.txn_id) {
          locks.push_back({update.start, std::string(lock_key), strength, bytes, std::move(record)});
        }
        return true;
      });
}

}  // namespace

StatusOr<MvccResolveResult> MvccResolveLocks(OverlayBatch& batch, const LockUpdate& update, uint64_t locks_max,
                                             MvccStats* stats) {
  if (update.status == TxnStatus::kStaging) {
    return InvalidArgumentError("a staging transaction is neither committed nor aborted");
  }
  MvccResolveResult result;
  std::vector<HeldLock> locks;
  if (update.end.empty()) {
    RETURN_IF_ERROR(CollectLocksOfKey(batch, update, locks));
  } else {
    RETURN_IF_ERROR(CollectLocks(batch, update, locks_max, locks, result.resume));
  }
  Resolver resolver(batch, update, stats);
  for (const HeldLock& lock : locks) {
    bool changed = false;
    RETURN_IF_ERROR(resolver.Resolve(lock, changed));
    if (changed) ++result.resolved_count;
  }
  return result;
}

}  // namespace orrery::storage
