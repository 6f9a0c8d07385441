// Telling a load's rows, which are best ingested (Engine::Ingest), from what is written beside them.
#pragma once

#include <cstddef>
#include <optional>

#include "orrery/storage/write_batch.h"

namespace orrery::storage {

struct Load {
  WriteBatch rows;       // versions, and the intents on them: WriteBatch::IsLoad
  size_t row_count = 0;  // versions among them; not 0
};

// Takes a load out of the batch, which keeps what is in other families: a transaction's record. None, and the batch as it
// was, if it does anything to kMvcc and kLock but put keys in ascending order, each once in a family, or puts no version.
std::optional<Load> TakeLoad(WriteBatch& batch);

}  // namespace orrery::storage
