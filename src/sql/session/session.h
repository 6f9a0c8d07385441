// Session: one client's state. What arrives through ClientSession is compiled (session_compile.cc), run with
// its transaction and retries (session_run.cc), or is a utility statement (session_utility.cc) or COPY
// (session_copy.cc). Not thread-safe, but for its CancelSlot.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orrery/runtime/runtime.h"
#include "orrery/sql/parser/parser.h"
#include "orrery/sql/binder/binder.h"
#include "orrery/sql/exec/copy_format.h"
#include "orrery/sql/exec/executor.h"
#include "orrery/sql/session/session_manager.h"
#include "orrery/sql/types/catalog_info.h"
#include "orrery/sql/types/eval_cache.h"
#include "sql/session/plan_cache.h"
#include "sql/session/settings.h"
#include "sql/session/transaction.h"

namespace orrery::sql {

// Where a cancel request finds a session. Self-synchronised.
class CancelSlot {
 public:
  CancelSlot(const runtime::Context& base, int32_t pid, int32_t secret)
      : base_(base), pid_(pid), secret_(secret), scope_(base.WithCancel()) {}
  int32_t pid() const { return pid_; }
  int32_t secret() const { return secret_; }
  // Cancels the statement that runs, if one does.
  void Cancel();
  // The context for a statement; Finish after it tells whether it was cancelled.
  const runtime::Context& Start();
  bool Finish();
  // Whether it is the server that cancels, as it stops.
  bool stopping() const { return base_.cancelled(); }

 private:
  enum class State : uint8_t { kIdle, kRunning, kCancelled };
  const runtime::Context base_;
  const int32_t pid_;
  const int32_t secret_;
  runtime::Mutex mutex_{"cancel_slot"};
  runtime::Context::Cancellable scope_;
  std::atomic<State> state_{State::kIdle};
};

// What the sessions of a node share.
struct SharedSessions {
  SharedSessions(const SqlServices& s, const SessionLimits& l) : services(s), limits(l), plans(l.cached_plans_max) {}
  SqlServices services;
  const SessionLimits limits;
  PlanCache plans;
  std::atomic<int64_t> last_row_id{0};
  runtime::Mutex mutex{"sessions"};
  std::map<int32_t, std::shared_ptr<CancelSlot>> slots ABSL_GUARDED_BY(mutex);
  int32_t next_counter ABSL_GUARDED_BY(mutex) = 0;

  int64_t NextRowId(runtime::Clock& clock);
};

class Session final : public ClientSession, private SessionInfo, private VolatileSource {
 public:
  Session(SharedSessions& shared, std::shared_ptr<CancelSlot> slot, const runtime::Context& context,
          const SessionStart& start);
  ~Session() override;
  // Parameters of the start-up packet.
  Status ApplyStart(const SessionStart& start);

  StatusOr<Progress> Query(const runtime::Context&, std::string_view text, ResultSink& sink) override;
  Status Parse(const runtime::Context&, std::string_view name, std::string_view text,
               std::span<const Oid> parameter_types, ResultSink& sink) override;
  Status Bind(const runtime::Context&, std::string_view portal, std::string_view statement,
              const BindParameters& parameters, FormatCodes result_formats, ResultSink& sink) override;
  StatusOr<StatementDescription> DescribeStatement(const runtime::Context&, std::string_view name) override;
  StatusOr<StatementDescription> DescribePortal(const runtime::Context&, std::string_view name,
                                                FormatCodes& formats) override;
  StatusOr<Progress> Execute(const runtime::Context&, std::string_view portal, uint64_t row_limit,
                             AfterExecute after, ResultSink& sink) override;
  Status CloseStatement(std::string_view name) override;
  Status ClosePortal(std::string_view name) override;
  Status Sync(const runtime::Context&) override;
  Status CopyData(const runtime::Context&, std::string_view bytes) override;
  StatusOr<Progress> CopyDone(const runtime::Context&, ResultSink& sink) override;
  Status CopyFail(const runtime::Context&, std::string_view reason) override;
  void FailTransaction(const runtime::Context&) override { Fail(); }
  TransactionStatus transaction_status() const override { return transaction_.status(); }
  std::vector<std::pair<std::string, std::string>> TakeReportedParameters() override { return settings_.TakeReported(); }
  Duration IdleTimeout() const override;
  Status IdleTimeoutError() const override;
  int32_t backend_pid() const override { return slot_->pid(); }
  int32_t cancel_secret() const override { return slot_->secret(); }

