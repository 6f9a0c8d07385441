// Garbage collection, statistics, split keys, digests.
#include <algorithm>

#include "orrery/base/hash.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {

MvccStats& MvccStats::operator+=(const MvccStats& other) {
  live_count += other.live_count;
  live_bytes += other.live_bytes;
  key_count += other.key_count;
  key_bytes += other.key_bytes;
  version_count += other.version_count;
  version_bytes += other.version_bytes;
  intent_count += other.intent_count;
  lock_count += other.lock_count;
  lock_bytes += other.lock_bytes;
  return *this;
}

MvccStats& MvccStats::operator-=(const MvccStats& other) {
  live_count -= other.live_count;
  live_bytes -= other.live_bytes;
  key_count -= other.key_count;
  key_bytes -= other.key_bytes;
  version_count -= other.version_count;
  version_bytes -= other.version_bytes;
  intent_count -= other.intent_count;
  lock_count -= other.lock_count;
  lock_bytes -= other.lock_bytes;
  return *this;
}

std::string MvccStats::ToString() const {
  return "live=" + std::to_string(live_count) + "/" + std::to_string(live_bytes) +
         " keys=" + std::to_string(key_count) + "/" + std::to_string(key_bytes) +
         " versions=" + std::to_string(version_count) + "/" + std::to_string(version_bytes) +
         " intents=" + std::to_string(intent_count) + " locks=" + std::to_string(lock_count) + "/" +
         std::to_string(lock_bytes);
}

namespace {

using internal::NewestVersion;
using internal::StatsDelta;
using internal::VersionBytes;

Status MalformedVersionKey() { return DataLossError("malformed version key"); }

// Calls f(prefix, ts, version_key, value, is_first_of_key) for each version of a span, in engine order; a
// Status that is not OK ends the walk.
template <class F>
Status ForEachVersion(const Reader& reader, std::string_view start, std::string_view end, F&& f) {
  const EngineBounds bounds = BoundsOf(start, end);
  const auto it = reader.NewIterator(ColumnFamily::kMvcc, {bounds.lower, bounds.upper});
  std::string current;
  bool any = false;
  std::string_view prefix;
  Timestamp ts;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (!SplitVersionKey(it->key(), prefix, ts)) return MalformedVersionKey();
    const bool first = !any || prefix != current;
    if (first) current.assign(prefix);
    any = true;
    RETURN_IF_ERROR(f(std::string_view(current), ts, it->key(), it->value(), first));
  }
  return it->status();
}

// Finds, key by key, the newest version that no read above the threshold can see.
class GarbageFinder {
 public:
  GarbageFinder(const Reader& reader, Timestamp threshold, size_t limit)
      : reader_(reader), threshold_(threshold), limit_(limit) {}

  Status Visit(std::string_view prefix, Timestamp ts, std::string_view key, std::string_view bytes,
               bool first) {
    if (first) state_ = State::kAbove;
    if (state_ == State::kDone || ts > threshold_ || full()) return OkStatus();
    if (state_ == State::kVisible) return Found(prefix, ts);
    // The newest version at or below the threshold: seen by readers just above it, unless it is a tombstone.
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(key, bytes, version));
    if (version.tombstone) return Found(prefix, ts);
    state_ = State::kVisible;
    return OkStatus();
  }

  bool full() const { return limit_ != 0 && found_.size() >= limit_; }
  std::vector<GcKey> Take() { return std::move(found_); }

 private:
  enum class State : uint8_t { kAbove, kVisible, kDone };

  Status Found(std::string_view prefix, Timestamp ts) {
    state_ = State::kDone;
    LockRecord intent;
    ASSIGN_OR_RETURN(const bool has_intent, internal::ReadIntent(reader_, prefix, intent));
    if (has_intent) return OkStatus();
    GcKey& garbage = found_.emplace_back();
    garbage.ts = ts;
    return AppendUserKey(garbage.key, prefix) ? OkStatus() : MalformedVersionKey();
  }

  const Reader& reader_;
  const Timestamp threshold_;
  const size_t limit_;
  State state_ = State::kAbove;
  std::vector<GcKey> found_;
};

