// Waiting: for latches and locks (ConcurrencyManager says for whom), for the end of a pushed transaction, for the log.
#include "kv/replica/replica.h"

#include "orrery/base/hash.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

using runtime::MutexLock;

namespace {

// How often a waiting push looks whether its own transaction is part of a deadlock or gone.
constexpr Duration kDeadlockPoll = 50ms;
// How often a request whose push waits looks whether it still has to wait for that transaction. Shorter than the
// polls that confirm a deadlock, so that no cycle is made of waits that are over.
constexpr Duration kTargetPoll = 20ms;

}  // namespace

// A push that waits here, and how to wake it. Guarded by the replica's mutex.
struct Replica::WaitingPush final : PushWaiter {
  explicit WaitingPush(const PushTxnRequest& push) : PushWaiter(push.pushee, push.pusher, push.type, push.push_to) {}
  bool woken = false;
  runtime::CondVar cv;
};

void Replica::Wake(const Woken& woken) {
  for (Admission* admission : woken) {
    auto* request = static_cast<PendingRequest*>(admission);
    request->woken = true;
    request->cv.NotifyOne();
  }
}

void Replica::WakePushers(const std::vector<PushWaiter*>& waiters) {
  for (PushWaiter* waiter : waiters) {
    auto* push = static_cast<WaitingPush*>(waiter);
    push->woken = true;
    push->cv.NotifyOne();
  }
}

void Replica::Abandon(PendingRequest& request) {
  {
    ToWake to_wake;
    MutexLock lock(mutex_);
    Woken woken;
    concurrency_.Finish(request, woken);
    to_wake.Add(woken);
  }
  NudgeHandOver();
}

// OK when woken or when `until` has come.
Status Replica::WaitWoken(const runtime::Context& context, PendingRequest& request, MonoTime until) {
  MutexLock lock(mutex_);
  const runtime::Context limited = until == MonoTime::Infinite() ? context : context.WithDeadline(until);
  while (!request.woken) {
    const Status status = request.cv.Wait(limited, mutex_);
    if (!status.ok()) {
      RETURN_IF_ERROR(context.Check());
      return OkStatus();  // only our own limit
    }
  }
  return OkStatus();
}

namespace {

// A request of many keys that met one lock of a finished transaction is likely to meet that transaction again at its
// next key: its locks are resolved over all the request's keys at once, or the batch would be sequenced anew for each.
void WidenToRequest(const PendingRequest& request, std::vector<ResolveIntentRequest>& resolve) {
  constexpr size_t kManyKeys = 8;
  const auto& locks = request.spec().locks;
  if (locks.size() < kManyKeys) return;
  std::string_view first = locks[0].span.start, last = first;
  for (const LockSpan& lock : locks) {
    first = std::min(first, lock.span.start);
    last = std::max(last, lock.span.start);
  }
  for (ResolveIntentRequest& r : resolve) {
    if (!r.span.is_point() || r.span.start < first || last < r.span.start) continue;
    r.span = {std::string(first), std::string(last).append(1, '\0')};
  }
}

}  // namespace

// Returns with latches held and no known lock in the way. On an error the caller still has to Abandon.
Status Replica::Admit(const runtime::Context& context, PendingRequest& request,
                      const std::vector<storage::LockConflict>* conflicts) {
  for (;;) {
    std::optional<Outcome> admitted;
    {
      MutexLock lock(mutex_);
      request.woken = false;
      Woken woken;
      if (!IsLeaving()) {
        admitted = conflicts ? concurrency_.HandleLockConflict(request, *conflicts, woken)
                             : concurrency_.Sequence(request, woken);
      }
      conflicts = nullptr;
      Wake(woken);
    }
    if (!admitted) return NotLeaseholder();
    Outcome& outcome = *admitted;
    const bool waits_for_lock = outcome.kind == Outcome::Kind::kWaitLock || outcome.kind == Outcome::Kind::kResolve;
    if (request.waits_for_latches_only && waits_for_lock) return NotTogether();
    switch (outcome.kind) {
      case Outcome::Kind::kProceed: return OkStatus();
      case Outcome::Kind::kWaitLatch:
        RETURN_IF_ERROR(WaitWoken(context, request, MonoTime::Infinite()));
        break;
      case Outcome::Kind::kWaitLock: {
        host_.counters().lock_waits.fetch_add(1, std::memory_order_relaxed);
        if (outcome.lock.push_after > Duration(0)) {
          RETURN_IF_ERROR(WaitWoken(context, request, host_.mono_clock().MonoNow() + outcome.lock.push_after));
        }
        std::optional<LockWait> target;
        {
          MutexLock lock(mutex_);
          if (!request.woken) target = concurrency_.PushTarget(request);
        }
        if (target) RETURN_IF_ERROR(PushHolder(context, request, *target));
        break;
      }
      case Outcome::Kind::kResolve:
        for (const auto& resolve : outcome.resolve) {
          if (resolve.status == TxnStatus::kCommitted) request.committed_in_the_way.Forward(resolve.txn.write_ts);
        }
        WidenToRequest(request, outcome.resolve);
        RETURN_IF_ERROR(ResolveLocks(context, std::move(outcome.resolve)));
        break;
    }
    RETURN_IF_ERROR(CheckLease(host_.mono_clock().MonoNow()));
  }
}

