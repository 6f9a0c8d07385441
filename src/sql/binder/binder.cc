#include "orrery/sql/binder/binder.h"

#include "sql/binder/statement_binder.h"

namespace orrery::sql {

namespace {

Status EvaluateRowId(EvalContext& context, std::span<const Datum>, Datum* out) {
  if (!context.volatile_source) return InternalError("unique_rowid() outside of a session");
  *out = Datum::Int(context.volatile_source->NextRowId());
  return OkStatus();
}

std::string FullName(const ParsedTableName& name) {
  return name.schema.empty() ? name.name : name.schema + "." + name.name;
}

const std::vector<ResultColumn>& NoColumns() {
  static const std::vector<ResultColumn> kNone;
  return kNone;
}

}  // namespace

const Function& UniqueRowIdFunction() {
  static const Function kFunction = [] {
    Function f;
    f.name = "unique_rowid";
    f.result = oid::kInt8;
    f.volatility = Volatility::kVolatile;
    f.evaluate = EvaluateRowId;
    return f;
  }();
  return kFunction;
}

const std::vector<ResultColumn>& BoundStatement::result() const {
  if (const auto* query = std::get_if<BoundQuery>(&node)) return query->result;
  if (const auto* insert = std::get_if<BoundInsert>(&node)) return insert->result;
  if (const auto* update = std::get_if<BoundUpdate>(&node)) return update->result;
  if (const auto* deletion = std::get_if<BoundDelete>(&node)) return deletion->result;
  return NoColumns();
}

StatementBinder::StatementBinder(const BinderOptions& options, const runtime::Context& context,
                                 std::string_view query, std::span<const Oid> parameter_types, int parameter_count)
    : options_(options), context_(context), query_(query) {
  parameters_.assign(parameter_types.begin(), parameter_types.end());
  for (Oid& type : parameters_)
    if (type == oid::kInvalid) type = oid::kUnknown;
  if (parameters_.size() < size_t(parameter_count)) parameters_.resize(size_t(parameter_count), oid::kUnknown);
}

Status StatementBinder::Error(std::string_view sqlstate, std::string_view message, int position) const {
  const Code code = sqlstate == "0A000" ? Code::kUnimplemented : Code::kInvalidArgument;
  return Status(code, sqlstate, message).WithPosition(CharacterPosition(query_, position));
}

Status StatementBinder::At(const Status& status, int position) const {
  if (status.ok() || status.fields().position != 0) return status;
  return status.WithPosition(CharacterPosition(query_, position));
}

StatusOr<TablePtr> StatementBinder::FindTable(const ParsedTableName& name) {
  if (!name.catalog.empty() && name.catalog != "postgres")
    return Error("0A000", "cross-database references are not implemented: \"" + name.catalog + "." + FullName(name) +
                              "\"", name.position);
  ASSIGN_OR_RETURN(TableUse use, options_.catalog.FindTable(context_, name.schema, name.name));
  if (!use.table) return Error("42P01", "relation \"" + FullName(name) + "\" does not exist", name.position);
  // What this transaction itself has changed is nobody else's plan.
  if (!use.lease && !use.table->virtual_table) cacheable_ = false;
  uses_.push_back(use);
  return use.table;
}

StatusOr<TablePtr> StatementBinder::FindTableForWrite(const ParsedTableName& name, std::string_view) {
  for (const CteFrame* frame = ctes_; frame && name.schema.empty(); frame = frame->outer)
    if (frame->cte->name == name.name)
      return Error("42809", "relation \"" + name.name + "\" cannot be the target of a modifying statement",
                   name.position);
  ASSIGN_OR_RETURN(TablePtr table, FindTable(name));
  if (table->virtual_table)
    return Error("42501", "permission denied: \"" + table->name() + "\" is a system catalog");
  return table;
}

StatusOr<Type> StatementBinder::ResolveType(const ParsedTypeName& name) {
  const std::string& last = name.names.back();
  if (name.names.size() > 1 && name.names[0] != "pg_catalog")
    return Error("42704", "type \"" + name.names[0] + "." + last + "\" does not exist", name.position);
  const TypeInfo* info = FindTypeByName(last);
  if (!info) {
    // Types that PostgreSQL has and this server has not.
    static constexpr std::string_view kLater[] = {
        "timetz", "json", "jsonb", "xml", "inet", "cidr", "macaddr", "bit", "varbit", "money", "point", "line", "box",
        "circle", "polygon", "path", "lseg", "tsvector", "tsquery", "int4range", "int8range", "numrange", "daterange",
        "tsrange", "tstzrange", "oidvector", "int2vector", "pg_lsn", "regrole", "regcollation", "xid", "cid", "tid"};
    for (const std::string_view later : kLater)
      if (later == last) return At(UnsupportedError("type " + last), name.position);
    return Error("42704", "type \"" + last + "\" does not exist", name.position);
  }
  Type out{info->oid, -1};
  if (name.array_dimensions > 0 && info->element == oid::kInvalid) {
    out.oid = info->array_oid;
    if (out.oid == oid::kInvalid || !FindType(out.oid))
      return Error("42704", "type \"" + last + "[]\" does not exist", name.position);
  }
  if (!name.modifiers.empty()) {
    auto typmod = MakeTypmod(info->oid, name.modifiers);
    if (!typmod.ok()) return At(typmod.status(), name.position);
    out.typmod = *typmod;
  }
  return out;
}

bool IsUtility(const ParsedNode& node) {
  return !(std::holds_alternative<ParsedSelectPtr>(node) || std::holds_alternative<ParsedInsert>(node) ||
           std::holds_alternative<ParsedUpdate>(node) || std::holds_alternative<ParsedDelete>(node) ||
           std::holds_alternative<ParsedCreateTable>(node) || std::holds_alternative<ParsedDropTable>(node) ||
           std::holds_alternative<ParsedTruncate>(node) || std::holds_alternative<ParsedAlterTable>(node) ||
           std::holds_alternative<ParsedRename>(node) || std::holds_alternative<ParsedCopy>(node) ||
           std::holds_alternative<ParsedExplain>(node) || std::holds_alternative<ParsedUnsupported>(node));
}

namespace {
std::vector<TableName> Names(const std::vector<ParsedTableName>& names) {
  std::vector<TableName> out;
  for (const ParsedTableName& name : names) out.push_back({name.schema, name.name});
  return out;
}
}  // namespace

StatusOr<BoundNode> StatementBinder::Node(const ParsedStatement& statement) {
  const ParsedNode& node = statement.node;
  if (const auto* select = std::get_if<ParsedSelectPtr>(&node)) {
    ASSIGN_OR_RETURN(Output output, Select(**select, nullptr, Unknowns::kToText));
    return BoundNode(BoundQuery{std::move(output.root), std::move(output.result)});
  }
  if (const auto* insert = std::get_if<ParsedInsert>(&node)) return Insert(*insert);
  if (const auto* update = std::get_if<ParsedUpdate>(&node)) return Update(*update);
  if (const auto* deletion = std::get_if<ParsedDelete>(&node)) return Delete(*deletion);
  if (const auto* create = std::get_if<ParsedCreateTable>(&node)) return CreateTable(*create);
  if (const auto* alter = std::get_if<ParsedAlterTable>(&node)) return AlterTable(*alter);
  if (const auto* copy = std::get_if<ParsedCopy>(&node)) return Copy(*copy);
  if (const auto* explain = std::get_if<ParsedExplain>(&node)) return Explain(*explain);
  if (const auto* drop = std::get_if<ParsedDropTable>(&node))
    return BoundNode(BoundDdl{DropTablesCommand{Names(drop->tables), drop->if_exists}, {}});
  if (const auto* truncate = std::get_if<ParsedTruncate>(&node)) {
    for (const ParsedTableName& name : truncate->tables) RETURN_IF_ERROR(FindTableForWrite(name, "truncate").status());
    return BoundNode(BoundDdl{TruncateTablesCommand{Names(truncate->tables)}, {}});
  }
  if (const auto* rename = std::get_if<ParsedRename>(&node))
    return BoundNode(BoundDdl{RenameCommand{.table = {rename->table.schema, rename->table.name},
                                            .if_exists = rename->if_exists,
                                            .column = rename->column,
                                            .new_name = rename->new_name},
                              {}});
  if (const auto* vacuum = std::get_if<ParsedVacuum>(&node)) {
    for (const ParsedTableName& name : vacuum->tables) RETURN_IF_ERROR(FindTable(name).status());
    return BoundNode(BoundUtility{});
  }
  if (const auto* unsupported = std::get_if<ParsedUnsupported>(&node)) return unsupported->status;
  return BoundNode(BoundUtility{});
}

Status StatementBinder::FinishParameters(BoundStatement& out) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i] == oid::kUnknown)
      return Error("42P18", "could not determine data type of parameter $" + std::to_string(i + 1));
    out.parameter_types.push_back({parameters_[i], -1});
  }
  return OkStatus();
}

