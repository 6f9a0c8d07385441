#include "server/sql_server.h"

#include "orrery/sql/pgwire/connection.h"

namespace orrery::server {

Status SqlServer::Start(runtime::TaskGroup& group, std::string_view address) {
  runtime::Network& network = group.context().runtime().network();
  ASSIGN_OR_RETURN(listener_, network.Listen(address));
  connections_.emplace(group.context().WithCancel());
  streams_ = network.NewStreamServer(connections_->context, {.name = "sql"});
  group.Spawn({.name = "sql accept"}, [this](const runtime::Context& context) { return AcceptLoop(context); });
  return OkStatus();
}

void SqlServer::Stop() {
  if (listener_) listener_->Close();
  if (connections_) connections_->Cancel();
}

Status SqlServer::AcceptLoop(const runtime::Context& context) {
  // Beyond the bound a session's Open refuses with 53300; far beyond it, not even a handler is made.
  const size_t streams_max = connections_max_ + connections_max_ / 10 + 100;
  for (;;) {
    auto stream = listener_->Accept(context);
    if (!stream.ok()) break;  // closed or cancelled: the node stops
    if (streams_->stream_count() >= streams_max) {
      (*stream)->Close();
      continue;
    }
    auto handler = sql::pgwire::NewStreamHandler(sessions_, {}, (*stream)->peer());
    streams_->Add(std::move(*stream), std::move(handler));
  }
  connections_->Cancel();
  streams_->Join();
  return OkStatus();
}

}  // namespace orrery::server
