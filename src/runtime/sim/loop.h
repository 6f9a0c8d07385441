// Loop: the heart of the simulation. It owns virtual time, the tasks, the timers and the running trace hash,
// and decides by the seed which ready task runs next.
//
// Invariants: at most one task runs; whatever can influence the choice of the next task comes from the seed;
// time moves only by the cost of a step or, when nothing is ready, to the next timer.
// Not thread-safe: only the running task, or the loop itself, touches it (that is the point).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "orrery/base/status.h"
#include "orrery/base/time.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/sim/simulator.h"
#include "runtime/seeded_random.h"
#include "runtime/sim/switch.h"

namespace orrery::runtime::sim {

struct SimTask {
  enum class State { kReady, kRunning, kBlocked, kEnded };
  struct Held {
    const void* mutex;
    const char* name;
  };
  uint64_t id = 0;
  uint64_t owner = 0;  // the incarnation it belongs to
  std::string name;
  State state = State::kReady;
  std::string waits_for;      // while blocked
  uint64_t block_count = 0;   // tells a timer whether its block is still the present one
  bool timed_out = false;
  std::vector<Held> held;     // in the order of acquisition
  std::unique_ptr<Switch> control;
};

class Loop;

// Tasks waiting for something. A waiting task is in at most one queue; which one is woken is up to the seed.
class WaitQueue {
 public:
  // Waits for a wake-up; `reason` is for the deadlock report. OK, or why the context ended the wait. A wake-up
  // that meets a cancellation counts as a wake-up.
  Status Wait(Loop& loop, const Context& context, std::string reason);
  // The same without a context, until `deadline`. Whether it was woken.
  bool WaitUntil(Loop& loop, MonoTime deadline, std::string reason);
  void WakeOne(Loop& loop);
  void WakeAll(Loop& loop);

  // State is public to the mutexes and condition variables that hold one in their 24 bytes (sync.cc).
  struct Waiter {
    SimTask* task;
    Waiter* prev = nullptr;
    Waiter* next = nullptr;
    bool listed = false;
  };
  void Append(Waiter& waiter);
  void Remove(Waiter& waiter);
  bool empty() const { return head_ == nullptr; }

 private:
  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
};

class Loop {
 public:
  Loop(uint64_t seed, const SimulatorOptions& options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  MonoTime now() const { return now_; }
  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t step_count() const { return step_count_; }
  const std::vector<std::string>& trace() const { return trace_; }
  const SimulatorOptions& options() const { return options_; }
  SeededRandom& random() { return random_; }  // the schedule's and the weather's

  // Runs until every task has ended or the run has failed.
  Status Run();

  // A new ready task. `on_end` runs on the task after its body, as its last act.
  SimTask& Spawn(std::string name, uint64_t owner, size_t stack_bytes, absl::AnyInvocable<void()> body,
                 absl::AnyInvocable<void()> on_end);
  // Runs `event` on the loop itself at `when`: it must not block, nor take a Mutex.
  void At(MonoTime when, std::function<void()> event);

  SimTask* current() { return current_; }  // null: the loop itself, or outside Run
  // Suspends the current task until Wake or `deadline`. False if the deadline came first.
  bool Block(std::string reason, MonoTime deadline);
  void Wake(SimTask& task);  // no-op unless blocked
  void Yield();
  void MaybePreempt();  // a seeded Yield
  // The tasks of `owner` do not run until then, nor those that it gets meanwhile, though time goes on for them as for
  // all others: a process that is stopped. Not of the current task. Thaw ends it early.
  void Freeze(uint64_t owner, MonoTime until);
  void Thaw(uint64_t owner);
  // Waits a virtual while, whatever happens.
  void Pause(Duration duration, std::string_view reason);

  // Ends the run as failed. On a task it does not return.
  void Fail(std::string_view why);
  // Style rule: no mutex is held across a wait. Fails the run if the current task holds one, save `except`.
  void CheckHoldsNothing(std::string_view waiting_for, const void* except = nullptr);
  // Adds an edge of the lock order and fails the run on a cycle.
  void CheckLockOrder(const char* name);

  void Trace(std::string_view event, uint64_t a = 0, uint64_t b = 0);
  // One line a living task: name, what it waits for, what it holds.
  std::string DescribeTasks(uint64_t owner_or_zero) const;

 private:
  struct Timer {
    MonoTime when;
    uint64_t sequence;
    SimTask* task;  // null: an event
    uint64_t block_count;
    std::function<void()> event;
  };
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const {
      return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
    }
  };

  void MakeReady(SimTask& task);
  void Step();
  // Fires what is due; when nothing is ready, jumps to what is next. False: there is none.
  bool Advance();
  bool IsStale(const Timer& timer) const;
  void Fire(Timer timer);

  const SimulatorOptions options_;
  SeededRandom random_;
  std::unique_ptr<SwitchFactory> switches_;
  MonoTime now_{1'000'000'000};  // not zero: a zero would hide subtractions that go below it
  uint64_t trace_hash_ = 0;
  uint64_t step_count_ = 0;
  std::vector<std::string> trace_;
  Status failure_;
  SimTask* current_ = nullptr;
  uint64_t last_task_id_ = 0;
  uint64_t last_timer_ = 0;
  std::map<uint64_t, std::unique_ptr<SimTask>> tasks_;  // living ones, by id
  std::vector<SimTask*> ready_;
  std::map<uint64_t, std::vector<SimTask*>> frozen_;  // owners, and which of their tasks would be ready
  std::priority_queue<Timer, std::vector<Timer>, Later> timers_;
  std::map<std::string, std::set<std::string>, std::less<>> lock_order_;  // held → taken after it
};

}  // namespace orrery::runtime::sim
