// From text to something that runs: parse, bind, optimize, with the plan cache in front.
#include "orrery/sql/optimizer/optimizer.h"
#include "sql/session/session.h"

namespace orrery::sql {

PlanKey Session::KeyOf(std::string_view text, std::span<const Oid> declared) const {
  return {std::string(text), {declared.begin(), declared.end()}, settings_.hot().plan_key};
}

CatalogTxn& Session::Catalog() {
  if (!transaction_.catalog) {
    catalog_info_.reset();
    transaction_.catalog = shared_.services.catalog.BeginTxn();
    if (transaction_.txn) transaction_.catalog->SetTxn(transaction_.txn.get());
  }
  transaction_.catalog->SetSearchPath(settings_.hot().search_path);
  return *transaction_.catalog;
}

// 25P02 for anything but the end of the failed block.
Status Session::CheckNotFailed(const ParsedNode& node) const {
  if (transaction_.state() != SessionTransaction::State::kFailed) return OkStatus();
  if (const auto* t = std::get_if<ParsedTransaction>(&node)) {
    switch (t->kind) {
      case ParsedTransaction::Kind::kCommit:
      case ParsedTransaction::Kind::kRollback:
      case ParsedTransaction::Kind::kRollbackTo:
        return OkStatus();
      default:
        break;
    }
  }
  return {Code::kFailedPrecondition, "25P02",
          "current transaction is aborted, commands ignored until end of transaction block"};
}

StatusOr<CompiledStatementPtr> Session::CompileText(std::string_view text, std::span<const Oid> declared) {
  PlanKey key = KeyOf(text, declared);
  if (CompiledStatementPtr cached = shared_.plans.Find(key)) {
    if (cached->parsed) RETURN_IF_ERROR(CheckNotFailed(cached->parsed->node));
    if (cached->uses.empty() || Catalog().Use(cached->uses)) return cached;
    return CompileParsed(cached->parsed, text, declared);
  }
  ASSIGN_OR_RETURN(std::vector<ParsedStatement> parsed, sql::Parse(text));
  if (parsed.size() > 1) {
    return Status(Code::kInvalidArgument, "42601", "cannot insert multiple commands into a prepared statement");
  }
  if (parsed.empty()) {
    auto empty = std::make_shared<CompiledStatement>();
    empty->text = text;
    return CompiledStatementPtr(empty);
  }
  return CompileParsed(std::make_shared<ParsedStatement>(std::move(parsed[0])), text, declared);
}

namespace {

// The statement whose plan is wanted, inside COPY and EXPLAIN too; null for DDL.
const BoundStatement* Plannable(const BoundStatement& bound) {
  if (const auto* copy = std::get_if<BoundCopy>(&bound.node)) return copy->statement.get();
  if (const auto* explain = std::get_if<BoundExplain>(&bound.node)) return Plannable(*explain->statement);
  if (std::holds_alternative<BoundDdl>(bound.node) || std::holds_alternative<BoundUtility>(bound.node)) return nullptr;
  return &bound;
}

ResultColumn TextColumn(std::string name) { return {.name = std::move(name), .type = {oid::kText, -1}}; }

}  // namespace

StatusOr<CompiledStatementPtr> Session::CompileParsed(std::shared_ptr<const ParsedStatement> parsed,
                                                      std::string_view text, std::span<const Oid> declared) {
  RETURN_IF_ERROR(CheckNotFailed(parsed->node));
  auto compiled = std::make_shared<CompiledStatement>();
  compiled->parsed = parsed;
  compiled->text = text;
  compiled->command = CommandName(parsed->node);
  if (const auto* unsupported = std::get_if<ParsedUnsupported>(&parsed->node)) return unsupported->status;
  if (IsUtility(parsed->node)) {
    compiled->result = UtilityColumns(parsed->node);
    return CompiledStatementPtr(compiled);
  }
  Binder binder({.functions = shared_.services.functions, .catalog = Catalog(), .format = eval_.format});
  ASSIGN_OR_RETURN(BoundStatement bound, binder.Bind(context_, *parsed, declared));
  auto shared_bound = std::make_shared<const BoundStatement>(std::move(bound));
  compiled->parameter_types = shared_bound->parameter_types;
  compiled->uses = shared_bound->uses;
  compiled->result = shared_bound->result();
  if (const BoundStatement* plannable = Plannable(*shared_bound)) {
    ASSIGN_OR_RETURN(PhysicalPlanPtr plan, Optimize(*plannable, {.functions = shared_.services.functions}));
    compiled->cacheable = shared_bound->cacheable && plan->cacheable;
    compiled->plan = CompilePlan(std::move(plan));
  }
  bool is_plan = Plannable(*shared_bound) == shared_bound.get();
  if (!is_plan) {
    compiled->bound = shared_bound;
    if (std::holds_alternative<BoundExplain>(shared_bound->node)) compiled->result = {TextColumn("QUERY PLAN")};
    if (std::holds_alternative<BoundCopy>(shared_bound->node)) compiled->result.clear();
  }
  bool own_changes = transaction_.catalog && transaction_.catalog->has_changes();
  if (is_plan && compiled->cacheable && !own_changes) shared_.plans.Insert(KeyOf(text, declared), compiled);
  return CompiledStatementPtr(compiled);
}

Status Session::Revalidate(CompiledStatementPtr& compiled, std::span<const Oid> declared) {
  if (compiled->parsed == nullptr || compiled->uses.empty() || Catalog().Use(compiled->uses)) return OkStatus();
  ASSIGN_OR_RETURN(CompiledStatementPtr fresh, CompileParsed(compiled->parsed, compiled->text, declared));
  bool same = fresh->result.size() == compiled->result.size();
  for (size_t i = 0; same && i < fresh->result.size(); ++i) {
    same = fresh->result[i].type == compiled->result[i].type && fresh->result[i].name == compiled->result[i].name;
  }
  if (!same) return Status(Code::kUnimplemented, "0A000", "cached plan must not change result type");
  compiled = std::move(fresh);
  return OkStatus();
}

std::vector<ResultColumn> Session::UtilityColumns(const ParsedNode& node) const {
  if (const auto* show = std::get_if<ParsedShow>(&node)) {
    if (show->name == "all") return {TextColumn("name"), TextColumn("setting"), TextColumn("description")};
    return {TextColumn(Settings::DisplayName(show->name))};
  }
  if (const auto* execute = std::get_if<ParsedExecute>(&node)) {
    auto it = statements_.find(execute->name);
    if (it != statements_.end()) return it->second.compiled->result;
  }
  if (const auto* fetch = std::get_if<ParsedFetch>(&node); fetch && !fetch->move) {
    auto it = portals_.find(fetch->cursor);
    if (it != portals_.end()) return it->second.compiled->result;
  }
  return {};
}

}  // namespace orrery::sql
