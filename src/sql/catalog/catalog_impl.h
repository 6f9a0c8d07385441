// CatalogImpl: the node's catalog: leases, virtual tables, and the background task that renews the lease,
// gives new tables their range and clears data nobody can address any more. Thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "orrery/base/hash.h"
#include "orrery/runtime/runtime.h"
#include "orrery/runtime/sync.h"
#include "orrery/sql/catalog/catalog.h"
#include "sql/catalog/lease_manager.h"

namespace orrery::sql {

// Zero if there is no such schema.
DescriptorId SchemaIdOf(std::string_view name);
std::string_view SchemaNameOf(DescriptorId id);

class CatalogImpl final : public Catalog {
 public:
  CatalogImpl(const runtime::Context& context, kv::Database& db, CatalogOptions options);
  ~CatalogImpl() override;

  Status Start(const runtime::Context& context) override;
  void Stop() override;
  std::unique_ptr<CatalogTxn> BeginTxn() override;
  uint64_t generation() const override { return leases_.generation(); }

  kv::Database& db() { return db_; }
  LeaseManager& leases() { return leases_; }
  const std::vector<TablePtr>& virtual_tables() const { return virtual_tables_; }
  // Null if there is none.
  TablePtr FindVirtual(std::string_view schema, std::string_view name) const;

  // Work for the background task: `key` becomes the start of a range; a storage is emptied.
  void SplitLater(DescriptorId storage);
  void ClearLater(DescriptorId storage);
  // Has the lease renewed soon if it is time.
  void RenewIfDue();

 private:
  struct Job {
    enum class Kind : uint8_t { kSplit, kClear, kRenew } kind;
    DescriptorId storage;
  };
  void Enqueue(Job job);
  void Work(const runtime::Context& context);
  Status Bootstrap(const runtime::Context& context);

  runtime::Runtime& runtime_;
  kv::Database& db_;
  LeaseManager leases_;
  std::vector<TablePtr> virtual_tables_;
  absl::flat_hash_map<std::string, TablePtr, StringHash, StringEq> virtual_by_name_;  // "schema.name"

  runtime::Mutex mutex_{"catalog_jobs"};
  runtime::CondVar wake_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool renewal_queued_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  runtime::Context::Cancellable scope_;
  std::unique_ptr<runtime::Task> worker_;
};

}  // namespace orrery::sql
