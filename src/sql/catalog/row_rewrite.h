// Copies a table's rows from one key layout to another: ALTER TABLE … ADD PRIMARY KEY.
#pragma once

#include "orrery/base/status.h"
#include "orrery/kv/client/database.h"
#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

struct RewriteOptions {
  // Where the new rows are written: through the transaction, or in short transactions of their own, which
  // is right only for a storage nobody can address before the schema change commits later.
  enum class Writes : uint8_t { kInTxn, kBeside } writes = Writes::kInTxn;
  uint64_t batch_rows = 65536;
  uint64_t batch_bytes = uint64_t{4} << 20;
};

// Reads all rows of `from` by `txn` and writes them as rows of `to`, whose columns have the same ids. Key
// columns that are NULL: 23502. Two rows with one key: 23505.
Status RewriteRows(const runtime::Context& context, kv::Database& db, kv::Txn& txn, const Table& from,
                   const Table& to, const RewriteOptions& options);

}  // namespace orrery::sql
