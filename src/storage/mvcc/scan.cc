// Scans over many keys: rows, locks, and the refresh check.
#include <algorithm>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "orrery/storage/newest_entries.h"
#include "storage/mvcc/internal.h"

namespace orrery::storage {
namespace {

using internal::IntentView;
using Kind = IntentView::Kind;

// Steps over single versions before a seek is cheaper (a step costs about 0.15 µs, a seek 3 µs).
constexpr int kStepsMax = 8;

// Keys that one scan of the store teaches at most: larger ones are seldom repeated, and would drive out what is.
constexpr size_t kLearntMax = 1024;

// Above every version of a key: sorts after all suffixes of its prefix.
void AppendAfterVersions(std::string& out) { out.append(kVersionSuffixBytes + 1, '\xFF'); }

// Walks the keys of a span in either direction and emits what is visible. One key at a time: its locks decide
// how to look at it, then its versions are walked from the newest that matters.
class Scanner final : private NewestEntries::Visitor {
 public:
  Scanner(const Reader& reader, std::string_view start, std::string_view end, Timestamp ts,
          const MvccScanOptions& options)
      : reader_(reader), start_(start), end_(end), ts_(ts), options_(options), bounds_(BoundsOf(start, end)) {
    limit_ts_ = ts;
    if (options.lock_policy != LockPolicy::kInconsistent) {
      limit_ts_ = std::max(limit_ts_, options.uncertainty_limit);
    }
    if (options.strength != LockStrength::kNone) limit_ts_ = Timestamp::Max();
  }

  StatusOr<MvccScanResult> Run() {
    if (!end_.empty() && end_ <= start_) return MvccScanResult();
    locks_ = reader_.NewIterator(ColumnFamily::kLock, {bounds_.lower, bounds_.upper});
    locks_->SeekToFirst();
    RETURN_IF_ERROR(locks_->status());
    has_locks_ = locks_->Valid();
    if (forward() && !has_locks_) {
      if (const auto* newest = dynamic_cast<const NewestEntries*>(&reader_)) return RunOverNewest(*newest);
    }
    versions_ = reader_.NewIterator(ColumnFamily::kMvcc, {bounds_.lower, bounds_.upper});
    forward() ? versions_->SeekToFirst() : versions_->SeekToLast();
    if (forward() && !has_locks_) {
      RETURN_IF_ERROR(VisitUnlockedKeys());
    } else {
      while (versions_->Valid() && !full_) RETURN_IF_ERROR(VisitKey());
    }
    RETURN_IF_ERROR(versions_->status());
    if (!conflicts_.empty()) return LockConflictStatus(std::move(conflicts_));
    if (full_ && versions_->Valid()) RETURN_IF_ERROR(SetResume());
    return std::move(result_);
  }

 private:
  // How to look at the versions of the current key.
  struct KeyView {
    bool skip = false;                      // emit nothing
    const SequencedValue* own = nullptr;    // emit this own value
    std::optional<Timestamp> own_ts;        // emit the own provisional version there
    std::optional<Timestamp> hidden;        // a provisional version that does not count
  };

  bool forward() const { return options_.direction == ScanDirection::kForward; }

  // Forward, no lock in the span: what is known of it without the store, and what is between from the store. The
  // newest version of a key is nearly always the one that counts.
  StatusOr<MvccScanResult> RunOverNewest(const NewestEntries& newest) {
    using Stop = NewestEntries::Stop;
    std::string at = bounds_.lower;
    while (true) {
      NewestEntries::Walked walked = newest.Walk(at, bounds_.upper, *this);
      RETURN_IF_ERROR(visited_);
      if (walked.stop == Stop::kEnd) return std::move(result_);
      if (walked.stop == Stop::kUnknown) {
        RETURN_IF_ERROR(LearnGap(newest, walked.next, walked.known_again));
        if (result_.resume || walked.known_again >= bounds_.upper) return std::move(result_);
        at = std::move(walked.known_again);
        continue;
      }
      user_key_.clear();
      if (!AppendUserKey(user_key_, walked.next)) return DataLossError("malformed version key");
      if (full_) {
        result_.resume.emplace(std::move(user_key_), std::string(end_));
        return std::move(result_);
      }
      // Its newest version is not for this reader.
      ASSIGN_OR_RETURN(const auto value, MvccGet(reader_, user_key_, ts_, options_));
      if (value) Emit(value->value);
      at = std::move(walked.next);
      AppendAfterVersions(at);
    }
  }

