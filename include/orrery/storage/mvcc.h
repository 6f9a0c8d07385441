// Multi-version concurrency control over an engine: reads at a timestamp, provisional writes (intents), locks,
// their resolution, garbage collection. Pure functions over a Reader or an OverlayBatch: no clock, no state.
//
// Spans are [start, end) of user keys; an empty end means the one key `start`. Callers hold latches on what
// they read and write. Errors that drive control flow are payloads (mvcc/errors.h); DataLoss means stored
// bytes failed their checks. Writes add what they change to `stats` if it is given; a write that fails has
// added nothing to the batch or to the stats. Rules: correctness.md 7a.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orrery/base/kv_block.h"
#include "orrery/base/status_or.h"
#include "orrery/base/timestamp.h"
#include "orrery/storage/engine.h"
#include "orrery/storage/mvcc/errors.h"
#include "orrery/storage/mvcc/stats.h"
#include "orrery/storage/mvcc/txn_meta.h"
#include "orrery/storage/overlay_batch.h"

namespace orrery::storage {

// ---- Reads --------------------------------------------------------------------------------------------------

enum class LockPolicy : uint8_t {
  kFail,          // foreign locks in the way: LockConflictError
  kSkipLocked,    // leave such keys out (SELECT … SKIP LOCKED)
  kInconsistent,  // read the newest committed version below them; intents met are reported beside the rows
};

struct MvccReadOptions {
  // The reader: sees its own provisional values of its epoch up to its sequence (T9). Null: no transaction.
  const TxnMeta* txn = nullptr;
  // Sequences of `txn` that were rolled back (T30). Null: none.
  const std::vector<SequenceRange>* ignored = nullptr;
  // Versions and foreign intents in (ts, limit] are UncertaintyError (T11). At or below ts: no uncertainty.
  Timestamp uncertainty_limit;
  // What the leaseholder's own clock knows of it (B35): a version whose origin (keys.h) lies above this was not
  // committed when the reader began, so it is no uncertainty. Max: nothing is known.
  Timestamp local_limit = Timestamp::Max();
  // Versions are judged by their own timestamps: a mistake, made by a planted bug only.
  bool ignore_origins = false;
  // Ids of transactions known to have been pending after the reader began: what they commit was not committed
  // before it, so their intents above ts are no uncertainty. Null: none.
  const std::vector<std::string>* seen_pending = nullptr;
  LockPolicy lock_policy = LockPolicy::kFail;
  // For a read that will lock (FOR UPDATE, FOR SHARE): conflicts with foreign locks of a conflicting
  // strength at any timestamp, and meets a version newer than ts with WriteTooOldError.
  LockStrength strength = LockStrength::kNone;
};

struct MvccValue {
  std::string value;
  Timestamp ts;  // of the version; of the intent for an own provisional value
};
// The newest value of `key` visible at `ts`; nullopt if there is none or it is deleted.
StatusOr<std::optional<MvccValue>> MvccGet(const Reader& reader, std::string_view key, Timestamp ts,
                                           const MvccReadOptions& options = {});

enum class ScanDirection : uint8_t { kForward, kReverse };

struct MvccScanOptions : MvccReadOptions {
  uint64_t rows_max = 0;   // 0: no limit
  uint64_t bytes_max = 0;  // of keys and values; the row that reaches it is the last. 0: no limit
  ScanDirection direction = ScanDirection::kForward;
};
// Foreign locks that one scan or check reports at most.
inline constexpr size_t kConflictsMax = 128;

struct MvccScanResult {
  KvBlock rows;  // user keys and values in scan order
  // Set if a limit ended the scan early: the rest of the span, to be scanned in the same direction.
  std::optional<std::pair<std::string, std::string>> resume;
  std::vector<LockConflict> intents;  // LockPolicy::kInconsistent only
};
StatusOr<MvccScanResult> MvccScan(const Reader& reader, std::string_view start, std::string_view end,
                                  Timestamp ts, const MvccScanOptions& options = {});

// OK if no foreign lock on `key` excludes `strength`; else LockConflictError. `txn` null: all are foreign.
Status MvccCheckForConflicts(const Reader& reader, std::string_view key, const TxnMeta* txn,
                             LockStrength strength);

// The locks in a span, of every holder, in key order, at most `limit` (0: all).
StatusOr<std::vector<LockConflict>> MvccScanLocks(const Reader& reader, std::string_view start,
                                                  std::string_view end, size_t limit = 0);

// Refresh of a span read at `from`, to `to`: RefreshFailedError if a foreign committed version lies in
// (from, to] or a foreign intent at or below `to` (T12).
Status MvccRefresh(const Reader& reader, std::string_view start, std::string_view end, Timestamp from,
                   Timestamp to, const TxnMeta* txn);

// ---- Writes -------------------------------------------------------------------------------------------------

enum class WriteMode : uint8_t {
  kIntent,    // with a transaction: provisional value plus intent
  kOnePhase,  // with a transaction that commits in this very batch: committed version at txn->write_ts,
              // no intent. Only foreign locks conflict; WriteTooOld is always an error
};
enum class WriteTooOldPolicy : uint8_t {
  kError,
  kForward,  // blind writes under SERIALIZABLE and READ COMMITTED: write above the newer version instead
};

struct MvccWriteOptions {
  const TxnMeta* txn = nullptr;  // null: a committed version at the given timestamp
  const std::vector<SequenceRange>* ignored = nullptr;
  WriteMode mode = WriteMode::kIntent;
  WriteTooOldPolicy too_old = WriteTooOldPolicy::kError;
  MvccStats* stats = nullptr;
  bool record_writer = false;  // test builds: keep the writer's id and sequence in the version
};

struct MvccWriteResult {
  Timestamp written_ts;         // where the version or intent is; above txn->write_ts if it was forwarded
  bool replaced_value = false;  // there was a live value before (own provisional ones count)
};

// `read_ts` is the transaction's read timestamp (without a transaction: the write's own). A committed version
// above it is a write-write conflict: WriteTooOldError, or forwarding by policy (T10, B47). Replaying a write
// (same transaction, epoch, sequence) changes nothing and returns the first result (T19). Foreign locks:
// LockConflictError.
StatusOr<MvccWriteResult> MvccPut(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                  std::string_view value, const MvccWriteOptions& options);
StatusOr<MvccWriteResult> MvccDelete(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                     const MvccWriteOptions& options);

enum class IfMissing : uint8_t {
  kFail,   // a missing value satisfies only an expectation of nullopt
  kAllow,  // a missing value satisfies any expectation
};
// Writes `value` (nullopt: deletes) if the current value equals `expected` (nullopt: none); else
// ConditionFailedError. It is a read too: a newer version is always WriteTooOldError.
StatusOr<MvccWriteResult> MvccConditionalPut(OverlayBatch& batch, std::string_view key, Timestamp read_ts,
                                             std::optional<std::string_view> value,
                                             std::optional<std::string_view> expected, IfMissing if_missing,
                                             const MvccWriteOptions& options);

struct MvccInsertManyResult {
  Timestamp written_ts;
  bool all_new = false;  // each key got its first version, in key order; and its intent, if that is not committed
};
// As MvccConditionalPut of each row, expecting no value; rows by ascending key, or InvalidArgument. Where the span has no
// locks, keys that were never there take one walk over it instead of a look at each.
// `failed_key`: whose ConditionFailedError or other error it is; the batch is of no use then.
StatusOr<MvccInsertManyResult> MvccInsertMany(OverlayBatch& batch, const KvBlock& rows, Timestamp read_ts,
                                              const MvccWriteOptions& options, std::string& failed_key);

struct MvccDeleteRangeResult {
  std::vector<std::string> keys;  // deleted ones, in order
  Timestamp written_ts_max;
  std::optional<std::pair<std::string, std::string>> resume;
};
// Deletes every live key of the span, one by one, up to `rows_max` (0: all).
StatusOr<MvccDeleteRangeResult> MvccDeleteRange(OverlayBatch& batch, std::string_view start,
                                                std::string_view end, Timestamp read_ts, uint64_t rows_max,
                                                const MvccWriteOptions& options);

// ---- Locks --------------------------------------------------------------------------------------------------

// Acquires a replicated kShared or kExclusive lock for `txn` (T23); nothing if it holds one as strong.
Status MvccAcquireLock(OverlayBatch& batch, std::string_view key, LockStrength strength, const TxnMeta& txn,
                       MvccStats* stats);

// What became of a transaction, for its locks on a key or span.
struct LockUpdate {
  std::string start;
  std::string end;
  std::string txn_id;
  uint32_t epoch = 0;
  TxnStatus status = TxnStatus::kPending;  // kPending: pushed to `ts`. Never kStaging
  Timestamp ts;                            // commit timestamp or pushed timestamp
  std::vector<SequenceRange> ignored;
  template <class V>
  void Visit(V& v) {
    v(1, start);
    v(2, end);
    v(3, txn_id);
    v(4, epoch);
    v(5, status);
    v(6, ts);
    v(7, ignored);
  }
};
struct MvccResolveResult {
  uint64_t resolved_count = 0;  // locks changed or removed
  std::optional<std::pair<std::string, std::string>> resume;
};
// Idempotent, conditional on transaction and epoch (T17). Committed: the intent's last value that was not
// rolled back becomes a version at `ts` (an intent of an earlier epoch is dropped); aborted: it is removed;
// either way the transaction's other locks go. Pending: the intent moves up to `ts`.
StatusOr<MvccResolveResult> MvccResolveLocks(OverlayBatch& batch, const LockUpdate& update, uint64_t locks_max,
                                             MvccStats* stats);

// Proof for recovery and pipelining (T14, B38): whether an intent of `txn` with its epoch, holding its
// sequence, stands on `key` at or below txn.write_ts.
StatusOr<bool> MvccQueryIntent(const Reader& reader, std::string_view key, const TxnMeta& txn);

// ---- Upkeep -------------------------------------------------------------------------------------------------

// Garbage of one key: this version and all older ones.
struct GcKey {
  std::string key;
  Timestamp ts;
};
// What in the span no read above `threshold` can see, at most `limit` keys; keys with an intent are left out.
StatusOr<std::vector<GcKey>> MvccFindGarbage(const Reader& reader, std::string_view start,
                                             std::string_view end, Timestamp threshold, size_t limit);
// Removes it. InvalidArgument if that would remove a value that is a key's newest version, or a provisional
// one (I18). Garbage that is gone already is passed over.
Status MvccGarbageCollect(OverlayBatch& batch, const std::vector<GcKey>& keys, MvccStats* stats);

// Recounts a span.
StatusOr<MvccStats> MvccComputeStats(const Reader& reader, std::string_view start, std::string_view end);
// The first key with at least `left_bytes` of keys and versions (as MvccStats counts them) to its left, else the last
// one; never the span's first key. nullopt if the span has fewer than two keys. Reads no further than that key.
StatusOr<std::optional<std::string>> MvccFindSplitKey(const Reader& reader, std::string_view start,
                                                      std::string_view end, int64_t left_bytes);
// Digest of all versions and locks of a span, for replica consistency checks: equal data, equal digest.
StatusOr<uint64_t> MvccDigest(const Reader& reader, std::string_view start, std::string_view end);
// Adds the removal of all versions and locks of a span (removal of a replica).
void MvccClearRange(WriteBatch& batch, std::string_view start, std::string_view end);

}  // namespace orrery::storage
