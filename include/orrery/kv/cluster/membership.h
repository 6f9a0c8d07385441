// Membership: which nodes there are, where, and which of them are alive. Every node tells every other one twice
// a second what it knows (full mesh: clusters here are tens of nodes); news travel in one round. What it says
// is a hint: safety rests on Raft and leases, never on who looks alive.
//
// Liveness is measured on the own monotonic clock: a node is live if it was heard from lately. Clock offsets
// are measured with the same messages (T2): a node that is off from a majority by more than 80 % of the
// permitted offset reports itself unfit.
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/base/time.h"
#include "orrery/kv/api/descriptor.h"
#include "orrery/kv/api/node_liveness.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

// What a node tells of its own load; decides nothing but placement (R13).
struct NodeLoad {
  uint64_t range_count = 0;
  uint64_t lease_count = 0;
  uint8_t draining = 0;
  template <class V> void Visit(V& v) { v(1, range_count); v(2, lease_count); v(3, draining); }
};

// Method::kGossip, one-way between members, as a call by address to find a first member.
struct GossipMessage {
  NodeDescriptor self;
  NodeLoad load;
  std::vector<NodeDescriptor> nodes;           // all others that the sender knows
  std::optional<RangeDescriptor> first_range;  // range 1 as last heard of
  int64_t wall_ns = 0;                         // the sender's wall clock when it sent this
  int64_t sent_mono_ns = 0;                    // and its monotonic clock
  int64_t echo_mono_ns = 0;                    // sent_mono_ns of the last message from the receiver; 0: none
  int64_t held_ns = 0;                         // how long ago the sender received that one
  template <class V> void Visit(V& v) {
    v(1, self); v(2, load); v(3, nodes); v(4, first_range); v(5, wall_ns); v(6, sent_mono_ns);
    v(7, echo_mono_ns); v(8, held_ns);
  }
};

struct NodeState {
  NodeDescriptor descriptor;
  NodeLoad load;
  bool live = false;
  Duration silent_for{0};                // since it was last heard from; zero for this node
  std::optional<Duration> clock_offset;  // its wall clock minus ours
};

struct MembershipOptions {
  NodeDescriptor self;
  std::vector<std::string> seeds;      // addresses to ask when no member answers
  std::vector<NodeDescriptor> known;   // from an earlier incarnation
  Duration interval = 500ms;
  Duration live_timeout = 3s;
  Duration max_clock_offset = 500ms;
};
struct MembershipHooks {
  std::function<NodeLoad()> load;                                          // of this node; cheap
  std::function<void(const std::vector<NodeDescriptor>&)> on_nodes_changed;  // all members, to be remembered
  std::function<void(const Status&)> on_clock_fault;                       // T2: this node must stop
};

class Membership final : public NodeLiveness {
 public:
  // Collaborators outlive it. Registers the handlers of Method::kGossip: construct before the transport starts,
  // or route to Handle* from handlers of your own (`register_handlers` is the caller's choice through Serve).
  Membership(runtime::Runtime& runtime, MembershipOptions options, MembershipHooks hooks);

  // A call's, with its answer.
  StatusOr<std::string> Handle(std::string_view message);
  // A one-way message's. Malformed ones say nothing.
  void Receive(std::string_view message);
  // The gossip task: until the group's context ends.
  void Start(runtime::TaskGroup& group);

  std::vector<NodeState> Nodes() const;  // by node id, this one included
  std::optional<NodeDescriptor> Find(NodeId node) const;
  bool IsLive(NodeId node) const;
  NodeLife LifeOf(NodeId node) const override;
  NodeId self() const { return options_.self.node; }
  // A message of the node came in, whichever.
  void NoteHeard(NodeId node);
  // Since when nothing at all was heard of it; zero for this node, and for one that was never heard.
  Duration SilenceOf(NodeId node) const;

  // Range 1: where all addressing begins. Higher generations win.
  std::optional<RangeDescriptor> FirstRange() const;
  void SetFirstRange(const RangeDescriptor& descriptor);

 private:
  struct Peer {
    NodeDescriptor descriptor;
    NodeLoad load;
    std::optional<MonoTime> heard;  // gossip of its present incarnation
    std::optional<MonoTime> sound;  // anything
    int64_t echo_mono_ns = 0;  // of its last message
    std::optional<Duration> clock_offset;
  };
  Status Run(const runtime::Context& context);
  void Round(const runtime::Context& context);
  void AskSeeds(const runtime::Context& context);
  void Absorb(const GossipMessage& message);
  bool LearnLocked(const NodeDescriptor& descriptor);
  void MeasureOffsetLocked(Peer& peer, const GossipMessage& message, MonoTime now);
  GossipMessage MessageForLocked(const Peer* peer, MonoTime now) const;
  bool LiveLocked(const Peer& peer, MonoTime now) const;
  Status ClockFaultLocked(MonoTime now) const;

  runtime::Runtime& runtime_;
  const MembershipOptions options_;
  const MembershipHooks hooks_;
  mutable runtime::Mutex mutex_{"membership"};
  std::map<NodeId, Peer> peers_ ABSL_GUARDED_BY(mutex_);
  std::optional<RangeDescriptor> first_range_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orrery::kv
