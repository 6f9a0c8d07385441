// A kv::Database in memory, for tests of the layers above KV: an ordered multi-version map with buffered
// writes. Isolation is real (snapshots, first-committer-wins, validation of reads under SERIALIZABLE), waiting
// is not: a request that meets another open transaction's lock fails at once with TxnRetryError (kWriteTooOld),
// with NOWAIT with LockConflictError, and with SKIP LOCKED leaves the row out. So a test on one thread can
// never hang. Timestamps come from a counter and are the same in every run; or from a clock that the test moves.
// Thread-safe as kv::Database is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "orrery/kv/client/database.h"

namespace orrery::kv {

// `wall_now_ns`: timestamps are never below it. None: they stand still but for a microsecond a step.
std::unique_ptr<Database> MakeFakeDatabase(std::function<int64_t()> wall_now_ns = nullptr);

}  // namespace orrery::kv
