// ThreadsScheduler: tasks on pooled OS threads. Thread-safe.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "orrery/runtime/scheduler.h"
#include "runtime/raw_mutex.h"
#include "runtime/threads/parker.h"
#include "runtime/threads/thread_policy.h"

namespace orrery::runtime {

class ThreadsScheduler final : public Scheduler {
 public:
  ThreadsScheduler(size_t stack_bytes, size_t idle_threads_max)
      : stack_bytes_(stack_bytes), idle_threads_max_(idle_threads_max) {}
  ~ThreadsScheduler() override;  // every task has been joined

  std::unique_ptr<Task> Spawn(const Context& context, TaskOptions options,
                              absl::AnyInvocable<void(const Context&)> body) override;
  Status SleepUntil(const Context& context, MonoTime when) override;
  void Yield() override;

 private:
  struct Completion;
  struct Job;
  struct Worker;
  class ThreadTask;

  void StartThread(std::unique_ptr<Worker> worker);
  static void* ThreadMain(void* worker);
  void RunJob(Worker& worker);
  // Whether the worker may wait for another job.
  bool Park(Worker& worker);

  const size_t stack_bytes_;
  const size_t idle_threads_max_;
  const bool ordinary_ = internal::IsOrdinary();  // or under a policy that the operator has chosen
  internal::RawMutex mutex_;
  std::vector<Worker*> idle_;     // guarded by mutex_; the one that slept last is woken first
  size_t thread_count_ = 0;       // guarded by mutex_
  bool stopping_ = false;         // guarded by mutex_
  internal::Parker all_ended_;    // unparked by the last thread to end
};

}  // namespace orrery::runtime
