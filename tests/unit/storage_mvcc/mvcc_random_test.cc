// Random histories of a few transactions over a few keys, against a model that keeps every version in a map.
#include <map>
#include <random>

#include "gtest/gtest.h"
#include "orrery/storage/cached_engine.h"
#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc.h"

namespace orrery::storage {
namespace {

using Value = std::optional<std::string>;
const std::vector<std::string> kKeys = {std::string("\0", 1), "a", std::string("a\0b", 3), "b", "c\xFF"};

struct Txn {
  TxnMeta meta;
  Timestamp read_ts;
  std::vector<SequenceRange> ignored;
};

// The obvious way: all versions, and for each key at most one intent with all its writes.
struct Model {
  struct Write {
    uint32_t sequence;
    Value value;
  };
  struct Intent {
    std::string txn_id;
    Timestamp ts;
    std::vector<Write> writes;
    Timestamp origin;  // where it was written, before it was moved up
  };
  std::map<std::string, std::map<Timestamp, Value>> versions;
  std::map<std::string, std::map<Timestamp, Timestamp>> origins;  // of the versions that have been moved
  std::map<std::string, Intent> intents;

  const Intent* IntentOn(const std::string& key) const {
    const auto it = intents.find(key);
    return it == intents.end() ? nullptr : &it->second;
  }
  Value Committed(const std::string& key, Timestamp ts) const {
    const auto it = versions.find(key);
    if (it == versions.end()) return std::nullopt;
    const auto above = it->second.upper_bound(ts);
    return above == it->second.begin() ? std::nullopt : std::prev(above)->second;
  }
  Timestamp Newest(const std::string& key) const {
    const auto it = versions.find(key);
    return it == versions.end() || it->second.empty() ? Timestamp() : it->second.rbegin()->first;
  }
  static const Write* LastWrite(const Intent& intent, uint32_t sequence,
                                const std::vector<SequenceRange>& ignored) {
    for (auto w = intent.writes.rbegin(); w != intent.writes.rend(); ++w) {
      if (w->sequence <= sequence && !IsIgnored(w->sequence, ignored)) return &*w;
    }
    return nullptr;
  }
  Timestamp OriginOf(const std::string& key, Timestamp ts) const {
    const auto of_key = origins.find(key);
    if (of_key == origins.end()) return ts;
    const auto it = of_key->second.find(ts);
    return it == of_key->second.end() ? ts : it->second;
  }
  // "conflict", "uncertain", "none" or "=value".
  std::string Get(const std::string& key, Timestamp ts, Timestamp limit, Timestamp local_limit, const Txn* txn) const {
    const Intent* intent = IntentOn(key);
    if (intent != nullptr && txn != nullptr && intent->txn_id == txn->meta.id) {
      if (const Write* write = LastWrite(*intent, txn->meta.sequence, txn->ignored)) {
        return write->value ? "=" + *write->value : "none";
      }
    } else if (intent != nullptr) {
      if (intent->ts <= ts) return "conflict";
      if (intent->ts <= limit && intent->origin <= local_limit) return "uncertain";
    }
    const auto it = versions.find(key);
    if (it != versions.end()) {
      for (const auto& [version_ts, value] : it->second) {
        if (version_ts > ts && version_ts <= limit && OriginOf(key, version_ts) <= local_limit) return "uncertain";
      }
    }
    const Value value = Committed(key, ts);
    return value ? "=" + *value : "none";
  }
};

std::string Outcome(const Status& status) {
  if (status.payload<LockConflictError>() != nullptr) return "conflict";
  if (status.payload<UncertaintyError>() != nullptr) return "uncertain";
  if (status.payload<WriteTooOldError>() != nullptr) return "too old";
  if (status.payload<RefreshFailedError>() != nullptr) return "refresh failed";
  return status.ToString();
}

class RandomHistory {
 public:
  explicit RandomHistory(uint64_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) Step();
  }

 private:
  void Step() {
    ++now_;
    switch (random_() % 12) {
      case 0: if (txns_.size() < 4) Begin(); break;
      case 1: case 2: case 3: Write(); break;
      case 4: Rollback(); break;
      case 5: case 6: Finish(); break;
      case 7: Push(); break;
      case 8: Refresh(); break;
      case 9: CollectGarbage(); break;
      default: break;
    }
    const auto recount = MvccComputeStats(engine_, "", "\xFF\xFF");
    ASSERT_TRUE(recount.ok());
    ASSERT_EQ(recount->ToString(), stats_.ToString());
    ReadAll();
  }

  void Apply(OverlayBatch& batch) {
    ASSERT_TRUE(engine_.Write(batch.TakeBatch(), SyncMode::kNoSync).ok());
  }
  Txn* Pick() { return txns_.empty() ? nullptr : &std::next(txns_.begin(), long(random_() % txns_.size()))->second; }
  const std::string& Key() { return kKeys[random_() % kKeys.size()]; }

  void Begin() {
    Txn txn;
    txn.meta.id = "txn" + std::to_string(1000000000000 + next_txn_++);
    txn.meta.write_ts = txn.read_ts = {now_, 0};
    txns_[txn.meta.id] = txn;
  }

