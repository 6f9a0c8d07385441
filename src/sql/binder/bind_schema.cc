// Schema changes, COPY and EXPLAIN.
#include <algorithm>

#include "orrery/sql/catalog/names.h"
#include "sql/binder/statement_binder.h"

namespace orrery::sql {

namespace {

TableName NameOf(const ParsedTableName& name) { return {name.schema, name.name}; }


Status FieldsOf(Status status, const Table& table, const std::string& column, const std::string& constraint) {
  ErrorFields fields;
  fields.schema = table.schema_name;
  fields.table = table.name();
  fields.column = column;
  fields.constraint = constraint;
  return status.WithFields(fields);
}

std::string TableSql(const Table& table) {
  return QuoteIdentifier(table.schema_name) + "." + QuoteIdentifier(table.name());
}

bool IsOn(const ParsedOption& option) {
  return !option.has_value || option.value == "true" || option.value == "on" || option.value == "1";
}

}  // namespace

StatusOr<std::string> StatementBinder::DefaultSql(const ParsedExprPtr& expr, const ColumnDescriptor& column) {
  Scope nothing;
  nothing.clause = "DEFAULT expressions";
  if (expr->kind == P::Kind::kColumn)
    return Error("0A000", "cannot use column reference in DEFAULT expression", expr->position);
  ASSIGN_OR_RETURN(ExprPtr bound, Bind(*expr, nothing));
  if (bound->type.oid != oid::kUnknown &&
      !CanCast(options_.functions, bound->type.oid, column.type, CastContext::kAssignment))
    return Error("42804", "column \"" + column.name + "\" is of type " + FormatType({column.type, -1}) +
                              " but default expression is of type " + std::string(TypeName(bound->type.oid)),
                 expr->position)
        .WithHint("You will need to rewrite or cast the expression.");
  // The base type is enough: assignment applies the modifier to each row.
  ASSIGN_OR_RETURN(bound, Coerce(bound, {column.type}, CastContext::kAssignment));
  if (HasSubquery(*bound)) return Error("0A000", "cannot use subquery in DEFAULT expression", expr->position);
  return ExprToSql(*bound);
}

StatusOr<std::string> StatementBinder::CheckSql(const ParsedExpr& expr, const TableDescriptor& table) {
  Scope scope;
  scope.clause = "check constraints";
  scope.tables.push_back({table.name, "", table.name, nullptr});
  for (const ColumnDescriptor& column : table.columns)
    if (!column.hidden)
      scope.columns.push_back({.table = table.name, .name = column.name, .id = NewColumn(), .type = column.full_type()});
  ASSIGN_OR_RETURN(const ExprPtr bound, Bind(expr, scope));
  ASSIGN_OR_RETURN(ExprPtr condition, CoerceBool(bound, "CHECK"));
  if (HasSubquery(*condition)) return Error("0A000", "cannot use subquery in check constraint", expr.position);
  // Stored with bare column names, so that renaming the table needs no rewriting.
  const std::function<ExprPtr(const ExprPtr&)> bare = [&](const ExprPtr& e) -> ExprPtr {
    if (e->kind != Expr::Kind::kColumn) return MapChildren(e, bare);
    return MakeColumn(e->column, e->type, e->name.substr(e->name.find('.') + 1));
  };
  return ExprToSql(*bare(condition));
}

StatusOr<ColumnDescriptor> StatementBinder::ColumnOf(const ParsedColumnDefinition& parsed) {
  static constexpr std::string_view kSerials[] = {"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"};
  for (const std::string_view serial : kSerials)
    if (!parsed.type.names.empty() && parsed.type.names.back() == serial)
      return At(UnsupportedError("type " + std::string(serial)), parsed.type.position);
  ColumnDescriptor out;
  out.name = parsed.name;
  ASSIGN_OR_RETURN(const Type type, ResolveType(parsed.type));
  const TypeInfo* info = FindType(type.oid);
  if (info && (info->kind == 'p' || type.oid == oid::kUnknown))
    return Error("42P16", "column \"" + parsed.name + "\" has pseudo-type " + std::string(TypeName(type.oid)),
                 parsed.position);
  out.type = type.oid;
  out.typmod = type.typmod;
  out.not_null = parsed.not_null;
  if (parsed.default_value) {
    ASSIGN_OR_RETURN(out.default_sql, DefaultSql(parsed.default_value, out));
    if (out.default_sql->starts_with("NULL::")) out.default_sql.reset();
  }
  return out;
}

Status StatementBinder::AddKey(const ParsedConstraint& constraint, TableDescriptor& table) {
  if (!table.primary_key_name.empty())
    return Error("42P16", "multiple primary keys for table \"" + table.name + "\" are not allowed",
                 constraint.position);
  table.primary_key_name = constraint.name.empty() ? table.name + "_pkey" : constraint.name;
  for (const std::string& name : constraint.columns) {
    const auto column = std::find_if(table.columns.begin(), table.columns.end(),
                                     [&](const ColumnDescriptor& c) { return c.name == name; });
    if (column == table.columns.end())
      return Error("42703", "column \"" + name + "\" named in key does not exist", constraint.position);
    for (const KeyColumn& part : table.primary_key)
      if (part.column_id == column->id)
        return Error("42701", "column \"" + name + "\" appears twice in primary key constraint", constraint.position);
    if (!IsKeyType(column->type))
      return At(UnsupportedError("a key of type " + std::string(TypeName(column->type))), constraint.position);
    column->not_null = true;
    table.primary_key.push_back({.column_id = column->id});
  }
  return OkStatus();
}

StatusOr<BoundNode> StatementBinder::CreateTable(const ParsedCreateTable& create) {
  if (create.as_query) return UnsupportedError("CREATE TABLE AS");
  CreateTableCommand command;
  command.schema = create.table.schema;
  command.if_not_exists = create.if_not_exists;
  TableDescriptor& table = command.descriptor;
  table.name = create.table.name;
  for (const ParsedOption& option : create.options) {
    if (option.name != "fillfactor" && !option.name.starts_with("autovacuum_") && option.name != "parallel_workers" &&
        option.name != "toast_tuple_target" && option.name != "vacuum_truncate" &&
        !option.name.starts_with("toast."))
      return Error("22023", "unrecognized parameter \"" + option.name + "\"");
    table.options.push_back(option.name + "=" + option.value);
  }
  for (const ParsedColumnDefinition& parsed : create.columns) {
    for (const ColumnDescriptor& other : table.columns)
      if (other.name == parsed.name)
        return Error("42701", "column \"" + parsed.name + "\" specified more than once", parsed.position);
    ASSIGN_OR_RETURN(ColumnDescriptor column, ColumnOf(parsed));
    column.id = table.next_column_id++;
    table.columns.push_back(std::move(column));
  }
  std::vector<const ParsedConstraint*> constraints;
  for (const ParsedColumnDefinition& parsed : create.columns)
    for (const ParsedConstraint& constraint : parsed.constraints) constraints.push_back(&constraint);
  for (const ParsedConstraint& constraint : create.constraints) constraints.push_back(&constraint);
  for (const ParsedConstraint* constraint : constraints)
    if (constraint->kind == ParsedConstraint::Kind::kPrimaryKey) RETURN_IF_ERROR(AddKey(*constraint, table));
  for (const ParsedConstraint* constraint : constraints) {
    if (constraint->kind != ParsedConstraint::Kind::kCheck) continue;
    ASSIGN_OR_RETURN(std::string sql, CheckSql(*constraint->check, table));
    std::string name = constraint->name.empty() ? ChooseCheckName(table, sql) : constraint->name;
    for (const CheckDescriptor& other : table.checks)
      if (other.name == name)
        return Error("42710", "check constraint \"" + name + "\" already exists", constraint->position);
    table.checks.push_back({std::move(name), std::move(sql)});
  }
  if (table.primary_key.empty()) {
    ColumnDescriptor row_id;
    row_id.id = table.next_column_id++;
    row_id.name = kRowIdColumn;
    const auto taken = [&] {
      return std::any_of(table.columns.begin(), table.columns.end(),
                         [&](const ColumnDescriptor& c) { return c.name == row_id.name; });
    };
    while (taken()) row_id.name += "_";
    row_id.type = oid::kInt8;
    row_id.not_null = true;
    row_id.hidden = true;
    table.primary_key.push_back({.column_id = row_id.id});
    table.columns.push_back(std::move(row_id));
  }
  return BoundNode(BoundDdl{std::move(command), {}});
}

StatusOr<BoundNode> StatementBinder::AlterTable(const ParsedAlterTable& alter) {
  AlterTableCommand command;
  command.table = NameOf(alter.table);
  command.if_exists = alter.if_exists;
  ASSIGN_OR_RETURN(const TableUse use, options_.catalog.FindTable(context_, alter.table.schema, alter.table.name));
  if (!use.table) {
    if (alter.if_exists) return BoundNode(BoundDdl{std::move(command), {}});  // the catalog gives the notice
    return FindTable(alter.table).status();
  }
  uses_.push_back(use);
  std::vector<BoundDdl::Validation> validations;
  for (const ParsedAlterTable::Command& parsed : alter.commands)
    RETURN_IF_ERROR(AlterAction(parsed, *use.table, command, validations));
  return BoundNode(BoundDdl{std::move(command), std::move(validations)});
}

Status StatementBinder::AlterAction(const ParsedAlterTable::Command& parsed, const Table& table,
                                    AlterTableCommand& out, std::vector<BoundDdl::Validation>& validations) {
  using Kind = ParsedAlterTable::Kind;
  const auto validate_null = [&](const std::string& column) {
    validations.push_back(
        {"SELECT 1 FROM " + TableSql(table) + " WHERE " + QuoteIdentifier(column) + " IS NULL LIMIT 1",
         FieldsOf(Status(Code::kFailedPrecondition, "23502",
                         "column \"" + column + "\" of relation \"" + table.name() + "\" contains null values"),
                  table, column, "")});
  };
  const auto add_constraint = [&](const ParsedConstraint& constraint) -> Status {
    if (constraint.kind == ParsedConstraint::Kind::kPrimaryKey) {
      out.actions.push_back(AddPrimaryKeyCommand{constraint.columns, constraint.name});
      return OkStatus();
    }
    ASSIGN_OR_RETURN(const std::string sql, CheckSql(*constraint.check, table.descriptor));
    const std::string name = constraint.name.empty() ? ChooseCheckName(table.descriptor, sql) : constraint.name;
    out.actions.push_back(AddCheckCommand{{name, sql}});
    validations.push_back(
        {"SELECT 1 FROM " + TableSql(table) + " WHERE NOT (" + sql + ") LIMIT 1",
         FieldsOf(Status(Code::kFailedPrecondition, "23514", "check constraint \"" + name + "\" of relation \"" +
                                                                 table.name() + "\" is violated by some row"),
                  table, "", name)});
    return OkStatus();
  };
  switch (parsed.kind) {
    case Kind::kAddConstraint: return add_constraint(parsed.constraint);
    case Kind::kDropConstraint:
      out.actions.push_back(DropConstraintCommand{parsed.name, parsed.if_exists});
      return OkStatus();
    case Kind::kAddColumn: {
      AddColumnCommand command;
      ASSIGN_OR_RETURN(command.column, ColumnOf(parsed.column));
      command.if_not_exists = parsed.if_exists;
      if (!parsed.column.constraints.empty()) return UnsupportedError("ADD COLUMN with a constraint");
      if (parsed.column.default_value && command.column.default_sql) {
        Scope nothing;
        ASSIGN_OR_RETURN(const ExprPtr bound, Bind(*parsed.column.default_value, nothing));
        ASSIGN_OR_RETURN(const ExprPtr value, Assign(bound, command.column, -1));
        if (!IsConstant(*value)) return UnsupportedError("ADD COLUMN with a default that is not constant");
        command.missing = value->value.Owned();
      }
      if (command.column.not_null && command.missing.is_null()) validate_null(command.column.name);
      out.actions.push_back(std::move(command));
      return OkStatus();
    }
    case Kind::kDropColumn: out.actions.push_back(DropColumnCommand{parsed.name, parsed.if_exists}); return OkStatus();
    case Kind::kSetDefault:
    case Kind::kDropDefault:
    case Kind::kSetNotNull:
    case Kind::kDropNotNull: {
      AlterColumnCommand command;
      command.name = parsed.name;
      command.kind = AlterColumnCommand::Kind(int(parsed.kind) - int(Kind::kSetDefault));
      const int ordinal = table.FindColumn(parsed.name);
      if (ordinal < 0)
        return Error("42703", "column \"" + parsed.name + "\" of relation \"" + table.name() + "\" does not exist");
      if (parsed.kind == Kind::kSetDefault) {
        ASSIGN_OR_RETURN(command.default_sql, DefaultSql(parsed.expr, table.columns()[size_t(ordinal)]));
      }
      if (parsed.kind == Kind::kSetNotNull) validate_null(parsed.name);
      out.actions.push_back(std::move(command));
      return OkStatus();
    }
    case Kind::kSetOptions: out.actions.push_back(SetOptionsCommand{}); return OkStatus();
  }
  return InternalError("unknown kind of ALTER TABLE");
}

namespace {
StatusOr<std::vector<uint32_t>> PositionsOf(const std::string& list, std::span<const std::string> columns) {
  std::vector<uint32_t> out;
  size_t begin = 0;
  while (begin <= list.size()) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string name = list.substr(begin, end - begin);
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end())
      return Status(Code::kNotFound, "42703", "column \"" + name + "\" is not referenced by COPY");
    out.push_back(uint32_t(found - columns.begin()));
    begin = end + 1;
  }
  return out;
}

