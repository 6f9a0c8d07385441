#include "orrery/runtime/context.h"

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"
#include "orrery/runtime/runtime.h"
#include "runtime/cancel_scope.h"
#include "runtime/sync_backend.h"

namespace orrery::runtime {

using internal::RawLock;

std::shared_ptr<CancelScope> CancelScope::NewBelow(std::shared_ptr<CancelScope> parent) {
  return std::make_shared<CancelScope>(std::move(parent));
}

CancelScope::CancelScope(std::shared_ptr<CancelScope> parent)
    : parent_(std::move(parent)), root_(parent_ ? (parent_->root_ ? parent_->root_ : parent_) : nullptr) {
  if (!parent_) return;
  registered_ = parent_->Register(parent_listener_);
  if (!registered_) cancelled_.store(true, std::memory_order_release);
}

CancelScope::~CancelScope() {
  if (registered_) parent_->Unregister(parent_listener_);
  ORRERY_ASSERT(head_ == nullptr, "CancelScope: destroyed only after its last wait");
}

void CancelScope::Cancel() {
  mutex_.Lock();
  if (cancelled_.exchange(true, std::memory_order_acq_rel)) {
    mutex_.Unlock();
    return;
  }
  while (Listener* listener = head_) {
    Unlink(*listener);
    listener->state_.store(Listener::kRunning, std::memory_order_relaxed);
    mutex_.Unlock();  // a listener may take other mutexes, or cancel a child scope
    listener->OnCancelled();
    listener->state_.store(Listener::kDone, std::memory_order_release);  // from here on it may be gone
    mutex_.Lock();
  }
  mutex_.Unlock();
}

bool CancelScope::Register(Listener& listener) {
  RawLock lock(mutex_);
  if (cancelled()) return false;
  listener.prev_ = tail_;
  listener.next_ = nullptr;
  (tail_ ? tail_->next_ : head_) = &listener;
  tail_ = &listener;
  listener.state_.store(Listener::kListed, std::memory_order_relaxed);
  return true;
}

void CancelScope::Unregister(Listener& listener) {
  {
    RawLock lock(mutex_);
    if (listener.state_.load(std::memory_order_relaxed) == Listener::kListed) {
      Unlink(listener);
      listener.state_.store(Listener::kIdle, std::memory_order_relaxed);
      return;
    }
  }
  // It is being told right now; OnCancelled does not block, so this is short.
  while (listener.state_.load(std::memory_order_acquire) == Listener::kRunning) internal::YieldNow();
}

void CancelScope::Unlink(Listener& listener) {
  (listener.prev_ ? listener.prev_->next_ : head_) = listener.next_;
  (listener.next_ ? listener.next_->prev_ : tail_) = listener.prev_;
  listener.prev_ = listener.next_ = nullptr;
}

bool Context::cancelled() const { return scope_ && scope_->cancelled(); }

Status Context::Check() const {
  if (cancelled()) return CancelledError("cancelled");
  if (deadline_ != MonoTime::Infinite() && runtime_->clock().MonoNow() >= deadline_)
    return DeadlineExceededError("deadline exceeded");
  return OkStatus();
}

Context Context::WithTimeout(Duration timeout) const {
  return WithDeadline(runtime_->clock().MonoNow() + timeout);
}

Context Context::WithDeadline(MonoTime deadline) const {
  Context result = *this;
  result.deadline_ = std::min(deadline_, deadline);
  return result;
}

Context Context::WithTraceId(uint64_t trace_id) const {
  Context result = *this;
  result.trace_id_ = trace_id;
  return result;
}

Context::Cancellable Context::WithCancel() const {
  auto scope = CancelScope::NewBelow(scope_);
  return {scope, CancelScope::WithScope(*this, scope)};
}

Context Context::Detached() const {
  Context result = *this;
  if (scope_ && scope_->root()) result.scope_ = scope_->root();
  result.deadline_ = MonoTime::Infinite();
  return result;
}

void Context::Cancellable::Cancel() const { scope->Cancel(); }

class Context::CancelCallback::Listener final : public CancelScope::Listener {
 public:
  Listener(std::shared_ptr<CancelScope> scope, std::function<void()> callback)
      : scope_(std::move(scope)), callback_(std::move(callback)) {
    registered_ = scope_ && scope_->Register(*this);
    if (scope_ && !registered_) callback_();
  }
  ~Listener() {
    if (registered_) scope_->Unregister(*this);
  }
  void OnCancelled() override { callback_(); }

 private:
  std::shared_ptr<CancelScope> scope_;
  std::function<void()> callback_;
  bool registered_ = false;
};

Context::CancelCallback::CancelCallback(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}
Context::CancelCallback::~CancelCallback() = default;

std::unique_ptr<Context::CancelCallback> Context::OnCancel(std::function<void()> callback) const {
  return std::make_unique<CancelCallback>(
      std::make_unique<CancelCallback::Listener>(scope_, std::move(callback)));
}

}  // namespace orrery::runtime
