// Bank (W3): money moves between accounts that lie on several ranges; none appears or vanishes. Each transfer
// also leaves a row of its own, so that the end shows which ones happened: the balances must follow from them.
#include <algorithm>
#include <charconv>
#include <numeric>

#include "cli/sim/workload.h"
#include "orrery/base/ordered_encoding.h"
#include "orrery/kv/api/errors.h"

namespace orrery::cli {
namespace {

constexpr int64_t kInitialBalance = 100;
constexpr int kAttemptsMax = 5;
constexpr uint64_t kNeverRows = 99'000'000;  // rows from here on are always rolled back
const std::string kTransferRule = "I11 a transaction is all or nothing, and what was acknowledged stays";
const std::string kSavepointRule = "T30 what is rolled back to a savepoint has no effect";
const std::string kSnapshotRule = "I12 reads equal the model at their timestamp";
const std::string kSumRule = "W3 the sum of all balances is constant in one snapshot";

std::string AccountPrefix() { return kv::TablePrefix(DescriptorId(1000)); }
std::string TransferPrefix() { return kv::TablePrefix(DescriptorId(1001)); }

std::string Numbered(std::string prefix, uint64_t number) {
  std::string digits = std::to_string(number);
  return prefix + std::string(8 - digits.size(), '0') + digits;
}

int64_t BalanceOf(std::string_view value) {
  int64_t balance = 0;
  std::from_chars(value.data(), value.data() + value.size(), balance);
  return balance;
}

}  // namespace

Outcome OutcomeOf(const ClientEnv& env, const Status& status, bool commit_sent) {
  if (!commit_sent) return Outcome::kNotCommitted;
  if (env.life->fenced) return Outcome::kUnknown;
  if (status.ok()) return Outcome::kCommitted;
  return status.code() == Code::kAmbiguous ? Outcome::kUnknown : Outcome::kNotCommitted;
}

namespace {

class BankWorkload final : public Workload {
 public:
  explicit BankWorkload(SimCluster& cluster) : cluster_(cluster), report_(cluster.report()) {
    Rng rng(cluster.options().seed, "bank");
    accounts_ = rng.Percent(15) ? 40 : 4 + rng.Below(28);  // 40: more than a write buffer takes at once
    padding_ = rng.Percent(40) ? rng.Below(400) : 0;
    hot_ = rng.Percent(50);
    lock_storm_ = rng.Percent(25);
  }

  Status Setup(ClientEnv& env) override {
    return env.database.RunTxn(env.context, "setup", [&](kv::Txn& txn) {
      kv::Batch batch;
      for (uint64_t i = 0; i < accounts_; ++i) batch.Put(Account(i), Value(kInitialBalance));
      return txn.Run(env.context, batch);
    });
  }

  void Step(ClientEnv& env) override {
    const uint64_t dice = env.rng.Below(100);
    if (dice < 60) return Transfer(env);
    if (dice < 75) return ReadAll(env, kv::IsolationLevel::kSerializable);
    if (dice < 82) return ReadAll(env, kv::IsolationLevel::kRepeatableRead);
    if (dice < 92) return ReadAll(env, kv::IsolationLevel::kReadCommitted);
    return ReadWithoutTxn(env);
  }

  std::string SplitKey(Rng& rng) const override {
    if (rng.Percent(70)) return Account(rng.Below(accounts_));
    return Numbered(TransferPrefix(), rng.Below(std::max<uint64_t>(transfers_.size(), 1)) * 3);
  }

  void Check(SimCluster& cluster, const VersionModel& model) override;

 private:
  struct Movement {
    std::vector<std::pair<uint64_t, int64_t>> changes;  // of balances, by account
    Outcome outcome = Outcome::kUnknown;
    std::string row;  // what its own row holds if it happened
    Timestamp commit_ts;
  };
  // How one transfer is to be done, drawn before it begins.
  struct Plan {
    uint64_t id = 0;
    uint64_t from = 0;
    uint64_t to = 0;
    int64_t amount = 0;
    enum class Width : uint8_t { kPair, kAllByGets, kAllByScan } width = Width::kPair;  // all: one gives to each other
    kv::IsolationLevel isolation = kv::IsolationLevel::kSerializable;
    kv::LockStrength lock = kv::LockStrength::kNone;
    // Unreplicated ones go with their lease (B44).
    kv::LockDurability durability = kv::LockDurability::kReplicated;
    // Read and not written: the commit depends on it nevertheless (T12, write skew).
    std::optional<uint64_t> witness;
    bool insert_row = false;  // so that all writes may wait for the commit
    bool new_statement = false;
    bool commit_with_writes = false;
    bool one_by_one = false;
    bool savepoint = false;
    bool give_up = false;
    Duration think{0};       // between reading and writing
    Duration think_late{0};  // between writing and committing: others meet its locks, push it, wait for it
  };

