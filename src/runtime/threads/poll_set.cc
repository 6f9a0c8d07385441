#include "runtime/threads/poll_set.h"

#include <sys/epoll.h>

#include "orrery/base/assert.h"

namespace orrery::runtime::internal {

PollSet::PollSet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) { ORRERY_ASSERT(epoll_.valid(), "the system gives an epoll"); }

Parker::Sleeper PollSet::Tell(uint64_t key) {
  const uint32_t index = uint32_t(key & ~kAwaited);
  RawLock lock(mutex_);
  Entry& entry = entries_[index];
  if (!entry.parker || entry.generation != key >> 32) return {};
  return entry.parker->UnparkDeferred();
}

uint64_t PollSet::Add(int fd, Parker& parker) {
  uint64_t key = 0;
  {
    RawLock lock(mutex_);
    if (free_.empty()) {
      free_.push_back(uint32_t(entries_.size()));
      entries_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    entries_[index].parker = &parker;
    key = uint64_t{entries_[index].generation} << 32 | kAwaited | index;
  }
  epoll_event event{EPOLLIN | EPOLLRDHUP | EPOLLET, {.u64 = key}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return key;
  Remove(key);
  return 0;
}

void PollSet::Remove(uint64_t key) {
  const uint32_t index = uint32_t(key & ~kAwaited);
  RawLock lock(mutex_);
  ++entries_[index].generation;
  entries_[index].parker = nullptr;
  free_.push_back(index);
}

void PolledFd::MoveTo(PollSet* set) {
  if (set == set_.get()) return;
  if (set_) ::epoll_ctl(set_->epoll_fd(), EPOLL_CTL_DEL, fd_, nullptr);
  Forget();
  if (!set) return;
  key_ = set->Add(fd_, parker_);
  if (key_ != 0) set_ = set->shared_from_this();
}

void PolledFd::Forget() {
  if (set_) set_->Remove(key_);
  set_.reset();
}

}  // namespace orrery::runtime::internal
