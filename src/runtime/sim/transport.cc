#include "runtime/sim/transport.h"

#include <algorithm>

#include "orrery/base/assert.h"
#include "orrery/base/wire.h"
#include "runtime/cancel_scope.h"
#include "runtime/frame.h"
#include "runtime/sim/incarnation.h"
#include "runtime/sim/world.h"
#include "runtime/status_wire.h"

namespace orrery::runtime::sim {
namespace {

// On the wire: the sender's identity, then one frame.
std::string Pack(NodeId from, const FrameHeader& header, std::string_view payload) {
  std::string bytes;
  wire::AppendVarint(bytes, from.value());
  AppendFrame(bytes, header, payload);
  return bytes;
}

struct Unpacked {
  NodeId from;
  FrameHeader header;
  std::string_view payload;
};
Unpacked Unpack(std::string_view bytes) {
  Unpacked u;
  uint64_t from = 0;
  const bool ok = wire::ReadVarint(bytes, from) && NextFrame(bytes, u.header, u.payload).ok();
  ORRERY_ASSERT(ok, "the simulation's wires do not damage bytes");
  u.from = NodeId(from);
  return u;
}

}  // namespace

// ---- SimTransport

SimTransport::SimTransport(Incarnation& self) : self_(self), identity_(self.node()) {}

void SimTransport::SetIdentity(NodeId node, std::string_view cluster_id) {
  identity_ = node;
  cluster_id_ = cluster_id;
}

StatusOr<std::string> SimTransport::Start(const Context& context, std::string_view rpc_address) {
  ORRERY_ASSERT(!scope_, "the transport is started once");
  if (!self_.world().exchange.Listen(std::string(rpc_address), self_))
    return FailedPreconditionError("address " + std::string(rpc_address) + " is already in use");
  scope_ = context.WithCancel();
  return std::string(rpc_address);
}

void SimTransport::Stop() {
  stopped_ = true;
  self_.world().exchange.StopListening(self_);
  if (!scope_) return;
  scope_->Cancel();
  self_.loop().CheckHoldsNothing("the end of the handlers");
  while (handler_count_ > 0)
    no_handlers_.WaitUntil(self_.loop(), MonoTime::Infinite(), "the end of the transport's handlers");
}

StatusOr<std::string> SimTransport::Call(const Context& context, NodeId to, Method method,
                                         std::string_view request) {
  RETURN_IF_ERROR(context.Check());
  if (to && to == identity_) {
    const auto handler = call_handlers_.find(method);
    if (handler == call_handlers_.end()) return Status(Code::kUnimplemented, "method not served");
    return handler->second(context, identity_, request);
  }
  const auto address = addresses_.find(to);
  if (address == addresses_.end()) return UnavailableError("the address of node " + ToString(to) + " is not known");
  FrameHeader header{FrameKind::kCall, method, 0, 0};
  if (context.deadline() != MonoTime::Infinite())
    header.timeout_ms = uint64_t((context.deadline() - self_.loop().now()).count() / 1'000'000 + 1);
  return self_.world().exchange.Call(context, self_, to, address->second, method, Pack(identity_, header, request));
}

StatusOr<std::string> SimTransport::CallAddress(const Context& context, std::string_view address, Method method,
                                                std::string_view request) {
  RETURN_IF_ERROR(context.Check());
  FrameHeader header{FrameKind::kCall, method, 0, 0};
  if (context.deadline() != MonoTime::Infinite())
    header.timeout_ms = uint64_t((context.deadline() - self_.loop().now()).count() / 1'000'000 + 1);
  return self_.world().exchange.Call(context, self_, NodeId(), std::string(address), method,
                                     Pack(NodeId(), header, request));
}

void SimTransport::Send(NodeId to, Method method, std::string message) {
  const auto address = addresses_.find(to);
  if (address == addresses_.end() || stopped_) return;
  self_.world().exchange.Send(self_, to, address->second,
                              Pack(identity_, {FrameKind::kMessage, method, 0, 0}, message));
}

bool SimTransport::Accepts(NodeId expected, std::string_view cluster_id) const {
  return (!expected || expected == identity_) && (cluster_id.empty() || cluster_id_.empty() || cluster_id == cluster_id_);
}

void SimTransport::SpawnHandler(std::string name, absl::AnyInvocable<void()> body) {
  ++handler_count_;
  self_.SpawnRaw(std::move(name), 0, std::move(body), [this] {
    if (--handler_count_ == 0) no_handlers_.WakeAll(self_.loop());
  });
}

void SimTransport::DeliverMessage(NodeId sender_node, std::string bytes) {
  Inbox& inbox = inboxes_[sender_node];
  inbox.messages.push_back(std::move(bytes));
  if (inbox.has_task) return;
  inbox.has_task = true;
  SpawnHandler("messages from node " + ToString(sender_node), [this, sender_node] { RunInbox(sender_node); });
}

void SimTransport::RunInbox(NodeId sender_node) {
  Inbox& inbox = inboxes_[sender_node];
  while (!inbox.messages.empty()) {
    const std::string bytes = std::move(inbox.messages.front());
    inbox.messages.pop_front();
    if (stopped_ || self_.fenced()) continue;
    const Unpacked u = Unpack(bytes);
    const auto handler = message_handlers_.find(u.header.method);
    if (handler != message_handlers_.end()) handler->second(scope_->context, u.from, u.payload);
  }
  inbox.has_task = false;
}

void SimTransport::DeliverCall(const std::shared_ptr<SimCall>& call, const std::string& bytes) {
  auto scope = scope_->context.WithCancel();
  call->handler_scope = scope.scope;
  SpawnHandler("call " + std::to_string(call->id), [this, call, bytes] { RunCall(call, bytes); });
}

void SimTransport::RunCall(const std::shared_ptr<SimCall>& call, const std::string& bytes) {
  const Unpacked u = Unpack(bytes);
  Context context = CancelScope::WithScope(scope_->context, call->handler_scope);
  if (u.header.timeout_ms != 0)
    context = context.WithTimeout(std::chrono::milliseconds(std::min<uint64_t>(u.header.timeout_ms, uint64_t(1) << 32)));
  StatusOr<std::string> result = Status(Code::kUnimplemented, "method not served");
  const auto handler = call_handlers_.find(u.header.method);
  if (handler != call_handlers_.end()) result = handler->second(context, u.from, u.payload);
  if (self_.fenced()) return;  // the crash has broken the call
  // It was this node that stopped, not the caller that cancelled.
  if (result.status().code() == Code::kCancelled && scope_->context.cancelled())
    result = AmbiguousError("the node stopped before the call had ended");
  const FrameHeader header{result.ok() ? FrameKind::kResponse : FrameKind::kFailure, u.header.method, call->id, 0};
  self_.world().exchange.Answer(call, Pack(identity_, header, result.ok() ? *result : EncodeStatus(result.status())));
}

// ---- Exchange

bool Exchange::Listen(const std::string& address, Incarnation& node) {
  Place& place = places_[address];
  if (place.listening && !place.listening->fenced()) return false;
  place = {node.node(), &node};
  return true;
}

void Exchange::StopListening(const Incarnation& node) {
  for (auto& [address, place] : places_)
    if (place.listening == &node) place.listening = nullptr;
}

NodeId Exchange::NodeAt(const std::string& address) const {
  const auto it = places_.find(address);
  return it == places_.end() ? NodeId() : it->second.node;
}

void Exchange::Send(Incarnation& from, NodeId expected, const std::string& address, std::string bytes) {
  if (from.fenced()) return;
  const NodeId to = NodeAt(address);
  if (!to) return;
  const SimLinkOptions& link = world_.weather.Link(from.node(), to);
  SeededRandom& random = world_.loop.random();
  if (link.cut || random.Chance(link.loss)) return world_.loop.Trace("lost", from.node().value(), to.value());
  const int copies = random.Chance(link.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    MonoTime at = world_.loop.now() + world_.weather.Delay(from.node(), to);
    if (random.Chance(link.reorder)) {
      at = at + world_.weather.Between(Duration(0), 20 * link.delay_max);
    } else {
      MonoTime& last = last_arrival_[{from.node(), to}];
      at = last = std::max(at, last + Duration(1));
    }
    world_.loop.At(at, [this, sender = from.node(), cluster = from.sim_transport().cluster_id(), expected, address,
                        bytes] { Deliver(sender, cluster, expected, address, bytes); });
  }
}

void Exchange::Deliver(NodeId sender, const std::string& cluster_id, NodeId expected, const std::string& address,
                       const std::string& bytes) {
  const Place& place = places_[address];
  Incarnation* target = place.listening;
  if (!target || target->fenced() || world_.weather.Cut(sender, place.node)) return;
  if (!target->sim_transport().Accepts(expected, cluster_id)) return;
  target->sim_transport().DeliverMessage(sender, bytes);
}

StatusOr<std::string> Exchange::Call(const Context& context, Incarnation& from, NodeId expected,
                                     const std::string& address, Method method, std::string bytes) {
  Loop& loop = world_.loop;
  loop.CheckHoldsNothing("a call to " + address);
  auto call = std::make_shared<SimCall>();
  call->id = ++last_call_;
  call->caller = &from;
  calls_.emplace(call->id, call);
  loop.Trace("call", call->id, uint64_t(method));
  loop.At(loop.now() + world_.weather.Delay(from.node(), NodeAt(address)),
          [this, call, expected, address, bytes = std::move(bytes)] { Arrive(call, expected, address, bytes); });
  const std::string reason =
      "the answer of " + address + " to call " + std::to_string(call->id) + " of method " + std::to_string(int(method));
  while (!call->ended) {
    const Status waited = call->answered.Wait(loop, context, reason);
    if (waited.ok() || call->ended) continue;
    call->ended = true;
    calls_.erase(call->id);
    if (!from.fenced())
      loop.At(loop.now() + world_.weather.Delay(from.node(), NodeAt(address)), [this, call] { CancelHandler(call); });
    return waited.Annotate("call to " + address);
  }
  if (!call->status.ok()) return call->status;
  return std::move(call->response);
}

void Exchange::Arrive(const std::shared_ptr<SimCall>& call, NodeId expected, const std::string& address,
                      const std::string& bytes) {
  if (call->ended || call->caller->fenced()) return;
  const Place& place = places_[address];
  const NodeId sender = call->caller->node();
  if (place.node && world_.weather.Cut(sender, place.node)) {
    // Nothing arrived, but only a caller that had written nothing can know that.
    const bool known = world_.loop.random().Chance(500);
    const Status lost = known ? UnavailableError("no connection to " + address)
                              : AmbiguousError("connection lost before the answer of " + address);
    return FinishLater(call, world_.weather.BreakDelay(), lost);
  }
  Incarnation* target = place.listening;
  const Duration back = world_.weather.Delay(place.node, sender);
  if (!target || target->fenced()) return FinishLater(call, back, UnavailableError("nobody listens at " + address));
  if (!target->sim_transport().Accepts(expected, call->caller->sim_transport().cluster_id())) {
    const std::string text = "another node answers at " + address;
    return FinishLater(call, back, expected ? UnavailableError(text) : FailedPreconditionError(text));
  }
  call->callee = target;
  target->sim_transport().DeliverCall(call, bytes);
}

void Exchange::Answer(const std::shared_ptr<SimCall>& call, std::string bytes) {
  if (call->ended) return;
  const NodeId from = call->callee->node();
  const NodeId to = call->caller->node();
  world_.loop.At(world_.loop.now() + world_.weather.Delay(from, to), [this, call, from, to, bytes = std::move(bytes)] {
    if (call->ended || call->caller->fenced()) return;
    if (world_.weather.Cut(from, to))
      return FinishLater(call, world_.weather.BreakDelay(), AmbiguousError("connection lost before the answer"));
    const Unpacked u = Unpack(bytes);
    if (u.header.kind == FrameKind::kResponse) Finish(call, OkStatus(), std::string(u.payload));
    else Finish(call, DecodeStatus(u.payload), "");
  });
}

void Exchange::Finish(const std::shared_ptr<SimCall>& call, Status status, std::string response) {
  if (call->ended) return;
  call->ended = true;
  call->status = std::move(status);
  call->response = std::move(response);
  world_.loop.Trace("answer", call->id, uint64_t(call->status.code()));
  call->answered.WakeAll(world_.loop);
  calls_.erase(call->id);
}

void Exchange::FinishLater(const std::shared_ptr<SimCall>& call, Duration delay, Status status) {
  world_.loop.At(world_.loop.now() + delay, [this, call, status] { Finish(call, status, ""); });
}

void Exchange::CancelHandler(const std::shared_ptr<SimCall>& call) {
  if (!call->callee || !call->handler_scope || call->callee->fenced()) return;
  if (world_.weather.Cut(call->caller->node(), call->callee->node())) return;
  // On a task of the callee: what listens to the cancellation may take mutexes.
  call->callee->SpawnRaw("cancel call " + std::to_string(call->id), 0, [call] { call->handler_scope->Cancel(); }, [] {});
}

void Exchange::OnFence(Incarnation& node) {
  StopListening(node);
  const auto calls = calls_;  // finishing changes the map
  for (const auto& [id, call] : calls) {
    if (call->callee == &node) {
      const bool cut = world_.weather.Cut(node.node(), call->caller->node());
      const Duration delay =
          cut ? world_.weather.BreakDelay() : world_.weather.Delay(node.node(), call->caller->node());
      FinishLater(call, delay, AmbiguousError("connection lost: node " + ToString(node.node()) + " is gone"));
    }
    if (call->caller == &node) {
      world_.loop.At(world_.loop.now() + world_.weather.BreakDelay(), [this, call] { CancelHandler(call); });
    }
  }
}

}  // namespace orrery::runtime::sim
