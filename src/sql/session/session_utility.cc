// Statements that need no plan: transaction control, SET and SHOW, PREPARE and EXECUTE, cursors, DISCARD.
#include "orrery/sql/exec/kv_errors.h"
#include "sql/session/session.h"

namespace orrery::sql {

using State = SessionTransaction::State;

void Session::Warn(ResultSink& sink, Severity severity, std::string_view sqlstate, std::string_view message) const {
  if (severity < settings_.hot().client_min_messages) return;
  sink.SendNotice({severity, Status(Code::kInternal, sqlstate, message)});
}

StatusOr<Progress> Session::RunUtility(const CompiledStatement& compiled, const FormatCodes& formats, Commit commit, ResultSink& sink) {
  const ParsedNode& node = compiled.parsed->node;
  if (const auto* execute = std::get_if<ParsedExecute>(&node)) return RunExecute(*execute, formats, commit, sink);
  std::string tag(compiled.command);
  Status status;
  if (const auto* t = std::get_if<ParsedTransaction>(&node)) {
    return [&]() -> StatusOr<Progress> {
      RETURN_IF_ERROR(RunTransaction(*t, sink));
      return Progress::kDone;
    }();
  } else if (const auto* set = std::get_if<ParsedSet>(&node)) {
    status = RunSet(*set, sink);
    bool reset = set->kind == ParsedSet::Kind::kReset || set->kind == ParsedSet::Kind::kResetAll;
    tag = reset ? "RESET" : "SET";
  } else if (const auto* show = std::get_if<ParsedShow>(&node)) {
    status = RunShow(*show, formats, sink);
    tag = "SHOW";
  } else if (const auto* prepare = std::get_if<ParsedPrepare>(&node)) {
    status = RunPrepare(*prepare, compiled);
    tag = "PREPARE";
  } else if (const auto* deallocate = std::get_if<ParsedDeallocate>(&node)) {
    status = RunDeallocate(*deallocate);
    tag = deallocate->name.empty() ? "DEALLOCATE ALL" : "DEALLOCATE";
  } else if (const auto* declare = std::get_if<ParsedDeclareCursor>(&node)) {
    status = RunDeclare(*declare, compiled);
    tag = "DECLARE CURSOR";
  } else if (const auto* fetch = std::get_if<ParsedFetch>(&node)) {
    RETURN_IF_ERROR(RunFetch(*fetch, formats, sink));
    return Progress::kDone;
  } else if (const auto* close = std::get_if<ParsedClose>(&node)) {
    tag = close->cursor.empty() ? "CLOSE CURSOR ALL" : "CLOSE CURSOR";
    if (close->cursor.empty()) {
      for (const std::string& cursor : cursors_) portals_.erase(cursor);
      cursors_.clear();
    } else if (portals_.erase(close->cursor) == 0) {
      status = Status(Code::kNotFound, "34000", "cursor \"" + close->cursor + "\" does not exist");
    }
    cursors_.erase(close->cursor);
  } else if (const auto* discard = std::get_if<ParsedDiscard>(&node)) {
    status = RunDiscard(*discard);
  } else if (const auto* vacuum = std::get_if<ParsedVacuum>(&node)) {
    for (const ParsedTableName& table : vacuum->tables) {
      ASSIGN_OR_RETURN(TableUse use, Catalog().FindTable(context_, table.schema, table.name));
      if (!use.table) return Status(Code::kNotFound, "42P01", "relation \"" + table.name + "\" does not exist");
    }
    tag = vacuum->is_vacuum ? "VACUUM" : "ANALYZE";
  } else if (!std::holds_alternative<ParsedCheckpoint>(node)) {
    status = UnsupportedError(compiled.command);
  }
  RETURN_IF_ERROR(status);
  sink.CommandComplete(tag);
  return Progress::kDone;
}

Status Session::RunTransaction(const ParsedTransaction& node, ResultSink& sink) {
  using Kind = ParsedTransaction::Kind;
  switch (node.kind) {
    case Kind::kBegin:
      if (transaction_.in_block()) {
        Warn(sink, Severity::kWarning, "25001", "there is already a transaction in progress");
      } else {
        if (transaction_.state() == State::kImplicit) {
          transaction_.BecomeBlock();
        } else {
          transaction_.Begin(settings_.hot().default_isolation, settings_.hot().default_read_only,
                             eval_.format.transaction_time, State::kBlock);
          settings_.BeginTransaction();
        }
        RETURN_IF_ERROR(ApplyModes(node.modes));
      }
      sink.CommandComplete(node.start_transaction ? "START TRANSACTION" : "BEGIN");
      return OkStatus();
    case Kind::kCommit:
    case Kind::kRollback: {
      bool commit = node.kind == Kind::kCommit && transaction_.state() != State::kFailed;
      if (!transaction_.in_block()) {
        if (node.chain) {
          return {Code::kFailedPrecondition, "25P01",
                  std::string(commit ? "COMMIT" : "ROLLBACK") + " AND CHAIN can only be used in transaction blocks"};
        }
        Warn(sink, Severity::kWarning, "25P01", "there is no transaction in progress");
      }
      kv::IsolationLevel isolation = transaction_.isolation;
      bool read_only = transaction_.read_only;
      if (commit) {
        RETURN_IF_ERROR(CommitTransaction());
      } else {
        if (transaction_.state() == State::kBlock) transaction_.BecomeFailed();
        for (auto& [name, portal] : portals_) portal.running.reset();
        if (transaction_.txn) (void)transaction_.txn->Rollback(context_.Detached());
        if (transaction_.catalog) transaction_.catalog->OnRolledBack(transaction_.rollback_end());
        EndTransaction(false);
      }
      if (node.chain) {
        transaction_.Begin(isolation, read_only, eval_.statement_time, State::kBlock);
        settings_.BeginTransaction();
      }
      sink.CommandComplete(commit ? "COMMIT" : "ROLLBACK");
      return OkStatus();
    }
    default:
      RETURN_IF_ERROR(RunSavepoint(node));
      sink.CommandComplete(node.kind == Kind::kSavepoint ? "SAVEPOINT"
                           : node.kind == Kind::kRelease ? "RELEASE"
                                                         : "ROLLBACK");
      return OkStatus();
  }
}

Status Session::RunSavepoint(const ParsedTransaction& node) {
  using Kind = ParsedTransaction::Kind;
  if (!transaction_.in_block()) {
    std::string command = node.kind == Kind::kSavepoint ? "SAVEPOINT"
                          : node.kind == Kind::kRelease ? "RELEASE SAVEPOINT"
                                                        : "ROLLBACK TO SAVEPOINT";
    return {Code::kFailedPrecondition, "25P01", command + " can only be used in transaction blocks"};
  }
  if (node.kind == Kind::kSavepoint) {
    kv::Txn& txn = OpenTxn();
    transaction_.savepoints.push_back({.name = node.savepoint,
                                       .kv = txn.CreateSavepoint(),
                                       .catalog_changes = transaction_.catalog ? transaction_.catalog->change_count() : 0,
                                       .settings = settings_.CreateSavepoint()});
    return OkStatus();
  }
  int at = transaction_.FindSavepoint(node.savepoint);
  if (at < 0) return {Code::kNotFound, "3B001", "savepoint \"" + node.savepoint + "\" does not exist"};
  if (node.kind == Kind::kRelease) {
    transaction_.savepoints.resize(size_t(at));
    return OkStatus();
  }
  SessionSavepoint savepoint = transaction_.savepoints[size_t(at)];
  for (auto& [name, portal] : portals_) portal.running.reset();
  RETURN_IF_ERROR(ToSqlError(transaction_.txn->RollbackTo(context_, savepoint.kv)));
  if (transaction_.catalog) transaction_.catalog->RollBackChanges(savepoint.catalog_changes);
  settings_.RollbackTo(*savepoint.settings);
  transaction_.savepoints.resize(size_t(at) + 1);
  transaction_.Recover();
  return OkStatus();
}

// ISOLATION LEVEL, READ ONLY … of BEGIN and SET TRANSACTION.
Status Session::ApplyModes(const std::vector<ParsedOption>& modes) {
  for (const ParsedOption& mode : modes) {
    if (mode.name == "transaction_isolation") {
      auto level = ParseIsolation(mode.value);
      if (!level) {
        return {Code::kInvalidArgument, "22023",
                "invalid value for parameter \"transaction_isolation\": \"" + mode.value + "\""};
      }
      if (*level == transaction_.isolation && transaction_.statements_run == 0) {
        transaction_.isolation_name = IsolationName(mode.value);
      }
      if (*level == transaction_.isolation) continue;
      if (transaction_.statements_run > 0 || transaction_.txn) {
        return {Code::kFailedPrecondition, "25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query"};
      }
      transaction_.isolation = *level;
      transaction_.isolation_name = IsolationName(mode.value);
    } else if (mode.name == "transaction_read_only") {
      bool read_only = ParseBoolSetting(mode.value).value_or(true);
      if (!read_only && transaction_.read_only && transaction_.statements_run > 0) {
        return {Code::kFailedPrecondition, "25001", "transaction read-write mode must be set before any query"};
      }
      transaction_.read_only = read_only;
    }
    // transaction_deferrable: every SERIALIZABLE READ ONLY transaction is safe at once here.
  }
  return OkStatus();
}

Status Session::RunSet(const ParsedSet& node, ResultSink& sink) {
  SettingScope scope = node.local ? SettingScope::kLocal : SettingScope::kSession;
  if (node.local && !transaction_.in_block()) {
    Warn(sink, Severity::kWarning, "25P01", "SET LOCAL can only be used in transaction blocks");
    if (transaction_.state() == State::kNone) return OkStatus();
  }
  switch (node.kind) {
    case ParsedSet::Kind::kTransaction:
      if (!transaction_.in_block()) {
        Warn(sink, Severity::kWarning, "25P01", "SET TRANSACTION can only be used in transaction blocks");
        return OkStatus();
      }
      return ApplyModes(node.modes);
    case ParsedSet::Kind::kSessionCharacteristics:
      for (const ParsedOption& mode : node.modes) {
        RETURN_IF_ERROR(settings_.Set("default_" + mode.name, mode.value, SettingScope::kSession));
      }
      return OkStatus();
    case ParsedSet::Kind::kResetAll:
      settings_.ResetAll();
      break;
    case ParsedSet::Kind::kReset:
    case ParsedSet::Kind::kDefault:
      RETURN_IF_ERROR(settings_.Reset(node.name));
      break;
    case ParsedSet::Kind::kValue: {
      std::string value;
      for (const std::string& part : node.values) {
        if (!value.empty()) value += ", ";
        value += part;
      }
      return SetParameter(node.name, value, scope);
    }
  }
  AdoptFormat();
  return OkStatus();
}

Status Session::SetParameter(const std::string& name, const std::string& value, SettingScope scope) {
  if (name.starts_with("transaction_")) {
    if (transaction_.state() == State::kNone) return OkStatus();
    return ApplyModes({{.name = name, .value = value, .has_value = true}});
  }
  RETURN_IF_ERROR(settings_.Set(name, value, scope));
  AdoptFormat();
  return OkStatus();
}

// What is running keeps now(); the rest of its formats follow at once, as in PostgreSQL.
void Session::AdoptFormat() {
  const TimestampUs transaction_time = eval_.format.transaction_time;
  eval_.format = settings_.hot().format;
  eval_.format.session = this;
  eval_.format.transaction_time = transaction_time;
}

StatusOr<std::string> Session::ChangeSetting(std::string_view name, std::string_view value, SettingReach reach) {
  const auto scope = reach == SettingReach::kTransaction ? SettingScope::kLocal : SettingScope::kSession;
  RETURN_IF_ERROR(SetParameter(ToLower(name), std::string(value), scope));
  return ShowValue(name);
}

StatusOr<std::string> Session::ShowValue(std::string_view name) const {
  std::string lower = ToLower(name);
  bool open = transaction_.state() != State::kNone;
  if (lower == "transaction_isolation") {
    if (open) return std::string(transaction_.isolation_name);
    return settings_.Get("default_transaction_isolation").value_or("read committed");
  }
  if (lower == "transaction_read_only") {
    return std::string((open ? transaction_.read_only : settings_.hot().default_read_only) ? "on" : "off");
  }
  auto value = settings_.Get(lower);
  if (!value) {
    return Status(Code::kNotFound, "42704",
                  "unrecognized configuration parameter \"" + std::string(name) + "\"");
  }
  return *value;
}

Status Session::RunShow(const ParsedShow& node, const FormatCodes&, ResultSink& sink) {
  if (node.name == "all") {
    for (const Settings::Row& row : settings_.All()) {
      Datum cells[3] = {Datum::Bytes(row.name), Datum::Bytes(row.value), Datum::Bytes(row.description)};
      RETURN_IF_ERROR(sink.Row(std::span<const Datum>(cells, 3)));
    }
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::string value, ShowValue(node.name));
  Datum cell = Datum::Bytes(value);
  return sink.Row(std::span<const Datum>(&cell, 1));
}

Status Session::RunPrepare(const ParsedPrepare& node, const CompiledStatement& compiled) {
  if (statements_.contains(node.name)) {
    return {Code::kAlreadyExists, "42P05", "prepared statement \"" + node.name + "\" already exists"};
  }
  std::vector<Oid> declared;
  for (const ParsedTypeName& type : node.parameter_types) {
    const TypeInfo* info = type.names.empty() ? nullptr : FindTypeByName(type.names.back());
    if (info != nullptr && type.array_dimensions > 0 && info->element == oid::kInvalid) info = FindType(info->array_oid);
    if (info == nullptr) {
      return {Code::kNotFound, "42704", "type \"" + (type.names.empty() ? "" : type.names.back()) + "\" does not exist"};
    }
    declared.push_back(info->oid);
  }
  // Not under the text of the PREPARE: the plan is of the statement inside.
  std::string text(node.statement->text());
  (void)compiled;
  ASSIGN_OR_RETURN(CompiledStatementPtr inner, CompileParsed(node.statement, "PREPARE " + text, declared));
  statements_.emplace(node.name, Prepared{std::move(inner), std::move(declared)});
  return OkStatus();
}

StatusOr<Progress> Session::RunExecute(const ParsedExecute& node, const FormatCodes& formats, Commit commit, ResultSink& sink) {
  auto it = statements_.find(node.name);
  if (it == statements_.end()) {
    return Status(Code::kNotFound, "26000", "prepared statement \"" + node.name + "\" does not exist");
  }
  RETURN_IF_ERROR(Revalidate(it->second.compiled, it->second.declared));
  CompiledStatementPtr compiled = it->second.compiled;
  if (node.arguments.size() != compiled->parameter_types.size()) {
    return Status(Code::kInvalidArgument, "42601",
                  "wrong number of parameters for prepared statement \"" + node.name + "\"")
        .WithDetail("Expected " + std::to_string(compiled->parameter_types.size()) + " parameters but got " +
                    std::to_string(node.arguments.size()) + ".");
  }
  std::vector<Datum> parameters;
  Binder binder({.functions = shared_.services.functions, .catalog = Catalog(), .format = eval_.format});
  for (size_t i = 0; i < node.arguments.size(); ++i) {
    ASSIGN_OR_RETURN(ExprPtr expr,
                     binder.BindExpression(context_, *node.arguments[i], compiled->parameter_types[i]));
    ASSIGN_OR_RETURN(Datum value, EvaluateConstant(eval_, *expr));
    parameters.push_back(value.Owned());
  }
  return RunCompiled(compiled, parameters, formats, commit, sink);
}

Status Session::RunDeallocate(const ParsedDeallocate& node) {
  if (node.name.empty()) {
    statements_.clear();
    return OkStatus();
  }
  if (statements_.erase(node.name) > 0) return OkStatus();
  return {Code::kNotFound, "26000", "prepared statement \"" + node.name + "\" does not exist"};
}

Status Session::RunDeclare(const ParsedDeclareCursor& node, const CompiledStatement&) {
  if (node.hold) return UnsupportedError("DECLARE CURSOR WITH HOLD");
  if (!transaction_.in_block()) {
    return {Code::kFailedPrecondition, "25P01", "DECLARE CURSOR can only be used in transaction blocks"};
  }
  if (portals_.contains(node.name)) {
    return {Code::kAlreadyExists, "42P03", "cursor \"" + node.name + "\" already exists"};
  }
  ASSIGN_OR_RETURN(CompiledStatementPtr compiled,
                   CompileParsed(node.query, "DECLARE " + std::string(node.query->text()), {}));
  if (!compiled->is_plan()) return UnsupportedError("cursor for " + std::string(compiled->command));
  Portal& portal = portals_[node.name];
  portal.compiled = std::move(compiled);
  if (node.binary) portal.formats = {1};
  cursors_.insert(node.name);
  return OkStatus();
}

Status Session::RunFetch(const ParsedFetch& node, const FormatCodes&, ResultSink& sink) {
  auto it = portals_.find(node.cursor);
  if (it == portals_.end()) return {Code::kNotFound, "34000", "cursor \"" + node.cursor + "\" does not exist"};
  bool forward = node.direction == ParsedFetch::Direction::kForward ||
                 (node.direction == ParsedFetch::Direction::kRelative && node.count == 1);
  if (!forward || node.count < 0) {
    return Status(Code::kFailedPrecondition, "55000", "cursor can only scan forward")
        .WithHint("Declare it with SCROLL option to enable backward scan.");
  }
  // Counts rows, and passes them on unless this is MOVE.
  class FetchSink final : public RowSink {
   public:
    FetchSink(ResultSink& sink, bool pass) : sink_(sink), pass_(pass) {}
    Status Row(std::span<const Datum> values) override {
      ++count;
      return pass_ ? sink_.Row(values) : OkStatus();
    }
    Status CopyOut(std::string_view) override { return OkStatus(); }
    uint64_t count = 0;

   private:
    ResultSink& sink_;
    const bool pass_;
  };
  Portal& portal = it->second;
  FetchSink fetched(sink, !node.move);
  if (!portal.running && !portal.done) {
    portal.running = std::make_unique<Running>(*this, portal.compiled, std::vector<Datum>(), &OpenTxn());
    ++transaction_.statements_run;
  }
  if (!portal.done && node.count > 0) {
    uint64_t limit = node.count == ParsedFetch::kAll ? 0 : uint64_t(node.count);
    RETURN_IF_ERROR(portal.running->execution.Run(context_, limit, fetched));
    portal.done = portal.running->execution.finished();
  }
  sink.CommandComplete((node.move ? "MOVE " : "FETCH ") + std::to_string(fetched.count));
  return OkStatus();
}

Status Session::RunDiscard(const ParsedDiscard& node) {
  if (node.kind == ParsedDiscard::Kind::kPlans) return OkStatus();
  if (node.kind != ParsedDiscard::Kind::kAll) return OkStatus();
  if (transaction_.in_block()) {
    return {Code::kFailedPrecondition, "25001", "DISCARD ALL cannot run inside a transaction block"};
  }
  settings_.ResetAll();
  statements_.clear();
  for (const std::string& cursor : cursors_) portals_.erase(cursor);
  cursors_.clear();
  return OkStatus();
}

}  // namespace orrery::sql
