#include "runtime/threads/stream_crew.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"
#include "runtime/threads/thread_policy.h"

namespace orrery::runtime::internal {
namespace {

constexpr size_t kParkedMax = 64;            // more than these end
constexpr int kSurplusMax = 64;              // signs of being too many before a member parks
constexpr Duration kTick = 4ms;              // of the watcher; a handler is long that runs through a whole one
constexpr int kQuietTicksMax = 50;           // then the watcher sleeps until something happens
constexpr uint64_t kShortTurnsTicks = 25;    // without a long handler, before turns are taken for short ones again
constexpr Duration kPreciseWaitMax = 2 * kTick;  // a wait that ends sooner keeps its thread: the watcher might see its deadline too late

}  // namespace

StreamCrew::StreamCrew(const Context& context, Options options, std::function<void(Fiber&)> work,
                       std::function<MonoTime()> on_tick)
    : context_(context), options_(std::move(options)), work_(std::move(work)), on_tick_(std::move(on_tick)),
      nudge_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ORRERY_ASSERT(nudge_.valid(), "the system gives an eventfd");
  if (kFibersWork && options_.fibers) {
    fibers_ = std::make_unique<Fibers>(
        options_.stack_bytes,
        Fibers::Hooks{.body = work_, .on_ready = [this] { Nudge(); }, .on_deadline = [this] { KeepWatching(); }});
  }
  Appoint();
  watcher_task_ = context_.runtime().scheduler().Spawn(context_, {.name = options_.name + " watch"},
                                                       [this](const Context&) { Watch(); });
}

StreamCrew::~StreamCrew() { ORRERY_ASSERT(!watcher_task_, "StreamCrew: ended before it is dropped"); }

// A member's life. Its thread is the scheduler's, which has other tasks for it later. A policy that the operator has chosen for the
// whole server stays.
void StreamCrew::Run(Member& member) {
  member.batch_ = member.may_be_batch_ = IsOrdinary() && SetThreadPolicy(ThreadPolicy::kBatch);
  if (fibers_) {
    fibers_->Carry(member);
  } else {
    Fiber home(nullptr, member);
    work_(home);
  }
  if (member.batch_) SetThreadPolicy(ThreadPolicy::kOrdinary);
}

bool StreamCrew::StayOn(Fiber& self) {
  while (true) {
    if (fibers_ && fibers_->RunReady(self)) continue;
    if (MayStay(MemberOf(self))) return true;
    if (!fibers_) return false;
    fibers_->Leave(self);
  }
}

bool StreamCrew::MayStay(Member& member) {
  while (!ending_.load(std::memory_order_acquire)) {
    if (member.surplus_ < kSurplusMax) return true;
    member.surplus_ = 0;
    uint64_t load = load_.load();
    while (ActiveOf(load) > 1 && !load_.compare_exchange_weak(load, load - kPolls)) continue;
    if (ActiveOf(load) <= 1) return true;  // somebody must stay
    // Pairs with Nudge, which sees that nobody polls after a fiber has become ready, or is seen here.
    if (fibers_ && fibers_->Ready()) {
      load_.fetch_add(kPolls);
      return true;
    }
    if (!Park(member)) return false;
  }
  load_.fetch_sub(kPolls);
  return false;
}

bool StreamCrew::Park(Member& member) {
  {
    RawLock lock(mutex_);
    if (ending_.load(std::memory_order_relaxed) || parked_.size() >= kParkedMax) return false;
    parked_.push_back(&member);
  }
  member.parker_.ParkUntil(MonoTime::Infinite());
  return true;  // whoever appointed it has counted it as polling
}

bool StreamCrew::BeginPoll(Fiber& self) {
  Member& member = MemberOf(self);
  const bool batch = member.may_be_batch_ && !long_turns_.load(std::memory_order_relaxed);
  if (batch != member.batch_) SetThreadPolicy(batch ? ThreadPolicy::kBatch : ThreadPolicy::kOrdinary);
  member.batch_ = batch;
  sleepers_.fetch_add(1);
  if (!fibers_ || !fibers_->Ready()) return true;
  EndPoll();
  return false;
}

