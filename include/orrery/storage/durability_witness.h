// DurabilityWitness: a small file beside the store that remembers how far the store was synced, so that a
// store which comes back shorter than that (lost or damaged log tail, lying disk) is found out and quarantined
// instead of forgetting votes and acknowledgements (correctness.md 7b, "Detecting lost synced data").
//
// Two slots are written in turn, each in place and synced, so that a torn write leaves the older one.
// Thread safety: none; one owner (KeepWitness).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/base/status_or.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/file_system.h"
#include "orrery/storage/engine.h"

namespace orrery::storage {

struct WitnessRecord {
  uint64_t slot_number = 0;        // grows with every write; the larger of two intact slots counts
  StoreId store;
  uint64_t synced_sequence = 0;    // Engine::LastSequence() as read before a sync began
  template <class V>
  void Visit(V& v) {
    v(1, slot_number);
    v(2, store);
    v(3, synced_sequence);
  }
};

class DurabilityWitness {
 public:
  // Reads `path`. DataLoss if the file is there but holds no intact slot, or that of another store.
  static StatusOr<std::unique_ptr<DurabilityWitness>> Open(runtime::FileSystem& files, std::string path,
                                                           StoreId store);

  // The newest intact record; nullopt for a new store.
  const std::optional<WitnessRecord>& last() const { return last_; }
  // DataLoss if a store that recovered up to `sequence` lost something it had synced. `sequence` is read before
  // anything is written to the opened store.
  Status CheckRecovered(uint64_t sequence) const;
  // Durable when it returns. `synced_sequence` must not go back.
  Status Write(uint64_t synced_sequence);

 private:
  DurabilityWitness(runtime::FileSystem& files, std::string path, StoreId store)
      : files_(files), path_(std::move(path)), store_(store) {}

  runtime::FileSystem& files_;
  const std::string path_;
  const StoreId store_;
  std::optional<WitnessRecord> last_;
};

// Body of a background task: when something was synced (`sync_count` grew), syncs the engine and writes the
// witness. It looks every 100 ms, on an idle store every second, and a last time when the context is cancelled,
// which ends it. A write that fails is tried again; the store is safe without, it is merely watched less closely,
// so `on_failure` tells and nothing stops.
void KeepWitness(const runtime::Context& context, Engine& engine, DurabilityWitness& witness,
                 const std::function<uint64_t()>& sync_count, const std::function<void(const Status&)>& on_failure);

}  // namespace orrery::storage
