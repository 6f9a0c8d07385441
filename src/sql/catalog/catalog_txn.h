// CatalogTxnImpl: one SQL transaction's view of the catalog — leased tables, overlaid by the changes it made
// itself. Schema changes are in ddl.cc.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "sql/catalog/catalog_impl.h"

namespace orrery::sql {

class CatalogTxnImpl final : public CatalogTxn {
 public:
  explicit CatalogTxnImpl(CatalogImpl& catalog) : catalog_(catalog) {}
  ~CatalogTxnImpl() override { Unpin(); }

  StatusOr<TableUse> FindTable(const runtime::Context& context, std::string_view schema,
                               std::string_view name) override;
  StatusOr<std::vector<TablePtr>> ListTables(const runtime::Context& context) override;
  std::vector<TablePtr> VirtualTables() const override { return catalog_.virtual_tables(); }
  DescriptorId FindSchema(std::string_view name) const override { return SchemaIdOf(name); }
  std::vector<std::string> SearchPath() const override;

  void SetTxn(kv::Txn* txn) override { txn_ = txn; }
  void SetSearchPath(const std::vector<std::string>& schemas) override {
    if (search_path_ != schemas) search_path_ = schemas;  // it comes with each statement
  }
  bool Use(const std::vector<TableUse>& uses) override;
  Status RunDdl(const runtime::Context& context, const DdlCommand& command, DdlResult& result) override;
  bool has_changes() const override { return !changes_.empty(); }
  Timestamp CommitDeadline() const override;
  void OnCommitted(const runtime::Context& context) override;
  void OnRolledBack(End end) override;
  bool IsNewStorage(const Table& table, size_t change_count) const override;
  Status NoteRowsBeside(const runtime::Context& context, const Table& table) override;
  size_t change_count() const override { return changes_.size(); }
  void RollBackChanges(size_t change_count) override;

 private:
  struct Change {
    TablePtr before;  // null: created
    TablePtr after;   // null: dropped
    bool starts_empty = false;  // `after` has a storage of its own without rows yet
    bool MakesStorage() const {
      return after && (!before || before->descriptor.storage != after->descriptor.storage);
    }
  };
  enum class Kv : uint8_t { kNone, kRead };  // may a look-up go on to KV?

  // ddl.cc
  Status Run(const runtime::Context& context, const CreateTableCommand& command, DdlResult& result);
  Status Run(const runtime::Context& context, const DropTablesCommand& command, DdlResult& result);
  Status Run(const runtime::Context& context, const TruncateTablesCommand& command, DdlResult& result);
  Status Run(const runtime::Context& context, const AlterTableCommand& command, DdlResult& result);
  Status Run(const runtime::Context& context, const RenameCommand& command, DdlResult& result);
  struct Alteration;
  Status Apply(Alteration& a, const AddPrimaryKeyCommand& action);
  Status Apply(Alteration& a, const AddCheckCommand& action);
  Status Apply(Alteration& a, const DropConstraintCommand& action);
  Status Apply(Alteration& a, const AddColumnCommand& action);
  Status Apply(Alteration& a, const DropColumnCommand& action);
  Status Apply(Alteration& a, const AlterColumnCommand& action);
  Status Apply(Alteration& a, const SetOptionsCommand& action);
  // The schema a new object goes to. 3F000, 42501.
  StatusOr<std::string> SchemaForCreation(std::string_view schema) const;
  // The table as this transaction sees it, its descriptor locked; null if there is none.
  StatusOr<TablePtr> LoadForChange(const runtime::Context& context, const TableName& name);
  StatusOr<TablePtr> LoadFrom(const runtime::Context& context, std::string_view schema, std::string_view name);
  // Writes the descriptor and waits until nobody else uses the table.
  Status LockOut(const runtime::Context& context, const Table& table);
  Status WriteDescriptor(const runtime::Context& context, const TableDescriptor& descriptor);
  StatusOr<DescriptorId> NewId(const runtime::Context& context);
  Status CheckFresh(Timestamp drained);
  bool SnapshotIsOlder(const Table& table) const;  // than rows written beside the transaction that filled it
  Status CheckSnapshot(const Table& table) const;

  // The newest of this transaction's own changes with a say on that name.
  const Change* OwnChange(DescriptorId schema, std::string_view name, TablePtr& table) const;
  StatusOr<TableUse> FindIn(const runtime::Context& context, std::string_view schema, std::string_view name);
  void Unpin();

  CatalogImpl& catalog_;
  kv::Txn* txn_ = nullptr;
  std::vector<std::string> search_path_{"public"};
  absl::InlinedVector<std::shared_ptr<TableLease>, 4> pins_;
  std::vector<Change> changes_;
  std::vector<std::pair<DescriptorId, Timestamp>> drained_;  // tables this transaction has for itself
};

}  // namespace orrery::sql