 private:
  // A statement's run that can be continued: a portal with a row limit, a cursor.
  struct Running {
    Running(Session& session, CompiledStatementPtr compiled, std::vector<Datum> values, kv::Txn* txn);
    CompiledStatementPtr compiled;
    std::vector<Datum> parameters;
    MemoryAccount memory;
    std::unique_ptr<VirtualContext> virtual_context;
    ExecEnv env;
    Execution execution;
  };
  struct Prepared {
    CompiledStatementPtr compiled;
    std::vector<Oid> declared;
  };
  struct Portal {
    CompiledStatementPtr compiled;
    std::vector<Datum> parameters;
    FormatCodes formats;
    std::unique_ptr<Running> running;
    bool done = false;
  };
  struct CopyIn {
    CompiledStatementPtr compiled;
    std::unique_ptr<CopyParser> parser;
    std::vector<CopyField> fields;        // of the present row
    kv::LoadedRows rows;                  // encoded, not yet written
    bool beside = false;                  // rows go in beside the transaction (docs/design/bulk_load.md)
    bool pipelined = false;               // blocks are written while the next rows come
    std::unique_ptr<kv::Loader> loader;   // once they are many
    uint64_t row_count = 0;
  };
  enum class Commit : uint8_t { kWithStatement, kLater };
  // The scope of one request: cancellation, timeouts, the clock of now().
  class Scope;

  // session_compile.cc
  StatusOr<CompiledStatementPtr> CompileParsed(std::shared_ptr<const ParsedStatement> parsed, std::string_view text,
                                               std::span<const Oid> declared);
  StatusOr<CompiledStatementPtr> CompileText(std::string_view text, std::span<const Oid> declared);
  // Puts a statement in its place whose tables are those of now, if they have changed.
  Status Revalidate(CompiledStatementPtr& compiled, std::span<const Oid> declared);
  Status CheckNotFailed(const ParsedNode& node) const;
  PlanKey KeyOf(std::string_view text, std::span<const Oid> declared) const;
  std::vector<ResultColumn> UtilityColumns(const ParsedNode& node) const;
  CatalogTxn& Catalog();

  // session_run.cc
  StatusOr<Progress> RunCompiled(const CompiledStatementPtr& compiled, std::span<const Datum> parameters,
                                 const FormatCodes& formats, Commit commit, ResultSink& sink);
  bool NeedsNoTransaction(const PhysicalPlan& plan, bool alone) const;
  Status RunWithoutTransaction(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                               ResultSink& sink, RunResult& result);
  Status RunPlan(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                 ResultSink& sink, RunResult& result);
  Status RunPlanOnce(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                     kv::Txn* txn, ResultSink& sink, RunResult& result);
  StatusOr<Progress> RunPortal(Portal& portal, uint64_t row_limit, ResultSink& sink);
  // Runs `body` in the transaction, restarting it where T24 and B40 allow.
  Status WithRetries(Commit commit, ResultSink* sink, const std::function<Status(kv::Txn&)>& body);
  Status RunDdl(const BoundDdl& ddl, ResultSink& sink);
  Status Validate(const BoundDdl::Validation& validation);
  Status RunExplain(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                    ResultSink& sink);
  kv::Txn& OpenTxn();
  void NoteWrites(const PhysicalPlan& plan);
  Status CommitKv(kv::Txn& txn);
  Status CommitTransaction();
  void ReleaseCatalog();
  void Fail();
  void EndTransaction(bool committed);
  Status CheckWritable(const PhysicalPlan& plan) const;
  std::string CommandTag(const CompiledStatement& compiled, uint64_t rows) const;
  ExecEnv MakeEnv(std::span<const Datum> parameters, kv::Txn* txn, MemoryAccount& memory);
  StatusOr<Progress> RunQueue(ResultSink& sink);
  Status TranslateError(Status status) const;