// Whether the request has to wait no more, or for another than `target`.
bool Replica::IsOutdated(const PendingRequest& request, const LockWait& target) const {
  if (request.woken) return true;
  const auto now = concurrency_.PushTarget(request);
  return !now || now->holder.id != target.holder.id;
}

// Pushes beside the request: the queue moves on meanwhile (a claim ends when its statement starts anew), and who
// seems to wait for a transaction that waits for him in truth would pass for a deadlock. OK: look again.
Status Replica::PushHolder(const runtime::Context& context, PendingRequest& request, const LockWait& target) {
  PushTxnRequest push;
  push.pushee = target.holder;
  if (request.spec().txn) push.pusher = *request.spec().txn;
  push.type = target.fail_if_pending ? PushType::kQuery : target.push;
  push.push_to = target.push_to;
  BatchRequest batch;
  batch.header.now = host_.clock().Peek();
  batch.header.gateway = host_.node();
  batch.requests.push_back(std::move(push));

  BatchResponse response;
  bool answered = false;
  const auto scope = context.WithCancel();
  const auto task = context.runtime().scheduler().Spawn(
      scope.context, {.name = "push"}, [this, &batch, &response, &answered, &request](const runtime::Context& c) {
        BatchResponse answer = host_.sender().Send(c, batch);
        MutexLock lock(mutex_);
        response = std::move(answer);
        answered = true;
        request.cv.NotifyOne();
      });
  bool outdated = false;
  {
    MutexLock lock(mutex_);
    while (!answered && !outdated && context.Check().ok()) {
      (void)request.cv.Wait(context.WithDeadline(host_.mono_clock().MonoNow() + kTargetPoll), mutex_).ok();
      outdated = IsOutdated(request, target);
    }
    outdated = outdated || IsOutdated(request, target);
  }
  scope.Cancel();
  task->Join();
  // Out of time: that is certain for the request, whatever became of the push.
  RETURN_IF_ERROR(context.Check());
  if (response.error) {
    if (outdated) return OkStatus();
    return ToStatus(*response.error);
  }
  return NotePushed(request, target, response);
}

Status Replica::NotePushed(PendingRequest& request, const LockWait& target, const BatchResponse& response) {
  if (response.responses.size() != 1 || !std::holds_alternative<PushTxnResponse>(response.responses[0])) {
    return InternalError("a push was answered with something else");
  }
  const TxnRecord& record = std::get<PushTxnResponse>(response.responses[0]).pushee;
  const bool finished = record.status == TxnStatus::kCommitted || record.status == TxnStatus::kAborted;
  if (target.fail_if_pending && !finished) {
    return ToStatus(KvError{LockConflictError{{LockConflict{target.key, target.holder}}}, std::nullopt});
  }
  if (!finished) request.seen_pending.push_back(record.meta.id);
  MutexLock lock(mutex_);
  Woken woken;
  concurrency_.OnTxnRecord(record, woken);
  Wake(woken);
  return OkStatus();
}

namespace {

// A resolution may be repeated (T17), so one whose outcome is not known leaves nothing unknown about the request
// that met the locks.
Status ResolutionStatus(const BatchResponse& response) {
  if (!response.error) return OkStatus();
  const Status status = ToStatus(*response.error);
  if (status.code() != Code::kAmbiguous) return status;
  return UnavailableError("locks in the way could not be resolved: " + std::string(status.message()));
}

}  // namespace

// Single keys go in one batch, as one command a range: a scan may meet very many.
Status Replica::ResolveLocks(const runtime::Context& context, std::vector<ResolveIntentRequest> requests) {
  auto new_batch = [this] {
    BatchRequest batch;
    batch.header.now = host_.clock().Peek();
    batch.header.gateway = host_.node();
    return batch;
  };
  BatchRequest points = new_batch();
  for (auto& request : requests) {
    if (request.span.is_point()) {
      points.requests.push_back(std::move(request));
      continue;
    }
    std::optional<Span> rest = request.span;
    while (rest) {
      BatchRequest batch = new_batch();
      request.span = *rest;
      batch.requests.push_back(request);
      const BatchResponse response = host_.sender().Send(context, batch);
      RETURN_IF_ERROR(ResolutionStatus(response));
      const auto* answer = response.responses.empty() ? nullptr
                                                      : std::get_if<ResolveIntentResponse>(&response.responses[0]);
      rest = answer ? answer->resume : std::nullopt;
    }
  }
  if (points.requests.empty()) return OkStatus();
  return ResolutionStatus(host_.sender().Send(context, points));
}

