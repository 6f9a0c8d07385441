#include "kv/replica/local_keys.h"

#include "orrery/base/ordered_encoding.h"

namespace orrery::kv::local_keys {
namespace {

constexpr char kByRange = 0x02;
constexpr char kByKey = 0x03;

void AppendBigEndian(std::string& out, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = char(value >> (8 * (7 - i)));
  out.append(bytes, sizeof bytes);
}

std::string Join(std::string_view prefix, uint64_t id, std::string_view suffix = {}) {
  std::string key;
  key.reserve(prefix.size() + suffix.size() + 2 * sizeof id);  // room for what LogEntry appends
  key.append(prefix);
  AppendBigEndian(key, id);
  key.append(suffix);
  return key;
}

std::string ByRange(RangeId range, std::string_view kind) {
  return Join(std::string_view(&kByRange, 1), range.value(), kind);
}

}  // namespace

std::string Tombstone(RangeId range) { return Join("\x01O", range.value()); }
std::string LocalReplica(RangeId range) { return Join(kLocalReplicaPrefix, range.value()); }
std::string InstallMarker(RangeId range) { return Join(kInstallMarkerPrefix, range.value()); }
std::string StagedChunk(RangeId range, uint64_t chunk) {
  std::string key = Join(kStagedPrefix, range.value());
  AppendBigEndian(key, chunk);
  return key;
}

bool ParseRangeSuffix(std::string_view key, size_t prefix_bytes, RangeId& range) {
  if (key.size() < prefix_bytes + 8) return false;
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id = id << 8 | uint8_t(key[prefix_bytes + i]);
  range = RangeId(id);
  return true;
}

std::string Descriptor(RangeId range) { return ByRange(range, "d"); }
std::string LeaseRecord(RangeId range) { return ByRange(range, "l"); }
std::string AppliedState(RangeId range) { return ByRange(range, "a"); }
std::string Membership(RangeId range) { return ByRange(range, "m"); }
std::string RangePrefix(RangeId range) { return ByRange(range, ""); }
std::string RangePrefixEnd(RangeId range) { return ByRange(range.Next(), ""); }

std::string TxnRecordsStart(std::string_view key) { return TxnRecordKey(key, {}); }
std::string TxnRecordKey(std::string_view anchor, std::string_view txn_id) {
  std::string out;
  out.reserve(1 + anchor.size() + 2 + txn_id.size());
  out.push_back(kByKey);
  ordered::AppendBytes(out, anchor);
  return out.append(txn_id);
}

std::string HardState(RangeId range) { return Join("", range.value(), "h"); }
std::string TruncatedState(RangeId range) { return Join("", range.value(), "t"); }
std::string LogEntry(RangeId range, RaftIndex index) {
  std::string key = LogPrefix(range);
  AppendBigEndian(key, index.value());
  return key;
}
std::string LogPrefix(RangeId range) { return Join("", range.value(), "e"); }
std::string RaftPrefix(RangeId range) { return Join("", range.value()); }
std::string RaftPrefixEnd(RangeId range) { return Join("", range.Next().value()); }

}  // namespace orrery::kv::local_keys
