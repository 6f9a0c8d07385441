// Load (W5): blocks of rows, each one InsertMany, which replicas ingest; alone, several beside each other as COPY sends
// them, or in transactions, one by one or beside each other, that also do other things. Regions of keys are emptied now and
// then, so that loads meet rows, deleted rows and nothing. A block is there as a whole, where nothing was before, or not at all.
#include <algorithm>

#include "cli/sim/workload.h"
#include "orrery/base/ordered_encoding.h"
#include "orrery/kv/api/errors.h"
#include "orrery/kv/client/loader.h"

namespace orrery::cli {
namespace {

constexpr uint64_t kKeysOfRegion = 60;
const std::string kBlockRule = "I11 a block of rows is all or nothing, and what was acknowledged stays";
const std::string kConditionRule = "I11 rows are inserted where there were none";
const std::string kErasedRule = "I11 what was acknowledged as deleted is gone";
const std::string kSavepointRule = "T30 what is rolled back to a savepoint has no effect";
const std::string kOrderRule = "T19 what a transaction writes keeps its order";
const std::string kSnapshotRule = "I12 reads equal the model at their timestamp";

std::string Prefix() { return kv::TablePrefix(DescriptorId(1002)); }

std::string Key(uint64_t region, uint64_t i) {
  const std::string digits = std::to_string(region * 1000 + i * 10);
  return Prefix() + std::string(6 - digits.size(), '0') + digits;
}

class LoadWorkload final : public Workload {
 public:
  explicit LoadWorkload(SimCluster& cluster) : report_(cluster.report()) {
    Rng rng(cluster.options().seed, "load");
    regions_ = 2 + rng.Below(8);
    padding_ = rng.Percent(50) ? rng.Below(150) : 0;
  }

  Status Setup(ClientEnv&) override { return OkStatus(); }

  void Step(ClientEnv& env) override {
    const uint64_t dice = env.rng.Below(100);
    if (dice < 22) return LoadOne(env);
    if (dice < 32) return LoadSeveral(env);
    if (dice < 47) return LoadInTxn(env);
    if (dice < 62) return Erase(env);
    return Read(env);
  }

  std::string SplitKey(Rng& rng) const override { return Key(rng.Below(regions_), rng.Below(kKeysOfRegion)); }

  void Check(SimCluster& cluster, const VersionModel& model) override;

 private:
  struct Loaded {
    std::vector<std::string> keys;
    Outcome outcome = Outcome::kUnknown;
    Timestamp commit_ts;          // if known
    bool never = false;           // rolled back to a savepoint: nothing of it may be there, whatever the outcome
  };
  struct Erased {
    std::vector<std::string> keys;
    Timestamp ts;
  };

  kv::Span RegionSpan(uint64_t region) const { return {Key(region, 0), Key(region + 1, 0)}; }
  std::string ValueOf(size_t id) const { return std::to_string(id) + "|" + std::string(padding_, 'x'); }
  // Rows of a new block, in the region. Its outcome is unknown until it is noted.
  size_t NewBlock(Rng& rng, uint64_t region, KvBlock& rows);
  void Note(size_t id, Outcome outcome, Timestamp commit_ts = {});
  void LoadOne(ClientEnv& env);
  void LoadSeveral(ClientEnv& env);
  void LoadInTxn(ClientEnv& env);
  void Erase(ClientEnv& env);
  void Read(ClientEnv& env);
  void CheckBlock(size_t id, const VersionModel& model);

