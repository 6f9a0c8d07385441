// CommitPart: one range's part of a commit over several ranges of one store (docs/design/transactions.md, "One store's
// ranges commit together"). Plain data of the task that commits.
#pragma once

#include <memory>
#include <vector>

#include "kv/replica/proposal.h"

namespace orrery::kv {

class Replica;

struct CommitPart {
  // Where the transaction's record would be: EndTxn ends the batch there, other ranges write what it decided.
  enum class Record : uint8_t { kHere, kElsewhere };

  std::shared_ptr<Replica> replica;
  std::shared_ptr<const RangeDescriptor> descriptor;  // by which the whole was cut
  Record record = Record::kElsewhere;
  BatchRequest batch;
  std::vector<size_t> from;  // of each request of the batch: its index in the whole
  std::vector<Span> lock_spans;  // of kElsewhere: what the transaction has locked here

  // Filled in by Replica::HoldPart.
  std::shared_ptr<void> active;         // while it lives, the range does not go quiet
  std::shared_ptr<Proposal> proposal;   // null: nothing is held
  BatchResponse response;
  Timestamp write_ts;
};

// The parts cannot be written together: nothing was executed, the transaction is to commit with intents.
inline Status NotTogether() { return ToStatus(KvError{RangeKeyMismatchError{}, std::nullopt}); }

}  // namespace orrery::kv
