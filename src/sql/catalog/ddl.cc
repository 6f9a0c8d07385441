// Schema changes of CatalogTxnImpl. Each writes the descriptor (its intent keeps newcomers out), waits until
// no other transaction uses the table, and only then changes data: what PostgreSQL's ACCESS EXCLUSIVE lock does.
#include <algorithm>

#include "orrery/base/wire.h"
#include "orrery/kv/api/errors.h"
#include "orrery/sql/parser/parser.h"
#include "sql/catalog/catalog_txn.h"
#include "orrery/sql/catalog/names.h"
#include "sql/catalog/row_rewrite.h"

namespace orrery::sql {

namespace {

Status NoSuchTable(const TableName& name) {
  const std::string full = name.schema.empty() ? name.name : name.schema + "." + name.name;
  return Status(Code::kNotFound, "42P01", "relation \"" + full + "\" does not exist");
}

DdlNotice Skipping(std::string_view sqlstate, const std::string& message) {
  return {.severity = "NOTICE", .sqlstate = std::string(sqlstate), .message = message + ", skipping"};
}

Status SystemCatalog(const Table& table) {
  return Status(Code::kPermissionDenied, "42501",
                "permission denied: \"" + table.name() + "\" is a system catalog");
}

}  // namespace

Status CatalogTxnImpl::RunDdl(const runtime::Context& context, const DdlCommand& command, DdlResult& result) {
  ORRERY_ASSERT(txn_ != nullptr, "CatalogTxn: SetTxn before RunDdl");
  return std::visit([&](const auto& c) { return Run(context, c, result); }, command);
}

StatusOr<std::string> CatalogTxnImpl::SchemaForCreation(std::string_view schema) const {
  std::string chosen(schema);
  for (size_t i = 0; chosen.empty() && i < search_path_.size(); ++i)
    if (SchemaIdOf(search_path_[i])) chosen = search_path_[i];
  if (chosen.empty()) return Status(Code::kNotFound, "3F000", "no schema has been selected to create in");
  if (!SchemaIdOf(chosen)) return Status(Code::kNotFound, "3F000", "schema \"" + chosen + "\" does not exist");
  if (chosen != "public") return Status(Code::kPermissionDenied, "42501", "permission denied for schema " + chosen);
  return chosen;
}

StatusOr<DescriptorId> CatalogTxnImpl::NewId(const runtime::Context& context) {
  // Four ids a table: the table, its key's index, its key's constraint, one to spare.
  ASSIGN_OR_RETURN(const uint64_t n, catalog_.db().AllocateIds(context, kv::kNextDescriptorId, 4));
  return DescriptorId(kFirstUserDescriptorId + n - 1);
}

Status CatalogTxnImpl::WriteDescriptor(const runtime::Context& context, const TableDescriptor& descriptor) {
  kv::Batch write;
  write.Put(DescriptorKey(descriptor.id), wire::Encode(descriptor));
  return txn_->Run(context, write);
}

StatusOr<TablePtr> CatalogTxnImpl::LoadFrom(const runtime::Context& context, std::string_view schema,
                                            std::string_view name) {
  if (TablePtr table = catalog_.FindVirtual(schema, name)) return table;
  const DescriptorId schema_id = SchemaIdOf(schema);
  TablePtr own;
  if (OwnChange(schema_id, name, own)) return own;
  kv::Batch lookup;
  lookup.Get(NamespaceKey(schema_id, name));
  RETURN_IF_ERROR(txn_->Run(context, lookup));
  const auto& found = std::get<kv::GetResponse>(lookup.responses[0]).value;
  if (!found) return TablePtr();
  NamespaceRecord record;
  RETURN_IF_ERROR(wire::Decode(*found, record));
  kv::Batch read;
  read.Get(DescriptorKey(record.id), kv::LockStrength::kExclusive);
  RETURN_IF_ERROR(txn_->Run(context, read));
  const auto& bytes = std::get<kv::GetResponse>(read.responses[0]).value;
  if (!bytes) return TablePtr();
  ASSIGN_OR_RETURN(TableDescriptor descriptor, DecodeDescriptor(*bytes));
  if (descriptor.name != name || descriptor.schema != schema_id) return TablePtr();
  return MakeTable(std::move(descriptor), std::string(schema));
}

StatusOr<TablePtr> CatalogTxnImpl::LoadForChange(const runtime::Context& context, const TableName& name) {
  if (!name.schema.empty()) return LoadFrom(context, name.schema, name.name);
  for (const std::string& schema : SearchPath()) {
    if (!SchemaIdOf(schema)) continue;
    ASSIGN_OR_RETURN(TablePtr table, LoadFrom(context, schema, name.name));
    if (table) return table;
  }
  return TablePtr();
}

Status CatalogTxnImpl::LockOut(const runtime::Context& context, const Table& table) {
  const DescriptorId id = table.id();
  for (const auto& [done, at] : drained_)
    if (done == id) return OkStatus();
  uint64_t own_pins = 0;
  for (const auto& pin : pins_) own_pins += pin->table->id() == id;
  TableDescriptor next = table.descriptor;
  ++next.version;
  RETURN_IF_ERROR(WriteDescriptor(context, next));
  ASSIGN_OR_RETURN(const Timestamp drained, catalog_.leases().Drain(context, id, own_pins));
  drained_.emplace_back(id, drained);
  return OkStatus();
}

// What a rewrite reads must include all that the last users of the table committed.
Status CatalogTxnImpl::CheckFresh(Timestamp drained) {
  if (txn_->isolation() == kv::IsolationLevel::kReadCommitted) {
    txn_->BeginStatement();
    return OkStatus();
  }
  if (drained < txn_->read_timestamp() || drained.IsZero()) return OkStatus();
  kv::KvError error;
  error.detail = kv::TxnRetryError{.reason = kv::RetryReason::kSerializable,
                                   .txn_id = txn_->id(),
                                   .retry_ts = catalog_.db().Now(),
                                   .detail = "the table was in use since the transaction began"};
  return kv::ToStatus(error);
}

Status CatalogTxnImpl::Run(const runtime::Context& context, const CreateTableCommand& command, DdlResult& result) {
  ASSIGN_OR_RETURN(const std::string schema, SchemaForCreation(command.schema));
  const std::string& name = command.descriptor.name;
  ASSIGN_OR_RETURN(const TablePtr existing, LoadFrom(context, schema, name));
  if (existing) {
    const std::string message = "relation \"" + name + "\" already exists";
    if (!command.if_not_exists) return Status(Code::kAlreadyExists, "42P07", message);
    result.notices.push_back(Skipping("42P07", message));
    result.skipped = true;
    return OkStatus();
  }
  TableDescriptor descriptor = command.descriptor;
  ASSIGN_OR_RETURN(descriptor.id, NewId(context));
  descriptor.schema = SchemaIdOf(schema);
  descriptor.storage = descriptor.id;
  kv::Batch write;
  write.Insert(NamespaceKey(descriptor.schema, name), wire::Encode(NamespaceRecord{descriptor.id}));
  write.Put(DescriptorKey(descriptor.id), wire::Encode(descriptor));
  const Status status = txn_->Run(context, write);
  if (kv::GetError<kv::ConditionFailedError>(status))
    return Status(Code::kAlreadyExists, "42P07", "relation \"" + name + "\" already exists");
  RETURN_IF_ERROR(status);
  drained_.emplace_back(descriptor.id, Timestamp());
  changes_.push_back({.before = nullptr, .after = MakeTable(std::move(descriptor), schema), .starts_empty = true});
  return OkStatus();
}

Status CatalogTxnImpl::Run(const runtime::Context& context, const DropTablesCommand& command, DdlResult& result) {
  for (const TableName& name : command.tables) {
    ASSIGN_OR_RETURN(const TablePtr table, LoadForChange(context, name));
    if (!table) {
      const std::string message = "table \"" + name.name + "\" does not exist";
      if (!command.if_exists) return Status(Code::kNotFound, "42P01", message);
      result.notices.push_back(Skipping("00000", message));
      continue;
    }
    if (table->virtual_table) return SystemCatalog(*table);
    RETURN_IF_ERROR(LockOut(context, *table));
    kv::Batch write;
    write.Delete(NamespaceKey(table->descriptor.schema, table->name()));
    write.Delete(DescriptorKey(table->id()));
    RETURN_IF_ERROR(txn_->Run(context, write));
    changes_.push_back({.before = table, .after = nullptr});
  }
  return OkStatus();
}

Status CatalogTxnImpl::Run(const runtime::Context& context, const TruncateTablesCommand& command, DdlResult&) {
  for (const TableName& name : command.tables) {
    ASSIGN_OR_RETURN(const TablePtr table, LoadForChange(context, name));
    if (!table) return NoSuchTable(name);
    if (table->virtual_table) return SystemCatalog(*table);
    RETURN_IF_ERROR(LockOut(context, *table));
    TableDescriptor descriptor = table->descriptor;
    ++descriptor.version;
    ASSIGN_OR_RETURN(descriptor.storage, NewId(context));
    RETURN_IF_ERROR(WriteDescriptor(context, descriptor));
    changes_.push_back(
        {.before = table, .after = MakeTable(std::move(descriptor), table->schema_name), .starts_empty = true});
  }
  return OkStatus();
}

Status CatalogTxnImpl::Run(const runtime::Context& context, const RenameCommand& command, DdlResult& result) {
  ASSIGN_OR_RETURN(const TablePtr table, LoadForChange(context, command.table));
  if (!table) {
    if (!command.if_exists) return NoSuchTable(command.table);
    result.notices.push_back(Skipping("00000", "relation \"" + command.table.name + "\" does not exist"));
    return OkStatus();
  }
  if (table->virtual_table) return SystemCatalog(*table);
  TableDescriptor descriptor = table->descriptor;
  ++descriptor.version;
  kv::Batch write;
  if (command.column.empty()) {
    ASSIGN_OR_RETURN(const TablePtr existing, LoadFrom(context, table->schema_name, command.new_name));
    if (existing)
      return Status(Code::kAlreadyExists, "42P07", "relation \"" + command.new_name + "\" already exists");
    RETURN_IF_ERROR(LockOut(context, *table));
    descriptor.name = command.new_name;
    write.Delete(NamespaceKey(descriptor.schema, table->name()));
    write.Put(NamespaceKey(descriptor.schema, command.new_name), wire::Encode(NamespaceRecord{descriptor.id}));
  } else {
    const int ordinal = table->FindColumn(command.column);
    if (ordinal < 0) return Status(Code::kNotFound, "42703", "column \"" + command.column + "\" does not exist");
    if (table->FindColumn(command.new_name) >= 0)
      return Status(Code::kAlreadyExists, "42701",
                    "column \"" + command.new_name + "\" of relation \"" + table->name() + "\" already exists");
    for (const CheckDescriptor& check : descriptor.checks)
      if (UsesColumn(check.sql, command.column))
        return UnsupportedError("renaming a column that a CHECK constraint uses");
    RETURN_IF_ERROR(LockOut(context, *table));
    descriptor.columns[size_t(ordinal)].name = command.new_name;
  }
  write.Put(DescriptorKey(descriptor.id), wire::Encode(descriptor));
  RETURN_IF_ERROR(txn_->Run(context, write));
  changes_.push_back({.before = table, .after = MakeTable(std::move(descriptor), table->schema_name)});
  return OkStatus();
}

// The state of one ALTER TABLE while its actions are applied in turn.
struct CatalogTxnImpl::Alteration {
  const runtime::Context& context;
  TablePtr table;              // before
  TableDescriptor descriptor;  // so far
  TablePtr stored;             // where the rows are by now: `table`, or a rewritten one
  DdlResult& result;