  // NewestEntries::Visitor. False: the limit is reached, the version is too new, or `visited_` says what is wrong.
  bool Visit(std::string_view key, std::string_view value) override {
    if (full_) return false;
    std::string_view prefix;
    Timestamp ts;
    if (!SplitVersionKey(key, prefix, ts)) {
      visited_ = DataLossError("malformed version key");
      return false;
    }
    if (ts > ts_) return false;
    VersionValue version;
    visited_ = DecodeVersionValue(key, value, version);
    if (!visited_.ok()) return false;
    if (version.tombstone) return true;
    user_key_.clear();
    if (!AppendUserKey(user_key_, prefix)) {
      visited_ = DataLossError("malformed version key");
      return false;
    }
    Emit(version.payload);
    return true;
  }

  // Scans [lower, upper) in the store and teaches what it finds. Sets `resume` if the limit was reached before.
  Status LearnGap(const NewestEntries& newest, std::string_view lower, std::string_view upper) {
    const uint64_t ticket = newest.BeginLearning(lower, upper);
    learns_ = !full_;
    learnt_.Clear();
    versions_ = reader_.NewIterator(ColumnFamily::kMvcc, {std::string(lower), std::string(upper)});
    versions_->SeekToFirst();
    Status status = VisitUnlockedKeys();
    if (status.ok()) status = versions_->status();
    if (status.ok() && versions_->Valid()) status = SetResume();
    std::string_view known_to = upper;
    if (status.ok() && versions_->Valid()) {
      known_to = versions_->key().substr(0, versions_->key().size() - kVersionSuffixBytes);
    }
    newest.EndLearning(ticket, known_to, status.ok() && learns_ ? &learnt_ : nullptr);
    learns_ = false;
    return status;
  }

  Status VisitUnlockedKeys() {
    while (versions_->Valid() && !full_) RETURN_IF_ERROR(VisitUnlockedKey());
    return OkStatus();
  }

  void Learn(size_t prefix_bytes) {
    if (learnt_.count() < kLearntMax) return learnt_.Append(versions_->key(), prefix_bytes, versions_->value());
    learns_ = false;
    learnt_.Clear();
  }

  // The common case on its own: forward, no lock in the span, the key's newest version counts.
  Status VisitUnlockedKey() {
    const std::string_view key = versions_->key();
    std::string_view prefix;
    Timestamp ts;
    if (!SplitVersionKey(key, prefix, ts)) return DataLossError("malformed version key");
    if (learns_) Learn(prefix.size());
    if (ts > ts_) return VisitKey();
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(key, versions_->value(), version));
    prefix_.assign(prefix);
    if (!version.tombstone) {
      user_key_.clear();
      if (!AppendUserKey(user_key_, prefix_)) return DataLossError("malformed version key");
      Emit(version.payload);
    }
    // A prefix ends with its terminator: what begins with it belongs to it.
    for (int steps = 0; steps < kStepsMax; ++steps) {
      versions_->Next();
      if (!versions_->Valid() || !versions_->key().starts_with(prefix_)) return OkStatus();
    }
    Leave();
    return OkStatus();
  }

  Status VisitKey() {
    std::string_view prefix;
    Timestamp ts;
    if (!SplitVersionKey(versions_->key(), prefix, ts)) return DataLossError("malformed version key");
    prefix_.assign(prefix);
    user_key_.clear();
    if (!AppendUserKey(user_key_, prefix_)) return DataLossError("malformed version key");
    KeyView view;
    if (has_locks_) RETURN_IF_ERROR(ViewLocks(view));
    if (view.own != nullptr && !view.own->tombstone) Emit(view.own->value);
    if (view.skip || view.own != nullptr) {
      Leave();
      return OkStatus();
    }
    return forward() || view.own_ts ? VisitVersions(view) : VisitVersionsBackward(view);
  }

