// CancelScope: one node of the tree of cancellable scopes, with the waits and child scopes that listen to it.
// Registering costs a short mutex and no allocation, since every interruptible wait does it. Thread-safe.
#pragma once

#include <atomic>
#include <memory>

#include "orrery/runtime/context.h"
#include "runtime/raw_mutex.h"

namespace orrery::runtime {

class CancelScope {
 public:
  // Embedded in whatever must learn of the cancellation.
  class Listener {
   public:
    // Called once, without any mutex of the scope held, on the task that cancels. Must not block.
    virtual void OnCancelled() = 0;

   protected:
    ~Listener() = default;

   private:
    friend class CancelScope;
    enum State { kIdle, kListed, kRunning, kDone };
    Listener* prev_ = nullptr;
    Listener* next_ = nullptr;
    std::atomic<State> state_{kIdle};
  };

  static std::shared_ptr<CancelScope> NewBelow(std::shared_ptr<CancelScope> parent);  // null: a root
  // The scope of a context; null if it is never cancelled.
  static CancelScope* Of(const Context& context) { return context.scope_.get(); }
  static const std::shared_ptr<CancelScope>& SharedOf(const Context& context) { return context.scope_; }
  static Context WithScope(Context context, std::shared_ptr<CancelScope> scope) {
    context.scope_ = std::move(scope);
    return context;
  }

  explicit CancelScope(std::shared_ptr<CancelScope> parent);
  ~CancelScope();

  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  void Cancel();
  // False, and not registered, if already cancelled.
  bool Register(Listener& listener);
  // After it returns the listener is not running and will not run.
  void Unregister(Listener& listener);
  const std::shared_ptr<CancelScope>& root() const { return root_; }  // null: this is one

 private:
  class ParentListener final : public Listener {
   public:
    explicit ParentListener(CancelScope& scope) : scope_(scope) {}
    void OnCancelled() override { scope_.Cancel(); }

   private:
    CancelScope& scope_;
  };

  void Unlink(Listener& listener);

  const std::shared_ptr<CancelScope> parent_;
  const std::shared_ptr<CancelScope> root_;
  ParentListener parent_listener_{*this};
  bool registered_ = false;
  std::atomic<bool> cancelled_{false};
  internal::RawMutex mutex_;
  Listener* head_ = nullptr;  // guarded by mutex_; listeners run in the order of registration
  Listener* tail_ = nullptr;
};

}  // namespace orrery::runtime
