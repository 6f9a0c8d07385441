// Fibers: the stacks that a crew's threads run handlers on. A handler that waits leaves its stack behind as it is, and
// the thread goes on with another one; when what it waited for has come, any thread of the crew takes the stack up
// again. So a wait costs two switches of stacks, where a sleeping thread costs two system calls and the kernel's scheduler
// (docs/design/runtime.md, "Who waits leaves its stack").
//
// Every fiber runs the same body, the crew's loop: poll, handle, poll. One that is not needed any more rests in that
// loop until a thread wants a fresh stack. So a handler that never waits never switches.
//
// Thread-safe. Invariant: a fiber runs on one thread at a time, or is in one place: resting, ready, or with the parker it
// waits at. It is put there by the stack that the thread runs on next, never by itself: only then is it surely left.
#pragma once

#include <atomic>
#include <boost/context/fiber.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/raw_mutex.h"
#include "runtime/threads/blocking.h"

namespace orrery::runtime::internal {

// Sanitizers would have to be told of each switch of stacks; under them threads wait.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kFibersWork = false;
#else
inline constexpr bool kFibersWork = true;
#endif

class Fibers;
class Parker;

// One stack. The thread's own stack counts as one, too, so that a thread can come back to it.
class Fiber final : public Suspended {
 public:
  // A thread that runs fibers, one at a time.
  struct Carrier {
    Fiber* running = nullptr;
    Fiber* home = nullptr;  // its own stack
  };

  explicit Fiber(Fibers* fibers) : fibers_(fibers) {}
  // A thread's own stack.
  Fiber(Fibers* fibers, Carrier& carrier) : fibers_(fibers), carrier_(&carrier) {}
  // What runs this fiber now: another one, perhaps, after each wait.
  Carrier& carrier() const { return *carrier_; }
  void Resume() override;

 private:
  friend class Fibers;
  static constexpr size_t kNotTimed = SIZE_MAX;

  Fibers* const fibers_;
  Carrier* carrier_ = nullptr;
  boost::context::fiber context_;  // empty while it runs
  Fiber* next_ready_ = nullptr;
  // Of a wait with a deadline, guarded by the mutex of the fibers.
  size_t timed_index_ = kNotTimed;
  MonoTime deadline_ = MonoTime::Infinite();
  Parker* parker_ = nullptr;
};

class Fibers {
 public:
  struct Hooks {
    // A fiber's life. Never returns but by RunReady and Leave unwinding it, when its fiber is dropped.
    std::function<void(Fiber&)> body;
    // Both on any thread, and they must not block: Ready() has become true; there is another deadline for ExpireUntil.
    std::function<void()> on_ready;
    std::function<void()> on_deadline;
  };
  Fibers(size_t stack_bytes, Hooks hooks) : stack_bytes_(stack_bytes), hooks_(std::move(hooks)) {}
  // No fiber waits, no thread carries one.
  ~Fibers();

  // Runs fibers on the calling thread until one of them Leaves.
  void Carry(Fiber::Carrier& carrier);
  // The fiber rests; its thread returns from Carry. Returns when a thread, perhaps another one, wants the fiber.
  void Leave(Fiber& self);

  bool Ready() const { return ready_count_.load() > 0; }
  // False if no fiber is ready. Else its thread goes on with the one that has been ready for longest, and the fiber rests; returns
  // as Leave does.
  bool RunReady(Fiber& self);
  // As RunReady, with one that its parker has let go (Parker::UnparkDeferred): instead of Resume.
  void Run(Fiber& self, Fiber& next);
  // The thread goes on with a resting fiber, or a new one. Returns, on any thread, after the parker was given a token or
  // ExpireUntil has found that the deadline has come.
  void Suspend(Fiber& self, Parker& parker, MonoTime deadline);

  // Ends waits whose deadline has come. When the next one does; earlier than `now` never.
  MonoTime ExpireUntil(MonoTime now);
  // Drops what rests beyond a few: each keeps the memory that its deepest handler has touched.
  void Trim();

 private:
  friend class Fiber;
  // What the next stack does for the one that was left.
  struct Arrival {
    enum What { kNothing, kRest, kWait } what = kNothing;
    Fiber* left = nullptr;
    Parker* parker = nullptr;
    MonoTime deadline = MonoTime::Infinite();
  };

  void SwitchTo(Fiber& next, const Arrival& arrival);
  void Arrive(const Arrival& arrival);
  Fiber& TakeResting();
  std::unique_ptr<Fiber> Make();
  void MakeReady(Fiber& fiber);
  void RemoveTimed(Fiber& fiber);

  const size_t stack_bytes_;
  const Hooks hooks_;

  std::atomic<size_t> ready_count_{0};
  std::atomic<size_t> waking_{0};  // calls of MakeReady under way
  RawMutex mutex_;
  Fiber* first_ready_ = nullptr;                 // guarded by mutex_, as all below
  Fiber* last_ready_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> resting_;  // the one that rests for the shortest time is taken first
  std::vector<Fiber*> timed_;                    // those that wait with a deadline
};

}  // namespace orrery::runtime::internal
