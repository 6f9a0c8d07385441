// ThreadsRuntime: the production Runtime. Tasks are pooled OS threads, files are POSIX files, byte streams are
// sockets; messages between nodes travel over gRPC streams, raft's and KV calls over TCP lanes. Thread-safe. Owned by
// main(); destroyed after every task has been joined.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/runtime/runtime.h"

namespace orrery::runtime {

struct ThreadsRuntimeOptions {
  size_t stack_bytes = 1 << 20;           // of a task that asks for less; address space, not memory
  size_t idle_threads_max = 64;           // more than these end when their task ends
  size_t call_tasks_max = 4096;           // calls of peers handled at once; beyond: Unavailable to the caller
  size_t peer_queue_bytes_max = 64 << 20; // unsent bytes for one peer; beyond: messages drop, calls Unavailable
  size_t message_bytes_max = 64 << 20;    // of one request, response or message
  Duration reconnect_backoff_min = 50ms;
  Duration reconnect_backoff_max = 1s;
  std::optional<uint64_t> random_seed;    // default: from the system
};

class ThreadsRuntime : public Runtime {
 public:
  static std::unique_ptr<ThreadsRuntime> Create(ThreadsRuntimeOptions options = {});
};

// The first IP address behind a listening address that other machines could reach, with its port, or "" when only this
// machine reaches all of them: 127.0.0.0/8, ::1, the former mapped into IPv6, unix sockets, names that mean nothing else.
// The wildcards (0.0.0.0, [::], an empty host) are reachable. InvalidArgument if malformed, Unavailable if the name does
// not resolve. May ask a name server and wait.
StatusOr<std::string> ReachableFromOutside(std::string_view listen_address);

}  // namespace orrery::runtime
