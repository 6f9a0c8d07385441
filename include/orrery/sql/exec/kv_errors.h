// The one place where errors of the KV layer become SQL's. Retry errors keep their payload, so that the
// session can still restart a statement or transaction, and get the text PostgreSQL's clients know.
#pragma once

#include <string_view>

#include "orrery/base/status.h"
#include "orrery/sql/catalog/descriptor.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

// 40001, 40P01, 40003, 55P03, 57014 …; OK and SQL's own errors come back as they are. `table`, where known,
// names the relation of a lock that was not to be had.
Status ToSqlError(const Status& status, const Table* table = nullptr);

// 23505 for a key that has a row already: constraint, table, schema, DETAIL `Key (a)=(1) already exists.`
Status UniqueViolation(const Table& table, std::string_view key, const FormatContext& format);

// The statement, or the whole transaction, may succeed when it is run again.
bool IsRetryable(const Status& status);

}  // namespace orrery::sql