StatusOr<BoundStatement> StatementBinder::Statement(const ParsedStatement& statement) {
  BoundStatement out;
  out.command = CommandName(statement.node);
  ASSIGN_OR_RETURN(out.node, Node(statement));
  RETURN_IF_ERROR(FinishParameters(out));
  out.uses = std::move(uses_);
  out.cacheable = cacheable_;
  const auto inherit = [&](const std::shared_ptr<const BoundStatement>& inner) {
    auto& target = const_cast<BoundStatement&>(*inner);  // not yet published
    target.parameter_types = out.parameter_types;
    target.uses = out.uses;
    target.cacheable = out.cacheable;
  };
  if (auto* copy = std::get_if<BoundCopy>(&out.node)) inherit(copy->statement);
  if (auto* explain = std::get_if<BoundExplain>(&out.node)) inherit(explain->statement);
  return out;
}

StatusOr<ExprPtr> StatementBinder::AssignedExpression(const ParsedExpr& expr, Type target) {
  Scope nothing;
  nothing.clause = "EXECUTE parameters";
  ASSIGN_OR_RETURN(const ExprPtr bound, Bind(expr, nothing));
  return Coerce(bound, target, CastContext::kAssignment);
}

StatusOr<BoundStatement> Binder::Bind(const runtime::Context& context, const ParsedStatement& statement,
                                      std::span<const Oid> parameter_types) {
  const std::string_view source = statement.source ? std::string_view(*statement.source) : std::string_view();
  StatementBinder binder(options_, context, source, parameter_types, statement.parameter_count);
  return binder.Statement(statement);
}

StatusOr<ExprPtr> Binder::BindExpression(const runtime::Context& context, const ParsedExpr& expr, Type target) {
  StatementBinder binder(options_, context, "", {}, 0);
  return binder.AssignedExpression(expr, target);
}

}  // namespace orrery::sql