  void Write() {
    Txn* txn = random_() % 5 == 0 ? nullptr : Pick();
    const std::string& key = Key();
    Value value;
    if (random_() % 3 != 0) value = "v" + std::to_string(now_) + std::string(random_() % 3, 'x');
    MvccWriteOptions options;
    options.stats = &stats_;
    Timestamp read_ts{now_, 0};
    if (txn != nullptr) {
      ++txn->meta.sequence;
      options.txn = &txn->meta;
      options.ignored = &txn->ignored;
      read_ts = txn->read_ts;
    }
    if (random_() % 2 == 0) options.too_old = WriteTooOldPolicy::kForward;
    const std::string expected = ModelWrite(key, value, read_ts, txn, options.too_old);
    OverlayBatch batch(engine_);
    const auto result =
        value ? MvccPut(batch, key, read_ts, *value, options) : MvccDelete(batch, key, read_ts, options);
    ASSERT_EQ(result.ok() ? "at " + result->written_ts.ToString() : Outcome(result.status()), expected);
    ASSERT_EQ(result.ok(), !batch.batch().empty());
    if (result.ok() && txn != nullptr) {
      Apply(batch);
      OverlayBatch again(engine_);  // T19
      const auto replay =
          value ? MvccPut(again, key, read_ts, *value, options) : MvccDelete(again, key, read_ts, options);
      ASSERT_TRUE(replay.ok());
      ASSERT_EQ(replay->written_ts, result->written_ts);
      ASSERT_EQ(replay->replaced_value, result->replaced_value);
      ASSERT_TRUE(again.batch().empty());
      txn->meta.write_ts.Forward(result->written_ts);
      return;
    }
    Apply(batch);
  }

  std::string ModelWrite(const std::string& key, const Value& value, Timestamp read_ts, const Txn* txn,
                         WriteTooOldPolicy policy) {
    auto intent = model_.intents.find(key);
    if (intent != model_.intents.end() && (txn == nullptr || intent->second.txn_id != txn->meta.id)) {
      return "conflict";
    }
    Timestamp ts = txn != nullptr ? txn->meta.write_ts : read_ts;
    if (intent != model_.intents.end()) {
      ts = std::max(ts, intent->second.ts);
    } else {
      const Timestamp newest = model_.Newest(key);
      const bool too_old = newest > read_ts || (txn == nullptr && newest >= ts);
      if (too_old && policy == WriteTooOldPolicy::kError) return "too old";
      if (newest >= ts) ts = newest.Next();
    }
    if (txn == nullptr) {
      model_.versions[key][ts] = value;
    } else {
      Model::Intent& mine = model_.intents[key];
      mine.txn_id = txn->meta.id;
      mine.ts = mine.origin = ts;
      mine.writes.push_back({txn->meta.sequence, value});
    }
    return "at " + ts.ToString();
  }

  void Rollback() {
    Txn* txn = Pick();
    if (txn == nullptr || txn->meta.sequence == 0) return;
    const auto last = txn->meta.sequence;
    txn->ignored.push_back({uint32_t(1 + random_() % last), last});
    ++txn->meta.sequence;
  }

  void Finish() {
    Txn* txn = Pick();
    if (txn == nullptr) return;
    LockUpdate update;
    update.txn_id = txn->meta.id;
    update.status = random_() % 3 == 0 ? TxnStatus::kAborted : TxnStatus::kCommitted;
    update.ts = {std::max<int64_t>(txn->meta.write_ts.wall_ns + 1, int64_t(random_() % 2) * now_), 0};
    if (random_() % 2 == 0) update.ts = txn->meta.write_ts;
    update.ignored = txn->ignored;
    for (auto it = model_.intents.begin(); it != model_.intents.end();) {
      if (it->second.txn_id != txn->meta.id) {
        ++it;
        continue;
      }
      const Model::Write* write = Model::LastWrite(it->second, ~0u, txn->ignored);
      if (update.status == TxnStatus::kCommitted && write != nullptr) {
        model_.versions[it->first][update.ts] = write->value;
        if (it->second.origin < update.ts) model_.origins[it->first][update.ts] = it->second.origin;
      }
      it = model_.intents.erase(it);
    }
    Resolve(update);
    txns_.erase(update.txn_id);
  }

  void Resolve(LockUpdate update) {
    OverlayBatch batch(engine_);
    if (random_() % 2 == 0) {
      for (const std::string& key : kKeys) {
        update.start = key;
        ASSERT_TRUE(MvccResolveLocks(batch, update, 0, &stats_).ok());
      }
    } else {
      update.end = "\xFF\xFF";
      while (true) {
        const auto result = MvccResolveLocks(batch, update, 1 + random_() % 2, &stats_);
        ASSERT_TRUE(result.ok()) << result.status().ToString();
        if (!result->resume) break;
        update.start = result->resume->first;
      }
    }
    Apply(batch);
  }

