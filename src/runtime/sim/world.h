// World: what the nodes of one simulation share: the loop, the weather between nodes, the wires.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "orrery/runtime/probe.h"
#include "orrery/runtime/sim/simulator.h"
#include "runtime/sim/disk.h"
#include "runtime/sim/incarnation.h"
#include "runtime/sim/loop.h"
#include "runtime/sim/network.h"
#include "runtime/sim/sync.h"
#include "runtime/sim/transport.h"

namespace orrery::runtime::sim {

// The state of every wire. NodeId() is the driver.
class Weather {
 public:
  Weather(Loop& loop, const SimLinkOptions& link) : loop_(loop), default_(link) {}
  const SimLinkOptions& Link(NodeId from, NodeId to) const {
    const auto it = links_.find({from, to});
    return it == links_.end() ? default_ : it->second;
  }
  SimLinkOptions& Own(NodeId from, NodeId to) { return links_.try_emplace({from, to}, default_).first->second; }
  void SetDefault(const SimLinkOptions& link) { default_ = link; }
  void Heal() { links_.clear(); }
  bool Cut(NodeId from, NodeId to) const { return from != to && Link(from, to).cut; }
  Duration Delay(NodeId from, NodeId to) {
    const SimLinkOptions& link = Link(from, to);
    return Between(link.delay_min, link.delay_max);
  }
  Duration BreakDelay() { return Between(loop_.options().call_break_min, loop_.options().call_break_max); }
  Duration Between(Duration low, Duration high) {
    if (high <= low) return low;
    return low + Duration(loop_.random().Below(uint64_t((high - low).count()) + 1));
  }

 private:
  Loop& loop_;
  SimLinkOptions default_;
  std::map<std::pair<NodeId, NodeId>, SimLinkOptions> links_;
};

class World {
 public:
  World(uint64_t run_seed, const SimulatorOptions& options)
      : seed(run_seed), loop(run_seed, options), sync(loop), weather(loop, options.link),
        probes(options.buggify ? Hash(run_seed) : 0), exchange(*this), streams(*this) {
    if (!options.buggify) probes.StopBuggify();
  }

  struct Node {
    Disk disk;
    WallClock wall_clock;
    Incarnation* running = nullptr;
    std::vector<std::function<void(Random&)>> on_fence;
  };

  static uint64_t Hash(uint64_t run_seed);

  const uint64_t seed;
  Loop loop;
  SimSync sync;
  Weather weather;
  ProbeRegistry probes;
  Exchange exchange;
  StreamHub streams;
  std::map<NodeId, Node> nodes;  // NodeId(): the driver
  std::vector<std::unique_ptr<Incarnation>> incarnations;
};

}  // namespace orrery::runtime::sim
