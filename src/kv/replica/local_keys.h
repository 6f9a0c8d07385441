// Engine keys of what a store keeps beside user data: its own records, range-local state, raft logs.
// docs/formats/range_local.md and raft_log.md give the bytes. Integers are big-endian, so that keys sort.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/kv/api/keys.h"

namespace orrery::kv::local_keys {

// ColumnFamily::kState, store-local: never replicated. Beside storage's own names (store_records.h), which are lower case.
std::string Tombstone(RangeId range);       // B21
std::string LocalReplica(RangeId range);    // which replica id this store holds
inline constexpr std::string_view kLocalReplicaPrefix = "\x01R";
std::string InstallMarker(RangeId range);   // A7
inline constexpr std::string_view kInstallMarkerPrefix = "\x01S";
std::string StagedChunk(RangeId range, uint64_t chunk);
inline constexpr std::string_view kStagedPrefix = "\x01T";
bool ParseRangeSuffix(std::string_view key, size_t prefix_bytes, RangeId& range);

// ColumnFamily::kState, by range id: part of the replicated state machine.
std::string Descriptor(RangeId range);
std::string LeaseRecord(RangeId range);
std::string AppliedState(RangeId range);
std::string Membership(RangeId range);
std::string RangePrefix(RangeId range);     // all of the above
std::string RangePrefixEnd(RangeId range);

// ColumnFamily::kState, by anchor key: transaction records, replicated, moving with their key in a split.
std::string TxnRecordKey(std::string_view anchor, std::string_view txn_id);
std::string TxnRecordsStart(std::string_view key);  // first possible record of anchors >= key

// ColumnFamily::kRaft.
std::string HardState(RangeId range);
std::string TruncatedState(RangeId range);
std::string LogEntry(RangeId range, RaftIndex index);
std::string LogPrefix(RangeId range);       // of all entries
std::string RaftPrefix(RangeId range);
std::string RaftPrefixEnd(RangeId range);

}  // namespace orrery::kv::local_keys