StatusOr<char> OneByte(const ParsedOption& option) {
  if (option.value.size() != 1 || option.value[0] == '\n' || option.value[0] == '\r')
    return Status(Code::kInvalidArgument, "0A000", "COPY " + option.name + " must be a single one-byte character");
  return option.value[0];
}
}  // namespace

StatusOr<CopyOptions> StatementBinder::CopyOptionsOf(const ParsedCopy& copy, std::span<const std::string> columns) {
  CopyOptions out;
  bool delimiter = false, null_text = false, escape = false;
  for (const ParsedOption& option : copy.options) {
    if (option.name == "format") {
      if (option.value == "csv") out.format = CopyFormat::kCsv;
      else if (option.value == "binary") out.format = CopyFormat::kBinary;
      else if (option.value != "text")
        return Error("22023", "COPY format \"" + option.value + "\" not recognized", option.position);
    } else if (option.name == "delimiter") {
      ASSIGN_OR_RETURN(out.delimiter, OneByte(option));
      delimiter = true;
    } else if (option.name == "null") {
      out.null_text = option.value;
      null_text = true;
    } else if (option.name == "header") {
      out.header_match = option.value == "match";
      out.header = out.header_match || IsOn(option);
    } else if (option.name == "quote") {
      ASSIGN_OR_RETURN(out.quote, OneByte(option));
    } else if (option.name == "escape") {
      ASSIGN_OR_RETURN(out.escape, OneByte(option));
      escape = true;
    } else if (option.name == "force_quote") {
      out.force_quote_all = option.value == "*";
      if (!out.force_quote_all) {
        ASSIGN_OR_RETURN(out.force_quote, PositionsOf(option.value, columns));
      }
    } else if (option.name == "force_not_null") {
      ASSIGN_OR_RETURN(out.force_not_null, PositionsOf(option.value, columns));
    } else if (option.name == "force_null") {
      ASSIGN_OR_RETURN(out.force_null, PositionsOf(option.value, columns));
    } else if (option.name == "encoding") {
      if (option.value != "UTF8" && option.value != "utf8" && option.value != "utf-8" && option.value != "UTF-8")
        return At(UnsupportedError("COPY … ENCODING " + option.value), option.position);
    } else if (option.name != "freeze") {  // FREEZE asks for what every row here is
      return Error("42601", "option \"" + option.name + "\" not recognized", option.position);
    }
  }
  const bool csv = out.format == CopyFormat::kCsv;
  if (out.format == CopyFormat::kBinary) return UnsupportedError("COPY … BINARY");
  if (csv && !delimiter) out.delimiter = ',';
  if (csv && !null_text) out.null_text.clear();
  if (csv && !escape) out.escape = out.quote;
  if (out.delimiter == out.quote && csv) return Error("22023", "COPY delimiter and quote must be different");
  return out;
}

