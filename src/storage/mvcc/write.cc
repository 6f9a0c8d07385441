// Puts, deletes, conditional puts and lock acquisition.
#include <algorithm>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace {

using internal::NewestVersion;
using internal::StatsDelta;
using internal::VersionBytes;
using Result = StatusOr<MvccWriteResult>;

// One write to one key: Load looks at what stands there, then Write decides and adds to the batch.
class KeyWriter {
 public:
  KeyWriter(OverlayBatch& batch, std::string_view key, Timestamp read_ts, const MvccWriteOptions& options)
      : batch_(batch), key_(key), read_ts_(read_ts), options_(options), prefix_(KeyPrefix(key)),
        stats_(options.stats) {}

  // Reads the key's locks and newest version. LockConflictError if another transaction holds it.
  Status Load() {
    if (options_.txn != nullptr && options_.txn->id.size() != kTxnIdBytes) {
      return InvalidArgumentError("a transaction id has 16 bytes");
    }
    std::vector<LockConflict> conflicts;
    RETURN_IF_ERROR(internal::ForEachLock(
        batch_, prefix_,
        [&](LockStrength held, std::string_view lock_key, size_t bytes, LockRecord& record) {
          if (!internal::IsOwn(options_.txn, record)) {
            conflicts.push_back(internal::ConflictOf(key_, record, held));
          } else if (held == LockStrength::kIntent) {
            intent_ = std::move(record);
            intent_bytes_ = lock_key.size() + bytes;
          }
          return conflicts.size() < kConflictsMax;
        }));
    if (!conflicts.empty()) return LockConflictStatus(std::move(conflicts));
    ASSIGN_OR_RETURN(const bool found, batch_.SeekInPrefix(ColumnFamily::kMvcc, prefix_, prefix_.size(),
                                                           newest_key_, newest_bytes_));
    if (!found) return OkStatus();
    std::string_view prefix;
    if (!SplitVersionKey(newest_key_, prefix, newest_ts_)) return DataLossError("malformed version key");
    RETURN_IF_ERROR(DecodeVersionValue(newest_key_, newest_bytes_, newest_));
    has_newest_ = true;
    return OkStatus();
  }

  // The value a conditional write is judged by: what the transaction saw before this very write. A version
  // above the read timestamp is WriteTooOldError.
  // The view lives as long as the writer.
  StatusOr<std::optional<std::string_view>> ValueBefore() {
    if (intent_) {
      ASSIGN_OR_RETURN(own_before_, OwnValueBefore(read_ts_, LockStrength::kExclusive));
      return std::optional<std::string_view>(own_before_);
    }
    if (!has_newest_) return std::optional<std::string_view>();
    if (newest_ts_ > read_ts_ && !IsOwnUnlockedVersion()) return WriteTooOldStatus(key_, newest_ts_.Next());
    if (newest_.tombstone) return std::optional<std::string_view>();
    return std::optional<std::string_view>(newest_.payload);
  }

  Result Write(std::optional<std::string_view> value) {
    if (options_.txn == nullptr || options_.mode == WriteMode::kOnePhase) return WriteVersion(value);
    return intent_ ? WriteOverIntent(value) : WriteIntent(value);
  }

 private:
  // As of the sequence before this write. A lock strength makes newer versions an error.
  StatusOr<std::optional<std::string>> OwnValueBefore(Timestamp ts, LockStrength strength) const {
    TxnMeta before = *options_.txn;
    if (before.sequence > 0) --before.sequence;
    MvccReadOptions read;
    read.txn = &before;
    read.ignored = options_.ignored;
    read.strength = strength;
    ASSIGN_OR_RETURN(auto value, MvccGet(batch_, key_, ts, read));
    if (!value) return std::optional<std::string>();
    return std::optional<std::string>(std::move(value->value));
  }

  // The newest version was written by an earlier request of this batch, at our own timestamp.
  bool IsOwnUnlockedVersion() const {
    if (options_.txn != nullptr && options_.mode != WriteMode::kOnePhase) return false;
    const Timestamp ts = options_.txn != nullptr ? options_.txn->write_ts : read_ts_;
    return has_newest_ && newest_ts_ == ts && batch_.HasPut(ColumnFamily::kMvcc, newest_key_);
  }

  // A committed version, without intent: no transaction, or one that commits in this batch.
  Result WriteVersion(std::optional<std::string_view> value) {
    if (intent_) return FailedPreconditionError("one-phase commit over an intent of its own transaction");
    Timestamp ts = options_.txn != nullptr ? options_.txn->write_ts : read_ts_;
    const bool overwrite = IsOwnUnlockedVersion();
    if (has_newest_ && !overwrite && (newest_ts_ > read_ts_ || newest_ts_ >= ts)) {
      const bool may_forward = options_.txn == nullptr && options_.too_old == WriteTooOldPolicy::kForward;
      if (!may_forward) return WriteTooOldStatus(key_, newest_ts_.Next());
      ts = newest_ts_.Next();
    }
    if (overwrite) stats_.RemoveVersion(VersionBytes(newest_bytes_.size()));
    PutVersion(ts, value);
    stats_.Commit();
    return MvccWriteResult{ts, has_newest_ && !newest_.tombstone};
  }

