#include "runtime/threads/scheduler.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <utility>

#include "orrery/base/assert.h"
#include "runtime/cancel_scope.h"

namespace orrery::runtime {

using internal::Parker;
using internal::RawLock;

// Shared by a task's thread and its joiner, whichever ends later.
struct ThreadsScheduler::Completion {
  std::atomic<bool> ended{false};
  Parker joiner;
};

struct ThreadsScheduler::Job {
  std::string name;
  Context context;
  absl::AnyInvocable<void(const Context&)> body;
  std::shared_ptr<Completion> completion;
};

struct ThreadsScheduler::Worker {
  ThreadsScheduler* scheduler;
  size_t stack_bytes;
  std::unique_ptr<Job> job;  // null when woken: end
  Parker parker;
};

class ThreadsScheduler::ThreadTask final : public Task {
 public:
  explicit ThreadTask(std::shared_ptr<Completion> completion) : completion_(std::move(completion)) {}
  ~ThreadTask() override { ORRERY_ASSERT(joined_, "Task: joined before it is dropped"); }
  void Join() override {
    if (joined_) return;
    while (!completion_->ended.load(std::memory_order_acquire)) completion_->joiner.ParkUntil(MonoTime::Infinite());
    joined_ = true;
  }

 private:
  std::shared_ptr<Completion> completion_;
  bool joined_ = false;
};

namespace {
// A sleep: the parker of one thread, told of cancellation.
struct Sleeper final : CancelScope::Listener {
  void OnCancelled() override { parker.Unpark(); }
  Parker parker;
};
}  // namespace

ThreadsScheduler::~ThreadsScheduler() {
  bool wait = false;
  {
    RawLock lock(mutex_);
    stopping_ = true;
    wait = thread_count_ > 0;
    for (Worker* worker : idle_) worker->parker.Unpark();
    idle_.clear();
  }
  if (wait) all_ended_.ParkUntil(MonoTime::Infinite());
  RawLock lock(mutex_);  // the last thread has let go of it
  ORRERY_ASSERT(thread_count_ == 0, "ThreadsScheduler: every task has ended");
}

std::unique_ptr<Task> ThreadsScheduler::Spawn(const Context& context, TaskOptions options,
                                              absl::AnyInvocable<void(const Context&)> body) {
  auto completion = std::make_shared<Completion>();
  auto task = std::make_unique<ThreadTask>(completion);
  auto job = std::make_unique<Job>(
      Job{std::string(options.name), context, std::move(body), std::move(completion)});
  const size_t stack = std::max(stack_bytes_, options.stack_bytes);
  Worker* idle = nullptr;
  {
    RawLock lock(mutex_);
    ORRERY_ASSERT(!stopping_, "Spawn: the runtime still lives");
    for (size_t i = idle_.size(); i-- > 0 && !idle;) {
      if (idle_[i]->stack_bytes < stack) continue;
      idle = idle_[i];
      idle_.erase(idle_.begin() + long(i));
    }
    if (!idle) ++thread_count_;
  }
  if (idle) {
    idle->job = std::move(job);
    idle->parker.Unpark();
    return task;
  }
  auto worker = std::make_unique<Worker>();
  worker->scheduler = this;
  worker->stack_bytes = stack;
  worker->job = std::move(job);
  StartThread(std::move(worker));
  return task;
}

void ThreadsScheduler::StartThread(std::unique_ptr<Worker> worker) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, worker->stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int rc = 0;
  // The system may be short of threads for a moment: wait up to ten seconds for some to end.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    rc = pthread_create(&thread, &attributes, &ThreadMain, worker.get());
    if (rc == 0) break;
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  pthread_attr_destroy(&attributes);
  ORRERY_ASSERT(rc == 0, "the system gives no more threads");
  worker.release();  // now the thread's own
}

void* ThreadsScheduler::ThreadMain(void* argument) {
  std::unique_ptr<Worker> worker(static_cast<Worker*>(argument));
  ThreadsScheduler& scheduler = *worker->scheduler;
  if (scheduler.ordinary_) internal::SetThreadPolicy(internal::ThreadPolicy::kOrdinary);  // its maker was a crew's, perhaps
  do {
    scheduler.RunJob(*worker);
  } while (scheduler.Park(*worker));
  worker.reset();
  scheduler.mutex_.Lock();
  if (--scheduler.thread_count_ == 0 && scheduler.stopping_) scheduler.all_ended_.Unpark();
  scheduler.mutex_.Unlock();
  return nullptr;
}

void ThreadsScheduler::RunJob(Worker& worker) {
  auto job = std::move(worker.job);
  pthread_setname_np(pthread_self(), job->name.substr(0, 15).c_str());
  job->body(job->context);
  auto completion = std::move(job->completion);
  job.reset();  // what the body captured ends before Join returns
  completion->ended.store(true, std::memory_order_release);
  completion->joiner.Unpark();
}

bool ThreadsScheduler::Park(Worker& worker) {
  {
    RawLock lock(mutex_);
    if (stopping_ || idle_.size() >= idle_threads_max_) return false;
    idle_.push_back(&worker);
  }
  worker.parker.ParkUntil(MonoTime::Infinite());
  return worker.job != nullptr;
}

Status ThreadsScheduler::SleepUntil(const Context& context, MonoTime when) {
  Sleeper sleeper;
  CancelScope* scope = CancelScope::Of(context);
  if (scope && !scope->Register(sleeper)) return context.Check();
  sleeper.parker.ParkUntil(std::min(when, context.deadline()));
  if (scope) scope->Unregister(sleeper);
  if (context.cancelled()) return context.Check();
  return when <= context.deadline() ? OkStatus() : context.Check();
}

void ThreadsScheduler::Yield() { sched_yield(); }

}  // namespace orrery::runtime
