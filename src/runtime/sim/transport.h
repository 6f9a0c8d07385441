// The simulated transport: every message becomes bytes, takes its time, and may be lost, doubled or overtaken,
// as the weather between the two nodes has it. Calls are delivered at most once, like on a stream; when their
// wire breaks, they end as Unavailable or Ambiguous, with the meaning the contract gives these.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "orrery/runtime/transport.h"
#include "runtime/sim/loop.h"

namespace orrery::runtime::sim {

class Incarnation;
class World;

// One call on its way. Shared by the caller, the events that carry it and the handler.
struct SimCall {
  uint64_t id = 0;
  Incarnation* caller = nullptr;
  Incarnation* callee = nullptr;  // once delivered
  WaitQueue answered;
  bool ended = false;
  Status status;
  std::string response;
  std::shared_ptr<CancelScope> handler_scope;
};

class SimTransport final : public Transport {
 public:
  explicit SimTransport(Incarnation& self);
  void SetIdentity(NodeId node, std::string_view cluster_id) override;
  StatusOr<std::string> Start(const Context& context, std::string_view rpc_address) override;
  void Stop() override;
  void SetAddress(NodeId node, std::string_view address) override { addresses_[node] = address; }
  StatusOr<std::string> Call(const Context& context, NodeId to, Method method, std::string_view request) override;
  StatusOr<std::string> CallAddress(const Context& context, std::string_view address, Method method,
                                    std::string_view request) override;
  void Send(NodeId to, Method method, std::string message) override;
  void Serve(Method method, CallHandler handler) override { call_handlers_[method] = std::move(handler); }
  void ServeOneWay(Method method, MessageHandler handler) override {
    message_handlers_[method] = std::move(handler);
  }

  // Called by the exchange, on the loop.
  bool Accepts(NodeId expected, std::string_view cluster_id) const;
  void DeliverMessage(NodeId sender_node, std::string bytes);
  void DeliverCall(const std::shared_ptr<SimCall>& call, const std::string& bytes);

  const std::string& cluster_id() const { return cluster_id_; }

 private:
  friend class Exchange;
  struct Inbox {
    std::deque<std::string> messages;
    bool has_task = false;
  };
  void SpawnHandler(std::string name, absl::AnyInvocable<void()> body);
  void RunInbox(NodeId sender_node);
  void RunCall(const std::shared_ptr<SimCall>& call, const std::string& bytes);

  Incarnation& self_;
  NodeId identity_;
  std::string cluster_id_ = "sim";
  bool stopped_ = false;
  std::optional<Context::Cancellable> scope_;  // since Start
  size_t handler_count_ = 0;
  WaitQueue no_handlers_;
  std::map<NodeId, std::string> addresses_;
  std::map<Method, CallHandler> call_handlers_;
  std::map<Method, MessageHandler> message_handlers_;
  std::map<NodeId, Inbox> inboxes_;  // by the node that sent
};

// The wires between all transports of a world.
class Exchange {
 public:
  explicit Exchange(World& world) : world_(world) {}

  bool Listen(const std::string& address, Incarnation& node);
  void StopListening(const Incarnation& node);
  void Send(Incarnation& from, NodeId expected, const std::string& address, std::string bytes);
  StatusOr<std::string> Call(const Context& context, Incarnation& from, NodeId expected, const std::string& address,
                             Method method, std::string bytes);
  void Answer(const std::shared_ptr<SimCall>& call, std::string bytes);
  // The node has crashed: its calls and those to it break.
  void OnFence(Incarnation& node);

 private:
  struct Place {
    NodeId node;             // whose wire leads there
    Incarnation* listening;  // null: nobody now
  };
  void Arrive(const std::shared_ptr<SimCall>& call, NodeId expected, const std::string& address,
              const std::string& bytes);
  void Finish(const std::shared_ptr<SimCall>& call, Status status, std::string response);
  void FinishLater(const std::shared_ptr<SimCall>& call, Duration delay, Status status);
  void Deliver(NodeId sender, const std::string& cluster_id, NodeId expected, const std::string& address,
               const std::string& bytes);
  void CancelHandler(const std::shared_ptr<SimCall>& call);
  NodeId NodeAt(const std::string& address) const;

  World& world_;
  uint64_t last_call_ = 0;
  std::map<std::string, Place> places_;
  std::map<uint64_t, std::shared_ptr<SimCall>> calls_;  // not yet ended
  std::map<std::pair<NodeId, NodeId>, MonoTime> last_arrival_;  // keeps messages in order unless re-ordered
};

}  // namespace orrery::runtime::sim
