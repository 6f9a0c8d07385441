// SqlServer: the PostgreSQL port. Accepts connections and gives them to a stream server, so that many of them
// share few threads.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "orrery/runtime/runtime.h"
#include "orrery/runtime/stream_server.h"
#include "orrery/sql/session/client_session.h"

namespace orrery::server {

class SqlServer {
 public:
  SqlServer(sql::SessionFactory& sessions, size_t connections_max) : sessions_(sessions), connections_max_(connections_max) {}
  Status Start(runtime::TaskGroup& group, std::string_view address);
  // No new connections; those open are told that the server stops, and ended. Any task, idempotent.
  void Stop();
  std::string address() const { return listener_->address(); }
  size_t connection_count() const { return streams_ ? streams_->stream_count() : 0; }

 private:
  Status AcceptLoop(const runtime::Context& context);

  sql::SessionFactory& sessions_;
  const size_t connections_max_;
  std::unique_ptr<runtime::Listener> listener_;
  std::optional<runtime::Context::Cancellable> connections_;
  std::unique_ptr<runtime::StreamServer> streams_;
};

}  // namespace orrery::server
