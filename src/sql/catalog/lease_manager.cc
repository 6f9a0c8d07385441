#include "sql/catalog/lease_manager.h"

#include "orrery/base/wire.h"
#include "orrery/kv/api/errors.h"

namespace orrery::sql {

namespace {
// A refused or unreachable holder is asked again after this long.
constexpr Duration kRetryPause = 50ms;
constexpr int kTakeHoldAttemptsMax = 10;

const std::optional<std::string>& ValueOf(const kv::Batch& batch, size_t i) {
  return std::get<kv::GetResponse>(batch.responses[i]).value;
}
}  // namespace

LeaseManager::LeaseManager(runtime::Runtime& runtime, kv::Database& db, const CatalogOptions& options)
    : runtime_(runtime), db_(db), options_(options) {}

Timestamp LeaseManager::expiration() const { return {expiration_wall_ns_.load(std::memory_order_acquire), 0}; }

bool LeaseManager::wants_renewal() const {
  return expiration().wall_ns - db_.Now().wall_ns < options_.lease_duration.count() / 2;
}

bool LeaseManager::Pin(TableLease& lease) { return db_.Now() < expiration() && lease.Pin(); }

void LeaseManager::Unpin(TableLease& lease) {
  if (!lease.Unpin()) return;
  runtime::MutexLock lock(mutex_);
  unpinned_.NotifyAll();
}

void LeaseManager::EndAll() {
  runtime::MutexLock lock(mutex_);
  for (auto& [id, lease] : by_id_) lease->Lapse(expiration());  // the order has no effect
  by_id_.clear();
  by_name_.clear();
  generation_.fetch_add(1, std::memory_order_release);
}

Status LeaseManager::EnsureNodeLease(const runtime::Context& context) {
  if (db_.Now() < expiration()) return OkStatus();
  return Renew(context);
}

Status LeaseManager::Renew(const runtime::Context& context) {
  {
    runtime::MutexLock lock(mutex_);
    RETURN_IF_ERROR(runtime::WaitUntil(context, mutex_, unpinned_, [&] { return !renewing_; }));
    if (!wants_renewal()) return OkStatus();
    renewing_ = true;
  }
  const Timestamp old_expiration = expiration();
  const bool lapsed = old_expiration <= db_.Now();
  if (lapsed) EndAll();
  uint64_t epoch = 0;
  Timestamp until;
  Status status = db_.RunTxn(context, "renew descriptor lease", [&](kv::Txn& txn) {
    kv::Batch read;
    read.Get(NodeLeaseKey(options_.node), kv::LockStrength::kExclusive);
    RETURN_IF_ERROR(txn.Run(context, read));
    NodeLeaseRecord record;
    if (ValueOf(read, 0)) RETURN_IF_ERROR(wire::Decode(*ValueOf(read, 0), record));
    // An unbroken lease is prolonged before its end or not at all: others may act on its end.
    if (lapsed) ++record.epoch;
    else txn.LimitCommit(old_expiration);
    const Timestamp now = db_.Now();
    record.expiration = {now.wall_ns + options_.lease_duration.count(), 0};
    epoch = record.epoch;
    until = record.expiration;
    kv::Batch write;
    write.Put(NodeLeaseKey(options_.node), wire::Encode(record));
    return txn.Run(context, write);
  });
  runtime::MutexLock lock(mutex_);
  renewing_ = false;
  unpinned_.NotifyAll();
  if (!status.ok()) return status.Annotate("renewing the node's descriptor lease");
  epoch_ = epoch;
  expiration_wall_ns_.store(until.wall_ns, std::memory_order_release);
  return OkStatus();
}

TableLeasePtr LeaseManager::FindPinned(DescriptorId schema, std::string_view name) {
  runtime::MutexLock lock(mutex_);
  auto it = by_name_.find(Name(schema.value(), name));
  if (it == by_name_.end() || !it->second->Pin()) return nullptr;
  return it->second;
}

StatusOr<TableLeasePtr> LeaseManager::Acquire(const runtime::Context& context, DescriptorId schema,
                                              std::string_view schema_name, std::string_view name) {
  for (int attempt = 0; attempt < kTakeHoldAttemptsMax; ++attempt) {
    RETURN_IF_ERROR(EnsureNodeLease(context));
    if (TableLeasePtr lease = FindPinned(schema, name)) return lease;
    ASSIGN_OR_RETURN(TableLeasePtr lease, TakeHold(context, schema, schema_name, name));
    if (!lease) return TableLeasePtr();
    if (lease->Pin()) return lease;
  }
  return Status(Code::kAborted, "40001", "table \"" + std::string(name) + "\" keeps changing");
}

StatusOr<TableLeasePtr> LeaseManager::TakeHold(const runtime::Context& context, DescriptorId schema,
                                               std::string_view schema_name, std::string_view name) {
  uint64_t epoch = 0;
  std::optional<TableDescriptor> descriptor;
  uint64_t releases_before = 0;
  Status status = db_.RunTxn(context, "take hold of table", [&](kv::Txn& txn) {
    descriptor.reset();
    kv::Batch lookup;
    lookup.Get(NamespaceKey(schema, name));
    RETURN_IF_ERROR(txn.Run(context, lookup));
    if (!ValueOf(lookup, 0)) return OkStatus();
    NamespaceRecord record;
    RETURN_IF_ERROR(wire::Decode(*ValueOf(lookup, 0), record));
    {
      runtime::MutexLock lock(mutex_);
      releases_before = releases_[record.id.value()];
      epoch = epoch_;
    }
    // The lock waits for a schema change in progress, and keeps the next one waiting for our hold.
    kv::Batch read;
    read.Get(DescriptorKey(record.id), kv::LockStrength::kShared, kv::LockDurability::kReplicated);
    RETURN_IF_ERROR(txn.Run(context, read));
    if (!ValueOf(read, 0)) return OkStatus();
    ASSIGN_OR_RETURN(descriptor, DecodeDescriptor(*ValueOf(read, 0)));
    const HoldRecord hold{.node = options_.node, .epoch = epoch, .version = descriptor->version};
    kv::Batch write;
    write.Put(HoldKey(record.id, options_.node), wire::Encode(hold));
    return txn.Run(context, write);
  });
  if (!status.ok()) return status.Annotate("reading the descriptor of table " + std::string(name));
  if (!descriptor || descriptor->state == DescriptorState::kDropped || descriptor->name != name ||
      descriptor->schema != schema)
    return TableLeasePtr();
  const uint64_t id = descriptor->id.value();
  auto lease = std::make_shared<TableLease>(MakeTable(std::move(*descriptor), std::string(schema_name)));
  runtime::MutexLock lock(mutex_);
  if (releases_[id] != releases_before || epoch_ != epoch) {
    lease->End();  // released, or the node's lease lapsed, while we were taking hold: try again
    return lease;
  }
  if (auto it = by_id_.find(id); it != by_id_.end()) return it->second;  // another task was quicker
  by_id_[id] = lease;
  by_name_[Name(schema.value(), name)] = lease;
  return lease;
}

StatusOr<Timestamp> LeaseManager::Release(const runtime::Context& context, DescriptorId table, Duration wait,
                                          uint64_t own_pins) {
  const runtime::Context limited = context.WithTimeout(wait);
  {
    runtime::MutexLock lock(mutex_);
    ++releases_[table.value()];
    auto it = by_id_.find(table.value());
    if (it != by_id_.end()) {
      TableLeasePtr lease = it->second;
      lease->End();
      generation_.fetch_add(1, std::memory_order_release);
      const TableDescriptor& d = lease->table->descriptor;
      by_name_.erase(Name(d.schema.value(), d.name));
      Status status =
          runtime::WaitUntil(limited, mutex_, unpinned_, [&] { return lease->users() <= own_pins; });
      if (!status.ok()) return status;  // stays in by_id_: the next request waits for it again
      by_id_.erase(table.value());
    }
  }
  return db_.Now();
}

StatusOr<bool> LeaseManager::ReleaseHolder(const runtime::Context& context, DescriptorId table, const HoldRecord& hold,
                                           uint64_t own_pins, MonoTime deadline, Timestamp& released) {
  kv::Batch read;
  read.Get(NodeLeaseKey(hold.node));
  RETURN_IF_ERROR(db_.Read(context, read));
  NodeLeaseRecord lease;
  if (ValueOf(read, 0)) RETURN_IF_ERROR(wire::Decode(*ValueOf(read, 0), lease));
  const Timestamp now = db_.Now();
  if (lease.epoch != hold.epoch || lease.expiration <= now) {
    released.Forward(now);
    return true;
  }
  const Duration wait = deadline - runtime_.clock().MonoNow();
  if (hold.node == options_.node) {
    auto ended = Release(context, table, wait, own_pins);
    if (ended.ok()) released.Forward(*ended);
    return ended.ok();
  }
  const ReleaseRequest request{.table = table, .wait_ns = wait.count()};
  ReleaseResponse response;
  const Status status = runtime::CallMessage(runtime_.transport(), context.WithDeadline(deadline), hold.node,
                                             runtime::Method::kDescriptorLease, request, response);
  if (status.ok()) released.Forward(response.released);
  return status.ok();
}

StatusOr<Timestamp> LeaseManager::Drain(const runtime::Context& context, DescriptorId table, uint64_t own_pins) {
  const MonoTime deadline = runtime_.clock().MonoNow() + options_.drain_timeout + options_.lease_duration;
  const MonoTime busy_deadline = runtime_.clock().MonoNow() + options_.drain_timeout;
  Timestamp released;
  kv::Batch read;
  read.Scan(HoldsOf(table));
  RETURN_IF_ERROR(db_.Read(context, read));
  const auto& rows = std::get<kv::ScanResponse>(read.responses[0]).rows;
  for (auto cursor = rows.Begin(); cursor.Next();) {
    HoldRecord hold;
    RETURN_IF_ERROR(wire::Decode(cursor.value(), hold));
    while (true) {
      RETURN_IF_ERROR(context.Check());
      ASSIGN_OR_RETURN(const bool done, ReleaseHolder(context, table, hold, own_pins, busy_deadline, released));
      if (done) break;
      // A live holder whose transactions go on is an error after a while, as with lock_timeout; a silent
      // one is waited for until its lease ends.
      const MonoTime now = runtime_.clock().MonoNow();
      if (now >= deadline || (now >= busy_deadline && hold.node == options_.node))
        return Status(Code::kAborted, "55P03", "canceling statement due to lock timeout")
            .WithDetail("Transactions on node " + ToString(hold.node) + " keep using the table.");
      RETURN_IF_ERROR(runtime_.scheduler().SleepUntil(context, now + kRetryPause));
    }
  }
  return released;
}

}  // namespace orrery::sql
