// Point reads, lock checks and what an intent means to a reader.
#include <algorithm>

#include "orrery/base/hash.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace internal {

StatusOr<IntentView> ViewIntent(const LockRecord& intent, Timestamp ts, const TxnMeta* txn,
                                const std::vector<SequenceRange>* ignored) {
  using Kind = IntentView::Kind;
  if (!IsOwn(txn, intent)) {
    return IntentView{intent.txn.write_ts <= ts ? Kind::kForeignBelow : Kind::kForeignAbove};
  }
  if (intent.txn.epoch > txn->epoch) {
    return AbortedError("request of epoch " + std::to_string(txn->epoch) + " met an intent of epoch " +
                        std::to_string(intent.txn.epoch) + " of its own transaction");
  }
  if (intent.txn.epoch < txn->epoch) return IntentView{Kind::kOwnHidden};
  if (intent.txn.sequence <= txn->sequence && !IsIgnored(intent.txn.sequence, ignored)) {
    return IntentView{Kind::kOwnProvisional};
  }
  for (auto value = intent.history.rbegin(); value != intent.history.rend(); ++value) {
    if (value->sequence <= txn->sequence && !IsIgnored(value->sequence, ignored)) {
      return IntentView{Kind::kOwnHistory, &*value};
    }
  }
  return IntentView{Kind::kOwnHidden};
}

StatusOr<bool> ReadIntent(const Reader& reader, std::string_view prefix, LockRecord& record) {
  std::string key;
  key.reserve(prefix.size() + 1);
  key.append(prefix).push_back('\x01');
  std::string bytes;
  ASSIGN_OR_RETURN(const bool found, reader.GetInto(ColumnFamily::kLock, key, bytes));
  if (!found) return false;
  RETURN_IF_ERROR(DecodeLockRecord(key, bytes, record));
  return true;
}

namespace {

std::string WithSuffix(std::string_view prefix, Timestamp ts) {
  std::string key;
  key.reserve(prefix.size() + kVersionSuffixBytes);
  key.append(prefix);
  AppendVersionSuffix(key, ts);
  return key;
}

}  // namespace

// Origins are in the order of the versions, so the oldest version decides.
StatusOr<bool> HasUncertainVersion(const Reader& reader, std::string_view prefix, Timestamp ts,
                                   const MvccReadOptions& options, std::optional<Timestamp> hidden) {
  const auto it = reader.NewIterator(
      ColumnFamily::kMvcc, {WithSuffix(prefix, options.uncertainty_limit), WithSuffix(prefix, ts)});
  std::string_view found;
  Timestamp at;
  for (it->SeekToLast(); it->Valid(); it->Prev()) {
    if (!SplitVersionKey(it->key(), found, at)) return DataLossError("malformed version key");
    if (hidden && at == *hidden) continue;
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(it->key(), it->value(), version));
    if (options.ignore_origins) version.origin.reset();
    return version.origin.value_or(at) <= options.local_limit;
  }
  RETURN_IF_ERROR(it->status());
  return false;
}

StatusOr<bool> IsUncertainIntent(const Reader& reader, std::string_view prefix, const LockRecord& intent,
                                 const MvccReadOptions& options) {
  if (SeenPending(options, intent.txn)) return false;
  if (intent.txn.write_ts <= options.local_limit) return true;
  const std::string key = WithSuffix(prefix, intent.txn.write_ts);
  std::string bytes;
  ASSIGN_OR_RETURN(const bool found, reader.GetInto(ColumnFamily::kMvcc, key, bytes));
  if (!found) return DataLossError("intent without its provisional value");
  VersionValue version;
  RETURN_IF_ERROR(DecodeVersionValue(key, bytes, version));
  return version.origin && *version.origin <= options.local_limit;
}

}  // namespace internal

namespace {

using internal::IntentView;
using Kind = IntentView::Kind;
using Result = StatusOr<std::optional<MvccValue>>;

Status CheckForConflicts(const Reader& reader, std::string_view key, std::string_view prefix, const TxnMeta* txn,
                         LockStrength strength) {
  std::vector<LockConflict> conflicts;
  RETURN_IF_ERROR(internal::ForEachLock(
      reader, prefix,
      [&](LockStrength held, std::string_view, size_t, const LockRecord& record) {
        if (!internal::IsOwn(txn, record) && Conflicts(held, strength)) {
          conflicts.push_back(internal::ConflictOf(key, record, held));
        }
        return conflicts.size() < kConflictsMax;
      }));
  return conflicts.empty() ? OkStatus() : LockConflictStatus(std::move(conflicts));
}

// Reads one key; the members are what the steps share.
class PointReader {
 public:
  PointReader(const Reader& reader, std::string_view key, Timestamp ts, const MvccReadOptions& options)
      : reader_(reader), key_(key), ts_(ts), options_(options), target_(KeyPrefix(key)) {
    prefix_bytes_ = target_.size();
  }

  Result Read() {
    bool skip = false;
    if (options_.strength != LockStrength::kNone) {
      const Status conflicts = CheckForConflicts(reader_, key_, target_, options_.txn, options_.strength);
      RETURN_IF_ERROR(Filter(conflicts, skip));
      if (skip) return std::optional<MvccValue>();
    }
    LockRecord intent;
    ASSIGN_OR_RETURN(const bool has_intent,
                     internal::ReadIntent(reader_, std::string_view(target_).substr(0, prefix_bytes_), intent));
    if (!has_intent) return ReadCommitted(Limit(), std::nullopt);
    ASSIGN_OR_RETURN(const IntentView view,
                     internal::ViewIntent(intent, ts_, options_.txn, options_.ignored));
    return ReadUnder(intent, view);
  }

