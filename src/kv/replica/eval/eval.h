// Evaluation: what each request of a batch does, given the state of the range. It reads through a storage
// reader, writes into an overlay, and returns everything else as values: responses, lock changes, marks,
// triggers. One file a command. No waiting, no mutex: the caller holds the latches.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kv/replica/records.h"
#include "orrery/kv/api/batch.h"
#include "orrery/kv/api/planted_bug.h"
#include "orrery/kv/concurrency/timestamp_cache.h"
#include "orrery/kv/txn/record.h"
#include "orrery/storage/mvcc.h"
#include "orrery/storage/sorted_reader.h"

namespace orrery::kv::eval {

// kv::IsolationLevel::kSerializable, as TxnMeta carries it.
inline constexpr uint8_t kSerializableLevel = 2;

struct AcquiredLock {
  std::string key;
  LockStrength strength;
  LockDurability durability;
};
struct ResolvedSpan {
  TxnMeta txn;  // write_ts: where its locks are now
  TxnStatus status;
  Span span;
};
struct MarkToLeave {
  std::string txn_id;
  Timestamp min_ts;
  RecordMarkChange change;
};

// What an evaluation changes in the leaseholder's memory. Its lock table, timestamp cache and waiting pushes learn of it
// while the latches are held: of what is written once the command is applied, of all else when the evaluation ends.
struct LocalEffects {
  std::vector<AcquiredLock> acquired;
  std::vector<ResolvedSpan> resolved;
  std::vector<MarkToLeave> marks;
  std::optional<TxnRecord> record;   // changed: waiters are told
};

// What the range knows beside its data. Callbacks take the range's mutex.
struct RangeView {
  std::shared_ptr<const RangeDescriptor> range;
  Timestamp now;           // the leaseholder's clock
  Timestamp gc_threshold;
  std::function<RecordMark(std::string_view txn_id)> record_mark;
  std::function<bool(std::string_view key, LockStrength strength)> is_locked;  // SKIP LOCKED
  uint64_t scan_bytes_max = 0;
  PlantedBug planted = PlantedBug::kNone;
};

// One evaluation of a batch; results are added to it by the commands.
struct Evaluation {
  const RangeView& view;
  const BatchHeader& header;
  storage::OverlayBatch& overlay;
  const storage::Reader& reader;  // the overlay if anything writes, else the engine: reads then cost no index
  Timestamp read_ts;
  TxnMeta* txn = nullptr;         // the evaluating transaction with its forwarded write_ts; null: none
  Timestamp write_ts;
  bool one_phase = false;         // writes go in as committed versions
  uint64_t keys_left = 0;         // header.max_keys budget; 0: no limit was given
  bool keys_limited = false;
  uint64_t bytes_left = 0;

  std::vector<Response> responses;
  storage::MvccStats stats;
  LocalEffects local;
  std::optional<Transaction> txn_out;
  std::optional<SplitTrigger> split;
  std::optional<ChangeReplicasTrigger> change_replicas;
  storage::MvccStats right_stats;
  Timestamp gc_threshold;
  bool push_must_wait = false;
  const std::vector<std::string>* seen_pending = nullptr;  // see MvccReadOptions
  Timestamp uncertainty_limit;                             // the same, of a batch without transaction
  Timestamp local_limit = Timestamp::Max();                // the same
  size_t new_rows = 0;            // put into the overlay as new versions, in key order
  bool one_phase_failed = false;  // to be evaluated again with intents

  bool limit_reached() const { return (keys_limited && keys_left == 0) || bytes_left == 0; }
  storage::MvccReadOptions ReadOptions() const;
  storage::MvccWriteOptions WriteOptions();
  void NoteWritten(const storage::MvccWriteResult& result, std::string_view key);
};

// A one-phase commit that happened already and is asked for again (T19): answers it without any effect.
bool AnswerReplay(Evaluation& e, const BatchRequest& batch);
// Runs all requests in order. A failure carries storage's or kv's typed payload; `failed_index` says which.
Status EvaluateBatch(Evaluation& e, const BatchRequest& batch, size_t& failed_index);
// Whether the whole transaction is this batch: its writes, then its commit, and no lock elsewhere.
bool IsOnePhase(const BatchRequest& batch);

// For a batch that writes or resolves many keys in order, a reader that walks along them; else null.
std::unique_ptr<storage::SortedReader> ReaderInKeyOrder(const storage::Reader& base, const BatchRequest& batch);

StatusOr<Response> Evaluate(Evaluation& e, const GetRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const ScanRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const PutRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const ConditionalPutRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const DeleteRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const InsertManyRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const ClearRangeRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const EndTxnRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const HeartbeatTxnRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const PushTxnRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const ResolveIntentRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const RefreshRequest& request);
StatusOr<Response> Evaluate(Evaluation& e, const GcRequest& request);

// Transaction records on disk.
StatusOr<std::optional<TxnRecord>> ReadTxnRecord(const storage::Reader& reader, std::string_view anchor,
                                                 std::string_view txn_id);
void StageRecordChange(storage::OverlayBatch& batch, const TxnMeta& txn, const RecordChange& change);
void LeaveMark(Evaluation& e, const TxnMeta& txn, const RecordMarkChange& change);
// The part of a span that lies in the range; nullopt if none does.
std::optional<Span> Clip(const Span& span, const RangeDescriptor& descriptor);

}  // namespace orrery::kv::eval