StatusOr<BoundNode> StatementBinder::Copy(const ParsedCopy& copy) {
  BoundCopy out;
  out.from = copy.from;
  if (copy.where) return UnsupportedError("COPY … WHERE");
  auto inner = std::make_shared<BoundStatement>();
  if (copy.query) {
    ASSIGN_OR_RETURN(Output output, Select(*copy.query, nullptr, Unknowns::kToText));
    for (const ResultColumn& column : output.result) {
      out.column_names.push_back(column.name);
      out.column_types.push_back(column.type);
    }
    inner->node = BoundQuery{std::move(output.root), std::move(output.result)};
    inner->command = "SELECT";
  } else {
    ASSIGN_OR_RETURN(const TablePtr table,
                     copy.from ? FindTableForWrite(copy.table, "copy to") : FindTable(copy.table));
    ParsedInsert names;
    for (const std::string& column : copy.columns) names.columns.push_back({column, -1});
    ASSIGN_OR_RETURN(const std::vector<uint32_t> columns, InsertColumns(names, *table));
    auto leaf = std::make_shared<Relation>();
    for (const uint32_t ordinal : columns) {
      const ColumnDescriptor& column = table->columns()[ordinal];
      out.column_names.push_back(column.name);
      out.column_types.push_back(column.full_type());
      leaf->columns.push_back({NewColumn(), column.name, column.full_type()});
    }
    if (copy.from) {
      leaf->kind = Relation::Kind::kExternal;
      std::vector<ExprPtr> exprs(table->columns().size());
      for (uint32_t i = 0; i < exprs.size(); ++i) {
        ASSIGN_OR_RETURN(exprs[i], Default(*table, i));
      }
      for (size_t i = 0; i < columns.size(); ++i)
        exprs[columns[i]] = MakeColumn(leaf->columns[i].id, leaf->columns[i].type, leaf->columns[i].name);
      BoundInsert insert;
      insert.table = table;
      insert.input = FullRow(*table, std::move(leaf), std::move(exprs));
      for (size_t i = 0; i < table->columns().size(); ++i) insert.new_row.push_back(NewColumn());
      ASSIGN_OR_RETURN(insert.checks, Checks(*table, insert.new_row));
      inner->node = std::move(insert);
      inner->command = "INSERT";
    } else {
      leaf->kind = Relation::Kind::kScan;
      leaf->table = table;
      leaf->alias = table->name();
      leaf->ordinals = columns;
      BoundQuery query;
      for (size_t i = 0; i < columns.size(); ++i)
        query.result.push_back({out.column_names[i], out.column_types[i], 0, 0});
      query.root = std::move(leaf);
      inner->node = std::move(query);
      inner->command = "SELECT";
    }
  }
  ASSIGN_OR_RETURN(out.options, CopyOptionsOf(copy, out.column_names));
  inner->uses = uses_;
  out.statement = std::move(inner);
  return BoundNode(std::move(out));
}

