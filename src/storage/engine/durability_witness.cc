#include "orrery/storage/durability_witness.h"

#include <algorithm>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "orrery/base/wire.h"
#include "orrery/runtime/runtime.h"

namespace orrery::storage {
namespace {

// Two slots of one disk block each: length(1) · checksum(4, little-endian) · message, then zeros.
constexpr size_t kSlotBytes = 4096;
constexpr size_t kHeaderBytes = 5;
constexpr Duration kInterval = 100ms;
constexpr Duration kIdleInterval = 1s;

// A replica that forgot votes or acknowledgements must not take part again under its old name (B58).
constexpr const char* kReplaceStore =
    "Check the disk. If other nodes hold this node's data, move the store's folder away and start the node with an empty "
    "one: it joins anew and gets its replicas back. Otherwise restore a backup.";

std::string EncodeSlot(const WitnessRecord& record) {
  const std::string message = wire::Encode(record);
  ORRERY_ASSERT(message.size() < 256, "DurabilityWitness: a record fits its slot");
  std::string slot(1, char(message.size()));
  const uint32_t checksum = Checksum32(message);
  for (int i = 0; i < 4; ++i) slot.push_back(char(checksum >> (8 * i)));
  slot.append(message);
  slot.resize(kSlotBytes, '\0');
  return slot;
}

std::optional<WitnessRecord> DecodeSlot(std::string_view slot) {
  if (slot.size() < kHeaderBytes) return std::nullopt;
  const size_t size = uint8_t(slot[0]);
  if (size == 0 || slot.size() < kHeaderBytes + size) return std::nullopt;
  uint32_t checksum = 0;
  for (int i = 0; i < 4; ++i) checksum |= uint32_t(uint8_t(slot[size_t(1 + i)])) << (8 * i);
  const std::string_view message = slot.substr(kHeaderBytes, size);
  WitnessRecord record;
  if (checksum != Checksum32(message) || !wire::Decode(message, record).ok()) return std::nullopt;
  return record;
}

}  // namespace

StatusOr<std::unique_ptr<DurabilityWitness>> DurabilityWitness::Open(runtime::FileSystem& files,
                                                                     std::string path, StoreId store) {
  std::unique_ptr<DurabilityWitness> witness(new DurabilityWitness(files, std::move(path), store));
  const StatusOr<std::string> contents = files.ReadFile(witness->path_);
  if (!contents.ok()) {
    if (contents.status().code() == Code::kNotFound) return witness;
    return contents.status();
  }
  const std::string_view bytes = *contents;
  for (size_t offset = 0; offset < bytes.size() && offset < 2 * kSlotBytes; offset += kSlotBytes) {
    const auto record = DecodeSlot(bytes.substr(offset, kSlotBytes));
    if (record && (!witness->last_ || record->slot_number > witness->last_->slot_number)) {
      witness->last_ = record;
    }
  }
  if (!witness->last_) {
    // A crash during the very first write leaves a torn first slot and nothing else: nothing was promised.
    if (bytes.size() <= kSlotBytes) return witness;
    return DataLossError("durability witness " + witness->path_ + " holds no intact record").WithHint(kReplaceStore);
  }
  if (witness->last_->store != store) {
    return DataLossError("durability witness " + witness->path_ + " is of store " +
                         ToString(witness->last_->store) + ", not of store " + ToString(store));
  }
  return witness;
}

Status DurabilityWitness::CheckRecovered(uint64_t sequence) const {
  if (!last_ || sequence >= last_->synced_sequence) return OkStatus();
  return DataLossError("the store has lost data that its disk had confirmed: it comes back with writes up to number " +
                       std::to_string(sequence) + ", but those up to " + std::to_string(last_->synced_sequence) +
                       " were synced (" + path_ + ")")
      .WithHint(kReplaceStore);
}

Status DurabilityWitness::Write(uint64_t synced_sequence) {
  ORRERY_ASSERT(!last_ || last_->synced_sequence <= synced_sequence,
                "DurabilityWitness: the synced sequence never goes back");
  WitnessRecord record;
  record.slot_number = last_ ? last_->slot_number + 1 : 1;
  record.store = store_;
  record.synced_sequence = synced_sequence;
  // Odd numbers in the first slot, even ones in the second.
  const uint64_t offset = record.slot_number % 2 == 1 ? 0 : kSlotBytes;
  RETURN_IF_ERROR(files_.WriteAtSync(path_, offset, EncodeSlot(record)));
  last_ = record;
  return OkStatus();
}

void KeepWitness(const runtime::Context& context, Engine& engine, DurabilityWitness& witness,
                 const std::function<uint64_t()>& sync_count, const std::function<void(const Status&)>& on_failure) {
  uint64_t seen = 0;
  Duration wait = kInterval;
  for (bool last = false; !last;) {
    last = !context.runtime().scheduler().SleepFor(context, wait).ok();
    const uint64_t count = sync_count();
    wait = count != seen ? kInterval : std::min(2 * wait, kIdleInterval);
    if (count == seen) continue;
    const uint64_t sequence = engine.LastSequence();
    Status status = engine.SyncAll();
    if (status.ok()) status = witness.Write(sequence);
    if (status.ok()) {
      seen = count;
    } else {
      on_failure(status);
    }
  }
}

}  // namespace orrery::storage
