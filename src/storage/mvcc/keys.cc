#include "orrery/storage/mvcc/keys.h"

#include <algorithm>
#include <cstring>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "orrery/base/ordered_encoding.h"
#include "orrery/base/wire.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace {

constexpr char kEscape = '\0';
constexpr char kEscapedZero = '\xFF';
constexpr char kTerminator = '\x01';

constexpr char kExclusiveByte = '\x02';
constexpr char kSharedByte = '\x03';

constexpr size_t kChecksumBytes = 4;
constexpr uint8_t kTombstoneFlag = 1;
constexpr uint8_t kWriterFlag = 2;
constexpr uint8_t kOriginFlag = 4;

uint32_t ChecksumOf(std::string_view key, std::string_view bytes) {
  return uint32_t(Hash64(bytes, Hash64(key)));
}

void SetChecksum(std::string_view key, std::string& out) {
  const uint32_t checksum = ChecksumOf(key, std::string_view(out).substr(kChecksumBytes));
  for (size_t i = 0; i < kChecksumBytes; ++i) out[i] = char(checksum >> (8 * i));
}

// Takes the checksum off the front of `bytes`; false if it does not fit the rest.
bool TakeChecksum(std::string_view key, std::string_view& bytes) {
  if (bytes.size() < kChecksumBytes) return false;
  uint32_t checksum = 0;
  for (size_t i = 0; i < kChecksumBytes; ++i) checksum |= uint32_t(uint8_t(bytes[i])) << (8 * i);
  bytes.remove_prefix(kChecksumBytes);
  return checksum == ChecksumOf(key, bytes);
}

Status Damaged(std::string_view what, std::string_view key) {
  return Status(Code::kDataLoss, "XX001", std::string(what) + " fails its checks at key " + Printable(key));
}

}  // namespace

bool IsIgnored(uint32_t sequence, const std::vector<SequenceRange>& ignored) {
  return std::any_of(ignored.begin(), ignored.end(), [sequence](const SequenceRange& range) {
    return range.first <= sequence && sequence <= range.last;
  });
}

void AppendKeyPrefix(std::string& out, std::string_view user_key) {
  ordered::AppendBytes(out, user_key);
}

std::string KeyPrefix(std::string_view user_key) {
  std::string out;
  out.reserve(user_key.size() + 2 + kVersionSuffixBytes);
  AppendKeyPrefix(out, user_key);
  return out;
}

void AppendVersionSuffix(std::string& out, Timestamp ts) {
  const uint64_t wall = ~uint64_t(ts.wall_ns);
  const uint32_t logical = ~ts.logical;
  char bytes[kVersionSuffixBytes];
  for (int i = 0; i < 8; ++i) bytes[i] = char(wall >> (8 * (7 - i)));
  for (int i = 0; i < 4; ++i) bytes[8 + i] = char(logical >> (8 * (3 - i)));
  out.append(bytes, kVersionSuffixBytes);
}

std::string VersionKey(std::string_view user_key, Timestamp ts) {
  std::string out = KeyPrefix(user_key);
  AppendVersionSuffix(out, ts);
  return out;
}

std::string IntentKey(std::string_view user_key) { return KeyPrefix(user_key) + internal::kIntentKeyByte; }
std::string ExclusiveLockKey(std::string_view user_key) { return KeyPrefix(user_key) + kExclusiveByte; }
std::string SharedLockKey(std::string_view user_key, std::string_view txn_id) {
  ORRERY_ASSERT(txn_id.size() == kTxnIdBytes, "a transaction id has 16 bytes");
  return (KeyPrefix(user_key) + kSharedByte).append(txn_id);
}

size_t KeyPrefixBytes(std::string_view engine_key) {
  size_t i = 0;
  while (i < engine_key.size()) {
    const void* zero = std::memchr(engine_key.data() + i, 0, engine_key.size() - i);
    if (zero == nullptr) return 0;
    i = size_t(static_cast<const char*>(zero) - engine_key.data()) + 2;
    if (i > engine_key.size()) return 0;
    if (engine_key[i - 1] == kTerminator) return i;
  }
  return 0;
}

bool AppendUserKey(std::string& out, std::string_view prefix) {
  if (prefix.size() < 2 || prefix[prefix.size() - 2] != kEscape || prefix.back() != kTerminator) return false;
  prefix.remove_suffix(2);
  while (true) {
    const size_t zero = prefix.find(kEscape);
    if (zero == std::string_view::npos) {
      out.append(prefix);
      return true;
    }
    if (zero + 1 >= prefix.size() || prefix[zero + 1] != kEscapedZero) return false;
    out.append(prefix.substr(0, zero + 1));
    prefix.remove_prefix(zero + 2);
  }
}

