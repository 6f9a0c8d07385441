// CommandSink: where the change stream of a range will be tapped. A replica tells it of every command it has
// applied, in log order; the change stream (WAL archive, cache coherence, change feeds) is built on it.
#pragma once

#include "orrery/base/ids.h"
#include "orrery/base/timestamp.h"
#include "orrery/storage/write_batch.h"

namespace orrery::kv {

// One applied command. The views and references live for the call only.
struct AppliedCommand {
  RangeId range;
  RaftIndex index;
  LeaseSequence lease_sequence;
  Timestamp closed_ts;                 // of the command's slot; zero while nobody closes timestamps
  const storage::WriteBatch& effects;  // committed versions are puts in kMvcc whose key has no intent in kLock
};

// Called on the apply path of every replica: must neither block nor take long. Calls for one range come one
// after another, those of different ranges at the same time. A command that is repeated after a crash (apply is
// not synced) comes again with the same index.
class CommandSink {
 public:
  virtual ~CommandSink() = default;
  virtual void OnApplied(const AppliedCommand& command) = 0;
};

}  // namespace orrery::kv