  void Push() {
    Txn* txn = Pick();
    if (txn == nullptr) return;
    txn->meta.write_ts.Forward({now_, 1});
    LockUpdate update;
    update.txn_id = txn->meta.id;
    update.status = TxnStatus::kPending;
    update.ts = txn->meta.write_ts;
    for (auto& [key, intent] : model_.intents) {
      if (intent.txn_id == txn->meta.id) intent.ts.Forward(update.ts);
    }
    Resolve(update);
  }

  void Refresh() {
    Txn* txn = Pick();
    const Timestamp from{int64_t(random_() % uint64_t(now_)), 0};
    const Timestamp to{from.wall_ns + int64_t(random_() % 10), 3};
    bool failed = false;
    const std::string start = Key();
    const std::string end = random_() % 2 == 0 ? "" : "\xFF\xFF";
    for (const std::string& key : kKeys) {
      if (end.empty() ? key != start : key < start) continue;
      const Model::Intent* intent = model_.IntentOn(key);
      const bool own = intent != nullptr && txn != nullptr && intent->txn_id == txn->meta.id;
      if (intent != nullptr && !own && intent->ts <= to) failed = true;
      for (const auto& [ts, value] : model_.versions[key]) failed |= ts > from && ts <= to;
    }
    const Status status = MvccRefresh(engine_, start, end, from, to, txn == nullptr ? nullptr : &txn->meta);
    ASSERT_EQ(Outcome(status), failed ? "refresh failed" : OkStatus().ToString());
  }

  // Reads below the threshold are given up; those above must not change (checked by ReadAll).
  void CollectGarbage() {
    threshold_.Forward({now_ - int64_t(random_() % 20), 0});
    const auto garbage = MvccFindGarbage(engine_, "", "\xFF\xFF", threshold_, 0);
    ASSERT_TRUE(garbage.ok());
    OverlayBatch batch(engine_);
    ASSERT_TRUE(MvccGarbageCollect(batch, *garbage, &stats_).ok());
    Apply(batch);
    for (const GcKey& key : *garbage) {
      auto& versions = model_.versions[key.key];
      versions.erase(versions.begin(), versions.upper_bound(key.ts));
      if (versions.empty()) model_.versions.erase(key.key);
    }
  }

  void ReadAll() {
    const Txn* txn = Pick();
    const Timestamp ts = std::max(threshold_, Timestamp{int64_t(random_() % uint64_t(now_ + 2)), 0});
    MvccScanOptions options;
    if (random_() % 2 == 0) options.uncertainty_limit = {ts.wall_ns + int64_t(random_() % 8), 0};
    if (random_() % 2 == 0) options.local_limit = {ts.wall_ns + int64_t(random_() % 6), 0};  // B35
    if (txn != nullptr) {
      options.txn = &txn->meta;
      options.ignored = &txn->ignored;
    }
    std::string forward;
    std::string first_error;
    bool conflict = false;
    for (const std::string& key : kKeys) {
      const std::string expected = model_.Get(key, ts, std::max(ts, options.uncertainty_limit), options.local_limit, txn);
      const auto value = MvccGet(engine_, key, ts, options);
      ASSERT_EQ(!value.ok() ? Outcome(value.status()) : *value ? "=" + (*value)->value : "none", expected)
          << key << " at " << ts.ToString();
      if (expected == "conflict") conflict = true;
      if (expected == "uncertain") first_error = expected;
      if (expected[0] == '=') forward += key + expected + ";";
    }
    for (const ScanDirection direction : {ScanDirection::kForward, ScanDirection::kReverse}) {
      options.direction = direction;
      CheckScan(ts, options, forward, conflict, !first_error.empty());
    }
  }

  // In pages, so that resumption is covered too. With errors in the span one of them must be reported.
  void CheckScan(Timestamp ts, MvccScanOptions options, const std::string& forward, bool conflict,
                 bool uncertain) {
    options.rows_max = random_() % 3;
    std::string start;
    std::string end = "\xFF\xFF";
    std::vector<std::string> rows;
    while (true) {
      const auto page = MvccScan(engine_, start, end, ts, options);
      if (!page.ok()) {
        const std::string outcome = Outcome(page.status());
        ASSERT_TRUE((conflict && outcome == "conflict") || (uncertain && outcome == "uncertain")) << outcome;
        return;
      }
      for (auto row = page->rows.Begin(); row.Next();) {
        rows.push_back(std::string(row.key()) + "=" + std::string(row.value()) + ";");
      }
      if (!page->resume) break;
      std::tie(start, end) = *page->resume;
    }
    ASSERT_FALSE(conflict || uncertain);
    if (options.direction == ScanDirection::kReverse) std::reverse(rows.begin(), rows.end());
    std::string all;
    for (const std::string& row : rows) all += row;
    ASSERT_EQ(all, forward);
  }

  std::mt19937_64 random_;
  int64_t now_ = 10;
  uint64_t next_txn_ = 0;
  Timestamp threshold_{1, 0};
  MemEngine base_;
  CachedEngine engine_{base_, 1 << 20, 1 << 20};  // with room for some of the keys
  MvccStats stats_;
  Model model_;
  std::map<std::string, Txn> txns_;
};

TEST(MvccRandomTest, AgreesWithTheModel) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomHistory(seed).Run(150);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace orrery::storage
