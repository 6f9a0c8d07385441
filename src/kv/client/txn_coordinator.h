// TxnCoordinator: drives one transaction. Each batch passes these stages, outermost first; the place of each
// has its reason:
//
//   usable?       a transaction that was aborted (heartbeat) or failed sends nothing more
//   write buffer  what is under an exclusive lock is written by the commit (write_buffer.h): sent earlier only if
//                 something else has to see it. Above the lock tracker: a buffered write sends nothing
//   lock tracker  anchors the record, notes what will be locked *before* it is sent: what may have been
//                 written is resolved at the end, whatever the answer says. Starts the heartbeat
//   sequence      numbers the requests (T19, T30); a re-send below keeps its numbers
//   refresher     below the sequence numbers, so that a batch is sent again at a later timestamp as itself;
//                 notes what was read only when the answer is there (T12)
//   committer     joins EndTxn to the last batch if one range holds all of it (1PC), else sends it after
//   DistSender    ranges, leaseholders, retries of the way
//
// Uncertainty (T11): the limit is fixed for the transaction. Under READ COMMITTED each statement is a reader of
// its own which begins when the statement does, so BeginStatement sets a new limit; a restart of the statement
// keeps it. Not thread-safe (kv::Txn), but for RunBeside (txn_beside.cc).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kv/client/background.h"
#include "kv/client/span_set.h"
#include "kv/client/write_buffer.h"

namespace orrery::kv {

// What all coordinators of a client share.
struct CoordinatorEnv {
  const KvClientOptions& options;
  DistSender& sender;
  HybridClock& clock;
  runtime::Random& random;
  Background& background;
};

// The transaction has no record, and none can be made for it any more (T16).
bool IsRecordGone(const Status& status);

class TxnCoordinator : public Txn {
 public:
  TxnCoordinator(CoordinatorEnv env, const TxnOptions& options);
  ~TxnCoordinator() override;

  Status Run(const runtime::Context& context, Batch& batch) override;
  Status RunBeside(const runtime::Context& context, Batch& batch) override;
  Status RunAndCommit(const runtime::Context& context, Batch& batch) override;
  Status Commit(const runtime::Context& context) override;
  Status Rollback(const runtime::Context& context) override;
  void BeginStatement() override;
  Status Restart(const runtime::Context& context, const Status& retry_error) override;
  Status RestartStatement(const runtime::Context& context, const Status& retry_error) override;
  uint32_t CreateSavepoint() override { return last_sequence_; }
  Status RollbackTo(const runtime::Context& context, uint32_t savepoint) override;
  IsolationLevel isolation() const override { return isolation_; }
  Timestamp read_timestamp() const override { return txn().read_ts; }
  Timestamp commit_timestamp() const override { return commit_ts_; }
  std::string id() const override;
  bool has_writes() const override { return !write_sequences_.empty() || buffer_.has_unsent(); }
  bool MayReadOutside() const override {
    return state_ == State::kOpen && isolation_ == IsolationLevel::kReadCommitted && locks_.empty() && !has_writes();
  }
  void LimitCommit(Timestamp deadline) override { deadline_ = std::min(deadline_, deadline); }

 private:
  enum class State : uint8_t {
    kOpen,
    kAborted,   // by others: only Restart (as a new transaction) or Rollback
    kFailed,    // after an error that leaves its effects unknown: only Rollback
    kFinished,
  };

  Transaction& txn() { return *request_.header.txn; }
  const Transaction& txn() const { return *request_.header.txn; }

  bool Planted(PlantedBug bug) const { return env_.options.routing.planted == bug; }
  Timestamp UncertaintyLimit() const;

