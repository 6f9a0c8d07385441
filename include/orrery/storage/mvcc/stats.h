// MvccStats: what a user span holds, kept incrementally by every MVCC write and equal to a recount (I19).
// Also used as a delta: all fields are signed and add up. Split and merge decisions use these numbers alone,
// never the engine's own sizes.
#pragma once

#include <cstdint>
#include <string>

namespace orrery::storage {

struct MvccStats {
  int64_t live_count = 0;     // keys whose newest version, provisional or not, is a value
  int64_t live_bytes = 0;     // user key and version bytes of those
  int64_t key_count = 0;      // keys with at least one version
  int64_t key_bytes = 0;      // their user key bytes
  int64_t version_count = 0;  // all versions, tombstones and provisional ones included
  int64_t version_bytes = 0;  // engine value plus timestamp bytes of all versions
  int64_t intent_count = 0;
  int64_t lock_count = 0;     // lock records of every strength, intents included
  int64_t lock_bytes = 0;     // their engine key and value bytes

  int64_t TotalBytes() const { return key_bytes + version_bytes + lock_bytes; }
  MvccStats& operator+=(const MvccStats& other);
  MvccStats& operator-=(const MvccStats& other);
  friend bool operator==(const MvccStats&, const MvccStats&) = default;
  std::string ToString() const;

  template <class V>
  void Visit(V& v) {
    v(1, live_count);
    v(2, live_bytes);
    v(3, key_count);
    v(4, key_bytes);
    v(5, version_count);
    v(6, version_bytes);
    v(7, intent_count);
    v(8, lock_count);
    v(9, lock_bytes);
  }
};

}  // namespace orrery::storage
