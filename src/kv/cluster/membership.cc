#include "orrery/kv/cluster/membership.h"

#include <algorithm>
#include <cstdlib>

namespace orrery::kv {
namespace {
// Offsets measured over a slow round trip say little.
constexpr Duration kRoundTripMax = 200ms;
// T2: beyond this share of the permitted offset a node is unfit.
constexpr double kOffsetShareMax = 0.8;
}  // namespace

Membership::Membership(runtime::Runtime& runtime, MembershipOptions options, MembershipHooks hooks)
    : runtime_(runtime), options_(std::move(options)), hooks_(std::move(hooks)) {
  runtime::MutexLock lock(mutex_);
  for (const NodeDescriptor& node : options_.known) LearnLocked(node);
}

bool Membership::LearnLocked(const NodeDescriptor& descriptor) {
  if (!descriptor.node || descriptor.node == options_.self.node) return false;
  Peer& peer = peers_[descriptor.node];
  // Later incarnations win; the address may have changed with it.
  if (peer.descriptor.node && peer.descriptor.started_at_ns >= descriptor.started_at_ns) return false;
  const bool moved = peer.descriptor.rpc_address != descriptor.rpc_address;
  peer.descriptor = descriptor;
  if (moved) runtime_.transport().SetAddress(descriptor.node, descriptor.rpc_address);
  return true;
}

void Membership::MeasureOffsetLocked(Peer& peer, const GossipMessage& message, MonoTime now) {
  if (message.echo_mono_ns == 0) return;
  const Duration round_trip(now.ns - message.echo_mono_ns - message.held_ns);
  if (round_trip < Duration(0) || round_trip > kRoundTripMax) return;
  const int64_t theirs_now = message.wall_ns + round_trip.count() / 2;
  peer.clock_offset = Duration(theirs_now - runtime_.clock().WallNowNs());
}

void Membership::Absorb(const GossipMessage& message) {
  bool changed = false;
  std::vector<NodeDescriptor> all;
  Status fault;
  {
    runtime::MutexLock lock(mutex_);
    const MonoTime now = runtime_.clock().MonoNow();
    changed = LearnLocked(message.self);
    for (const NodeDescriptor& node : message.nodes) changed |= LearnLocked(node);
    if (const auto it = peers_.find(message.self.node); it != peers_.end()) {
      Peer& peer = it->second;
      // A message of an earlier incarnation, late on the wire, proves nothing about this one.
      if (peer.descriptor.started_at_ns == message.self.started_at_ns) {
        peer.load = message.load;
        MeasureOffsetLocked(peer, message, now);
        peer.heard = peer.sound = now;
        peer.echo_mono_ns = message.sent_mono_ns;
      }
    }
    if (message.first_range && (!first_range_ || first_range_->generation < message.first_range->generation)) {
      first_range_ = message.first_range;
    }
    if (changed) {
      all.push_back(options_.self);
      for (const auto& [id, peer] : peers_) all.push_back(peer.descriptor);
    }
    fault = ClockFaultLocked(now);
  }
  if (changed && hooks_.on_nodes_changed) hooks_.on_nodes_changed(all);
  if (!fault.ok() && hooks_.on_clock_fault) hooks_.on_clock_fault(fault);
}

Status Membership::ClockFaultLocked(MonoTime now) const {
  size_t measured = 0;
  size_t off = 0;
  Duration worst(0);
  for (const auto& [id, peer] : peers_) {
    if (!peer.clock_offset || !LiveLocked(peer, now)) continue;
    ++measured;
    const Duration offset(std::abs(peer.clock_offset->count()));
    if (double(offset.count()) > kOffsetShareMax * double(options_.max_clock_offset.count())) ++off;
    worst = std::max(worst, offset);
  }
  // A majority of the whole cluster, this node included among those that agree with it.
  if (off == 0 || off * 2 <= measured + 1) return OkStatus();
  return FailedPreconditionError("this node's clock is off from a majority of the cluster by up to " +
                                 std::to_string(worst.count() / 1'000'000) + " ms (permitted: " +
                                 std::to_string(options_.max_clock_offset.count() / 1'000'000) +
                                 " ms); check time synchronisation on this machine");
}

StatusOr<std::string> Membership::Handle(std::string_view bytes) {
  GossipMessage message;
  RETURN_IF_ERROR(wire::Decode(bytes, message));
  Absorb(message);
  runtime::MutexLock lock(mutex_);
  return wire::Encode(MessageForLocked(nullptr, runtime_.clock().MonoNow()));
}

void Membership::Receive(std::string_view bytes) {
  GossipMessage message;
  if (wire::Decode(bytes, message).ok()) Absorb(message);
}

GossipMessage Membership::MessageForLocked(const Peer* peer, MonoTime now) const {
  GossipMessage message;
  message.self = options_.self;
  if (hooks_.load) message.load = hooks_.load();
  for (const auto& [id, other] : peers_) message.nodes.push_back(other.descriptor);
  message.first_range = first_range_;
  message.wall_ns = runtime_.clock().WallNowNs();
  message.sent_mono_ns = now.ns;
  if (peer && peer->heard) {
    message.echo_mono_ns = peer->echo_mono_ns;
    message.held_ns = (now - *peer->heard).count();
  }
  return message;
}

bool Membership::LiveLocked(const Peer& peer, MonoTime now) const {
  return peer.heard && now - *peer.heard <= options_.live_timeout;
}

void Membership::Start(runtime::TaskGroup& group) {
  group.Spawn({.name = "gossip"}, [this](const runtime::Context& context) { return Run(context); });
}

Status Membership::Run(const runtime::Context& context) {
  while (!context.cancelled()) {
    Round(context);
    // Cancelled: the node stops, which is not an error of this task.
    if (!runtime_.scheduler().SleepFor(context, options_.interval).ok()) break;
  }
  return OkStatus();
}

void Membership::Round(const runtime::Context& context) {
  std::vector<std::pair<NodeId, std::string>> messages;
  bool alone = true;
  {
    runtime::MutexLock lock(mutex_);
    const MonoTime now = runtime_.clock().MonoNow();
    for (const auto& [id, peer] : peers_) {
      messages.emplace_back(id, wire::Encode(MessageForLocked(&peer, now)));
      alone &= !LiveLocked(peer, now);
    }
  }
  for (auto& [id, bytes] : messages) runtime_.transport().Send(id, runtime::Method::kGossip, std::move(bytes));
  if (alone) AskSeeds(context);
}

void Membership::AskSeeds(const runtime::Context& context) {
  for (const std::string& seed : options_.seeds) {
    if (seed == options_.self.rpc_address) continue;
    std::string request;
    {
      runtime::MutexLock lock(mutex_);
      request = wire::Encode(MessageForLocked(nullptr, runtime_.clock().MonoNow()));
    }
    auto answer = runtime_.transport().CallAddress(context.WithTimeout(options_.interval), seed,
                                                   runtime::Method::kGossip, request);
    GossipMessage message;
    if (answer.ok() && wire::Decode(*answer, message).ok() && message.self.node) Absorb(message);
  }
}

std::vector<NodeState> Membership::Nodes() const {
  runtime::MutexLock lock(mutex_);
  const MonoTime now = runtime_.clock().MonoNow();
  std::vector<NodeState> states;
  states.push_back({.descriptor = options_.self, .load = hooks_.load ? hooks_.load() : NodeLoad(), .live = true});
  for (const auto& [id, peer] : peers_) {
    states.push_back({.descriptor = peer.descriptor,
                      .load = peer.load,
                      .live = LiveLocked(peer, now),
                      .silent_for = peer.heard ? now - *peer.heard : Duration::max(),
                      .clock_offset = peer.clock_offset});
  }
  std::sort(states.begin(), states.end(),
            [](const NodeState& a, const NodeState& b) { return a.descriptor.node < b.descriptor.node; });
  return states;
}

std::optional<NodeDescriptor> Membership::Find(NodeId node) const {
  if (node == options_.self.node) return options_.self;
  runtime::MutexLock lock(mutex_);
  const auto it = peers_.find(node);
  return it == peers_.end() ? std::nullopt : std::optional(it->second.descriptor);
}

bool Membership::IsLive(NodeId node) const { return LifeOf(node).live; }

NodeLife Membership::LifeOf(NodeId node) const {
  if (node == options_.self.node) return {true, options_.self.started_at_ns};
  runtime::MutexLock lock(mutex_);
  const auto it = peers_.find(node);
  if (it == peers_.end()) return {};
  return {LiveLocked(it->second, runtime_.clock().MonoNow()), it->second.descriptor.started_at_ns};
}

void Membership::NoteHeard(NodeId node) {
  runtime::MutexLock lock(mutex_);
  if (const auto it = peers_.find(node); it != peers_.end()) it->second.sound = runtime_.clock().MonoNow();
}

Duration Membership::SilenceOf(NodeId node) const {
  runtime::MutexLock lock(mutex_);
  const auto it = peers_.find(node);
  if (it == peers_.end() || !it->second.sound) return Duration(0);
  return runtime_.clock().MonoNow() - *it->second.sound;
}

std::optional<RangeDescriptor> Membership::FirstRange() const {
  runtime::MutexLock lock(mutex_);
  return first_range_;
}

void Membership::SetFirstRange(const RangeDescriptor& descriptor) {
  runtime::MutexLock lock(mutex_);
  if (!first_range_ || first_range_->generation < descriptor.generation) first_range_ = descriptor;
}

}  // namespace orrery::kv
