// SessionManager: opens sessions for the wire protocol and finds them again to cancel them. One a node; it
// holds what sessions share: the database, the catalog, the functions, and the cache of plans.
// Thread-safe. Everything in SqlServices must outlive it, and it all its sessions.
#pragma once

#include <functional>
#include <memory>

#include "orrery/base/ids.h"
#include "orrery/kv/client/database.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/session/client_session.h"
#include "orrery/sql/types/functions.h"
#include "orrery/sql/types/time_zone.h"

namespace orrery::sql {

struct SqlServices {
  kv::Database& database;
  Catalog& catalog;
  const FunctionCatalog& functions;
  const TimeZoneDatabase* time_zones = nullptr;  // null: UTC only
  NodeId node{1};                                // in the high bits of backend pids
  // Takes a cancel request to another node (its id stands in the pid). May be empty: such requests are lost.
  std::function<void(const runtime::Context&, NodeId node, int32_t pid, int32_t secret)> cancel_elsewhere;
};

struct SessionLimits {
  size_t sessions_max = 10'000;                          // more: 53300
  uint64_t statement_memory_bytes = uint64_t{512} << 20;  // more: 53200
  size_t cached_plans_max = 4096;
  int retries_max = 100;                                 // automatic restarts of one statement (T24)
};

// PostgreSQL's pid is an int32: the node id above, a counter below.
inline constexpr int kPidCounterBits = 20;
inline NodeId NodeOfPid(int32_t pid) { return NodeId(uint64_t(uint32_t(pid)) >> kPidCounterBits); }

std::unique_ptr<SessionFactory> NewSessionManager(const SqlServices& services, const SessionLimits& limits = {});

}  // namespace orrery::sql