  std::string Account(uint64_t i) const { return Numbered(AccountPrefix(), i * 10); }
  std::string Row(uint64_t id) const { return Numbered(TransferPrefix(), (id * 7919) % 10'000'000); }
  std::string Value(int64_t balance) const { return std::to_string(balance) + "|" + std::string(padding_, 'x'); }
  kv::Span AccountSpan() const { return {AccountPrefix(), kv::TablePrefix(DescriptorId(1001))}; }

  Plan MakePlan(ClientEnv& env);
  void Redirect(Rng& rng, Plan& plan) const;
  std::vector<uint64_t> AccountsOf(const Plan& plan) const;  // in the order in which they are read
  void Decide(const Plan& plan, const SeenReads& seen, Movement& movement, kv::Batch& writes) const;
  void Transfer(ClientEnv& env);
  Status TransferOnce(ClientEnv& env, const runtime::Context& context, const Plan& plan, kv::Txn& txn, Movement& movement,
                      SeenReads& seen, bool& commit_sent);
  Status WriteAndCommit(const runtime::Context& context, const Plan& plan, kv::Txn& txn, kv::Batch& writes, bool& commit_sent);
  void ReadAll(ClientEnv& env, kv::IsolationLevel isolation);
  void ReadWithoutTxn(ClientEnv& env);
  void CheckSum(const SeenReads& seen);
  bool Collect(const kv::Batch& batch, SeenReads& seen);

