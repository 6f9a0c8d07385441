// RunAlone: one batch of writes as a whole transaction, for loads that write batch after batch.
#pragma once

#include "orrery/kv/client/database.h"

namespace orrery::kv {

// Runs the batch as a SERIALIZABLE transaction of its own, which commits with it: in one phase, without intents,
// if one range holds all of it. Retries it on TxnRetryError. Other errors are those of Txn::RunAndCommit.
Status RunAlone(const runtime::Context& context, Database& db, std::string_view name, Batch& batch);

}  // namespace orrery::kv
