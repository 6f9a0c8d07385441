#include "orrery/storage/store_records.h"

#include "orrery/base/hash.h"
#include "orrery/base/wire.h"

namespace orrery::storage {
namespace {

// Records carry a checksum over key and message in front: 4 bytes, little-endian.
constexpr size_t kChecksumBytes = 4;

uint32_t RecordChecksum(std::string_view key, std::string_view message) {
  return uint32_t(Hash64(message, Hash64(key)));
}

template <class T>
std::string EncodeRecord(std::string_view key, const T& record) {
  std::string out(kChecksumBytes, '\0');
  wire::EncodeTo(record, out);
  const uint32_t checksum = RecordChecksum(key, std::string_view(out).substr(kChecksumBytes));
  for (size_t i = 0; i < kChecksumBytes; ++i) out[i] = char(checksum >> (8 * i));
  return out;
}

template <class T>
Status DecodeRecord(std::string_view key, std::string_view bytes, T& record) {
  if (bytes.size() < kChecksumBytes) return DataLossError("store record " + Printable(key) + " is cut short");
  uint32_t checksum = 0;
  for (size_t i = 0; i < kChecksumBytes; ++i) checksum |= uint32_t(uint8_t(bytes[i])) << (8 * i);
  bytes.remove_prefix(kChecksumBytes);
  if (checksum != RecordChecksum(key, bytes)) {
    return DataLossError("store record " + Printable(key) + " fails its checksum");
  }
  return wire::Decode(bytes, record);
}

template <class T>
StatusOr<std::optional<T>> ReadRecord(const Reader& reader, std::string_view name) {
  const std::string key = StoreLocalKey(name);
  ASSIGN_OR_RETURN(const std::optional<std::string> bytes, reader.Get(ColumnFamily::kState, key));
  if (!bytes) return std::optional<T>();
  T record;
  RETURN_IF_ERROR(DecodeRecord(key, *bytes, record));
  return std::optional<T>(std::move(record));
}

}  // namespace

std::string StoreLocalKey(std::string_view name) {
  return std::string(kStoreLocalPrefix).append(name);
}

StatusOr<std::optional<StoreIdentity>> ReadStoreIdentity(const Reader& reader) {
  return ReadRecord<StoreIdentity>(reader, kStoreIdentityName);
}

Status InitializeStoreIdentity(Engine& engine, const StoreIdentity& identity) {
  for (size_t cf = 0; cf < kColumnFamilyCount; ++cf) {
    const auto iterator = engine.NewIterator(ColumnFamily(cf), {});
    iterator->SeekToFirst();
    if (iterator->Valid()) return FailedPreconditionError("store is not empty: it cannot be initialized");
    RETURN_IF_ERROR(iterator->status());
  }
  WriteBatch batch;
  const std::string key = StoreLocalKey(kStoreIdentityName);
  batch.Put(ColumnFamily::kState, key, EncodeRecord(key, identity));
  return engine.Write(batch, SyncMode::kSync);
}

Status CheckStoreIdentity(const StoreIdentity& identity, std::string_view cluster_id, NodeId node) {
  if (identity.format_version != kStoreFormatVersion) {
    return FailedPreconditionError("store has format version " + std::to_string(identity.format_version) +
                                   ", this release reads version " + std::to_string(kStoreFormatVersion));
  }
  if (identity.cluster_id != cluster_id) {
    return FailedPreconditionError("store belongs to cluster " + identity.cluster_id + ", not to cluster " +
                                   std::string(cluster_id));
  }
  if (node && identity.node != node) {
    return FailedPreconditionError("store belongs to node " + ToString(identity.node) + ", not to node " +
                                   ToString(node));
  }
  return OkStatus();
}

StatusOr<std::optional<Timestamp>> ReadBound(const Reader& reader, std::string_view name) {
  return ReadRecord<Timestamp>(reader, name);
}

void PutBound(WriteBatch& batch, std::string_view name, Timestamp bound) {
  const std::string key = StoreLocalKey(name);
  batch.Put(ColumnFamily::kState, key, EncodeRecord(key, bound));
}

}  // namespace orrery::storage