  SimCluster& cluster_;
  RunReport& report_;
  uint64_t accounts_;
  uint64_t padding_;
  bool hot_;
  bool lock_storm_;  // transfers of many statements whose locks may get lost on the way (B44)
  std::vector<Movement> transfers_;
  std::vector<SeenReads> seen_;
};

BankWorkload::Plan BankWorkload::MakePlan(ClientEnv& env) {
  Rng& rng = env.rng;
  Plan plan;
  plan.id = transfers_.size();
  const uint64_t choice = hot_ && rng.Percent(50) ? std::min<uint64_t>(accounts_, 3) : accounts_;
  plan.from = rng.Below(choice);
  plan.to = (plan.from + 1 + rng.Below(choice - 1)) % choice;
  plan.amount = int64_t(1 + rng.Below(20));
  if (rng.Percent(12)) plan.width = rng.Percent(50) ? Plan::Width::kAllByGets : Plan::Width::kAllByScan;
  const uint64_t level = rng.Below(10);
  plan.isolation = level < 5   ? kv::IsolationLevel::kSerializable
                   : level < 7 ? kv::IsolationLevel::kRepeatableRead
                               : kv::IsolationLevel::kReadCommitted;
  // Under READ COMMITTED only a lock keeps what was read from changing before it is written (W17).
  if (plan.isolation == kv::IsolationLevel::kReadCommitted || rng.Percent(25)) plan.lock = kv::LockStrength::kExclusive;
  if (rng.Percent(50)) plan.durability = kv::LockDurability::kUnreplicated;
  const uint64_t witness = rng.Below(accounts_);
  const bool distinct = witness != plan.from && witness != plan.to && plan.width == Plan::Width::kPair;
  if (distinct && rng.Percent(50)) plan.witness = witness;
  plan.insert_row = rng.Percent(60);
  plan.commit_with_writes = rng.Percent(50);
  plan.one_by_one = rng.Percent(20);
  plan.savepoint = rng.Percent(15);
  plan.give_up = rng.Percent(7);
  // Writes that wait for the commit are conditional on what was read; else only a replicated lock lasts from one
  // statement to the next.
  const bool buffered = plan.width == Plan::Width::kPair && plan.insert_row && !plan.savepoint;
  const bool protected_row = plan.durability == kv::LockDurability::kReplicated || buffered;
  plan.new_statement = plan.lock == kv::LockStrength::kExclusive && protected_row && rng.Percent(30);
  if (rng.Percent(8)) plan.think = rng.Between(10ms, 2s);
  if (lock_storm_ && rng.Percent(80)) {
    plan.isolation = kv::IsolationLevel::kReadCommitted;
    plan.width = Plan::Width::kPair;
    plan.witness.reset();
    plan.lock = kv::LockStrength::kExclusive;
    plan.durability = kv::LockDurability::kUnreplicated;
    plan.insert_row = plan.new_statement = true;
    plan.savepoint = false;
    if (rng.Percent(50)) plan.think = rng.Between(1ms, 200ms);
    if (rng.Percent(12)) plan.think = rng.Between(1s, 4s);  // as long as another node needs to take the range over
  }
  if (rng.Percent(10)) plan.think_late = rng.Percent(10) ? rng.Between(2s, 7s) : rng.Between(10ms, 1s);
  return plan;
}

// The money goes to somebody else.
void BankWorkload::Redirect(Rng& rng, Plan& plan) const {
  if (plan.width != Plan::Width::kPair) return;
  plan.to = (plan.from + 1 + rng.Below(accounts_ - 1)) % accounts_;
  if (plan.witness == plan.to) plan.witness.reset();
}

void BankWorkload::Transfer(ClientEnv& env) {
  Plan plan = MakePlan(env);
  transfers_.push_back({});
  const runtime::Context context = env.context.WithTimeout(env.rng.Percent(10) ? env.rng.Between(20ms, 1s) : Duration(15s));
  Movement movement = transfers_.back();
  SeenReads seen;
  bool commit_sent = false;
  auto txn = env.database.Begin({.isolation = plan.isolation, .name = "transfer"});
  Status status;
  for (int attempt = 0;; ++attempt) {
    commit_sent = false;
    status = TransferOnce(env, context, plan, *txn, movement, seen, commit_sent);
    if (!kv::GetError<kv::TxnRetryError>(status) || attempt == kAttemptsMax || env.life->fenced) break;
    report_.Count("transaction retries");
    if (!txn->Restart(context, status).ok()) break;
    // What an attempt has written is void if the next one does something else (B36).
    if (env.rng.Percent(40)) Redirect(env.rng, plan);
    // What an attempt has left behind keeps later writes from waiting, and so from being conditional: a lock in memory
    // protects them within their statement only (B44).
    if (plan.durability == kv::LockDurability::kUnreplicated) plan.new_statement = false;
  }
  movement.outcome = OutcomeOf(env, status, commit_sent);
  if (movement.outcome == Outcome::kCommitted) {
    movement.commit_ts = txn->commit_timestamp();
    report_.Count("transfers committed");
    seen.who = "transfer " + std::to_string(plan.id);
    // Under REPEATABLE READ the reads are of the snapshot, which may be where the writes stand as well.
    if (plan.isolation == kv::IsolationLevel::kSerializable) seen.ts = movement.commit_ts;
    if (seen.ts == movement.commit_ts) {
      for (const auto& [account, change] : movement.changes) seen.written.insert(Account(account));
    }
    if (plan.isolation == kv::IsolationLevel::kSerializable) {
      seen_.push_back(seen);
    } else if (plan.isolation == kv::IsolationLevel::kRepeatableRead && plan.lock == kv::LockStrength::kNone) {
      seen_.push_back(seen);
    }
  } else {
    report_.Count(movement.outcome == Outcome::kUnknown ? "transfers of unknown outcome" : "transfers not committed");
    if (!status.ok()) (void)txn->Rollback(env.context).ok();
  }
  transfers_[plan.id] = movement;
}

Status BankWorkload::TransferOnce(ClientEnv& env, const runtime::Context& context, const Plan& plan, kv::Txn& txn,
                                  Movement& movement, SeenReads& seen, bool& commit_sent) {
  seen = {};
  movement.row.clear();
  movement.changes.clear();
  kv::Batch reads;
  if (plan.width == Plan::Width::kAllByScan) {
    reads.Scan(AccountSpan(), kv::Direction::kForward, plan.lock, plan.durability);
    seen.span.emplace(AccountSpan());
  } else {
    for (const uint64_t account : AccountsOf(plan)) reads.Get(Account(account), plan.lock, plan.durability);
  }
  RETURN_IF_ERROR(txn.Run(context, reads));
  seen.ts = txn.read_timestamp();
  const bool complete = Collect(reads, seen) && seen.keys.size() == AccountsOf(plan).size() &&
                        std::all_of(seen.keys.begin(), seen.keys.end(), [](const auto& row) { return row.second.has_value(); });
  if (!complete) {
    report_.Violate(kTransferRule, "an account has vanished");
    return InternalError("an account has vanished");
  }
  if (plan.witness) {
    kv::Batch more;
    more.Get(Account(*plan.witness));
    RETURN_IF_ERROR(txn.Run(context, more));
    seen.ts = txn.read_timestamp();  // an uncertain value moves the whole snapshot, by a refresh
    (void)Collect(more, seen);  // an answer that is not one differs from the model
  }
  if (plan.think > Duration(0)) RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, plan.think));
  if (plan.new_statement) txn.BeginStatement();
  if (plan.savepoint) {
    const uint32_t savepoint = txn.CreateSavepoint();
    kv::Batch wrong;
    wrong.Put(Account(plan.from), Value(-1'000'000));
    wrong.Put(Numbered(TransferPrefix(), kNeverRows + plan.id % 1000), "never");
    RETURN_IF_ERROR(txn.Run(context, wrong));
    RETURN_IF_ERROR(txn.RollbackTo(context, savepoint));
  }
  kv::Batch writes;
  Decide(plan, seen, movement, writes);
  if (plan.give_up) {
    RETURN_IF_ERROR(txn.Run(context, writes));
    report_.Count("transfers rolled back on purpose");
    return AbortedError("rolled back on purpose");
  }
  (void)env;
  return WriteAndCommit(context, plan, txn, writes, commit_sent);
}