  // Stages.
  Status CheckUsable();
  std::string NewId() const;
  void Reset();
  void Rename();
  Status Send(const runtime::Context& context, Batch& batch);
  Status FinishSend(const runtime::Context& context, Batch& batch, uint32_t first_sequence, Status status, BatchResponse& response);
  void TrackLocks(const Batch& batch);
  void ForgetLocks();
  void NumberRequests();
  bool MayMoveReads() const;
  Status SendAndRecover(const runtime::Context& context, DistSender::Pieces pieces, BatchResponse& response);
  void TakeTxn(const BatchResponse& response);
  Status Recover(const runtime::Context& context, const Status& error);
  Status Withdraw(const runtime::Context& context, const Status& error) const;
  Status Refresh(const runtime::Context& context, Timestamp to);
  void NoteReads(const std::vector<Request>& requests, const std::vector<Response>& responses);
  Status Failed(const std::vector<Request>& requests, uint32_t first_sequence, Status error);
  void MoveTo(Timestamp ts);

  // txn_beside.cc
  struct Beside;
  bool MayGoBeside(const Batch& batch) const;
  bool IsClearOfOthers(const Batch& batch) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(beside_mutex_);
  Status BeginBeside(const runtime::Context& context, Batch& batch, Beside& beside);
  Status EndBeside(Batch& batch, Beside& beside, BatchResponse& response);
  Status BeginAlone(const runtime::Context& context, const Beside& beside);
  void EndAlone();
  Status Resend(const runtime::Context& context, Batch& batch, uint32_t first_sequence, const Status& error);

  // txn_buffer.cc
  enum class Buffered : uint8_t { kDone, kSend };  // whether the batch is answered or still to be sent
  StatusOr<Buffered> RunBuffered(const runtime::Context& context, Batch& batch);
  bool AnswerOwnWrite(Batch& batch) const;
  bool FitsBuffer(const Batch& batch) const;
  StatusOr<Buffered> BufferWrites(const runtime::Context& context, Batch& batch);
  void NoteHeld(const Batch& batch);
  Status Flush(const runtime::Context& context);
  Status LostLock(const Status& error) const;
  void AppendBuffered(std::vector<Request>& out) const;
  Status CommitBuffered(const runtime::Context& context);

  // txn_commit.cc
  static bool FitsOnePhase(const Batch& batch);
  Status CommitInOnePhase(const runtime::Context& context, Batch& batch);
  Status CommitWrites(const runtime::Context& context);
  Status CheckDeadline() const;
  EndTxnRequest EndRequest();
  Status FinishCommit(const runtime::Context& context, const BatchResponse& response);
  Status ResolveAmbiguity(const runtime::Context& context, const Status& error);
  void Release(const runtime::Context& context, TxnStatus status);

  const CoordinatorEnv env_;
  const IsolationLevel isolation_;
  const int32_t priority_;
  State state_ = State::kOpen;
  BatchRequest request_;  // re-used; its header's transaction is *the* transaction
  uint32_t last_sequence_ = 0;
  std::vector<uint32_t> write_sequences_;  // of batches with writes that were not rolled back
  WriteBuffer buffer_;
  bool left_locks_ = false;  // intents or replicated locks stand, of this or an earlier epoch
  SpanSet locks_;
  SpanSet reads_;             // not of READ COMMITTED
  Timestamp refreshed_to_;    // all reads hold up to here
  bool txn_has_read_ = false;
  bool statement_has_read_ = false;
  std::shared_ptr<Heartbeat> heartbeat_;
  Timestamp deadline_ = Timestamp::Max();
  Timestamp commit_ts_;

  // Who calls RunBeside: those whose batches are on their way, or one that has all of the above to itself.
  runtime::Mutex beside_mutex_{"txn.beside"};  // guards the above, too, while some are on their way
  runtime::CondVar beside_changed_;
  std::map<std::string, std::string, std::less<>> beside_ ABSL_GUARDED_BY(beside_mutex_);  // spans on their way, from start to end
  size_t wait_to_send_ ABSL_GUARDED_BY(beside_mutex_) = 0;    // what has to go alone
  size_t wait_to_resend_ ABSL_GUARDED_BY(beside_mutex_) = 0;  // before those: it has its numbers
  bool alone_ ABSL_GUARDED_BY(beside_mutex_) = false;
};

}  // namespace orrery::kv
