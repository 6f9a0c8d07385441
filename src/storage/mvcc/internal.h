// What the MVCC functions share: how a key's locks look to a transaction, and the bookkeeping of statistics.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orrery/storage/mvcc.h"
#include "orrery/storage/mvcc/keys.h"

namespace orrery::storage::internal {

inline constexpr char kIntentKeyByte = '\x01';  // of an intent's key, behind the prefix
// Makes the bytes of one lock's record those of another lock with the same record.
void MoveLockRecord(std::string_view to_lock_key, std::string& bytes);

inline bool IsOwn(const TxnMeta* txn, const LockRecord& record) {
  return txn != nullptr && txn->id == record.txn.id;
}
inline bool IsIgnored(uint32_t sequence, const std::vector<SequenceRange>* ignored) {
  return ignored != nullptr && storage::IsIgnored(sequence, *ignored);
}
inline LockConflict ConflictOf(std::string_view user_key, const LockRecord& record, LockStrength strength) {
  return LockConflict{std::string(user_key), record.txn, strength};
}

// What an intent means to a reader at `ts`.
struct IntentView {
  enum class Kind : uint8_t {
    kOwnProvisional,  // the reader's own newest value counts
    kOwnHistory,      // an earlier own value counts: newer ones are above its sequence or rolled back
    kOwnHidden,       // none of its own values counts: the reader sees what is below the intent
    kForeignAbove,    // of another transaction, above `ts`
    kForeignBelow,    // of another transaction, at or below `ts`
  };
  Kind kind;
  const SequencedValue* history = nullptr;  // kOwnHistory; points into the record
};
// Whether the reader knows that this transaction was pending after the reader began.
inline bool SeenPending(const MvccReadOptions& options, const TxnMeta& txn) {
  if (!options.seen_pending) return false;
  for (const std::string& id : *options.seen_pending) {
    if (id == txn.id) return true;
  }
  return false;
}

// T11, B35. Whether a version in (ts, options.uncertainty_limit] may have been committed before the reader began.
// `hidden`: a provisional version that is left out.
StatusOr<bool> HasUncertainVersion(const Reader& reader, std::string_view prefix, Timestamp ts,
                                   const MvccReadOptions& options, std::optional<Timestamp> hidden);
// The same of a foreign intent above the reader's timestamp and at or below the limit.
StatusOr<bool> IsUncertainIntent(const Reader& reader, std::string_view prefix, const LockRecord& intent,
                                 const MvccReadOptions& options);

// Aborted if the reader's epoch is older than the intent's.
StatusOr<IntentView> ViewIntent(const LockRecord& intent, Timestamp ts, const TxnMeta* txn,
                                const std::vector<SequenceRange>* ignored);

// The intent on the key with this prefix; false if there is none.
StatusOr<bool> ReadIntent(const Reader& reader, std::string_view prefix, LockRecord& record);

// Calls f(strength, lock_key, lock_value_bytes, record) for each lock on the key, intent first; f returns
// false to stop.
template <class F>
Status ForEachLock(const Reader& reader, std::string_view prefix, F&& f) {
  std::string lock_key;
  std::string bytes;
  ASSIGN_OR_RETURN(bool found, reader.SeekInPrefix(ColumnFamily::kLock, prefix, prefix.size(), lock_key, bytes));
  if (!found) return OkStatus();  // nearly always
  std::string target;
  std::string user_key;
  std::string txn_id;
  while (found) {
    LockStrength strength;
    if (!DecodeLockKey(lock_key, user_key, strength, txn_id)) return DataLossError("malformed lock key");
    LockRecord record;
    RETURN_IF_ERROR(DecodeLockRecord(lock_key, bytes, record));
    if (!f(strength, lock_key, bytes.size(), record)) return OkStatus();
    target.assign(lock_key).push_back('\0');
    ASSIGN_OR_RETURN(found, reader.SeekInPrefix(ColumnFamily::kLock, target, prefix.size(), lock_key, bytes));
  }
  return OkStatus();
}

// A key's newest version, as far as statistics care.
struct NewestVersion {
  bool exists = false;
  bool tombstone = false;
  int64_t bytes = 0;  // VersionBytes
};
inline int64_t VersionBytes(size_t value_bytes) { return int64_t(value_bytes + kVersionSuffixBytes); }

// Collects the changes of one operation; Commit adds them to the caller's statistics.
class StatsDelta {
 public:
  explicit StatsDelta(MvccStats* target) : target_(target) {}
  void NewestChanged(size_t user_key_bytes, const NewestVersion& before, const NewestVersion& after) {
    Count(user_key_bytes, before, -1);
    Count(user_key_bytes, after, +1);
  }
  void AddVersion(int64_t bytes) {
    delta_.version_count += 1;
    delta_.version_bytes += bytes;
  }
  void RemoveVersion(int64_t bytes) {
    delta_.version_count -= 1;
    delta_.version_bytes -= bytes;
  }
  void AddLock(LockStrength strength, size_t bytes) { CountLock(strength, int64_t(bytes), +1); }
  void RemoveLock(LockStrength strength, size_t bytes) { CountLock(strength, int64_t(bytes), -1); }
  void Commit() {
    if (target_ != nullptr) *target_ += delta_;
    delta_ = {};
  }

 private:
  void Count(size_t user_key_bytes, const NewestVersion& newest, int64_t sign) {
    if (!newest.exists) return;
    delta_.key_count += sign;
    delta_.key_bytes += sign * int64_t(user_key_bytes);
    if (newest.tombstone) return;
    delta_.live_count += sign;
    delta_.live_bytes += sign * (int64_t(user_key_bytes) + newest.bytes);
  }
  void CountLock(LockStrength strength, int64_t bytes, int64_t sign) {
    delta_.lock_count += sign;
    delta_.lock_bytes += sign * bytes;
    if (strength == LockStrength::kIntent) delta_.intent_count += sign;
  }

  MvccStats* const target_;
  MvccStats delta_;
};

}  // namespace orrery::storage::internal