  RunReport& report_;
  uint64_t regions_;
  uint64_t padding_;
  std::vector<Loaded> blocks_;
  std::vector<Erased> erased_;
  std::vector<SeenReads> seen_;
};

size_t LoadWorkload::NewBlock(Rng& rng, uint64_t region, KvBlock& rows) {
  const size_t id = blocks_.size();
  Loaded& block = blocks_.emplace_back();
  const uint64_t stride = rng.Percent(60) ? 1 : 1 + rng.Below(4);
  uint64_t i = rng.Below(kKeysOfRegion / 2);
  uint64_t count = rng.Percent(20) ? 1 + rng.Below(3) : 1 + rng.Below(kKeysOfRegion);
  // Over the region's end: blocks of two regions, which are often two ranges.
  for (; count > 0 && i < kKeysOfRegion + 20; i += stride, --count) {
    const uint64_t at = i < kKeysOfRegion ? region : region + 1;
    block.keys.push_back(Key(at, i % kKeysOfRegion));
    rows.Append(block.keys.back(), ValueOf(id));
  }
  return id;
}

void LoadWorkload::Note(size_t id, Outcome outcome, Timestamp commit_ts) {
  blocks_[id].outcome = outcome;
  if (outcome == Outcome::kCommitted) blocks_[id].commit_ts = commit_ts;
  report_.Count(outcome == Outcome::kCommitted ? "blocks committed"
                : outcome == Outcome::kUnknown ? "blocks of unknown outcome"
                                               : "blocks not committed");
  if (outcome == Outcome::kCommitted) report_.Count("operations committed");
}

void LoadWorkload::LoadOne(ClientEnv& env) {
  KvBlock rows;
  const size_t id = NewBlock(env.rng, env.rng.Below(regions_), rows);
  const runtime::Context context = env.context.WithTimeout(env.rng.Percent(10) ? env.rng.Between(20ms, 1s) : Duration(15s));
  const Status status = kv::LoadAlone(context, env.database, "load", std::move(rows));
  Note(id, OutcomeOf(env, status, true));
}

// Blocks that are on their way at the same time. What a failed load has written of them is not known.
void LoadWorkload::LoadSeveral(ClientEnv& env) {
  const runtime::Context context = env.context.WithTimeout(env.rng.Percent(10) ? env.rng.Between(20ms, 1s) : Duration(15s));
  std::vector<size_t> ids;
  Status status;
  {
    kv::Loader loader(context, 1 + env.rng.Below(3), [&env](const runtime::Context& c, KvBlock rows) {
      return kv::LoadAlone(c, env.database, "load", std::move(rows));
    });
    for (uint64_t left = 1 + env.rng.Below(5); left > 0 && status.ok(); --left) {
      KvBlock rows;
      ids.push_back(NewBlock(env.rng, env.rng.Below(regions_), rows));
      status = loader.Write(context, std::move(rows));
    }
    if (status.ok() && env.rng.Percent(90)) {
      status = loader.Finish(context);
    } else if (status.ok()) {
      status = AbortedError("given up on purpose");
    }
  }
  const Outcome outcome = status.ok() && !env.life->fenced ? Outcome::kCommitted : Outcome::kUnknown;
  for (const size_t id : ids) Note(id, outcome);
}

void LoadWorkload::LoadInTxn(ClientEnv& env) {
  Rng& rng = env.rng;
  const runtime::Context context = env.context.WithTimeout(rng.Percent(10) ? rng.Between(20ms, 1s) : Duration(15s));
  auto txn = env.database.Begin({.isolation = kv::IsolationLevel(rng.Below(3)), .name = "load"});
  std::vector<size_t> ids;
  bool commit_sent = false;
  const auto insert = [&](auto run) {
    kv::Batch batch;
    KvBlock rows;
    ids.push_back(NewBlock(rng, rng.Below(regions_), rows));
    batch.InsertMany(std::move(rows));
    return run(batch);
  };
  const auto run = [&](kv::Batch& batch) { return txn->Run(context, batch); };
  Status status;
  if (rng.Percent(30)) {  // a write that waits for its commit, if nothing makes it go out before
    kv::Batch batch;
    const size_t id = blocks_.size();
    ids.push_back(id);
    blocks_.emplace_back().keys.push_back(Key(rng.Below(regions_), rng.Below(kKeysOfRegion)));
    batch.Insert(blocks_[id].keys[0], ValueOf(id));
    status = run(batch);
  }
  if (status.ok() && rng.Percent(20)) {
    const uint32_t savepoint = txn->CreateSavepoint();
    status = insert(run);
    blocks_[ids.back()].never = true;
    if (status.ok()) status = txn->RollbackTo(context, savepoint);
  }
  if (status.ok() && rng.Percent(30)) status = insert(run);
  if (status.ok() && rng.Percent(40)) {
    kv::Loader loader(context, 1 + rng.Below(3), [&txn](const runtime::Context& c, KvBlock rows) {
      kv::Batch batch;
      if (rows.count() > 4) {
        batch.InsertMany(std::move(rows));
      } else {  // as the last rows of a COPY: these are not sent beside others
        for (auto row = rows.Begin(); row.Next();) batch.Insert(row.key(), row.value());
      }
      return txn->RunBeside(c, batch);
    });
    // In order, as a dump has its rows, or with keys in common.
    const uint64_t first = rng.Below(regions_);
    const uint64_t step = rng.Percent(80) ? 2 : 0;
    for (uint64_t i = 0, count = 2 + rng.Below(4); i < count && status.ok(); ++i) {
      KvBlock rows;
      ids.push_back(NewBlock(rng, (first + i * step) % regions_, rows));
      status = loader.Write(context, std::move(rows));
    }
    if (status.ok()) status = loader.Finish(context);
  }
  if (status.ok() && rng.Percent(20)) txn->BeginStatement();
  if (status.ok() && rng.Percent(20)) {
    status = context.runtime().scheduler().SleepFor(context, rng.Percent(10) ? rng.Between(2s, 7s) : rng.Between(10ms, 1s));
  }
  if (status.ok() && rng.Percent(50)) {
    commit_sent = true;
    status = insert([&](kv::Batch& batch) { return txn->RunAndCommit(context, batch); });
  } else if (status.ok()) {
    status = insert(run);
    if (status.ok() && rng.Percent(15)) status = AbortedError("rolled back on purpose");
    commit_sent = status.ok();
    if (status.ok()) status = txn->Commit(context);
  }
  if (status.code() == Code::kInternal) report_.Violate(kOrderRule, "a load was told " + status.ToString());
  const Outcome outcome = OutcomeOf(env, status, commit_sent);
  const Timestamp commit_ts = outcome == Outcome::kCommitted ? txn->commit_timestamp() : Timestamp();
  for (const size_t id : ids) Note(id, outcome, commit_ts);
  if (!status.ok()) (void)txn->Rollback(env.context).ok();
}

void LoadWorkload::Erase(ClientEnv& env) {
  const runtime::Context context = env.context.WithTimeout(15s);
  const kv::Span span = RegionSpan(env.rng.Below(regions_));
  auto txn = env.database.Begin({.isolation = kv::IsolationLevel::kSerializable, .name = "erase"});
  kv::Batch scan;
  scan.Scan(span);
  Status status = txn->Run(context, scan);
  SeenReads seen;
  kv::Batch erase;
  if (status.ok()) {
    const auto* found = std::get_if<kv::ScanResponse>(&scan.responses[0]);
    for (auto row = found->rows.Begin(); row.Next();) {
      seen.keys.emplace_back(row.key(), std::string(row.value()));
      erase.Delete(row.key());
    }
    if (erase.requests.empty()) {
      (void)txn->Rollback(env.context).ok();
      return;
    }
    status = txn->RunAndCommit(context, erase);
  }
  if (!status.ok() || env.life->fenced) {
    report_.Count("erasures that failed");
    if (!status.ok()) (void)txn->Rollback(env.context).ok();
    return;
  }
  report_.Count("operations committed");
  seen.ts = txn->commit_timestamp();
  seen.who = "erasure by client " + std::to_string(env.id);
  seen.span.emplace(span);
  Erased& erased = erased_.emplace_back();
  erased.ts = seen.ts;
  for (const auto& [key, value] : seen.keys) {
    seen.written.insert(key);
    erased.keys.push_back(key);
  }
  seen_.push_back(std::move(seen));
}

void LoadWorkload::Read(ClientEnv& env) {
  const runtime::Context context = env.context.WithTimeout(15s);
  SeenReads seen;
  seen.span.emplace(env.rng.Percent(40) ? kv::Span{Key(0, 0), Key(regions_ + 1, 0)} : RegionSpan(env.rng.Below(regions_)));
  kv::Batch batch;
  batch.Scan(*seen.span, env.rng.Percent(30) ? kv::Direction::kReverse : kv::Direction::kForward);
  Status status;
  if (env.rng.Percent(30)) {
    status = env.database.Read(context, batch, &seen.ts);
  } else {
    const auto isolation = kv::IsolationLevel(env.rng.Below(3));
    auto txn = env.database.Begin({.isolation = isolation, .name = "read"});
    status = txn->Run(context, batch);
    seen.ts = txn->read_timestamp();
    if (status.ok()) status = txn->Commit(context);
    if (status.ok() && isolation == kv::IsolationLevel::kSerializable) seen.ts = txn->commit_timestamp();
    if (!status.ok()) (void)txn->Rollback(env.context).ok();
  }
  const auto* found = batch.responses.empty() ? nullptr : std::get_if<kv::ScanResponse>(&batch.responses[0]);
  if (!status.ok() || env.life->fenced || found == nullptr) {
    report_.Count("reads failed");
    return;
  }
  for (auto row = found->rows.Begin(); row.Next();) seen.keys.emplace_back(row.key(), std::string(row.value()));
  seen.who = "scan by client " + std::to_string(env.id);
  seen_.push_back(std::move(seen));
}

void LoadWorkload::CheckBlock(size_t id, const VersionModel& model) {
  const Loaded& block = blocks_[id];
  const std::string name = "block " + std::to_string(id);
  const std::string value = ValueOf(id);
  size_t found = 0;
  Timestamp ts;
  for (const std::string& key : block.keys) {
    const std::vector<Timestamp> times = model.TimesOf(key, value);
    if (times.empty()) continue;
    if (found++ == 0) ts = times[0];
    if (times.size() > 1 || times[0] != ts) {
      report_.Violate(kBlockRule, name + " stands at several timestamps, one of them " + ts.ToString());
    }
    if (const auto before = model.At(key, times[0].Prev())) {
      report_.Violate(kConditionRule, name + " was put over \"" + before->substr(0, 20) + "\"");
    }
  }
  if (block.never) {
    if (found > 0) report_.Violate(kSavepointRule, name + " was rolled back, but " + std::to_string(found) + " of its rows are there");
    return;
  }
  if (found != 0 && found != block.keys.size()) {
    report_.Violate(kBlockRule, name + " has " + std::to_string(found) + " of " + std::to_string(block.keys.size()) + " rows");
  }
  if (found != 0 && block.outcome == Outcome::kNotCommitted) {
    report_.Violate(kBlockRule, name + " was reported as not committed, but is there");
  }
  if (found == 0 && block.outcome == Outcome::kCommitted) report_.Violate(kBlockRule, name + " was acknowledged and is gone");
  if (found != 0 && !block.commit_ts.IsZero() && block.commit_ts != ts) {
    report_.Violate(kBlockRule, name + " was committed at " + block.commit_ts.ToString() + " and stands at " + ts.ToString());
  }
  if (found != 0 && block.outcome == Outcome::kUnknown) report_.Count("unknown outcomes that had committed");
  if (found > 1) report_.Count("rows of blocks found", found);
}

void LoadWorkload::Check(SimCluster&, const VersionModel& model) {
  for (size_t id = 0; id < blocks_.size(); ++id) CheckBlock(id, model);
  for (const Erased& erased : erased_) {
    for (const std::string& key : erased.keys) {
      if (const auto value = model.At(key, erased.ts)) {
        report_.Violate(kErasedRule, Printable(key) + " held \"" + value->substr(0, 20) + "\" at " + erased.ts.ToString());
      }
    }
  }
  for (const SeenReads& seen : seen_) {
    if (const std::string difference = Compare(seen, model); !difference.empty()) report_.Violate(kSnapshotRule, difference);
  }
  report_.Count("reads compared with the model", seen_.size());
}

}  // namespace

std::unique_ptr<Workload> NewLoadWorkload(SimCluster& cluster) { return std::make_unique<LoadWorkload>(cluster); }

}  // namespace orrery::cli
