#include "runtime/sim/loop.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "runtime/cancel_scope.h"

namespace orrery::runtime::sim {

// ---- WaitQueue

void WaitQueue::Append(Waiter& waiter) {
  waiter.prev = tail_;
  waiter.next = nullptr;
  (tail_ ? tail_->next : head_) = &waiter;
  tail_ = &waiter;
  waiter.listed = true;
}

void WaitQueue::Remove(Waiter& waiter) {
  if (!waiter.listed) return;
  (waiter.prev ? waiter.prev->next : head_) = waiter.next;
  (waiter.next ? waiter.next->prev : tail_) = waiter.prev;
  waiter.listed = false;
}

void WaitQueue::WakeOne(Loop& loop) {
  if (!head_) return;
  uint64_t count = 0;
  for (const Waiter* w = head_; w; w = w->next) ++count;
  Waiter* chosen = head_;
  for (uint64_t skip = count > 1 ? loop.random().Below(count) : 0; skip > 0; --skip) chosen = chosen->next;
  Remove(*chosen);
  loop.Wake(*chosen->task);
}

void WaitQueue::WakeAll(Loop& loop) {
  while (Waiter* waiter = head_) {
    Remove(*waiter);
    loop.Wake(*waiter->task);
  }
}

namespace {
struct CancelWake final : CancelScope::Listener {
  CancelWake(Loop& l, SimTask& t) : loop(l), task(t) {}
  void OnCancelled() override { loop.Wake(task); }
  Loop& loop;
  SimTask& task;
};
}  // namespace

Status WaitQueue::Wait(Loop& loop, const Context& context, std::string reason) {
  ORRERY_ASSERT(loop.current() != nullptr, "only tasks wait");
  RETURN_IF_ERROR(context.Check());
  Waiter waiter{loop.current()};
  CancelWake cancel(loop, *waiter.task);
  Append(waiter);
  CancelScope* scope = CancelScope::Of(context);
  const bool registered = scope && scope->Register(cancel);
  loop.Block(std::move(reason), context.deadline());
  if (registered) scope->Unregister(cancel);
  const bool woken = !waiter.listed;
  Remove(waiter);
  return woken ? OkStatus() : context.Check();
}

bool WaitQueue::WaitUntil(Loop& loop, MonoTime deadline, std::string reason) {
  ORRERY_ASSERT(loop.current() != nullptr, "only tasks wait");
  Waiter waiter{loop.current()};
  Append(waiter);
  loop.Block(std::move(reason), deadline);
  const bool woken = !waiter.listed;
  Remove(waiter);
  return woken;
}

// ---- Loop

Loop::Loop(uint64_t seed, const SimulatorOptions& options)
    : options_(options),
      random_(Hash64("schedule", seed)),
      switches_(options.backend == SimBackend::kFiber ? NewFiberFactory() : NewBatonFactory()) {}

Loop::~Loop() {
  // Tasks of a failed run stand in the middle of their functions; unwinding them would run their code.
  // They are abandoned, with their stacks, and so is the factory that owns the stacks.
  for (auto& [id, task] : tasks_) (void)task.release();
  if (!tasks_.empty()) (void)switches_.release();
}

Status Loop::Run() {
  while (failure_.ok() && !tasks_.empty()) {
    if (!Advance()) {
      Fail("deadlock: nothing is ready and no timer is set\n" + DescribeTasks(0));
      break;
    }
    if (failure_.ok() && !ready_.empty()) Step();
  }
  return failure_;
}

bool Loop::IsStale(const Timer& timer) const {
  return timer.task && (timer.task->state != SimTask::State::kBlocked || timer.task->block_count != timer.block_count);
}

bool Loop::Advance() {
  while (!timers_.empty()) {
    const Timer& top = timers_.top();
    if (top.when > now_ && !ready_.empty()) return true;
    Timer timer = top;
    timers_.pop();
    const bool live = !timer.task || (tasks_.contains(timer.block_count >> 32) && !IsStale(timer));
    if (!live) continue;  // must not move the clock
    if (timer.when > now_) now_ = timer.when;
    if (now_ - MonoTime{1'000'000'000} > options_.time_max) {
      Fail("the run exceeds its virtual time limit\n" + DescribeTasks(0));
      return true;
    }
    Fire(std::move(timer));
  }
  return !ready_.empty();
}

void Loop::Fire(Timer timer) {
  if (timer.event) {
    Trace("event", timer.sequence);
    timer.event();
    return;
  }
  timer.task->timed_out = true;
  Wake(*timer.task);
}

void Loop::Step() {
  if (++step_count_ > options_.step_count_max) return Fail("the run exceeds its step limit\n" + DescribeTasks(0));
  now_ = now_ + options_.step_cost;
  const size_t pick = ready_.size() == 1 ? 0 : size_t(random_.Below(ready_.size()));
  SimTask* task = ready_[pick];
  ready_[pick] = ready_.back();
  ready_.pop_back();
  task->state = SimTask::State::kRunning;
  Trace("run", task->id);
  if (options_.record_trace) trace_.back().append(" ").append(task->name);
  current_ = task;
  task->control->Resume();
  current_ = nullptr;
  if (task->state == SimTask::State::kEnded) tasks_.erase(task->id);
}

SimTask& Loop::Spawn(std::string name, uint64_t owner, size_t stack_bytes, absl::AnyInvocable<void()> body,
                     absl::AnyInvocable<void()> on_end) {
  auto owned = std::make_unique<SimTask>();
  SimTask* task = owned.get();
  task->id = ++last_task_id_;
  task->owner = owner;
  task->name = std::move(name);
  task->control = switches_->New(
      stack_bytes, [this, task, body = std::move(body), on_end = std::move(on_end)]() mutable {
        body();
        body = nullptr;
        if (!task->held.empty()) Fail("task \"" + task->name + "\" ended while it held a mutex");
        on_end();
        task->state = SimTask::State::kEnded;
      });
  Trace("spawn", task->id, owner);
  tasks_.emplace(task->id, std::move(owned));
  MakeReady(*task);
  return *task;
}

void Loop::At(MonoTime when, std::function<void()> event) {
  timers_.push({std::max(when, now_), ++last_timer_, nullptr, 0, std::move(event)});
}

bool Loop::Block(std::string reason, MonoTime deadline) {
  SimTask& task = *current_;
  task.waits_for = std::move(reason);
  task.state = SimTask::State::kBlocked;
  task.timed_out = false;
  // The id lets a timer that outlives its task be recognised without touching the task.
  task.block_count = task.id << 32 | ((task.block_count + 1) & 0xffffffff);
  if (deadline != MonoTime::Infinite())
    timers_.push({std::max(deadline, now_), ++last_timer_, &task, task.block_count, nullptr});
  task.control->Suspend();
  return !task.timed_out;
}

void Loop::Wake(SimTask& task) {
  if (task.state != SimTask::State::kBlocked) return;
  task.state = SimTask::State::kReady;
  task.waits_for.clear();
  MakeReady(task);
}

void Loop::MakeReady(SimTask& task) {
  if (!frozen_.empty()) [[unlikely]] {
    if (const auto it = frozen_.find(task.owner); it != frozen_.end()) return it->second.push_back(&task);
  }
  ready_.push_back(&task);
}

void Loop::Freeze(uint64_t owner, MonoTime until) {
  ORRERY_ASSERT(!current_ || current_->owner != owner, "nobody freezes itself");
  Trace("freeze", owner);
  std::vector<SimTask*>& tasks = frozen_[owner];
  const auto is_frozen = [owner](const SimTask* task) { return task->owner == owner; };
  std::copy_if(ready_.begin(), ready_.end(), std::back_inserter(tasks), is_frozen);
  std::erase_if(ready_, is_frozen);
  At(until, [this, owner] { Thaw(owner); });
}

void Loop::Thaw(uint64_t owner) {
  const auto it = frozen_.find(owner);
  if (it == frozen_.end()) return;
  Trace("thaw", owner);
  ready_.insert(ready_.end(), it->second.begin(), it->second.end());
  frozen_.erase(it);
}

void Loop::Yield() {
  if (!current_) return;
  current_->state = SimTask::State::kReady;
  MakeReady(*current_);
  current_->control->Suspend();
}

void Loop::MaybePreempt() {
  if (current_ && random_.Chance(options_.preemption_permille)) Yield();
}

void Loop::Pause(Duration duration, std::string_view reason) {
  if (!current_) return;
  const MonoTime until = now_ + duration;
  while (now_ < until) Block(std::string(reason), until);
}

void Loop::Fail(std::string_view why) {
  if (failure_.ok()) failure_ = InternalError(why);
  if (!current_) return;
  current_->state = SimTask::State::kBlocked;
  current_->waits_for = "the end of the failed run";
  while (true) current_->control->Suspend();
}

void Loop::CheckHoldsNothing(std::string_view waiting_for, const void* except) {
  if (!current_) return;
  for (const SimTask::Held& held : current_->held) {
    if (held.mutex == except) continue;
    Fail("task \"" + current_->name + "\" waits for " + std::string(waiting_for) + " while it holds mutex \"" +
         held.name + "\"");
  }
}

void Loop::CheckLockOrder(const char* name) {
  if (!current_ || current_->held.empty() || std::strcmp(name, "mutex") == 0) return;
  for (const SimTask::Held& held : current_->held) {
    const std::string_view held_name = held.name;
    if (held_name == "mutex") continue;
    auto& after_held = lock_order_[std::string(held_name)];
    if (!after_held.insert(name).second && held_name != name) continue;
    // A new edge: is there a way back?
    std::vector<std::string> open{name};
    std::set<std::string> seen;
    while (!open.empty()) {
      const std::string at = open.back();
      open.pop_back();
      if (at == held_name)
        Fail("lock order: task \"" + current_->name + "\" takes mutex \"" + name + "\" while it holds \"" +
             std::string(held_name) + "\"; elsewhere the order is the reverse");
      if (!seen.insert(at).second) continue;
      const auto it = lock_order_.find(at);
      if (it != lock_order_.end()) open.insert(open.end(), it->second.begin(), it->second.end());
    }
  }
}

void Loop::Trace(std::string_view event, uint64_t a, uint64_t b) {
  const uint64_t words[3] = {uint64_t(now_.ns), a, b};
  const uint64_t of_event = Hash64(event, trace_hash_);
  trace_hash_ = Hash64(std::string_view(reinterpret_cast<const char*>(words), sizeof words), of_event);
  if (!options_.record_trace) return;
  trace_.push_back(std::to_string(now_.ns) + " " + std::string(event) + " " + std::to_string(a) + " " +
                   std::to_string(b));
}

std::string Loop::DescribeTasks(uint64_t owner_or_zero) const {
  std::string text;
  for (const auto& [id, task] : tasks_) {
    if (owner_or_zero != 0 && task->owner != owner_or_zero) continue;
    text.append("  task ").append(std::to_string(id)).append(" \"").append(task->name).append("\"");
    if (task->state == SimTask::State::kBlocked) text.append(" waits for ").append(task->waits_for);
    else text.append(frozen_.contains(task->owner) ? " is frozen" : " is ready");
    for (const auto& held : task->held) text.append(", holds mutex \"").append(held.name).append("\"");
    text.append("\n");
  }
  return text;
}

}  // namespace orrery::runtime::sim