  Status ViewLocks(KeyView& view) {
    if (!locks_->Valid() || !forward() || locks_->key() < prefix_) locks_->Seek(prefix_);
    LockStrength strength;
    std::string lock_user_key;
    std::string txn_id;
    has_intent_ = false;
    while (locks_->Valid() && locks_->key().starts_with(prefix_)) {
      if (!DecodeLockKey(locks_->key(), lock_user_key, strength, txn_id)) {
        return DataLossError("malformed lock key");
      }
      LockRecord record;
      RETURN_IF_ERROR(DecodeLockRecord(locks_->key(), locks_->value(), record));
      if (strength == LockStrength::kIntent) {
        intent_ = std::move(record);
        RETURN_IF_ERROR(ViewIntentInto(view));
      } else if (!internal::IsOwn(options_.txn, record) && Conflicts(strength, options_.strength)) {
        AddConflict(view, record, strength);
      }
      locks_->Next();
    }
    return locks_->status();
  }

  Status ViewIntentInto(KeyView& view) {
    ASSIGN_OR_RETURN(const IntentView seen,
                     internal::ViewIntent(intent_, ts_, options_.txn, options_.ignored));
    switch (seen.kind) {
      case Kind::kOwnProvisional: view.own_ts = intent_.txn.write_ts; return OkStatus();
      case Kind::kOwnHistory: view.own = seen.history; return OkStatus();
      case Kind::kOwnHidden: view.hidden = intent_.txn.write_ts; return OkStatus();
      case Kind::kForeignAbove:
      case Kind::kForeignBelow: break;
    }
    view.hidden = intent_.txn.write_ts;
    const bool in_the_way =
        seen.kind == Kind::kForeignBelow || Conflicts(LockStrength::kIntent, options_.strength);
    if (options_.lock_policy == LockPolicy::kInconsistent) {
      result_.intents.push_back(internal::ConflictOf(user_key_, intent_, LockStrength::kIntent));
    } else if (in_the_way) {
      AddConflict(view, intent_, LockStrength::kIntent);
    } else if (intent_.txn.write_ts <= limit_ts_) {
      ASSIGN_OR_RETURN(const bool uncertain, internal::IsUncertainIntent(reader_, prefix_, intent_, options_));
      if (uncertain) {
        return UncertaintyStatus(user_key_, intent_.txn.write_ts,
                                 internal::ConflictOf(user_key_, intent_, LockStrength::kIntent));
      }
    }
    return OkStatus();
  }

  void AddConflict(KeyView& view, const LockRecord& record, LockStrength strength) {
    view.skip = true;
    if (options_.lock_policy == LockPolicy::kSkipLocked) return;
    if (options_.lock_policy == LockPolicy::kInconsistent) return;
    conflicts_.push_back(internal::ConflictOf(user_key_, record, strength));
    if (conflicts_.size() >= kConflictsMax) full_ = true;
  }

  // The version's timestamp, if the iterator still stands on the current key.
  bool OnKey(Timestamp& ts) const {
    if (!versions_->Valid()) return false;
    std::string_view prefix;
    return SplitVersionKey(versions_->key(), prefix, ts) && prefix == prefix_;
  }

  // A version above ts_ and at or below the limit was met: OK if it does not matter, nor any other such.
  Status CheckNewer(const KeyView& view, Timestamp ts) const {
    if (options_.strength != LockStrength::kNone) return WriteTooOldStatus(user_key_, ts.Next());
    ASSIGN_OR_RETURN(const bool uncertain,
                     internal::HasUncertainVersion(reader_, prefix_, ts_, options_, view.hidden));
    return uncertain ? UncertaintyStatus(user_key_, ts) : OkStatus();
  }

  void SeekVersion(Timestamp ts) {
    target_.assign(prefix_);
    AppendVersionSuffix(target_, ts);
    versions_->Seek(target_);
  }

