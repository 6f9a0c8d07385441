// The map of the key space: which key prefix belongs to whom. Keys are byte strings ordered bytewise; the
// empty string is the smallest key, kMaxKey lies above every key in use. docs/formats/keys.md.
//
//   0x02  meta: range addressing. Key = 0x02 + end key of a range, value = its RangeDescriptor
//   0x04  cluster: node ids, liveness, settings and other small system records (named below)
//   0x08… table data: ordered-encoded table id, index id, columns (sql/types/row_codec.h); ids < 100 are
//         system tables
//
// Meta and cluster keys are always in range 1, which never splits below kTableDataStart.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/base/ordered_encoding.h"

namespace orrery::kv {

inline constexpr std::string_view kMinKey = "";
inline constexpr std::string_view kMaxKey = "\xFF\xFF";
inline constexpr std::string_view kMetaPrefix = "\x02";
inline constexpr std::string_view kClusterPrefix = "\x04";
inline constexpr std::string_view kTableDataStart = "\x08";

// A half-open interval of keys [start, end). An empty `end` means the single key `start`.
struct Span {
  std::string start;
  std::string end;
  friend bool operator==(const Span&, const Span&) = default;
  bool is_point() const { return end.empty(); }
  bool Contains(std::string_view key) const {
    return is_point() ? key == start : start <= key && key < end;
  }
  bool Overlaps(const Span& other) const;
  template <class V>
  void Visit(V& v) {
    v(1, start);
    v(2, end);
  }
};

// The meta key under which the range that ends at `end_key` is found. To look up the range of `key`, take the
// first meta record with a key > MetaKey(key).
std::string MetaKey(std::string_view end_key);

// Named records of the cluster span.
std::string ClusterKey(std::string_view name);  // 0x04 + name
inline constexpr std::string_view kNextNodeId = "next_node_id";
inline constexpr std::string_view kNextStoreId = "next_store_id";
inline constexpr std::string_view kNextRangeId = "next_range_id";
inline constexpr std::string_view kNextDescriptorId = "next_descriptor_id";

// First key of a table's data: every key of the table lies in [TablePrefix(t), TablePrefix(t + 1)).
std::string TablePrefix(DescriptorId table);

}  // namespace orrery::kv
