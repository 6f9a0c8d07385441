// StreamCrew: the threads of a stream server as leader and followers. A member polls, takes an event, runs its
// handler to the end and polls again; no event is handed from one thread to another. Thread-safe.
//
// Invariant: at least one member polls or runs without waiting, unless the crew ends. It is kept where it could
// break: a member about to sleep (BlockingObserver) or found to run for long (the watcher) appoints another
// when it was the last. More than one, up to running_max, come when a member that returns to polling
// finds an event that had to wait for it; they leave when they have been too many for a while.
//
// A member that wakes for an event lets whoever runs on its processor have his turn; one that has slept with its thread in the middle
// of a handler (at a mutex, a full socket, for a few ms) may push him aside (ThreadPolicy). So may all while a handler runs for long
// (a load, a big query): turns are long, then.
//
// A handler that waits does not take its thread with it, unless its deadline is a few ms away: the member goes on with
// another fiber. What is ready again goes before what is new.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "orrery/runtime/runtime.h"
#include "runtime/raw_mutex.h"
#include "runtime/threads/blocking.h"
#include "runtime/threads/fd.h"
#include "runtime/threads/fibers.h"
#include "runtime/threads/parker.h"
#include "runtime/threads/poll_set.h"

namespace orrery::runtime::internal {

class StreamCrew {
 public:
  struct Options {
    std::string name;
    size_t stack_bytes = 1 << 20;
    size_t running_max = 1;
    bool fibers = true;                 // false: who waits keeps his thread
    std::shared_ptr<PollSet> poll_set;  // that `work` polls
  };
  // One thread of the crew.
  class Member final : public BlockingObserver, public Fiber::Carrier {
   public:
    explicit Member(StreamCrew& crew) : crew_(crew) {}
    void OnBlock() override { crew_.Block(*this); }
    void OnUnblock() override { crew_.Unblock(*this); }
    bool Suspend(Parker& parker, MonoTime deadline) override { return crew_.Suspend(*this, parker, deadline); }
    PollSet* poll_set() override { return crew_.fibers_ ? crew_.options_.poll_set.get() : nullptr; }

   private:
    friend class StreamCrew;
    StreamCrew& crew_;
    Parker parker_;
    // Interval << 2 | State. Written by the member; the watcher only turns kRunning into kAway.
    std::atomic<uint64_t> word_{0};
    uint64_t seen_ = 0;  // the watcher's
    int surplus_ = 0;    // signs in a row that there are members too many
    bool may_be_batch_ = false;
    bool batch_ = false;       // its thread's policy, but while it blocks
    uint64_t long_word_ = UINT64_MAX;  // the watcher's: `word_` of the last interval that it has found to be long
    std::atomic<bool> ended_{false};
    std::unique_ptr<Task> task_;
  };

  // `work` is a fiber's life: StayOn, BeginPoll, poll, EndPoll, Start, handle, Finish, and again. `on_tick` runs on the watcher at
  // the times it asks for (and at others).
  StreamCrew(const Context& context, Options options, std::function<void(Fiber&)> work,
             std::function<MonoTime()> on_tick);
  ~StreamCrew();

  // Before a poll, after what is ready has been gone on with. False: the crew ends, and so must `work`. May sleep until the thread
  // is needed.
  bool StayOn(Fiber& self);
  // Around a poll that may sleep. False: something has become ready meanwhile.
  bool BeginPoll(Fiber& self);
  void EndPoll() { sleepers_.fetch_sub(1); }
  // To be polled, edge-triggered, beside the streams: says, with Nudged, that a fiber is ready.
  int nudge_fd() const { return nudge_.get(); }
  void Nudged() { nudged_.store(false); }
  // How the member came by its event: at once when it looked, or after a sleep in the kernel.
  enum class Found { kAtOnce, kAfterSleep };
  void Start(Fiber& self, Found found);
  void Finish(Fiber& self) { Finish(MemberOf(self)); }
  // In the place of Start to Finish: the event is what `sleeper` has waited for. If that is a fiber of this crew, the
  // thread goes on with it at once.
  void GoOnWith(Fiber& self, Parker::Sleeper sleeper, Found found);
  // Lets the watcher tick soon. Any thread.
  void WakeWatcher() { watcher_.Unpark(); }
  // Members that sleep in the kernel must be woken by the caller: `wake_pollers`. Waits for all.
  void End(const std::function<void()>& wake_pollers);

  size_t thread_count() const;

 private:
  enum State : uint64_t { kOff = 0, kRunning = 1, kAway = 2 };
  static constexpr uint64_t kStateMask = 3;
  // load_ is one word so that a change and its consequence are one step: polling << 32 | running.
  static constexpr uint64_t kPolls = uint64_t{1} << 32, kRuns = 1;
  static uint64_t PollingOf(uint64_t load) { return load >> 32; }
  static uint64_t RunningOf(uint64_t load) { return load & 0xffffffff; }
  static uint64_t ActiveOf(uint64_t load) { return PollingOf(load) + RunningOf(load); }

  static Member& MemberOf(Fiber& fiber) { return static_cast<Member&>(fiber.carrier()); }
  void Run(Member& member);
  bool MayStay(Member& member);
  // What it tells about how many are needed that `member` has found an event. `load` is what it is once that runs.
  void Weigh(Member& member, uint64_t load, Found found);
  void BeginRunning(Member& member);
  void Finish(Member& member);
  void Block(Member& member);
  void Unblock(Member& member);
  bool Suspend(Member& member, Parker& parker, MonoTime deadline);
  // A fiber is ready: somebody looks.
  void Nudge();
  void KeepWatching();
  // One more member polls: one that sleeps, or a new one.
  void Appoint();
  bool Park(Member& member);
  void ReapLocked();
  void Watch();
  // Whether anything has happened since the last time.
  bool MarkLongRunning();

  const Context context_;
  const Options options_;
  const std::function<void(Fiber&)> work_;
  const std::function<MonoTime()> on_tick_;

  std::atomic<uint64_t> load_{0};
  std::atomic<bool> watching_{false};  // the watcher ticks
  std::atomic<bool> long_turns_{false};  // a handler runs for long, or one did just now
  uint64_t short_ticks_ = UINT32_MAX;    // the watcher's: since it saw the last of these
  std::atomic<bool> ending_{false};
  OwnedFd nudge_;                       // an eventfd
  std::atomic<bool> nudged_{false};     // its event is under way
  std::atomic<size_t> sleepers_{0};     // members between BeginPoll and EndPoll
  std::unique_ptr<Fibers> fibers_;      // null without them
  Parker watcher_;
  std::unique_ptr<Task> watcher_task_;
  mutable RawMutex mutex_;
  std::list<std::unique_ptr<Member>> members_;  // guarded by mutex_
  std::vector<Member*> parked_;                 // guarded by mutex_; the one that slept last is woken first
};

}  // namespace orrery::runtime::internal
