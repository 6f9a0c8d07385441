// Where is each request blocked, and who is let on when something ends: testdata/ tells it in small stories.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "orrery/base/hash.h"
#include "orrery/kv/concurrency/concurrency_manager.h"
#include "support/transcript.h"

namespace orrery::kv {
namespace {

struct Named : Admission {
  Named(std::string n, AdmissionSpec spec) : Admission(std::move(spec)), name(std::move(n)) {}
  std::string name;
};

class Story {
 public:
  std::string Run(const transcript::Command& c) {
    Woken woken;
    std::string out = Do(c, woken);
    for (Admission* w : woken) out += "woken: " + static_cast<Named*>(w)->name + "\n";
    return out;
  }

 private:
  TxnMeta Txn(const transcript::Command& c) {
    TxnMeta txn{.id = c.Get("txn"), .anchor_key = "a"};
    txn.write_ts = {int64_t(c.GetUint("ts")), 0};
    return txn;
  }
  static LockStrength Strength(const std::string& name) {
    if (name == "shared") return LockStrength::kShared;
    if (name == "exclusive") return LockStrength::kExclusive;
    return name == "intent" ? LockStrength::kIntent : LockStrength::kNone;
  }
  static TxnStatus Status(const std::string& name) {
    if (name == "committed") return TxnStatus::kCommitted;
    return name == "aborted" ? TxnStatus::kAborted : TxnStatus::kPending;
  }
  std::string_view Keep(std::string text) { return *texts_.emplace_back(std::make_unique<std::string>(std::move(text))); }
  SpanRef SpanOfText(const std::string& text) {  // "k" or "a-c"
    const size_t dash = text.find('-');
    if (dash == std::string::npos) return Keep(text);
    return {Keep(text.substr(0, dash)), Keep(text.substr(dash + 1))};
  }
  Named& At(const std::string& name) { return *requests_.at(name); }

  std::string Show(const std::string& name, const Outcome& outcome) {
    switch (outcome.kind) {
      case Outcome::Kind::kProceed: return name + ": proceeds\n";
      case Outcome::Kind::kWaitLatch: return name + ": waits for a latch\n";
      case Outcome::Kind::kWaitLock: return name + ": " + ShowWait(outcome.lock) + "\n";
      case Outcome::Kind::kResolve: break;
    }
    std::string out;
    for (const auto& r : outcome.resolve) {
      out += name + ": resolves " + r.span.start + " of " + r.txn.id + " as " +
             (r.status == TxnStatus::kCommitted ? "committed" : r.status == TxnStatus::kAborted ? "aborted" : "pushed") +
             " at " + std::to_string(r.txn.write_ts.wall_ns) + "\n";
    }
    return out;
  }
  static std::string ShowWait(const LockWait& wait) {
    static constexpr const char* kPush[] = {"timestamp", "abort", "query"};
    std::string out = "waits at " + wait.key + (wait.is_claim ? " behind " : " held by ") + wait.holder.id;
    out += ", push " + std::string(kPush[int(wait.push)]) + " after " + std::to_string(wait.push_after / 1ms) + " ms";
    return wait.fail_if_pending ? out + ", fails if pending" : out;
  }