// Removes a key's versions at or below garbage.ts.
Status CollectKey(OverlayBatch& batch, const GcKey& garbage, MvccStats* stats) {
  LockRecord intent;
  ASSIGN_OR_RETURN(const bool has_intent, internal::ReadIntent(batch, KeyPrefix(garbage.key), intent));
  if (has_intent && intent.txn.write_ts <= garbage.ts) {
    return InvalidArgumentError("I18: garbage of " + Printable(garbage.key) + " holds a provisional value");
  }
  StatsDelta delta(stats);
  std::vector<std::string> doomed;
  bool whole_key = false;
  NewestVersion newest;
  RETURN_IF_ERROR(ForEachVersion(
      batch, garbage.key, {},
      [&](std::string_view, Timestamp ts, std::string_view key, std::string_view bytes, bool first) {
        if (ts > garbage.ts) return OkStatus();
        if (first) {
          VersionValue version;
          RETURN_IF_ERROR(DecodeVersionValue(key, bytes, version));
          if (!version.tombstone) {
            return InvalidArgumentError("I18: garbage of " + Printable(garbage.key) + " is its newest value");
          }
          whole_key = true;
          newest = {true, true, VersionBytes(bytes.size())};
        }
        doomed.emplace_back(key);
        delta.RemoveVersion(VersionBytes(bytes.size()));
        return OkStatus();
      }));
  for (const std::string& key : doomed) batch.Delete(ColumnFamily::kMvcc, key);
  if (whole_key) delta.NewestChanged(garbage.key.size(), newest, {});
  delta.Commit();
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<GcKey>> MvccFindGarbage(const Reader& reader, std::string_view start,
                                             std::string_view end, Timestamp threshold, size_t limit) {
  GarbageFinder finder(reader, threshold, limit);
  RETURN_IF_ERROR(ForEachVersion(reader, start, end, [&](auto... args) { return finder.Visit(args...); }));
  return finder.Take();
}

Status MvccGarbageCollect(OverlayBatch& batch, const std::vector<GcKey>& keys, MvccStats* stats) {
  for (const GcKey& garbage : keys) RETURN_IF_ERROR(CollectKey(batch, garbage, stats));
  return OkStatus();
}

StatusOr<MvccStats> MvccComputeStats(const Reader& reader, std::string_view start, std::string_view end) {
  MvccStats stats;
  StatsDelta delta(&stats);
  std::string user_key;
  RETURN_IF_ERROR(ForEachVersion(
      reader, start, end,
      [&](std::string_view prefix, Timestamp, std::string_view key, std::string_view bytes, bool first) {
        delta.AddVersion(VersionBytes(bytes.size()));
        if (!first) return OkStatus();
        VersionValue version;
        RETURN_IF_ERROR(DecodeVersionValue(key, bytes, version));
        user_key.clear();
        if (!AppendUserKey(user_key, prefix)) return MalformedVersionKey();
        delta.NewestChanged(user_key.size(), {}, {true, version.tombstone, VersionBytes(bytes.size())});
        return OkStatus();
      }));
  const EngineBounds bounds = BoundsOf(start, end);
  const auto locks = reader.NewIterator(ColumnFamily::kLock, {bounds.lower, bounds.upper});
  std::string txn_id;
  LockStrength strength;
  for (locks->SeekToFirst(); locks->Valid(); locks->Next()) {
    if (!DecodeLockKey(locks->key(), user_key, strength, txn_id)) return DataLossError("malformed lock key");
    delta.AddLock(strength, locks->key().size() + locks->value().size());
  }
  RETURN_IF_ERROR(locks->status());
  delta.Commit();
  return stats;
}

StatusOr<std::optional<std::string>> MvccFindSplitKey(const Reader& reader, std::string_view start,
                                                      std::string_view end, int64_t left_bytes) {
  const EngineBounds bounds = BoundsOf(start, end);
  const auto it = reader.NewIterator(ColumnFamily::kMvcc, {bounds.lower, bounds.upper});
  int64_t left = 0;
  std::string current;  // the key at hand
  bool is_first = true;
  std::string_view prefix;
  Timestamp ts;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (!SplitVersionKey(it->key(), prefix, ts)) return MalformedVersionKey();
    if (prefix != current) {
      is_first = current.empty();
      if (!is_first && left >= left_bytes) {
        current.assign(prefix);
        break;
      }
      current.assign(prefix);
      left += int64_t(prefix.size());
    }
    left += VersionBytes(it->value().size());
  }
  RETURN_IF_ERROR(it->status());
  if (is_first) return std::optional<std::string>();
  std::string user_key;
  if (!AppendUserKey(user_key, current)) return MalformedVersionKey();
  return std::optional<std::string>(std::move(user_key));
}

StatusOr<uint64_t> MvccDigest(const Reader& reader, std::string_view start, std::string_view end) {
  const EngineBounds bounds = BoundsOf(start, end);
  uint64_t digest = 0;
  for (const ColumnFamily cf : {ColumnFamily::kMvcc, ColumnFamily::kLock}) {
    const auto it = reader.NewIterator(cf, {bounds.lower, bounds.upper});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      digest = Hash64(it->value(), Hash64(it->key(), digest + uint64_t(cf)));
    }
    RETURN_IF_ERROR(it->status());
  }
  return digest;
}

void MvccClearRange(WriteBatch& batch, std::string_view start, std::string_view end) {
  const EngineBounds bounds = BoundsOf(start, end);
  batch.DeleteRange(ColumnFamily::kMvcc, bounds.lower, bounds.upper);
  batch.DeleteRange(ColumnFamily::kLock, bounds.lower, bounds.upper);
}

}  // namespace orrery::storage