  Result WriteIntent(std::optional<std::string_view> value) {
    Timestamp ts = options_.txn->write_ts;
    if (has_newest_ && newest_ts_ > read_ts_ && options_.too_old == WriteTooOldPolicy::kError) {
      return WriteTooOldStatus(key_, newest_ts_.Next());
    }
    if (has_newest_ && newest_ts_ >= ts) ts = newest_ts_.Next();
    PutVersion(ts, value);
    PutIntent(ts, {});
    stats_.Commit();
    return MvccWriteResult{ts, has_newest_ && !newest_.tombstone};
  }

  Result WriteOverIntent(std::optional<std::string_view> value) {
    const TxnMeta& held = intent_->txn;
    const TxnMeta& txn = *options_.txn;
    if (held.epoch > txn.epoch) {
      return AbortedError("write of epoch " + std::to_string(txn.epoch) + " met an intent of epoch " +
                          std::to_string(held.epoch) + " of its own transaction");
    }
    if (!has_newest_ || newest_ts_ != held.write_ts) {
      return DataLossError("intent without its provisional value on " + Printable(key_));
    }
    ASSIGN_OR_RETURN(const auto before, OwnValueBefore(held.write_ts, LockStrength::kNone));
    if (held.epoch == txn.epoch && txn.sequence <= held.sequence) return Replay(value, before.has_value());
    std::vector<SequencedValue> history;
    if (held.epoch == txn.epoch) history = NextHistory();
    const Timestamp ts = std::max(txn.write_ts, held.write_ts);
    if (ts != held.write_ts) batch_.Delete(ColumnFamily::kMvcc, newest_key_);
    stats_.RemoveVersion(VersionBytes(newest_bytes_.size()));
    stats_.RemoveLock(LockStrength::kIntent, intent_bytes_);
    PutVersion(ts, value);
    PutIntent(ts, std::move(history));
    stats_.Commit();
    return MvccWriteResult{ts, before.has_value()};
  }

  // T19: the same write again changes nothing; another one under the same sequence is a bug of the sender.
  Result Replay(std::optional<std::string_view> value, bool replaced) const {
    const uint32_t sequence = options_.txn->sequence;
    bool tombstone = newest_.tombstone;
    std::string_view written = newest_.payload;
    if (sequence != intent_->txn.sequence) {
      const auto it = std::find_if(intent_->history.begin(), intent_->history.end(),
                                   [&](const SequencedValue& v) { return v.sequence == sequence; });
      if (it == intent_->history.end()) {
        return InternalError("write of sequence " + std::to_string(sequence) + " comes after sequence " +
                             std::to_string(intent_->txn.sequence) + " on " + Printable(key_));
      }
      tombstone = it->tombstone;
      written = it->value;
    }
    if (tombstone != !value.has_value() || (value && written != *value)) {
      return InternalError("T19: two different writes of one sequence on " + Printable(key_));
    }
    return MvccWriteResult{intent_->txn.write_ts, replaced};
  }

  // The intent's values that a later rollback could bring back, the current one last.
  std::vector<SequencedValue> NextHistory() const {
    std::vector<SequencedValue> history;
    for (const SequencedValue& value : intent_->history) {
      if (!internal::IsIgnored(value.sequence, options_.ignored)) history.push_back(value);
    }
    if (!internal::IsIgnored(intent_->txn.sequence, options_.ignored)) {
      history.push_back({intent_->txn.sequence, newest_.tombstone, std::string(newest_.payload)});
    }
    return history;
  }

  void PutVersion(Timestamp ts, std::optional<std::string_view> value) {
    VersionValue version;
    version.tombstone = !value.has_value();
    if (value) version.payload = *value;
    if (options_.record_writer && options_.txn != nullptr) {
      version.writer = options_.txn->id;
      version.writer_sequence = options_.txn->sequence;
    }
    std::string version_key;
    version_key.reserve(prefix_.size() + kVersionSuffixBytes);
    version_key.append(prefix_);
    AppendVersionSuffix(version_key, ts);
    const std::string bytes = EncodeVersionValue(version_key, version);
    batch_.Put(ColumnFamily::kMvcc, version_key, bytes);
    stats_.AddVersion(VersionBytes(bytes.size()));
    stats_.NewestChanged(key_.size(),
                         {has_newest_, newest_.tombstone, VersionBytes(newest_bytes_.size())},
                         {true, version.tombstone, VersionBytes(bytes.size())});
  }

  void PutIntent(Timestamp ts, std::vector<SequencedValue> history) {
    LockRecord record{*options_.txn, std::move(history)};
    record.txn.write_ts = ts;
    const std::string lock_key = IntentKey(key_);
    const std::string bytes = EncodeLockRecord(lock_key, record);
    batch_.Put(ColumnFamily::kLock, lock_key, bytes);
    stats_.AddLock(LockStrength::kIntent, lock_key.size() + bytes.size());
  }

