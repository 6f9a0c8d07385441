// Catalog: a node's view of schemas and tables. Descriptors live in system tables and are changed by
// ordinary KV transactions; each node caches those it uses under a lease (T28, T29), so that resolving a
// name on the hot path is a hash look-up without KV. docs/design/sql.md tells the protocol.
//
// A session makes one CatalogTxn a SQL transaction and calls, in this order: Resolve/Use/RunDdl… any
// number of times; then PrepareCommit, the KV commit, and OnCommitted — or OnRolledBack.
// Thread safety: Catalog is thread-safe; a CatalogTxn belongs to one task at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/client/database.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/ddl.h"
#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

// A lease on one version of one table, held by this node. Opaque; kept by plans.
class TableLease;

// A version of a table that a plan was made for.
struct TableUse {
  TablePtr table;
  std::shared_ptr<TableLease> lease;  // null: a virtual table, or one this transaction itself changed
};

// What the binder and the virtual tables see.
class CatalogReader {
 public:
  virtual ~CatalogReader() = default;
  // The table of that name, in the schema, or along the search path where `schema` is empty. A null
  // table if there is none. Pins the version until the transaction ends. May wait for KV (first use).
  virtual StatusOr<TableUse> FindTable(const runtime::Context& context, std::string_view schema,
                                       std::string_view name) = 0;
  // Every ordinary table, by id, as of this transaction; no leases.
  virtual StatusOr<std::vector<TablePtr>> ListTables(const runtime::Context& context) = 0;
  virtual std::vector<TablePtr> VirtualTables() const = 0;
  // The schema's id; zero if there is none.
  virtual DescriptorId FindSchema(std::string_view name) const = 0;
  // Schemas names are looked for in, pg_catalog included where it is implied.
  virtual std::vector<std::string> SearchPath() const = 0;
};

class CatalogTxn : public CatalogReader {
 public:
  // The transaction that reads and changes go through once there are changes. Call when the SQL
  // transaction opens its Txn; before that, only leased or virtual tables are found without changes.
  virtual void SetTxn(kv::Txn* txn) = 0;
  virtual void SetSearchPath(const std::vector<std::string>& schemas) = 0;
  // Re-use of a cached plan: true if every version is still the current one, and then pins them.
  virtual bool Use(const std::vector<TableUse>& uses) = 0;
  // Executes a schema change. Precondition: SetTxn.
  virtual Status RunDdl(const runtime::Context& context, const DdlCommand& command, DdlResult& result) = 0;
  virtual bool has_changes() const = 0;
  // T28: what LimitCommit must be told before the commit; Max if no lease was used.
  virtual Timestamp CommitDeadline() const = 0;
  // After the KV commit: makes changes visible on this node, gives each new table its own range, and lets
  // replaced data be cleared in the background.
  virtual void OnCommitted(const runtime::Context& context) = 0;
  // After a rollback, or a commit that failed. ROLLBACK TO a savepoint needs RollBackChanges.
  enum class End : uint8_t {
    kRolledBack,  // certainly: what only this transaction could see is cleared in the background
    kUnknown,     // it may have been committed after all (T18)
  };
  virtual void OnRolledBack(End end = End::kUnknown) = 0;
  // Whether the table's storage was made, empty, by this transaction's schema changes after its first
  // `change_count` ones (CREATE TABLE, TRUNCATE): nobody else can address its rows before the commit.
  virtual bool IsNewStorage(const Table& table, size_t change_count) const = 0;
  // Rows were written to a new storage beside the transaction, which has begun a statement since: snapshots
  // older than that are refused the table (40001), as they would see a part of the rows.
  virtual Status NoteRowsBeside(const runtime::Context& context, const Table& table) = 0;
  // Number of schema changes so far, and going back to such a number (savepoints).
  virtual size_t change_count() const = 0;
  virtual void RollBackChanges(size_t change_count) = 0;
};

struct CatalogOptions {
  NodeId node;
  Duration lease_duration = 60s;      // without renewal, and so the wait for a dead node's leases
  Duration drain_timeout = 20s;       // how long DDL waits for transactions that use the table: then 55P03
};

class Catalog {
 public:
  virtual ~Catalog() = default;
  // Creates the system records of a new cluster (schemas); harmless if they exist. Starts serving release
  // requests of other nodes and the background task.
  virtual Status Start(const runtime::Context& context) = 0;
  virtual void Stop() = 0;
  virtual std::unique_ptr<CatalogTxn> BeginTxn() = 0;
  // Changes whenever a table version known on this node ends: while it stands still, cached plans need no
  // closer look than Use().
  virtual uint64_t generation() const = 0;
};

// `db` and the runtime of `context` must outlive the catalog.
std::unique_ptr<Catalog> NewCatalog(const runtime::Context& context, kv::Database& db, CatalogOptions options);

}  // namespace orrery::sql
