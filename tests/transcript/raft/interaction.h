// Interaction: several replicas of one group, moved by hand. Each transcript command is one action;
// what it causes is printed. After the interaction environment of etcd-io/raft.
//
//   add-nodes voters=(1,2,3) [learners=(4)] [bare=(5)] [async] [inflight=N] [restarted]
//   [message-bytes=N] [quota=N]
//   campaign N · propose N text · propose-conf-change N v4 l3 r2 | leave [joint=auto|explicit]
//   transfer N to=M · read-index N context=C · set-promise N ts=T
//   tick [nodes] ms=T            lets time pass in steps of 100ms, ticking the named nodes
//   (default: all)
//   run [nodes] ms=T             as tick, with a quiet stabilize of these nodes after each step
//   process-ready N...           takes one Ready each and carries it out (async: the write stays
//   under way)
//   persist N                    async: completes the oldest write under way
//   deliver-msgs [to=N] [from=N] [type=App] [drop]   delivers (or drops) what is in flight
//   stabilize [nodes] [quiet]    processes and delivers until nothing is left to do
//   partition N... | heal        cuts the named nodes off from the others
//   crash N · restart N          loses what is not persisted; comes back with a promise to wait
//   (7b)
//   snapshot N · compact N index=I · report-snapshot N peer=M failed|delivered · unreachable N
//   peer=M
//   status N · states · log N · lease N
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "orrery/raft/memory_storage.h"
#include "orrery/raft/raw_node.h"
#include "support/transcript.h"

namespace orrery::raft::test {

class Interaction {
 public:
  std::string Handle(const transcript::Command& command);

 private:
  class Disk : public MemoryStorage {
   public:
    Disk() = default;
    explicit Disk(const ConfState& members)
        : MemoryStorage(members), conf(members), applied(kBootstrapIndex) {}
    StatusOr<Initial> InitialState() const override { return Initial{hard_state(), conf}; }
    ConfState conf;
    RaftIndex applied;
  };
  struct Node {
    Disk disk;
    std::unique_ptr<RawNode> raw;
    std::deque<Ready> writes;
    uint64_t lives = 0;
  };

  std::string AddNodes(const transcript::Command& command);
  std::string ProposeConfChange(const transcript::Command& command);
  std::string Tick(const transcript::Command& command);
  std::string DeliverMessages(const transcript::Command& command);
  std::string Stabilize(const transcript::Command& command);
  std::string Requests(const transcript::Command& command);
  std::string Faults(const transcript::Command& command);
  std::string Inspect(const transcript::Command& command);

  void Start(ReplicaId id, StartMode mode);
  std::string ProcessReady(ReplicaId id);
  std::string Apply(Node& node, const std::vector<Entry>& entries);
  std::string CompleteWrite(ReplicaId id);
  void SendAll(std::vector<Message> messages);
  std::string Deliver(const Message& message);
  std::vector<ReplicaId> Named(const transcript::Command& command) const;
  Node& At(const transcript::Command& command) {
    return nodes_.at(ReplicaId(std::stoull(command.args.at(0))));
  }

  std::map<ReplicaId, Node> nodes_;
  std::deque<Message> in_flight_;
  std::set<ReplicaId> isolated_;
  MonoTime now_{1'000'000'000};
  bool async_ = false;
  Config config_;
};

}  // namespace orrery::raft::test
