// Telling a load's rows, which are best ingested (Engine::Ingest), from what is written beside them.
#pragma once

#include <optional>

#include "orrery/storage/write_batch.h"

namespace orrery::storage {

struct Load {
  WriteBatch rows;  // WriteBatch::IsLoad; not empty
  WriteBatch rest;  // in other families: the rows' intents, their transaction's record
};

// None if the batch does anything to kMvcc but put keys in ascending order, each once.
std::optional<Load> SplitLoad(const WriteBatch& batch);

}  // namespace orrery::storage
