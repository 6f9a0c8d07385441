#include "kv/replica/raft_driver.h"

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"

namespace orrery::kv {

using runtime::MutexLock;

void RaftDriver::Enqueue(std::shared_ptr<DrivenRange> range) {
  MutexLock lock(mutex_);
  EnqueueLocked(std::move(range));
}

void RaftDriver::EnqueueLocked(std::shared_ptr<DrivenRange> range) {
  if (std::exchange(range->enqueued_, true)) return;
  ready_.push_back(std::move(range));
}

void RaftDriver::SubmitTogether(std::vector<Part> parts) {
  MutexLock lock(mutex_);
  for (const Part& part : parts) EnqueueLocked(part.range);
  together_.push_back(std::move(parts));
}

void RaftDriver::DriveOnce() {
  ORRERY_ASSERT(!driving_, "one task drives: it owns the raft state of all ranges");
  driving_ = true;
  auto ranges = std::move(ready_);
  ready_.clear();
  const Together together = std::exchange(together_, {});
  for (const auto& range : ranges) range->enqueued_ = false;
  mutex_.Unlock();
  Tell(Cycle(std::move(ranges), together));
  mutex_.Lock();
  driving_ = false;
}

void RaftDriver::Nudge() {
  {
    MutexLock lock(mutex_);
    if (driving_ || ready_.empty()) return;
  }
  ready_cv_.NotifyOne();  // not under the mutex, which it wants at once
}

Status RaftDriver::Wait(const runtime::Context& context, Waiter& waiter) {
  Nudge();
  MutexLock lock(mutex_);
  const Status status = WaitUntil(context, mutex_, waiter.cv, [&] { return waiter.done; });
  return waiter.done ? OkStatus() : status;
}

void RaftDriver::Run(const runtime::Context& context) {
  MutexLock lock(mutex_);
  while (!stopped_ && context.Check().ok()) {
    if (!ready_.empty()) {
      DriveOnce();
    } else if (!ready_cv_.Wait(context, mutex_).ok()) {
      break;
    }
  }
}

void RaftDriver::Stop() {
  MutexLock lock(mutex_);
  stopped_ = true;
  ready_cv_.NotifyAll();
}

Status RaftDriver::Persist(CycleOutput& out) {
  if (out.sync) {
    if (!out.effects.empty() && !hooks_.effects_later) {
      ORRERY_ASSERT(out.loads.empty(), "A3: a load is written behind its entry");
      out.log.Append(out.effects);
      out.log.PromiseNewestVersions();
      out.effects.Clear();
    }
    RETURN_IF_ERROR(engine_.Write(out.log, hooks_.log_sync));
    metrics_.groups_synced.fetch_add(1, std::memory_order_relaxed);
    metrics_.entries_synced.fetch_add(out.entry_count, std::memory_order_relaxed);
  } else if (!out.log.empty()) {
    RETURN_IF_ERROR(engine_.Write(out.log, storage::SyncMode::kNoSync));
  }
  return OkStatus();
}

// A3: a command's effects and the applied index reach the store together. A load's rows go first: if the index does not
// follow for a crash, the command is applied again, to the same rows.
Status RaftDriver::WriteEffects(CycleOutput& out) {
  for (auto& load : out.loads) {
    load.before.PromiseNewestVersions();
    if (!load.before.empty()) RETURN_IF_ERROR(engine_.Write(load.before, storage::SyncMode::kNoSync));
    RETURN_IF_ERROR(engine_.Ingest(load.rows, std::move(load.prepared)));
  }
  out.loads.clear();
  if (out.effects.empty()) return OkStatus();
  out.effects.PromiseNewestVersions();
  RETURN_IF_ERROR(engine_.Write(out.effects, storage::SyncMode::kNoSync));
  out.effects.Clear();
  return OkStatus();
}

RaftDriver::Finished RaftDriver::TakeFinished(CycleOutput& out) {
  for (auto& proposal : out.finished) proposal->waiter.done = true;
  return std::exchange(out.finished, {});
}

void RaftDriver::Tell(const Finished& finished) {
  for (const auto& proposal : finished) proposal->waiter.cv.NotifyOne();
}

Status RaftDriver::ApplyAwaited(const std::vector<std::shared_ptr<DrivenRange>>& ranges, CycleOutput& out) {
  if (!out.sync) return OkStatus();
  std::vector<DrivenRange*> applied;
  for (const auto& range : ranges) {
    if (range->ApplyAwaited(out)) applied.push_back(range.get());
  }
  RETURN_IF_ERROR(WriteEffects(out));
  for (DrivenRange* range : applied) range->PublishApplied(out);
  if (!out.after.empty()) return OkStatus();  // who waits for a split is told when its right half is there
  Finished finished;
  {
    MutexLock lock(mutex_);
    finished = TakeFinished(out);
  }
  Tell(finished);
  return OkStatus();
}

RaftDriver::Finished RaftDriver::Cycle(std::vector<std::shared_ptr<DrivenRange>> ranges, const Together& together) {
  CycleOutput out;
  out.now = clock_.MonoNow();
  for (const auto& parts : together) {
    const bool all = std::all_of(parts.begin(), parts.end(),
                                 [](const Part& part) { return part.range->MayProposeTogether(*part.proposal); });
    for (const Part& part : parts) {
      all ? part.range->ProposeTogether(part.proposal, out) : part.range->RefuseTogether(part.proposal, out);
    }
  }
  for (auto& range : ranges) range->Collect(out);
  const bool hold = hooks_.cover_promise(out.read_promise, out);
  if (!hold) {
    for (auto& [node, batch] : out.messages) hooks_.send(node, std::move(batch));
    out.messages.clear();
  }
  Status status = ApplyAwaited(ranges, out);
  if (status.ok()) {
    for (auto& range : ranges) range->ApplyAlone(out);
    status = Persist(out);
  }
  if (status.ok()) {
    for (auto& [node, batch] : out.messages_after_persist) {
      auto& all = out.messages[node].messages;
      std::move(batch.messages.begin(), batch.messages.end(), std::back_inserter(all));
    }
    for (auto& [node, batch] : out.messages) hooks_.send(node, std::move(batch));
    out.messages.clear();
    out.now = clock_.MonoNow();
    for (auto& range : ranges) range->Apply(out);
    status = WriteEffects(out);
  }
  std::vector<std::shared_ptr<DrivenRange>> again;
  for (auto& range : ranges) {
    if (!status.ok()) {
      range->OnStoreFailure(status, out);
    } else if (range->Finish(out)) {
      again.push_back(range);
    }
  }
  for (auto& action : out.after) action();
  MutexLock lock(mutex_);
  for (auto& range : again) EnqueueLocked(std::move(range));
  return TakeFinished(out);
}

}  // namespace orrery::kv
