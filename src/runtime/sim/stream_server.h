// SimStreamServer: a task for each event of a stream; which of many ready ones runs first is up to the seed.
#pragma once

#include <list>

#include "orrery/runtime/stream_server.h"
#include "runtime/cancel_scope.h"
#include "runtime/sim/loop.h"
#include "runtime/sim/network.h"

namespace orrery::runtime::sim {

class SimStreamServer final : public StreamServer {
 public:
  SimStreamServer(Incarnation& self, const Context& context, const StreamServerOptions& options);
  ~SimStreamServer() override;
  void Add(std::unique_ptr<ByteStream> stream, std::unique_ptr<StreamHandler> handler) override;
  size_t stream_count() const override { return served_.size(); }
  void Join() override;

 private:
  struct Served {
    std::unique_ptr<SimStream> stream;
    std::unique_ptr<StreamHandler> handler;
    bool running = false;
    bool timed_out = false;
    uint64_t silence = 0;  // numbers the silences, so that a timer knows whether its own still lasts
    std::list<std::shared_ptr<Served>>::iterator at;
  };
  class StopListener final : public CancelScope::Listener {
   public:
    explicit StopListener(SimStreamServer& server) : server_(server) {}
    void OnCancelled() override { server_.OnStop(); }

   private:
    SimStreamServer& server_;
  };

  void OnStop();
  // Starts a task for it, unless one runs.
  void Wake(const std::shared_ptr<Served>& served);
  void Serve(const std::shared_ptr<Served>& served);
  void SetTimer(const std::shared_ptr<Served>& served, Duration timeout);

  Incarnation& self_;
  const Context context_;
  const std::string name_;
  const size_t stack_bytes_;
  std::list<std::shared_ptr<Served>> served_;
  size_t task_count_ = 0;
  WaitQueue ended_;
  StopListener stop_listener_{*this};
  bool listens_ = false;
  bool joined_ = false;
};

}  // namespace orrery::runtime::sim
