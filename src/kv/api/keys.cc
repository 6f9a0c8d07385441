#include "orrery/kv/api/keys.h"

namespace orrery::kv {

bool Span::Overlaps(const Span& other) const {
  if (is_point()) return other.Contains(start);
  if (other.is_point()) return Contains(other.start);
  return start < other.end && other.start < end;
}

std::string MetaKey(std::string_view end_key) { return std::string(kMetaPrefix).append(end_key); }

std::string ClusterKey(std::string_view name) { return std::string(kClusterPrefix).append(name); }

std::string TablePrefix(DescriptorId table) {
  std::string key(kTableDataStart);
  ordered::AppendUint(key, table.value());
  return key;
}

}  // namespace orrery::kv
