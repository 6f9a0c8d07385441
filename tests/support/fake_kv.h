// A kv::Database in memory, for tests of the layers above KV: an ordered multi-version map with buffered
// writes. Isolation is real (snapshots, first-committer-wins, validation of reads under SERIALIZABLE), waiting
// is not: a request that meets another open transaction's lock fails at once with TxnRetryError (kWriteTooOld),
// with NOWAIT with LockConflictError, and with SKIP LOCKED leaves the row out. So a test on one thread can
// never hang. Timestamps come from a counter and are the same in every run. Thread-safe as kv::Database is.
#pragma once

#include <memory>

#include "orrery/kv/client/database.h"

namespace orrery::kv {

std::unique_ptr<Database> MakeFakeDatabase();

}  // namespace orrery::kv
