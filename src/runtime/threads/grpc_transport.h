// The production transport, behind an interface without gRPC types.
#pragma once

#include <memory>

#include "orrery/runtime/threads_runtime.h"
#include "orrery/runtime/transport.h"

namespace orrery::runtime {

// `runtime` outlives the transport.
std::unique_ptr<Transport> NewGrpcTransport(Runtime& runtime, const ThreadsRuntimeOptions& options);

}  // namespace orrery::runtime
