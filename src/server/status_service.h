// StatusService: what `dbctl node status` and `dbctl range list` show, for this node or, by asking the others,
// for the cluster. Thread-safe.
#pragma once

#include <functional>

#include "orrery/kv/cluster/membership.h"
#include "orrery/kv/store/store.h"
#include "orrery/server/admin_messages.h"

namespace orrery::server {

struct StatusSources {
  runtime::Runtime& runtime;
  kv::Membership& membership;
  kv::Store& store;
  std::string cluster_id;
  kv::NodeDescriptor self;
  MonoTime started;
  std::function<bool()> ready;
  std::function<size_t()> sql_connections;
};

class StatusService {
 public:
  explicit StatusService(StatusSources sources) : sources_(std::move(sources)) {}
  // Handler of Method::kStoreStatus.
  StatusOr<std::string> Handle(const runtime::Context& context, std::string_view bytes);
  StatusResponse Collect(const runtime::Context& context, const StatusRequest& request);

 private:
  NodeReport Local(const StatusRequest& request);
  NodeReport Ask(const runtime::Context& context, const kv::NodeState& node, const StatusRequest& request);

  StatusSources sources_;
};

// The same as JSON, for `--format json` and the HTTP port.
std::string StatusToJson(const StatusResponse& status);

}  // namespace orrery::server