// T21. Takes over from evaluation: leaves the latches, and waits until the record has changed so that the push
// may succeed, or until `until`. Fails if the pusher is to give way.
Status Replica::WaitForPushee(const runtime::Context& context, const PushTxnRequest& push, PendingRequest& request,
                              MonoTime until) {
  WaitingPush waiter(push);
  {
    MutexLock lock(mutex_);
    pushes_.Enqueue(waiter);  // before the latch on the record goes: no change can be missed
    Woken woken;
    concurrency_.Finish(request, woken);
    Wake(woken);
  }
  NudgeHandOver();
  Status status;
  for (bool done = false; !done && status.ok();) {
    {
      const MonoTime now = host_.mono_clock().MonoNow();
      const runtime::Context limited = context.WithDeadline(std::min(until, now + kDeadlockPoll));
      MutexLock lock(mutex_);
      while (!waiter.woken && waiter.cv.Wait(limited, mutex_).ok()) {
      }
      done = waiter.woken;
    }
    if (!done) {
      status = context.Check();
      if (status.ok()) status = CheckLease(host_.mono_clock().MonoNow());
      if (host_.mono_clock().MonoNow() >= until) done = true;
      else if (status.ok() && waiter.pusher() && !waiter.pusher()->anchor_key.empty()) status = AskPusher(context, waiter);
    }
  }
  MutexLock lock(mutex_);
  pushes_.Dequeue(waiter);
  return status;
}

Status Replica::AskPusher(const runtime::Context& context, WaitingPush& waiter) {
  PushTxnRequest query;
  query.pushee = *waiter.pusher();
  query.type = PushType::kQuery;
  BatchRequest batch;
  batch.header.now = host_.clock().Peek();
  batch.header.gateway = host_.node();
  batch.requests.push_back(std::move(query));
  const BatchResponse response = host_.sender().Send(context, batch);
  if (response.error || response.responses.size() != 1) return OkStatus();  // asked again at the next poll
  const auto* answer = std::get_if<PushTxnResponse>(&response.responses[0]);
  if (!answer) return OkStatus();
  MutexLock lock(mutex_);
  if (waiter.woken) return OkStatus();
  switch (pushes_.Report(waiter, answer->pushee, answer->waiters)) {
    case TxnWaitQueue::Verdict::kWait: return OkStatus();
    case TxnWaitQueue::Verdict::kVictim:
      return ToStatus(KvError{TxnRetryError{RetryReason::kDeadlock, waiter.pusher()->id, Timestamp(),
                                            "The transaction waits for one that waits for it."},
                              std::nullopt});
    case TxnWaitQueue::Verdict::kAborted:
      return ToStatus(KvError{TxnRetryError{RetryReason::kAbortedByPusher, waiter.pusher()->id, Timestamp(), ""},
                              std::nullopt});
  }
  return OkStatus();
}

// B52. Any task may stand still for a while, anywhere. A simulation makes it stand here: all that the write rests on has
// been looked at, and nothing is proposed yet (T4).
void Replica::MaybeStall(const runtime::Context& context) {
  auto& runtime = context.runtime();
  if (!runtime.probes().enabled() || !runtime.probes().Buggify("replica: a write stalls before it is proposed", 40)) return;
  const uint64_t dice = runtime.random().Next();
  const Duration stall = Duration(int64_t(dice % (dice >> 32 & 3 ? 50'000'000 : 1'500'000'000)));
  (void)runtime.scheduler().SleepFor(context, stall).ok();
}

Status Replica::ProposeAndWait(const runtime::Context& context, const std::shared_ptr<Proposal>& proposal) {
  MaybeStall(context);
  Submit(proposal);
  if (Planted(PlantedBug::kAcknowledgesProposals)) {
    host_.driver().Nudge();
    return OkStatus();
  }
  const Status waited =
      host_.driver().Wait(context.WithTimeout(host_.limits().proposal_timeout), proposal->waiter);
  if (waited.ok()) return proposal->status;
  // T18: it may still be decided; the driver ends its latches then.
  host_.counters().ambiguous_results.fetch_add(1, std::memory_order_relaxed);
  return AmbiguousError("the outcome of a write is not known: " + std::string(waited.message()));
}

}  // namespace orrery::kv
