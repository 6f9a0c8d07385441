// Register (W4): reads, writes and compare-and-sets of single keys that lie on several ranges. With clocks
// within their bound each key must be linearizable; with any clocks what was read must have stood there (I13).
#include <charconv>

#include "cli/sim/linearizability.h"
#include "cli/sim/workload.h"
#include "orrery/kv/api/errors.h"

namespace orrery::cli {
namespace {

const std::string kLinearRule = "I13 operations on a key are linearizable";
const std::string kModelRule = "I12 reads equal the model at their timestamp";
const std::string kPresentRule = "I11 what was acknowledged is there, what was refused is not";

class RegisterWorkload final : public Workload {
 public:
  RegisterWorkload(SimCluster& cluster, ClockPromise clocks)
      : cluster_(cluster), report_(cluster.report()), clocks_(clocks), rng_(cluster.options().seed, "register") {
    registers_ = 2 + rng_.Below(6);
    histories_.resize(registers_);
    // A key in use is given up after some operations, so that its history stays checkable.
    rotation_ = 150 + rng_.Below(250);
  }

  Status Setup(ClientEnv&) override { return OkStatus(); }  // a register holds 0 until it is written

  void Step(ClientEnv& env) override {
    const std::optional<size_t> news = env.rng.Percent(20) ? AwaitNews(env.context) : std::nullopt;
    const size_t slot = news.value_or(env.rng.Below(registers_));
    const size_t key = KeyInUse(slot);
    const uint64_t dice = news ? 0 : env.rng.Below(100);
    Entry entry;
    const size_t index = Begin(env, key, entry);
    const runtime::Context context = env.context.WithTimeout(env.rng.Percent(10) ? env.rng.Between(10ms, 1s) : Duration(15s));
    if (dice < 40) {
      Read(env, context, key, entry);
    } else if (dice < 60) {
      Write(env, context, key, entry, nullptr);
    } else if (dice < 80) {  // two registers, often of two ranges: what is acknowledged has intents left
      const size_t second_slot = (slot + 1 + env.rng.Below(registers_ - 1)) % registers_;
      const size_t second = KeyInUse(second_slot);
      Entry other;
      const size_t other_index = Begin(env, second, other);
      other.key = second;
      Write(env, context, key, entry, &other);
      if (other.outcome == Outcome::kCommitted) other.op.returned = cluster_.Now();
      if (other.outcome == Outcome::kCommitted) TellNews(second_slot);
      histories_[second][other_index] = std::move(other);
    } else {
      CompareAndSet(env, context, key, entry);
    }
    if (entry.outcome == Outcome::kCommitted) entry.op.returned = cluster_.Now();
    report_.Count(entry.outcome == Outcome::kCommitted   ? "operations committed"
                  : entry.outcome == Outcome::kUnknown ? "operations of unknown outcome"
                                                       : "operations failed");
    histories_[key][index] = std::move(entry);
  }

  std::string SplitKey(Rng& rng) const override { return Key(rng.Below(histories_.size() + 2)); }

  void Check(SimCluster&, const VersionModel& model) override {
    for (size_t key = 0; key < histories_.size(); ++key) CheckKey(key, model);
  }

 private:
  struct Entry {
    RegisterOp op;
    // An operation that never came back is of unknown outcome.
    Outcome outcome = Outcome::kUnknown;
    bool writes = false;
    size_t key = 0;  // of the second register of a transaction
    Timestamp commit_ts;
    SeenReads seen;
  };

