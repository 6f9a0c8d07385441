// Store-local records in kState: who the store belongs to, and the promises a node makes to its own next
// incarnation. Their keys begin with byte 0x01; range-local keys begin with a larger one
// (docs/formats/storage.md). Free functions over Reader and WriteBatch; thread-safe as those are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/base/status_or.h"
#include "orrery/base/timestamp.h"
#include "orrery/storage/engine.h"

namespace orrery::storage {

inline constexpr std::string_view kStoreLocalPrefix = "\x01";
// 0x01 + name.
std::string StoreLocalKey(std::string_view name);
inline constexpr std::string_view kStoreIdentityName = "identity";
inline constexpr std::string_view kHlcUpperBoundName = "hlc_upper_bound";    // A10, T1
inline constexpr std::string_view kReadPromiseName = "read_promise_bound";   // no read was served above it

// The only format this release reads and writes.
inline constexpr uint32_t kStoreFormatVersion = 1;

// A9: written, synced, before any replica exists; never changed afterwards.
struct StoreIdentity {
  std::string cluster_id;
  NodeId node;
  StoreId store;
  uint32_t format_version = kStoreFormatVersion;
  friend bool operator==(const StoreIdentity&, const StoreIdentity&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, cluster_id);
    v(2, node);
    v(3, store);
    v(4, format_version);
  }
};

// nullopt: a new store. DataLoss if the record is damaged.
StatusOr<std::optional<StoreIdentity>> ReadStoreIdentity(const Reader& reader);
// FailedPrecondition if the store has an identity already, or holds anything else (it is not new).
Status InitializeStoreIdentity(Engine& engine, const StoreIdentity& identity);
// FailedPrecondition, naming both, unless the store is of `cluster_id` and of a format we read. A zero `node`
// accepts any node.
Status CheckStoreIdentity(const StoreIdentity& identity, std::string_view cluster_id, NodeId node);

// Bounds kept as timestamps under the names above. nullopt: never written.
StatusOr<std::optional<Timestamp>> ReadBound(const Reader& reader, std::string_view name);
void PutBound(WriteBatch& batch, std::string_view name, Timestamp bound);

}  // namespace orrery::storage
