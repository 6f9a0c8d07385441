// Transcripts of MVCC histories, run on both engines. After each command the incremental statistics must
// equal a recount (I19).
//
//   txn t=A ts=T [read=T] [seq=N] [epoch=N] [limit=T]   begin or change a transaction; keeps what is not given
//   ignore t=A seqs=(first-last,…)                       roll back sequences
//   put k=K v=V [t=A] [ts=T] [forward] [1pc]             del, cput (expect=V | expect-none, allow-missing)
//   get k=K [ts=T] [t=A] [limit=T] [skip-locked] [inconsistent] [strength=shared|exclusive]
//   scan from=K to=K … [max=N] [bytes=N] [reverse]       delrange from=K to=K [max=N]
//   lock k=K t=A strength=S      check k=K [t=A] strength=S      locks from=K to=K
//   resolve k=K [to=K] t=A status=committed|aborted|pending [ts=T] [max=N]      query k=K t=A
//   refresh from=K [to=K] since=T until=T [t=A]
//   garbage from=K to=K threshold=T     gc k=K ts=T     split from=K to=K     clear from=K to=K
//   dump                                                 all versions and locks
#include <algorithm>
#include <map>
#include <memory>

#include "gtest/gtest.h"
#include "orrery/base/hash.h"
#include "orrery/storage/cached_engine.h"
#include "orrery/storage/mem_engine.h"
#include "orrery/storage/mvcc.h"
#include "orrery/storage/mvcc/keys.h"
#include "orrery/storage/rocksdb_engine.h"
#include "support/transcript.h"

