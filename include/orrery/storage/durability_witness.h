// DurabilityWitness: a small file beside the store that remembers how far the store was synced, so that a
// store which comes back shorter than that (lost or damaged log tail, lying disk) is found out and quarantined
// instead of forgetting votes and acknowledgements (correctness.md 7b, "Detecting lost synced data").
//
// Two slots are written in turn, each in place and synced, so that a torn write leaves the older one.
// Thread safety: none; one owner, which calls Write after a group sync, at most every 100 ms.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/base/status_or.h"
#include "orrery/runtime/file_system.h"

namespace orrery::storage {

struct WitnessRecord {
  uint64_t slot_number = 0;        // grows with every write; the larger of two intact slots counts
  StoreId store;
  uint64_t synced_sequence = 0;    // Engine::LastSequence() as read before the sync began
  uint64_t hard_state_digest = 0;  // of the HardStates covered by it
  template <class V>
  void Visit(V& v) {
    v(1, slot_number);
    v(2, store);
    v(3, synced_sequence);
    v(4, hard_state_digest);
  }
};

class DurabilityWitness {
 public:
  // Reads `path`. DataLoss if the file is there but holds no intact slot, or that of another store.
  static StatusOr<std::unique_ptr<DurabilityWitness>> Open(runtime::FileSystem& files, std::string path,
                                                           StoreId store);

  // The newest intact record; nullopt for a new store.
  const std::optional<WitnessRecord>& last() const { return last_; }
  // DataLoss if a store that recovered up to `sequence` lost something it had synced.
  Status CheckRecovered(uint64_t sequence) const;
  // Durable when it returns. `synced_sequence` must not go back.
  Status Write(uint64_t synced_sequence, uint64_t hard_state_digest);

 private:
  DurabilityWitness(runtime::FileSystem& files, std::string path, StoreId store)
      : files_(files), path_(std::move(path)), store_(store) {}

  runtime::FileSystem& files_;
  const std::string path_;
  const StoreId store_;
  std::optional<WitnessRecord> last_;
};

}  // namespace orrery::storage