  std::string Do(const transcript::Command& c, Woken& woken) {
    const std::string name = c.args.empty() ? "" : c.args[0];
    if (c.name == "request") return Request(c, name, woken);
    if (c.name == "sequence") return Show(name, manager_.Sequence(At(name), woken));
    if (c.name == "conflict") {
      storage::LockConflict conflict{c.Get("key"), Txn(c), Strength(c.Get("strength", "intent"))};
      return Show(name, manager_.HandleLockConflict(At(name), {conflict}, woken));
    }
    if (c.name == "acquired") {
      manager_.OnLockAcquired(Txn(c), c.Get("key"), Strength(c.Get("strength", "exclusive")),
                              c.Has("replicated") ? LockDurability::kReplicated : LockDurability::kUnreplicated);
      return "ok\n";
    }
    if (c.name == "updated") {
      manager_.OnLockUpdated(Txn(c), Status(c.Get("status")), SpanOfText(c.Get("key")), woken);
      return "ok\n";
    }
    if (c.name == "record") {
      TxnRecord record{.meta = Txn(c), .status = Status(c.Get("status"))};
      if (c.Has("locks")) {
        const SpanRef span = SpanOfText(c.Get("locks"));
        record.lock_spans.push_back({std::string(span.start), std::string(span.end)});
      }
      manager_.OnTxnRecord(record, woken);
      return "ok\n";
    }
    if (c.name == "push") {
      auto target = manager_.PushTarget(At(name));
      return name + ": " + (target ? ShowWait(*target) : "nobody to push") + "\n";
    }
    if (c.name == "locked") {
      return manager_.IsLocked(At(name), c.Get("key"), Strength(c.Get("strength", "exclusive"))) ? "locked\n" : "free\n";
    }
    if (c.name == "finish") {
      manager_.Finish(At(name), woken);
      requests_.erase(name);
      return "ok\n";
    }
    if (c.name == "lease-lost") {
      manager_.OnLeaseLost(woken);
      return "ok\n";
    }
    if (c.name == "export") return Export(name, c.Has("bytes") ? c.GetUint("bytes") : 1000);
    if (c.name == "import") {
      manager_.ImportLocks(exported_);
      return "ok\n";
    }
    if (c.name == "split") {
      manager_.OnSplit(name, woken);
      return "ok\n";
    }
    if (c.name == "table") return manager_.lock_count() == 0 ? "empty\n" : manager_.DebugString();
    return "unknown command " + c.name + "\n";
  }

  std::string Export(const std::string& start, size_t bytes) {
    auto [locks, complete] = manager_.ExportLocks(start, bytes);
    std::string out;
    for (const TxnLocks& of : locks.txns) {
      out += of.txn.id + ":";
      for (const HeldLock& lock : of.locks) out += " " + lock.key + (lock.strength == LockStrength::kShared ? " shared" : "");
      out += "\n";
    }
    exported_ = std::move(locks);
    return out + (complete ? (manager_.idle() ? "exact\n" : "requests are under way\n") : "incomplete\n");
  }

  std::string Request(const transcript::Command& c, const std::string& name, Woken& woken) {
    AdmissionSpec spec;
    const Timestamp ts{int64_t(c.GetUint("ts")), 0};
    if (c.Has("txn")) {
      txns_.push_back(std::make_unique<TxnMeta>(Txn(c)));
      spec.txn = txns_.back().get();
    }
    spec.read_ts = ts;
    const std::string wait = c.Get("wait");
    spec.wait = wait == "nowait" ? WaitPolicy::kError : wait == "skip" ? WaitPolicy::kSkip : WaitPolicy::kBlock;
    for (const auto& [option, values] : c.options) {
      const bool read = option == "read";
      if (!read && option != "write" && option != "shared" && option != "exclusive") continue;
      for (const std::string& value : values) {
        const SpanRef span = SpanOfText(value);
        spec.latches.push_back({span, read ? Access::kRead : Access::kWrite, ts});
        spec.locks.push_back({span, option == "write" ? LockStrength::kIntent : Strength(option)});
      }
    }
    auto& slot = requests_[name];
    slot = std::make_unique<Named>(name, std::move(spec));
    return Show(name, manager_.Sequence(*slot, woken));
  }

  ConcurrencyManager manager_;
  LockHandover exported_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<std::unique_ptr<TxnMeta>> txns_;
  std::map<std::string, std::unique_ptr<Named>> requests_;
};

TEST(ConcurrencyTranscript, Stories) {
  transcript::RunFolder(ORRERY_TESTDATA, [] {
    auto story = std::make_shared<Story>();
    return [story](const transcript::Command& c) { return story->Run(c); };
  });
}

}  // namespace
}  // namespace orrery::kv
