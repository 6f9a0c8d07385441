// LeaseManager: the node's right to use table descriptors it has read (T28, T29).
//
// One lease a node, renewed while it is used (NodeLeaseRecord), covers all tables the node holds
// (HoldRecord). A node takes hold of a table in a transaction that locks the descriptor, so it waits for a
// schema change in progress. A schema change writes the descriptor first (its intent keeps new holders
// out), then asks every holder to let go: a holder hides the table from new statements and answers when
// the transactions that use it have ended. A holder that does not answer is waited for until its lease
// has expired. So at most one version of a table is in use at any time. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "orrery/kv/client/database.h"
#include "orrery/runtime/runtime.h"
#include "orrery/runtime/sync.h"
#include "orrery/sql/catalog/catalog.h"
#include "sql/catalog/records.h"

namespace orrery::sql {

// Users are transactions; the top bit is set when the lease ends, after which no new user comes.
class TableLease {
 public:
  explicit TableLease(TablePtr t) : table(std::move(t)) {}
  const TablePtr table;

  // False if the lease has ended: its users only become fewer, as somebody waits for that.
  bool Pin() {
    uint64_t users = users_.load();
    while ((users & kEnded) == 0) {
      if (users_.compare_exchange_weak(users, users + 1)) return true;
    }
    return false;
  }
  // True if the lease has ended: somebody may wait for this user to go. (Not only for the last one: a schema change
  // may use the table itself.)
  bool Unpin() { return (users_.fetch_sub(1) & kEnded) != 0; }
  void End() { users_.fetch_or(kEnded); }
  // The node's lease lapsed at `deadline`: later commits are void.
  void Lapse(Timestamp deadline) {
    lapse_wall_ns_.store(deadline.wall_ns);
    End();
  }
  Timestamp deadline() const { return {lapse_wall_ns_.load(), 0}; }
  uint64_t users() const { return users_.load() & ~kEnded; }

 private:
  static constexpr uint64_t kEnded = uint64_t(1) << 63;
  std::atomic<uint64_t> users_{0};
  std::atomic<int64_t> lapse_wall_ns_{INT64_MAX};
};
using TableLeasePtr = std::shared_ptr<TableLease>;

class LeaseManager {
 public:
  // All must outlive the manager.
  LeaseManager(runtime::Runtime& runtime, kv::Database& db, const CatalogOptions& options);

  // A pinned lease on the table of that name, null if there is no such table. Each needs its Unpin.
  StatusOr<TableLeasePtr> Acquire(const runtime::Context& context, DescriptorId schema, std::string_view schema_name,
                                  std::string_view name);
  // Pins a lease got earlier; false if it has ended.
  bool Pin(TableLease& lease);
  void Unpin(TableLease& lease);

  // Makes every node, this one too, let go of the table. Precondition: the caller's transaction has written
  // the descriptor; it has itself `own_pins` pins on this node. Returns a timestamp by which all users had
  // ended. 55P03 after options.drain_timeout.
  StatusOr<Timestamp> Drain(const runtime::Context& context, DescriptorId table, uint64_t own_pins);
  // Serves a peer's request (and Drain's own).
  StatusOr<Timestamp> Release(const runtime::Context& context, DescriptorId table, Duration wait, uint64_t own_pins);

  // End of the node's lease: transactions that used a table commit below it.
  Timestamp expiration() const;
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // True when the lease should be renewed by the background task.
  bool wants_renewal() const;
  // Whether there is a lease to renew; it is looked after this often.
  bool is_live() const { return db_.Now() < expiration(); }
  Duration look_interval() const { return options_.lease_duration / 4; }
  Status Renew(const runtime::Context& context);

 private:
  using Name = std::pair<uint64_t, std::string>;
  Status EnsureNodeLease(const runtime::Context& context);
  StatusOr<TableLeasePtr> TakeHold(const runtime::Context& context, DescriptorId schema, std::string_view schema_name,
                                   std::string_view name);
  TableLeasePtr FindPinned(DescriptorId schema, std::string_view name);
  void EndAll();
  StatusOr<bool> ReleaseHolder(const runtime::Context& context, DescriptorId table, const HoldRecord& hold,
                               uint64_t own_pins, MonoTime deadline, Timestamp& released);

  runtime::Runtime& runtime_;
  kv::Database& db_;
  const CatalogOptions options_;
  std::atomic<uint64_t> generation_{1};
  std::atomic<int64_t> expiration_wall_ns_{0};

  mutable runtime::Mutex mutex_{"catalog_leases"};
  runtime::CondVar unpinned_;
  absl::flat_hash_map<Name, TableLeasePtr> by_name_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, TableLeasePtr> by_id_ ABSL_GUARDED_BY(mutex_);
  // How often a table was released here: tells a hold that was taken meanwhile that it is void.
  absl::flat_hash_map<uint64_t, uint64_t> releases_ ABSL_GUARDED_BY(mutex_);
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool renewing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace orrery::sql
