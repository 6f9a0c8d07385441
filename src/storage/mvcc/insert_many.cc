// A load's rows: versions of many new keys at once.
#include <optional>

#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace {

// Steps over versions between two rows before the next row is sought.
constexpr int kStepsMax = 8;

Status CheckOrder(const KvBlock& rows, std::string_view& first, std::string_view& last) {
  auto row = rows.Begin();
  uint64_t count = 0;
  while (row.Next()) {
    if (count == 0) {
      first = row.key();
    } else if (row.key() <= last) {
      return InvalidArgumentError("rows to insert are not in the order of their keys");
    }
    last = row.key();
    ++count;
  }
  if (row.malformed() || count != rows.count()) return InvalidArgumentError("malformed rows to insert");
  return OkStatus();
}

// Walks over what versions stand between the rows, as they come by ascending key.
class Versions {
 public:
  Versions(const Reader& reader, const EngineBounds& bounds)
      : it_(reader.NewIterator(ColumnFamily::kMvcc, {bounds.lower, bounds.upper})) {
    it_->SeekToFirst();
  }
  // Whether the key with this prefix has any.
  bool HasAny(std::string_view prefix) {
    for (int i = 0; i < kStepsMax && it_->Valid() && it_->key() < prefix; ++i) it_->Next();
    if (it_->Valid() && it_->key() < prefix) it_->Seek(prefix);
    return it_->Valid() && it_->key().starts_with(prefix);
  }
  Status status() const { return it_->status(); }

 private:
  std::unique_ptr<Iterator> it_;
};

// Puts versions of new keys at one timestamp: committed ones, or provisional ones with their intents.
class RowPutter {
 public:
  RowPutter(OverlayBatch& batch, Timestamp ts, const MvccWriteOptions& options) : batch_(batch), options_(options) {
    AppendVersionSuffix(suffix_, ts);
    if (options.txn == nullptr || options.mode == WriteMode::kOnePhase) return;
    LockRecord record{*options.txn, {}};
    record.txn.write_ts = ts;
    lock_bytes_ = EncodeLockRecord("", record);
  }
  // `key` holds the prefix.
  void Put(std::string& key, size_t user_key_bytes, std::string_view payload) {
    const size_t prefix_bytes = key.size();
    key.append(suffix_);
    VersionValue version;
    version.payload = payload;
    if (options_.record_writer && options_.txn != nullptr) {
      version.writer = options_.txn->id;
      version.writer_sequence = options_.txn->sequence;
    }
    const std::string bytes = EncodeVersionValue(key, version);
    batch_.Put(ColumnFamily::kMvcc, key, bytes);
    const int64_t version_bytes = internal::VersionBytes(bytes.size());
    ++delta_.key_count;
    ++delta_.version_count;
    ++delta_.live_count;
    delta_.key_bytes += int64_t(user_key_bytes);
    delta_.version_bytes += version_bytes;
    delta_.live_bytes += int64_t(user_key_bytes) + version_bytes;
    if (!lock_bytes_.empty()) PutIntent(key, prefix_bytes);
  }
  void AddTo(MvccStats* stats) const {
    if (stats != nullptr) *stats += delta_;
  }

 private:
  // At most one intent is on a key, and all of these hold the same.
  void PutIntent(std::string& key, size_t prefix_bytes) {
    key.resize(prefix_bytes);
    key.push_back(internal::kIntentKeyByte);
    internal::MoveLockRecord(key, lock_bytes_);
    batch_.Put(ColumnFamily::kLock, key, lock_bytes_);
    ++delta_.intent_count;
    ++delta_.lock_count;
    delta_.lock_bytes += int64_t(key.size() + lock_bytes_.size());
  }

  OverlayBatch& batch_;
  const MvccWriteOptions& options_;
  std::string suffix_;
  std::string lock_bytes_;  // empty: committed versions
  MvccStats delta_;
};

StatusOr<bool> HasLocks(const Reader& reader, const EngineBounds& bounds) {
  const auto it = reader.NewIterator(ColumnFamily::kLock, {bounds.lower, bounds.upper});
  it->SeekToFirst();
  RETURN_IF_ERROR(it->status());
  return it->Valid();
}

}  // namespace

StatusOr<MvccInsertManyResult> MvccInsertMany(OverlayBatch& batch, const KvBlock& rows, Timestamp read_ts,
                                              const MvccWriteOptions& options, std::string& failed_key) {
  MvccInsertManyResult result;
  result.written_ts = options.txn != nullptr ? options.txn->write_ts : read_ts;
  if (rows.empty()) return result;
  std::string_view first;
  std::string_view last;
  RETURN_IF_ERROR(CheckOrder(rows, first, last));
  const EngineBounds bounds{BoundsOf(first, "").lower, BoundsOf(last, "").upper};
  if (options.txn != nullptr && options.txn->id.size() != kTxnIdBytes) {
    return InvalidArgumentError("a transaction id has 16 bytes");
  }
  ASSIGN_OR_RETURN(const bool locked, HasLocks(batch, bounds));
  result.all_new = !locked;
  std::optional<Versions> versions;
  if (!locked) versions.emplace(batch, bounds);
  RowPutter putter(batch, result.written_ts, options);
  std::string key;
  for (auto row = rows.Begin(); row.Next();) {
    key.clear();
    AppendKeyPrefix(key, row.key());
    if (versions && !versions->HasAny(key)) {
      putter.Put(key, row.key().size(), row.value());
      continue;
    }
    result.all_new = false;
    auto written = MvccConditionalPut(batch, row.key(), read_ts, row.value(), std::nullopt, IfMissing::kFail, options);
    if (!written.ok()) {
      failed_key = row.key();
      return written.status();
    }
    result.written_ts.Forward(written->written_ts);
  }
  if (versions) RETURN_IF_ERROR(versions->status());
  putter.AddTo(options.stats);
  return result;
}

}  // namespace orrery::storage