  // Newest to oldest; leaves the iterator on the next key.
  Status VisitVersions(const KeyView& view) {
    Timestamp limit = view.own_ts.value_or(limit_ts_);
    const Timestamp read_ts = view.own_ts.value_or(ts_);
    if (!forward()) SeekVersion(limit);
    Timestamp ts;
    for (int steps = 0; OnKey(ts); ++steps) {
      if (ts <= limit && !(view.hidden && ts == *view.hidden)) {
        if (ts <= read_ts) {
          RETURN_IF_ERROR(EmitVersion(versions_->key(), versions_->value()));
          break;
        }
        RETURN_IF_ERROR(CheckNewer(view, ts));
        limit = read_ts;
      }
      if (ts > limit && steps >= kStepsMax) {
        SeekVersion(limit);
      } else {
        versions_->Next();
      }
    }
    Leave();
    return OkStatus();
  }

  // Oldest to newest, so that the common key of one version needs no seek.
  Status VisitVersionsBackward(const KeyView& view) {
    Timestamp ts;
    bool found = false;
    for (int steps = 0; OnKey(ts) && ts <= limit_ts_; ++steps) {
      if (steps >= kStepsMax) return VisitVersions(view);
      if (!(view.hidden && ts == *view.hidden)) {
        if (ts > ts_) {
          RETURN_IF_ERROR(CheckNewer(view, ts));
          break;
        }
        candidate_key_.assign(versions_->key());
        candidate_.assign(versions_->value());
        found = true;
      }
      versions_->Prev();
    }
    if (found) RETURN_IF_ERROR(EmitVersion(candidate_key_, candidate_));
    Leave();
    return OkStatus();
  }

  Status EmitVersion(std::string_view version_key, std::string_view bytes) {
    VersionValue version;
    RETURN_IF_ERROR(DecodeVersionValue(version_key, bytes, version));
    if (!version.tombstone) Emit(version.payload);
    return OkStatus();
  }

  void Emit(std::string_view value) {
    result_.rows.Append(user_key_, value);
    emitted_bytes_ += user_key_.size() + value.size();
    if (options_.rows_max != 0 && result_.rows.count() >= options_.rows_max) full_ = true;
    if (options_.bytes_max != 0 && emitted_bytes_ >= options_.bytes_max) full_ = true;
  }

  // To the next key in scan order.
  void Leave() {
    Timestamp ts;
    for (int steps = 0; OnKey(ts); ++steps) {
      if (!forward()) {
        versions_->SeekForPrev(prefix_);
      } else if (steps < kStepsMax) {
        versions_->Next();
      } else {
        target_.assign(prefix_);
        AppendAfterVersions(target_);
        versions_->Seek(target_);
      }
    }
  }

  Status SetResume() {
    std::string next;
    Timestamp ts;
    if (!DecodeVersionKey(versions_->key(), next, ts)) return DataLossError("malformed version key");
    if (forward()) {
      result_.resume.emplace(std::move(next), std::string(end_));
    } else {
      result_.resume.emplace(std::string(start_), std::move(next) + '\0');
    }
    return OkStatus();
  }

  const Reader& reader_;
  const std::string_view start_;
  const std::string_view end_;
  const Timestamp ts_;
  const MvccScanOptions& options_;
  const EngineBounds bounds_;
  Timestamp limit_ts_;  // versions above ts_ up to here are errors, above here they do not matter

  std::unique_ptr<Iterator> versions_;
  std::unique_ptr<Iterator> locks_;
  bool has_locks_ = false;   // the span holds any lock
  bool has_intent_ = false;
  LockRecord intent_;        // of the current key; KeyView::own points into it
  std::string prefix_;       // of the current key
  std::string user_key_;
  std::string target_;
  std::string candidate_key_;
  std::string candidate_;
  Status visited_;           // by Visit
  bool learns_ = false;
  EntryRun learnt_;
  bool full_ = false;
  uint64_t emitted_bytes_ = 0;
  std::vector<LockConflict> conflicts_;
  MvccScanResult result_;
};

}  // namespace

StatusOr<MvccScanResult> MvccScan(const Reader& reader, std::string_view start, std::string_view end,
                                  Timestamp ts, const MvccScanOptions& options) {
  return Scanner(reader, start, end, ts, options).Run();
}

