#include "kv/client/remote_calls.h"

#include <algorithm>
#include <vector>

#include "orrery/kv/client/dist_sender.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {
namespace {

// A node that hands its lease over still answers what it was asked before.
constexpr int kLooksMax = 2;
// What cannot be repeated without knowing its outcome is worth more patience.
constexpr Duration kSilenceOfUnsafeMax = 2500ms;

}  // namespace

RemoteCalls::Call::Call(RemoteCalls& calls, const runtime::Context& context, NodeId node, RangeId range, Repeat repeat)
    : calls_(calls), cancellable_(context.WithCancel()), node_(node), range_(range), repeat_(repeat), looks_(-1) {
  runtime::MutexLock lock(calls_.mutex_);
  next_ = calls_.first_;
  if (next_) next_->prev_ = this;
  calls_.first_ = this;
}

RemoteCalls::Call::~Call() {
  runtime::MutexLock lock(calls_.mutex_);
  (prev_ ? prev_->next_ : calls_.first_) = next_;
  if (next_) next_->prev_ = prev_;
}

void RemoteCalls::TellLease(RangeId range, NodeId holder) {
  std::vector<runtime::Context::Cancellable> woken;
  {
    runtime::MutexLock lock(mutex_);
    for (Call* call = first_; call; call = call->next_) {
      if (call->range_ == range) call->looks_ = call->node_ == holder ? -1 : std::max(call->looks_, 0);
    }
    const auto [first, last] = waiting_.equal_range(range);
    for (auto it = first; it != last; ++it) woken.push_back(it->second);
  }
  for (const auto& sleep : woken) sleep.Cancel();  // wakes its task: without the mutex
}

Status RemoteCalls::AwaitLease(const runtime::Context& context, RangeId range, Duration patience) {
  const runtime::Context::Cancellable sleep = context.WithCancel();
  const auto insert = [&] {
    runtime::MutexLock lock(mutex_);
    return waiting_.emplace(range, sleep);
  };
  const auto place = insert();
  (void)context.runtime().scheduler().SleepFor(sleep.context, patience).ok();
  {
    runtime::MutexLock lock(mutex_);
    waiting_.erase(place);
  }
  return context.Check();
}

void RemoteCalls::Review(const std::function<Duration(NodeId)>& silence) {
  std::map<NodeId, Duration> silent_for;
  {
    runtime::MutexLock lock(mutex_);
    for (const Call* call = first_; call; call = call->next_) silent_for[call->node_];
  }
  if (silent_for.empty()) return;
  for (auto& [node, duration] : silent_for) duration = silence ? silence(node) : Duration(0);
  std::vector<runtime::Context::Cancellable> ended;
  {
    runtime::MutexLock lock(mutex_);
    for (Call* call = first_; call; call = call->next_) {
      const auto it = silent_for.find(call->node_);
      const Duration silent = it == silent_for.end() ? Duration(0) : it->second;
      const bool gone = silent > (call->repeat_ == Repeat::kSafe ? kSilenceMax : kSilenceOfUnsafeMax);
      const bool elsewhere = call->looks_ >= 0 && ++call->looks_ > kLooksMax;
      if (gone || elsewhere) ended.push_back(call->cancellable_);
    }
  }
  for (const auto& call : ended) call.Cancel();
}

}  // namespace orrery::kv
