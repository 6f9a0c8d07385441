// SqlServer: the PostgreSQL port. Accepts connections and serves each on a task of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "orrery/runtime/runtime.h"
#include "orrery/sql/pgwire/connection.h"

namespace orrery::server {

class SqlServer {
 public:
  SqlServer(sql::SessionFactory& sessions, size_t connections_max) : sessions_(sessions), connections_max_(connections_max) {}
  Status Start(runtime::TaskGroup& group, std::string_view address);
  // No new connections; those open are told that the server stops, and ended. Any task, idempotent.
  void Stop();
  std::string address() const { return listener_->address(); }
  size_t connection_count() const { return open_.load(std::memory_order_relaxed); }

 private:
  Status AcceptLoop(const runtime::Context& context);

  sql::SessionFactory& sessions_;
  const size_t connections_max_;
  std::unique_ptr<runtime::Listener> listener_;
  std::optional<runtime::Context::Cancellable> connections_;
  std::atomic<size_t> open_{0};
};

}  // namespace orrery::server