std::vector<uint64_t> BankWorkload::AccountsOf(const Plan& plan) const {
  if (plan.width == Plan::Width::kPair) return {plan.from, plan.to};
  std::vector<uint64_t> all(accounts_);
  std::iota(all.begin(), all.end(), uint64_t{0});
  return all;
}

// From what was read: who gives how much to whom, and the writes that make it so. Nothing if there is no money.
void BankWorkload::Decide(const Plan& plan, const SeenReads& seen, Movement& movement, kv::Batch& writes) const {
  const std::vector<uint64_t> accounts = AccountsOf(plan);
  std::vector<int64_t> balances;
  for (const auto& [key, value] : seen.keys) balances.push_back(BalanceOf(value.value_or("0")));
  std::vector<int64_t> changes(accounts.size(), 0);
  if (plan.width == Plan::Width::kPair) {
    const int64_t amount = std::min(plan.amount, balances[0]);
    changes = {-amount, amount};
  } else if (balances[plan.from] >= int64_t(accounts_)) {
    std::fill(changes.begin(), changes.end(), 1);
    changes[plan.from] = 1 - int64_t(accounts_);
  }
  for (size_t i = 0; i < accounts.size(); ++i) {
    if (changes[i] == 0) continue;
    movement.changes.emplace_back(accounts[i], changes[i]);
    movement.row += (movement.row.empty() ? std::to_string(plan.id) + ":" : " ") + std::to_string(accounts[i]) +
                    (changes[i] < 0 ? "" : "+") + std::to_string(changes[i]);
    writes.Put(Account(accounts[i]), Value(balances[i] + changes[i]));
  }
  if (movement.row.empty()) return;
  if (plan.insert_row) {
    writes.Insert(Row(plan.id), movement.row);
  } else {
    writes.Put(Row(plan.id), movement.row);
  }
}

Status BankWorkload::WriteAndCommit(const runtime::Context& context, const Plan& plan, kv::Txn& txn, kv::Batch& writes,
                                    bool& commit_sent) {
  if (plan.one_by_one) {
    for (const auto& request : writes.requests) {
      kv::Batch one;
      one.requests.push_back(request);
      RETURN_IF_ERROR(txn.Run(context, one));
    }
  } else if (plan.commit_with_writes && !writes.requests.empty()) {
    commit_sent = true;
    return txn.RunAndCommit(context, writes);
  } else {
    RETURN_IF_ERROR(txn.Run(context, writes));
  }
  if (plan.think_late > Duration(0)) RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, plan.think_late));
  commit_sent = true;
  return txn.Commit(context);
}

// Adds the rows and values of the batch's answers to what was seen. False if one is malformed.
bool BankWorkload::Collect(const kv::Batch& batch, SeenReads& seen) {
  if (batch.responses.size() != batch.requests.size()) return false;
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    if (const auto* get = std::get_if<kv::GetRequest>(&batch.requests[i])) {
      const auto* got = std::get_if<kv::GetResponse>(&batch.responses[i]);
      if (!got) return false;
      seen.keys.emplace_back(get->key, got->value);
    } else if (const auto* rows = std::get_if<kv::ScanResponse>(&batch.responses[i])) {
      for (auto row = rows->rows.Begin(); row.Next();) seen.keys.emplace_back(row.key(), std::string(row.value()));
      if (rows->resume) return false;
    }
  }
  return true;
}

void BankWorkload::CheckSum(const SeenReads& seen) {
  int64_t sum = 0;
  for (const auto& [key, value] : seen.keys) sum += BalanceOf(value.value_or("0"));
  report_.Count("whole-table reads");
  const int64_t expected = int64_t(accounts_) * kInitialBalance;
  if (sum != expected || seen.keys.size() != accounts_) {
    report_.Violate(kSumRule, seen.who + " at " + seen.ts.ToString() + ": " + std::to_string(seen.keys.size()) + " of " +
                                  std::to_string(accounts_) + " accounts, sum " + std::to_string(sum) + " instead of " +
                                  std::to_string(expected));
  }
}

