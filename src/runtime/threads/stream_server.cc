#include "runtime/threads/stream_server.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "orrery/base/assert.h"

namespace orrery::runtime {

using internal::RawLock;
using Found = internal::StreamCrew::Found;

namespace {

constexpr uint64_t kWakeKey = UINT64_MAX;
constexpr uint64_t kNudgeKey = UINT64_MAX - 1;
constexpr uint32_t kEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr Duration kAtOnce = 3us;  // a thread that slept and was woken takes longer
constexpr int kRoundsMax = 16;  // of one stream, before others have their turn

size_t ProcessorCount() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? size_t(std::max(1, CPU_COUNT(&set))) : 1;
}

}  // namespace

SocketStreamServer::SocketStreamServer(const Context& context, const StreamServerOptions& options)
    : context_(context),
      poll_set_(std::make_shared<internal::PollSet>()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      crew_(context,
            {.name = std::string(options.name), .stack_bytes = options.stack_bytes,
             .running_max = options.running_max > 0 ? options.running_max : ProcessorCount(), .fibers = options.fibers,
             .poll_set = poll_set_},
            [this](internal::Fiber& self) { Work(self); }, [this] { return Tick(); }) {
  ORRERY_ASSERT(wake_.valid(), "the system gives an eventfd");
  epoll_event event{EPOLLIN, {.u64 = kWakeKey}};
  ::epoll_ctl(poll_set_->epoll_fd(), EPOLL_CTL_ADD, wake_.get(), &event);
  event = {EPOLLIN | EPOLLET, {.u64 = kNudgeKey}};
  ::epoll_ctl(poll_set_->epoll_fd(), EPOLL_CTL_ADD, crew_.nudge_fd(), &event);
  CancelScope* scope = CancelScope::Of(context_);
  listens_ = scope && scope->Register(stop_listener_);
  if (scope && !listens_) Stop();
}

SocketStreamServer::~SocketStreamServer() {
  ORRERY_ASSERT(joined_, "StreamServer: joined before it is dropped");
}

void SocketStreamServer::Stop() {
  stopping_.store(true);
  crew_.WakeWatcher();
}

void SocketStreamServer::Join() {
  while (count_.load() > 0) joiner_.ParkUntil(MonoTime::Infinite());
  if (listens_) CancelScope::Of(context_)->Unregister(stop_listener_);
  crew_.End([this] { ::eventfd_write(wake_.get(), 1); });
  joined_ = true;
}

void SocketStreamServer::Add(std::unique_ptr<ByteStream> stream, std::unique_ptr<StreamHandler> handler) {
  std::unique_ptr<SocketStream> socket(static_cast<SocketStream*>(stream.release()));
  const int fd = socket->fd();
  count_.fetch_add(1);
  Slot* slot = nullptr;
  bool stopping = false;
  {
    RawLock lock(mutex_);
    slot = &slots_.Allocate(std::move(socket), std::move(handler));
    stopping = all_told_;
  }
  if (stopping) ::shutdown(fd, SHUT_RD);  // the event that brings kStopping
  const uint64_t key = slot->key();
  ORRERY_ASSERT(!internal::PollSet::IsAwaited(key), "an event tells whether it is a stream's");
  epoll_event event{kEvents, {.u64 = key}};
  if (::epoll_ctl(poll_set_->epoll_fd(), EPOLL_CTL_ADD, fd, &event) == 0) return;
  if (slots_.Claim(key)) End(*slot);  // no memory for it: as if the client had been refused
}

void SocketStreamServer::Work(internal::Fiber& self) {
  const Clock& clock = context_.runtime().clock();
  while (crew_.StayOn(self)) {
    if (!crew_.BeginPoll(self)) continue;
    // Whether the event was there already is told by the time: asking first whether the thread would sleep costs
    // a system call more than reading the clock twice.
    const MonoTime before = clock.MonoNow();
    epoll_event event;
    const int n = ::epoll_wait(poll_set_->epoll_fd(), &event, 1, -1);
    const auto found = clock.MonoNow() - before < kAtOnce ? Found::kAtOnce : Found::kAfterSleep;
    crew_.EndPoll();
    if (n > 0 && event.data.u64 == kNudgeKey) crew_.Nudged();
    if (n <= 0 || event.data.u64 >= kNudgeKey) continue;
    if (internal::PollSet::IsAwaited(event.data.u64)) {
      crew_.GoOnWith(self, poll_set_->Tell(event.data.u64), found);
      continue;
    }
    crew_.Start(self, found);
    const bool closed = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (Slot* slot = slots_.Claim(event.data.u64)) {
      if (closed) slot->handler->OnPeerClosed();
      Serve(*slot, closed ? ShortRead::kIsNotLast : ShortRead::kIsLast);
    } else if (closed) {
      TellClosed(event.data.u64);
    }
    crew_.Finish(self);
  }
}

void SocketStreamServer::Serve(Slot& slot, ShortRead short_read) {
  for (int round = 0; round < kRoundsMax; ++round) {
    slot.stream->StartEvent(short_read);
    short_read = ShortRead::kIsNotLast;  // of the events of the meantime only their being is known
    StreamEvent event = TakeEvent(slot);
    StreamNext next = slot.handler->Handle(context_, *slot.stream, event);
    if (next.action == StreamNext::Action::kWait && event != StreamEvent::kStopping && context_.cancelled()) {
      event = StreamEvent::kStopping;
      next = slot.handler->Handle(context_, *slot.stream, event);
    }
    if (next.action == StreamNext::Action::kClose || event == StreamEvent::kStopping) return End(slot);
    if (!slot.stream->exhausted()) break;
    if (next.idle_timeout > Duration(0)) SetTimer(slot, next.idle_timeout);
    if (internal::StreamSlots::Release(slot)) return;
  }
  Requeue(slot);
}

void SocketStreamServer::TellClosed(uint64_t key) {
  RawLock lock(mutex_);
  Slot& slot = slots_.At(key);
  if (slot.key() == key && slot.handler) slot.handler->OnPeerClosed();
}

// Others first: modifying an edge-triggered entry reports it anew, behind all that is ready now.
void SocketStreamServer::Requeue(Slot& slot) {
  const uint64_t key = slot.key();
  internal::StreamSlots::ReleaseDirty(slot);
  RawLock lock(mutex_);
  if (slot.key() != key || !slot.stream) return;  // served to its end by another thread meanwhile
  epoll_event event{kEvents, {.u64 = key}};
  ::epoll_ctl(poll_set_->epoll_fd(), EPOLL_CTL_MOD, slot.stream->fd(), &event);
}

StreamEvent SocketStreamServer::TakeEvent(Slot& slot) {
  bool timed_out = false;
  if (slot.timer_set) {
    slot.timer_set = false;
    RawLock lock(mutex_);
    timed_out = timers_.erase({slot.idle_deadline, slot.key()}) == 0;  // the watcher has taken it
  }
  if (context_.cancelled()) return StreamEvent::kStopping;
  return timed_out ? StreamEvent::kIdleTimeout : StreamEvent::kReadable;
}

void SocketStreamServer::SetTimer(Slot& slot, Duration timeout) {
  const MonoTime deadline = context_.runtime().clock().MonoNow() + timeout;
  slot.timer_set = true;
  bool is_next = false;
  {
    RawLock lock(mutex_);
    slot.idle_deadline = deadline;
    is_next = timers_.emplace(deadline, slot.key()).first == timers_.begin();
  }
  if (is_next) crew_.WakeWatcher();
}

void SocketStreamServer::End(Slot& slot) {
  std::unique_ptr<SocketStream> stream;
  std::unique_ptr<StreamHandler> handler;
  {
    RawLock lock(mutex_);
    slots_.Retire(slot);
    handler = std::move(slot.handler);
    stream = std::move(slot.stream);
  }
  handler.reset();
  stream->Close();
  stream.reset();
  {
    RawLock lock(mutex_);
    slots_.GiveBack(slot);
  }
  if (count_.fetch_sub(1) == 1) joiner_.Unpark();
}

MonoTime SocketStreamServer::Tick() {
  RawLock lock(mutex_);
  if (stopping_.load() && !all_told_) {
    all_told_ = true;
    slots_.ForEach([](Slot& slot) { ::shutdown(slot.stream->fd(), SHUT_RD); });
  }
  while (!timers_.empty()) {
    const auto [deadline, key] = *timers_.begin();
    if (deadline > context_.runtime().clock().MonoNow()) return deadline;
    timers_.erase(timers_.begin());
    Slot& slot = slots_.At(key);
    ::shutdown(slot.stream->fd(), SHUT_RD);  // an event, which finds its timer gone: kIdleTimeout
  }
  return MonoTime::Infinite();
}

}  // namespace orrery::runtime