bool SplitVersionKey(std::string_view engine_key, std::string_view& prefix, Timestamp& ts) {
  if (engine_key.size() < 2 + kVersionSuffixBytes) return false;
  prefix = engine_key.substr(0, engine_key.size() - kVersionSuffixBytes);
  if (prefix[prefix.size() - 2] != kEscape || prefix.back() != kTerminator) return false;
  const auto* bytes = reinterpret_cast<const uint8_t*>(engine_key.data() + prefix.size());
  uint64_t wall = 0;
  uint32_t logical = 0;
  for (int i = 0; i < 8; ++i) wall = wall << 8 | bytes[i];
  for (int i = 8; i < 12; ++i) logical = logical << 8 | bytes[i];
  ts.wall_ns = int64_t(~wall);
  ts.logical = ~logical;
  return ts.wall_ns >= 0;
}

bool DecodeVersionKey(std::string_view engine_key, std::string& user_key, Timestamp& ts) {
  std::string_view prefix;
  user_key.clear();
  return SplitVersionKey(engine_key, prefix, ts) && AppendUserKey(user_key, prefix);
}

bool DecodeLockKey(std::string_view engine_key, std::string& user_key, LockStrength& strength,
                   std::string& txn_id) {
  const size_t prefix_bytes = KeyPrefixBytes(engine_key);
  user_key.clear();
  txn_id.clear();
  if (prefix_bytes == 0 || !AppendUserKey(user_key, engine_key.substr(0, prefix_bytes))) return false;
  const std::string_view rest = engine_key.substr(prefix_bytes);
  if (rest.empty()) return false;
  if (rest[0] == kSharedByte) {
    strength = LockStrength::kShared;
    txn_id.assign(rest.substr(1));
    return txn_id.size() == kTxnIdBytes;
  }
  strength = rest[0] == internal::kIntentKeyByte ? LockStrength::kIntent : LockStrength::kExclusive;
  return rest.size() == 1 && (rest[0] == internal::kIntentKeyByte || rest[0] == kExclusiveByte);
}

EngineBounds BoundsOf(std::string_view start, std::string_view end) {
  EngineBounds bounds{KeyPrefix(start), {}};
  bounds.upper = end.empty() ? ordered::PrefixEnd(bounds.lower) : KeyPrefix(end);
  return bounds;
}

std::string EncodeVersionValue(std::string_view version_key, const VersionValue& value) {
  std::string out;
  out.reserve(kChecksumBytes + 1 + value.writer.size() + 5 + value.payload.size());
  out.resize(kChecksumBytes);
  const bool has_writer = !value.writer.empty();
  out.push_back(char((value.tombstone ? kTombstoneFlag : 0) | (has_writer ? kWriterFlag : 0) |
                     (value.origin ? kOriginFlag : 0)));
  if (has_writer) {
    ORRERY_ASSERT(value.writer.size() == kTxnIdBytes, "a transaction id has 16 bytes");
    out.append(value.writer);
    wire::AppendVarint(out, value.writer_sequence);
  }
  if (value.origin) {
    wire::AppendVarint(out, uint64_t(value.origin->wall_ns));
    wire::AppendVarint(out, value.origin->logical);
  }
  out.append(value.payload);
  SetChecksum(version_key, out);
  return out;
}

Status DecodeVersionValue(std::string_view version_key, std::string_view bytes, VersionValue& value) {
  if (!TakeChecksum(version_key, bytes) || bytes.empty()) return Damaged("version", version_key);
  const uint8_t flags = uint8_t(bytes[0]);
  bytes.remove_prefix(1);
  if ((flags & ~(kTombstoneFlag | kWriterFlag | kOriginFlag)) != 0) return Damaged("version", version_key);
  value = {};
  value.tombstone = (flags & kTombstoneFlag) != 0;
  if ((flags & kWriterFlag) != 0) {
    if (bytes.size() < kTxnIdBytes) return Damaged("version", version_key);
    value.writer = bytes.substr(0, kTxnIdBytes);
    bytes.remove_prefix(kTxnIdBytes);
    uint64_t sequence = 0;
    if (!wire::ReadVarint(bytes, sequence)) return Damaged("version", version_key);
    value.writer_sequence = uint32_t(sequence);
  }
  if ((flags & kOriginFlag) != 0) {
    uint64_t wall = 0;
    uint64_t logical = 0;
    if (!wire::ReadVarint(bytes, wall) || !wire::ReadVarint(bytes, logical)) return Damaged("version", version_key);
    value.origin = Timestamp{int64_t(wall), uint32_t(logical)};
  }
  value.payload = bytes;
  return OkStatus();
}

std::string EncodeLockRecord(std::string_view lock_key, const LockRecord& record) {
  std::string out(kChecksumBytes, '\0');
  wire::EncodeTo(record, out);
  SetChecksum(lock_key, out);
  return out;
}

void internal::MoveLockRecord(std::string_view to_lock_key, std::string& bytes) { SetChecksum(to_lock_key, bytes); }

Status DecodeLockRecord(std::string_view lock_key, std::string_view bytes, LockRecord& record) {
  if (!TakeChecksum(lock_key, bytes) || !wire::Decode(bytes, record).ok()) return Damaged("lock", lock_key);
  if (record.txn.id.size() != kTxnIdBytes) return Damaged("lock", lock_key);
  return OkStatus();
}

}  // namespace orrery::storage
