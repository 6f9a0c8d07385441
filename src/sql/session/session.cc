#include "sql/session/session.h"

#include "orrery/sql/catalog/catalog_functions.h"
#include "orrery/sql/exec/kv_errors.h"
#include "orrery/sql/types/text_io.h"
#include "sql/session/scope.h"

namespace orrery::sql {

namespace {
constexpr std::pair<DescriptorId, std::string_view> kSchemas[] = {{kPgCatalogSchemaId, "pg_catalog"},
                                                                  {kPublicSchemaId, "public"},
                                                                  {kInformationSchemaId, "information_schema"}};
}  // namespace

void CancelSlot::Cancel() {
  runtime::MutexLock lock(mutex_);
  State running = State::kRunning;
  if (state_.compare_exchange_strong(running, State::kCancelled)) scope_.Cancel();
}
const runtime::Context& CancelSlot::Start() {
  state_.store(State::kRunning);
  return scope_.context;
}
bool CancelSlot::Finish() {
  if (state_.exchange(State::kIdle) != State::kCancelled) return false;
  runtime::MutexLock lock(mutex_);  // Cancel is through with the old scope
  scope_ = base_.WithCancel();
  return true;
}

int64_t SharedSessions::NextRowId(runtime::Clock& clock) {
  constexpr int kNodeBits = 15;
  int64_t now = clock.WallNowNs() / 10'000;
  int64_t last = last_row_id.load(std::memory_order_relaxed);
  int64_t next = 0;
  do {
    next = std::max(now, last + 1);
  } while (!last_row_id.compare_exchange_weak(last, next));
  return int64_t(uint64_t(next) << kNodeBits | (services.node.value() & ((1u << kNodeBits) - 1)));
}

namespace {

// A label forks the same stream each time: every session needs one of its own, or all make the same row ids.
std::unique_ptr<runtime::Random> NewSessionRandom(runtime::Random& random) {
  return random.Fork("session " + std::to_string(random.Next()));
}

}  // namespace

Session::Session(SharedSessions& shared, std::shared_ptr<CancelSlot> slot, const runtime::Context& context,
                 const SessionStart& start)
    : shared_(shared), slot_(std::move(slot)), runtime_(context.runtime()), context_(context),
      random_(NewSessionRandom(context.runtime().random())), user_(start.user), database_(start.database),
      settings_(shared.services.time_zones) {
  eval_.volatile_source = this;
  eval_.cache = &eval_cache_;
}

Session::~Session() {
  copy_in_.reset();  // its loader may be using the transaction
  portals_.clear();
  if (transaction_.txn) (void)transaction_.txn->Rollback(context_.Detached());
  if (transaction_.catalog) transaction_.catalog->OnRolledBack(transaction_.rollback_end());
  transaction_.Clear();
  runtime::MutexLock lock(shared_.mutex);
  shared_.slots.erase(slot_->pid());
}

Status Session::ApplyStart(const SessionStart& start) {
  RETURN_IF_ERROR(settings_.SetDefault("session_authorization", user_));
  for (const auto& [name, value] : start.parameters) {
    // Checked as SET would, kept as what RESET goes back to.
    RETURN_IF_ERROR(settings_.Set(name, value, SettingScope::kSession));
    RETURN_IF_ERROR(settings_.Reset(name));
    RETURN_IF_ERROR(settings_.SetDefault(name, value));
  }
  return OkStatus();
}

StatusOr<Progress> Session::Query(const runtime::Context&, std::string_view text, ResultSink& sink) {
  Scope scope(*this);
  statements_.erase("");
  portals_.erase("");
  queue_.clear();
  queue_next_ = 0;
  in_query_ = true;
  queue_compiled_ = shared_.plans.Find(KeyOf(text, {}));
  if (queue_compiled_ != nullptr) {
    queue_.push_back(queue_compiled_->parsed);
  } else {
    const Status valid = CheckText(text);
    auto parsed = valid.ok() ? sql::Parse(text) : StatusOr<std::vector<ParsedStatement>>(valid);
    if (!parsed.ok()) {
      Fail();
      in_query_ = false;
      return parsed.status();
    }
    for (ParsedStatement& statement : *parsed) {
      queue_.push_back(std::make_shared<ParsedStatement>(std::move(statement)));
    }
  }
  if (queue_.empty()) {
    in_query_ = false;
    sink.EmptyQuery();
    return Progress::kDone;
  }
  return RunQueue(sink);
}

Status Session::Parse(const runtime::Context&, std::string_view name, std::string_view text,
                      std::span<const Oid> parameter_types, ResultSink&) {
  Scope scope(*this);
  auto parse = [&]() -> Status {
    if (!name.empty() && statements_.contains(name)) {
      return {Code::kAlreadyExists, "42P05", "prepared statement \"" + std::string(name) + "\" already exists"};
    }
    RETURN_IF_ERROR(CheckText(text));
    ASSIGN_OR_RETURN(CompiledStatementPtr compiled, CompileText(text, parameter_types));
    statements_.insert_or_assign(std::string(name),
                                 Prepared{std::move(compiled), {parameter_types.begin(), parameter_types.end()}});
    return OkStatus();
  };
  return scope.Finish(parse());
}

namespace {

Status NoStatement(std::string_view name) {
  std::string what = name.empty() ? "unnamed prepared statement" : "prepared statement \"" + std::string(name) + "\"";
  return {Code::kNotFound, "26000", what + " does not exist"};
}
Status NoPortal(std::string_view name) {
  return {Code::kNotFound, "34000", "portal \"" + std::string(name) + "\" does not exist"};
}

}  // namespace

Status Session::Bind(const runtime::Context&, std::string_view portal, std::string_view statement,
                     const BindParameters& parameters, FormatCodes result_formats, ResultSink&) {
  Scope scope(*this);
  auto bind = [&]() -> Status {
    auto it = statements_.find(statement);
    if (it == statements_.end()) return NoStatement(statement);
    if (it->second.compiled->parsed) RETURN_IF_ERROR(CheckNotFailed(it->second.compiled->parsed->node));
    RETURN_IF_ERROR(Revalidate(it->second.compiled, it->second.declared));
    const CompiledStatement& compiled = *it->second.compiled;
    if (parameters.values.size() != compiled.parameter_types.size()) {
      return {Code::kInvalidArgument, "08P01",
              "bind message supplies " + std::to_string(parameters.values.size()) + " parameters, but prepared "
              "statement \"" + std::string(statement) + "\" requires " +
                  std::to_string(compiled.parameter_types.size())};
    }
    if (result_formats.size() > 1 && result_formats.size() != compiled.result.size()) {
      return {Code::kInvalidArgument, "08P01",
              "bind message has " + std::to_string(result_formats.size()) + " result formats but query has " +
                  std::to_string(compiled.result.size()) + " columns"};
    }
    if (!portal.empty() && portals_.contains(portal)) {
      return {Code::kAlreadyExists, "42P03", "portal \"" + std::string(portal) + "\" already exists"};
    }
    auto [at, inserted] = portals_.try_emplace(std::string(portal));
    Portal& target = at->second;
    target.running.reset();
    target.done = false;
    target.compiled = it->second.compiled;
    target.formats = std::move(result_formats);
    target.parameters.resize(parameters.values.size());
    for (size_t i = 0; i < parameters.values.size(); ++i) {
      target.parameters[i] = Datum::Null();
      if (!parameters.values[i]) continue;
      Type type = compiled.parameter_types[i];
      const bool is_text = FormatOf(parameters.formats, i) == 0;
      const Status valid = is_text ? CheckText(*parameters.values[i]) : OkStatus();
      auto value = !valid.ok() ? StatusOr<Datum>(valid)
                   : is_text   ? ParseText(type, *parameters.values[i], eval_.format)
                               : ReceiveBinary(type, *parameters.values[i]);
      if (!value.ok()) {
        portals_.erase(at);
        return value.status();
      }
      target.parameters[i] = std::move(*value);
    }
    return OkStatus();
  };
  return scope.Finish(bind());
}

StatusOr<StatementDescription> Session::DescribeStatement(const runtime::Context&, std::string_view name) {
  Scope scope(*this);
  auto it = statements_.find(name);
  if (it == statements_.end()) return scope.Finish(NoStatement(name));
  if (transaction_.state() == SessionTransaction::State::kFailed && it->second.compiled->parsed &&
      !it->second.compiled->result.empty()) {
    RETURN_IF_ERROR(scope.Finish(CheckNotFailed(it->second.compiled->parsed->node)));
  }
  RETURN_IF_ERROR(scope.Finish(Revalidate(it->second.compiled, it->second.declared)));
  StatementDescription description;
  for (Type type : it->second.compiled->parameter_types) description.parameters.push_back(type.oid);
  description.columns = it->second.compiled->result;
  description.returns_rows = !it->second.compiled->result.empty();
  return description;
}

StatusOr<StatementDescription> Session::DescribePortal(const runtime::Context&, std::string_view name,
                                                       FormatCodes& formats) {
  auto it = portals_.find(name);
  if (it == portals_.end()) return Scope(*this).Finish(NoPortal(name));
  formats = it->second.formats;
  StatementDescription description;
  description.columns = it->second.compiled->result;
  description.returns_rows = !it->second.compiled->result.empty();
  return description;
}

StatusOr<Progress> Session::Execute(const runtime::Context&, std::string_view name, uint64_t row_limit,
                                    AfterExecute after, ResultSink& sink) {
  Scope scope(*this);
  auto it = portals_.find(name);
  if (it == portals_.end()) return scope.Finish(NoPortal(name));
  Portal& portal = it->second;
  const CompiledStatement& compiled = *portal.compiled;
  if (compiled.parsed == nullptr) {
    sink.EmptyQuery();
    return Progress::kDone;
  }
  Status allowed = CheckNotFailed(compiled.parsed->node);
  if (!allowed.ok()) return scope.Finish(allowed);
  sink.StartRows(compiled.result, portal.formats, eval_.format);
  bool resumable = compiled.is_plan() && PlanOf(*compiled.plan).read_only && !compiled.result.empty();
  if (portal.running || portal.done || (row_limit > 0 && resumable)) {
    return scope.Finish(RunPortal(portal, row_limit, sink));
  }
  bool alone = after == AfterExecute::kSync && transaction_.state() == SessionTransaction::State::kNone;
  // The portal may be gone afterwards (COMMIT closes portals): hold what the run needs.
  CompiledStatementPtr held = portal.compiled;
  std::vector<Datum> parameters = std::move(portal.parameters);
  FormatCodes formats = portal.formats;
  portal.done = true;
  sink.StartRows(held->result, formats, eval_.format);
  return scope.Finish(RunCompiled(held, parameters, formats, alone ? Commit::kWithStatement : Commit::kLater, sink));
}

Status Session::CloseStatement(std::string_view name) {
  if (auto it = statements_.find(name); it != statements_.end()) statements_.erase(it);
  return OkStatus();
}
Status Session::ClosePortal(std::string_view name) {
  if (auto it = portals_.find(name); it != portals_.end()) portals_.erase(it);
  return OkStatus();
}

Status Session::Sync(const runtime::Context&) {
  copy_in_.reset();
  if (transaction_.state() == SessionTransaction::State::kImplicit) {
    Scope scope(*this);
    return scope.Finish(CommitTransaction());
  }
  if (!transaction_.in_block()) {
    portals_.clear();
    ReleaseCatalog();
  }
  return OkStatus();
}

Duration Session::IdleTimeout() const {
  return transaction_.in_block() ? settings_.hot().idle_in_transaction_timeout : settings_.hot().idle_session_timeout;
}
Status Session::IdleTimeoutError() const {
  if (transaction_.in_block()) {
    return {Code::kDeadlineExceeded, "25P03", "terminating connection due to idle-in-transaction timeout"};
  }
  return {Code::kDeadlineExceeded, "57P05", "terminating connection due to idle-session timeout"};
}

std::string_view Session::current_schema() const {
  for (const std::string& schema : settings_.hot().search_path) {
    if (schema == "public" || schema == "pg_catalog" || schema == "information_schema") return schema;
  }
  return "";
}

std::optional<std::string> Session::Setting(std::string_view name) const {
  auto value = ShowValue(name);
  if (!value.ok()) return std::nullopt;
  return *value;
}

TimestampUs Session::WallNow() { return FromUnixUs(runtime_.clock().WallNowNs() / 1000); }

CatalogInfo* Session::catalog_info() const {
  if (!catalog_info_ && transaction_.catalog)
    catalog_info_ = NewCatalogInfo(context_, *transaction_.catalog, shared_.services.functions);
  return catalog_info_.get();
}

std::vector<std::string> Session::SearchPath() const {
  if (!transaction_.catalog) return SessionInfo::SearchPath();
  std::vector<std::string> path = transaction_.catalog->SearchPath();
  std::erase_if(path, [&](const std::string& schema) { return !transaction_.catalog->FindSchema(schema); });
  return path;
}

std::optional<std::string> Session::RegName(Oid reg_type, Oid value) const {
  if (reg_type == oid::kRegtype) return FindType(value) ? std::optional(std::string(TypeName(value))) : std::nullopt;
  if (reg_type == oid::kRegrole && value == kRoleOid) return "postgres";
  if (reg_type == oid::kRegnamespace) {
    for (const auto& [id, name] : kSchemas) {
      if (id.value() == value) return std::string(name);
    }
  }
  if (reg_type == oid::kRegproc || reg_type == oid::kRegprocedure) {
    const Function* function = shared_.services.functions.FindFunction(value);
    return function ? std::optional(std::string(function->name)) : std::nullopt;
  }
  CatalogInfo* const catalog = reg_type == oid::kRegclass ? catalog_info() : nullptr;
  if (catalog == nullptr) return std::nullopt;
  auto name = catalog->RelationName(value);
  return name.ok() ? *name : std::nullopt;
}

StatusOr<Oid> Session::RegLookup(Oid reg_type, std::string_view name) const {
  if (reg_type == oid::kRegtype) {
    if (const TypeInfo* type = FindTypeBySqlName(name)) return type->oid;
    return Status(Code::kNotFound, "42704", "type \"" + std::string(name) + "\" does not exist");
  }
  if (reg_type == oid::kRegrole && name == "postgres") return Oid(kRoleOid);
  if (reg_type == oid::kRegnamespace) {
    for (const auto& [id, schema] : kSchemas) {
      if (schema == name) return Oid(id.value());
    }
  }
  if (reg_type == oid::kRegproc) {
    const auto overloads = shared_.services.functions.Overloads(name);
    if (overloads.size() == 1) return overloads[0]->oid;
    if (overloads.size() > 1)
      return Status(Code::kInvalidArgument, "42725", "more than one function named \"" + std::string(name) + "\"");
  }
  if (reg_type != oid::kRegclass) return SessionInfo::RegLookup(reg_type, name);
  std::string schema;
  std::string table(name);
  if (size_t dot = table.find('.'); dot != std::string::npos) {
    schema = table.substr(0, dot);
    table = table.substr(dot + 1);
  }
  std::erase(schema, '"');
  std::erase(table, '"');
  if (transaction_.catalog) {
    ASSIGN_OR_RETURN(TableUse use, transaction_.catalog->FindTable(context_, schema, table));
    if (use.table) return Oid(use.table->id().value());
  }
  return Status(Code::kNotFound, "42P01", "relation \"" + std::string(name) + "\" does not exist");
}

}  // namespace orrery::sql