  // The newest key of the slot, or the next one if that has been in use for long enough.
  size_t KeyInUse(size_t slot) {
    size_t key = slot;
    for (size_t k = slot; k < histories_.size(); k += registers_) key = k;
    if (histories_[key].size() < rotation_) return key;
    key += registers_;
    if (histories_.size() <= key) histories_.resize(key + 1);
    return key;
  }
  // An operation that never comes back stays in the history as it is now.
  size_t Begin(const ClientEnv& env, size_t key, Entry& entry) {
    entry.op.who = "client " + std::to_string(env.id) + " on node " + ToString(env.life->node);
    entry.op.invoked = cluster_.Now();
    histories_[key].push_back(entry);
    return histories_[key].size() - 1;
  }
  // Neighbours in the key space belong to different moments: a split parts keys that are in use together.
  std::string Key(size_t key) const {
    std::string digits = std::to_string(key % registers_ * 1000 + key / registers_);
    return kv::TablePrefix(DescriptorId(1002)) + std::string(6 - digits.size(), '0') + digits;
  }
  static uint64_t Parse(const std::optional<std::string>& value) {
    uint64_t number = 0;
    if (value) std::from_chars(value->data(), value->data() + value->size(), number);
    return number;
  }
  uint64_t NewValue() { return ++last_value_; }
  // Waits until somebody has two registers acknowledged: the slot of the second one, to be read at once. Its intent may
  // stand yet, and its timestamp may lie above the clock here (T11, B35). None: nothing came in time.
  std::optional<size_t> AwaitNews(const runtime::Context& context) {
    runtime::MutexLock lock(news_mutex_);
    const uint64_t before = news_count_;
    const Status told = runtime::WaitUntil(context.WithTimeout(250ms), news_mutex_, news_cv_, [&] { return news_count_ != before; });
    if (!told.ok()) return std::nullopt;
    return news_slot_;
  }
  void TellNews(size_t slot) {
    runtime::MutexLock lock(news_mutex_);
    ++news_count_;
    news_slot_ = slot;
    news_cv_.NotifyAll();
  }

  void Read(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry);
  // `other`: written by the same transaction; or null.
  void Write(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry, Entry* other);
  void CompareAndSet(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry);
  void CheckKey(size_t key, const VersionModel& model);

