#include "orrery/sql/catalog/catalog.h"

#include <algorithm>

#include "orrery/base/wire.h"
#include "orrery/kv/api/errors.h"
#include "orrery/sql/catalog/virtual_table.h"
#include "sql/catalog/catalog_impl.h"
#include "sql/catalog/catalog_txn.h"

namespace orrery::sql {

namespace {
struct Schema {
  std::string_view name;
  DescriptorId id;
};
constexpr Schema kSchemas[] = {
    {"public", kPublicSchemaId}, {"pg_catalog", kPgCatalogSchemaId}, {"information_schema", kInformationSchemaId}};
}  // namespace

DescriptorId SchemaIdOf(std::string_view name) {
  for (const Schema& schema : kSchemas)
    if (schema.name == name) return schema.id;
  return {};
}

std::string_view SchemaNameOf(DescriptorId id) {
  for (const Schema& schema : kSchemas)
    if (schema.id == id) return schema.name;
  return "";
}

CatalogImpl::CatalogImpl(const runtime::Context& context, kv::Database& db, CatalogOptions options)
    : runtime_(context.runtime()),
      db_(db),
      leases_(runtime_, db, options),
      virtual_tables_(BuildVirtualTables()),
      scope_(context.WithCancel()) {
  for (const TablePtr& table : virtual_tables_)
    virtual_by_name_.emplace(table->schema_name + "." + table->name(), table);
}

CatalogImpl::~CatalogImpl() { Stop(); }

std::unique_ptr<Catalog> NewCatalog(const runtime::Context& context, kv::Database& db, CatalogOptions options) {
  return std::make_unique<CatalogImpl>(context, db, options);
}

Status CatalogImpl::Bootstrap(const runtime::Context& context) {
  kv::Batch read;
  for (const Schema& schema : kSchemas) read.Get(NamespaceKey(kDatabaseId, schema.name));
  RETURN_IF_ERROR(db_.Read(context, read));
  bool complete = true;
  for (const kv::Response& response : read.responses)
    complete = complete && std::get<kv::GetResponse>(response).value.has_value();
  if (complete) return OkStatus();
  return db_.RunTxn(context, "create schemas", [&](kv::Txn& txn) {
    kv::Batch write;
    for (const Schema& schema : kSchemas)
      write.Put(NamespaceKey(kDatabaseId, schema.name), wire::Encode(NamespaceRecord{schema.id}));
    return txn.Run(context, write);
  });
}

Status CatalogImpl::Start(const runtime::Context& context) {
  RETURN_IF_ERROR(Bootstrap(context).Annotate("creating the system catalog"));
  runtime_.transport().Serve(
      runtime::Method::kDescriptorLease,
      [this](const runtime::Context& call, NodeId, std::string_view bytes) -> StatusOr<std::string> {
        ReleaseRequest request;
        RETURN_IF_ERROR(wire::Decode(bytes, request));
        ASSIGN_OR_RETURN(const Timestamp released,
                         leases_.Release(call, request.table, Duration(request.wait_ns), 0));
        return wire::Encode(ReleaseResponse{released});
      });
  worker_ = runtime_.scheduler().Spawn(scope_.context, {.name = "catalog"},
                                       [this](const runtime::Context& task) { Work(task); });
  return OkStatus();
}

void CatalogImpl::Stop() {
  {
    runtime::MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  scope_.Cancel();
  if (worker_) worker_->Join();
  worker_.reset();
}

std::unique_ptr<CatalogTxn> CatalogImpl::BeginTxn() { return std::make_unique<CatalogTxnImpl>(*this); }

TablePtr CatalogImpl::FindVirtual(std::string_view schema, std::string_view name) const {
  std::string key(schema);
  key.append(".").append(name);
  auto it = virtual_by_name_.find(key);
  return it == virtual_by_name_.end() ? nullptr : it->second;
}

void CatalogImpl::Enqueue(Job job) {
  runtime::MutexLock lock(mutex_);
  if (job.kind == Job::Kind::kRenew) {
    if (renewal_queued_) return;
    renewal_queued_ = true;
  }
  jobs_.push_back(job);
  wake_.NotifyOne();
}

void CatalogImpl::SplitLater(DescriptorId storage) { Enqueue({Job::Kind::kSplit, storage}); }
void CatalogImpl::ClearLater(DescriptorId storage) { Enqueue({Job::Kind::kClear, storage}); }
void CatalogImpl::RenewIfDue() {
  if (leases_.wants_renewal()) Enqueue({Job::Kind::kRenew, {}});
}

void CatalogImpl::Work(const runtime::Context& context) {
  while (true) {
    Job job{};
    {
      runtime::MutexLock lock(mutex_);
      const runtime::Context limited = context.WithTimeout(leases_.look_interval());
      (void)runtime::WaitUntil(limited, mutex_, wake_, [&] { return stopping_ || !jobs_.empty(); }).ok();
      if (stopping_ || !context.Check().ok()) return;
    }
    // A statement may be longer than the lease, and its commit is void beyond it.
    if (leases_.is_live()) RenewIfDue();
    {
      runtime::MutexLock lock(mutex_);
      if (jobs_.empty()) continue;
      job = jobs_.front();
      jobs_.pop_front();
      if (job.kind == Job::Kind::kRenew) renewal_queued_ = false;
    }
    // What fails here costs only room or parallelism; the next schema change or statement tries its own.
    Status ignored;
    switch (job.kind) {
      case Job::Kind::kSplit: ignored = db_.Split(context, kv::TablePrefix(job.storage)); break;
      case Job::Kind::kClear:
        ignored = db_.ClearSpan(context, {kv::TablePrefix(job.storage), kv::TablePrefix(job.storage.Next())});
        break;
      case Job::Kind::kRenew: ignored = leases_.Renew(context); break;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// CatalogTxnImpl: reading

std::vector<std::string> CatalogTxnImpl::SearchPath() const {
  std::vector<std::string> path = search_path_;
  if (std::find(path.begin(), path.end(), "pg_catalog") == path.end()) path.insert(path.begin(), "pg_catalog");
  return path;
}

const CatalogTxnImpl::Change* CatalogTxnImpl::OwnChange(DescriptorId schema, std::string_view name,
                                                        TablePtr& table) const {
  const auto matches = [&](const TablePtr& t) {
    return t && t->descriptor.schema == schema && t->name() == name;
  };
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (matches(change->after)) {
      table = change->after;
      return &*change;
    }
    if (matches(change->before)) {
      table = nullptr;  // dropped, or renamed away
      return &*change;
    }
  }
  return nullptr;
}

StatusOr<TableUse> CatalogTxnImpl::FindIn(const runtime::Context& context, std::string_view schema,
                                          std::string_view name) {
  if (TablePtr table = catalog_.FindVirtual(schema, name)) return TableUse{table, nullptr};
  const DescriptorId id = SchemaIdOf(schema);
  if (id != kPublicSchemaId) return TableUse{};
  TablePtr own;
  if (OwnChange(id, name, own)) return TableUse{own, nullptr};
  for (const auto& pin : pins_) {
    if (pin->table->descriptor.schema != id || pin->table->name() != name) continue;
    RETURN_IF_ERROR(CheckSnapshot(*pin->table));
    return TableUse{pin->table, pin};
  }
  ASSIGN_OR_RETURN(TableLeasePtr lease, catalog_.leases().Acquire(context, id, schema, name));
  if (!lease) return TableUse{};
  pins_.push_back(lease);
  catalog_.RenewIfDue();
  RETURN_IF_ERROR(CheckSnapshot(*lease->table));
  return TableUse{lease->table, lease};
}

// Statements of READ COMMITTED read as of later than the table was found, and so do transactions not yet begun.
bool CatalogTxnImpl::SnapshotIsOlder(const Table& table) const {
  return txn_ != nullptr && txn_->isolation() != kv::IsolationLevel::kReadCommitted &&
         txn_->read_timestamp() < table.descriptor.rows_since;
}

Status CatalogTxnImpl::CheckSnapshot(const Table& table) const {
  if (!SnapshotIsOlder(table)) return OkStatus();
  kv::KvError error;
  error.detail = kv::TxnRetryError{.reason = kv::RetryReason::kSerializable,
                                   .txn_id = txn_->id(),
                                   .retry_ts = table.descriptor.rows_since,
                                   .detail = "table \"" + table.name() + "\" was filled since the transaction began"};
  return kv::ToStatus(error);
}

StatusOr<TableUse> CatalogTxnImpl::FindTable(const runtime::Context& context, std::string_view schema,
                                             std::string_view name) {
  if (!schema.empty()) return FindIn(context, schema, name);
  if (std::find(search_path_.begin(), search_path_.end(), "pg_catalog") == search_path_.end())
    if (TablePtr table = catalog_.FindVirtual("pg_catalog", name)) return TableUse{table, nullptr};
  for (const std::string& candidate : search_path_) {
    ASSIGN_OR_RETURN(TableUse use, FindIn(context, candidate, name));
    if (use.table) return use;
  }
  return TableUse{};
}

StatusOr<std::vector<TablePtr>> CatalogTxnImpl::ListTables(const runtime::Context& context) {
  std::vector<TablePtr> out;
  kv::Batch read;
  read.Scan(AllDescriptors());
  RETURN_IF_ERROR(txn_ ? txn_->Run(context, read) : catalog_.db().Read(context, read));
  const auto& rows = std::get<kv::ScanResponse>(read.responses[0]).rows;
  for (auto cursor = rows.Begin(); cursor.Next();) {
    ASSIGN_OR_RETURN(TableDescriptor descriptor, DecodeDescriptor(cursor.value()));
    if (descriptor.state == DescriptorState::kDropped) continue;
    std::string schema(SchemaNameOf(descriptor.schema));
    out.push_back(MakeTable(std::move(descriptor), std::move(schema)));
  }
  return out;
}

bool CatalogTxnImpl::Use(const std::vector<TableUse>& uses) {
  for (const TableUse& use : uses) {
    if (!use.lease) {
      if (use.table && use.table->virtual_table) continue;
      return false;
    }
    if (SnapshotIsOlder(*use.table)) return false;  // FindTable has the error
    if (!changes_.empty()) {
      TablePtr own;
      if (OwnChange(use.table->descriptor.schema, use.table->name(), own)) return false;
    }
    if (std::find(pins_.begin(), pins_.end(), use.lease) != pins_.end()) continue;
    if (!catalog_.leases().Pin(*use.lease)) return false;
    pins_.push_back(use.lease);
  }
  if (!uses.empty()) catalog_.RenewIfDue();
  return true;
}

Timestamp CatalogTxnImpl::CommitDeadline() const {
  if (pins_.empty()) return Timestamp::Max();
  Timestamp deadline = catalog_.leases().expiration();
  for (const auto& pin : pins_) deadline = std::min(deadline, pin->deadline());
  return deadline;
}

void CatalogTxnImpl::Unpin() {
  for (const auto& pin : pins_) catalog_.leases().Unpin(*pin);
  pins_.clear();
}

void CatalogTxnImpl::OnCommitted(const runtime::Context&) {
  for (const Change& change : changes_) {
    const DescriptorId before = change.before ? change.before->descriptor.storage : DescriptorId();
    const DescriptorId after = change.after ? change.after->descriptor.storage : DescriptorId();
    if (before == after) continue;
    if (after) catalog_.SplitLater(after);
    if (before) catalog_.ClearLater(before);
  }
  changes_.clear();
  drained_.clear();
  txn_ = nullptr;
  Unpin();
}

void CatalogTxnImpl::RollBackChanges(size_t change_count) {
  while (changes_.size() > change_count) {
    const Change& change = changes_.back();
    if (change.MakesStorage()) catalog_.ClearLater(change.after->descriptor.storage);
    changes_.pop_back();
  }
}

bool CatalogTxnImpl::IsNewStorage(const Table& table, size_t change_count) const {
  for (size_t i = change_count; i < changes_.size(); ++i) {
    if (changes_[i].starts_empty && changes_[i].after->descriptor.storage == table.descriptor.storage) return true;
  }
  return false;
}

Status CatalogTxnImpl::NoteRowsBeside(const runtime::Context& context, const Table& table) {
  TablePtr own;
  const bool known = OwnChange(table.descriptor.schema, table.name(), own) != nullptr && own != nullptr;
  ORRERY_ASSERT(known && own->descriptor.storage == table.descriptor.storage, "NoteRowsBeside: not a new storage");
  TableDescriptor descriptor = own->descriptor;
  ++descriptor.version;
  descriptor.rows_since = txn_->read_timestamp();
  RETURN_IF_ERROR(WriteDescriptor(context, descriptor));
  changes_.push_back({.before = own, .after = MakeTable(std::move(descriptor), own->schema_name)});
  return OkStatus();
}

void CatalogTxnImpl::OnRolledBack(End end) {
  // T18: a storage that a commit after all made live must not be cleared.
  if (end == End::kRolledBack) RollBackChanges(0);
  changes_.clear();
  drained_.clear();
  txn_ = nullptr;
  Unpin();
}

}  // namespace orrery::sql