// What is ready is sure to be gone on with if somebody will look: a member that is awake does when it is done. So it is told of anew
// when a member turns out not to be: when it blocks, and when it runs for long.
void StreamCrew::Nudge() {
  if (sleepers_.load() > 0) {
    if (!nudged_.exchange(true)) ::eventfd_write(nudge_.get(), 1);
    return;
  }
  // Who polls without sleeping looks before he does.
  const uint64_t load = load_.load();
  if (PollingOf(load) == 0 && ActiveOf(load) < options_.running_max) Appoint();
}

// Pairs with the watcher, which says that it sleeps before it looks for a last time: all sequentially consistent.
void StreamCrew::KeepWatching() {
  if (!watching_.load() && !watching_.exchange(true)) watcher_.Unpark();
}

void StreamCrew::BeginRunning(Member& member) {
  const uint64_t interval = (member.word_.load(std::memory_order_relaxed) >> 2) + 1;
  member.word_.store(interval << 2 | kRunning, std::memory_order_relaxed);
  blocking_observer = &member;
}

void StreamCrew::Start(Fiber& self, Found found) {
  Member& member = MemberOf(self);
  const uint64_t load = load_.fetch_add(kRuns - kPolls) + kRuns - kPolls;
  KeepWatching();
  Weigh(member, load, found);
  BeginRunning(member);
}

void StreamCrew::GoOnWith(Fiber& self, Parker::Sleeper sleeper, Found found) {
  if (!sleeper.suspended) return Parker::Wake(sleeper);
  // It is a fiber of this crew: to wait, it moved the socket to this crew's set.
  Weigh(MemberOf(self), load_.load() + kRuns - kPolls, found);
  fibers_->Run(self, static_cast<Fiber&>(*sleeper.suspended));
}

void StreamCrew::Weigh(Member& member, uint64_t load, Found found) {
  if (found == Found::kAfterSleep) {
    if (PollingOf(load) > 0) ++member.surplus_;  // one sleeper would have done
  } else if (ActiveOf(load) <= options_.running_max) {
    member.surplus_ = 0;  // there is work for this many
    if (ActiveOf(load) < options_.running_max) Appoint();
  }
}

void StreamCrew::Finish(Member& member) {
  blocking_observer = nullptr;
  uint64_t word = member.word_.load(std::memory_order_relaxed);
  const uint64_t off = (word & ~kStateMask) | kOff;
  const bool ran = (word & kStateMask) == kRunning && member.word_.compare_exchange_strong(word, off);
  if (!ran) member.word_.store(off, std::memory_order_relaxed);
  const uint64_t change = ran ? kPolls - kRuns : kPolls;
  if (ActiveOf(load_.fetch_add(change) + change) > options_.running_max) ++member.surplus_;
}

bool StreamCrew::Suspend(Member& member, Parker& parker, MonoTime deadline) {
  if (!fibers_) return false;
  if (deadline != MonoTime::Infinite() && deadline - context_.runtime().clock().MonoNow() < kPreciseWaitMax) return false;
  Fiber& self = *member.running;
  Finish(member);
  fibers_->Suspend(self, parker, deadline);
  // Another member's thread, perhaps.
  const uint64_t load = load_.fetch_add(kRuns - kPolls) + kRuns - kPolls;
  Member& carrier = MemberOf(self);
  KeepWatching();  // it may run for long now, and perhaps nobody else polls
  if (fibers_->Ready() && ActiveOf(load) < options_.running_max) Appoint();  // others wait, too
  BeginRunning(carrier);
  return true;
}

void StreamCrew::Block(Member& member) {
  if (member.batch_) SetThreadPolicy(ThreadPolicy::kOrdinary);
  member.surplus_ = 0;
  uint64_t word = member.word_.load(std::memory_order_relaxed);
  if ((word & kStateMask) != kRunning) return;  // the watcher was first
  if (!member.word_.compare_exchange_strong(word, (word & ~kStateMask) | kAway)) return;
  if (ActiveOf(load_.fetch_sub(kRuns) - kRuns) == 0) Appoint();
  else if (fibers_ && fibers_->Ready()) Nudge();  // that was left to this member, or to one that sleeps
}

void StreamCrew::Unblock(Member& member) {
  const uint64_t interval = (member.word_.load(std::memory_order_relaxed) >> 2) + 1;
  load_.fetch_add(kRuns);
  member.word_.store(interval << 2 | kRunning, std::memory_order_release);
  if (member.batch_) SetThreadPolicy(ThreadPolicy::kBatch);
}

