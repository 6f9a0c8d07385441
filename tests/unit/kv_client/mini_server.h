// A small KV cluster in memory behind DistSender: ranges with leaseholders that can move and split, versions,
// intents, records (by kv/txn) and a timestamp cache. Requests never wait: a foreign lock is an error. And a
// Runtime on which nothing runs beside the test: tasks run when they are spawned, sleeping moves the clock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/kv/client/kv_client.h"
#include "orrery/kv/txn/record.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

class InlineRuntime : public runtime::Runtime {
 public:
  runtime::Clock& clock() override { return clock_; }
  runtime::Random& random() override { return random_; }
  runtime::Scheduler& scheduler() override { return scheduler_; }
  runtime::FileSystem& file_system() override { std::abort(); }
  runtime::Transport& transport() override { std::abort(); }
  runtime::Network& network() override { std::abort(); }
  runtime::ProbeRegistry& probes() override { return probes_; }
  void Advance(Duration d) { clock_.now_ns += d.count(); }

 private:
  struct TestClock : runtime::Clock {
    MonoTime MonoNow() const override { return {now_ns}; }
    int64_t WallNowNs() const override { return now_ns; }
    int64_t now_ns = 1'700'000'000'000'000'000;
  };
  struct TestRandom : runtime::Random {
    uint64_t Next() override { return state = state * 6364136223846793005u + 1442695040888963407u; }
    std::unique_ptr<runtime::Random> Fork(std::string_view) override {
      (void)Next();  // two clients do not give out the same ids
      return std::make_unique<TestRandom>(*this);
    }
    uint64_t state = 7;
  };
  struct DoneTask : runtime::Task {
    void Join() override {}
  };
  struct InlineScheduler : runtime::Scheduler {
    explicit InlineScheduler(TestClock& c) : clock(c) {}
    std::unique_ptr<runtime::Task> Spawn(const runtime::Context& context, runtime::TaskOptions,
                                         absl::AnyInvocable<void(const runtime::Context&)> body) override {
      body(context);
      return std::make_unique<DoneTask>();
    }
    Status SleepUntil(const runtime::Context& context, MonoTime when) override {
      clock.now_ns = std::max(clock.now_ns, std::min(when.ns, context.deadline().ns));
      return context.Check();
    }
    void Yield() override {}
    TestClock& clock;
  };
  TestClock clock_;
  TestRandom random_;
  InlineScheduler scheduler_{clock_};
  runtime::ProbeRegistry probes_;
};

class MiniCluster : public NodeSender {
 public:
  explicit MiniCluster(HybridClock& clock);

  BatchResponse SendTo(const runtime::Context& context, NodeId node, const BatchRequest& request) override;
  void Split(const std::string& key, NodeId leaseholder);
  void MoveLease(const std::string& key, NodeId node);
  // As if the meta record of the range that ends at `end` were still locked by the split that makes it.
  void HideMeta(const std::string& end) { data_.erase(MetaKey(end)); }
  // What every leaseholder kept in memory about transactions is lost, as by a change of lease (T16).
  void ForgetMarks() { reads_.RaiseLowWater({clock_.Now(), clock_.Now()}); }
  RangeDescriptor FirstRange() const { return ranges_.at(0); }
  std::optional<std::string> Committed(const std::string& key) const;
  size_t intent_count() const { return intents_.size(); }
  size_t record_count() const { return records_.size(); }

  size_t resolved_max = ~size_t{0};  // locks that one ResolveIntent resolves
  std::vector<std::string> log;  // one line a batch that reached a leaseholder: "n2 r3 Put EndTxn"
  enum class Fate { kDeliver, kLoseRequest, kLoseAnswer };
  std::function<Fate(const BatchRequest&)> fate;  // of each batch on the way; lost ones are Ambiguous

 private:
  struct Intent {
    TxnMeta txn;
    std::vector<std::pair<uint32_t, std::optional<std::string>>> history;
  };
  using Versions = std::map<Timestamp, std::optional<std::string>, std::greater<>>;
  struct Evaluation;

  BatchResponse Execute(const RangeDescriptor& range, const BatchRequest& request);
  std::optional<KvError> Do(Evaluation& e, const GetRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const ScanRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const PutRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const DeleteRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const ConditionalPutRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const InsertManyRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const RefreshRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const EndTxnRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const PushTxnRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const HeartbeatTxnRequest& r, Response& out);
  std::optional<KvError> Do(Evaluation& e, const ResolveIntentRequest& r, Response& out);
  template <class R>
  std::optional<KvError> Do(Evaluation&, const R&, Response&) {
    return KvError{OtherError{uint8_t(Code::kUnimplemented), "", "not in the mini cluster"}, std::nullopt};
  }
  std::optional<KvError> Read(Evaluation& e, const std::string& key, std::optional<std::string>& value);
  std::optional<KvError> Write(Evaluation& e, const std::string& key, std::optional<std::string> value);
  // Where it had to stop for `locks_max`.
  std::optional<std::string> Resolve(const TxnMeta& txn, TxnStatus status, const Span& span,
                                     const std::vector<SequenceRange>& ignored, size_t locks_max = ~size_t{0});
  void PutMeta(const RangeDescriptor& range);

  HybridClock& clock_;
  std::vector<RangeDescriptor> ranges_;
  std::map<RangeId, NodeId> leaseholders_;
  std::map<std::string, Versions> data_;
  std::map<std::string, Intent> intents_;
  std::map<std::string, TxnRecord> records_;
  TimestampCache reads_{Timestamp{1, 0}};
};

}  // namespace orrery::kv