  OverlayBatch& batch_;
  const std::string_view key_;
  const Timestamp read_ts_;
  const MvccWriteOptions& options_;
  const std::string prefix_;
  StatsDelta stats_;

  std::optional<LockRecord> intent_;  // own
  size_t intent_bytes_ = 0;
  std::optional<std::string> own_before_;
  bool has_newest_ = false;  // provisional or committed
  std::string newest_key_;
  std::string newest_bytes_;
  Timestamp newest_ts_;
  VersionValue newest_;      // points into newest_bytes_
};

Result WriteKey(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                std::optional<std::string_view> value, const MvccWriteOptions& options) {
  KeyWriter writer(batch, key, read_ts, options);
  RETURN_IF_ERROR(writer.Load());
  return writer.Write(value);
}

}  // namespace

StatusOr<MvccWriteResult> MvccPut(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                  std::string_view value, const MvccWriteOptions& options) {
  return WriteKey(batch, key, read_ts, value, options);
}

StatusOr<MvccWriteResult> MvccDelete(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                     const MvccWriteOptions& options) {
  return WriteKey(batch, key, read_ts, std::nullopt, options);
}

StatusOr<MvccWriteResult> MvccConditionalPut(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                             std::optional<std::string_view> value,
                                             std::optional<std::string_view> expected, IfMissing if_missing,
                                             const MvccWriteOptions& options) {
  KeyWriter writer(batch, key, read_ts, options);
  RETURN_IF_ERROR(writer.Load());
  ASSIGN_OR_RETURN(const std::optional<std::string_view> actual, writer.ValueBefore());
  const bool missing_allowed = !actual && if_missing == IfMissing::kAllow;
  const bool equal = actual.has_value() == expected.has_value() && (!actual || *actual == *expected);
  if (!missing_allowed && !equal) {
    return ConditionFailedStatus(actual ? std::optional(std::string(*actual)) : std::nullopt);
  }
  return writer.Write(value);
}

StatusOr<MvccDeleteRangeResult> MvccDeleteRange(OverlayBatch& batch, std::string_view start,
                                                std::string_view end, Timestamp read_ts, uint64_t rows_max,
                                                const MvccWriteOptions& options) {
  // A replay must find what the first try found, so its own sequence is not looked at (T19).
  TxnMeta before;
  MvccScanOptions scan;
  if (options.txn != nullptr) {
    before = *options.txn;
    if (before.sequence > 0) --before.sequence;
    scan.txn = &before;
  }
  scan.ignored = options.ignored;
  scan.strength = LockStrength::kExclusive;
  scan.rows_max = rows_max;
  ASSIGN_OR_RETURN(MvccScanResult found, MvccScan(batch, start, end, read_ts, scan));
  MvccDeleteRangeResult result;
  for (auto row = found.rows.Begin(); row.Next();) {
    ASSIGN_OR_RETURN(const MvccWriteResult deleted, MvccDelete(batch, row.key(), read_ts, options));
    result.written_ts_max.Forward(deleted.written_ts);
    result.keys.emplace_back(row.key());
  }
  result.resume = std::move(found.resume);
  return result;
}

Status MvccAcquireLock(OverlayBatch& batch, std::string_view key, LockStrength strength, const TxnMeta& txn,
                       MvccStats* stats) {
  if (strength != LockStrength::kShared && strength != LockStrength::kExclusive) {
    return InvalidArgumentError("only shared and exclusive locks are acquired");
  }
  if (txn.id.size() != kTxnIdBytes) return InvalidArgumentError("a transaction id has 16 bytes");
  std::vector<LockConflict> conflicts;
  bool held = false;
  size_t replaced_bytes = 0;  // of our lock of this strength from an earlier epoch
  RETURN_IF_ERROR(internal::ForEachLock(
      batch, KeyPrefix(key),
      [&](LockStrength other, std::string_view lock_key, size_t bytes, const LockRecord& record) {
        if (!internal::IsOwn(&txn, record)) {
          if (Conflicts(other, strength)) conflicts.push_back(internal::ConflictOf(key, record, other));
        } else if (other >= strength && record.txn.epoch >= txn.epoch) {
          held = true;
        } else if (other == strength) {
          replaced_bytes = lock_key.size() + bytes;
        }
        return conflicts.size() < kConflictsMax;
      }));
  if (!conflicts.empty()) return LockConflictStatus(std::move(conflicts));
  if (held) return OkStatus();
  const std::string lock_key =
      strength == LockStrength::kShared ? SharedLockKey(key, txn.id) : ExclusiveLockKey(key);
  const std::string bytes = EncodeLockRecord(lock_key, LockRecord{txn, {}});
  batch.Put(ColumnFamily::kLock, lock_key, bytes);
  StatsDelta delta(stats);
  if (replaced_bytes != 0) delta.RemoveLock(strength, replaced_bytes);
  delta.AddLock(strength, lock_key.size() + bytes.size());
  delta.Commit();
  return OkStatus();
}

}  // namespace orrery::storage