  // session_utility.cc
  StatusOr<Progress> RunUtility(const CompiledStatement& compiled, const FormatCodes& formats, Commit commit, ResultSink& sink);
  Status RunTransaction(const ParsedTransaction& node, ResultSink& sink);
  Status RunSavepoint(const ParsedTransaction& node);
  Status SetParameter(const std::string& name, const std::string& value, SettingScope scope);
  void AdoptFormat();
  Status ApplyModes(const std::vector<ParsedOption>& modes);
  Status RunSet(const ParsedSet& node, ResultSink& sink);
  Status RunShow(const ParsedShow& node, const FormatCodes& formats, ResultSink& sink);
  Status RunPrepare(const ParsedPrepare& node, const CompiledStatement& compiled);
  StatusOr<Progress> RunExecute(const ParsedExecute& node, const FormatCodes& formats, Commit commit, ResultSink& sink);
  Status RunDeallocate(const ParsedDeallocate& node);
  Status RunDeclare(const ParsedDeclareCursor& node, const CompiledStatement& compiled);
  Status RunFetch(const ParsedFetch& node, const FormatCodes& formats, ResultSink& sink);
  Status RunDiscard(const ParsedDiscard& node);
  void Warn(ResultSink& sink, Severity severity, std::string_view sqlstate, std::string_view message) const;
  StatusOr<std::string> ShowValue(std::string_view name) const;

  // session_copy.cc
  StatusOr<Progress> StartCopy(const CompiledStatementPtr& compiled, Commit commit, ResultSink& sink);
  Status RunCopyOut(const CompiledStatement& compiled, const BoundCopy& copy, Commit commit, ResultSink& sink);
  Status ReadCopyRows();
  Status RunCopyRows(bool& more);
  StatusOr<bool> ReadCopyRow(const BoundCopy& copy, std::span<Datum> row);
  Status WriteCopyRows();
  kv::Loader::WriteBlock CopyBlockWriter();
  Status FinishCopyRows();
  const Table& CopyTable() const;
  bool MayCopyBeside(const Table& table) const;
  Status CopyError(const Status& status, const BoundCopy& copy, int column, const CopyField* value) const;

  // SessionInfo
  std::string_view current_user() const override { return user_; }
  std::string_view session_user() const override { return user_; }
  std::string_view current_database() const override { return database_; }
  std::string_view current_schema() const override;
  std::optional<std::string> Setting(std::string_view name) const override;
  std::optional<std::string> RegName(Oid reg_type, Oid value) const override;
  StatusOr<Oid> RegLookup(Oid reg_type, std::string_view name) const override;
  CatalogInfo* catalog_info() const override;
  std::vector<std::string> SearchPath() const override;
  // VolatileSource
  TimestampUs WallNow() override;
  uint64_t NextRandom() override { return random_->Next(); }
  int64_t NextRowId() override { return shared_.NextRowId(runtime_.clock()); }
  StatusOr<std::string> ChangeSetting(std::string_view name, std::string_view value, SettingReach reach) override;

  SharedSessions& shared_;
  const std::shared_ptr<CancelSlot> slot_;
  runtime::Runtime& runtime_;
  runtime::Context context_;  // of the present request
  std::unique_ptr<runtime::Random> random_;
  const std::string user_;
  const std::string database_;
  Settings settings_;
  EvalCache eval_cache_;
  EvalContext eval_;
  SessionTransaction transaction_;
  mutable std::unique_ptr<CatalogInfo> catalog_info_;  // of the present statement, made when asked for
  std::map<std::string, Prepared, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;
  std::set<std::string, std::less<>> cursors_;  // portals made by DECLARE
  // The statements of a Query message that are still to run.
  std::vector<std::shared_ptr<const ParsedStatement>> queue_;
  CompiledStatementPtr queue_compiled_;  // the only statement, from the plan cache
  size_t queue_next_ = 0;
  bool in_query_ = false;
  std::optional<CopyIn> copy_in_;
};

}  // namespace orrery::sql
