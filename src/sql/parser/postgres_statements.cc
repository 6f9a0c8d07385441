// Schema changes and utility statements of PostgreSQL's raw parse tree.
#include "sql/parser/postgres_tree.h"

namespace orrery::sql {

namespace {
template <class N>
const N* As(const ::Node* node) {
  return reinterpret_cast<const N*>(node);
}
template <class N>
const N* Element(const ::List* list, int i) {
  return static_cast<const N*>(list_nth(list, i));
}
std::string NumberText(const ::Node* value) {
  return IsA(value, Integer) ? std::to_string(intVal(value)) : Text(As<::Float>(value)->fval);
}
}  // namespace

std::string ValueText(const ::Node* node) {
  if (!node) return "";
  switch (nodeTag(node)) {
    case T_Integer:
    case T_Float: return NumberText(node);
    case T_Boolean: return boolVal(node) ? "true" : "false";
    case T_String: return Text(strVal(node));
    case T_TypeName: {
      const auto names = Strings(As<::TypeName>(node)->names);
      return names.empty() ? "" : names.back();
    }
    case T_A_Const: {
      const auto* constant = As<::A_Const>(node);
      return constant->isnull ? "" : ValueText(reinterpret_cast<const ::Node*>(&constant->val));
    }
    case T_TypeCast: return ValueText(As<::TypeCast>(node)->arg);
    case T_A_Star: return "*";
    case T_List: {
      std::string out;
      for (const std::string& word : Strings(As<::List>(node))) out += (out.empty() ? "" : ",") + word;
      return out;
    }
    default: return "";
  }
}

std::vector<ParsedOption> PostgresTree::Options(const ::List* list) {
  std::vector<ParsedOption> out;
  for (int i = 0; i < list_length(list); ++i) {
    const auto* element = Element<::DefElem>(list, i);
    ParsedOption& option = out.emplace_back();
    if (element->defnamespace) option.name = Text(element->defnamespace) + ".";
    option.name += Text(element->defname);
    option.value = ValueText(element->arg);
    option.has_value = element->arg != nullptr;
    option.position = element->location;
  }
  return out;
}

ParsedNode PostgresTree::Statement(const ::Node* node) {
  ParsedNode out = StatementOfKind(node);
  if (!status_.ok()) return ParsedUnsupported{status_};
  return out;
}

std::shared_ptr<const ParsedStatement> PostgresTree::Nested(const ::Node* node) {
  auto out = std::make_shared<ParsedStatement>();
  Level level(*this);
  if (TooDeep()) return out;
  out->node = StatementOfKind(node);
  out->parameter_count = parameter_count_;
  return out;
}

ParsedNode PostgresTree::StatementOfKind(const ::Node* node) {
  switch (nodeTag(node)) {
    case T_SelectStmt: return Select(node);
    case T_InsertStmt: return Insert(As<::InsertStmt>(node));
    case T_UpdateStmt: return Update(As<::UpdateStmt>(node));
    case T_DeleteStmt: return Delete(As<::DeleteStmt>(node));
    case T_CreateStmt: return CreateTable(As<::CreateStmt>(node));
    case T_CreateTableAsStmt: return CreateTableAs(As<::CreateTableAsStmt>(node));
    case T_DropStmt: return DropTable(As<::DropStmt>(node));
    case T_TruncateStmt: return Truncate(As<::TruncateStmt>(node));
    case T_AlterTableStmt: return AlterTable(As<::AlterTableStmt>(node));
    case T_RenameStmt: return Rename(As<::RenameStmt>(node));
    case T_CopyStmt: return Copy(As<::CopyStmt>(node));
    case T_ExplainStmt: return Explain(As<::ExplainStmt>(node));
    case T_TransactionStmt: return Transaction(As<::TransactionStmt>(node));
    case T_VariableSetStmt: return Set(As<::VariableSetStmt>(node));
    case T_VariableShowStmt: return ParsedShow{Text(As<::VariableShowStmt>(node)->name)};
    case T_PrepareStmt: return Prepare(As<::PrepareStmt>(node));
    case T_ExecuteStmt: {
      ParsedExecute out{.name = Text(As<::ExecuteStmt>(node)->name), .arguments = {}};
      Expressions(As<::ExecuteStmt>(node)->params, out.arguments);
      return out;
    }
    case T_DeallocateStmt: return ParsedDeallocate{Text(As<::DeallocateStmt>(node)->name)};
    case T_DeclareCursorStmt: return DeclareCursor(As<::DeclareCursorStmt>(node));
    case T_FetchStmt: return Fetch(As<::FetchStmt>(node));
    case T_ClosePortalStmt: return ParsedClose{Text(As<::ClosePortalStmt>(node)->portalname)};
    case T_VacuumStmt: return Vacuum(As<::VacuumStmt>(node));
    case T_DiscardStmt: return Discard(As<::DiscardStmt>(node));
    case T_CheckPointStmt: return ParsedCheckpoint{};
    default: break;
  }
  struct Name {
    ::NodeTag tag;
    const char* construct;
  };
  static constexpr Name kNames[] = {
      {T_IndexStmt, "CREATE INDEX"},          {T_ViewStmt, "CREATE VIEW"},
      {T_CreateSeqStmt, "CREATE SEQUENCE"},   {T_AlterSeqStmt, "ALTER SEQUENCE"},
      {T_CreateFunctionStmt, "CREATE FUNCTION"}, {T_CreateTrigStmt, "CREATE TRIGGER"},
      {T_CreateSchemaStmt, "CREATE SCHEMA"},  {T_CreatedbStmt, "CREATE DATABASE"},
      {T_DropdbStmt, "DROP DATABASE"},        {T_CreateRoleStmt, "CREATE ROLE"},
      {T_AlterRoleStmt, "ALTER ROLE"},        {T_DropRoleStmt, "DROP ROLE"},
      {T_GrantStmt, "GRANT and REVOKE"},      {T_GrantRoleStmt, "GRANT and REVOKE"},
      {T_CreateExtensionStmt, "CREATE EXTENSION"}, {T_CreateEnumStmt, "CREATE TYPE"},
      {T_CompositeTypeStmt, "CREATE TYPE"},   {T_DefineStmt, "CREATE TYPE or CREATE AGGREGATE"},
      {T_CreateDomainStmt, "CREATE DOMAIN"},  {T_CommentStmt, "COMMENT"},
      {T_LockStmt, "LOCK TABLE"},             {T_NotifyStmt, "NOTIFY"},
      {T_ListenStmt, "LISTEN"},               {T_UnlistenStmt, "UNLISTEN"},
      {T_DoStmt, "DO"},                       {T_CallStmt, "CALL"},
      {T_MergeStmt, "MERGE"},                 {T_ReindexStmt, "REINDEX"},
      {T_ClusterStmt, "CLUSTER"},             {T_RuleStmt, "CREATE RULE"},
      {T_RefreshMatViewStmt, "REFRESH MATERIALIZED VIEW"}, {T_ConstraintsSetStmt, "SET CONSTRAINTS"},
      {T_AlterSystemStmt, "ALTER SYSTEM"},    {T_AlterOwnerStmt, "ALTER … OWNER TO"},
      {T_AlterObjectSchemaStmt, "ALTER … SET SCHEMA"}, {T_AlterDatabaseStmt, "ALTER DATABASE"},
      {T_AlterDatabaseSetStmt, "ALTER DATABASE"}, {T_AlterRoleSetStmt, "ALTER ROLE"},
      {T_CreatePublicationStmt, "CREATE PUBLICATION"}, {T_CreatePolicyStmt, "CREATE POLICY"},
      {T_CreateTableSpaceStmt, "CREATE TABLESPACE"}, {T_CreateCastStmt, "CREATE CAST"},
      {T_CreateStatsStmt, "CREATE STATISTICS"}, {T_LoadStmt, "LOAD"},
  };
  for (const Name& name : kNames)
    if (nodeTag(node) == name.tag) return ParsedUnsupported{Status(UnsupportedError(name.construct))};
  return ParsedUnsupported{UnsupportedError("this statement")};
}

std::optional<ParsedConstraint> PostgresTree::TableConstraint(const ::Constraint* node) {
  ParsedConstraint out;
  out.name = Text(node->conname);
  out.position = node->location;
  switch (node->contype) {
    case CONSTR_CHECK:
      out.check = Expression(node->raw_expr);
      if (node->is_no_inherit) Unsupported("CHECK … NO INHERIT", node->location);
      if (node->skip_validation) Unsupported("NOT VALID constraints", node->location);
      return out;
    case CONSTR_PRIMARY:
      out.kind = ParsedConstraint::Kind::kPrimaryKey;
      out.columns = Strings(node->keys);
      if (node->deferrable) Unsupported("DEFERRABLE constraints", node->location);
      if (node->including) Unsupported("PRIMARY KEY … INCLUDE", node->location);
      if (node->indexname) Unsupported("PRIMARY KEY USING INDEX", node->location);
      return out;
    case CONSTR_UNIQUE: Unsupported("UNIQUE constraints", node->location); break;
    case CONSTR_FOREIGN: Unsupported("FOREIGN KEY constraints", node->location); break;
    case CONSTR_EXCLUSION: Unsupported("EXCLUDE constraints", node->location); break;
    default: Unsupported("DEFERRABLE constraints", node->location); break;
  }
  return std::nullopt;
}

void PostgresTree::ColumnConstraint(const ::Constraint* node, std::string_view table, ParsedColumnDefinition& out) {
  const std::string of = "for column \"" + out.name + "\" of table \"" + std::string(table) + "\"";
  const auto conflict = [&] {
    if (out.null && out.not_null) SyntaxError("conflicting NULL/NOT NULL declarations " + of, node->location);
  };
  switch (node->contype) {
    case CONSTR_NOTNULL: out.not_null = true; return conflict();
    case CONSTR_NULL: out.null = true; return conflict();
    case CONSTR_DEFAULT:
      if (out.default_value) {
        SyntaxError("multiple default values specified " + of, node->location);
        return;
      }
      out.default_value = Expression(node->raw_expr);
      return;
    case CONSTR_IDENTITY: Unsupported("identity columns", node->location); return;
    case CONSTR_GENERATED: Unsupported("generated columns", node->location); return;
    default:
      if (auto constraint = TableConstraint(node)) {
        if (constraint->kind == ParsedConstraint::Kind::kPrimaryKey) constraint->columns = {out.name};
        out.constraints.push_back(std::move(*constraint));
      }
  }
}

ParsedColumnDefinition PostgresTree::Column(const ::ColumnDef* node, std::string_view table) {
  ParsedColumnDefinition out;
  out.name = Text(node->colname);
  out.position = node->location;
  out.type = TypeName(node->typeName);
  if (node->compression) Unsupported("COMPRESSION", node->location);
  if (node->collClause) {
    const auto names = Strings(node->collClause->collname);
    if (names.back() != "default" && names.back() != "C" && names.back() != "POSIX")
      Unsupported("COLLATE \"" + names.back() + "\"", node->collClause->location);
  }
  if (node->fdwoptions) Unsupported("OPTIONS", node->location);
  out.not_null = node->is_not_null;
  for (int i = 0; i < list_length(node->constraints) && status_.ok(); ++i)
    ColumnConstraint(Element<::Constraint>(node->constraints, i), table, out);
  return out;
}

ParsedNode PostgresTree::CreateTable(const ::CreateStmt* node) {
  ParsedCreateTable out;
  out.table = TableName(node->relation);
  out.if_not_exists = node->if_not_exists;
  if (node->relation->relpersistence == 't') Unsupported("temporary tables", out.table.position);
  if (node->relation->relpersistence == 'u') Unsupported("UNLOGGED tables", out.table.position);
  if (node->inhRelations) Unsupported(node->partbound ? "PARTITION OF" : "INHERITS", out.table.position);
  if (node->partspec) Unsupported("PARTITION BY", out.table.position);
  if (node->ofTypename) Unsupported("CREATE TABLE … OF", out.table.position);
  if (node->tablespacename) Unsupported("TABLESPACE", out.table.position);
  if (node->accessMethod && Text(node->accessMethod) != "heap") Unsupported("USING", out.table.position);
  out.options = Options(node->options);
  for (int i = 0; i < list_length(node->tableElts) && status_.ok(); ++i) {
    const auto* element = Element<::Node>(node->tableElts, i);
    if (IsA(element, ColumnDef)) {
      out.columns.push_back(Column(As<::ColumnDef>(element), out.table.name));
    } else if (IsA(element, Constraint)) {
      if (auto constraint = TableConstraint(As<::Constraint>(element)))
        out.constraints.push_back(std::move(*constraint));
    } else {
      Unsupported("CREATE TABLE … (LIKE …)", out.table.position);
    }
  }
  return out;
}

ParsedNode PostgresTree::CreateTableAs(const ::CreateTableAsStmt* node) {
  if (node->objtype == OBJECT_MATVIEW) return ParsedUnsupported{UnsupportedError("CREATE MATERIALIZED VIEW")};
  ParsedCreateTable out;
  out.table = TableName(node->into->rel);
  out.if_not_exists = node->if_not_exists;
  out.as_columns = Strings(node->into->colNames);
  out.with_data = !node->into->skipData;
  out.options = Options(node->into->options);
  if (node->into->rel->relpersistence == 't') Unsupported("temporary tables", out.table.position);
  if (!IsA(node->query, SelectStmt)) Unsupported("CREATE TABLE … AS EXECUTE", out.table.position);
  else out.as_query = Select(node->query);
  return out;
}

ParsedTableName PostgresTree::QualifiedName(const ::List* list) {
  std::vector<std::string> names = Strings(list);
  ParsedTableName out;
  if (!names.empty()) out.name = names.back();
  if (names.size() > 1) out.schema = names[names.size() - 2];
  if (names.size() > 2) out.catalog = names[names.size() - 3];
  return out;
}

ParsedNode PostgresTree::DropTable(const ::DropStmt* node) {
  struct Name {
    ::ObjectType type;
    const char* construct;
  };
  static constexpr Name kNames[] = {
      {OBJECT_INDEX, "DROP INDEX"}, {OBJECT_VIEW, "DROP VIEW"}, {OBJECT_SEQUENCE, "DROP SEQUENCE"},
      {OBJECT_SCHEMA, "DROP SCHEMA"}, {OBJECT_FUNCTION, "DROP FUNCTION"}, {OBJECT_TYPE, "DROP TYPE"},
      {OBJECT_DOMAIN, "DROP DOMAIN"}, {OBJECT_TRIGGER, "DROP TRIGGER"}, {OBJECT_MATVIEW, "DROP MATERIALIZED VIEW"},
      {OBJECT_EXTENSION, "DROP EXTENSION"},
  };
  if (node->removeType != OBJECT_TABLE) {
    for (const Name& name : kNames)
      if (node->removeType == name.type) return ParsedUnsupported{UnsupportedError(name.construct)};
    return ParsedUnsupported{UnsupportedError("DROP of this kind of object")};
  }
  ParsedDropTable out;
  out.if_exists = node->missing_ok;
  out.cascade = node->behavior == DROP_CASCADE;
  for (int i = 0; i < list_length(node->objects); ++i)
    out.tables.push_back(QualifiedName(Element<::List>(node->objects, i)));
  return out;
}

ParsedNode PostgresTree::Truncate(const ::TruncateStmt* node) {
  ParsedTruncate out;
  out.cascade = node->behavior == DROP_CASCADE;
  for (int i = 0; i < list_length(node->relations); ++i)
    out.tables.push_back(TableName(Element<::RangeVar>(node->relations, i)));
  return out;
}

ParsedNode PostgresTree::AlterTable(const ::AlterTableStmt* node) {
  if (node->objtype != OBJECT_TABLE) return ParsedUnsupported{UnsupportedError("ALTER of this kind of object")};
  ParsedAlterTable out;
  out.table = TableName(node->relation);
  out.if_exists = node->missing_ok;
  for (int i = 0; i < list_length(node->cmds) && status_.ok(); ++i)
    out.commands.push_back(AlterCommand(Element<::AlterTableCmd>(node->cmds, i), out.table.name));
  return out;
}

ParsedAlterTable::Command PostgresTree::AlterCommand(const ::AlterTableCmd* node, std::string_view table) {
  using Kind = ParsedAlterTable::Kind;
  ParsedAlterTable::Command out;
  out.name = Text(node->name);
  out.if_exists = node->missing_ok;
  out.cascade = node->behavior == DROP_CASCADE;
  switch (node->subtype) {
    case AT_AddColumn:
      out.kind = Kind::kAddColumn;
      out.column = Column(As<::ColumnDef>(node->def), table);
      out.name = out.column.name;
      break;
    case AT_DropColumn: out.kind = Kind::kDropColumn; break;
    case AT_AddConstraint:
      out.kind = Kind::kAddConstraint;
      if (auto constraint = TableConstraint(As<::Constraint>(node->def))) out.constraint = std::move(*constraint);
      break;
    case AT_DropConstraint: out.kind = Kind::kDropConstraint; break;
    case AT_ColumnDefault:
      out.kind = node->def ? Kind::kSetDefault : Kind::kDropDefault;
      out.expr = Expression(node->def);
      break;
    case AT_SetNotNull: out.kind = Kind::kSetNotNull; break;
    case AT_DropNotNull: out.kind = Kind::kDropNotNull; break;
    case AT_SetRelOptions: out.kind = Kind::kSetOptions; break;
    case AT_AlterColumnType: Unsupported("ALTER COLUMN TYPE"); break;
    case AT_ChangeOwner: Unsupported("ALTER TABLE … OWNER TO"); break;
    case AT_AttachPartition: Unsupported("ATTACH PARTITION"); break;
    default: Unsupported("this form of ALTER TABLE"); break;
  }
  return out;
}

ParsedNode PostgresTree::Rename(const ::RenameStmt* node) {
  const bool table = node->renameType == OBJECT_TABLE;
  const bool column = node->renameType == OBJECT_COLUMN && node->relationType == OBJECT_TABLE;
  if (!table && !column) return ParsedUnsupported{UnsupportedError("RENAME of this kind of object")};
  ParsedRename out;
  out.table = TableName(node->relation);
  out.if_exists = node->missing_ok;
  if (column) out.column = Text(node->subname);
  out.new_name = Text(node->newname);
  return out;
}

ParsedNode PostgresTree::Copy(const ::CopyStmt* node) {
  ParsedCopy out;
  if (node->is_program) Unsupported("COPY … PROGRAM");
  if (node->filename) Unsupported("COPY to or from a file of the server");
  if (node->relation) out.table = TableName(node->relation);
  out.columns = Strings(node->attlist);
  out.query = Select(node->query);
  out.from = node->is_from;
  out.options = Options(node->options);
  out.where = Expression(node->whereClause);
  return out;
}

ParsedNode PostgresTree::Explain(const ::ExplainStmt* node) {
  ParsedExplain out;
  out.options = Options(node->options);
  auto nested = std::make_unique<ParsedStatement>();
  nested->node = StatementOfKind(node->query);
  nested->parameter_count = parameter_count_;
  out.statement = std::move(nested);
  return out;
}

ParsedNode PostgresTree::Transaction(const ::TransactionStmt* node) {
  using Kind = ParsedTransaction::Kind;
  ParsedTransaction out;
  out.modes = Options(node->options);
  out.savepoint = Text(node->savepoint_name);
  out.chain = node->chain;
  switch (node->kind) {
    case TRANS_STMT_START: out.start_transaction = true; [[fallthrough]];
    case TRANS_STMT_BEGIN: out.kind = Kind::kBegin; break;
    case TRANS_STMT_COMMIT: out.kind = Kind::kCommit; break;
    case TRANS_STMT_ROLLBACK: out.kind = Kind::kRollback; break;
    case TRANS_STMT_SAVEPOINT: out.kind = Kind::kSavepoint; break;
    case TRANS_STMT_RELEASE: out.kind = Kind::kRelease; break;
    case TRANS_STMT_ROLLBACK_TO: out.kind = Kind::kRollbackTo; break;
    case TRANS_STMT_PREPARE:
    case TRANS_STMT_COMMIT_PREPARED:
    case TRANS_STMT_ROLLBACK_PREPARED: return ParsedUnsupported{UnsupportedError("PREPARE TRANSACTION")};
  }
  return out;
}

ParsedNode PostgresTree::Set(const ::VariableSetStmt* node) {
  using Kind = ParsedSet::Kind;
  ParsedSet out;
  out.name = Text(node->name);
  out.local = node->is_local;
  switch (node->kind) {
    case VAR_SET_VALUE: out.kind = Kind::kValue; break;
    case VAR_SET_DEFAULT: out.kind = Kind::kDefault; break;
    case VAR_RESET: out.kind = Kind::kReset; break;
    case VAR_RESET_ALL: out.kind = Kind::kResetAll; break;
    case VAR_SET_CURRENT: return ParsedUnsupported{UnsupportedError("SET … FROM CURRENT")};
    case VAR_SET_MULTI:
      if (out.name == "TRANSACTION SNAPSHOT") return ParsedUnsupported{UnsupportedError("SET TRANSACTION SNAPSHOT")};
      out.kind = out.name == "TRANSACTION" ? Kind::kTransaction : Kind::kSessionCharacteristics;
      out.modes = Options(node->args);
      return out;
  }
  for (int i = 0; i < list_length(node->args); ++i) out.values.push_back(ValueText(Element<::Node>(node->args, i)));
  for (char& c : out.name) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return out;
}

ParsedNode PostgresTree::Prepare(const ::PrepareStmt* node) {
  ParsedPrepare out;
  out.name = Text(node->name);
  for (int i = 0; i < list_length(node->argtypes); ++i)
    out.parameter_types.push_back(TypeName(Element<::TypeName>(node->argtypes, i)));
  out.statement = Nested(node->query);
  return out;
}

ParsedNode PostgresTree::DeclareCursor(const ::DeclareCursorStmt* node) {
  ParsedDeclareCursor out;
  out.name = Text(node->portalname);
  out.binary = node->options & CURSOR_OPT_BINARY;
  out.hold = node->options & CURSOR_OPT_HOLD;
  out.scroll = node->options & CURSOR_OPT_SCROLL;
  out.query = Nested(node->query);
  return out;
}

ParsedNode PostgresTree::Fetch(const ::FetchStmt* node) {
  ParsedFetch out;
  switch (node->direction) {
    case FETCH_FORWARD: out.direction = ParsedFetch::Direction::kForward; break;
    case FETCH_BACKWARD: out.direction = ParsedFetch::Direction::kBackward; break;
    case FETCH_ABSOLUTE: out.direction = ParsedFetch::Direction::kAbsolute; break;
    case FETCH_RELATIVE: out.direction = ParsedFetch::Direction::kRelative; break;
  }
  out.count = node->howMany;
  out.cursor = Text(node->portalname);
  out.move = node->ismove;
  return out;
}

ParsedNode PostgresTree::Vacuum(const ::VacuumStmt* node) {
  ParsedVacuum out;
  out.is_vacuum = node->is_vacuumcmd;
  for (int i = 0; i < list_length(node->rels); ++i) {
    const auto* relation = Element<::VacuumRelation>(node->rels, i);
    if (relation->relation) out.tables.push_back(TableName(relation->relation));
  }
  return out;
}

ParsedNode PostgresTree::Discard(const ::DiscardStmt* node) {
  switch (node->target) {
    case DISCARD_ALL: return ParsedDiscard{ParsedDiscard::Kind::kAll};
    case DISCARD_PLANS: return ParsedDiscard{ParsedDiscard::Kind::kPlans};
    case DISCARD_SEQUENCES: return ParsedDiscard{ParsedDiscard::Kind::kSequences};
    case DISCARD_TEMP: return ParsedDiscard{ParsedDiscard::Kind::kTemp};
  }
  return ParsedDiscard{};
}

}  // namespace orrery::sql
