#include "orrery/runtime/scheduler.h"

#include <list>
#include <utility>

#include "orrery/base/assert.h"
#include "orrery/runtime/runtime.h"

namespace orrery::runtime {

Status Scheduler::SleepFor(const Context& context, Duration duration) {
  return SleepUntil(context, context.runtime().clock().MonoNow() + duration);
}

struct TaskGroup::State {
  State(const Context& context, std::string_view group_name)
      : scope(context.WithCancel()), name(group_name) {}

  struct Entry {
    std::unique_ptr<Task> task;
    std::atomic<bool> ended{false};
  };
  // Joins the tasks whose bodies have returned, so that a group that spawns for ever stays small.
  void Reap() {
    for (auto it = entries.begin(); it != entries.end();) {
      if (!it->ended.load(std::memory_order_acquire)) {
        ++it;
        continue;
      }
      it->task->Join();
      it = entries.erase(it);
    }
    reap_at = 2 * entries.size() + 16;
  }

  Context::Cancellable scope;
  const std::string name;
  std::list<Entry> entries;  // of the owner; an entry's address is known to its task
  size_t reap_at = 16;
  Mutex mutex{"task_group"};
  Status first_error ABSL_GUARDED_BY(mutex);
};

TaskGroup::TaskGroup(const Context& context, std::string_view name)
    : state_(std::make_shared<State>(context, name)) {}

TaskGroup::~TaskGroup() { ORRERY_ASSERT(state_->entries.empty(), "TaskGroup: joined before it is dropped"); }

const Context& TaskGroup::context() const { return state_->scope.context; }

void TaskGroup::Spawn(TaskOptions options, absl::AnyInvocable<Status(const Context&)> body) {
  if (state_->entries.size() >= state_->reap_at) state_->Reap();
  State::Entry& entry = state_->entries.emplace_back();
  if (options.name.empty()) options.name = state_->name;
  const Context& context = state_->scope.context;
  entry.task = context.runtime().scheduler().Spawn(
      context, options, [state = state_.get(), &entry, body = std::move(body)](const Context& ctx) mutable {
        const Status status = body(ctx);
        body = nullptr;  // what it captured ends before the task is seen to have ended
        if (!status.ok()) {
          MutexLock lock(state->mutex);
          if (state->first_error.ok()) state->first_error = status;
        }
        entry.ended.store(true, std::memory_order_release);
      });
}

void TaskGroup::Cancel() { state_->scope.Cancel(); }

Status TaskGroup::Join() {
  for (State::Entry& entry : state_->entries) entry.task->Join();
  state_->entries.clear();
  MutexLock lock(state_->mutex);
  return state_->first_error;
}

}  // namespace orrery::runtime