StatusOr<std::vector<LockConflict>> MvccScanLocks(const Reader& reader, std::string_view start,
                                                  std::string_view end, size_t limit) {
  std::vector<LockConflict> locks;
  const EngineBounds bounds = BoundsOf(start, end);
  const auto it = reader.NewIterator(ColumnFamily::kLock, {bounds.lower, bounds.upper});
  std::string user_key;
  std::string txn_id;
  LockStrength strength;
  for (it->SeekToFirst(); it->Valid() && (limit == 0 || locks.size() < limit); it->Next()) {
    LockRecord record;
    if (!DecodeLockKey(it->key(), user_key, strength, txn_id)) return DataLossError("malformed lock key");
    RETURN_IF_ERROR(DecodeLockRecord(it->key(), it->value(), record));
    locks.push_back(internal::ConflictOf(user_key, record, strength));
  }
  RETURN_IF_ERROR(it->status());
  return locks;
}

namespace {

// T12 for one key: no version in (from, to] but the transaction's own provisional one.
Status RefreshKey(Iterator& versions, std::string_view prefix, Timestamp from, Timestamp to,
                  std::optional<Timestamp> own) {
  std::string target(prefix);
  std::string_view found;
  Timestamp ts;
  for (int steps = 0; versions.Valid(); ++steps) {
    if (!SplitVersionKey(versions.key(), found, ts)) return DataLossError("malformed version key");
    if (found != prefix) break;
    if (ts > from && ts <= to && !(own && ts == *own)) {
      std::string user_key;
      AppendUserKey(user_key, prefix);
      return RefreshFailedStatus(user_key, ts, std::nullopt);
    }
    if (steps < kStepsMax) {
      versions.Next();
      continue;
    }
    target.resize(prefix.size());
    if (ts > to) {
      AppendVersionSuffix(target, to);
    } else {
      AppendAfterVersions(target);
    }
    versions.Seek(target);
    steps = 0;
  }
  return versions.status();
}

}  // namespace

Status MvccRefresh(const Reader& reader, std::string_view start, std::string_view end, Timestamp from,
                   Timestamp to, const TxnMeta* txn) {
  const EngineBounds bounds = BoundsOf(start, end);
  const auto locks = reader.NewIterator(ColumnFamily::kLock, {bounds.lower, bounds.upper});
  std::vector<std::pair<std::string, Timestamp>> own;  // prefixes with an own intent, in order
  std::string user_key;
  std::string txn_id;
  LockStrength strength;
  for (locks->SeekToFirst(); locks->Valid(); locks->Next()) {
    LockRecord record;
    if (!DecodeLockKey(locks->key(), user_key, strength, txn_id)) return DataLossError("malformed lock key");
    if (strength != LockStrength::kIntent) continue;
    RETURN_IF_ERROR(DecodeLockRecord(locks->key(), locks->value(), record));
    if (internal::IsOwn(txn, record)) {
      own.emplace_back(locks->key().substr(0, locks->key().size() - 1), record.txn.write_ts);
    } else if (record.txn.write_ts <= to) {
      return RefreshFailedStatus(user_key, record.txn.write_ts,
                                 internal::ConflictOf(user_key, record, strength));
    }
  }
  RETURN_IF_ERROR(locks->status());

  const auto versions = reader.NewIterator(ColumnFamily::kMvcc, {bounds.lower, bounds.upper});
  auto next_own = own.begin();
  std::string_view prefix;
  Timestamp ts;
  versions->SeekToFirst();
  while (versions->Valid()) {
    if (!SplitVersionKey(versions->key(), prefix, ts)) return DataLossError("malformed version key");
    const std::string current(prefix);
    while (next_own != own.end() && next_own->first < current) ++next_own;
    const bool has_own = next_own != own.end() && next_own->first == current;
    RETURN_IF_ERROR(RefreshKey(*versions, current, from, to,
                               has_own ? std::optional<Timestamp>(next_own->second) : std::nullopt));
  }
  return versions->status();
}

}  // namespace orrery::storage