 private:
  // The newest timestamp at which a version matters: newer ones than ts_ are errors.
  Timestamp Limit() const {
    if (options_.strength != LockStrength::kNone) return Timestamp::Max();
    if (options_.lock_policy == LockPolicy::kInconsistent) return ts_;
    return std::max(ts_, options_.uncertainty_limit);
  }

  Result ReadUnder(const LockRecord& intent, const IntentView& view) {
    bool skip = false;
    switch (view.kind) {
      case Kind::kOwnProvisional: return ReadProvisional(intent);
      case Kind::kOwnHistory:
        if (view.history->tombstone) return std::optional<MvccValue>();
        return std::optional<MvccValue>(MvccValue{view.history->value, intent.txn.write_ts});
      case Kind::kOwnHidden: return ReadCommitted(Limit(), intent.txn.write_ts);
      case Kind::kForeignAbove:
        if (intent.txn.write_ts <= Limit() && options_.lock_policy != LockPolicy::kInconsistent) {
          ASSIGN_OR_RETURN(const bool uncertain,
                           internal::IsUncertainIntent(reader_, std::string_view(target_).substr(0, prefix_bytes_),
                                                       intent, options_));
          if (uncertain) {
            return UncertaintyStatus(key_, intent.txn.write_ts,
                                     internal::ConflictOf(key_, intent, LockStrength::kIntent));
          }
        }
        return ReadCommitted(Limit(), intent.txn.write_ts);
      case Kind::kForeignBelow:
        if (options_.lock_policy != LockPolicy::kInconsistent) {
          RETURN_IF_ERROR(Filter(
              LockConflictStatus({internal::ConflictOf(key_, intent, LockStrength::kIntent)}), skip));
          return std::optional<MvccValue>();
        }
        return ReadCommitted(Limit(), intent.txn.write_ts);
    }
    return InternalError("unknown view of an intent");
  }

  // Passes a lock conflict on, or turns it into `skip` where the policy says so.
  Status Filter(const Status& status, bool& skip) const {
    if (options_.lock_policy != LockPolicy::kSkipLocked || status.payload<LockConflictError>() == nullptr) {
      return status;
    }
    skip = true;
    return OkStatus();
  }

  // The newest version at or below ts_; `hidden` is the timestamp of a provisional one that does not count.
  Result ReadCommitted(Timestamp limit, std::optional<Timestamp> hidden) {
    MvccValue result;
    Timestamp from = limit;
    while (true) {
      ASSIGN_OR_RETURN(const bool found, Seek(from, result));
      if (!found) return std::optional<MvccValue>();
      if (!hidden || result.ts != *hidden) break;
      if (result.ts.IsZero()) return std::optional<MvccValue>();
      from = result.ts.Prev();
    }
    if (result.ts <= ts_) return Finish(std::move(result));
    if (options_.strength != LockStrength::kNone) return WriteTooOldStatus(key_, result.ts.Next());
    const std::string_view prefix = std::string_view(target_).substr(0, prefix_bytes_);
    ASSIGN_OR_RETURN(const bool uncertain, internal::HasUncertainVersion(reader_, prefix, ts_, options_, hidden));
    if (uncertain) return UncertaintyStatus(key_, result.ts);
    return ReadCommitted(ts_, hidden);
  }

  Result ReadProvisional(const LockRecord& intent) {
    MvccValue result;
    ASSIGN_OR_RETURN(const bool found, Seek(intent.txn.write_ts, result));
    if (!found || result.ts != intent.txn.write_ts) {
      return DataLossError("intent without its provisional value on " + Printable(key_));
    }
    return Finish(std::move(result));
  }

  // The first version at or below `from`, its raw bytes in result.value.
  StatusOr<bool> Seek(Timestamp from, MvccValue& result) {
    target_.resize(prefix_bytes_);
    AppendVersionSuffix(target_, from);
    ASSIGN_OR_RETURN(const bool found, reader_.SeekInPrefix(ColumnFamily::kMvcc, target_, prefix_bytes_,
                                                            found_key_, result.value));
    if (!found) return false;
    std::string_view prefix;
    if (!SplitVersionKey(found_key_, prefix, result.ts)) return DataLossError("malformed version key");
    return true;
  }

  Result Finish(MvccValue result) const {
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(found_key_, result.value, version));
    if (version.tombstone) return std::optional<MvccValue>();
    result.value.erase(0, size_t(version.payload.data() - result.value.data()));
    return std::optional<MvccValue>(std::move(result));
  }

  const Reader& reader_;
  const std::string_view key_;
  const Timestamp ts_;
  const MvccReadOptions& options_;
  std::string target_;
  size_t prefix_bytes_ = 0;
  std::string found_key_;
};

}  // namespace

StatusOr<std::optional<MvccValue>> MvccGet(const Reader& reader, std::string_view key, Timestamp ts,
                                           const MvccReadOptions& options) {
  return PointReader(reader, key, ts, options).Read();
}

Status MvccCheckForConflicts(const Reader& reader, std::string_view key, const TxnMeta* txn,
                             LockStrength strength) {
  return CheckForConflicts(reader, key, KeyPrefix(key), txn, strength);
}

StatusOr<bool> MvccQueryIntent(const Reader& reader, std::string_view key, const TxnMeta& txn) {
  LockRecord intent;
  ASSIGN_OR_RETURN(const bool found, internal::ReadIntent(reader, KeyPrefix(key), intent));
  if (!found || intent.txn.id != txn.id || intent.txn.epoch != txn.epoch) return false;
  if (intent.txn.write_ts > txn.write_ts) return false;
  if (intent.txn.sequence == txn.sequence) return true;
  return std::any_of(intent.history.begin(), intent.history.end(),
                     [&](const SequencedValue& value) { return value.sequence == txn.sequence; });
}

}  // namespace orrery::storage
