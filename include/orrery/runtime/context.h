// Context: what one chain of calls carries down with it: the runtime, a deadline, cancellation, a trace id.
// It is the first argument of every function that may wait, and such a function can return Cancelled or
// DeadlineExceeded. Cheap to copy (two pointers and two words). Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "orrery/base/status.h"
#include "orrery/base/time.h"

namespace orrery::runtime {

class Runtime;

// The state behind one cancellable scope; made by Context::WithCancel. Cancelling a scope cancels every
// scope below it.
class CancelScope;

class Context {
 public:
  // The root of an incarnation: no deadline, cancelled only through the scope.
  explicit Context(Runtime& runtime) : runtime_(&runtime) {}

  Runtime& runtime() const { return *runtime_; }
  MonoTime deadline() const { return deadline_; }
  uint64_t trace_id() const { return trace_id_; }
  bool cancelled() const;
  // OK, or why a wait must end now: Cancelled, DeadlineExceeded.
  Status Check() const;

  // The earlier of the present deadline and now + timeout.
  Context WithTimeout(Duration timeout) const;
  Context WithDeadline(MonoTime deadline) const;
  Context WithTraceId(uint64_t trace_id) const;
  // A child scope: cancelled when `cancel` is called on the returned handle or when this scope is.
  struct Cancellable;
  Cancellable WithCancel() const;
  // A context that this one's cancellation and deadline do not reach, for work that must finish although
  // its requester has gone (resolving intents, rolling back). Still cancelled when the node stops.
  Context Detached() const;

  // Runs `callback` (must not block) once when the scope is cancelled, at once if it already is. The handle
  // unregisters; after its destruction (never from within the callback) the callback does not run. Used by
  // waits; seldom needed elsewhere.
  class CancelCallback;
  std::unique_ptr<CancelCallback> OnCancel(std::function<void()> callback) const;

 private:
  friend class CancelScope;
  Runtime* runtime_;
  std::shared_ptr<CancelScope> scope_;  // null: never cancelled
  MonoTime deadline_ = MonoTime::Infinite();
  uint64_t trace_id_ = 0;
};

class Context::CancelCallback {
 public:
  class Listener;  // private to the implementation
  explicit CancelCallback(std::unique_ptr<Listener> listener);
  ~CancelCallback();

 private:
  std::unique_ptr<Listener> listener_;
};

struct Context::Cancellable {
  std::shared_ptr<CancelScope> scope;
  // Idempotent; any thread. Wakes every wait below the scope.
  void Cancel() const;
  // The context of the new scope.
  Context context;
};

}  // namespace orrery::runtime