StatusOr<BoundNode> StatementBinder::Explain(const ParsedExplain& explain) {
  BoundExplain out;
  for (const ParsedOption& option : explain.options) {
    const bool on = IsOn(option);
    if (option.name == "analyze") out.options.analyze = out.options.summary = on;
    else if (option.name == "verbose") out.options.verbose = on;
    else if (option.name == "costs") out.options.costs = on;
    else if (option.name == "timing") out.options.timing = on;
    else if (option.name == "summary") out.options.summary = on;
    else if (option.name == "buffers") out.options.buffers = on;
    else if (option.name == "settings") out.options.settings = on;
    else if (option.name == "format" && option.value == "json") out.options.format = ExplainOptions::Format::kJson;
    else if (option.name == "format" && option.value != "text")
      return At(UnsupportedError("EXPLAIN (FORMAT " + option.value + ")"), option.position);
    else if (option.name != "format" && option.name != "wal")
      return Error("42601", "unrecognized EXPLAIN option \"" + option.name + "\"", option.position);
  }
  auto inner = std::make_shared<BoundStatement>();
  ASSIGN_OR_RETURN(inner->node, Node(*explain.statement));
  const bool plannable = std::holds_alternative<BoundQuery>(inner->node) ||
                         std::holds_alternative<BoundInsert>(inner->node) ||
                         std::holds_alternative<BoundUpdate>(inner->node) ||
                         std::holds_alternative<BoundDelete>(inner->node);
  if (!plannable) return UnsupportedError("EXPLAIN of this statement");
  inner->command = CommandName(explain.statement->node);
  inner->uses = uses_;
  out.statement = std::move(inner);
  return BoundNode(std::move(out));
}

}  // namespace orrery::sql
