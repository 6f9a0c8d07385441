// Running compiled statements: the transaction they run in, the restarts nobody needs to see, the results.
#include <charconv>
#include <cstdio>
#include <functional>
#include <limits>

#include "orrery/kv/api/errors.h"
#include "orrery/sql/exec/kv_errors.h"
#include "sql/session/session.h"

namespace orrery::sql {

using State = SessionTransaction::State;

Session::Running::Running(Session& session, CompiledStatementPtr statement, std::vector<Datum> values, kv::Txn* txn)
    : compiled(std::move(statement)), parameters(std::move(values)),
      memory(session.shared_.limits.statement_memory_bytes), env(session.MakeEnv(parameters, txn, memory)),
      execution(compiled->plan, env) {}

ExecEnv Session::MakeEnv(std::span<const Datum> parameters, kv::Txn* txn, MemoryAccount& memory) {
  catalog_info_.reset();
  if (!transaction_.catalog) (void)Catalog();  // functions may ask for names even where the plan has no table
  return {.database = shared_.services.database,
          .txn = txn,
          .eval = eval_,
          .parameters = parameters,
          .memory = memory,
          .lock_timeout = settings_.hot().lock_timeout,
          .next_row_id = [this] { return shared_.NextRowId(runtime_.clock()); }};
}

namespace {

// The virtual tables' view of the session; made only for plans that read them.
bool ReadsVirtualTables(const std::vector<TableUse>& uses) {
  for (const TableUse& use : uses) {
    if (use.table && use.table->virtual_table) return true;
  }
  return false;
}

std::unique_ptr<VirtualContext> MakeVirtualContext(CatalogTxn& catalog, const FunctionCatalog& functions,
                                                   const Settings& settings) {
  auto context = std::make_unique<VirtualContext>(VirtualContext{catalog, functions, {}});
  for (Settings::Row& row : settings.All()) {
    context->settings.push_back({std::move(row.name), std::move(row.value), std::string(row.description)});
  }
  return context;
}

}  // namespace

// Which tables the transaction is about to write itself, where a later COPY may have to know.
void Session::NoteWrites(const PhysicalPlan& plan) {
  if (plan.read_only || !transaction_.catalog || !transaction_.catalog->has_changes()) return;
  for (const TableUse& use : plan.uses) {
    if (use.table) transaction_.written_storages.push_back(use.table->descriptor.storage);
  }
}

kv::Txn& Session::OpenTxn() {
  if (transaction_.state() == State::kNone) {
    transaction_.Begin(settings_.hot().default_isolation, settings_.hot().default_read_only,
                       eval_.format.transaction_time, State::kImplicit);
    settings_.BeginTransaction();
  }
  if (!transaction_.txn) {
    transaction_.txn = shared_.services.database.Begin({.isolation = transaction_.isolation, .name = "sql"});
    if (transaction_.catalog) transaction_.catalog->SetTxn(transaction_.txn.get());
  }
  return *transaction_.txn;
}

void Session::EndTransaction(bool committed) {
  settings_.EndTransaction(committed);
  portals_.clear();  // their executions use the transaction
  cursors_.clear();
  transaction_.Clear();
}

// Names were looked up without a transaction: let go of the versions this pinned, or DDL would wait for them.
void Session::ReleaseCatalog() {
  if (!transaction_.catalog) return;
  transaction_.catalog->OnRolledBack(transaction_.rollback_end());
  transaction_.catalog.reset();
}

// Every explicit commit goes through here: from now on a failure may mean that the outcome is unknown.
Status Session::CommitKv(kv::Txn& txn) {
  if (transaction_.catalog) txn.LimitCommit(transaction_.catalog->CommitDeadline());
  transaction_.commit_tried = true;
  return ToSqlError(txn.Commit(context_));
}

Status Session::CommitTransaction() {
  Status status;
  for (auto& [name, portal] : portals_) portal.running.reset();
  if (transaction_.txn) {
    status = CommitKv(*transaction_.txn);
  }
  if (transaction_.catalog) {
    if (status.ok()) {
      transaction_.catalog->OnCommitted(context_);
    } else {
      transaction_.catalog->OnRolledBack(CatalogTxn::End::kUnknown);
    }
  }
  EndTransaction(status.ok());
  return status;
}

// An error: a block fails, anything less is rolled back.
void Session::Fail() {
  copy_in_.reset();
  switch (transaction_.state()) {
    case State::kBlock:
      transaction_.BecomeFailed();
      for (auto& [name, portal] : portals_) portal.running.reset();
      return;
    case State::kFailed:
      return;
    case State::kImplicit:
    case State::kNone:
      break;
  }
  for (auto& [name, portal] : portals_) portal.running.reset();
  if (transaction_.txn) (void)transaction_.txn->Rollback(context_.Detached());
  if (transaction_.catalog) transaction_.catalog->OnRolledBack(transaction_.rollback_end());
  EndTransaction(false);
}

Status Session::TranslateError(Status status) const {
  status = ToSqlError(status);
  if (status.code() == Code::kCancelled && !status.has_payload()) {
    if (slot_->stopping()) return {Code::kUnavailable, "57P01", "terminating connection due to administrator command"};
    return {Code::kCancelled, "57014", "canceling statement due to user request"};
  }
  if (status.code() == Code::kDeadlineExceeded && status.sqlstate() == "57014") {
    return {Code::kDeadlineExceeded, "57014", "canceling statement due to statement timeout"};
  }
  return status;
}

Status Session::CheckWritable(const PhysicalPlan& plan) const {
  bool read_only = transaction_.state() == State::kNone ? settings_.hot().default_read_only : transaction_.read_only;
  if (!read_only || plan.read_only) return OkStatus();
  return {Code::kFailedPrecondition, "25006",
          "cannot execute " + std::string(plan.command) + " in a read-only transaction"};
}

std::string Session::CommandTag(const CompiledStatement& compiled, uint64_t rows) const {
  std::string tag(compiled.command);
  tag += tag == "INSERT" ? " 0 " : " ";
  char digits[std::numeric_limits<uint64_t>::digits10 + 1];
  return tag.append(digits, std::to_chars(digits, std::end(digits), rows).ptr);
}

// T24, B40: a retry error restarts the statement (READ COMMITTED) or the transaction it is all of, as long as
// no byte of its answer has left.
Status Session::WithRetries(Commit commit, ResultSink* sink, const std::function<Status(kv::Txn&)>& body) {
  const uint64_t mark = sink ? sink->Mark() : 0;
  kv::Txn& txn = OpenTxn();
  const bool whole = transaction_.statements_run == 0 && commit == Commit::kWithStatement;
  const bool by_statement = transaction_.isolation == kv::IsolationLevel::kReadCommitted;
  ++transaction_.statements_run;
  if (by_statement) txn.BeginStatement();
  const uint32_t savepoint = whole ? 0 : txn.CreateSavepoint();
  const size_t changes = transaction_.catalog ? transaction_.catalog->change_count() : 0;
  for (int attempt = 0;; ++attempt) {
    Status status = body(txn);
    if (status.ok() || !IsRetryable(status)) return status;
    const auto* retry = kv::GetError<kv::TxnRetryError>(status);
    // A deadlock's victim is told so, unless nobody can tell: then it runs again like any other.
    if (attempt >= shared_.limits.retries_max || !context_.Check().ok()) return status;
    if (!whole && (!by_statement || retry->aborted())) return status;
    if (sink && !sink->Rewind(mark)) return status;
    if (transaction_.catalog) transaction_.catalog->RollBackChanges(changes);
    if (whole) {
      RETURN_IF_ERROR(txn.Restart(context_, status));
    } else {
      RETURN_IF_ERROR(txn.RollbackTo(context_, savepoint));
      Status restarted = txn.RestartStatement(context_, status);
      if (!restarted.ok()) return status;
    }
  }
}

Status Session::RunPlanOnce(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                            kv::Txn* txn, ResultSink& sink, RunResult& result) {
  NoteWrites(PlanOf(*compiled.plan));
  MemoryAccount memory(shared_.limits.statement_memory_bytes);
  ExecEnv env = MakeEnv(parameters, txn, memory);
  result = RunResult();
  if (PlanOf(*compiled.plan).direct) {
    LastWrite last = commit == Commit::kWithStatement && txn != nullptr ? LastWrite::kCommit : LastWrite::kLeaveOpen;
    return RunDirect(context_, *compiled.plan, env, last, sink, result);
  }
  std::unique_ptr<VirtualContext> virtual_context;
  if (ReadsVirtualTables(compiled.uses)) {
    virtual_context = MakeVirtualContext(Catalog(), shared_.services.functions, settings_);
    env.virtual_context = virtual_context.get();
  }
  Execution execution(compiled.plan, env);
  RETURN_IF_ERROR(execution.Run(context_, 0, sink));
  result.row_count = execution.row_count();
  return OkStatus();
}

// One read at one timestamp needs no transaction: alone, or as a statement of READ COMMITTED, which has a timestamp
// of its own, in a block that has left nothing it would have to see. Nor does a statement without tables, alone.
bool Session::NeedsNoTransaction(const PhysicalPlan& plan, bool alone) const {
  if (!plan.read_only) return false;
  if (alone) return plan.direct || plan.uses.empty();
  if (!plan.direct || transaction_.state() != State::kBlock) return false;
  return transaction_.txn ? transaction_.txn->MayReadOutside()
                          : transaction_.isolation == kv::IsolationLevel::kReadCommitted;
}

Status Session::RunWithoutTransaction(const CompiledStatement& compiled, std::span<const Datum> parameters,
                                      Commit commit, ResultSink& sink, RunResult& result) {
  const uint64_t mark = sink.Mark();
  for (int attempt = 0;; ++attempt) {
    Status status = RunPlanOnce(compiled, parameters, commit, nullptr, sink, result);
    const bool again = IsRetryable(status) && attempt < shared_.limits.retries_max && context_.Check().ok();
    if (!again || !sink.Rewind(mark)) return status;
  }
}

Status Session::RunPlan(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                        ResultSink& sink, RunResult& result) {
  const PhysicalPlan& plan = PlanOf(*compiled.plan);
  RETURN_IF_ERROR(CheckWritable(plan));
  const bool alone = commit == Commit::kWithStatement && transaction_.state() == State::kNone;
  if (NeedsNoTransaction(plan, alone)) {
    Status status = RunWithoutTransaction(compiled, parameters, commit, sink, result);
    if (alone) {
      ReleaseCatalog();
    } else {
      ++transaction_.statements_run;
    }
    return status;
  }
  const auto run = [&](kv::Txn& txn) -> Status {
    if (!alone) return RunPlanOnce(compiled, parameters, Commit::kLater, &txn, sink, result);
    if (transaction_.catalog) txn.LimitCommit(transaction_.catalog->CommitDeadline());
    transaction_.commit_tried = true;
    RETURN_IF_ERROR(RunPlanOnce(compiled, parameters, commit, &txn, sink, result));
    if (!result.committed) RETURN_IF_ERROR(CommitKv(txn));
    if (transaction_.catalog) transaction_.catalog->OnCommitted(context_);
    EndTransaction(true);
    return OkStatus();
  };
  return WithRetries(alone ? Commit::kWithStatement : Commit::kLater, &sink, std::cref(run));
}

// A portal in pieces: it goes on where it stopped, in the transaction it began in.
StatusOr<Progress> Session::RunPortal(Portal& portal, uint64_t row_limit, ResultSink& sink) {
  if (portal.done) {
    sink.CommandComplete(CommandTag(*portal.compiled, 0));
    return Progress::kDone;
  }
  if (!portal.running) {
    kv::Txn& txn = OpenTxn();
    if (transaction_.isolation == kv::IsolationLevel::kReadCommitted) txn.BeginStatement();
    ++transaction_.statements_run;
    NoteWrites(PlanOf(*portal.compiled->plan));
    portal.running = std::make_unique<Running>(*this, portal.compiled, std::move(portal.parameters), &txn);
    if (ReadsVirtualTables(portal.compiled->uses)) {
      portal.running->virtual_context = MakeVirtualContext(Catalog(), shared_.services.functions, settings_);
      portal.running->env.virtual_context = portal.running->virtual_context.get();
    }
  }
  uint64_t before = portal.running->execution.row_count();
  RETURN_IF_ERROR(portal.running->execution.Run(context_, row_limit, sink));
  uint64_t rows = portal.running->execution.row_count() - before;
  if (!portal.running->execution.finished()) return Progress::kSuspended;
  portal.running.reset();
  portal.done = true;
  sink.CommandComplete(CommandTag(*portal.compiled, rows));
  return Progress::kDone;
}

StatusOr<Progress> Session::RunCompiled(const CompiledStatementPtr& compiled, std::span<const Datum> parameters,
                                        const FormatCodes& formats, Commit commit, ResultSink& sink) {
  if (compiled->is_plan()) {
    RunResult result;
    RETURN_IF_ERROR(RunPlan(*compiled, parameters, commit, sink, result));
    sink.CommandComplete(CommandTag(*compiled, result.row_count));
    return Progress::kDone;
  }
  if (compiled->bound == nullptr) return RunUtility(*compiled, formats, commit, sink);
  if (std::holds_alternative<BoundCopy>(compiled->bound->node)) return StartCopy(compiled, commit, sink);
  if (std::holds_alternative<BoundExplain>(compiled->bound->node)) {
    RETURN_IF_ERROR(RunExplain(*compiled, parameters, commit, sink));
    sink.CommandComplete("EXPLAIN");
    return Progress::kDone;
  }
  bool alone = commit == Commit::kWithStatement && transaction_.state() == State::kNone;
  bool read_only = transaction_.state() == State::kNone ? settings_.hot().default_read_only : transaction_.read_only;
  if (read_only) {
    return Status(Code::kFailedPrecondition, "25006",
                  "cannot execute " + std::string(compiled->command) + " in a read-only transaction");
  }
  RETURN_IF_ERROR(WithRetries(alone ? Commit::kWithStatement : Commit::kLater, &sink, [&](kv::Txn& txn) -> Status {
    RETURN_IF_ERROR(RunDdl(std::get<BoundDdl>(compiled->bound->node), sink));
    if (!alone) return OkStatus();
    // Within the retries: a commit that has to start over does so with its statement.
    RETURN_IF_ERROR(CommitKv(txn));
    if (transaction_.catalog) transaction_.catalog->OnCommitted(context_);
    EndTransaction(true);
    return OkStatus();
  }));
  sink.CommandComplete(compiled->command);
  return Progress::kDone;
}

namespace {

class CountingSink final : public RowSink {
 public:
  Status Row(std::span<const Datum>) override {
    ++count;
    return OkStatus();
  }
  Status CopyOut(std::string_view) override { return OkStatus(); }
  uint64_t count = 0;
};

}  // namespace

Status Session::RunDdl(const BoundDdl& ddl, ResultSink& sink) {
  DdlResult ddl_result;
  RETURN_IF_ERROR(Catalog().RunDdl(context_, ddl.command, ddl_result));
  for (const DdlNotice& notice : ddl_result.notices) {
    Warn(sink, notice.severity == "WARNING" ? Severity::kWarning : Severity::kNotice, notice.sqlstate, notice.message);
  }
  if (ddl_result.skipped) return OkStatus();
  for (const BoundDdl::Validation& validation : ddl.validations) RETURN_IF_ERROR(Validate(validation));
  return OkStatus();
}

// Existing rows against what the command has just changed: the first that does not fit is the error.
Status Session::Validate(const BoundDdl::Validation& validation) {
  ASSIGN_OR_RETURN(std::vector<ParsedStatement> parsed, sql::Parse(validation.sql));
  if (parsed.size() != 1) return InternalError("a validation is one query");
  Binder binder({.functions = shared_.services.functions, .catalog = Catalog(), .format = eval_.format});
  ASSIGN_OR_RETURN(BoundStatement bound, binder.Bind(context_, parsed[0]));
  ASSIGN_OR_RETURN(PhysicalPlanPtr plan, Optimize(bound, {.functions = shared_.services.functions}));
  MemoryAccount memory(shared_.limits.statement_memory_bytes);
  ExecEnv env = MakeEnv({}, transaction_.txn.get(), memory);
  Execution execution(CompilePlan(std::move(plan)), env);
  CountingSink rows;
  RETURN_IF_ERROR(execution.Run(context_, 1, rows));
  return rows.count > 0 ? validation.error : OkStatus();
}

namespace {

std::string Milliseconds(Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", double(d.count()) / 1e6);
  return text;
}

// Adds what was measured to the lines of EXPLAIN: each node's line has its costs or begins with an arrow.
void AddActuals(std::vector<std::string>& lines, const std::vector<Execution::NodeStatistics>& statistics) {
  size_t next = 0;
  for (size_t i = 0; i < lines.size() && next < statistics.size(); ++i) {
    std::string_view trimmed = lines[i];
    trimmed.remove_prefix(std::min(trimmed.find_first_not_of(' '), trimmed.size()));
    if (i != 0 && !trimmed.starts_with("->")) continue;
    const Execution::NodeStatistics& s = statistics[next++];
    if (s.loops == 0) {
      lines[i] += " (never executed)";
      continue;
    }
    lines[i] += " (actual time=0.000.." + Milliseconds(s.time / int64_t(s.loops)) +
                " rows=" + std::to_string(s.rows / s.loops) + " loops=" + std::to_string(s.loops) + ")";
  }
}

}  // namespace

Status Session::RunExplain(const CompiledStatement& compiled, std::span<const Datum> parameters, Commit commit,
                           ResultSink& sink) {
  const auto& explain = std::get<BoundExplain>(compiled.bound->node);
  if (!compiled.plan) return UnsupportedError("EXPLAIN of " + std::string(explain.statement->command));
  const PhysicalPlan& plan = PlanOf(*compiled.plan);
  std::vector<std::string> lines = ExplainPlan(plan, explain.options);
  if (explain.options.analyze) {
    RETURN_IF_ERROR(CheckWritable(plan));
    bool alone = commit == Commit::kWithStatement && transaction_.state() == State::kNone;
    MonoTime start = runtime_.clock().MonoNow();
    std::vector<Execution::NodeStatistics> statistics;
    RETURN_IF_ERROR(WithRetries(alone ? Commit::kWithStatement : Commit::kLater, &sink, [&](kv::Txn& txn) -> Status {
      NoteWrites(plan);
      MemoryAccount memory(shared_.limits.statement_memory_bytes);
      ExecEnv env = MakeEnv(parameters, &txn, memory);
      auto virtual_context = MakeVirtualContext(Catalog(), shared_.services.functions, settings_);
      env.virtual_context = virtual_context.get();
      Execution execution(compiled.plan, env, Execution::Analyze::kOn);
      CountingSink rows;
      RETURN_IF_ERROR(execution.Run(context_, 0, rows));
      statistics = execution.statistics();
      return OkStatus();
    }));
    if (alone) RETURN_IF_ERROR(CommitTransaction());
    if (explain.options.format == ExplainOptions::Format::kText) {
      AddActuals(lines, statistics);
      lines.push_back("Execution Time: " + Milliseconds(runtime_.clock().MonoNow() - start) + " ms");
    }
  }
  for (const std::string& line : lines) {
    Datum value = Datum::Borrowed(line);
    RETURN_IF_ERROR(sink.Row(std::span<const Datum>(&value, 1)));
  }
  return OkStatus();
}

// The statements of a Query message, from where it stopped. They are one implicit transaction.
StatusOr<Progress> Session::RunQueue(ResultSink& sink) {
  const bool single = queue_.size() == 1;
  const FormatCodes text_format;
  auto run_next = [&](const std::shared_ptr<const ParsedStatement>& parsed) -> StatusOr<Progress> {
    RETURN_IF_ERROR(CheckNotFailed(parsed->node));
    CompiledStatementPtr compiled;
    if (queue_compiled_ != nullptr && (queue_compiled_->uses.empty() || Catalog().Use(queue_compiled_->uses))) {
      compiled = queue_compiled_;
    } else {
      std::string_view key_text = single ? std::string_view(*parsed->source) : parsed->text();
      ASSIGN_OR_RETURN(compiled, CompileParsed(parsed, key_text, {}));
    }
    if (!compiled->parameter_types.empty()) {
      return Status(Code::kNotFound, "42P02", "there is no parameter $1");
    }
    if (!single && transaction_.state() == State::kNone && !std::holds_alternative<ParsedTransaction>(parsed->node)) {
      (void)OpenTxn();
    }
    if (!compiled->result.empty()) {
      sink.Describe(compiled->result, text_format);
      sink.StartRows(compiled->result, text_format, eval_.format);
    }
    return RunCompiled(compiled, {}, text_format, single ? Commit::kWithStatement : Commit::kLater, sink);
  };
  while (queue_next_ < queue_.size()) {
    auto progress = run_next(queue_[queue_next_++]);
    if (!progress.ok()) {
      Status status = TranslateError(progress.status());
      Fail();
      in_query_ = false;
      return status;
    }
    if (*progress == Progress::kCopyIn) return Progress::kCopyIn;
  }
  in_query_ = false;
  if (transaction_.state() == State::kImplicit) {
    Status status = TranslateError(CommitTransaction());
    if (!status.ok()) return status;
  } else if (transaction_.state() == State::kNone) {
    ReleaseCatalog();
  }
  return Progress::kDone;
}

}  // namespace orrery::sql
