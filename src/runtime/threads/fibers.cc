#include "runtime/threads/fibers.h"

#include <algorithm>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <utility>

#include "orrery/base/assert.h"
#include "runtime/sync_backend.h"
#include "runtime/threads/parker.h"

namespace orrery::runtime::internal {
namespace {

namespace bctx = boost::context;

constexpr size_t kRestingMax = 256;
constexpr size_t kRestingAfterTrim = 4;
constexpr Duration kExpiryRetry = 1ms;  // of a wait whose fiber is just going or just coming

}  // namespace

void Fiber::Resume() { fibers_->MakeReady(*this); }

Fibers::~Fibers() {
  // Whoever made the last fiber ready may not have left MakeReady yet.
  while (waking_.load() > 0) YieldNow();
  ORRERY_ASSERT(ready_count_.load() == 0 && timed_.empty(), "Fibers: every handler has ended");
}

std::unique_ptr<Fiber> Fibers::Make() {
  auto fiber = std::make_unique<Fiber>(this);
  fiber->context_ = bctx::fiber(std::allocator_arg, bctx::protected_fixedsize_stack(stack_bytes_),
                                [this, self = fiber.get()](bctx::fiber&& nobody) {
                                  hooks_.body(*self);
                                  ORRERY_ASSERT(false, "a fiber's body rests for ever");
                                  return std::move(nobody);
                                });
  return fiber;
}

// The arrival is copied to the next stack: from the moment that the fiber left is somewhere else, its stack is not ours.
void Fibers::SwitchTo(Fiber& next, const Arrival& arrival) {
  Fiber::Carrier* const carrier = arrival.left->carrier_;
  next.carrier_ = carrier;
  carrier->running = &next;
  (void)std::move(next.context_).resume_with([this, arrival](bctx::fiber&& left) {
    arrival.left->context_ = std::move(left);
    Arrive(arrival);
    return bctx::fiber();
  });
}

void Fibers::Arrive(const Arrival& arrival) {
  Fiber& left = *arrival.left;
  if (arrival.what == Arrival::kRest) {
    std::unique_ptr<Fiber> dropped(&left);
    RawLock lock(mutex_);
    if (resting_.size() < kRestingMax) resting_.push_back(std::move(dropped));
    return;
  }
  if (arrival.what != Arrival::kWait) return;
  if (arrival.deadline != MonoTime::Infinite()) {
    RawLock lock(mutex_);
    left.deadline_ = arrival.deadline;
    left.parker_ = arrival.parker;
    left.timed_index_ = timed_.size();
    timed_.push_back(&left);
  }
  // Behind its entry: who looks for deadlines from now on finds it.
  if (arrival.deadline != MonoTime::Infinite()) hooks_.on_deadline();
  if (!arrival.parker->SuspendFor(left)) MakeReady(left);  // the token came in between
}

Fiber& Fibers::TakeResting() {
  {
    RawLock lock(mutex_);
    if (!resting_.empty()) {
      Fiber* const fiber = resting_.back().release();
      resting_.pop_back();
      return *fiber;
    }
  }
  return *Make().release();  // until it rests it is owned by whoever runs it or has its parker
}

void Fibers::Carry(Fiber::Carrier& carrier) {
  Fiber home(this, carrier);
  carrier.home = &home;
  SwitchTo(TakeResting(), {.left = &home});
  carrier.running = carrier.home = nullptr;
}

void Fibers::Leave(Fiber& self) { SwitchTo(*self.carrier_->home, {.what = Arrival::kRest, .left = &self}); }

bool Fibers::RunReady(Fiber& self) {
  if (!Ready()) return false;
  Fiber* fiber = nullptr;
  {
    RawLock lock(mutex_);
    fiber = first_ready_;
    if (!fiber) return false;
    first_ready_ = fiber->next_ready_;
    if (!first_ready_) last_ready_ = nullptr;
    ready_count_.fetch_sub(1);
  }
  Run(self, *fiber);
  return true;
}

void Fibers::Run(Fiber& self, Fiber& next) {
  ORRERY_ASSERT(next.fibers_ == this, "a fiber runs on its own crew's threads");
  SwitchTo(next, {.what = Arrival::kRest, .left = &self});
}

void Fibers::Suspend(Fiber& self, Parker& parker, MonoTime deadline) {
  SwitchTo(TakeResting(), {.what = Arrival::kWait, .left = &self, .parker = &parker, .deadline = deadline});
  if (deadline != MonoTime::Infinite()) {
    RawLock lock(mutex_);
    RemoveTimed(self);
  }
}

void Fibers::MakeReady(Fiber& fiber) {
  waking_.fetch_add(1);
  {
    RawLock lock(mutex_);
    fiber.next_ready_ = nullptr;
    (last_ready_ ? last_ready_->next_ready_ : first_ready_) = &fiber;
    last_ready_ = &fiber;
    ready_count_.fetch_add(1);
  }
  hooks_.on_ready();
  waking_.fetch_sub(1);  // the last that is touched here: the crew may be gone
}

void Fibers::RemoveTimed(Fiber& fiber) {
  if (fiber.timed_index_ == Fiber::kNotTimed) return;
  timed_[fiber.timed_index_] = timed_.back();
  timed_.back()->timed_index_ = fiber.timed_index_;
  timed_.pop_back();
  fiber.timed_index_ = Fiber::kNotTimed;
}

MonoTime Fibers::ExpireUntil(MonoTime now) {
  MonoTime next = MonoTime::Infinite();
  std::vector<Fiber*> expired;
  {
    RawLock lock(mutex_);
    for (size_t i = 0; i < timed_.size();) {
      Fiber& fiber = *timed_[i];
      if (fiber.deadline_ <= now && fiber.parker_->Expire()) {
        RemoveTimed(fiber);
        expired.push_back(&fiber);
        continue;
      }
      next = std::min(next, std::max(fiber.deadline_, now + kExpiryRetry));
      ++i;
    }
  }
  for (Fiber* fiber : expired) MakeReady(*fiber);
  return next;
}

void Fibers::Trim() {
  std::vector<std::unique_ptr<Fiber>> dropped;
  RawLock lock(mutex_);
  while (resting_.size() > kRestingAfterTrim) {
    dropped.push_back(std::move(resting_.back()));
    resting_.pop_back();
  }
}

}  // namespace orrery::runtime::internal