void BankWorkload::ReadAll(ClientEnv& env, kv::IsolationLevel isolation) {
  const runtime::Context context = env.context.WithTimeout(15s);
  auto txn = env.database.Begin({.isolation = isolation, .name = "read all"});
  SeenReads seen;
  const bool halves = isolation != kv::IsolationLevel::kReadCommitted && env.rng.Percent(40);
  const kv::Span all = AccountSpan();
  const std::string middle = Account(accounts_ / 2);
  std::vector<kv::Span> parts = {all};
  if (halves) parts = {{middle, all.end}, {all.start, middle}};
  Status status;
  for (const kv::Span& part : parts) {
    kv::Batch batch;
    batch.Scan(part, env.rng.Percent(20) ? kv::Direction::kReverse : kv::Direction::kForward);
    status = txn->Run(context, batch);
    if (!status.ok()) break;
    if (!Collect(batch, seen)) status = DataLossError("malformed answer to a scan");
  }
  seen.ts = txn->read_timestamp();
  if (status.ok()) status = txn->Commit(context);
  if (!status.ok() || env.life->fenced) {
    report_.Count("reads failed");
    if (!status.ok()) (void)txn->Rollback(env.context).ok();
    return;
  }
  if (isolation == kv::IsolationLevel::kSerializable) seen.ts = txn->commit_timestamp();
  constexpr const char* kNames[] = {"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};
  seen.who = std::string(kNames[size_t(isolation)]) + (halves ? " scan in halves" : " scan") + " by client " + std::to_string(env.id);
  seen.span.emplace(all);
  CheckSum(seen);
  seen_.push_back(std::move(seen));
}

void BankWorkload::ReadWithoutTxn(ClientEnv& env) {
  kv::Batch batch;
  batch.Scan(AccountSpan());
  SeenReads seen;
  const Status status = env.database.Read(env.context.WithTimeout(15s), batch, &seen.ts);
  if (!status.ok() || env.life->fenced || !Collect(batch, seen)) {
    report_.Count("reads failed");
    return;
  }
  seen.who = "read without a transaction by client " + std::to_string(env.id);
  seen.span.emplace(AccountSpan());
  CheckSum(seen);
  seen_.push_back(std::move(seen));
}

void BankWorkload::Check(SimCluster&, const VersionModel& model) {
  std::vector<int64_t> balances(accounts_, kInitialBalance);
  for (size_t id = 0; id < transfers_.size(); ++id) {
    const Movement& t = transfers_[id];
    const auto row = model.Latest(Row(id));
    const std::string name = "transfer " + std::to_string(id);
    if (row && *row != t.row) {
      report_.Violate(kTransferRule, name + " left \"" + *row + "\" instead of \"" + t.row + "\"");
    } else if (row && t.outcome == Outcome::kNotCommitted) {
      report_.Violate(kTransferRule, name + " was reported as not committed, but its row is there");
    } else if (!row && t.outcome == Outcome::kCommitted && !t.row.empty()) {
      report_.Violate(kTransferRule, name + " was acknowledged at " + t.commit_ts.ToString() + ", but its row is gone");
    }
    if (!row) continue;
    if (t.outcome == Outcome::kUnknown) report_.Count("unknown outcomes that had committed");
    for (const auto& [account, change] : t.changes) balances[account] += change;
  }
  const kv::Span never{Numbered(TransferPrefix(), kNeverRows), ordered::PrefixEnd(TransferPrefix())};
  for (const auto& [key, value] : model.ScanAt(never, Timestamp::Max())) {
    report_.Violate(kSavepointRule, Printable(key) + " holds \"" + value + "\"");
  }
  for (uint64_t i = 0; i < accounts_; ++i) {
    const auto value = model.Latest(Account(i));
    if (value && BalanceOf(*value) == balances[i]) continue;
    report_.Violate(kTransferRule, "account " + std::to_string(i) + " holds " + value.value_or("nothing").substr(0, 20) +
                                       ", the transfers that happened make " + std::to_string(balances[i]));
  }
  for (const SeenReads& seen : seen_) {
    if (const std::string difference = Compare(seen, model); !difference.empty()) report_.Violate(kSnapshotRule, difference);
  }
  report_.Count("reads compared with the model", seen_.size());
}

}  // namespace

std::unique_ptr<Workload> NewBankWorkload(SimCluster& cluster) { return std::make_unique<BankWorkload>(cluster); }

}  // namespace orrery::cli
