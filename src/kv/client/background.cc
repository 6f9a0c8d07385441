#include "kv/client/background.h"

#include <algorithm>
#include <utility>

#include "kv/client/remote_calls.h"

namespace orrery::kv {
namespace {

constexpr size_t kTransactionsPerRound = 64;  // whose locks are resolved with one batch a range
constexpr Duration kCleanUpTimeout = 10s;
constexpr Duration kSpanTimeout = 2s;  // more for each span: a load's block is tens of thousands of locks

}  // namespace

Background::Background(const KvClientOptions& options, DistSender& sender, runtime::Runtime& runtime)
    : options_(options), sender_(sender), runtime_(runtime) {}

Background::~Background() { ORRERY_ASSERT(!tasks_, "Background: stopped before it is destroyed"); }

void Background::Start(const runtime::Context& context) {
  tasks_ = std::make_unique<runtime::TaskGroup>(context, "kv client");
  {
    runtime::MutexLock lock(mutex_);
    running_ = true;
  }
  for (size_t i = 0; i < options_.cleanup_tasks; ++i) {
    tasks_->Spawn({.name = "txn cleanup"}, [this](const runtime::Context& c) { return RunCleaner(c); });
  }
  tasks_->Spawn({.name = "txn heartbeats"}, [this](const runtime::Context& c) { return RunHeartbeats(c); });
  tasks_->Spawn({.name = "remote calls"}, [this](const runtime::Context& c) -> Status {
    for (;;) {
      RETURN_IF_ERROR(c.runtime().scheduler().SleepFor(c, RemoteCalls::kReviewInterval));
      sender_.ReviewCalls();
    }
  });
}

void Background::Stop() {
  if (!tasks_) return;
  {
    runtime::MutexLock lock(mutex_);
    running_ = false;
    not_empty_.NotifyAll();
  }
  tasks_->Cancel();
  (void)tasks_->Join().ok();
  tasks_.reset();
}

std::shared_ptr<Heartbeat> Background::Register(const Transaction& txn) {
  auto heartbeat = std::make_shared<Heartbeat>(txn, runtime_.clock().MonoNow() + options_.heartbeat_interval);
  runtime::MutexLock lock(beats_mutex_);
  heartbeat->slot = beats_.size();
  beats_.push_back(heartbeat);
  return heartbeat;
}

void Background::Unregister(const std::shared_ptr<Heartbeat>& heartbeat) {
  if (!heartbeat) return;
  runtime::MutexLock lock(beats_mutex_);
  const size_t slot = heartbeat->slot;
  if (slot >= beats_.size() || beats_[slot] != heartbeat) return;
  beats_[slot] = std::move(beats_.back());
  beats_[slot]->slot = slot;
  beats_.pop_back();
}

Status Background::RunHeartbeats(const runtime::Context& context) {
  for (;;) {
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, options_.heartbeat_interval / 4));
    std::vector<std::shared_ptr<Heartbeat>> due;
    {
      runtime::MutexLock lock(beats_mutex_);
      if (beats_.empty()) continue;
      due = beats_;
    }
    const MonoTime now = context.runtime().clock().MonoNow();
    std::erase_if(due, [now](const auto& heartbeat) {
      runtime::MutexLock lock(heartbeat->mutex);
      return heartbeat->next > now || heartbeat->aborted;
    });
    if (due.empty()) continue;
    // One unreachable range must not keep the others' heartbeats from going out.
    runtime::TaskGroup round(context.WithTimeout(options_.heartbeat_interval * 2), "heartbeats");
    for (const auto& heartbeat : due) {
      round.Spawn({.name = "heartbeat"}, [this, heartbeat](const runtime::Context& c) -> Status {
        Beat(c, *heartbeat);
        return OkStatus();
      });
    }
    (void)round.Join().ok();
  }
}

void Background::Beat(const runtime::Context& context, Heartbeat& heartbeat) {
  BatchRequest request;
  {
    runtime::MutexLock lock(heartbeat.mutex);
    request.header.txn = heartbeat.txn;
    heartbeat.next = context.runtime().clock().MonoNow() + options_.heartbeat_interval;
  }
  request.requests.emplace_back(HeartbeatTxnRequest{});
  const BatchResponse response = sender_.Route(context, request, DistSender::Pieces::kOne);
  if (!response.error) return;
  const auto* retry = std::get_if<TxnRetryError>(&response.error->detail);
  if (!retry || !retry->aborted()) return;
  runtime::MutexLock lock(heartbeat.mutex);
  if (heartbeat.txn.meta.id == request.header.txn->meta.id) heartbeat.aborted = true;
}

bool Background::TryEnqueue(CleanUp& work) {
  runtime::MutexLock lock(mutex_);
  if (!running_ || queue_.size() >= options_.cleanup_queue_max) return false;
  queue_.push_back(std::move(work));
  not_empty_.NotifyOne();
  return true;
}

void Background::Enqueue(const runtime::Context& context, CleanUp work) {
  if (TryEnqueue(work)) return;
  std::vector<CleanUp> one;
  one.push_back(std::move(work));
  Clean(context.Detached().WithTimeout(kCleanUpTimeout), std::move(one));
}

void Background::Enqueue(CleanUp work) { (void)TryEnqueue(work); }

Status Background::RunCleaner(const runtime::Context& context) {
  for (;;) {
    std::vector<CleanUp> work;
    {
      runtime::MutexLock lock(mutex_);
      RETURN_IF_ERROR(WaitUntil(context, mutex_, not_empty_, [&] { return !running_ || !queue_.empty(); }));
      if (!running_) return OkStatus();
      while (!queue_.empty() && work.size() < kTransactionsPerRound) {
        work.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    Clean(context, std::move(work));
  }
}

void Background::Clean(const runtime::Context& context, std::vector<CleanUp> work) {
  BatchRequest resolve;
  Duration timeout = kCleanUpTimeout;
  for (CleanUp& done : work) {
    if (done.status == TxnStatus::kAborted) {
      // The record first: an abandoned intent is only ever removed on the record's word (T16, T22).
      BatchRequest end;
      end.header.txn = done.txn;
      end.requests.emplace_back(EndTxnRequest{.outcome = TxnStatus::kAborted, .lock_spans = done.locks});
      const BatchResponse response = sender_.Route(context.WithTimeout(kCleanUpTimeout), end, DistSender::Pieces::kOne);
      if (response.error) continue;
      const auto* ended = response.responses.empty() ? nullptr : std::get_if<EndTxnResponse>(&response.responses[0]);
      if (ended && (ended->all_resolved || !ended->commit_ts.IsZero())) continue;
    }
    for (Span& span : done.locks) {
      if (!span.is_point()) timeout += kSpanTimeout;
      ResolveIntentRequest r{.span = std::move(span), .txn = done.txn.meta, .status = done.status,
                             .ignored = done.txn.ignored};
      resolve.requests.emplace_back(std::move(r));
    }
  }
  // Failures are left to whoever meets the locks.
  if (!resolve.requests.empty()) (void)sender_.Route(context.WithTimeout(timeout), resolve, DistSender::Pieces::kMany);
}

}  // namespace orrery::kv