  Status NoSuchColumn(const std::string& name) const {
    return Status(Code::kNotFound, "42703",
                  "column \"" + name + "\" of relation \"" + table->name() + "\" does not exist");
  }
  int FindColumn(std::string_view name) const {
    for (size_t i = 0; i < descriptor.columns.size(); ++i)
      if (!descriptor.columns[i].hidden && descriptor.columns[i].name == name) return int(i);
    return -1;
  }
  bool InKey(uint32_t column_id) const {
    return std::any_of(descriptor.primary_key.begin(), descriptor.primary_key.end(),
                       [&](const KeyColumn& part) { return part.column_id == column_id; });
  }
};

Status CatalogTxnImpl::Run(const runtime::Context& context, const AlterTableCommand& command, DdlResult& result) {
  ASSIGN_OR_RETURN(const TablePtr table, LoadForChange(context, command.table));
  if (!table) {
    if (!command.if_exists) return NoSuchTable(command.table);
    result.notices.push_back(Skipping("00000", "relation \"" + command.table.name + "\" does not exist"));
    result.skipped = true;
    return OkStatus();
  }
  if (table->virtual_table) return SystemCatalog(*table);
  RETURN_IF_ERROR(LockOut(context, *table));
  Alteration alteration{context, table, table->descriptor, table, result};
  ++alteration.descriptor.version;
  for (const AlterAction& action : command.actions)
    RETURN_IF_ERROR(std::visit([&](const auto& a) { return Apply(alteration, a); }, action));
  RETURN_IF_ERROR(WriteDescriptor(context, alteration.descriptor));
  changes_.push_back({.before = table, .after = MakeTable(std::move(alteration.descriptor), table->schema_name)});
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const AddPrimaryKeyCommand& action) {
  TableDescriptor& d = a.descriptor;
  if (!d.primary_key_name.empty())
    return Status(Code::kFailedPrecondition, "42P16",
                  "multiple primary keys for table \"" + d.name + "\" are not allowed");
  std::vector<KeyColumn> key;
  for (const std::string& name : action.columns) {
    const int ordinal = a.FindColumn(name);
    if (ordinal < 0) return Status(Code::kNotFound, "42703", "column \"" + name + "\" named in key does not exist");
    ColumnDescriptor& column = d.columns[size_t(ordinal)];
    if (!IsKeyType(column.type)) return UnsupportedError("a key of type " + std::string(TypeName(column.type)));
    column.not_null = true;
    key.push_back({.column_id = column.id});
  }
  d.primary_key_name = action.name.empty() ? d.name + "_pkey" : action.name;
  d.primary_key = std::move(key);
  // The row id has no more work to do.
  std::erase_if(d.columns, [&](const ColumnDescriptor& column) { return column.hidden && !a.InKey(column.id); });
  ASSIGN_OR_RETURN(d.storage, NewId(a.context));
  const TablePtr to = MakeTable(d, a.table->schema_name);

  Timestamp drained;
  for (const auto& [id, at] : drained_)
    if (id == d.id) drained = at;
  RETURN_IF_ERROR(CheckFresh(drained));
  const bool own = !a.table || std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
    return change.after && change.after->id() == d.id;
  });
  // Beside the transaction, writes cost no intents; then the transaction must commit above them, which a
  // READ COMMITTED one does when it writes the descriptor as of a new statement. A table it has itself
  // filled may be rolled back to a savepoint: that needs the transaction's own writes.
  const bool beside = txn_->isolation() == kv::IsolationLevel::kReadCommitted && !own;
  RewriteOptions options;
  options.writes = beside ? RewriteOptions::Writes::kBeside : RewriteOptions::Writes::kInTxn;
  const Status status = RewriteRows(a.context, catalog_.db(), *txn_, *a.stored, *to, options);
  if (!status.ok()) {
    catalog_.ClearLater(d.storage);
    return status;
  }
  if (beside) {
    txn_->BeginStatement();
    d.rows_since = txn_->read_timestamp();
  }
  a.stored = to;
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const AddCheckCommand& action) {
  CheckDescriptor check = action.check;
  if (check.name.empty()) check.name = ChooseCheckName(a.descriptor, check.sql);
  for (const CheckDescriptor& other : a.descriptor.checks)
    if (other.name == check.name)
      return Status(Code::kAlreadyExists, "42710",
                    "constraint \"" + check.name + "\" for relation \"" + a.table->name() + "\" already exists");
  a.descriptor.checks.push_back(std::move(check));
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const DropConstraintCommand& action) {
  if (action.name == a.descriptor.primary_key_name) return UnsupportedError("dropping a primary key");
  const size_t before = a.descriptor.checks.size();
  std::erase_if(a.descriptor.checks, [&](const CheckDescriptor& check) { return check.name == action.name; });
  if (a.descriptor.checks.size() < before) return OkStatus();
  const std::string message =
      "constraint \"" + action.name + "\" of relation \"" + a.table->name() + "\" does not exist";
  if (!action.if_exists) return Status(Code::kNotFound, "42704", message);
  a.result.notices.push_back(Skipping("00000", message));
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const AddColumnCommand& action) {
  ColumnDescriptor column = action.column;
  if (a.FindColumn(column.name) >= 0) {
    const std::string message =
        "column \"" + column.name + "\" of relation \"" + a.table->name() + "\" already exists";
    if (!action.if_not_exists) return Status(Code::kAlreadyExists, "42701", message);
    a.result.notices.push_back(Skipping("42701", message));
    return OkStatus();
  }
  column.id = a.descriptor.next_column_id++;
  if (!action.missing.is_null()) {
    const TupleColumn tuple_column{column.id, column.type};
    AppendTuple(column.missing.emplace(), std::span(&tuple_column, 1), std::span(&action.missing, 1));
  }
  // The hidden row id stays last, so that ordinals of visible columns are those of SELECT *.
  auto at = a.descriptor.columns.end();
  if (!a.descriptor.columns.empty() && a.descriptor.columns.back().hidden) --at;
  a.descriptor.columns.insert(at, std::move(column));
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const DropColumnCommand& action) {
  const int ordinal = a.FindColumn(action.name);
  if (ordinal < 0) {
    if (!action.if_exists) return a.NoSuchColumn(action.name);
    a.result.notices.push_back(Skipping(
        "00000", "column \"" + action.name + "\" of relation \"" + a.table->name() + "\" does not exist"));
    return OkStatus();
  }
  if (a.InKey(a.descriptor.columns[size_t(ordinal)].id)) return UnsupportedError("dropping a key column");
  std::erase_if(a.descriptor.checks, [&](const CheckDescriptor& check) { return UsesColumn(check.sql, action.name); });
  a.descriptor.columns.erase(a.descriptor.columns.begin() + ordinal);
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const AlterColumnCommand& action) {
  using Kind = AlterColumnCommand::Kind;
  const int ordinal = a.FindColumn(action.name);
  if (ordinal < 0) return a.NoSuchColumn(action.name);
  ColumnDescriptor& column = a.descriptor.columns[size_t(ordinal)];
  switch (action.kind) {
    case Kind::kSetDefault: column.default_sql = action.default_sql; break;
    case Kind::kDropDefault: column.default_sql.reset(); break;
    case Kind::kSetNotNull: column.not_null = true; break;
    case Kind::kDropNotNull:
      if (a.InKey(column.id))
        return Status(Code::kFailedPrecondition, "42P16", "column \"" + action.name + "\" is in a primary key");
      column.not_null = false;
      break;
  }
  return OkStatus();
}

Status CatalogTxnImpl::Apply(Alteration& a, const SetOptionsCommand& action) {
  a.descriptor.options = action.options;
  return OkStatus();
}

}  // namespace orrery::sql
