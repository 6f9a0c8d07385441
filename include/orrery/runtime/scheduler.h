// Scheduler: runs tasks. In production a task is a pooled OS thread, in simulation a fiber or a thread that
// runs only while it holds the baton. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "orrery/base/status.h"
#include "orrery/base/time.h"
#include "orrery/runtime/context.h"

namespace orrery::runtime {

struct TaskOptions {
  std::string_view name;     // shown in logs, deadlock reports and stack dumps; copied
  size_t stack_bytes = 0;    // 0: the back end's default (256 KiB fibers). Sessions ask for 1 MiB
};

// A running task. Join it before dropping it: an abandoned task is an assertion failure.
class Task {
 public:
  virtual ~Task() = default;
  virtual void Join() = 0;  // waits for the body to return; not interruptible
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // Starts `body` with a copy of `context`.
  virtual std::unique_ptr<Task> Spawn(const Context& context, TaskOptions options,
                                      absl::AnyInvocable<void(const Context&)> body) = 0;
  // Waits until `when`. Cancelled or DeadlineExceeded (of the context) if that comes first.
  virtual Status SleepUntil(const Context& context, MonoTime when) = 0;
  Status SleepFor(const Context& context, Duration duration);
  // Lets others run. In simulation a seeded choice decides who is next.
  virtual void Yield() = 0;
};

// Structured concurrency: tasks that end together. Not thread-safe: one owner spawns and joins.
class TaskGroup {
 public:
  TaskGroup(const Context& context, std::string_view name);
  ~TaskGroup();  // asserts that Join was called after the last Spawn

  const Context& context() const;
  // The body's Status, if not OK, becomes Join's result (first one wins); others keep running.
  void Spawn(TaskOptions options, absl::AnyInvocable<Status(const Context&)> body);
  void Cancel();
  Status Join();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orrery::runtime
