// Engine keys of MVCC data and locks, and the header of a version's value (docs/formats/storage.md).
//
//   version   kMvcc   escaped user key · 00 01 · ~wall(8) · ~logical(4)      newest version first
//   intent    kLock   escaped user key · 00 01 · 01
//   exclusive kLock   escaped user key · 00 01 · 02
//   shared    kLock   escaped user key · 00 01 · 03 · txn id(16)
//
// At most one intent and one exclusive lock exist on a key (T9), so their keys need no transaction id and a
// point read finds an intent with one Get. Decoders are checked: engine bytes may be damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/base/timestamp.h"
#include "orrery/storage/mvcc/txn_meta.h"

namespace orrery::storage {

inline constexpr size_t kVersionSuffixBytes = 12;

// Escaped user key with its terminator: the common prefix of all engine keys of a user key. Prefix-free, and
// in the order of the user keys.
void AppendKeyPrefix(std::string& out, std::string_view user_key);
std::string KeyPrefix(std::string_view user_key);
void AppendVersionSuffix(std::string& out, Timestamp ts);
std::string VersionKey(std::string_view user_key, Timestamp ts);
std::string IntentKey(std::string_view user_key);
std::string ExclusiveLockKey(std::string_view user_key);
std::string SharedLockKey(std::string_view user_key, std::string_view txn_id);

// Length of the key prefix of an engine key of kMvcc or kLock; 0 if it holds no terminator.
size_t KeyPrefixBytes(std::string_view engine_key);
// Un-escapes a key prefix (with its terminator) and appends it to `out`; false if malformed.
bool AppendUserKey(std::string& out, std::string_view prefix);
// Splits a version key into its prefix and timestamp; false if malformed.
bool SplitVersionKey(std::string_view engine_key, std::string_view& prefix, Timestamp& ts);
bool DecodeVersionKey(std::string_view engine_key, std::string& user_key, Timestamp& ts);
// `txn_id` is set for shared locks only.
bool DecodeLockKey(std::string_view engine_key, std::string& user_key, LockStrength& strength,
                   std::string& txn_id);

// Engine bounds of the user span [start, end), or of the one key `start` if `end` is empty. Valid for both
// kMvcc and kLock.
struct EngineBounds {
  std::string lower;
  std::string upper;
};
EngineBounds BoundsOf(std::string_view start, std::string_view end);

// A version's value: checksum(4) · flags(1) · [writer id(16) · sequence varint] · [origin: wall varint ·
// logical varint] · payload. The checksum covers the engine key too, so a value that strayed to another key is
// found.
struct VersionValue {
  bool tombstone = false;
  std::string_view writer;  // transaction id, kept in test builds, so that histories can be checked exactly; else empty
  uint32_t writer_sequence = 0;
  // B35: where its leaseholder wrote it, if it was moved up since. When its transaction was acknowledged, the
  // leaseholder's clock was past the origin, and perhaps not past the version's own timestamp. The origin lies
  // above the version before: origins of one key are in the order of its versions.
  std::optional<Timestamp> origin;
  std::string_view payload;
};
std::string EncodeVersionValue(std::string_view version_key, const VersionValue& value);
// DataLoss if the checksum or the header is wrong. The views of `value` point into `bytes`.
Status DecodeVersionValue(std::string_view version_key, std::string_view bytes, VersionValue& value);

// A lock's value.
struct SequencedValue {
  uint32_t sequence = 0;
  bool tombstone = false;
  std::string value;
  template <class V>
  void Visit(V& v) {
    v(1, sequence);
    v(2, tombstone);
    v(3, value);
  }
};
struct LockRecord {
  TxnMeta txn;                          // the holder as of the newest write or acquisition
  std::vector<SequencedValue> history;  // intents: values of this epoch that newer sequences replaced
  template <class V>
  void Visit(V& v) {
    v(1, txn);
    v(2, history);
  }
};
// checksum(4) over lock key and message, then the message.
std::string EncodeLockRecord(std::string_view lock_key, const LockRecord& record);
Status DecodeLockRecord(std::string_view lock_key, std::string_view bytes, LockRecord& record);

}  // namespace orrery::storage