namespace orrery::storage {
namespace {

using transcript::Command;

Timestamp ParseTs(const std::string& text) {
  const size_t dot = text.find('.');
  Timestamp ts;
  ts.wall_ns = std::stoll(text.substr(0, dot));
  if (dot != std::string::npos) ts.logical = uint32_t(std::stoul(text.substr(dot + 1)));
  return ts;
}
std::string Show(Timestamp ts) {
  std::string out = std::to_string(ts.wall_ns);
  if (ts.logical != 0) out += "." + std::to_string(ts.logical);
  return out;
}
LockStrength ParseStrength(const std::string& text) {
  if (text == "shared") return LockStrength::kShared;
  if (text == "exclusive") return LockStrength::kExclusive;
  if (text == "intent") return LockStrength::kIntent;
  return LockStrength::kNone;
}
const char* Name(LockStrength strength) {
  static constexpr const char* kNames[] = {"none", "shared", "exclusive", "intent"};
  return kNames[size_t(strength)];
}

struct Txn {
  TxnMeta meta;
  Timestamp read_ts;
  Timestamp limit;
  std::vector<SequenceRange> ignored;
};

class History {
 public:
  explicit History(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  std::string Run(const Command& c) {
    OverlayBatch batch(*engine_);
    std::string out = Dispatch(c, batch);
    EXPECT_TRUE(engine_->Write(batch.TakeBatch(), SyncMode::kNoSync).ok());
    const auto recount = MvccComputeStats(*engine_, "", "\xFF\xFF");
    EXPECT_TRUE(recount.ok()) << recount.status().ToString();
    EXPECT_EQ(recount->ToString(), stats_.ToString()) << c.position;
    return out;
  }

 private:
  std::string Dispatch(const Command& c, OverlayBatch& batch) {
    if (c.name == "txn") return BeginTxn(c);
    if (c.name == "ignore") return Ignore(c);
    if (c.name == "put" || c.name == "del" || c.name == "cput") return Write(c, batch);
    if (c.name == "get" || c.name == "scan") return Read(c);
    if (c.name == "delrange") return DeleteRange(c, batch);
    if (c.name == "lock" || c.name == "check" || c.name == "locks" || c.name == "query") return Lock(c, batch);
    if (c.name == "resolve") return Resolve(c, batch);
    if (c.name == "refresh") {
      return Show(MvccRefresh(batch, c.Get("from"), c.Get("to"), ParseTs(c.Get("since")),
                              ParseTs(c.Get("until")), TxnOf(c)));
    }
    if (c.name == "dump") return Dump();
    return Upkeep(c, batch);
  }

  static bool Word(const Command& c, std::string_view word) {
    return std::find(c.args.begin(), c.args.end(), word) != c.args.end();
  }
  const TxnMeta* TxnOf(const Command& c) { return c.Has("t") ? &txns_[c.Get("t")].meta : nullptr; }
  Timestamp ReadTs(const Command& c) {
    if (c.Has("ts")) return ParseTs(c.Get("ts"));
    return txns_[c.Get("t")].read_ts;
  }

  std::string Show(const Status& status) const {
    if (status.ok()) return "ok\n";
    if (const auto* e = status.payload<LockConflictError>()) {
      std::string out = "lock conflict:";
      for (const LockConflict& lock : e->locks) out += " " + ShowLock(lock);
      return out + "\n";
    }
    if (const auto* e = status.payload<WriteTooOldError>()) {
      return "write too old: " + e->key + " actual=" + storage::Show(e->actual_ts) + "\n";
    }
    if (const auto* e = status.payload<UncertaintyError>()) {
      return "uncertain: " + e->key + " value=" + storage::Show(e->value_ts) + "\n";
    }
    if (const auto* e = status.payload<RefreshFailedError>()) {
      return "refresh failed: " + e->key + " at=" + storage::Show(e->ts) +
             (e->intent ? " " + ShowLock(*e->intent) : "") + "\n";
    }
    if (const auto* e = status.payload<ConditionFailedError>()) {
      return "condition failed: actual=" + e->actual.value_or("<none>") + "\n";
    }
    return std::string(CodeName(status.code())) + "\n";
  }
  static std::string ShowLock(const LockConflict& lock) {
    return lock.key + "/" + Name(lock.strength) + "/" + lock.txn.id.substr(0, 1) + "@" +
           storage::Show(lock.txn.write_ts);
  }

  std::string BeginTxn(const Command& c) {
    Txn& txn = txns_[c.Get("t")];
    txn.meta.id = c.Get("t") + std::string(kTxnIdBytes - c.Get("t").size(), '_');
    txn.meta.anchor_key = "anchor";
    if (c.Has("ts")) txn.meta.write_ts = txn.read_ts = ParseTs(c.Get("ts"));
    if (c.Has("read")) txn.read_ts = ParseTs(c.Get("read"));
    if (c.Has("limit")) txn.limit = ParseTs(c.Get("limit"));
    txn.meta.sequence = uint32_t(c.GetUint("seq", txn.meta.sequence));
    txn.meta.epoch = uint32_t(c.GetUint("epoch", txn.meta.epoch));
    return "ok\n";
  }

  std::string Ignore(const Command& c) {
    Txn& txn = txns_[c.Get("t")];
    txn.ignored.clear();
    for (const std::string& text : c.options.at("seqs")) {
      const size_t dash = text.find('-');
      txn.ignored.push_back({uint32_t(std::stoul(text)), uint32_t(std::stoul(text.substr(dash + 1)))});
    }
    return "ok\n";
  }

  MvccWriteOptions WriteOptions(const Command& c) {
    MvccWriteOptions options;
    options.txn = TxnOf(c);
    if (options.txn != nullptr) options.ignored = &txns_[c.Get("t")].ignored;
    if (Word(c, "forward")) options.too_old = WriteTooOldPolicy::kForward;
    if (Word(c, "1pc")) options.mode = WriteMode::kOnePhase;
    options.stats = &stats_;
    options.record_writer = true;
    return options;
  }

  std::string Write(const Command& c, OverlayBatch& batch) {
    const MvccWriteOptions options = WriteOptions(c);
    const std::string key = c.Get("k");
    const std::string value = c.Get("v");
    const auto Do = [&]() -> StatusOr<MvccWriteResult> {
      if (c.name == "put") return MvccPut(batch, key, ReadTs(c), value, options);
      if (c.name == "del") return MvccDelete(batch, key, ReadTs(c), options);
      std::optional<std::string_view> new_value;
      if (c.Has("v")) new_value = value;
      const std::string expected = c.Get("expect");
      std::optional<std::string_view> expectation;
      if (c.Has("expect")) expectation = expected;
      return MvccConditionalPut(batch, key, ReadTs(c), new_value, expectation,
                                Word(c, "allow-missing") ? IfMissing::kAllow : IfMissing::kFail, options);
    };
    const auto result = Do();
    if (!result.ok()) return Show(result.status());
    return "written at " + storage::Show(result->written_ts) + (result->replaced_value ? " replaced" : "") +
           "\n";
  }

  MvccScanOptions ReadOptions(const Command& c) {
    MvccScanOptions options;
    options.txn = TxnOf(c);
    if (options.txn != nullptr) {
      options.ignored = &txns_[c.Get("t")].ignored;
      options.uncertainty_limit = txns_[c.Get("t")].limit;
    }
    if (c.Has("limit")) options.uncertainty_limit = ParseTs(c.Get("limit"));
    if (Word(c, "skip-locked")) options.lock_policy = LockPolicy::kSkipLocked;
    if (Word(c, "inconsistent")) options.lock_policy = LockPolicy::kInconsistent;
    options.strength = ParseStrength(c.Get("strength"));
    options.rows_max = c.GetUint("max");
    options.bytes_max = c.GetUint("bytes");
    if (Word(c, "reverse")) options.direction = ScanDirection::kReverse;
    return options;
  }

  std::string Read(const Command& c) {
    const MvccScanOptions options = ReadOptions(c);
    if (c.name == "get") {
      const auto value = MvccGet(*engine_, c.Get("k"), ReadTs(c), options);
      if (!value.ok()) return Show(value.status());
      if (!*value) return "<none>\n";
      return (*value)->value + " @" + storage::Show((*value)->ts) + "\n";
    }
    const auto result = MvccScan(*engine_, c.Get("from"), c.Get("to"), ReadTs(c), options);
    if (!result.ok()) return Show(result.status());
    std::string out;
    for (auto row = result->rows.Begin(); row.Next();) {
      out += std::string(row.key()) + " -> " + std::string(row.value()) + "\n";
    }
    for (const LockConflict& lock : result->intents) out += "intent " + ShowLock(lock) + "\n";
    if (result->resume) {
      out += "resume [" + Printable(result->resume->first) + ", " + Printable(result->resume->second) + ")\n";
    }
    return out.empty() ? "<none>\n" : out;
  }

  std::string DeleteRange(const Command& c, OverlayBatch& batch) {
    const auto result = MvccDeleteRange(batch, c.Get("from"), c.Get("to"), ReadTs(c), c.GetUint("max"),
                                        WriteOptions(c));
    if (!result.ok()) return Show(result.status());
    std::string out = "deleted";
    for (const std::string& key : result->keys) out += " " + key;
    if (result->resume) out += ", resume at " + result->resume->first;
    return out + "\n";
  }

  std::string Lock(const Command& c, OverlayBatch& batch) {
    const LockStrength strength = ParseStrength(c.Get("strength"));
    if (c.name == "lock") return Show(MvccAcquireLock(batch, c.Get("k"), strength, *TxnOf(c), &stats_));
    if (c.name == "check") return Show(MvccCheckForConflicts(batch, c.Get("k"), TxnOf(c), strength));
    if (c.name == "query") {
      const auto found = MvccQueryIntent(batch, c.Get("k"), *TxnOf(c));
      if (!found.ok()) return Show(found.status());
      return *found ? "found\n" : "missing\n";
    }
    const auto locks = MvccScanLocks(batch, c.Get("from"), c.Get("to"), c.GetUint("max"));
    if (!locks.ok()) return Show(locks.status());
    std::string out;
    for (const LockConflict& lock : *locks) out += ShowLock(lock) + "\n";
    return out.empty() ? "<none>\n" : out;
  }

  std::string Resolve(const Command& c, OverlayBatch& batch) {
    const Txn& txn = txns_[c.Get("t")];
    LockUpdate update;
    update.start = c.Get("k");
    update.end = c.Get("to");
    update.txn_id = txn.meta.id;
    update.epoch = uint32_t(c.GetUint("epoch", txn.meta.epoch));
    update.status = c.Get("status") == "committed"  ? TxnStatus::kCommitted
                    : c.Get("status") == "aborted" ? TxnStatus::kAborted
                                                   : TxnStatus::kPending;
    update.ts = c.Has("ts") ? ParseTs(c.Get("ts")) : txn.meta.write_ts;
    update.ignored = txn.ignored;
    const auto result = MvccResolveLocks(batch, update, c.GetUint("max"), &stats_);
    if (!result.ok()) return Show(result.status());
    std::string out = "resolved " + std::to_string(result->resolved_count);
    if (result->resume) out += ", resume [" + result->resume->first + ", " + result->resume->second + ")";
    return out + "\n";
  }

  std::string Upkeep(const Command& c, OverlayBatch& batch) {
    if (c.name == "garbage") {
      const auto keys = MvccFindGarbage(batch, c.Get("from"), c.Get("to"), ParseTs(c.Get("threshold")), 0);
      if (!keys.ok()) return Show(keys.status());
      std::string out;
      for (const GcKey& key : *keys) out += key.key + " @" + storage::Show(key.ts) + "\n";
      return out.empty() ? "<none>\n" : out;
    }
    if (c.name == "gc") {
      return Show(MvccGarbageCollect(batch, {GcKey{c.Get("k"), ParseTs(c.Get("ts"))}}, &stats_));
    }
    if (c.name == "split") {
      const auto stats = MvccComputeStats(batch, c.Get("from"), c.Get("to"));
      if (!stats.ok()) return Show(stats.status());
      const auto key = MvccFindSplitKey(batch, c.Get("from"), c.Get("to"), (stats->key_bytes + stats->version_bytes) / 2);
      if (!key.ok()) return Show(key.status());
      return key->value_or("<none>") + "\n";
    }
    if (c.name == "clear") {
      const auto cleared = MvccComputeStats(batch, c.Get("from"), c.Get("to"));
      EXPECT_TRUE(cleared.ok());
      stats_ -= *cleared;
      WriteBatch clear;
      MvccClearRange(clear, c.Get("from"), c.Get("to"));
      EXPECT_TRUE(engine_->Write(clear, SyncMode::kNoSync).ok());
      return "ok\n";
    }
    return "unknown command " + c.name + "\n";
  }

  std::string Dump() {
    std::string out;
    std::string key;
    Timestamp ts;
    auto it = engine_->NewIterator(ColumnFamily::kMvcc, {});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      VersionValue value;
      EXPECT_TRUE(DecodeVersionKey(it->key(), key, ts));
      EXPECT_TRUE(DecodeVersionValue(it->key(), it->value(), value).ok());
      out += key + " @" + storage::Show(ts) + " " +
             (value.tombstone ? "<deleted>" : std::string(value.payload)) + "\n";
    }
    it = engine_->NewIterator(ColumnFamily::kLock, {});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      LockStrength strength;
      std::string txn_id;
      LockRecord record;
      EXPECT_TRUE(DecodeLockKey(it->key(), key, strength, txn_id));
      EXPECT_TRUE(DecodeLockRecord(it->key(), it->value(), record).ok());
      out += ShowLock({key, record.txn, strength}) + " epoch=" + std::to_string(record.txn.epoch) +
             " seq=" + std::to_string(record.txn.sequence);
      for (const SequencedValue& v : record.history) {
        out += " " + std::to_string(v.sequence) + ":" + (v.tombstone ? "<deleted>" : v.value);
      }
      out += "\n";
    }
    return out.empty() ? "<empty>\n" : out;
  }

  std::unique_ptr<Engine> engine_;
  std::map<std::string, Txn> txns_;
  MvccStats stats_;
};

struct MemEngineBase {
  MemEngine base;
};
struct CachedMemEngine : MemEngineBase, CachedEngine {
  CachedMemEngine() : CachedEngine(base, 1 << 20, 1 << 20) {}
};

void RunOn(const std::function<std::unique_ptr<Engine>()>& make_engine) {
  transcript::RunFolder(ORRERY_TESTDATA, [&make_engine]() -> transcript::Handler {
    auto history = std::make_shared<History>(make_engine());
    return [history](const Command& c) { return history->Run(c); };
  });
}

TEST(MvccTranscript, Memory) {
  RunOn([] { return std::make_unique<MemEngine>(); });
}
TEST(MvccTranscript, Cached) {
  RunOn([] { return std::make_unique<CachedMemEngine>(); });
}
TEST(MvccTranscript, RocksDb) {
  RunOn([] {
    StoreOptions options;
    options.memtable_bytes = 1 << 20;
    auto store = OpenStoreInMemory(options);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return std::move(*store);
  });
}

}  // namespace
}  // namespace orrery::storage