  SimCluster& cluster_;
  RunReport& report_;
  const ClockPromise clocks_;
  Rng rng_;
  size_t registers_;
  size_t rotation_;
  uint64_t last_value_ = 0;
  runtime::Mutex news_mutex_{"news"};
  runtime::CondVar news_cv_;
  uint64_t news_count_ = 0;
  size_t news_slot_ = 0;
  std::vector<std::vector<Entry>> histories_;
};

void RegisterWorkload::Read(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry) {
  entry.op.kind = RegisterOp::Kind::kRead;
  entry.outcome = Outcome::kNotCommitted;
  kv::Batch batch;
  batch.Get(Key(key));
  Status status;
  Timestamp ts;
  const uint64_t how = env.rng.Below(3);
  if (how == 0) {
    status = env.database.Read(context, batch, &ts);
  } else {
    auto txn = env.database.Begin({.isolation = how == 1 ? kv::IsolationLevel::kSerializable : kv::IsolationLevel::kReadCommitted});
    // What was committed before it began is resolved, and the lease moves, before it looks: clocks it has read are old (B35).
    if (env.rng.Percent(30)) {
      const Duration think = env.rng.Percent(70) ? env.rng.Between(0ms, 40ms) : env.rng.Between(40ms, 900ms);
      status = context.runtime().scheduler().SleepFor(context, think);
    }
    if (status.ok()) status = txn->Run(context, batch);
    if (status.ok()) status = txn->Commit(context);
    if (status.ok()) ts = txn->commit_timestamp();
  }
  if (!status.ok() || env.life->fenced) return;
  const auto* got = batch.responses.empty() ? nullptr : std::get_if<kv::GetResponse>(&batch.responses[0]);
  if (!got) return report_.Violate(kModelRule, "malformed answer to a read");
  entry.outcome = Outcome::kCommitted;
  entry.op.value = Parse(got->value);
  entry.seen = {.ts = ts, .keys = {{Key(key), got->value}}, .who = "read of register " + std::to_string(key)};
}

void RegisterWorkload::Write(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry, Entry* other) {
  for (Entry* e : {&entry, other}) {
    if (!e) continue;
    e->op.kind = RegisterOp::Kind::kWrite;
    e->op.value = NewValue();
    e->op.returned = RegisterOp::kNever;
    e->writes = true;
  }
  const auto level = kv::IsolationLevel(env.rng.Below(3));
  auto txn = env.database.Begin({.isolation = level, .name = "write"});
  kv::Batch batch;
  batch.Put(Key(key), std::to_string(entry.op.value));
  if (other) batch.Put(Key(other->key), std::to_string(other->op.value));
  Status status;
  bool commit_sent = true;
  if (env.rng.Percent(60)) {
    status = txn->RunAndCommit(context, batch);
  } else {
    status = txn->Run(context, batch);
    // Under READ COMMITTED it then commits above where its intents stand: they move up when they are resolved (B35).
    if (status.ok() && other && env.rng.Percent(50)) {
      status = context.runtime().scheduler().SleepFor(context, env.rng.Between(10ms, 200ms));
      txn->BeginStatement();
    }
    commit_sent = status.ok();
    if (commit_sent) status = txn->Commit(context);
  }
  entry.outcome = OutcomeOf(env, status, commit_sent);
  entry.commit_ts = entry.outcome == Outcome::kCommitted ? txn->commit_timestamp() : Timestamp();
  if (other) {
    other->outcome = entry.outcome;
    other->commit_ts = entry.commit_ts;
  }
  if (!status.ok()) (void)txn->Rollback(env.context).ok();
}

// Reads, and replaces what it read; or hopes to know what stands there.
void RegisterWorkload::CompareAndSet(ClientEnv& env, const runtime::Context& context, size_t key, Entry& entry) {
  entry.op.kind = RegisterOp::Kind::kCas;
  entry.op.value = NewValue();
  entry.op.returned = RegisterOp::kNever;
  entry.outcome = Outcome::kNotCommitted;
  const auto level = env.rng.Percent(50) ? kv::IsolationLevel::kSerializable : kv::IsolationLevel::kRepeatableRead;
  auto txn = env.database.Begin({.isolation = level, .name = "compare and set"});
  kv::Batch read;
  read.Get(Key(key));
  Status status = txn->Run(context, read);
  bool commit_sent = false;
  if (status.ok()) {
    const auto* got = std::get_if<kv::GetResponse>(&read.responses[0]);
    entry.op.expected = Parse(got->value);
    entry.seen = {.keys = {{Key(key), got->value}}, .who = "compare-and-set of register " + std::to_string(key)};
    kv::Batch write;
    if (env.rng.Percent(50)) {
      write.Put(Key(key), std::to_string(entry.op.value));
    } else {
      write.ConditionalPut(Key(key), std::to_string(entry.op.value), got->value);
    }
    entry.writes = commit_sent = true;
    status = txn->RunAndCommit(context, write);
  }
  entry.outcome = OutcomeOf(env, status, commit_sent);
  if (entry.outcome == Outcome::kCommitted) {
    entry.commit_ts = entry.seen.ts = txn->commit_timestamp();
    entry.seen.written = {Key(key)};
    report_.Count("compare-and-sets committed");
  }
  if (!status.ok()) (void)txn->Rollback(env.context).ok();
}

void RegisterWorkload::CheckKey(size_t key, const VersionModel& model) {
  const std::string name = "register " + std::to_string(key) + ": ";
  std::vector<RegisterOp> history;
  for (const Entry& entry : histories_[key]) {
    if (entry.outcome == Outcome::kCommitted && !entry.seen.keys.empty()) {
      if (const std::string difference = Compare(entry.seen, model); !difference.empty()) report_.Violate(kModelRule, difference);
    }
    if (entry.writes && entry.outcome == Outcome::kCommitted && Parse(model.At(Key(key), entry.commit_ts)) != entry.op.value) {
      report_.Violate(kPresentRule, name + "the write of " + std::to_string(entry.op.value) + " acknowledged at " +
                                        entry.commit_ts.ToString() + " is not there");
    }
    if (entry.outcome == Outcome::kNotCommitted) continue;
    if (entry.op.kind == RegisterOp::Kind::kRead && entry.outcome == Outcome::kUnknown) continue;
    history.push_back(entry.op);
  }
  // What stands there at the end is one more read.
  RegisterOp last;
  last.value = Parse(model.Latest(Key(key)));
  last.invoked = cluster_.Now();
  last.returned = last.invoked + 1;
  last.who = "at the end";
  history.push_back(last);
  report_.Count("histories checked");
  if (clocks_ == ClockPromise::kBroken) return;
  const RegisterVerdict verdict = CheckRegister(std::move(history), 0);
  if (verdict.undecided) report_.Count("histories undecided");
  if (!verdict.linearizable && !verdict.undecided) report_.Violate(kLinearRule, name + verdict.explanation);
}

}  // namespace

std::unique_ptr<Workload> NewRegisterWorkload(SimCluster& cluster, ClockPromise clocks) {
  return std::make_unique<RegisterWorkload>(cluster, clocks);
}

}  // namespace orrery::cli
