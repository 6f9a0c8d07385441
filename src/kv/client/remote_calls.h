// RemoteCalls: the batches that other nodes are asked for at the moment, and those who wait for a range to have a leaseholder.
// A call ends early when waiting has become useless: its range is served by another node meanwhile, or nobody has heard of
// the node asked for a while. What the caller makes of it is as after any lost answer (T18). Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "orrery/base/ids.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/sync.h"

namespace orrery::kv {

class RemoteCalls {
 public:
  enum class Repeat : uint8_t { kSafe, kUnsafe };  // whether the batch may be sent again if its outcome is not known

  // One call, from its construction to its destruction. `context` is what it runs under.
  class Call {
   public:
    Call(RemoteCalls& calls, const runtime::Context& context, NodeId node, RangeId range, Repeat repeat);
    ~Call();
    const runtime::Context& context() const { return cancellable_.context; }

   private:
    friend class RemoteCalls;
    RemoteCalls& calls_;
    const runtime::Context::Cancellable cancellable_;
    const NodeId node_;
    const RangeId range_;
    const Repeat repeat_;
    int looks_ = 0;  // of Review since the lease is known to be elsewhere; -1: it is not
    Call* prev_ = nullptr;
    Call* next_ = nullptr;
  };

  // The range's lease is the node's now: whoever waits for that goes on, calls to other nodes have little time left.
  void TellLease(RangeId range, NodeId holder);
  // Waits for such news, `patience` at most; only an end of the context is an error.
  Status AwaitLease(const runtime::Context& context, RangeId range, Duration patience);
  // To be called every kReviewInterval. `silence`: for how long nobody has heard of a node.
  void Review(const std::function<Duration(NodeId)>& silence);
  static constexpr Duration kReviewInterval{100'000'000};

 private:
  runtime::Mutex mutex_{"kv_client.remote_calls"};
  Call* first_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::multimap<RangeId, runtime::Context::Cancellable> waiting_ ABSL_GUARDED_BY(mutex_);  // each a sleep that news end
};

}  // namespace orrery::kv
