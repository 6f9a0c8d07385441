// The production transport, behind an interface without gRPC types.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orrery/runtime/threads_runtime.h"
#include "orrery/runtime/transport.h"

namespace orrery::runtime {

class ServerTransport : public Transport {
 public:
  // See ThreadsRuntime for all three.
  virtual void SetIdentity(NodeId node, std::string_view cluster_id) = 0;
  virtual StatusOr<std::string> Start(const Context& context, std::string_view rpc_address) = 0;
  virtual void Stop() = 0;
};

// `runtime` outlives the transport.
std::unique_ptr<ServerTransport> NewGrpcTransport(Runtime& runtime, const ThreadsRuntimeOptions& options);

}  // namespace orrery::runtime
