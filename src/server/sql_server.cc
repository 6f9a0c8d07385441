#include "server/sql_server.h"

#include "server/connection_tasks.h"

namespace orrery::server {

Status SqlServer::Start(runtime::TaskGroup& group, std::string_view address) {
  ASSIGN_OR_RETURN(listener_, group.context().runtime().network().Listen(address));
  connections_.emplace(group.context().WithCancel());
  group.Spawn({.name = "sql accept"}, [this](const runtime::Context& context) { return AcceptLoop(context); });
  return OkStatus();
}

void SqlServer::Stop() {
  if (listener_) listener_->Close();
  if (connections_) connections_->Cancel();
}

Status SqlServer::AcceptLoop(const runtime::Context& context) {
  ConnectionTasks tasks("sql connection");
  for (;;) {
    auto stream = listener_->Accept(context);
    if (!stream.ok()) return OkStatus();  // closed or cancelled: the node stops
    // Beyond the bound a session's Open would refuse with 53300; far beyond it, not even a task is spent.
    if (tasks.count() >= connections_max_ + connections_max_ / 10 + 100) {
      (*stream)->Close();
      continue;
    }
    tasks.Spawn(connections_->context, std::move(*stream),
                [this](const runtime::Context& c, runtime::ByteStream& s) {
                  open_.fetch_add(1, std::memory_order_relaxed);
                  sql::pgwire::Serve(c, s, sessions_, {});
                  open_.fetch_sub(1, std::memory_order_relaxed);
                });
  }
}

}  // namespace orrery::server