void StreamCrew::Appoint() {
  load_.fetch_add(kPolls);
  Member* parked = nullptr;
  {
    RawLock lock(mutex_);
    if (ending_.load(std::memory_order_relaxed)) {
      load_.fetch_sub(kPolls);
      return;
    }
    if (!parked_.empty()) {
      parked = parked_.back();
      parked_.pop_back();
    } else {
      ReapLocked();
      Member& member = *members_.emplace_back(std::make_unique<Member>(*this));
      member.task_ = context_.runtime().scheduler().Spawn(
          context_, {.name = options_.name, .stack_bytes = options_.stack_bytes}, [this, &member](const Context&) {
            Run(member);
            member.ended_.store(true, std::memory_order_release);
          });
    }
  }
  if (parked) parked->parker_.Unpark();
}

void StreamCrew::ReapLocked() {
  members_.remove_if([](const std::unique_ptr<Member>& member) {
    if (!member->ended_.load(std::memory_order_acquire)) return false;
    member->task_->Join();
    return true;
  });
}

void StreamCrew::Watch() {
  MonoTime tick = MonoTime::Infinite();  // no tick while nothing happens
  int quiet_ticks = 0;
  while (!ending_.load(std::memory_order_acquire)) {
    MonoTime next = on_tick_();
    const MonoTime now = context_.runtime().clock().MonoNow();
    if (fibers_) next = std::min(next, fibers_->ExpireUntil(now));
    if (now >= tick) {
      quiet_ticks = MarkLongRunning() ? 0 : quiet_ticks + 1;
      tick = now + kTick;
    }
    if (quiet_ticks >= kQuietTicksMax) {
      quiet_ticks = 0;
      tick = MonoTime::Infinite();
      if (fibers_) fibers_->Trim();
      watching_.store(false);
      if (RunningOf(load_.load()) > 0) watching_.store(true);
      if (fibers_) next = std::min(next, fibers_->ExpireUntil(now));
    }
    if (tick == MonoTime::Infinite() && watching_.load()) tick = now + kTick;
    watcher_.ParkUntil(std::min(next, tick));
  }
}

bool StreamCrew::MarkLongRunning() {
  bool happened = false;
  ++short_ticks_;
  size_t appoint_count = 0;
  {
    RawLock lock(mutex_);
    for (const auto& member : members_) {
      uint64_t word = member->word_.load(std::memory_order_acquire);
      const uint64_t seen = std::exchange(member->seen_, word);
      happened = happened || word != seen || (word & kStateMask) == kRunning;
      if (word == member->long_word_) short_ticks_ = 0;
      if (word != seen || (word & kStateMask) != kRunning) continue;
      const uint64_t away = (word & ~kStateMask) | kAway;
      if (!member->word_.compare_exchange_strong(word, away)) continue;
      member->long_word_ = away;
      short_ticks_ = 0;
      if (PollingOf(load_.fetch_sub(kRuns)) == 0) ++appoint_count;
    }
  }
  long_turns_.store(short_ticks_ < kShortTurnsTicks, std::memory_order_relaxed);
  // One poller at a time: if that one does not suffice, it will find events at once.
  if (appoint_count > 0 && PollingOf(load_.load()) == 0) Appoint();
  else if (fibers_ && fibers_->Ready()) Nudge();
  return happened;
}

void StreamCrew::End(const std::function<void()>& wake_pollers) {
  {
    RawLock lock(mutex_);
    ending_.store(true, std::memory_order_release);
    for (Member* member : parked_) {
      load_.fetch_add(kPolls);
      member->parker_.Unpark();
    }
    parked_.clear();
  }
  wake_pollers();
  watcher_.Unpark();
  watcher_task_->Join();
  watcher_task_.reset();
  // Nobody is appointed any more, so the list is ours.
  for (const auto& member : members_) member->task_->Join();
  members_.clear();
  fibers_.reset();
}

size_t StreamCrew::thread_count() const {
  RawLock lock(mutex_);
  size_t count = 1;
  for (const auto& member : members_) count += member->ended_.load(std::memory_order_acquire) ? 0 : 1;
  return count;
}

}  // namespace orrery::runtime::internal
