#include <algorithm>

#include "kv/client/routing.h"
#include "orrery/kv/client/dist_sender.h"

namespace orrery::kv {
namespace {

// T2 bounds what a clock follows. The lease of a new leader begins above what the former one promised to its
// readers, which with clocks far apart can lie beyond the bound for a moment: that moment is waited for.
Status Follow(const runtime::Context& context, HybridClock& clock, Timestamp remote) {
  Status status = clock.Update(remote);
  if (status.ok()) return status;
  const Duration excess = Duration(remote.wall_ns - clock.PhysicalNowNs()) - clock.max_offset();
  if (excess > clock.max_offset()) return status;
  RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, std::max(excess, Duration(0)) + 1ms));
  return clock.Update(remote);
}

class TransportNodeSender : public NodeSender {
 public:
  explicit TransportNodeSender(HybridClock& clock) : clock_(clock) {}

  BatchResponse SendTo(const runtime::Context& context, NodeId node, const BatchRequest& request) override {
    BatchRequest stamped = request;
    stamped.header.now = clock_.Peek();
    BatchResponse response;
    auto bytes = context.runtime().transport().Call(context, node, runtime::Method::kKvBatch, wire::Encode(stamped));
    if (!bytes.ok()) return ErrorResponse(bytes.status());
    if (Status s = wire::Decode(*bytes, response); !s.ok()) {
      // It was executed, only we do not understand with what result.
      return ErrorResponse(IsReadOnly(request) ? s : AmbiguousError("malformed answer of node " + ToString(node)));
    }
    // T3: what happens next here is later than what the other has seen. A clock too far off is not followed
    // (T2); the answer itself does not depend on it.
    (void)Follow(context, clock_, response.now).ok();
    return response;
  }

 private:
  HybridClock& clock_;
};

}  // namespace

std::unique_ptr<NodeSender> NewTransportNodeSender(HybridClock& clock) {
  return std::make_unique<TransportNodeSender>(clock);
}

StatusOr<std::string> ServeKvBatch(Sender& local, HybridClock& clock, const runtime::Context& context,
                                   std::string_view request) {
  BatchRequest batch;
  RETURN_IF_ERROR(wire::Decode(request, batch));
  Timestamp highest = batch.header.now;
  highest.Forward(batch.header.ts);
  if (batch.header.txn) {
    highest.Forward(batch.header.txn->read_ts);
    highest.Forward(batch.header.txn->meta.write_ts);
  }
  BatchResponse response;
  if (Status s = Follow(context, clock, highest); !s.ok()) {
    response = ErrorResponse(s);
  } else {
    response = local.Send(context, batch);
  }
  if (response.now.IsZero()) response.now = clock.Peek();
  return wire::Encode(response);
}

}  // namespace orrery::kv
