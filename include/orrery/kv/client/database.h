// Database and Txn: how SQL (and everything else above KV) reads and writes. A Txn is the handle of one
// transaction's coordinator: it picks timestamps, tracks what was read and locked, heartbeats, refreshes,
// commits. Errors a caller branches on: kv::GetError<TxnRetryError / ConditionFailedError / LockConflictError>.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/kv_block.h"
#include "orrery/base/status_or.h"
#include "orrery/kv/api/batch.h"
#include "orrery/runtime/context.h"

namespace orrery::kv {

// Whether others may be about to write the keys that a batch inserts.
enum class InsertedKeys : uint8_t {
  kAnyones,  // a transaction that buffers such a write looks and locks first
  kFresh,    // made for this row, known to nobody: the condition is checked with the commit alone, where its failure
             // is a TxnRetryError
};

// Operations sent together; results stand at the same positions. Re-usable after Clear(). Not thread-safe.
class Batch {
 public:
  void Get(std::string_view key, LockStrength lock = LockStrength::kNone,
           LockDurability durability = LockDurability::kUnreplicated);
  void Scan(Span span, Direction direction = Direction::kForward, LockStrength lock = LockStrength::kNone,
            LockDurability durability = LockDurability::kUnreplicated);
  void Put(std::string_view key, std::string_view value);
  void Insert(std::string_view key, std::string_view value);  // ConditionFailedError if the key has a value
  // All of the rows, which are sorted by key, each key once: as Insert of each, but isolated as one span.
  void InsertMany(KvBlock rows);
  void ConditionalPut(std::string_view key, std::string_view value, std::optional<std::string> expected);
  void Delete(std::string_view key);
  void Clear();

  WaitPolicy wait = WaitPolicy::kBlock;
  uint64_t max_keys = 0;   // limits over all scans of the batch; 0: none
  uint64_t max_bytes = 0;
  InsertedKeys inserted_keys = InsertedKeys::kAnyones;

  std::vector<Request> requests;
  std::vector<Response> responses;  // filled in by Run, one a request
};

struct TxnOptions {
  IsolationLevel isolation = IsolationLevel::kReadCommitted;
  std::string_view name;        // for logs and views
  int32_t priority = 0;         // higher wins deadlocks and pushes; 0 is normal
};

// Not thread-safe, but for RunBeside: one task at a time. Destroying an open Txn rolls it back in the background.
class Txn {
 public:
  virtual ~Txn() = default;

  // Runs the operations. After an error other than TxnRetryError, ConditionFailedError or LockConflictError
  // the transaction can only be rolled back.
  virtual Status Run(const runtime::Context& context, Batch& batch) = 0;
  // As Run. Several tasks may call this at once, as long as nobody calls anything else: a load's blocks (InsertMany) of different
  // keys are on their way side by side then; other batches, and those of the same keys, go one after the other.
  virtual Status RunBeside(const runtime::Context& context, Batch& batch) = 0;
  // The same and commits with it: one consensus round when all of it is one range's (1PC). On an error the
  // transaction is not committed, unless the code is Ambiguous (T18).
  virtual Status RunAndCommit(const runtime::Context& context, Batch& batch) = 0;
  virtual Status Commit(const runtime::Context& context) = 0;
  virtual Status Rollback(const runtime::Context& context) = 0;  // idempotent

  // READ COMMITTED: a new read timestamp for the next statement (T24). No effect on other levels.
  virtual void BeginStatement() = 0;
  // After TxnRetryError: makes the transaction ready to run its body again (new epoch or new id, later
  // timestamp). All earlier reads and writes are void. Precondition: nothing of it was shown to a client.
  virtual Status Restart(const runtime::Context& context, const Status& retry_error) = 0;
  // After TxnRetryError of a statement under READ COMMITTED, once its savepoint has been rolled back: moves
  // the read timestamp up so that the statement can run again. Fails if the transaction was aborted.
  virtual Status RestartStatement(const runtime::Context& context, const Status& retry_error) = 0;

  // Savepoints by sequence number (T30). Rolling back hides later writes; locks stay.
  virtual uint32_t CreateSavepoint() = 0;
  virtual Status RollbackTo(const runtime::Context& context, uint32_t savepoint) = 0;

  virtual IsolationLevel isolation() const = 0;
  virtual Timestamp read_timestamp() const = 0;
  // Known after a successful commit.
  virtual Timestamp commit_timestamp() const = 0;
  virtual std::string id() const = 0;  // printable
  virtual bool has_writes() const = 0;
  // Whether a read outside of it (Database::Read) gives what a statement of it would read: under READ COMMITTED, while
  // it has written and locked nothing.
  virtual bool MayReadOutside() const { return false; }
  // T28: the commit timestamp must be below this (the earliest end of the descriptor leases used).
  virtual void LimitCommit(Timestamp deadline) = 0;
};

class Database {
 public:
  virtual ~Database() = default;
  virtual std::unique_ptr<Txn> Begin(const TxnOptions& options) = 0;
  // Reads outside a transaction, at one timestamp; a single-range batch lets its leaseholder choose it, so it
  // neither restarts nor waits for uncertainty. Gets and Scans without locks only.
  virtual Status Read(const runtime::Context& context, Batch& batch, Timestamp* read_ts = nullptr) = 0;
  // Runs `body` in a SERIALIZABLE transaction until it commits, retrying it on TxnRetryError.
  virtual Status RunTxn(const runtime::Context& context, std::string_view name,
                        const std::function<Status(Txn&)>& body) = 0;
  // A new unique id from a counter of the cluster span (keys.h), starting at 1; `count` of them from the result.
  virtual StatusOr<uint64_t> AllocateIds(const runtime::Context& context, std::string_view counter,
                                         uint64_t count) = 0;
  // Makes `key` the start of a range.
  virtual Status Split(const runtime::Context& context, std::string_view key) = 0;
  // Erases the data of spans nobody can address any more.
  virtual Status ClearSpan(const runtime::Context& context, const Span& span) = 0;
  virtual Timestamp Now() = 0;  // the node's HLC
  // The descriptors of the ranges that overlap the span, in key order, from the meta range.
  virtual StatusOr<std::vector<RangeDescriptor>> ListRanges(const runtime::Context& context, const Span& span) = 0;
};

}  // namespace orrery::kv
